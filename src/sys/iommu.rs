// SPDX-License-Identifier: GPL-2.0

//! An IOMMU page table of a domain's own for one of its devices.
//!
//! The kernel's default DMA domain is not used: it flushes lazily, and it may be shared with other
//! devices. A device here is alone in its group, reaches nothing from the claim on, then exactly
//! what is mapped, and nothing again once it is blocked. Each unmap waits for the IOMMU to have
//! forgotten the pages. Where interrupts are remapped, the window of the interrupt messages is not
//! translated by the page table, so interrupts need no mapping.

use super::access::PAGE;
use super::bindings;
use super::lock::BhLock;
use super::pci::PciRef;
use crate::side_stubs::iova;
use core::sync::atomic::{AtomicBool, Ordering};
use kernel::prelude::*;

/// One past the highest address that a device uses: every device can name this much but those that
/// say otherwise by their mask.
const WINDOW: u64 = 1 << 30;
/// The lowest addresses stay free: drivers take 0 for no address, and old ones for port numbers.
const LOWEST: u64 = 1 << 16;

/// Why the DMA of a device cannot be contained.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Uncontained {
    NoIommu,
    /// The device translates by itself, and the IOMMU believes it.
    Ats,
    /// Another owner, other devices in the group, or no page table of the right kind.
    Refused,
    /// Out of memory.
    Memory,
}

impl Uncontained {
    /// For the log.
    pub(crate) fn reason(self) -> &'static str {
        match self {
            Uncontained::NoIommu => "no IOMMU: DMA is not contained",
            Uncontained::Ats => {
                "the device translates addresses itself (ATS): DMA is not contained"
            }
            Uncontained::Refused => {
                "the IOMMU cannot hold the device by itself: DMA is not contained"
            }
            Uncontained::Memory => "out of memory: DMA is not contained",
        }
    }
}

struct Addresses {
    /// A bit for each page of the window.
    map: KVVec<u64>,
    next: usize,
}

/// A page table, and the device that it was made for.
pub(crate) struct Iommu {
    device: PciRef,
    domain: *mut bindings::iommu_domain,
    addresses: BhLock<Addresses>,
    attached: AtomicBool,
    claimed: AtomicBool,
    /// Interrupt messages of the device are checked against those that it may raise.
    isolated_interrupts: bool,
    /// Without an owner, device addresses are physical ones.
    default_is_identity: bool,
}

// SAFETY: the kernel's functions on an IOMMU domain serialise themselves.
unsafe impl Send for Iommu {}
// SAFETY: as above.
unsafe impl Sync for Iommu {}

/// Marks reserved addresses in the map of an [`Addresses`].
///
/// # Safety
///
/// `context` is the `&mut Addresses` that was passed with this function.
unsafe extern "C" fn reserve(context: *mut kernel::ffi::c_void, first: u64, last: u64) {
    // SAFETY: as the function demands.
    let addresses = unsafe { &mut *context.cast::<Addresses>() };
    if first < WINDOW {
        let (first, last) = (first / PAGE, core::cmp::min(last, WINDOW - 1) / PAGE);
        iova::reserve(
            &mut addresses.map,
            first as usize,
            (last - first + 1) as usize,
        );
    }
}

