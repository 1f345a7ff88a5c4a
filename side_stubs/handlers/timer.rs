// SPDX-License-Identifier: GPL-2.0

//! Timers that lie in the driver's memory. The kernel arms a twin of SIDE's own, found by the
//! driver's address.
//!
//! A timer is known from its first use on: until then, and for timers that the compiler
//! initialised, its function is in the driver's structure, from which it is read and checked. What
//! drivers test in place, whether a timer is armed, is kept up to date there.

use super::wait;
use crate::call::{Call, Outcome, Violation};
use crate::domain::Domain;
use crate::fault_handler::watch::Limits;
use crate::objects::Table;
use crate::run::{self, Context};
use crate::sys::timer::Timer;
use crate::sys::{cpu, layout};
use core::sync::atomic::{AtomicBool, Ordering};
use kernel::prelude::*;
use kernel::sync::Arc;

/// Timers that one driver may have.
const MOST: usize = 4096;

/// The timers of a domain, by the address of the driver's structure.
pub(crate) struct State {
    timers: Table<Timer>,
    closed: AtomicBool,
}

impl State {
    /// How many there are.
    pub(crate) fn count(&self) -> usize {
        self.timers.len()
    }

    pub(crate) fn new() -> Self {
        State {
            timers: Table::new(),
            closed: AtomicBool::new(false),
        }
    }

    /// Disarms all timers for ever and waits for their functions. Idempotent. Not from a timer's
    /// function.
    pub(crate) fn release(&self, _domain: &Arc<Domain>) {
        self.closed.store(true, Ordering::SeqCst);
        while let Some((_, timer)) = self.timers.pop() {
            timer.close();
        }
    }
}

/// The kernel calls: the timer has expired. Softirq.
pub(crate) fn expired(timer: &Timer) {
    mark(timer, false);
    let function = timer.function.load(Ordering::Relaxed);
    let begin = cpu::now();
    let (result, taken) = run::measured(
        &timer.domain,
        "timer",
        function,
        &[timer.shadow],
        Context::Atomic,
    );
    if result.is_ok() {
        watch(&timer.domain, begin, taken);
    }
}

/// Ends the domain if its timer functions, of which one has taken `taken` ns from `begin` on, leave this CPU
/// no pause: the kernel calls them one after the other for as long as there is one that has expired, and no
/// task runs there meanwhile.
fn watch(domain: &Arc<Domain>, begin: u64, taken: u64) {
    let limits = domain.driver().map_or(Limits::DEFAULT, |d| d.limits());
    let Some(cpu) = domain.memory.cpu(cpu::id()) else {
        return;
    };
    let hog = cpu.timers.lock().add(begin, taken, limits.timer_ms);
    if let Some(sum) = hog {
        domain.breach("timer", Violation::new("timer-hog", sum));
    }
}

/// Shows in the driver's structure whether the timer is armed. Set before it is armed and cleared
/// when it expires or is disarmed.
fn mark(timer: &Timer, armed: bool) {
    let word = if armed { timer.shadow } else { 0 };
    // Memory that is gone needs no mark.
    let _ = timer
        .domain
        .memory
        .write(timer.shadow + layout::TIMER_ARMED, word);
}

fn known(call: &Call<'_>) -> Option<Arc<Timer>> {
    call.domain.timer.timers.get(call.arg(0))
}

/// The timer that is to be armed. `None` if it has no function, as after a shutdown: the kernel
/// ignores that.
fn find(call: &Call<'_>) -> Result<Option<Arc<Timer>>, Violation> {
    if let Some(timer) = known(call) {
        return Ok(Some(timer));
    }
    let address = call.arg(0);
    let function: u64 = call.read(address.wrapping_add(layout::TIMER_FUNCTION))?;
    if function == 0 {
        return Ok(None);
    }
    if !call.domain.memory.is_text(function) {
        return Err(Violation::new("bad-timer", address));
    }
    let state = &call.domain.timer;
    if state.timers.len() >= MOST {
        return Err(Violation::new("too-many-timers", address));
    }
    let nomem = |_| Violation::new("out-of-memory", address);
    let timer = Timer::new(call.domain, address, function).map_err(nomem)?;
    // Another CPU may have been first; then its twin counts.
    let timer = match state.timers.insert(address, timer.clone()) {
        Ok(()) => timer,
        Err(_) => known(call).ok_or(Violation::new("out-of-memory", address))?,
    };
    if state.closed.load(Ordering::SeqCst) {
        // Either the release finds the new timer, or it goes again here; another CPU may have found
        // and armed it meanwhile.
        timer.close();
        state.timers.remove(address);
        return Ok(None);
    }
    Ok(Some(timer))
}

