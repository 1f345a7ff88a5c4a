// SPDX-License-Identifier: GPL-2.0

//! Runtime power management and CPU latency requests.

use super::pci::PciDevice;
use crate::call::{int, Call, Outcome, Violation};
use crate::domain::Domain;
use crate::objects::Table;
use crate::sys::pm::{self, Latency, Request};
use kernel::prelude::*;
use kernel::sync::Arc;

/// CPU latency requests that one driver may have.
const LATENCY_REQUESTS_MAX: usize = 64;

/// The CPU latency requests of a domain, by the address of the driver's own structure.
pub(crate) struct State {
    requests: Table<Latency>,
}

impl State {
    pub(crate) fn new() -> Self {
        State {
            requests: Table::new(),
        }
    }

    /// Withdraws all requests. Idempotent. Process context.
    pub(crate) fn release(&self, _domain: &Arc<Domain>) {
        while self.requests.pop().is_some() {}
    }
}

/// The microseconds in argument 1, or -1 for none. The kernel passes over any other negative value in
/// silence, and warns when a request that it passed over is taken back.
fn microseconds(call: &Call<'_>) -> Result<i32, Violation> {
    match call.int(1) {
        value @ -1.. => Ok(value),
        value => Err(Violation::new("bad-range", value as u64)),
    }
}

/// `cpu_latency_qos_add_request(request, microseconds)`.
pub(crate) fn qos_add(call: &mut Call<'_>) -> Outcome {
    let request = call.arg(0);
    if call.domain.pm.requests.get(request).is_some() {
        return Err(Violation::new("pm-qos-added-twice", request));
    }
    if call.domain.pm.requests.len() >= LATENCY_REQUESTS_MAX {
        return Err(Violation::new("too-many-latency-requests", request));
    }
    let nomem = |_| Violation::new("out-of-memory", request);
    let latency = Latency::new(microseconds(call)?).map_err(nomem)?;
    let latency = Arc::new(latency, GFP_KERNEL).map_err(|_| nomem(ENOMEM))?;
    call.domain
        .pm
        .requests
        .insert(request, latency)
        .map_err(nomem)?;
    Ok(0)
}

/// `cpu_latency_qos_update_request(request, microseconds)`.
pub(crate) fn qos_update(call: &mut Call<'_>) -> Outcome {
    let request = call.arg(0);
    let latency = call.domain.pm.requests.get(request);
    latency
        .ok_or(Violation::new("pm-qos-not-added", request))?
        .update(microseconds(call)?);
    Ok(0)
}

/// `cpu_latency_qos_remove_request(request)`.
pub(crate) fn qos_remove(call: &mut Call<'_>) -> Outcome {
    let request = call.arg(0);
    let latency = call.domain.pm.requests.remove(request);
    latency.ok_or(Violation::new("pm-qos-not-added", request))?;
    Ok(0)
}

/// Refuses a request that waits for the end of a suspend or resume, in the driver's own function for
/// one: it would wait for itself, or for another that waits for it. An idle notification does not wait
/// for its own device.
fn refuse_in_transition(
    call: &Call<'_>,
    device: &PciDevice,
    request: Request,
) -> Result<(), Violation> {
    match call.domain.pci.first(PciDevice::is_in_transition) {
        Some(other) if request != Request::Idle || other.shadow != device.shadow => {
            Err(Violation::new("pm-self-wait", device.device_handle()))
        }
        _ => Ok(()),
    }
}

fn runtime(call: &mut Call<'_>, request: Request) -> Outcome {
    let device = call
        .domain
        .pci
        .by_device(call.arg(0))
        .ok_or(Violation::new("bad-device", call.arg(0)))?;
    let flags = call.uint(1);
    if flags & !pm::RPM_FLAGS != 0 {
        return Err(Violation::new("bad-flags", u64::from(flags)));
    }
    if flags & pm::RPM_ASYNC == 0 && !call.may_sleep() {
        return Err(Violation::new("sleep-in-atomic", 0));
    }
    if flags & (pm::RPM_ASYNC | pm::RPM_NOWAIT) == 0 {
        refuse_in_transition(call, &device, request)?;
    }
    if flags & pm::RPM_GET_PUT != 0 {
        device.account_usage(if request == Request::Resume { 1 } else { -1 })?;
    }
    let status = pm::runtime(&device.raw, request, flags);
    device.refresh(call.domain)?;
    Ok(int(status))
}

/// `__pm_runtime_resume(device, flags)`.
pub(crate) fn runtime_resume(call: &mut Call<'_>) -> Outcome {
    runtime(call, Request::Resume)
}

/// `__pm_runtime_idle(device, flags)`.
pub(crate) fn runtime_idle(call: &mut Call<'_>) -> Outcome {
    runtime(call, Request::Idle)
}

/// `__pm_runtime_suspend(device, flags)`.
pub(crate) fn runtime_suspend(call: &mut Call<'_>) -> Outcome {
    runtime(call, Request::Suspend)
}

/// `pm_schedule_suspend(device, milliseconds)`.
pub(crate) fn schedule_suspend(call: &mut Call<'_>) -> Outcome {
    let device = call.domain.pci.by_device(call.arg(0));
    let device = device.ok_or(Violation::new("bad-device", call.arg(0)))?;
    Ok(int(pm::schedule_suspend(&device.raw, call.uint(1))))
}
