// SPDX-License-Identifier: GPL-2.0

//! Names an address for a report: the driver's own symbol and the offset within it.

use super::elf::{Place, Symbol, SymbolKind};
use super::layout::Placed;

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

/// Finds the symbol that holds `address`: a function that covers it, else any symbol that covers
/// it, else the nearest one below in the same section.
pub fn symbolize<'a>(placed: &Placed<'a>, address: u64) -> Option<Location<'a>> {
    let (section, offset) = placed.section_at(placed.offset(address)?)?;
    let offset = offset as u64;
    let best = placed
        .elf
        .symbols()
        .filter(|symbol| symbol.place == Place::Section(section) && symbol.value <= offset)
        .filter(|symbol| !symbol.name.is_empty() && !symbol.name.starts_with(b"__pfx_"))
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