/// `timer_init_key(timer, function, flags, name, key)`. Again on the same address: another object
/// lies there now, or the function changes.
pub(crate) fn init(call: &mut Call<'_>) -> Outcome {
    let (address, function) = (call.arg(0), call.arg(1));
    call.domain.memory.fill(address, 0, layout::TIMER_SIZE)?;
    call.write(address.wrapping_add(layout::TIMER_FUNCTION), function)?;
    call.write(address.wrapping_add(layout::TIMER_FLAGS), call.uint(2))?;
    if let Some(timer) = known(call) {
        timer.delete();
        timer.function.store(function, Ordering::Relaxed);
    }
    Ok(0)
}

fn arm(call: &Call<'_>, timer: &Timer, expires: u64) -> Outcome {
    mark(timer, true);
    call.write(timer.shadow + layout::TIMER_EXPIRES, expires)?;
    Ok(u64::from(timer.modify(expires)))
}

/// `mod_timer(timer, expires)`: 1 if it was armed.
pub(crate) fn modify(call: &mut Call<'_>) -> Outcome {
    match find(call)? {
        Some(timer) => arm(call, &timer, call.arg(1)),
        None => Ok(0),
    }
}

/// `mod_timer_pending(timer, expires)`: only if it is armed.
pub(crate) fn modify_pending(call: &mut Call<'_>) -> Outcome {
    match known(call) {
        Some(timer) if timer.pending() => arm(call, &timer, call.arg(1)),
        _ => Ok(0),
    }
}

/// `timer_reduce(timer, expires)`: only if that is earlier.
pub(crate) fn reduce(call: &mut Call<'_>) -> Outcome {
    let Some(timer) = find(call)? else {
        return Ok(0);
    };
    let expires: u64 = call.read(timer.shadow + layout::TIMER_EXPIRES)?;
    // Jiffies wrap.
    if timer.pending() && call.arg(1).wrapping_sub(expires) as i64 >= 0 {
        return Ok(1);
    }
    arm(call, &timer, call.arg(1))
}

/// `add_timer(timer)` and `add_timer_on(timer, cpu)`: for the time in its `expires`. The kernel
/// warns of one that is armed.
pub(crate) fn add(call: &mut Call<'_>) -> Outcome {
    let Some(timer) = find(call)? else {
        return Ok(0);
    };
    if timer.pending() {
        return Err(Violation::new("timer-added-twice", timer.shadow));
    }
    let expires: u64 = call.read(timer.shadow + layout::TIMER_EXPIRES)?;
    arm(call, &timer, expires)?;
    Ok(0)
}

/// `timer_delete(timer)`: 1 if it was armed.
pub(crate) fn delete(call: &mut Call<'_>) -> Outcome {
    // One that was never armed is simply not armed.
    let Some(timer) = known(call) else {
        return Ok(0);
    };
    let was_armed = timer.delete();
    mark(&timer, false);
    Ok(u64::from(was_armed))
}

/// `timer_delete_sync_try(timer)`: -1 if its function runs now.
pub(crate) fn delete_sync_try(call: &mut Call<'_>) -> Outcome {
    match known(call) {
        Some(timer) if timer.is_running() => Ok(u64::MAX),
        _ => delete(call),
    }
}

/// Disarms `timer` and waits for its function. Not by the kernel's own means, which two functions that
/// wait for each other would never leave. Returns whether it was armed.
fn stop(call: &Call<'_>, timer: &Timer) -> Result<bool, Violation> {
    let refused = Violation::new("timer-self-wait", timer.shadow);
    if timer.is_own() {
        return Err(refused);
    }
    let mut was_armed = None;
    let mut stopped = || {
        was_armed = timer.try_delete();
        was_armed.is_some()
    };
    if call.may_sleep() {
        wait::until(call, refused.rule, refused.value, || Ok(stopped()))?;
    } else if !wait::spin(call, stopped) {
        return match call.domain.is_dead() {
            true => Err(Violation::new("domain-dead", timer.shadow)),
            false => Err(refused),
        };
    }
    Ok(was_armed == Some(true))
}

/// `timer_delete_sync(timer)`: 1 if it was armed.
pub(crate) fn delete_sync(call: &mut Call<'_>) -> Outcome {
    let Some(timer) = known(call) else {
        return Ok(0);
    };
    let was_armed = stop(call, &timer)?;
    mark(&timer, false);
    Ok(u64::from(was_armed))
}

/// Makes the driver's structure one that cannot be armed before it is set up again.
fn forget(call: &Call<'_>, timer: &Timer) -> Result<(), Violation> {
    call.domain.timer.timers.remove(timer.shadow);
    mark(timer, false);
    call.write(timer.shadow + layout::TIMER_FUNCTION, 0u64)
}

/// `timer_shutdown_sync(timer)`: as `timer_delete_sync`, and it cannot be armed again before it is
/// set up again.
pub(crate) fn shutdown_sync(call: &mut Call<'_>) -> Outcome {
    let Some(timer) = known(call) else {
        return Ok(0);
    };
    let was_armed = timer.shut();
    let was_armed = stop(call, &timer)? || was_armed;
    forget(call, &timer)?;
    Ok(u64::from(was_armed))
}
