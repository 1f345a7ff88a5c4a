// SPDX-License-Identifier: GPL-2.0

//! Work: the kernel's twin of a work item in the driver's memory. Every twin can be delayed.

use super::{bindings, cpu, entry};
use crate::domain::Domain;
use crate::side_stubs::handlers::work;
use core::cell::UnsafeCell;
use core::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use kernel::prelude::*;
use kernel::sync::Arc;

/// One work item. It stays where it is: only made inside an [`Arc`], by [`Work::new`].
#[repr(C)]
pub(crate) struct Work {
    // First, so that the callback finds the rest.
    raw: UnsafeCell<bindings::delayed_work>,
    /// The driver whose work it is.
    pub(crate) domain: Arc<Domain>,
    /// Domain address of the driver's own structure, with which its function is called.
    pub(crate) shadow: u64,
    /// The driver's function, as it was when the work was queued last.
    pub(crate) function: AtomicU64,
    /// The task that runs the function now, or 0.
    running: AtomicUsize,
    /// Cancellations in progress: nothing is queued meanwhile, as in the kernel.
    pub(crate) cancelling: AtomicUsize,
}

// SAFETY: the raw work is only handed to functions that lock; the rest is `Sync`.
unsafe impl Send for Work {}
// SAFETY: as above.
unsafe impl Sync for Work {}

impl Work {
    /// A work item that is not queued.
    pub(crate) fn new(domain: &Arc<Domain>, shadow: u64) -> Result<Arc<Work>> {
        let work = Work {
            raw: UnsafeCell::new(Default::default()),
            domain: domain.clone(),
            shadow,
            function: AtomicU64::new(0),
            running: AtomicUsize::new(0),
            cancelling: AtomicUsize::new(0),
        };
        let work = Arc::new(work, kernel::alloc::flags::GFP_ATOMIC)?;
        // SAFETY: zeroed memory that stays where it is.
        unsafe { bindings::side_work_init(work.raw.get(), Some(entry!(side_proxy_work))) };
        Ok(work)
    }

    /// Queues it after `delay` jiffies on any CPU. Returns whether it was not queued before.
    pub(crate) fn queue(&self, delay: u64) -> bool {
        // SAFETY: an initialised work item.
        unsafe { bindings::side_work_queue(self.raw.get(), delay as usize) }
    }

    /// Queues it anew after `delay` jiffies. Returns whether it was queued before.
    pub(crate) fn requeue(&self, delay: u64) -> bool {
        // SAFETY: an initialised work item.
        unsafe { bindings::side_work_requeue(self.raw.get(), delay as usize) }
    }

    /// Takes it off the queue without waiting. Returns whether it was on it.
    pub(crate) fn cancel(&self) -> bool {
        // SAFETY: an initialised work item.
        unsafe { bindings::side_work_cancel(self.raw.get()) }
    }

    /// Whether it is queued.
    pub(crate) fn pending(&self) -> bool {
        // SAFETY: an initialised work item.
        unsafe { bindings::side_work_pending(self.raw.get()) }
    }

    /// Whether its function runs now.
    pub(crate) fn is_running(&self) -> bool {
        self.running.load(Ordering::Acquire) != 0
    }

    /// Whether the caller is the work's own function.
    pub(crate) fn is_own(&self) -> bool {
        self.running.load(Ordering::Relaxed) == cpu::current_task()
    }
}

impl Drop for Work {
    fn drop(&mut self) {
        // SAFETY: an initialised work item; process context, not in its own function.
        unsafe { bindings::cancel_delayed_work_sync(self.raw.get()) };
    }
}

#[no_mangle]
unsafe extern "C" fn side_proxy_work(raw: *mut bindings::work_struct) {
    // SAFETY: the first field of the first field of a `Work`, which `drop` keeps alive until the
    // callback is over.
    let this = unsafe { &*raw.cast::<Work>() };
    this.running.store(cpu::current_task(), Ordering::Release);
    work::run(this);
    this.running.store(0, Ordering::Release);
}
