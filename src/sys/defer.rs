// SPDX-License-Identifier: GPL-2.0

//! Work that SIDE itself puts off to process context, and the lock under which drivers are loaded
//! and unloaded.

use super::bindings;
use crate::domain::Domain;
use core::sync::atomic::{AtomicPtr, Ordering};
use kernel::prelude::*;
use kernel::sync::Arc;

kernel::sync::global_lock! {
    // SAFETY: `init` initialises it before anything else of the module runs.
    pub(crate) unsafe(uninit) static LOADING: Mutex<()> = ();
}

/// Prepares the lock and the workqueue. Once, at module load.
pub(crate) fn init() -> Result {
    // SAFETY: called once, at module load.
    unsafe { LOADING.init() };
    // SAFETY: called once, at module load.
    kernel::error::to_result(unsafe { bindings::side_later_init() })
}

/// Waits for everything that was put off and takes the workqueue down. At module exit.
pub(crate) fn exit() {
    // SAFETY: process context; nothing is put off any more.
    unsafe { bindings::side_later_exit() };
}

/// Whether the machine is going to sleep, sleeps, or wakes: the kernel's power management calls of one
/// transition must all reach the same driver, so none is loaded afresh meanwhile. Once it says so,
/// and LOADING could be had, no load is in progress.
pub(crate) fn is_asleep() -> bool {
    // SAFETY: reads one word.
    unsafe { bindings::side_is_asleep() }
}

/// A transition begins: waits for the load that is in progress.
///
/// # Safety
///
/// Process context, after [`init`].
#[no_mangle]
unsafe extern "C" fn side_wait_for_loading() {
    drop(LOADING.lock());
}

/// What the workqueue calls: with a word, and a number.
type Function = unsafe extern "C" fn(*mut core::ffi::c_void, usize);

/// Room for one call from the workqueue, for those that must not fail for want of memory.
pub(crate) struct Reserved(AtomicPtr<bindings::side_later>);

impl Reserved {
    /// Makes the room. Sleeping must be allowed.
    pub(crate) fn new() -> Result<Self> {
        Self::take(true).ok_or(ENOMEM)
    }

    fn take(may_sleep: bool) -> Option<Self> {
        // SAFETY: no preconditions but the context.
        let room = unsafe { bindings::side_later_new(may_sleep) };
        (!room.is_null()).then(|| Reserved(AtomicPtr::new(room)))
    }

    /// Has `function` called with `domain`, the first time that this is called. Any context but an NMI.
    pub(crate) fn later(&self, domain: Arc<Domain>, function: fn(Arc<Domain>)) {
        let word = Arc::into_raw(domain).cast_mut().cast();
        // SAFETY: `run` is called once with both words, or this answers false and it never is.
        if !unsafe { self.go(run, word, function as usize) } {
            // SAFETY: from `into_raw` above; nobody kept it.
            drop(unsafe { Arc::from_raw(word.cast::<Domain>()) });
        }
    }

    /// Has `function` called with `word` and `extra`. Returns whether it will be: the first time.
    ///
    /// # Safety
    ///
    /// The two are what `function` wants, and may be used in process context at any time.
    unsafe fn go(&self, function: Function, word: *mut core::ffi::c_void, extra: usize) -> bool {
        let room = self.0.swap(core::ptr::null_mut(), Ordering::AcqRel);
        if room.is_null() {
            return false;
        }
        // SAFETY: the room is given away, and the shim frees it; the rest is the caller's promise.
        unsafe { bindings::side_later_go(room, Some(function), word, extra) };
        true
    }
}

impl Drop for Reserved {
    fn drop(&mut self) {
        // SAFETY: room that was not given away, or NULL.
        unsafe { bindings::side_later_free(*self.0.get_mut()) };
    }
}

/// Has `function` called with `domain` from a workqueue. Any context but an NMI. Returns whether it
/// will be: not if there is no memory. What must not be left out has its room [`Reserved`].
pub(crate) fn later(domain: Arc<Domain>, function: fn(Arc<Domain>)) -> bool {
    let room = Reserved::take(false);
    room.map(|room| room.later(domain, function)).is_some()
}

/// Has `function` called with `word` and 0 from a workqueue. Any context but an NMI. Returns whether it will be.
///
/// # Safety
///
/// `word` is what `function` wants, and may be used in process context at any time.
pub(super) unsafe fn raw(function: Function, word: *mut core::ffi::c_void) -> bool {
    // SAFETY: the caller's promise.
    Reserved::take(false).is_some_and(|room| unsafe { room.go(function, word, 0) })
}

/// Runs `function` in a kernel thread, on a stack that has nothing else on it, and waits for it. Process
/// context.
pub(crate) fn elsewhere(mut function: &mut dyn FnMut()) {
    // SAFETY: the shim calls `run_here` once with this word, before it returns.
    unsafe { bindings::side_elsewhere(Some(run_here), (&raw mut function).cast()) };
}

unsafe extern "C" fn run_here(function: *mut core::ffi::c_void) {
    // SAFETY: the word is that of `elsewhere`, which waits.
    unsafe { (*function.cast::<&mut dyn FnMut()>())() }
}

unsafe extern "C" fn run(domain: *mut core::ffi::c_void, function: usize) {
    // SAFETY: the two words are those that `later` gave.
    let (domain, function) = unsafe {
        (
            Arc::from_raw(domain.cast::<Domain>()),
            core::mem::transmute::<usize, fn(Arc<Domain>)>(function),
        )
    };
    function(domain);
}
