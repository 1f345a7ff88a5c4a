// SPDX-License-Identifier: GPL-2.0

//! Looks up where a BUG or WARN came from, in the relocated `__bug_table`.
//!
//! An entry is the kernel's `struct bug_entry` with relative pointers: four bytes each for the
//! address, the format and the file, each relative to its own field, then line and flags.
//! The table and the strings lie in the image's read-only part, so a caller that holds no more
//! than that part may pass it.

use super::bytes::{i32_at, short_c_str, u16_at};
use super::layout::Placed;

const ENTRY_SIZE: usize = 16;
/// More entries of a table than any driver has; what comes behind them is ignored. A look-up is a walk.
pub(super) const MAX_ENTRIES: usize = 1 << 16;
/// The longest file name or format.
const TEXT_MAX: usize = 4096;
const FLAG_WARNING: u16 = 1 << 0;
const FLAG_ONCE: u16 = 1 << 1;
const FLAG_NO_CUT_HERE: u16 = 1 << 3;
const FLAG_ARGS: u16 = 1 << 4;

/// An entry of the bug table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bug<'a> {
    /// Index in the table: where a caller keeps its mark that a `once` entry was reported.
    pub index: usize,
    /// Domain address of the trapping instruction.
    pub address: u64,
    /// A WARN, after which the driver goes on; else a BUG.
    pub warning: bool,
    /// To be reported at its first occurrence only.
    pub once: bool,
    /// The header of the report was already printed.
    pub no_cut_here: bool,
    /// The format takes arguments, which registers hold.
    pub has_arguments: bool,
    /// Taint that the warning sets.
    pub taint: u8,
    /// Domain address of the name of the source file.
    pub file_address: u64,
    /// The source file, if the table says so.
    pub file: Option<&'a [u8]>,
    /// The source line.
    pub line: u16,
    /// The message format, if any.
    pub format: Option<&'a [u8]>,
}

/// All entries of the table of the relocated `image`.
pub fn entries<'a>(placed: &Placed<'a>, image: &'a [u8]) -> impl Iterator<Item = Bug<'a>> + 'a {
    let placed = *placed;
    let (start, count) = table(&placed);
    (0..count).filter_map(move |index| entry(&placed, image, start, index))
}

/// The entry of the trapping instruction at `address`.
pub fn lookup<'a>(placed: &Placed<'a>, image: &'a [u8], address: u64) -> Option<Bug<'a>> {
    let (start, count) = table(placed);
    let index = (0..count)
        .find(|index| relative(placed, image, start + index * ENTRY_SIZE) == Some(address))?;
    entry(placed, image, start, index)
}

/// Where the table begins in the image, and how many entries are looked at.
fn table(placed: &Placed<'_>) -> (usize, usize) {
    let table = placed.placement_named(b"__bug_table");
    table.map_or((0, 0), |table| {
        (table.offset, (table.size / ENTRY_SIZE).min(MAX_ENTRIES))
    })
}

/// The entry that itself lies at `address`: what a call of the WARN trap passes.
pub fn entry_at<'a>(placed: &Placed<'a>, image: &'a [u8], address: u64) -> Option<Bug<'a>> {
    let (start, count) = table(placed);
    let offset = placed.offset(address)?.checked_sub(start)?;
    if offset % ENTRY_SIZE != 0 || offset / ENTRY_SIZE >= count {
        return None;
    }
    entry(placed, image, start, offset / ENTRY_SIZE)
}

fn entry<'a>(placed: &Placed<'a>, image: &'a [u8], start: usize, index: usize) -> Option<Bug<'a>> {
    let at = index.checked_mul(ENTRY_SIZE)?.checked_add(start)?;
    let flags = u16_at(image, at + 14)?;
    let text = |field| {
        let place = placed.offset(relative(placed, image, field)?)?;
        let text = short_c_str(image, place, TEXT_MAX)?;
        (!text.is_empty()).then_some(text)
    };
    Some(Bug {
        index,
        address: relative(placed, image, at)?,
        warning: flags & FLAG_WARNING != 0,
        once: flags & FLAG_ONCE != 0,
        no_cut_here: flags & FLAG_NO_CUT_HERE != 0,
        has_arguments: flags & FLAG_ARGS != 0,
        taint: flags.to_le_bytes()[1],
        file_address: relative(placed, image, at + 8)?,
        file: text(at + 8),
        line: u16_at(image, at + 12)?,
        format: text(at + 4),
    })
}

/// The domain address that the relative pointer at `offset` of the image points to.
pub(super) fn relative(placed: &Placed<'_>, image: &[u8], offset: usize) -> Option<u64> {
    let distance = i64::from(i32_at(image, offset)?);
    Some(placed.address(offset).wrapping_add_signed(distance))
}
