// SPDX-License-Identifier: GPL-2.0

//! Random numbers.

use super::bindings;

/// A random word: the stack guard of a domain.
pub(crate) fn word() -> u64 {
    let mut bytes = [0u8; 8];
    // SAFETY: writes eight bytes.
    unsafe { bindings::get_random_bytes(bytes.as_mut_ptr().cast(), 8) };
    // As the kernel's own guard, the first byte is zero, so that a string cannot copy it.
    u64::from_le_bytes(bytes) & !0xff
}