impl Iommu {
    /// Takes `device` into a page table of its own, which is empty. Process context, from the
    /// probe of a driver that manages DMA itself.
    pub(crate) fn new(device: &PciRef) -> Result<Self, Uncontained> {
        if !device.has_iommu() {
            return Err(Uncontained::NoIommu);
        }
        if device.has_ats() {
            return Err(Uncontained::Ats);
        }
        let mut addresses = Addresses {
            map: KVVec::new(),
            next: (LOWEST / PAGE) as usize,
        };
        addresses
            .map
            .resize((WINDOW / PAGE / 64) as usize, 0, GFP_KERNEL)
            .map_err(|_| Uncontained::Memory)?;
        iova::reserve(&mut addresses.map, 0, (LOWEST / PAGE) as usize);
        // SAFETY: the device is alive, and `reserve` gets what it demands.
        let (isolated_interrupts, default_is_identity, code) = unsafe {
            bindings::side_iommu_reserved(
                device.device(),
                Some(reserve),
                (&raw mut addresses).cast(),
            );
            (
                bindings::side_iommu_isolated_msi(device.device()),
                bindings::side_iommu_default_is_identity(device.device()),
                bindings::side_iommu_claim(device.device()),
            )
        };
        if code != 0 {
            return Err(Uncontained::Refused);
        }
        // SAFETY: the device is alive.
        let domain = unsafe { bindings::side_iommu_alloc(device.device()) };
        // From here on the drop undoes what was done.
        let iommu = Iommu {
            device: device.clone(),
            domain,
            addresses: BhLock::new(addresses),
            attached: AtomicBool::new(false),
            claimed: AtomicBool::new(true),
            isolated_interrupts,
            default_is_identity,
        };
        if domain.is_null() {
            return Err(Uncontained::Refused);
        }
        // SAFETY: the domain is live; the device is alive.
        let fits = unsafe {
            bindings::side_iommu_has_page(domain, PAGE as usize)
                && bindings::side_iommu_first(domain) <= LOWEST
                && bindings::side_iommu_last(domain) >= WINDOW - 1
                && bindings::side_iommu_attach(domain, device.device()) == 0
        };
        if !fits {
            return Err(Uncontained::Refused);
        }
        iommu.attached.store(true, Ordering::Release);
        Ok(iommu)
    }

    /// Whether DMA writes of the device can raise no other interrupt than its own.
    pub(crate) fn isolates_interrupts(&self) -> bool {
        self.isolated_interrupts
    }

    /// Whether the device must stay blocked until it is known to be reset: without an owner it
    /// would reach memory by the numbers that it was given here.
    pub(crate) fn must_stay_blocked(&self) -> bool {
        self.default_is_identity
    }

    /// Takes `pages` addresses in a row below `mask`; see [`iova::take`].
    pub(crate) fn take(&self, pages: u64, align: u64, mask: u64) -> Option<u64> {
        let limit = core::cmp::min(mask, WINDOW - 1) / PAGE + 1;
        let mut addresses = self.addresses.lock();
        let Addresses { map, next } = &mut *addresses;
        let (pages, align) = (pages as usize, align as usize);
        let first = iova::take(map, next, pages, align, limit as usize)?;
        Some(first as u64 * PAGE)
    }

    /// Gives addresses back of which nothing is mapped any more.
    pub(crate) fn give(&self, address: u64, pages: u64) {
        let mut addresses = self.addresses.lock();
        iova::give(
            &mut addresses.map,
            (address / PAGE) as usize,
            pages as usize,
        );
    }

    /// Lets the device reach `[phys, phys + len)`, whole pages that the caller owns until
    /// [`Iommu::unmap`]. Any context but hard interrupts.
    pub(crate) fn map(&self, address: u64, phys: u64, len: u64, read: bool, write: bool) -> Result {
        // SAFETY: the domain is live; the range was taken, so nothing is mapped there.
        let code = unsafe {
            bindings::side_iommu_map(self.domain, address, phys, len as usize, read, write)
        };
        match code {
            0 => Ok(()),
            code => Err(Error::from_errno(code)),
        }
    }

    /// Undoes a [`Iommu::map`]; when this returns, the device reaches the memory no more.
    pub(crate) fn unmap(&self, address: u64, len: u64) {
        // SAFETY: the domain is live; unmapping what is mapped in part is defined.
        unsafe { bindings::side_iommu_unmap(self.domain, address, len as usize) };
    }

    /// From now on the device reaches nothing, until it has another owner. Process context.
    pub(crate) fn block(&self) {
        if self.attached.swap(false, Ordering::AcqRel) {
            // SAFETY: attached by `new`, once; the device's structure is alive.
            unsafe { bindings::side_iommu_detach(self.domain, self.device.device()) };
        }
    }

    /// Gives the device back to the kernel's own DMA domain. Process context.
    pub(crate) fn release(&self) {
        self.block();
        if self.claimed.swap(false, Ordering::AcqRel) {
            // SAFETY: claimed by `new`, once.
            unsafe { bindings::side_iommu_release(self.device.device()) };
        }
    }
}

impl Drop for Iommu {
    fn drop(&mut self) {
        self.release();
        if !self.domain.is_null() {
            // SAFETY: made by `new`, and attached to nothing any more.
            unsafe { bindings::side_iommu_free(self.domain) };
        }
    }
}
