// SPDX-License-Identifier: GPL-2.0

//! What the driver needs from the kernel: its undefined symbols, and how each is used.
//!
//! A use counts only where it is loaded: a symbol that nothing but a left-out table refers to
//! needs no stub.

use super::elf::{reloc, Elf, Place};
use super::error::BadImage;
use super::layout::Placement;

/// How loaded code and data use a symbol.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Uses {
    /// Something calls it or jumps to it: it must be code.
    pub called: bool,
    /// Something reads it or takes its address: a variable, or a function passed as a pointer.
    pub addressed: bool,
}

impl Uses {
    /// Whether anything uses the symbol.
    pub fn any(self) -> bool {
        self.called || self.addressed
    }
}

/// An undefined symbol that is used.
#[derive(Clone, Copy)]
pub struct Import<'a> {
    /// Index in the symbol table; what the resolver is asked for.
    pub symbol: u32,
    /// Name.
    pub name: &'a [u8],
    /// Whether it is 0 when nobody provides it, instead of an error.
    pub weak: bool,
    /// How it is used.
    pub uses: Uses,
}

/// Records in `uses`, one slot a symbol, how loaded sections use each symbol of the file.
///
/// `uses` must have [`Elf::symbol_count`] slots.
pub fn find_uses(
    elf: &Elf<'_>,
    placements: &[Option<Placement>],
    uses: &mut [Uses],
) -> Result<(), BadImage> {
    if uses.len() < elf.symbol_count() as usize {
        return Err(BadImage::WrongImage(
            "too few slots for the uses of symbols",
        ));
    }
    uses.fill(Uses::default());
    for table in elf.relocation_tables() {
        let Some(section) = elf.section(table.target) else {
            continue;
        };
        if placements.get(table.target).copied().flatten().is_none() {
            continue;
        }
        for entry in table.iter() {
            let Some(slot) = uses.get_mut(entry.symbol as usize) else {
                continue;
            };
            match entry.kind {
                reloc::NONE => {}
                reloc::PLT32 => slot.called = true,
                reloc::PC32 if is_branch(section.data, entry.offset) => slot.called = true,
                _ => slot.addressed = true,
            }
        }
    }
    Ok(())
}

/// All undefined symbols that are used, by the record that [`find_uses`] made.
pub fn imports<'a>(elf: &Elf<'a>, uses: &'a [Uses]) -> impl Iterator<Item = Import<'a>> + 'a {
    elf.symbols().zip(uses).filter_map(|(symbol, &uses)| {
        (symbol.place == Place::Undefined && symbol.index != 0 && uses.any()).then_some(Import {
            symbol: symbol.index,
            name: symbol.name,
            weak: symbol.weak,
            uses,
        })
    })
}

/// Whether the 32-bit field at `offset` is the target of a call, a jump or a conditional jump.
pub(super) fn is_branch(code: &[u8], offset: usize) -> bool {
    let before = |distance| {
        offset
            .checked_sub(distance)
            .and_then(|at| code.get(at))
            .copied()
    };
    matches!(
        (before(2), before(1)),
        (_, Some(0xe8 | 0xe9)) | (Some(0x0f), Some(0x80..=0x8f))
    )
}
