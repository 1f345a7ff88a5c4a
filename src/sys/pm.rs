// SPDX-License-Identifier: GPL-2.0

//! Runtime power management of devices and CPU latency requests.

use super::bindings;
use super::pci::PciRef;
use kernel::prelude::*;

/// A CPU latency request that is in force while this value lives. Process context.
pub(crate) struct Latency(KBox<bindings::pm_qos_request>);

// SAFETY: the request is only handed to functions that lock.
unsafe impl Send for Latency {}
// SAFETY: as above.
unsafe impl Sync for Latency {}

impl Latency {
    /// Adds a request of `value` microseconds, or -1 for none yet.
    pub(crate) fn new(value: i32) -> Result<Self> {
        let mut request = KBox::new(bindings::pm_qos_request::default(), GFP_KERNEL)?;
        // SAFETY: a zeroed request that stays where it is until `drop` removes it.
        unsafe { bindings::cpu_latency_qos_add_request(&mut *request, value) };
        Ok(Latency(request))
    }

    /// Changes the request.
    pub(crate) fn update(&self, value: i32) {
        // SAFETY: the request is on the list; the kernel locks.
        unsafe { bindings::cpu_latency_qos_update_request((&raw const *self.0).cast_mut(), value) };
    }
}

impl Drop for Latency {
    fn drop(&mut self) {
        // SAFETY: the request is on the list.
        unsafe { bindings::cpu_latency_qos_remove_request(&mut *self.0) };
    }
}

/// `RPM_*` flags of linux/pm.h that drivers use: ASYNC, NOWAIT, GET_PUT, AUTO.
pub(crate) const RPM_FLAGS: u32 =
    bindings::RPM_ASYNC | bindings::RPM_NOWAIT | bindings::RPM_GET_PUT | bindings::RPM_AUTO;
/// The flag with which a call changes the usage count first: a resume adds one, the others take one off.
pub(crate) const RPM_GET_PUT: u32 = bindings::RPM_GET_PUT;
/// The flag without which a call may sleep.
pub(crate) const RPM_ASYNC: u32 = bindings::RPM_ASYNC;
/// The flag without which a call waits for a change of state that is under way.
pub(crate) const RPM_NOWAIT: u32 = bindings::RPM_NOWAIT;

/// Which request.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Request {
    Resume,
    Idle,
    Suspend,
}

/// `__pm_runtime_resume` and its siblings. May call the driver's own callbacks before it returns.
pub(crate) fn runtime(device: &PciRef, request: Request, flags: u32) -> i32 {
    let (device, flags) = (device.device(), flags as i32);
    // SAFETY: a live device.
    unsafe {
        match request {
            Request::Resume => bindings::__pm_runtime_resume(device, flags),
            Request::Idle => bindings::__pm_runtime_idle(device, flags),
            Request::Suspend => bindings::__pm_runtime_suspend(device, flags),
        }
    }
}

/// `pm_schedule_suspend`, `delay` in milliseconds.
pub(crate) fn schedule_suspend(device: &PciRef, delay: u32) -> i32 {
    // SAFETY: a live device.
    unsafe { bindings::pm_schedule_suspend(device.device(), delay) }
}
