// SPDX-License-Identifier: GPL-2.0

//! I/O ports, and the other instructions that the kernel carries out for a driver.

use super::bindings;

/// Reads `size` bytes (1, 2 or 4) at `port`. The caller has checked that a domain owns it.
pub(crate) fn read(port: u16, size: u8) -> u32 {
    // SAFETY: the caller's check; port reads concern the device alone.
    unsafe { bindings::side_port_read(port, size) }
}

/// Writes `size` bytes (1, 2 or 4) at `port`. The caller has checked that a domain owns it.
pub(crate) fn write(port: u16, size: u8, value: u32) {
    // SAFETY: as above.
    unsafe { bindings::side_port_write(port, size, value) }
}

/// The time-stamp counter of this CPU.
pub(crate) fn time_stamp() -> u64 {
    // SAFETY: reads a counter.
    unsafe { bindings::side_time_stamp() }
}

/// What `cpuid` tells of a leaf: EAX, EBX, ECX, EDX.
pub(crate) fn cpuid(leaf: u32, subleaf: u32) -> [u32; 4] {
    let mut registers = [0; 4];
    // SAFETY: four words of room.
    unsafe { bindings::side_cpuid(leaf, subleaf, registers.as_mut_ptr()) };
    registers
}
