// SPDX-License-Identifier: GPL-2.0

//! What the driver's bug table says of a `ud2`: whether it is a WARN or a BUG. The table itself is read by
//! `import_rewriter::bugtable`; it belongs to the driver's image, so nothing in it is believed beyond what a report
//! shows.

/// Warnings that have a number, of all modules of a domain together.
pub const NUMBERS: usize = PARTS * PART_ENTRIES;
const PARTS: usize = 4;
const PART_ENTRIES: usize = 1024;

/// One entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BugEntry {
    /// Its [`number`], which serves to tell repeated warnings.
    pub number: Option<usize>,
    /// Whether execution goes on behind the instruction.
    pub warning: bool,
    /// Whether it warns once only.
    pub once: bool,
    /// Domain address of the name of the source file.
    pub file: u64,
    /// Line in the source file.
    pub line: u16,
}

/// The number, less than [`NUMBERS`] and of no other entry, of the entry at `index` in the bug table of a domain's
/// module number `part`. Those far behind have none.
pub fn number(part: usize, index: usize) -> Option<usize> {
    (part < PARTS && index < PART_ENTRIES).then_some(part * PART_ENTRIES + index)
}
