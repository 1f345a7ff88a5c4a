// SPDX-License-Identifier: GPL-2.0

//! A loaded driver file: where its parts lie in the domain.

use crate::import_rewriter::bugtable;
use crate::import_rewriter::elf::Elf;
use crate::import_rewriter::layout::{Layout, Placed, Placement};
use crate::import_rewriter::symbolize::symbolize;
use crate::side_stubs::contract::IMAGE_BASE;
use crate::sys::print::{self, Level, Text};
use core::fmt::Write;
use kernel::prelude::*;

/// What is known of a driver after it was laid out and mapped.
pub(crate) struct Image {
    /// Domain address of `init_module`, if the driver has one.
    pub(crate) init: Option<u64>,
    /// Domain address of `cleanup_module`.
    pub(crate) exit: Option<u64>,
    /// Bytes of the image in the domain.
    pub(crate) size: u64,
    /// The driver's own parameters as they were given.
    pub(crate) params: KVec<u8>,
    /// Where each section of the file lies in the image.
    pub(crate) placements: KVVec<Option<Placement>>,
    /// The image's shape.
    pub(crate) layout: Layout,
    /// The image as it was mapped, for tables that the fault handler reads.
    pub(crate) relocated: KVVec<u8>,
    /// The file, decompressed: its symbol table names addresses in reports.
    pub(crate) file: KVVec<u8>,
    /// Names of imports that SIDE does not know, if `allow_missing` let them pass: stub
    /// `table::COUNT + n` stands for the nth.
    pub(crate) missing: KVec<KVec<u8>>,
}

impl Image {
    /// Writes what the reports call an address: `function+0x12/0x340 [driver]`, or the address
    /// where no symbol covers it.
    pub(crate) fn write_symbol(&self, address: u64, out: &mut dyn Write) {
        let placed = self.placed();
        let found = placed
            .as_ref()
            .and_then(|placed| symbolize(placed, address));
        let _ = match found {
            Some(at) => match core::str::from_utf8(at.name) {
                Ok(name) => write!(out, "{name}+{:#x}/{:#x}", at.offset, at.size),
                Err(_) => write!(out, "{address:#x}"),
            },
            None => write!(out, "{address:#x}"),
        };
    }

    fn placed(&self) -> Option<Placed<'_>> {
        let elf = Elf::parse(&self.file).ok()?;
        Placed::new(elf, &self.placements, &self.layout, IMAGE_BASE).ok()
    }

    /// What the driver's bug table says of the instruction at `address`: `Some(true)` for a WARN,
    /// `Some(false)` for a BUG.
    pub(crate) fn is_warning(&self, address: u64) -> Option<bool> {
        let placed = self.placed()?;
        bugtable::lookup(&placed, &self.relocated, address).map(|bug| bug.warning)
    }

    /// Logs a WARN of the driver's.
    pub(crate) fn print_warning(&self, name: &str, address: u64) {
        let Ok(mut text) = Text::boxed() else { return };
        self.write_symbol(address, &mut *text);
        print::plain(Level::Warning, name, "warning in the driver");
        print::plain(Level::Warning, name, text.as_str());
    }

    /// Whether `address` lies in the driver's own text.
    pub(crate) fn contains_text(&self, address: u64) -> bool {
        let offset = address.wrapping_sub(IMAGE_BASE);
        usize::try_from(offset).is_ok_and(|offset| self.layout.text.contains(&offset))
    }
}
