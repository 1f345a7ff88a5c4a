// SPDX-License-Identifier: GPL-2.0

//! The kernel's clocks, for drivers that ask. Any context but NMI.

use super::access::Plain;
use super::bindings;

pub(crate) use bindings::system_counterval_t as Counter;
pub(crate) use bindings::system_device_crosststamp as CrossTimestamp;
pub(crate) use bindings::system_time_snapshot as Snapshot;
pub(crate) use bindings::timespec64 as TimeSpec;

// SAFETY: two integers.
unsafe impl Plain for TimeSpec {}

// SAFETY: integers only (`valid` is a byte in this structure).
unsafe impl Plain for Snapshot {}

/// `struct system_device_crosststamp` as the driver has it: a clock number, then words.
#[repr(C)]
#[derive(Clone, Copy)]
pub(crate) struct CrossBytes([u64; size_of::<CrossTimestamp>() / 8]);
// SAFETY: integers only.
unsafe impl Plain for CrossBytes {}

impl CrossBytes {
    /// The clock that is asked for.
    pub(crate) fn clock_id(&self) -> i32 {
        self.0[0] as i32
    }
}

/// Whether `id` is that of an auxiliary clock.
fn is_auxiliary(id: u32) -> bool {
    (bindings::CLOCK_AUX..=bindings::CLOCK_AUX_LAST).contains(&id)
}

/// Nanoseconds of CLOCK_MONOTONIC.
pub(crate) fn monotonic() -> i64 {
    // SAFETY: any context.
    unsafe { bindings::ktime_get() }
}

/// Seconds of CLOCK_REALTIME.
pub(crate) fn real_seconds() -> i64 {
    // SAFETY: any context.
    unsafe { bindings::ktime_get_real_seconds() }
}

/// Nanoseconds of the clock that `enum tk_offsets` names; `None` outside the enumeration.
pub(crate) fn with_offset(offset: u32) -> Option<i64> {
    if offset >= bindings::tk_offsets_TK_OFFS_MAX {
        return None;
    }
    // SAFETY: any context; the offset is in range.
    Some(unsafe { bindings::ktime_get_with_offset(offset) })
}

/// CLOCK_MONOTONIC as seconds and nanoseconds.
pub(crate) fn monotonic_ts64() -> TimeSpec {
    let mut time = TimeSpec::default();
    // SAFETY: writes the structure.
    unsafe { bindings::ktime_get_ts64(&mut time) };
    time
}

/// CLOCK_REALTIME as seconds and nanoseconds.
pub(crate) fn real_ts64() -> TimeSpec {
    let mut time = TimeSpec::default();
    // SAFETY: writes the structure.
    unsafe { bindings::ktime_get_real_ts64(&mut time) };
    time
}

/// CLOCK_MONOTONIC_RAW as seconds and nanoseconds.
pub(crate) fn raw_ts64() -> TimeSpec {
    let mut time = TimeSpec::default();
    // SAFETY: writes the structure.
    unsafe { bindings::ktime_get_raw_ts64(&mut time) };
    time
}

/// A snapshot of the clock `id`; `None` for clocks of which the kernel takes none, for which it
/// would warn (kernel/time/timekeeping.c).
pub(crate) fn snapshot(id: i32) -> Option<Snapshot> {
    let known = [
        bindings::CLOCK_REALTIME,
        bindings::CLOCK_MONOTONIC,
        bindings::CLOCK_MONOTONIC_RAW,
        bindings::CLOCK_BOOTTIME,
    ];
    let number = u32::try_from(id).ok()?;
    if !known.contains(&number) && !is_auxiliary(number) {
        return None;
    }
    let mut snapshot = Snapshot::default();
    // SAFETY: writes the structure.
    unsafe { bindings::ktime_get_snapshot_id(id, &mut snapshot) };
    Some(snapshot)
}

/// The device's time and the counter at that moment, as a driver reads them: nanoseconds, then
/// cycles and the number of the clock source. Negative errno on failure.
pub(crate) type ReadDevice<'a> = dyn FnMut() -> Result<(i64, [u64; 2]), i32> + 'a;

/// `get_device_system_crosststamp`, which calls `read` again for as long as the clock changes
/// meanwhile. `None` for clocks of which the kernel makes none, for which it would warn. Process context
/// or softirq.
pub(crate) fn device_crosststamp(
    history: Option<Snapshot>,
    cross: &mut CrossBytes,
    read: &mut ReadDevice<'_>,
) -> Option<i32> {
    let id = cross.clock_id();
    let number = u32::try_from(id).ok()?;
    if number != bindings::CLOCK_REALTIME && !is_auxiliary(number) {
        return None;
    }
    let mut read = read;
    let mut history = history;
    let begin = match &mut history {
        Some(snapshot) => core::ptr::from_mut(snapshot),
        None => core::ptr::null_mut(),
    };
    let mut real = CrossTimestamp {
        clock_id: id,
        ..CrossTimestamp::default()
    };
    // SAFETY: the callback gets back the pointer to `read`, which outlives the call.
    let status = unsafe {
        bindings::get_device_system_crosststamp(
            Some(side_proxy_crosststamp),
            (&raw mut read).cast(),
            begin,
            &mut real,
        )
    };
    if status == 0 {
        // SAFETY: the structure as words; it has the size of the array.
        unsafe { core::ptr::copy_nonoverlapping((&raw const real).cast(), cross, 1) };
    }
    Some(status)
}

#[no_mangle]
unsafe extern "C" fn side_proxy_crosststamp(
    time: *mut bindings::ktime_t,
    counter: *mut Counter,
    context: *mut core::ffi::c_void,
) -> i32 {
    // SAFETY: the pointer that `device_crosststamp` gave.
    let read = unsafe { &mut *context.cast::<&mut ReadDevice<'_>>() };
    match read() {
        Ok((nanoseconds, [cycles, source])) => {
            let value = Counter {
                cycles,
                cs_id: source as u32,
                use_nsecs: source >> 32 & 0xff != 0,
            };
            // SAFETY: the kernel's own variables.
            unsafe {
                time.write(nanoseconds);
                counter.write(value);
            }
            0
        }
        Err(errno) => errno,
    }
}
