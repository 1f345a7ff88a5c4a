// SPDX-License-Identifier: GPL-2.0

//! Waiting on a driver's behalf for something that another upcall has to do: a lock, the end of a
//! work function. Such a wait ends with the domain, and a driver whose upcalls wait for each other
//! is ended: no task of the kernel hangs for it.

use crate::call::{Call, Violation};
use crate::sys::{cpu, delay, irq};

/// The longest wait in ns. Nothing that an upcall does in order takes as long.
const PATIENCE: u64 = 30_000_000_000;
/// As long as it looks often, in ns: most waits are short.
const EAGER: u64 = 10_000_000;
/// The longest time that a CPU spins for what runs on another one, in ns: a handler's budget.
const SPIN: u64 = 500_000_000;
/// The most that is charged for the time between two looks, in ns: the host had the CPU if it was longer.
const LOOK: u64 = 1_000_000;

/// Waits until `done` or until the domain is dead; `rule` and `value` say what took too long.
/// Sleeping must be allowed.
pub(crate) fn until(
    call: &Call<'_>,
    rule: &'static str,
    value: u64,
    mut done: impl FnMut() -> Result<bool, Violation>,
) -> Result<(), Violation> {
    let begin = cpu::now();
    while !done()? {
        if call.domain.is_dead() {
            return Err(Violation::new("domain-dead", value));
        }
        match cpu::now().saturating_sub(begin) {
            waited if waited > PATIENCE => return Err(Violation::new(rule, value)),
            waited if waited > EAGER => cpu::sleep_ms(1),
            _ => delay::usleep_range(50, 100),
        }
    }
    Ok(())
}

/// Spins until `done`, where sleeping is not allowed; the caller is charged for it. Returns whether it came
/// to that: not if the domain is dead by then, or if it takes longer than an upcall may.
pub(crate) fn spin(call: &Call<'_>, mut done: impl FnMut() -> bool) -> bool {
    let begin = cpu::now();
    let mut looked = begin;
    while !done() {
        let now = cpu::now();
        call.charge(now.saturating_sub(looked).min(LOOK));
        looked = now;
        if call.domain.is_dead() || now.saturating_sub(begin) > SPIN {
            return false;
        }
        irq::relax();
    }
    true
}
