// SPDX-License-Identifier: GPL-2.0

//! Work items that lie in the driver's memory. `INIT_WORK` is inlined, so the function is read and
//! checked when the work is queued; the kernel queues a twin of SIDE's own.

use super::wait;
use crate::call::{Call, Outcome, Violation};
use crate::domain::Domain;
use crate::objects::Table;
use crate::run::{self, Context};
use crate::sys::layout;
use crate::sys::work::Work;
use core::sync::atomic::{AtomicBool, Ordering};
use kernel::prelude::*;
use kernel::sync::Arc;

/// Work items that one driver may have.
const MOST: usize = 4096;
/// `WORK_STRUCT_PENDING` in the first word of a work_struct, which drivers test in place.
const PENDING: u64 = 1;

/// The work items of a domain that were queued at least once, by the driver's address.
pub(crate) struct State {
    items: Table<Work>,
    closed: AtomicBool,
}

impl State {
    /// How many there are.
    pub(crate) fn count(&self) -> usize {
        self.items.len()
    }

    pub(crate) fn new() -> Self {
        State {
            items: Table::new(),
            closed: AtomicBool::new(false),
        }
    }

    /// Cancels all work and waits for what runs: on a dead domain that is short. Nothing is queued
    /// after this. Idempotent. Process context, not from a work function.
    pub(crate) fn release(&self, _domain: &Arc<Domain>) {
        self.closed.store(true, Ordering::SeqCst);
        while let Some((_, work)) = self.items.pop() {
            work.close();
        }
    }
}

/// The kernel calls: the work's turn has come. Process context.
pub(crate) fn run(work: &Work) {
    mark(work, false);
    let function = work.function.load(Ordering::Relaxed);
    let _ = run::upcall(
        &work.domain,
        "work",
        function,
        &[work.shadow],
        Context::Process,
    );
}

/// Shows in the driver's structure whether the work is queued. Set before it is queued and cleared
/// when it is taken off or begins: a bit that is lost between two CPUs makes the driver queue once
/// more, one that stays would make it wait for ever.
fn mark(work: &Work, pending: bool) {
    let memory = &work.domain.memory;
    if let Ok(word) = memory.read::<u64>(work.shadow) {
        let word = if pending {
            word | PENDING
        } else {
            word & !PENDING
        };
        // Memory that is gone needs no mark.
        let _ = memory.write(work.shadow, word);
    }
}

fn prepare(call: &Call<'_>) -> Result<Arc<Work>, Violation> {
    let address = call.arg(2);
    let function: u64 = call.read(address.wrapping_add(layout::WORK_FUNC))?;
    if !call.domain.memory.is_text(function) {
        return Err(Violation::new("bad-work", address));
    }
    let state = &call.domain.work;
    let work = match state.items.get(address) {
        Some(work) => work,
        None => {
            let nomem = |_| Violation::new("out-of-memory", address);
            if state.items.len() >= MOST {
                return Err(Violation::new("too-many-work-items", address));
            }
            let work = Work::new(call.domain, address).map_err(nomem)?;
            // Another CPU may have been first; then its twin counts.
            match state.items.insert(address, work.clone()) {
                Ok(()) => work,
                Err(_) => state
                    .items
                    .get(address)
                    .ok_or(Violation::new("out-of-memory", address))?,
            }
        }
    };
    if state.closed.load(Ordering::SeqCst) {
        work.refuse();
        // Either the release finds the item, or it goes here: but not one that is queued or runs,
        // for which the release waits. Being refused, an idle one stays idle.
        if !work.is_busy() {
            state.items.remove(address);
        }
    }
    work.function.store(function, Ordering::Relaxed);
    Ok(work)
}

fn enqueue(call: &Call<'_>, delay: u64) -> Outcome {
    let work = prepare(call)?;
    mark(&work, true);
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
    mark(&work, true);
    Ok(u64::from(work.requeue(call.arg(3))))
}

fn find(call: &Call<'_>) -> Option<Arc<Work>> {
    call.domain.work.items.get(call.arg(0))
}

fn take_off(work: &Work) -> bool {
    let was_queued = work.cancel();
    mark(work, false);
    was_queued
}

/// `cancel_work(work)` and its delayed form.
pub(crate) fn cancel(call: &mut Call<'_>) -> Outcome {
    // One that was never queued is simply not queued.
    Ok(u64::from(find(call).is_some_and(|work| take_off(&work))))
}

fn wait_for(call: &Call<'_>, work: &Work) -> Result<(), Violation> {
    if work.is_own() {
        return Err(Violation::new("work-self-wait", work.shadow));
    }
    wait::until(call, "work-wait-too-long", work.shadow, || {
        Ok(!work.is_busy())
    })
}

/// `cancel_work_sync(work)` and its delayed form: true if it was queued.
pub(crate) fn cancel_sync(call: &mut Call<'_>) -> Outcome {
    let Some(work) = find(call) else { return Ok(0) };
    work.block(true);
    let was_queued = take_off(&work);
    let waited = wait_for(call, &work);
    work.block(false);
    waited?;
    Ok(u64::from(was_queued))
}

/// `flush_work(work)`: true if it had to wait.
pub(crate) fn flush(call: &mut Call<'_>) -> Outcome {
    let Some(work) = find(call) else { return Ok(0) };
    let busy = work.is_busy();
    wait_for(call, &work)?;
    Ok(u64::from(busy))
}

/// `flush_delayed_work(work)`: one that waits for its time begins at once.
pub(crate) fn flush_delayed(call: &mut Call<'_>) -> Outcome {
    if let Some(work) = find(call) {
        if take_off(&work) {
            work.queue(0);
        }
    }
    flush(call)
}

/// `disable_work(work)`: it cannot be queued until `enable_work`. True if it was queued.
pub(crate) fn disable(call: &mut Call<'_>) -> Outcome {
    let Some(work) = find(call) else { return Ok(0) };
    work.block(true);
    Ok(u64::from(take_off(&work)))
}

/// `disable_work_sync(work)`.
pub(crate) fn disable_sync(call: &mut Call<'_>) -> Outcome {
    let was_queued = disable(call)?;
    if let Some(work) = find(call) {
        wait_for(call, &work)?;
    }
    Ok(was_queued)
}

/// `enable_work(work)`: true if it can be queued now.
pub(crate) fn enable(call: &mut Call<'_>) -> Outcome {
    Ok(u64::from(find(call).is_none_or(|work| work.block(false))))
}
