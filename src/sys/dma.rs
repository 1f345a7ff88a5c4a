// SPDX-License-Identifier: GPL-2.0

//! How a device of a domain reaches memory.
//!
//! Where the machine's IOMMU can hold the device, by a page table of the domain's own (`iommu.rs`):
//! the device reaches exactly what is mapped here. Elsewhere by the kernel's DMA API, which does not
//! contain it. Callers do not see the difference.

use super::access::{Pages, PAGE};
use super::bindings;
use super::iommu::{Iommu, Uncontained};
use super::pci::PciRef;
use kernel::prelude::*;
use kernel::sync::Arc;

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

enum Way {
    /// The kernel's DMA API. Not contained.
    Kernel(Uncontained),
    Own(Iommu),
}

/// The memory that one device of a domain reaches.
pub(crate) struct DmaSpace {
    device: PciRef,
    way: Way,
}

/// The whole pages that hold `[phys, phys + len)`: first byte and length.
fn whole_pages(phys: u64, len: u64) -> (u64, u64) {
    let start = phys / PAGE * PAGE;
    (start, (phys + len).div_ceil(PAGE) * PAGE - start)
}

impl DmaSpace {
    /// The space of `device`, empty. Process context, from the probe of a driver that manages DMA
    /// itself; there is at most one unreleased space of a device.
    pub(crate) fn new(device: &PciRef) -> Self {
        let way = match Iommu::new(device) {
            Ok(iommu) => Way::Own(iommu),
            Err(why) => Way::Kernel(why),
        };
        DmaSpace {
            device: device.clone(),
            way,
        }
    }

    /// Whether the kernel has to copy or flush when a mapping changes hands.
    pub(crate) fn needs_sync(&self) -> bool {
        match self.way {
            // SAFETY: the device is alive.
            Way::Kernel(_) => unsafe { bindings::side_dma_needs_sync(self.device.device()) },
            Way::Own(_) => false,
        }
    }

    /// Whether the device may be said to reach the addresses below `mask` only. The kernel's bounce
    /// buffers lie anywhere below 4 GiB, and it warns of one that a device does not reach. A mask of
    /// next to nothing would stay for the device's next driver.
    pub(crate) fn accepts_mask(&self, mask: u64) -> bool {
        match self.way {
            Way::Kernel(_) => mask >= u64::from(u32::MAX),
            Way::Own(_) => mask >= (1 << 24) - 1,
        }
    }

    /// The device whose space this is.
    pub(crate) fn device(&self) -> &PciRef {
        &self.device
    }

    /// What the log says of the device, and whether that is as it should be.
    pub(crate) fn containment(&self) -> (bool, &'static str) {
        match &self.way {
            Way::Own(iommu) if iommu.isolates_interrupts() => {
                (true, "DMA reaches the domain's buffers only")
            }
            Way::Own(_) => (
                false,
                "DMA reaches the domain's buffers only, but can forge interrupts: \
                 the IOMMU does not remap them",
            ),
            Way::Kernel(why) => (false, why.reason()),
        }
    }

    /// Whether memory that the device knew can be used for something else as soon as the space is
    /// blocked, and the device be given away: whatever it does, it reaches nothing by old addresses.
    pub(crate) fn forgets(&self) -> bool {
        matches!(&self.way, Way::Own(iommu) if !iommu.must_stay_blocked())
    }

    /// Lets the device reach nothing at all from now on, as far as that is possible. Process
    /// context; what is mapped must still be unmapped.
    pub(crate) fn block(&self) {
        if let Way::Own(iommu) = &self.way {
            iommu.block();
        }
    }

    /// Gives the device back to the kernel. Idempotent; process context.
    pub(crate) fn release(&self) {
        if let Way::Own(iommu) = &self.way {
            iommu.release();
        }
    }

    /// Lets the device reach `len` bytes of physically contiguous memory at `phys`, which must
    /// stay until [`DmaSpace::unmap`] and lie in pages that are the domain's alone. Returns the
    /// address for the device. Any context but hard interrupts.
    pub(crate) fn map(
        &self,
        phys: u64,
        len: u64,
        direction: Direction,
        attributes: u64,
    ) -> Option<u64> {
        match &self.way {
            Way::Kernel(_) => {
                // SAFETY: the device is alive; the pages behind `phys` are RAM that the domain owns
                // until it ends, and the ledger unmaps before that.
                let address = unsafe {
                    bindings::dma_map_page_attrs(
                        self.device.device(),
                        bindings::side_phys_to_page(phys),
                        (phys % PAGE) as usize,
                        len as usize,
                        direction as u32,
                        (attributes & ATTRIBUTES) as usize,
                    )
                };
                (address != MAPPING_ERROR).then_some(address)
            }
            Way::Own(iommu) => {
                let (start, bytes) = whole_pages(phys, len);
                let address = iommu.take(bytes / PAGE, 1, self.device.dma_mask())?;
                let read = direction != Direction::FromDevice;
                let write = direction != Direction::ToDevice;
                match iommu.map(address, start, bytes, read, write) {
                    Ok(()) => Some(address + (phys - start)),
                    Err(_) => {
                        iommu.give(address, bytes / PAGE);
                        None
                    }
                }
            }
        }
    }

