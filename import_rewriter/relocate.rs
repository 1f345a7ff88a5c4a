// SPDX-License-Identifier: GPL-2.0

//! Copies the loaded sections into the image and resolves every reference.
//!
//! The arithmetic is the kernel's own (`apply_relocate_add`): a field that cannot hold its value
//! refuses the load, since running with a cut-off address is worse.

use super::bytes;
use super::elf::{reloc, Place, Relocation, Section};
use super::error::{BadImage, Name};
use super::layout::{no_symbol, Placed};

/// Answers where an undefined symbol, given by index and name, lies in the domain.
pub type Resolve<'r> = dyn Fn(u32, &[u8]) -> Option<u64> + 'r;

/// Fills `image`, which holds the whole image, with the relocated sections of `placed`. Gaps
/// between sections, uninitialised data and the string area become zero.
pub fn apply(placed: &Placed<'_>, image: &mut [u8], resolve: &Resolve<'_>) -> Result<(), BadImage> {
    copy_sections(placed, image)?;
    for table in placed.elf.relocation_tables() {
        let (Some(section), Some(placement)) = (
            placed.elf.section(table.target),
            placed.placement(table.target),
        ) else {
            continue;
        };
        let field = image.get_mut(placement.range()).ok_or(SHORT)?;
        let address = placed.address(placement.offset);
        for entry in table.iter() {
            relocate(placed, &section, address, field, &entry, resolve)?;
        }
    }
    Ok(())
}

const SHORT: BadImage = BadImage::WrongImage("image is shorter than its layout");

fn copy_sections(placed: &Placed<'_>, image: &mut [u8]) -> Result<(), BadImage> {
    image.fill(0);
    for section in placed.elf.sections() {
        if let Some(placement) = placed.placement(section.index) {
            bytes::put(image, placement.offset, section.data).ok_or(SHORT)?;
        }
    }
    Ok(())
}

/// Applies one relocation to `field`, the image bytes of `section`, whose first byte has
/// `address` in the domain.
fn relocate(
    placed: &Placed<'_>,
    section: &Section<'_>,
    address: u64,
    field: &mut [u8],
    entry: &Relocation,
    resolve: &Resolve<'_>,
) -> Result<(), BadImage> {
    if entry.kind == reloc::NONE {
        return Ok(());
    }
    let value = symbol_value(placed, entry.symbol, resolve)?.wrapping_add_signed(entry.addend);
    let relative = value.wrapping_sub(address.wrapping_add(entry.offset as u64));
    let overflow = || BadImage::Overflow {
        section: Name::new(section.name),
        offset: entry.offset as u32,
        symbol: placed.symbol_name(entry.symbol),
    };
    let written = match entry.kind {
        reloc::ABS64 => bytes::put(field, entry.offset, &value.to_le_bytes()),
        reloc::PC64 => bytes::put(field, entry.offset, &relative.to_le_bytes()),
        reloc::PC32 | reloc::PLT32 => {
            let value = i32::try_from(relative as i64).map_err(|_| overflow())?;
            bytes::put(field, entry.offset, &value.to_le_bytes())
        }
        reloc::ABS32 => {
            let value = u32::try_from(value).map_err(|_| overflow())?;
            bytes::put(field, entry.offset, &value.to_le_bytes())
        }
        reloc::ABS32S => {
            let value = i32::try_from(value as i64).map_err(|_| overflow())?;
            bytes::put(field, entry.offset, &value.to_le_bytes())
        }
        kind => {
            return Err(BadImage::RelocationType {
                section: Name::new(section.name),
                kind,
            });
        }
    };
    written.ok_or(SHORT)
}

/// The domain address of a symbol, wherever it comes from.
fn symbol_value(placed: &Placed<'_>, index: u32, resolve: &Resolve<'_>) -> Result<u64, BadImage> {
    let (place, value) = placed.elf.place(index).ok_or(no_symbol(index))?;
    let symbol = match place {
        Place::Section(section) => {
            return placed
                .symbol_address(index)
                .ok_or_else(|| BadImage::NotLoaded(placed.section_name(section)))
        }
        Place::Absolute => return Ok(value),
        // The null symbol stands for the address 0.
        Place::Undefined if index == 0 => return Ok(0),
        Place::Common | Place::Undefined => placed.elf.symbol(index).ok_or(no_symbol(index))?,
    };
    if place == Place::Common {
        return Err(BadImage::CommonSymbol(Name::new(symbol.name)));
    }
    match resolve(index, symbol.name) {
        Some(address) => Ok(address),
        None if symbol.weak => Ok(0),
        None => Err(BadImage::Unresolved(Name::new(symbol.name))),
    }
}
