// SPDX-License-Identifier: GPL-2.0

//! The tracepoints under /sys/kernel/tracing/events/side, and the device coredump.

use super::bindings;
use super::pci::PciRef;
use kernel::prelude::*;

/// A text with a NUL for the kernel, cut where it does not fit.
struct Name([u8; 64]);

impl Name {
    fn new(text: &str) -> Self {
        let mut room = [0; 64];
        let len = text.len().min(room.len() - 1);
        room[..len].copy_from_slice(&text.as_bytes()[..len]);
        Name(room)
    }

    fn as_ptr(&self) -> *const u8 {
        self.0.as_ptr()
    }
}

/// `side:side_fault`: vector, error code, CR2 and RIP of a fault in ring 3.
pub(crate) fn fault(driver: &str, vector: u8, error: u64, address: u64, ip: u64) {
    let driver = Name::new(driver);
    // SAFETY: a text with a NUL, which the tracepoint copies.
    unsafe { bindings::side_trace_fault(driver.as_ptr(), vector, error, address, ip) };
}

/// `side:side_death`: the first cause of a domain's death.
pub(crate) fn death(driver: &str, rule: &str, upcall: &str, value: u64, ip: u64) {
    let (driver, rule, upcall) = (Name::new(driver), Name::new(rule), Name::new(upcall));
    // SAFETY: texts with a NUL, which the tracepoint copies.
    unsafe {
        bindings::side_trace_death(driver.as_ptr(), rule.as_ptr(), upcall.as_ptr(), value, ip)
    };
}

/// `side:side_recovery`: all that a dead domain held is given back, `took_ns` after its death.
pub(crate) fn recovery(driver: &str, took_ns: u64) {
    let driver = Name::new(driver);
    // SAFETY: a text with a NUL, which the tracepoint copies.
    unsafe { bindings::side_trace_recovery(driver.as_ptr(), took_ns) };
}

/// Offers `dump` to user space as the coredump of `device`: /sys/class/devcoredump. The kernel
/// keeps one a device, until it is read and written to or five minutes are over. Process context.
pub(crate) fn coredump(device: &PciRef, dump: VVec<u8>) {
    let (data, len, _) = dump.into_raw_parts();
    // SAFETY: a live device; the memory came from vmalloc and is the kernel's from here on.
    unsafe { bindings::side_coredump(device.device(), data.cast(), len) };
}
