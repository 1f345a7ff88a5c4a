// SPDX-License-Identifier: GPL-2.0

//! The driver's bug table: which `ud2` is a WARN and which is a BUG.
//!
//! Each entry of the section `__bug_table` is four fields in 16 bytes: the offsets, each from its
//! own place, of the instruction, the format and the file name; then line and flags. The table
//! belongs to the driver's image, so nothing in it is believed beyond what a report shows.

/// A warning: execution goes on.
const FLAG_WARNING: u16 = 1 << 0;
/// Warns once only.
const FLAG_ONCE: u16 = 1 << 1;

/// Bytes of one entry.
pub const ENTRY_SIZE: usize = 16;

/// One entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BugEntry {
    /// Where the entry lies in the table, which serves to tell repeated warnings.
    pub index: usize,
    /// Whether execution goes on behind the instruction.
    pub warning: bool,
    /// Whether it warns once only.
    pub once: bool,
    /// Domain address of the name of the source file.
    pub file: u64,
    /// Line in the source file.
    pub line: u16,
}

/// A relocated bug table.
#[derive(Clone, Copy, Debug)]
pub struct BugTable<'a> {
    /// The bytes of the section, relocated.
    pub bytes: &'a [u8],
    /// Its domain address.
    pub address: u64,
}

impl BugTable<'_> {
    /// The entry of the instruction at `rip`.
    ///
    /// A driver has few of them and a report is rare, so the search is linear.
    pub fn find(&self, rip: u64) -> Option<BugEntry> {
        self.bytes
            .chunks_exact(ENTRY_SIZE)
            .enumerate()
            .find_map(|(index, entry)| {
                let place = self.address.wrapping_add((index * ENTRY_SIZE) as u64);
                let target = |offset: usize| {
                    let bytes = entry.get(offset..offset + 4)?.try_into().ok()?;
                    let distance = i64::from(i32::from_le_bytes(bytes)) as u64;
                    Some(place.wrapping_add(offset as u64).wrapping_add(distance))
                };
                let half = |offset: usize| {
                    let bytes = entry.get(offset..offset + 2)?.try_into().ok()?;
                    Some(u16::from_le_bytes(bytes))
                };
                if target(0)? != rip {
                    return None;
                }
                let flags = half(14)?;
                Some(BugEntry {
                    index,
                    warning: flags & FLAG_WARNING != 0,
                    once: flags & FLAG_ONCE != 0,
                    file: target(8)?,
                    line: half(12)?,
                })
            })
    }
}
