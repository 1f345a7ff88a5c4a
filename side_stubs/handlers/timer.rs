// SPDX-License-Identifier: GPL-2.0

//! Timers that lie in the driver's memory. The kernel arms a twin of SIDE's own, found by the
//! driver's address; what the driver's structure holds is never looked at again, but `expires`.

use crate::call::{Call, Outcome, Violation};
use crate::domain::Domain;
use crate::objects::Table;
use crate::run::{self, Context};
use crate::sys::layout;
use crate::sys::timer::Timer;
use core::sync::atomic::Ordering;
use kernel::prelude::*;
use kernel::sync::Arc;

/// The timers of a domain, by the address of the driver's structure.
pub(crate) struct State {
    timers: Table<Timer>,
}

impl State {
    pub(crate) fn new() -> Self {
        State { timers: Table::new() }
    }

    /// Disarms all timers and waits for their functions. Idempotent.
    pub(crate) fn release(&self, _domain: &Arc<Domain>) {
        while self.timers.pop().is_some() {}
    }
}

/// The kernel calls: the timer has expired. Softirq.
pub(crate) fn expired(timer: &Timer) {
    let function = timer.function.load(Ordering::Relaxed);
    let _ = run::upcall(&timer.domain, "timer", function, &[timer.shadow], Context::Atomic);
}

fn find(call: &Call<'_>) -> Result<Arc<Timer>, Violation> {
    let address = call.arg(0);
    call.domain.timer.timers.get(address).ok_or(Violation::new("bad-timer", address))
}

/// `timer_init_key(timer, function, flags, name, key)`. Again on the same address: another object
/// lies there now, or the function changes.
pub(crate) fn init(call: &mut Call<'_>) -> Outcome {
    let (address, function) = (call.arg(0), call.arg(1));
    // As the kernel does: entry, expires, function and flags (linux/timer_types.h).
    call.domain.memory.fill(address, 0, layout::TIMER_SIZE)?;
    if let Some(timer) = call.domain.timer.timers.get(address) {
        timer.delete();
        timer.function.store(function, Ordering::Relaxed);
        return Ok(0);
    }
    let nomem = |_| Violation::new("out-of-memory", address);
    let timer = Timer::new(call.domain, address, function).map_err(nomem)?;
    call.domain.timer.timers.insert(address, timer).map_err(nomem)?;
    Ok(0)
}

/// `mod_timer(timer, expires)`: 1 if it was armed.
pub(crate) fn modify(call: &mut Call<'_>) -> Outcome {
    let timer = find(call)?;
    call.write(timer.shadow + layout::TIMER_EXPIRES, call.arg(1))?;
    Ok(u64::from(timer.modify(call.arg(1))))
}

/// `mod_timer_pending(timer, expires)`: only if it is armed.
pub(crate) fn modify_pending(call: &mut Call<'_>) -> Outcome {
    let timer = find(call)?;
    if !timer.pending() {
        return Ok(0);
    }
    Ok(u64::from(timer.modify(call.arg(1))))
}

/// `add_timer(timer)`: for the time in its `expires`. The kernel warns of one that is armed.
pub(crate) fn add(call: &mut Call<'_>) -> Outcome {
    let timer = find(call)?;
    if timer.pending() {
        return Err(Violation::new("timer-added-twice", timer.shadow));
    }
    let expires: u64 = call.read(timer.shadow + layout::TIMER_EXPIRES)?;
    timer.modify(expires);
    Ok(0)
}

/// `timer_delete(timer)`: 1 if it was armed.
pub(crate) fn delete(call: &mut Call<'_>) -> Outcome {
    // One that was never set up is simply not armed.
    match find(call) {
        Ok(timer) => Ok(u64::from(timer.delete())),
        Err(_) => Ok(0),
    }
}

/// `timer_delete_sync(timer)`: 1 if it was armed.
pub(crate) fn delete_sync(call: &mut Call<'_>) -> Outcome {
    let Ok(timer) = find(call) else { return Ok(0) };
    if timer.is_own() {
        return Err(Violation::new("timer-self-wait", timer.shadow));
    }
    Ok(u64::from(timer.delete_sync()))
}

/// `timer_shutdown_sync(timer)`: it cannot be armed again before it is set up again.
pub(crate) fn shutdown_sync(call: &mut Call<'_>) -> Outcome {
    let armed = delete_sync(call)?;
    call.domain.timer.timers.remove(call.arg(0));
    Ok(armed)
}
