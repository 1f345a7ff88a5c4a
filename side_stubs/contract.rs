// SPDX-License-Identifier: GPL-2.0

//! What ring 3 and ring 0 both know: where things lie in a domain and how a stub crosses.
//!
//! A view is laid out below 2 GiB, so that every relocation of a kernel module fits whatever its
//! kind. All addresses are the same in every domain; nothing in them is secret.

// Also a part of the host crate, where `pub` reaches further.
#![allow(dead_code, unreachable_pub)]

/// The ring-3 library: text, read-only data and data, each on pages of its own.
pub const LIBRARY_BASE: u64 = 0x1000_0000;
/// The import stubs, [`STUB_SIZE`] bytes each, in the order of the import table.
pub const STUB_BASE: u64 = 0x1020_0000;
/// Size of one stub in bytes: `int $0x80; ret` and padding.
pub const STUB_SIZE: u64 = 16;
/// Room for stubs in bytes.
pub const STUB_SPACE: u64 = 0x10_0000;
/// Stub slot whose address is the return address of each upcall.
pub const STUB_RETURN: u64 = STUB_SPACE / STUB_SIZE - 1;
/// Stub slot to which an unlock stub goes when the kernel waits for the end of an atomic region.
pub const STUB_YIELD: u64 = STUB_SPACE / STUB_SIZE - 2;
/// Imported variables that are one for the whole domain.
pub const DATA_BASE: u64 = 0x1040_0000;
/// Room for imported variables in bytes.
pub const DATA_SPACE: u64 = 0x10_0000;
/// The control page, which ring 3 only reads: the addresses of the gates behind the library's local
/// answers, and from [`CONTROL_DEVICES`] on the devices of the table of bus addresses.
pub const CONTROL_BASE: u64 = 0x1060_0000;
/// Offset of the handles of devices on the control page.
pub const CONTROL_DEVICES: u64 = 512;
/// The bus addresses of pages from [`HEAP_BASE`] on that are mapped for DMA as long as they live: 8
/// bytes a page, 0 for none; the number of the device in the low 12 bits. Ring 3 only reads it.
pub const IOVA_TABLE: u64 = 0x1300_0000;
/// The set of those bus addresses, for finding one. Ring 3 only reads it.
pub const IOVA_SET: u64 = 0x1308_0000;
/// Address at which per-CPU variables are linked. CPU n finds its own copy at
/// `VCPU_BASE + n * VCPU_STRIDE`, since ring 3 runs with a GS base of `n * VCPU_STRIDE`.
pub const VCPU_BASE: u64 = 0x1100_0000;
/// Distance between the per-CPU areas of two CPUs in bytes.
pub const VCPU_STRIDE: u64 = 0x1_0000;
/// Bytes of a per-CPU area that are backed by memory.
pub const VCPU_SIZE: u64 = 0x4000;
/// CPUs that fit.
pub const VCPU_MAX: usize = 256;
/// Offset of the virtual `__preempt_count` in a per-CPU area. 64 bits; as the kernel's own, bit 63
/// is inverted `need_resched` (arch/x86/include/asm/preempt.h).
pub const VCPU_PREEMPT_COUNT: u64 = 0;
/// Offset of the virtual interrupt flag (u64): 0 means enabled, 1 disabled.
pub const VCPU_IRQ_DISABLED: u64 = 8;
/// Offset of the flag (u64) with which the kernel asks an unlock stub to cross.
pub const VCPU_PENDING: u64 = 16;
/// Offset of `cpu_number` (u32).
pub const VCPU_CPU_NUMBER: u64 = 24;
/// Offset of `this_cpu_off` (u64): equals the GS base.
pub const VCPU_THIS_CPU_OFF: u64 = 32;
/// Offset of `__ref_stack_chk_guard` (u64): one value for all CPUs of a domain, or migration
/// would trip it.
pub const VCPU_STACK_GUARD: u64 = 40;
/// Offset of the word (u64) that says which local answers the running upcall may use: bits of
/// `rings.rs`, 0 in process context.
pub const VCPU_LOCAL: u64 = 48;
/// Offset of the number (u64) of calls in the ring of deferred calls.
pub const VCPU_RING_COUNT: u64 = 56;
/// Offsets of the numbers (u64) of buffers in the two pools, small and large.
pub const VCPU_POOL_COUNT: [u64; 2] = [64, 72];
/// Offset of the ring of deferred calls.
pub const VCPU_RING: u64 = 0x1000;
/// Offsets of the pools' addresses of buffers.
pub const VCPU_POOL: [u64; 2] = [0x3000, 0x3400];
/// Offset of `softnet_data`, of which drivers read `xmit.more`.
pub const VCPU_SOFTNET_DATA: u64 = 1024;
/// Offset of `numa_node` (i32): a domain sees one node, 0.
pub const VCPU_NUMA_NODE: u64 = 80;
/// Offset of the address (u64) of the NAPI instance whose poll follows the running interrupt handler
/// in the same upcall, or 0.
pub const VCPU_FOLLOWED: u64 = 88;
/// Offset of the first per-CPU variable without a fixed place.
pub const VCPU_FREE: u64 = 2048;
/// The value of an idle `__preempt_count`.
pub const PREEMPT_COUNT_IDLE: u64 = 1 << 63;
/// `SOFTIRQ_OFFSET` of include/linux/preempt.h: one level of running softirq.
pub const SOFTIRQ_OFFSET: u64 = 1 << 8;

