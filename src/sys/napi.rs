// SPDX-License-Identifier: GPL-2.0

//! The real napi_struct behind one that a driver embeds in its own memory.
//!
//! The kernel polls the twin; the twin knows its [`Napi`] by a pointer that follows the structure.
//! It does not count as a reference: the kernel polls only between `add` and `delete`.

use super::bindings;
use super::entry;
use super::net::RealDevice;
use super::net_layout::NAPI_SCHED;
use super::skb::Packet;
use crate::side_stubs::handlers::napi::Napi;
use core::cell::UnsafeCell;
use kernel::prelude::*;
use kernel::sync::{Arc, ArcBorrow};

#[repr(C)]
struct Layout {
    napi: bindings::napi_struct,
    owner: *const Napi,
}

/// A real NAPI instance. Its memory goes a grace period after [`Twin::delete`].
pub(crate) struct Twin(KBox<UnsafeCell<Layout>>);

// SAFETY: a napi_struct is shared by all CPUs by design.
unsafe impl Send for Twin {}
// SAFETY: as above.
unsafe impl Sync for Twin {}

impl Twin {
    /// Makes an instance that the kernel does not know yet.
    pub(crate) fn new() -> Result<Self> {
        let layout = Layout {
            napi: bindings::napi_struct::default(),
            owner: core::ptr::null(),
        };
        Ok(Twin(KBox::new(UnsafeCell::new(layout), GFP_KERNEL)?))
    }

    pub(super) fn as_ptr(&self) -> *mut bindings::napi_struct {
        self.0.get().cast()
    }

    /// Adds the instance of `owner` to `device`. The device's lock is held.
    pub(crate) fn add(&self, device: &RealDevice, owner: &Arc<Napi>, weight: i32) {
        // SAFETY: nobody else knows the instance yet; the device is live and its lock held.
        unsafe {
            (*self.0.get()).owner = Arc::as_ptr(owner);
            bindings::netif_napi_add_weight_locked(
                device.as_ptr(),
                self.as_ptr(),
                Some(entry!(side_proxy_poll)),
                weight,
            );
        }
    }

    /// Lets the kernel call the proxy directly, or by a slot that traps.
    pub(crate) fn enter_directly(&self, direct: bool) {
        type Poll = unsafe extern "C" fn(*mut bindings::napi_struct, core::ffi::c_int) -> i32;
        let poll: Option<Poll> = match direct {
            true => Some(side_proxy_poll),
            false => Some(entry!(side_proxy_poll)),
        };
        // SAFETY: the kernel reads the pointer once for each poll, and both lead to the proxy.
        unsafe { core::ptr::write_volatile(&raw mut (*self.as_ptr()).poll, poll) }
    }

    /// Takes the instance away from its device. The device's lock is held; a grace period must
    /// pass before the memory goes.
    pub(crate) fn delete(&self) {
        // SAFETY: added before, and disabled.
        unsafe { bindings::__netif_napi_del_locked(self.as_ptr()) }
    }

    /// Tells the stack which interrupt schedules the instance. The device's lock is held.
    pub(crate) fn set_irq(&self, irq: i32) {
        // SAFETY: an added instance whose device's lock is held.
        unsafe { bindings::netif_napi_set_irq_locked(self.as_ptr(), irq) }
    }

    /// Says that the instance serves queue `n` of `device`, which the caller has checked.
    pub(crate) fn serve(&self, device: &RealDevice, n: u32, tx: bool) {
        device.set_queue_napi(n, tx, self.as_ptr());
    }

    /// Lets it be scheduled. It was disabled; the device's lock is held.
    pub(crate) fn enable(&self) {
        // SAFETY: added and disabled, so the kernel's BUG_ON does not strike.
        unsafe { bindings::napi_enable_locked(self.as_ptr()) }
    }

    /// Waits until it is not polled and keeps it from being scheduled. It was enabled; the
    /// device's lock is held.
    pub(crate) fn disable(&self) {
        // SAFETY: added and enabled; process context.
        unsafe { bindings::napi_disable_locked(self.as_ptr()) }
    }

    /// Whether it is scheduled or polled.
    pub(crate) fn is_scheduled(&self) -> bool {
        // SAFETY: a live word.
        let state = unsafe { core::ptr::read_volatile(&raw const (*self.as_ptr()).state) };
        state as u64 & NAPI_SCHED != 0
    }

    /// Claims it for scheduling. Returns whether the caller must go on to [`Twin::schedule`].
    pub(crate) fn prepare(&self) -> bool {
        // SAFETY: an added instance.
        unsafe { bindings::napi_schedule_prep(self.as_ptr()) }
    }

    /// Schedules it after [`Twin::prepare`] said yes.
    pub(crate) fn schedule(&self) {
        // SAFETY: claimed by `prepare`, once.
        unsafe { bindings::__napi_schedule(self.as_ptr()) }
    }

    /// Ends the poll in progress. Only from inside that poll, once.
    pub(crate) fn complete(&self, done: i32) -> bool {
        // SAFETY: the poll owns the instance.
        unsafe { bindings::napi_complete_done(self.as_ptr(), done) }
    }

    /// Allocates a packet with `len` bytes of room, from this CPU's cache. In a poll only.
    pub(crate) fn alloc(&self, len: u32) -> Option<Packet> {
        // SAFETY: bottom halves are off.
        unsafe { Packet::from_raw(bindings::napi_alloc_skb(self.as_ptr(), len)) }
    }

    /// Hands a packet to the stack. In this instance's poll only.
    pub(crate) fn receive(&self, packet: Packet) -> u64 {
        // SAFETY: the poll owns the instance's GRO state; the packet is ours to give.
        unsafe {
            u64::from(bindings::gro_receive_skb(
                &raw mut (*self.as_ptr()).gro,
                packet.into_raw(),
            ))
        }
    }
}

/// The kernel polls the instance.
///
/// # Safety
///
/// Called by the kernel with a live instance that [`Twin::add`] gave it.
#[no_mangle]
unsafe extern "C" fn side_proxy_poll(
    napi: *mut bindings::napi_struct,
    budget: core::ffi::c_int,
) -> core::ffi::c_int {
    // SAFETY: `napi` is the first member of a live `Layout`, whose owner outlives the instance.
    let owner = unsafe { ArcBorrow::from_raw((*napi.cast::<Layout>()).owner) };
    owner.poll(budget)
}
