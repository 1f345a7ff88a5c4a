// SPDX-License-Identifier: GPL-2.0

//! Time counters (kernel/time/timecounter.c) on the driver's own structures. The cycle counter is
//! read by the driver's function.

use crate::call::{Call, Outcome, Violation};

/// The words of `struct timecounter`: cycle counter, last cycle, ns, mask, fraction.
type Counter = [u64; 5];

/// Reads the cycle counter at `cc` by its function, and returns the cycles with mask and scale.
fn cycles(call: &Call<'_>, cc: u64) -> Result<(u64, u64, u32, u32), Violation> {
    let [function, mask, scale]: [u64; 3] = call.read(cc)?;
    if !call.domain.memory.is_text(function) {
        return Err(Violation::new("bad-function", function));
    }
    let now = call
        .upcall("cyclecounter", function, &[cc])
        .map_err(|_| Violation::new("domain-dead", function))?;
    let (mult, shift) = (scale as u32, (scale >> 32) as u32);
    if shift > 63 {
        return Err(Violation::new("bad-shift", u64::from(shift)));
    }
    Ok((now, mask, mult, shift))
}

/// `timecounter_init(tc, cc, start)`.
pub(crate) fn init(call: &mut Call<'_>) -> Outcome {
    let (tc, cc, start) = (call.arg(0), call.arg(1), call.arg(2));
    let (now, _, _, shift) = cycles(call, cc)?;
    let counter: Counter = [cc, now, start, (1 << shift) - 1, 0];
    call.write(tc, counter)?;
    Ok(0)
}

/// `timecounter_read(tc)`: the time in ns.
pub(crate) fn read(call: &mut Call<'_>) -> Outcome {
    let tc = call.arg(0);
    let [cc, last, ns, fraction_mask, fraction]: Counter = call.read(tc)?;
    let (now, mask, mult, shift) = cycles(call, cc)?;
    let scaled = (now.wrapping_sub(last) & mask)
        .wrapping_mul(u64::from(mult))
        .wrapping_add(fraction);
    let time = ns.wrapping_add(scaled >> shift);
    let counter: Counter = [cc, now, time, fraction_mask, scaled & fraction_mask];
    call.write(tc, counter)?;
    Ok(time)
}

/// `timecounter_cyc2time(tc, cycles)`: the time in ns at that count of cycles, which may lie a
/// little in the past.
pub(crate) fn cycles_to_time(call: &mut Call<'_>) -> Outcome {
    let [cc, last, ns, _, fraction]: Counter = call.read(call.arg(0))?;
    let [_, mask, scale]: [u64; 3] = call.read(cc)?;
    let (mult, shift) = (scale & 0xffff_ffff, (scale >> 32) as u32);
    if shift > 63 {
        return Err(Violation::new("bad-shift", u64::from(shift)));
    }
    let ahead = call.arg(1).wrapping_sub(last) & mask;
    if ahead > mask / 2 {
        let behind = last.wrapping_sub(call.arg(1)) & mask;
        let back = behind.wrapping_mul(mult).wrapping_sub(fraction) >> shift;
        return Ok(ns.wrapping_sub(back));
    }
    Ok(ns.wrapping_add(ahead.wrapping_mul(mult).wrapping_add(fraction) >> shift))
}
