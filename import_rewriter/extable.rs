// SPDX-License-Identifier: GPL-2.0

//! Looks up the fixup of an instruction that is allowed to fault, in the relocated `__ex_table`.
//!
//! An entry is the kernel's `struct exception_table_entry`: the instruction and its fixup, each
//! relative to its own field, and a word of data that says how to fix up.

use super::bugtable::{relative, MAX_ENTRIES};
use super::bytes::u32_at;
use super::layout::Placed;

const ENTRY_SIZE: usize = 12;

/// What to do about a fault at an instruction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fixup {
    /// Domain address to resume at.
    pub resume: u64,
    /// `EX_TYPE_*` of arch/x86/include/asm/extable_fixup_types.h.
    pub kind: u8,
    /// The register that the fixup sets, in the order of the instruction set's encoding.
    pub register: u8,
    /// `EX_FLAG_*`, shifted down.
    pub flags: u8,
    /// The value that the register is set to, for the types that have one.
    pub immediate: i16,
}

/// The fixup of the instruction at `address`. The caller checks that `resume` is code before it
/// goes there, as it does with every address out of a domain.
pub fn lookup(placed: &Placed<'_>, image: &[u8], address: u64) -> Option<Fixup> {
    let table = placed.placement_named(b"__ex_table")?;
    let count = (table.size / ENTRY_SIZE).min(MAX_ENTRIES);
    (0..count).find_map(|index| {
        let at = table.offset + index * ENTRY_SIZE;
        if relative(placed, image, at)? != address {
            return None;
        }
        let data = u32_at(image, at + 8)?;
        let [kind, middle, low, high] = data.to_le_bytes();
        Some(Fixup {
            resume: relative(placed, image, at + 4)?,
            kind,
            register: middle & 0xf,
            flags: middle >> 4,
            immediate: i16::from_le_bytes([low, high]),
        })
    })
}