/// Stacks, one slot an upcall in progress; below each lies a gap that is never mapped.
pub const STACK_BASE: u64 = 0x1800_0000;
/// Distance between two stacks in bytes.
pub const STACK_STRIDE: u64 = 0x1_0000;
/// Usable bytes of a stack. The packaged e1000e needs 1.5 KiB; other drivers print more.
pub const STACK_SIZE: u64 = 0x4000;
/// Upcalls of one domain that may be in progress at once.
pub const STACK_COUNT: usize = 128;

/// The driver's image.
pub const IMAGE_BASE: u64 = 0x2000_0000;
/// Room for the image in bytes.
pub const IMAGE_SPACE: u64 = 0x0400_0000;
/// Heap: kmalloc, vmalloc, pages, shadows, packet buffers, coherent memory.
pub const HEAP_BASE: u64 = 0x3000_0000;
/// Room for the heap in bytes.
pub const HEAP_SPACE: u64 = 0x1000_0000;
/// Windows of the device's registers.
pub const MMIO_BASE: u64 = 0x6000_0000;
/// Room for register windows in bytes.
pub const MMIO_SPACE: u64 = 0x1000_0000;
/// What the kernel adds to a port number to make an address of it for `ioread8` and its kin, and one
/// past the highest such address (`PIO_OFFSET`, `PIO_RESERVED` of lib/iomap.c). A domain has no memory
/// there.
pub const PIO_OFFSET: u64 = 0x1_0000;
/// See [`PIO_OFFSET`].
pub const PIO_END: u64 = 0x4_0000;
/// The value of `vmemmap_base` in a domain. With `page_offset_base` 0 the driver's inlined
/// `virt_to_page(va)` yields `VMEMMAP_BASE + (va >> 12) * 64`, which a stub inverts.
pub const VMEMMAP_BASE: u64 = 0x7000_0000;
/// Size of the kernel's `struct page` in bytes.
pub const STRUCT_PAGE_SIZE: u64 = 64;
/// One past the highest address of a domain.
pub const DOMAIN_END: u64 = 0x8000_0000;

/// The bounds of the stack on which `rsp` lies: lowest usable address, and one past the highest.
pub const fn stack_of(rsp: u64) -> (u64, u64) {
    let slot = rsp.saturating_sub(STACK_BASE) / STACK_STRIDE;
    let top = STACK_BASE + (slot % STACK_COUNT as u64 + 1) * STACK_STRIDE;
    (top - STACK_SIZE, top)
}

/// The address of import stub `index`.
pub const fn stub_address(index: u64) -> u64 {
    STUB_BASE + index * STUB_SIZE
}

/// The import whose stub crossed, from the address after its `int` instruction. `None` if no stub
/// has its gate there, so a gate anywhere else is no import.
pub const fn stub_index(rip: u64) -> Option<u64> {
    let gate = rip.wrapping_sub(2);
    let offset = gate.wrapping_sub(STUB_BASE);
    if offset < STUB_SPACE && offset % STUB_SIZE == 0 {
        Some(offset / STUB_SIZE)
    } else {
        None
    }
}

/// The domain address of the data that a `struct page *` of the domain stands for.
pub const fn page_to_address(page: u64) -> Option<u64> {
    if page < VMEMMAP_BASE || page >= DOMAIN_END || (page - VMEMMAP_BASE) % STRUCT_PAGE_SIZE != 0 {
        return None;
    }
    let address = ((page - VMEMMAP_BASE) / STRUCT_PAGE_SIZE) << 12;
    if address < DOMAIN_END {
        Some(address)
    } else {
        None
    }
}

/// The `struct page *` by which the driver knows the page that holds `address`.
pub const fn address_to_page(address: u64) -> u64 {
    VMEMMAP_BASE + (address >> 12) * STRUCT_PAGE_SIZE
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rings::{POOL_ENTRIES, RING_ENTRIES, RING_ENTRY_SIZE};

    #[test]
    fn the_words_of_a_cpu_do_not_overlap() {
        let mut words = [
            (VCPU_PREEMPT_COUNT, 8),
            (VCPU_IRQ_DISABLED, 8),
            (VCPU_PENDING, 8),
            (VCPU_CPU_NUMBER, 8),
            (VCPU_THIS_CPU_OFF, 8),
            (VCPU_STACK_GUARD, 8),
            (VCPU_LOCAL, 8),
            (VCPU_RING_COUNT, 8),
            (VCPU_POOL_COUNT[0], 8),
            (VCPU_POOL_COUNT[1], 8),
            (VCPU_NUMA_NODE, 8),
            (VCPU_SOFTNET_DATA, VCPU_FREE - VCPU_SOFTNET_DATA),
            (VCPU_FREE, VCPU_RING - VCPU_FREE),
            (VCPU_RING, RING_ENTRIES * RING_ENTRY_SIZE),
            (VCPU_POOL[0], POOL_ENTRIES * 8),
            (VCPU_POOL[1], POOL_ENTRIES * 8),
        ];
        words.sort_unstable();
        for pair in words.windows(2) {
            assert!(pair[0].0 + pair[0].1 <= pair[1].0, "{pair:?}");
        }
        assert!(words.last().is_some_and(|(at, len)| at + len <= VCPU_SIZE));
    }
}
