// SPDX-License-Identifier: GPL-2.0

//! The crash report as a file: a device coredump that `scripts/decode-report` turns into text.
//!
//! Documentation/report.md describes the format: a first line, then sections, each with a line that
//! names it, its address in the domain and its length, and so many bytes. The image and the stack
//! are those of the dead domain; nothing of the kernel's is in a dump.

use crate::domain::Domain;
use crate::report;
use crate::sys::trace;
use core::fmt::{self, Write};
use kernel::prelude::*;

/// The most that a dump may take, in bytes.
const LONGEST: usize = 32 << 20;

/// A dump in the making.
struct Dump {
    bytes: VVec<u8>,
}

impl Dump {
    fn put(&mut self, bytes: &[u8]) -> Result {
        if self.bytes.len() + bytes.len() > LONGEST {
            return Err(EFBIG);
        }
        self.bytes.extend_from_slice(bytes, GFP_KERNEL)?;
        Ok(())
    }

    fn section(&mut self, name: &str, address: u64, contents: &[u8]) -> Result {
        writeln!(self, "[{name}] {address:#x} {}", contents.len()).map_err(|_| ENOMEM)?;
        self.put(contents)?;
        self.put(b"\n")
    }
}

impl Write for Dump {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.put(text.as_bytes()).map_err(|_| fmt::Error)
    }
}

/// Copies memory of the domain page by page; what cannot be read is zero.
fn copy(domain: &Domain, start: u64, len: usize) -> Result<VVec<u8>> {
    const STEP: usize = 4096;
    let mut bytes = VVec::new();
    bytes.resize(len, 0u8, GFP_KERNEL)?;
    for (n, page) in bytes.chunks_mut(STEP).enumerate() {
        let _ = domain.memory.read_bytes(start + (n * STEP) as u64, page);
    }
    Ok(bytes)
}

fn make(domain: &Domain) -> Result<VVec<u8>> {
    let mut dump = Dump { bytes: VVec::new() };
    dump.put(b"SIDE-COREDUMP 1\n")?;
    let mut text = Dump { bytes: VVec::new() };
    report::write_death(domain, &mut text);
    dump.section("report", 0, &text.bytes)?;
    let (frame, stack) = domain.with_cause(|death| match death {
        Some(death) => (death.frame, death.stack),
        None => (None, (0, 0)),
    });
    if let Some(frame) = frame {
        let mut text = Dump { bytes: VVec::new() };
        for number in 0..16 {
            let value = frame.register(number);
            writeln!(text, "r{number} {value:#x}").map_err(|_| ENOMEM)?;
        }
        writeln!(text, "rip {:#x}\nrflags {:#x}", frame.rip, frame.rflags).map_err(|_| ENOMEM)?;
        dump.section("registers", 0, &text.bytes)?;
    }
    let len = stack.1.saturating_sub(stack.0) as usize;
    if len > 0 {
        dump.section("stack", stack.0, &copy(domain, stack.0, len)?)?;
    }
    let mut result = Ok(());
    domain.image.each_part(&mut |base, len, sections| {
        let mut all = || {
            let mut text = Dump { bytes: VVec::new() };
            sections(&mut text).map_err(|_| ENOMEM)?;
            dump.section("sections", base, &text.bytes)?;
            dump.section("image", base, &copy(domain, base, len)?)
        };
        if result.is_ok() {
            result = all();
        }
    });
    result?;
    Ok(dump.bytes)
}

impl crate::fault_handler::report::Lines for Dump {
    fn line(&mut self, text: fmt::Arguments<'_>) {
        // A dump that is cut short is refused by the length of its sections.
        let _ = writeln!(self, "{text}");
    }
}

/// Offers the dump of a dead domain for each of its devices' first. Process context, before what
/// the domain held is given back. Without memory, or a device, there is none.
pub(crate) fn offer(domain: &Domain) {
    // There is nothing to find out about a restart that a user asked for.
    if domain.with_cause(|death| death.is_some_and(|death| death.is_requested())) {
        return;
    }
    let Some(device) = domain.pci.first(|_| true) else {
        return;
    };
    match make(domain) {
        Ok(bytes) => trace::coredump(&device.raw, bytes),
        Err(_) => pr_warn!("{}: no coredump: out of memory\n", domain.name()),
    }
}
