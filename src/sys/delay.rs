// SPDX-License-Identifier: GPL-2.0

//! Sleeping, busy waiting and conversions of time, as the kernel has them.

use super::bindings;

/// Sleeps between `min` and `max` µs. Sleeping must be allowed.
pub(crate) fn usleep_range(min: u64, max: u64) {
    // SAFETY: the caller may sleep.
    unsafe {
        bindings::usleep_range_state(min as usize, max as usize, bindings::TASK_UNINTERRUPTIBLE)
    };
}

/// Sleeps `ms` milliseconds or until a signal comes; returns the milliseconds left. Sleeping must be
/// allowed.
pub(crate) fn sleep_interruptible(ms: u32) -> u64 {
    // SAFETY: the caller may sleep.
    unsafe { bindings::msleep_interruptible(ms) as u64 }
}

/// Waits `ns` nanoseconds, a millisecond at most, without giving up the CPU.
pub(crate) fn spin_ns(ns: u64) {
    // SAFETY: any context.
    unsafe { bindings::side_ndelay(ns.min(1_000_000)) };
}

/// Rounds a time in jiffies to a full second.
pub(crate) fn round_jiffies(at: u64) -> u64 {
    // SAFETY: a pure function.
    unsafe { bindings::round_jiffies(at as usize) as u64 }
}

/// Rounds a distance in jiffies to a full second.
pub(crate) fn round_jiffies_relative(distance: u64) -> u64 {
    // SAFETY: a pure function.
    unsafe { bindings::round_jiffies_relative(distance as usize) as u64 }
}

/// Milliseconds in jiffies.
pub(crate) fn msecs_to_jiffies(ms: u32) -> u64 {
    // SAFETY: a pure function.
    unsafe { bindings::__msecs_to_jiffies(ms) as u64 }
}

/// Microseconds in jiffies.
pub(crate) fn usecs_to_jiffies(us: u32) -> u64 {
    // SAFETY: a pure function.
    unsafe { bindings::__usecs_to_jiffies(us) as u64 }
}

/// Jiffies in milliseconds.
pub(crate) fn jiffies_to_msecs(jiffies: u64) -> u32 {
    let ms = jiffies.saturating_mul(1000) / u64::from(bindings::HZ);
    ms.min(u64::from(u32::MAX)) as u32
}
