// SPDX-License-Identifier: GPL-2.0

//! Work: the kernel's twin of a work item in the driver's memory. Every twin can be delayed.

use super::lock::BhLock;
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
    state: BhLock<State>,
}

/// What decides whether the work may be queued, and whether anything of it is left to do.
#[derive(Default)]
struct State {
    /// Cancellations in progress and `disable_work`s: nothing is queued meanwhile.
    blocked: u32,
    /// The driver is gone.
    closed: bool,
    /// Times that it was queued and has neither run to its end nor been taken off.
    outstanding: u32,
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
            state: BhLock::new(State::default()),
        };
        let work = Arc::new(work, kernel::alloc::flags::GFP_ATOMIC)?;
        // SAFETY: zeroed memory that stays where it is.
        unsafe { bindings::side_work_init(work.raw.get(), Some(entry!(side_proxy_work))) };
        Ok(work)
    }

    /// Queues it after `delay` jiffies on any CPU. Returns whether it was not queued before.
    pub(crate) fn queue(&self, delay: u64) -> bool {
        let mut state = self.state.lock();
        if state.closed || state.blocked > 0 {
            return false;
        }
        // SAFETY: an initialised work item that `close` will wait for.
        let queued = unsafe { bindings::side_work_queue(self.raw.get(), delay as usize) };
        state.outstanding += u32::from(queued);
        queued
    }

    /// Queues it anew after `delay` jiffies. Returns whether it was queued before.
    pub(crate) fn requeue(&self, delay: u64) -> bool {
        let mut state = self.state.lock();
        if state.closed || state.blocked > 0 {
            return false;
        }
        // SAFETY: as above.
        let before = unsafe { bindings::side_work_requeue(self.raw.get(), delay as usize) };
        state.outstanding += u32::from(!before);
        before
    }

    /// Takes it off the queue without waiting. Returns whether it was on it.
    pub(crate) fn cancel(&self) -> bool {
        let mut state = self.state.lock();
        // SAFETY: an initialised work item.
        let was_queued = unsafe { bindings::side_work_cancel(self.raw.get()) };
        state.outstanding = state.outstanding.saturating_sub(u32::from(was_queued));
        was_queued
    }

    /// Forbids to queue it, or takes one such ban back. Returns whether it can be queued now.
    pub(crate) fn block(&self, on: bool) -> bool {
        let mut state = self.state.lock();
        state.blocked = match on {
            true => state.blocked.saturating_add(1),
            false => state.blocked.saturating_sub(1),
        };
        state.blocked == 0
    }

    /// Forbids to queue it for ever.
    pub(crate) fn refuse(&self) {
        self.state.lock().closed = true;
    }

    /// Forbids to queue it for ever, takes it off the queue and waits for its function. Process
    /// context, not from its function. An item that was queued leaves the table only by this, so
    /// that nothing of it is in the kernel's hands when the last reference goes.
    pub(crate) fn close(&self) {
        self.refuse();
        // SAFETY: an initialised work item; the caller may sleep.
        unsafe { bindings::cancel_delayed_work_sync(self.raw.get()) };
    }

    /// Whether it is queued or its function runs.
    pub(crate) fn is_busy(&self) -> bool {
        self.state.lock().outstanding > 0
    }

    /// Whether the caller is the work's own function.
    pub(crate) fn is_own(&self) -> bool {
        self.running.load(Ordering::Relaxed) == cpu::current_task()
    }
}

#[no_mangle]
unsafe extern "C" fn side_proxy_work(raw: *mut bindings::work_struct) {
    // SAFETY: the first field of the first field of a `Work`, which stays until `close` has seen the
    // end of this function.
    let this = unsafe { &*raw.cast::<Work>() };
    this.running.store(cpu::current_task(), Ordering::Release);
    // One that is cancelled at this very moment counts as taken off.
    let wanted = {
        let state = this.state.lock();
        !state.closed && state.blocked == 0
    };
    if wanted {
        work::run(this);
    }
    this.running.store(0, Ordering::Release);
    let mut state = this.state.lock();
    state.outstanding = state.outstanding.saturating_sub(1);
}
