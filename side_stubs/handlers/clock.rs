// SPDX-License-Identifier: GPL-2.0

//! The kernel's clocks.

use crate::call::{int, Call, Outcome, Violation};
use crate::sys::{clock, cpu};
use kernel::prelude::*;

/// How often the device is read for one cross timestamp: the kernel asks again when the clock has
/// changed meanwhile, as it does at each tick.
const READS_MAX: u32 = 16;

/// `ktime_get`.
pub(crate) fn get(_: &mut Call<'_>) -> Outcome {
    Ok(clock::monotonic() as u64)
}

/// `set_normalized_timespec64(ts, sec, nsec)`
pub(crate) fn set_normalized(call: &mut Call<'_>) -> Outcome {
    const SECOND: i64 = 1_000_000_000;
    let (seconds, nanoseconds) = (call.arg(1) as i64, call.arg(2) as i64);
    let whole = seconds.wrapping_add(nanoseconds.div_euclid(SECOND));
    call.write(call.arg(0), [whole, nanoseconds.rem_euclid(SECOND)])?;
    Ok(0)
}

/// `ktime_get_real_seconds`.
pub(crate) fn real_seconds(_: &mut Call<'_>) -> Outcome {
    Ok(clock::real_seconds() as u64)
}

/// `ktime_get_with_offset`; the offset is one of `enum tk_offsets`.
pub(crate) fn with_offset(call: &mut Call<'_>) -> Outcome {
    match clock::with_offset(call.uint(0)) {
        Some(time) => Ok(time as u64),
        None => Err(Violation::new("bad-clock", call.arg(0))),
    }
}

/// `ktime_get_ts64`.
pub(crate) fn monotonic_ts64(call: &mut Call<'_>) -> Outcome {
    call.write(call.arg(0), clock::monotonic_ts64())?;
    Ok(0)
}

/// `ktime_get_real_ts64`.
pub(crate) fn real_ts64(call: &mut Call<'_>) -> Outcome {
    call.write(call.arg(0), clock::real_ts64())?;
    Ok(0)
}

/// `ktime_get_raw_ts64`.
pub(crate) fn raw_ts64(call: &mut Call<'_>) -> Outcome {
    call.write(call.arg(0), clock::raw_ts64())?;
    Ok(0)
}

/// `ktime_get_snapshot_id`.
pub(crate) fn snapshot(call: &mut Call<'_>) -> Outcome {
    let snapshot = clock::snapshot(call.int(0)).ok_or(Violation::new("bad-clock", call.arg(0)))?;
    call.write(call.arg(1), snapshot)?;
    Ok(0)
}

/// `get_device_system_crosststamp`: the driver's function is called back from inside.
pub(crate) fn crosststamp(call: &mut Call<'_>) -> Outcome {
    let (function, context, history, result) = (call.arg(0), call.arg(1), call.arg(2), call.arg(3));
    let history: Option<clock::Snapshot> = match history {
        0 => None,
        address => Some(call.read(address)?),
    };
    let mut cross: clock::CrossBytes = call.read(result)?;
    let scratch = call
        .domain
        .memory
        .alloc(64)
        .map_err(|_| Violation::new("out-of-memory", 0))?;
    let mut reads = 0;
    let status = clock::device_crosststamp(history, &mut cross, &mut || {
        reads += 1;
        if reads > READS_MAX || cpu::now() > call.deadline || call.domain.is_dead() {
            return Err(EIO.to_errno());
        }
        let memory = &call.domain.memory;
        let answer = call.upcall("crosststamp", function, &[scratch, scratch + 16, context]);
        let (Ok(answer), Ok(time), Ok(counter)) = (
            answer,
            memory.read::<i64>(scratch),
            memory.read::<[u64; 2]>(scratch + 16),
        ) else {
            return Err(EIO.to_errno());
        };
        match answer as i32 {
            0 => Ok((time, counter)),
            status => Err(status.clamp(-4095, -1)),
        }
    });
    let _ = call.domain.memory.free(scratch);
    let status = status.ok_or(Violation::new("bad-clock", cross.clock_id() as u64))?;
    call.write(result, cross)?;
    Ok(int(status))
}
