// SPDX-License-Identifier: GPL-2.0

//! Timers: the kernel's twin of a timer in the driver's memory.

use super::{bindings, cpu, entry};
use crate::domain::Domain;
use crate::side_stubs::handlers::timer;
use core::cell::UnsafeCell;
use core::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use kernel::prelude::*;
use kernel::sync::Arc;

/// One timer. It stays where it is: only made inside an [`Arc`], by [`Timer::new`].
#[repr(C)]
pub(crate) struct Timer {
    // First, so that the callback finds the rest.
    raw: UnsafeCell<bindings::timer_list>,
    /// The driver whose timer it is.
    pub(crate) domain: Arc<Domain>,
    /// Domain address of the driver's own structure, with which its function is called.
    pub(crate) shadow: u64,
    /// The driver's function.
    pub(crate) function: AtomicU64,
    /// The task in whose context the function runs now, or 0.
    running: AtomicUsize,
}

// SAFETY: the raw timer is only handed to functions that lock; the rest is `Sync`.
unsafe impl Send for Timer {}
// SAFETY: as above.
unsafe impl Sync for Timer {}

impl Timer {
    /// A timer that is not armed.
    pub(crate) fn new(domain: &Arc<Domain>, shadow: u64, function: u64) -> Result<Arc<Timer>> {
        let timer = Timer {
            raw: UnsafeCell::new(Default::default()),
            domain: domain.clone(),
            shadow,
            function: AtomicU64::new(function),
            running: AtomicUsize::new(0),
        };
        let timer = Arc::new(timer, kernel::alloc::flags::GFP_ATOMIC)?;
        // SAFETY: zeroed memory that stays where it is.
        unsafe {
            bindings::timer_init_key(
                timer.raw.get(),
                Some(entry!(side_proxy_timer)),
                0,
                core::ptr::null(),
                core::ptr::null_mut(),
            )
        };
        Ok(timer)
    }

    /// Arms the timer for `expires` in jiffies. Returns whether it was armed.
    pub(crate) fn modify(&self, expires: u64) -> bool {
        // SAFETY: an initialised timer.
        unsafe { bindings::mod_timer(self.raw.get(), expires as usize) != 0 }
    }

    /// Whether it is armed.
    pub(crate) fn pending(&self) -> bool {
        // SAFETY: an initialised timer.
        unsafe { bindings::side_timer_pending(self.raw.get()) }
    }

    /// Disarms it without waiting. Returns whether it was armed.
    pub(crate) fn delete(&self) -> bool {
        // SAFETY: an initialised timer.
        unsafe { bindings::timer_delete(self.raw.get()) != 0 }
    }

    /// Disarms it unless its function runs on another CPU: then `None`. Returns whether it was armed.
    pub(crate) fn try_delete(&self) -> Option<bool> {
        // SAFETY: an initialised timer.
        match unsafe { bindings::timer_delete_sync_try(self.raw.get()) } {
            ..0 => None,
            armed => Some(armed != 0),
        }
    }

    /// Disarms it for ever, without waiting. Returns whether it was armed.
    pub(crate) fn shut(&self) -> bool {
        // SAFETY: an initialised timer.
        unsafe { bindings::timer_shutdown(self.raw.get()) != 0 }
    }

    /// Disarms it for ever and waits for its function. Not from the function. Returns whether it was
    /// armed. A timer that was armed leaves the table only by this, or after it or [`Timer::shut`] and a
    /// [`Timer::try_delete`] that did, so that nothing of it is in the kernel's hands when the last
    /// reference goes.
    pub(crate) fn close(&self) -> bool {
        // SAFETY: an initialised timer.
        unsafe { bindings::timer_shutdown_sync(self.raw.get()) != 0 }
    }

    /// Whether its function runs now.
    pub(crate) fn is_running(&self) -> bool {
        self.running.load(Ordering::Acquire) != 0
    }

    /// Whether the caller is the timer's own function.
    pub(crate) fn is_own(&self) -> bool {
        self.running.load(Ordering::Relaxed) == cpu::current_task()
    }
}

#[no_mangle]
unsafe extern "C" fn side_proxy_timer(raw: *mut bindings::timer_list) {
    // SAFETY: the first field of a `Timer`, which stays until `close` has seen the end of
    // this function.
    let this = unsafe { &*raw.cast::<Timer>() };
    this.running.store(cpu::current_task(), Ordering::Release);
    timer::expired(this);
    this.running.store(0, Ordering::Release);
}
