// SPDX-License-Identifier: GPL-2.0

//! Work items that lie in the driver's memory. `INIT_WORK` is inlined, so the function is read and
//! checked when the work is queued; the kernel queues a twin of SIDE's own.

use crate::call::{Call, Outcome, Violation};
use crate::domain::Domain;
use crate::objects::Table;
use crate::run::{self, Context};
use crate::sys::work::Work;
use crate::sys::{cpu, layout};
use core::sync::atomic::Ordering;
use kernel::prelude::*;
use kernel::sync::Arc;

/// The work items of a domain that were queued at least once, by the driver's address.
pub(crate) struct State {
    items: Table<Work>,
}

impl State {
    pub(crate) fn new() -> Self {
        State { items: Table::new() }
    }

    /// Cancels all work and waits for what runs: on a dead domain that is short. Idempotent.
    /// Process context, not from a work function.
    pub(crate) fn release(&self, _domain: &Arc<Domain>) {
        while self.items.pop().is_some() {}
    }
}

/// The kernel calls: the work's turn has come. Process context.
pub(crate) fn run(work: &Work) {
    let function = work.function.load(Ordering::Relaxed);
    let _ = run::upcall(&work.domain, "work", function, &[work.shadow], Context::Process);
}

fn prepare(call: &Call<'_>) -> Result<Arc<Work>, Violation> {
    let address = call.arg(2);
    let function: u64 = call.read(address.wrapping_add(layout::WORK_FUNC))?;
    if !call.domain.memory.is_text(function) {
        return Err(Violation::new("bad-work", address));
    }
    let items = &call.domain.work.items;
    let work = match items.get(address) {
        Some(work) => work,
        None => {
            let nomem = |_| Violation::new("out-of-memory", address);
            let work = Work::new(call.domain, address).map_err(nomem)?;
            // Another CPU may have been first; then its twin counts.
            match items.insert(address, work.clone()) {
                Ok(()) => work,
                Err(_) => items.get(address).ok_or(Violation::new("out-of-memory", address))?,
            }
        }
    };
    work.function.store(function, Ordering::Relaxed);
    Ok(work)
}

fn enqueue(call: &Call<'_>, delay: u64) -> Outcome {
    let work = prepare(call)?;
    if work.cancelling.load(Ordering::Acquire) > 0 || call.domain.is_dead() {
        return Ok(0);
    }
    Ok(u64::from(work.queue(delay)))
}

/// `queue_work_on(cpu, workqueue, work)`: true if it was not queued. CPU and queue are the kernel's
/// choice.
pub(crate) fn queue(call: &mut Call<'_>) -> Outcome {
    enqueue(call, 0)
}

/// `queue_delayed_work_on(cpu, workqueue, work, jiffies)`.
pub(crate) fn queue_delayed(call: &mut Call<'_>) -> Outcome {
    enqueue(call, call.arg(3))
}

/// `mod_delayed_work_on(cpu, workqueue, work, jiffies)`.
pub(crate) fn modify_delayed(call: &mut Call<'_>) -> Outcome {
    let work = prepare(call)?;
    if work.cancelling.load(Ordering::Acquire) > 0 {
        return Ok(0);
    }
    Ok(u64::from(work.requeue(call.arg(3))))
}

/// `cancel_work(work)` and its delayed form.
pub(crate) fn cancel(call: &mut Call<'_>) -> Outcome {
    match call.domain.work.items.get(call.arg(0)) {
        Some(work) => Ok(u64::from(work.cancel())),
        // Never queued.
        None => Ok(0),
    }
}

fn wait(call: &Call<'_>, work: &Work, also_pending: bool) -> Result<(), Violation> {
    if work.is_own() {
        return Err(Violation::new("work-self-wait", work.shadow));
    }
    while work.is_running() || (also_pending && work.pending()) {
        if call.domain.is_dead() {
            return Err(Violation::new("domain-dead", work.shadow));
        }
        cpu::sleep_ms(1);
    }
    Ok(())
}

/// `cancel_work_sync(work)` and its delayed form: true if it was queued.
pub(crate) fn cancel_sync(call: &mut Call<'_>) -> Outcome {
    let Some(work) = call.domain.work.items.get(call.arg(0)) else { return Ok(0) };
    work.cancelling.fetch_add(1, Ordering::AcqRel);
    let was_queued = work.cancel();
    let waited = wait(call, &work, false);
    // It may have been queued just before `cancelling` rose.
    work.cancel();
    work.cancelling.fetch_sub(1, Ordering::AcqRel);
    waited?;
    Ok(u64::from(was_queued))
}

/// `flush_work(work)` and its delayed form: true if it had to wait.
pub(crate) fn flush(call: &mut Call<'_>) -> Outcome {
    let Some(work) = call.domain.work.items.get(call.arg(0)) else { return Ok(0) };
    let busy = work.is_running() || work.pending();
    wait(call, &work, true)?;
    Ok(u64::from(busy))
}
