// SPDX-License-Identifier: GPL-2.0

//! A loaded driver and the modules that it needs: where their parts lie in the domain.

use crate::fault_handler::bug::{number, BugEntry};
use crate::import_rewriter::bugtable;
use crate::import_rewriter::dependencies;
use crate::import_rewriter::elf::Elf;
use crate::import_rewriter::layout::{Layout, Placed, Placement};
use crate::import_rewriter::symbolize::{symbolize, Mark};
use core::fmt::{self, Write};
use kernel::prelude::*;
use kernel::sync::Arc;

/// Writes the sections of an image.
pub(crate) type WriteSections<'a> = &'a dyn Fn(&mut dyn Write) -> fmt::Result;

/// One module file of a domain as it was laid out and mapped: the driver, or a module whose exports
/// it needs.
pub(crate) struct Part {
    /// Domain address of the image.
    pub(crate) base: u64,
    /// Domain address of `init_module`, if the module has one.
    pub(crate) init: Option<u64>,
    /// Domain address of `cleanup_module`.
    pub(crate) exit: Option<u64>,
    /// Where each section of the file lies in the image.
    pub(crate) placements: KVVec<Option<Placement>>,
    /// The image's shape.
    pub(crate) layout: Layout,
    /// The image as it was mapped, for tables that the fault handler reads.
    pub(crate) relocated: KVVec<u8>,
    /// Its symbols by their place, for reports.
    pub(crate) marks: KVVec<Mark>,
    /// Its symbols by their names, if other modules may use its exports.
    pub(crate) names: KVVec<u32>,
    /// Where the file was read.
    pub(crate) path: KVec<u8>,
    /// The file, decompressed: its symbol table names addresses in reports, and the next domain is
    /// made from it. A restart must not depend on a file system, which may be behind this driver.
    pub(crate) file: Arc<KVVec<u8>>,
}

impl Part {
    fn placed(&self) -> Option<Placed<'_>> {
        let elf = Elf::reopen(&self.file).ok()?;
        Placed::new(elf, &self.placements, &self.layout, self.base).ok()
    }

    /// The domain address of the symbol `name`, if the module exports it.
    pub(crate) fn exported(&self, name: &[u8]) -> Option<u64> {
        dependencies::exported(&self.placed()?, &self.names, name)
    }

    fn contains(&self, address: u64) -> bool {
        (self.base..self.base + self.layout.size() as u64).contains(&address)
    }
}

/// What the user asked for this instance of a driver (`side_stubs/request.rs`).
pub(crate) struct Instance {
    /// A name of its own; empty for the driver's.
    pub(crate) name: KVec<u8>,
    /// The PCI devices that it may have, by address; empty for all that match.
    pub(crate) devices: KVec<u8>,
}

impl Instance {
    /// A copy of both.
    pub(crate) fn new(name: &[u8], devices: &[u8]) -> Result<Self> {
        let mut instance = Instance {
            name: KVec::new(),
            devices: KVec::new(),
        };
        instance.name.extend_from_slice(name, GFP_KERNEL)?;
        instance.devices.extend_from_slice(devices, GFP_KERNEL)?;
        Ok(instance)
    }
}

/// What is known of a driver after it was laid out and mapped.
pub(crate) struct Image {
    /// The driver's own name.
    pub(crate) driver: KVec<u8>,
    pub(crate) instance: Instance,
    /// The modules in the order in which they are initialised: the driver is the last.
    pub(crate) parts: KVec<Part>,
    /// The driver's own parameters as they were given.
    pub(crate) params: KVec<u8>,
    /// Names of imports that SIDE does not know, if `allow_missing` let them pass: stub
    /// `table::COUNT + n` stands for the nth.
    pub(crate) missing: KVec<KVec<u8>>,
}

impl Image {
    /// Bytes of all images in the domain.
    pub(crate) fn size(&self) -> u64 {
        let sizes = self.parts.iter().map(|part| part.layout.size() as u64);
        sizes.sum()
    }

    /// Domain addresses of the initialisation functions, in the order in which they are to run.
    pub(crate) fn inits(&self) -> impl Iterator<Item = u64> + '_ {
        self.parts.iter().filter_map(|part| part.init)
    }

    /// Domain addresses of the exit functions, in the order in which they are to run.
    pub(crate) fn exits(&self) -> impl Iterator<Item = u64> + '_ {
        self.parts.iter().rev().filter_map(|part| part.exit)
    }

    fn part(&self, address: u64) -> Option<&Part> {
        self.parts.iter().find(|part| part.contains(address))
    }

    /// Writes what the reports call an address: `function+0x12/0x340 [driver]`, or the address
    /// where no symbol covers it.
    pub(crate) fn write_symbol(&self, address: u64, out: &mut dyn Write) {
        let part = self.part(address);
        let found = part.and_then(|part| symbolize(&part.placed()?, &part.marks, address));
        let _ = match found {
            Some(at) => match core::str::from_utf8(at.name) {
                Ok(name) => write!(out, "{name}+{:#x}/{:#x}", at.offset, at.size),
                Err(_) => write!(out, "{address:#x}"),
            },
            None => write!(out, "{address:#x}"),
        };
    }

    /// The part whose bug table may say something of `address`, and its number.
    fn numbered(&self, address: u64) -> Option<(usize, &Part)> {
        let mut parts = self.parts.iter().enumerate();
        parts.find(|(_, part)| part.contains(address))
    }

    /// The entry of a module's bug table for the instruction at `address`.
    pub(crate) fn bug(&self, address: u64) -> Option<BugEntry> {
        let (number, part) = self.numbered(address)?;
        let bug = bugtable::lookup(&part.placed()?, &part.relocated, address)?;
        Some(entry_of(number, &bug))
    }

    /// The entry of a bug table that itself lies at `address`, and the format of its message.
    pub(crate) fn bug_at(&self, address: u64) -> Option<(BugEntry, &[u8])> {
        let (number, part) = self.numbered(address)?;
        let bug = bugtable::entry_at(&part.placed()?, &part.relocated, address)?;
        Some((entry_of(number, &bug), bug.format.unwrap_or(b"")))
    }

    /// Calls `f` with each image's address and length, and what writes its sections: a name, the
    /// offset in the image and the size a line.
    pub(crate) fn each_part(&self, f: &mut dyn FnMut(u64, usize, WriteSections<'_>)) {
        for part in &self.parts {
            f(part.base, part.layout.size(), &|out| {
                let elf = Elf::reopen(&part.file).map_err(|_| fmt::Error)?;
                for (section, slot) in elf.sections().zip(part.placements.iter()) {
                    let name = core::str::from_utf8(section.name).unwrap_or("?");
                    if let Some(placement) = slot {
                        writeln!(out, "{name} {:#x} {:#x}", placement.offset, placement.size)?;
                    }
                }
                Ok(())
            });
        }
    }

    /// Whether `address` lies in the text of the driver or of a module that it needs.
    pub(crate) fn contains_text(&self, address: u64) -> bool {
        self.part(address).is_some_and(|part| {
            let offset = (address - part.base) as usize;
            part.layout.text.contains(&offset)
        })
    }
}

fn entry_of(part: usize, bug: &bugtable::Bug<'_>) -> BugEntry {
    BugEntry {
        number: number(part, bug.index),
        warning: bug.warning,
        once: bug.once,
        file: bug.file_address,
        line: bug.line,
    }
}
