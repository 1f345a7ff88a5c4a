// SPDX-License-Identifier: GPL-2.0

//! Sleeping, busy waiting, and conversions of time. A sleep ends early when the domain dies, and one
//! that would outlast the deadline of its upcall ends the domain before it begins: the upcall's caller
//! may hold locks that others need.

use crate::call::{Call, Outcome, Violation};
use crate::sys::{cpu, delay};

/// The longest stretch that is slept without looking whether the domain still lives, in ms.
const SLICE_MS: u64 = 20;
/// The longest busy wait in one call, in µs; the kernel's own `udelay` warns from 2,000 on.
const MAX_SPIN_US: u64 = 100_000;

/// When a sleep of `ms` milliseconds from now is over, which must be before the upcall's deadline.
fn end_of(call: &Call<'_>, ms: u64) -> Result<u64, Violation> {
    let end = cpu::now().saturating_add(ms.saturating_mul(1_000_000));
    match end > call.deadline {
        true => Err(Violation::new("deadline-exceeded", ms)),
        false => Ok(end),
    }
}

fn sleep(call: &Call<'_>, ms: u64) -> Result<(), Violation> {
    let end = end_of(call, ms)?;
    loop {
        let left = end.saturating_sub(cpu::now()).div_ceil(1_000_000);
        if left == 0 {
            return Ok(());
        }
        if call.domain.is_dead() {
            return Err(Violation::new("domain-dead", 0));
        }
        cpu::sleep_ms(left.min(SLICE_MS) as u32);
    }
}

/// `msleep(milliseconds)`.
pub(crate) fn msleep(call: &mut Call<'_>) -> Outcome {
    sleep(call, u64::from(call.uint(0)))?;
    Ok(0)
}

/// `msleep_interruptible(milliseconds)`: a signal ends it; returns the milliseconds left.
pub(crate) fn msleep_interruptible(call: &mut Call<'_>) -> Outcome {
    let mut left = u64::from(call.uint(0));
    end_of(call, left)?;
    while left > 0 {
        if call.domain.is_dead() {
            return Err(Violation::new("domain-dead", 0));
        }
        let part = left.min(SLICE_MS);
        let rest = delay::sleep_interruptible(part as u32);
        left -= part;
        if rest > 0 {
            return Ok(left + rest);
        }
    }
    Ok(0)
}

/// `usleep_range_state(min, max, state)` in µs.
pub(crate) fn usleep_range(call: &mut Call<'_>) -> Outcome {
    let (min, max) = (call.arg(0), call.arg(1));
    if max < min {
        return Err(Violation::new("bad-range", max));
    }
    if max > SLICE_MS * 1000 {
        sleep(call, min.div_ceil(1000))?;
    } else {
        delay::usleep_range(min, max);
    }
    Ok(0)
}

/// `schedule_timeout*(jiffies)`: sleeps all of it.
pub(crate) fn schedule_timeout(call: &mut Call<'_>) -> Outcome {
    let jiffies = call.arg(0).min(u64::from(u32::MAX));
    sleep(call, u64::from(delay::jiffies_to_msecs(jiffies)))?;
    Ok(0)
}

/// Keeps the CPU for `ns`, all of which is charged to the caller.
fn spin(call: &Call<'_>, ns: u64) -> Outcome {
    if ns > MAX_SPIN_US * 1000 {
        return Err(Violation::new("delay-too-long", ns));
    }
    call.charge(ns);
    let mut left = ns;
    while left > 0 && !call.domain.is_dead() {
        let part = left.min(1_000_000);
        delay::spin_ns(part);
        left -= part;
    }
    Ok(0)
}

/// `__const_udelay(loops)`: 0x10c7 loops a µs, 5 a ns (asm-generic/delay.h).
pub(crate) fn const_udelay(call: &mut Call<'_>) -> Outcome {
    // 2^32 loops are a second.
    spin(
        call,
        (u128::from(call.arg(0)) * 1_000_000_000 >> 32).min(u128::from(u64::MAX)) as u64,
    )
}

/// `__udelay(microseconds)`.
pub(crate) fn udelay(call: &mut Call<'_>) -> Outcome {
    spin(call, call.arg(0).saturating_mul(1000))
}

/// `__ndelay(nanoseconds)`.
pub(crate) fn ndelay(call: &mut Call<'_>) -> Outcome {
    spin(call, call.arg(0))
}

/// `round_jiffies(j)`.
pub(crate) fn round_jiffies(call: &mut Call<'_>) -> Outcome {
    Ok(delay::round_jiffies(call.arg(0)))
}

/// `round_jiffies_relative(j)`.
pub(crate) fn round_jiffies_relative(call: &mut Call<'_>) -> Outcome {
    Ok(delay::round_jiffies_relative(call.arg(0)))
}

/// `__msecs_to_jiffies(m)`.
pub(crate) fn msecs_to_jiffies(call: &mut Call<'_>) -> Outcome {
    Ok(delay::msecs_to_jiffies(call.uint(0)))
}

/// `__usecs_to_jiffies(u)`.
pub(crate) fn usecs_to_jiffies(call: &mut Call<'_>) -> Outcome {
    Ok(delay::usecs_to_jiffies(call.uint(0)))
}
