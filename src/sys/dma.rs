// SPDX-License-Identifier: GPL-2.0

//! The kernel's DMA API for a device of a domain.

use super::access::PAGE;
use super::bindings;
use super::pci::PciRef;
use kernel::prelude::*;

/// Which way data goes; the values are `enum dma_data_direction`'s.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Direction {
    Both = 0,
    ToDevice = 1,
    FromDevice = 2,
}

impl Direction {
    /// The direction that `value` names.
    pub(crate) fn new(value: u32) -> Option<Self> {
        match value {
            0 => Some(Direction::Both),
            1 => Some(Direction::ToDevice),
            2 => Some(Direction::FromDevice),
            _ => None,
        }
    }
}

/// The attributes that a driver may pass on.
const ATTRIBUTES: u64 = (bindings::DMA_ATTR_WEAK_ORDERING
    | bindings::DMA_ATTR_SKIP_CPU_SYNC
    | bindings::DMA_ATTR_NO_WARN) as u64;

/// What mapping answers when it fails: `DMA_MAPPING_ERROR`.
pub(crate) const MAPPING_ERROR: u64 = u64::MAX;

/// Maps `len` bytes of physically contiguous memory of a domain for `device`. The memory must stay
/// until [`unmap`]. Any context but hard interrupts.
pub(crate) fn map(
    device: &PciRef,
    phys: u64,
    len: u64,
    direction: Direction,
    attributes: u64,
) -> Option<u64> {
    // SAFETY: the device is alive; the pages behind `phys` are RAM that the domain owns until it
    // ends, and the ledger unmaps before that.
    let address = unsafe {
        bindings::dma_map_page_attrs(
            device.device(),
            bindings::side_phys_to_page(phys),
            (phys % PAGE) as usize,
            len as usize,
            direction as u32,
            (attributes & ATTRIBUTES) as usize,
        )
    };
    (address != MAPPING_ERROR).then_some(address)
}

/// Undoes a [`map`] with the same device, length and direction.
pub(crate) fn unmap(
    device: &PciRef,
    address: u64,
    len: u64,
    direction: Direction,
    attributes: u64,
) {
    // SAFETY: the ledger holds such a mapping.
    unsafe {
        bindings::dma_unmap_page_attrs(
            device.device(),
            address,
            len as usize,
            direction as u32,
            (attributes & ATTRIBUTES) as usize,
        )
    }
}

/// Hands part of a mapping to the processor.
pub(crate) fn sync_for_cpu(device: &PciRef, address: u64, len: u64, direction: Direction) {
    // SAFETY: the range lies in a mapping of the ledger.
    unsafe {
        bindings::__dma_sync_single_for_cpu(
            device.device(),
            address,
            len as usize,
            direction as u32,
        )
    }
}

/// Hands part of a mapping to the device.
pub(crate) fn sync_for_device(device: &PciRef, address: u64, len: u64, direction: Direction) {
    // SAFETY: as above.
    unsafe {
        bindings::__dma_sync_single_for_device(
            device.device(),
            address,
            len as usize,
            direction as u32,
        )
    }
}

/// Sets the addresses that the device can reach by streaming mappings.
pub(crate) fn set_mask(device: &PciRef, mask: u64) -> i32 {
    // SAFETY: the device is alive.
    unsafe { bindings::dma_set_mask(device.device(), mask) }
}

/// Sets the addresses that the device can reach in coherent memory.
pub(crate) fn set_coherent_mask(device: &PciRef, mask: u64) -> i32 {
    // SAFETY: the device is alive.
    unsafe { bindings::dma_set_coherent_mask(device.device(), mask) }
}

/// The mask with which the device could reach all memory.
pub(crate) fn required_mask(device: &PciRef) -> u64 {
    // SAFETY: the device is alive.
    unsafe { bindings::dma_get_required_mask(device.device()) }
}

/// Memory that a device and the processor share, given back when dropped. Whole pages, so that
/// nothing else lies in what the domain sees.
pub(crate) struct Coherent {
    device: PciRef,
    cpu: *mut kernel::ffi::c_void,
    dma: u64,
    len: u64,
}

// SAFETY: the memory is this value's alone.
unsafe impl Send for Coherent {}
// SAFETY: shared references only tell addresses.
unsafe impl Sync for Coherent {}

impl Coherent {
    /// Allocates at least `len` bytes, zeroed; sleeps only if it may.
    pub(crate) fn new(device: &PciRef, len: u64, may_sleep: bool) -> Result<Self> {
        let len = len.div_ceil(PAGE) * PAGE;
        let mut dma = 0;
        // SAFETY: the device is alive; `dma` is a local.
        let cpu =
            unsafe { bindings::side_dma_alloc(device.device(), len as usize, &mut dma, may_sleep) };
        if cpu.is_null() {
            return Err(ENOMEM);
        }
        Ok(Coherent {
            device: device.clone(),
            cpu,
            dma,
            len,
        })
    }

    /// The address by which the device knows the first byte.
    pub(crate) fn dma(&self) -> u64 {
        self.dma
    }

    /// The size in bytes, a multiple of the page size.
    pub(crate) fn len(&self) -> u64 {
        self.len
    }

    /// The physical address of the byte at `offset`.
    pub(crate) fn phys(&self, offset: u64) -> u64 {
        let offset = core::cmp::min(offset, self.len - 1) as usize;
        // SAFETY: the address lies in the allocation.
        unsafe { bindings::side_coherent_to_phys(self.cpu.cast::<u8>().add(offset).cast()) }
    }
}

impl Drop for Coherent {
    fn drop(&mut self) {
        // SAFETY: allocated by `new` with these values; no view maps it any more.
        unsafe {
            bindings::dma_free_attrs(
                self.device.device(),
                self.len as usize,
                self.cpu,
                self.dma,
                0,
            )
        }
    }
}