    /// Undoes a [`DmaSpace::map`] with the same length and direction. Where the device is
    /// contained, it reaches the memory no more when this returns.
    pub(crate) fn unmap(&self, address: u64, len: u64, direction: Direction, attributes: u64) {
        match &self.way {
            Way::Kernel(_) => {
                // SAFETY: the ledger holds such a mapping.
                unsafe {
                    bindings::dma_unmap_page_attrs(
                        self.device.device(),
                        address,
                        len as usize,
                        direction as u32,
                        (attributes & ATTRIBUTES) as usize,
                    )
                }
            }
            Way::Own(iommu) => {
                let (start, bytes) = whole_pages(address, len);
                iommu.unmap(start, bytes);
                iommu.give(start, bytes / PAGE);
            }
        }
    }

    /// Hands part of a mapping to the processor. Nothing to do in a space of its own: the IOMMU
    /// keeps the caches coherent and no byte is copied.
    pub(crate) fn sync_for_cpu(&self, address: u64, len: u64, direction: Direction) {
        if let Way::Kernel(_) = self.way {
            // SAFETY: the range lies in a mapping of the ledger.
            unsafe {
                bindings::__dma_sync_single_for_cpu(
                    self.device.device(),
                    address,
                    len as usize,
                    direction as u32,
                )
            }
        }
    }

    /// Hands part of a mapping to the device.
    pub(crate) fn sync_for_device(&self, address: u64, len: u64, direction: Direction) {
        if let Way::Kernel(_) = self.way {
            // SAFETY: as above.
            unsafe {
                bindings::__dma_sync_single_for_device(
                    self.device.device(),
                    address,
                    len as usize,
                    direction as u32,
                )
            }
        }
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

/// Where coherent memory is from.
enum Backing {
    /// The kernel's DMA API: its address for the processor.
    Kernel(*mut kernel::ffi::c_void),
    /// Pages, a page each.
    Own(KVVec<Pages>),
}

/// Memory that a device and the processor share, given back when dropped. Whole pages, so that
/// nothing else lies in what the domain sees.
pub(crate) struct Coherent {
    space: Arc<DmaSpace>,
    backing: Backing,
    dma: u64,
    len: u64,
}

// SAFETY: the memory is this value's alone.
unsafe impl Send for Coherent {}
// SAFETY: shared references only tell addresses.
unsafe impl Sync for Coherent {}

impl Coherent {
    /// Allocates at least `len` bytes, zeroed, for the device of `space`; sleeps only if it may.
    pub(crate) fn new(space: &Arc<DmaSpace>, len: u64, may_sleep: bool) -> Result<Self> {
        let len = len.div_ceil(PAGE) * PAGE;
        let (backing, dma) = match &space.way {
            Way::Kernel(_) => {
                let mut dma = 0;
                let device = space.device.device();
                // SAFETY: the device is alive; `dma` is a local.
                let cpu =
                    unsafe { bindings::side_dma_alloc(device, len as usize, &mut dma, may_sleep) };
                if cpu.is_null() {
                    return Err(ENOMEM);
                }
                (Backing::Kernel(cpu), dma)
            }
            Way::Own(iommu) => {
                let (pages, dma) = own_pages(iommu, &space.device, len, may_sleep)?;
                (Backing::Own(pages), dma)
            }
        };
        Ok(Coherent {
            space: space.clone(),
            backing,
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
        let offset = core::cmp::min(offset, self.len - 1);
        match &self.backing {
            Backing::Kernel(cpu) => {
                // SAFETY: the address lies in the allocation.
                unsafe {
                    bindings::side_coherent_to_phys(cpu.cast::<u8>().add(offset as usize).cast())
                }
            }
            Backing::Own(pages) => pages[(offset / PAGE) as usize].phys() + offset % PAGE,
        }
    }
}

/// Pages for `len` bytes, mapped in a row. The row's start is aligned as the DMA API promises, to
/// the power of two that holds the length.
fn own_pages(
    iommu: &Iommu,
    device: &PciRef,
    len: u64,
    may_sleep: bool,
) -> Result<(KVVec<Pages>, u64)> {
    let count = len / PAGE;
    let mut pages = KVVec::new();
    match may_sleep {
        true => pages.reserve(count as usize, GFP_KERNEL)?,
        false => pages.reserve(count as usize, kernel::alloc::flags::GFP_ATOMIC)?,
    }
    for _ in 0..count {
        // Room was reserved.
        pages.push(Pages::new(0)?, kernel::alloc::flags::GFP_ATOMIC)?;
    }
    let mask = device.coherent_mask();
    let dma = iommu
        .take(count, count.next_power_of_two(), mask)
        .ok_or(ENOMEM)?;
    for (n, page) in pages.iter().enumerate() {
        let at = dma + n as u64 * PAGE;
        if let Err(error) = iommu.map(at, page.phys(), PAGE, true, true) {
            if n > 0 {
                iommu.unmap(dma, n as u64 * PAGE);
            }
            iommu.give(dma, count);
            return Err(error);
        }
    }
    Ok((pages, dma))
}

impl Drop for Coherent {
    fn drop(&mut self) {
        match (&self.backing, &self.space.way) {
            (Backing::Kernel(cpu), _) => {
                // SAFETY: allocated by `new` with these values; no view maps it any more.
                unsafe {
                    bindings::dma_free_attrs(
                        self.space.device.device(),
                        self.len as usize,
                        *cpu,
                        self.dma,
                        0,
                    )
                }
            }
            // The pages are given back after this, when the device has lost them.
            (Backing::Own(_), Way::Own(iommu)) => {
                iommu.unmap(self.dma, self.len);
                iommu.give(self.dma, self.len / PAGE);
            }
            (Backing::Own(_), Way::Kernel(_)) => {}
        }
    }
}
