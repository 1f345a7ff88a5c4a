// SPDX-License-Identifier: GPL-2.0

//! The timer that bounds how long a gathered packet waits: one for each transmit queue, in softirq
//! context.

use super::bindings;
use crate::side_stubs::handlers::{gather, net::NetDevice};
use core::cell::UnsafeCell;
use core::sync::atomic::{AtomicPtr, Ordering};
use kernel::prelude::*;
use kernel::sync::Arc;

#[repr(C)]
struct Layout {
    // First, so that the callback finds the rest.
    raw: UnsafeCell<bindings::hrtimer>,
    owner: AtomicPtr<NetDevice>,
    queue: u32,
}

/// A timer of one queue. Dropping it waits for its function.
pub(crate) struct FlushTimer(KBox<Layout>);

// SAFETY: the raw timer is only handed to functions that lock.
unsafe impl Send for FlushTimer {}
// SAFETY: as above.
unsafe impl Sync for FlushTimer {}

impl FlushTimer {
    /// A timer that is not armed, of queue `queue`.
    pub(crate) fn new(queue: u32) -> Result<Self> {
        let layout = Layout {
            raw: UnsafeCell::new(Default::default()),
            owner: AtomicPtr::new(core::ptr::null_mut()),
            queue,
        };
        let layout = KBox::new(layout, GFP_KERNEL)?;
        // SAFETY: zeroed memory that stays where it is.
        unsafe {
            bindings::hrtimer_setup(
                layout.raw.get(),
                Some(side_proxy_flush),
                bindings::CLOCK_MONOTONIC as i32,
                bindings::hrtimer_mode_HRTIMER_MODE_REL_SOFT,
            )
        };
        Ok(FlushTimer(layout))
    }

    /// Names the device that the timer is a part of. Before it is armed.
    pub(crate) fn set_owner(&self, owner: &Arc<NetDevice>) {
        let owner = Arc::as_ptr(owner).cast_mut();
        self.0.owner.store(owner, Ordering::Release);
    }

    /// Arms the timer for `after` ns from now, give or take a quarter. Not in hard interrupts.
    pub(crate) fn arm(&self, after: u64) {
        // SAFETY: an initialised timer.
        unsafe {
            bindings::hrtimer_start_range_ns(
                self.0.raw.get(),
                after as i64,
                after / 4,
                bindings::hrtimer_mode_HRTIMER_MODE_REL_SOFT,
            )
        }
    }

    /// Disarms it and waits for its function. Not from the function, nor under a transmit lock.
    pub(crate) fn cancel(&self) {
        // SAFETY: an initialised timer; the function takes no lock but by trying.
        unsafe { bindings::hrtimer_cancel(self.0.raw.get()) };
    }
}

impl Drop for FlushTimer {
    fn drop(&mut self) {
        self.cancel();
    }
}

#[no_mangle]
unsafe extern "C" fn side_proxy_flush(raw: *mut bindings::hrtimer) -> bindings::hrtimer_restart {
    // SAFETY: the first field of a `Layout`, which stays until `cancel` has seen the end of this
    // function.
    let this = unsafe { &*raw.cast::<Layout>() };
    let owner = this.owner.load(Ordering::Acquire);
    if !owner.is_null() {
        // SAFETY: the owner is dropped only after its timers; a timer is armed only while a packet is
        // kept, which counts as a reference, or by who holds one.
        gather::expired(unsafe { &*owner }, this.queue);
    }
    bindings::hrtimer_restart_HRTIMER_NORESTART
}
