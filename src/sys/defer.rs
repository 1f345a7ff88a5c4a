// SPDX-License-Identifier: GPL-2.0

//! Work that SIDE itself puts off to process context, and the lock under which drivers are loaded
//! and unloaded.

use super::bindings;
use crate::domain::Domain;
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

/// Has `function` called with `domain` from a workqueue. Any context but an NMI. Returns whether it
/// will be: not if there is no memory, and then unloading the driver does its work.
pub(crate) fn later(domain: Arc<Domain>, function: fn(Arc<Domain>)) -> bool {
    let domain = Arc::into_raw(domain).cast_mut().cast();
    // SAFETY: the shim calls `run` once with both words, or returns false and never does.
    let queued = unsafe { bindings::side_later(Some(run), domain, function as usize) };
    if !queued {
        // SAFETY: from `into_raw` above; the shim did not keep it.
        drop(unsafe { Arc::from_raw(domain.cast::<Domain>()) });
    }
    queued
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
