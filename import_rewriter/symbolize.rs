// SPDX-License-Identifier: GPL-2.0

//! Names an address for a report: the driver's own symbol and the offset within it.
//!
//! Symbols are sorted once, when the file is loaded: a report has some forty addresses to name, and a file may
//! have a quarter of a million symbols.

use super::elf::{Elf, Place, Symbol, SymbolKind};
use super::layout::{Placed, Placement};
use super::sort::sort_by;

/// A named address.
#[derive(Clone, Copy)]
pub struct Location<'a> {
    /// Name of the symbol.
    pub name: &'a [u8],
    /// Offset of the address within it.
    pub offset: u64,
    /// Size of the symbol, 0 if unknown.
    pub size: u64,
}

/// A symbol of a loaded section, by its place.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Mark {
    /// Offset in the image.
    offset: u32,
    /// Index in the symbol table.
    symbol: u32,
}

/// Symbols below an address that are looked at for one that covers it.
const LOOKS: usize = 64;

/// Writes the symbols that can name an address into `room`, sorted, and returns how many there are. `room` has
/// [`Elf::symbol_count`] slots.
pub fn sort(elf: &Elf<'_>, placements: &[Option<Placement>], room: &mut [Mark]) -> usize {
    let mut count = 0;
    for symbol in elf.symbols() {
        let Place::Section(section) = symbol.place else {
            continue;
        };
        let Some(Some(placement)) = placements.get(section) else {
            continue;
        };
        if symbol.name.is_empty() || symbol.name.starts_with(b"__pfx_") {
            continue;
        }
        let offset = (placement.offset as u64).saturating_add(symbol.value);
        if let (Some(slot), Ok(offset)) = (room.get_mut(count), u32::try_from(offset)) {
            *slot = Mark {
                offset,
                symbol: symbol.index,
            };
            count += 1;
        }
    }
    if let Some(marks) = room.get_mut(..count) {
        sort_by(marks, |a, b| a < b);
    }
    count
}

/// Finds the symbol that holds `address` among `marks`, from [`sort`]: a function that covers it, else any symbol
/// that covers it, else the nearest one below in the same section. Of what covers it the nearest below counts, and
/// only if it is not far below.
pub fn symbolize<'a>(placed: &Placed<'a>, marks: &[Mark], address: u64) -> Option<Location<'a>> {
    let image = placed.offset(address)?;
    let (section, offset) = placed.section_at(image)?;
    let offset = offset as u64;
    let below = marks.partition_point(|mark| mark.offset as usize <= image);
    let best = marks
        .get(below.saturating_sub(LOOKS)..below)?
        .iter()
        .filter_map(|mark| placed.elf.symbol(mark.symbol))
        .filter(|symbol| symbol.place == Place::Section(section) && symbol.value <= offset)
        .max_by_key(|symbol| (rank(symbol, offset), symbol.value))?;
    Some(Location {
        name: best.name,
        offset: offset - best.value,
        size: best.size,
    })
}

fn rank(symbol: &Symbol<'_>, offset: u64) -> u8 {
    let covers = offset - symbol.value < symbol.size;
    match (covers, symbol.kind) {
        (true, SymbolKind::Function) => 2,
        (true, _) => 1,
        (false, _) => 0,
    }
}
