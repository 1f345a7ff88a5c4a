// SPDX-License-Identifier: GPL-2.0

//! Interrupts of a domain's devices: SIDE's own hard handler, which only masks and marks, and the
//! tasklet that makes the upcall.

use super::bindings;
use super::entry;
use crate::side_stubs::handlers::irq::{self, Answer, Irq};
use core::cell::UnsafeCell;
use core::mem::offset_of;
use kernel::prelude::*;
use kernel::sync::{Arc, ArcBorrow};

/// A tasklet of high priority, embedded in an [`Irq`].
pub(crate) struct Tasklet(UnsafeCell<bindings::tasklet_struct>);

// SAFETY: the kernel's tasklet functions serialise.
unsafe impl Send for Tasklet {}
// SAFETY: as above.
unsafe impl Sync for Tasklet {}

impl Tasklet {
    /// One that is not set up yet.
    pub(crate) fn new() -> Self {
        // SAFETY: zero is a value of the structure; `request` sets it up in place.
        Tasklet(UnsafeCell::new(unsafe { core::mem::zeroed() }))
    }
}

type Callback = unsafe extern "C" fn(*mut bindings::tasklet_struct);

/// The function by which the kernel is to run the tasklet: the proxy, or a slot that traps.
fn callback(direct: bool) -> Option<Callback> {
    match direct {
        true => Some(side_proxy_irq_tasklet),
        false => Some(entry!(side_proxy_irq_tasklet)),
    }
}

/// Lets the kernel call the tasklet's proxy directly, or by a slot that traps. `irq` was requested.
pub(crate) fn enter_directly(irq: &Irq, direct: bool) {
    let raw = irq.tasklet.0.get();
    // SAFETY: a tasklet that is set up; the kernel reads the pointer once for each run, and both lead
    // to the proxy.
    unsafe {
        let place = &raw mut (*raw).__bindgen_anon_1.callback;
        core::ptr::write_volatile(place, callback(direct));
    }
}

/// Requests the interrupt; its tasklet's proxy is called directly or by a slot that traps. The handler
/// may run before this returns. The kernel holds a reference to `irq` until [`free`].
pub(crate) fn request(irq: &Arc<Irq>, flags: u32, thread: bool, direct: bool) -> Result {
    let pointer = Arc::into_raw(irq.clone());
    // SAFETY: `irq` does not move, and was not set up before.
    unsafe {
        bindings::tasklet_setup(irq.tasklet.0.get(), callback(direct));
    }
    let thread_fn: bindings::irq_handler_t = if thread {
        Some(entry!(side_proxy_irq_thread))
    } else {
        None
    };
    // SAFETY: the name ends with a NUL and lies in `irq`, which the reference keeps alive until the
    // interrupt is freed.
    let code = unsafe {
        bindings::request_threaded_irq(
            irq.number,
            // SIDE's own handler, which never enters the driver: there is nothing to trap.
            Some(side_proxy_irq),
            thread_fn,
            flags as usize,
            irq.name.as_ptr().cast(),
            pointer.cast_mut().cast(),
        )
    };
    if code != 0 {
        // SAFETY: the kernel did not take the reference.
        drop(unsafe { Arc::from_raw(pointer) });
        return Err(Error::from_errno(code));
    }
    Ok(())
}

/// Frees an interrupt that was requested, once: waits for its handler, its thread and its tasklet.
/// Process context.
pub(crate) fn free(irq: &Arc<Irq>) {
    let pointer = Arc::as_ptr(irq);
    // SAFETY: requested with this pointer.
    unsafe {
        bindings::free_irq(irq.number, pointer.cast_mut().cast());
        bindings::tasklet_kill(irq.tasklet.0.get());
    }
    // SAFETY: the reference that `request` gave to the kernel; nothing uses it any more.
    drop(unsafe { Arc::from_raw(pointer) });
}

