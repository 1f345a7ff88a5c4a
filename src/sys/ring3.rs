// SPDX-License-Identifier: GPL-2.0

//! Assembles the ring-3 library into read-only data of the module, where the kernel can read it
//! and not execute it, and shows it as bytes.

use crate::side_stubs::contract::*;

core::arch::global_asm!(
    include_str!("../../side_stubs/ring3/library.S"),
    preempt_count = const VCPU_BASE + VCPU_PREEMPT_COUNT,
    irq_disabled = const VCPU_BASE + VCPU_IRQ_DISABLED,
    pending = const VCPU_BASE + VCPU_PENDING,
    softirq_disable = const 2 * SOFTIRQ_OFFSET,
    yield_stub = const stub_address(STUB_YIELD),
    library_base = const LIBRARY_BASE,
    options(att_syntax)
);

extern "C" {
    static side_ring3_text: u8;
    static side_ring3_text_end: u8;
    static side_ring3_names: u8;
    static side_ring3_names_end: u8;
}

/// The bytes of the read-only data between two labels of the library.
///
/// # Safety
///
/// `begin` must not lie above `end`, and everything between them must be read-only data.
unsafe fn between(begin: *const u8, end: *const u8) -> &'static [u8] {
    // SAFETY: the caller's promise; the module's data outlives its code.
    unsafe { core::slice::from_raw_parts(begin, end as usize - begin as usize) }
}

/// The library's text, to be copied to `LIBRARY_BASE`.
pub(crate) fn text() -> &'static [u8] {
    // SAFETY: the labels enclose the library's text, in this order, in `.rodata`.
    unsafe { between(&raw const side_ring3_text, &raw const side_ring3_text_end) }
}

/// The table of functions: for each its offset (4 bytes), the length of its name, the name.
pub(crate) fn names() -> &'static [u8] {
    // SAFETY: the labels enclose the table, in this order, in `.rodata`.
    unsafe { between(&raw const side_ring3_names, &raw const side_ring3_names_end) }
}
