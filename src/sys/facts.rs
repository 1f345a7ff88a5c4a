// SPDX-License-Identifier: GPL-2.0

//! Copies of the kernel's variables about processors, for drivers that import them.

use super::bindings;

/// Copies as much as fits of `boot_cpu_data`: model and features, no pointer.
pub(crate) fn boot_cpu(room: &mut [u8]) {
    let len = core::cmp::min(room.len(), size_of::<bindings::cpuinfo_x86>());
    // SAFETY: constant after boot, and as long as its type.
    let bytes = unsafe {
        core::slice::from_raw_parts((&raw const bindings::boot_cpu_data).cast::<u8>(), len)
    };
    room[..len].copy_from_slice(bytes);
}

/// Copies as much as fits of the mask of online CPUs.
pub(crate) fn online_mask(room: &mut [u8]) {
    let len = core::cmp::min(room.len(), size_of::<bindings::cpumask>());
    for (n, byte) in room[..len].iter_mut().enumerate() {
        // SAFETY: within the mask; a volatile byte read of a variable that may change.
        *byte = unsafe {
            (&raw const bindings::__cpu_online_mask)
                .cast::<u8>()
                .add(n)
                .read_volatile()
        };
    }
}