/// Has the tasklet run soon. Any context.
pub(crate) fn schedule(irq: &Irq) {
    // SAFETY: set up by `request`; the caller holds a reference.
    unsafe { bindings::side_tasklet_hi_schedule(irq.tasklet.0.get()) }
}

/// Wakes the interrupt's thread.
pub(crate) fn wake_thread(irq: &Irq) {
    // SAFETY: the interrupt is requested with this pointer while its tasklet runs.
    unsafe {
        bindings::irq_wake_thread(irq.number, core::ptr::from_ref(irq).cast_mut().cast());
    }
}

/// Undoes one disable of interrupt `number`.
pub(crate) fn enable(number: u32) {
    // SAFETY: the callers count their disables.
    unsafe { bindings::enable_irq(number) }
}

/// Disables interrupt `number` without waiting; nests. Any context.
pub(crate) fn disable_nosync(number: u32) {
    // SAFETY: allowed for any number.
    unsafe { bindings::disable_irq_nosync(number) }
}

/// Disables interrupt `number` and waits for its hard handlers. Any context but such a handler.
/// Returns whether no thread of it is active.
pub(crate) fn disable_hard(number: u32) -> bool {
    // SAFETY: as above.
    unsafe { bindings::disable_hardirq(number) }
}

/// Waits for the hard handlers of interrupt `number`, which are short. Returns whether then nothing of it is
/// left: none on its way to a CPU, as far as the chip can tell, and no thread active or woken. Process context.
pub(crate) fn is_idle(number: u32) -> bool {
    let mut on_its_way = false;
    // SAFETY: allowed for any number; a chip that cannot tell leaves the answer as it is.
    unsafe {
        bindings::irq_get_irqchip_state(
            number,
            bindings::irqchip_irq_state_IRQCHIP_STATE_ACTIVE,
            &mut on_its_way,
        );
        bindings::synchronize_hardirq(number) && !on_its_way
    }
}

/// Lets the CPU breathe in a loop that waits.
pub(crate) fn relax() {
    // SAFETY: an instruction.
    unsafe { bindings::side_cpu_relax() }
}

/// The hard handler.
///
/// # Safety
///
/// Only the kernel calls this, as it was registered.
#[no_mangle]
unsafe extern "C" fn side_proxy_irq(
    _number: i32,
    irq: *mut kernel::ffi::c_void,
) -> bindings::irqreturn_t {
    // SAFETY: the pointer that `request` registered, referenced until `free`.
    match irq::hard(unsafe { &*irq.cast::<Irq>() }) {
        Answer::None => bindings::irqreturn_IRQ_NONE,
        Answer::Handled => bindings::irqreturn_IRQ_HANDLED,
        Answer::Thread => bindings::irqreturn_IRQ_WAKE_THREAD,
    }
}

/// The interrupt's thread.
///
/// # Safety
///
/// Only the kernel calls this, as it was registered.
#[no_mangle]
unsafe extern "C" fn side_proxy_irq_thread(
    _number: i32,
    irq: *mut kernel::ffi::c_void,
) -> bindings::irqreturn_t {
    // SAFETY: as above.
    irq::thread(unsafe { &*irq.cast::<Irq>() });
    bindings::irqreturn_IRQ_HANDLED
}

/// The bottom half.
///
/// # Safety
///
/// Only the kernel calls this, as it was registered.
#[no_mangle]
unsafe extern "C" fn side_proxy_irq_tasklet(tasklet: *mut bindings::tasklet_struct) {
    // SAFETY: the tasklet is embedded in an `Irq`, which `free` keeps alive until the tasklet is
    // dead.
    let irq = unsafe { ArcBorrow::from_raw(tasklet.byte_sub(offset_of!(Irq, tasklet)).cast()) };
    irq::bottom_half(irq);
}

/// The number of the process that runs here, never 0 in process context.
pub(crate) fn process() -> i32 {
    kernel::current!().pid()
}
