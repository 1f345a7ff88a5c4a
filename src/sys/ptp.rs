// SPDX-License-Identifier: GPL-2.0

//! PTP hardware clocks: the kernel's side, and the functions that it calls.

use super::bindings;
use super::clock::TimeSpec;
use super::entry;
use super::lock::BhLock;
use super::pci::PciRef;
use crate::side_stubs::handlers::ptp::{Op, PtpClock};
use core::mem::offset_of;
use core::ptr::NonNull;
use kernel::prelude::*;
use kernel::sync::Arc;

/// Size of `struct ptp_clock_info`.
pub(crate) const INFO_SIZE: usize = size_of::<bindings::ptp_clock_info>();
/// Size of `struct ptp_clock_request`.
pub(crate) const REQUEST_SIZE: usize = size_of::<bindings::ptp_clock_request>();
/// Size of `struct ptp_system_timestamp`.
pub(crate) const SYSTEM_TIMESTAMP_SIZE: usize = size_of::<bindings::ptp_system_timestamp>();

/// Where the driver's structure holds each field that SIDE reads.
pub(crate) mod field {
    use super::*;
    pub(crate) const NAME: usize = offset_of!(bindings::ptp_clock_info, name);
    pub(crate) const MAX_ADJ: usize = offset_of!(bindings::ptp_clock_info, max_adj);
    pub(crate) const N_ALARM: usize = offset_of!(bindings::ptp_clock_info, n_alarm);
    pub(crate) const N_EXT_TS: usize = offset_of!(bindings::ptp_clock_info, n_ext_ts);
    pub(crate) const N_PER_OUT: usize = offset_of!(bindings::ptp_clock_info, n_per_out);
    pub(crate) const PPS: usize = offset_of!(bindings::ptp_clock_info, pps);
}

/// Offset of the driver's function pointer for each operation.
pub(crate) const fn op_offset(op: Op) -> usize {
    match op {
        Op::AdjFine => offset_of!(bindings::ptp_clock_info, adjfine),
        Op::AdjTime => offset_of!(bindings::ptp_clock_info, adjtime),
        Op::GetTime => offset_of!(bindings::ptp_clock_info, gettime64),
        Op::GetTimeX => offset_of!(bindings::ptp_clock_info, gettimex64),
        Op::SetTime => offset_of!(bindings::ptp_clock_info, settime64),
        Op::GetCross => offset_of!(bindings::ptp_clock_info, getcrosststamp),
        Op::Enable => offset_of!(bindings::ptp_clock_info, enable),
    }
}

/// What the kernel is told of a clock: copied from the driver and checked by the caller.
pub(crate) struct Description {
    pub(crate) name: [u8; 32],
    pub(crate) max_adj: i32,
    pub(crate) n_alarm: i32,
    pub(crate) n_ext_ts: i32,
    pub(crate) n_per_out: i32,
    pub(crate) pps: i32,
}

#[repr(C)]
struct Twin {
    info: bindings::ptp_clock_info,
    clock: *mut bindings::ptp_clock,
    /// Whom the kernel's calls go to: the clock of the driver's present domain.
    object: BhLock<Arc<PtpClock>>,
}

/// A registered clock; dropping it unregisters. Process context.
pub(crate) struct Registered(NonNull<Twin>);

// SAFETY: the twin is only handed to functions that lock.
unsafe impl Send for Registered {}
// SAFETY: as above.
unsafe impl Sync for Registered {}

impl Registered {
    /// Registers the clock of `object` on `parent` with proxies for the operations in `ops`.
    pub(crate) fn new(
        object: &Arc<PtpClock>,
        parent: &PciRef,
        about: &Description,
        ops: impl Fn(Op) -> bool,
    ) -> Result<Self> {
        let mut info = bindings::ptp_clock_info {
            name: about.name,
            max_adj: about.max_adj,
            n_alarm: about.n_alarm,
            n_ext_ts: about.n_ext_ts,
            n_per_out: about.n_per_out,
            pps: about.pps,
            ..Default::default()
        };
        // SAFETY: the module's own structure.
        info.owner = unsafe { bindings::side_this_module() };
        type Info = *mut bindings::ptp_clock_info;
        // The kernel calls these two without a look (`ptp_clock_adjtime` of drivers/ptp/ptp_clock.c); the
        // proxies answer for a driver that has none.
        info.adjfine = Some(entry!(
            side_proxy_ptp_adjfine as unsafe extern "C" fn(Info, isize) -> i32
        ));
        info.adjtime = Some(entry!(
            side_proxy_ptp_adjtime as unsafe extern "C" fn(Info, i64) -> i32
        ));
        if ops(Op::GetTime) {
            info.gettime64 = Some(entry!(
                side_proxy_ptp_gettime as unsafe extern "C" fn(Info, *mut TimeSpec) -> i32
            ));
        }
        if ops(Op::GetTimeX) {
            info.gettimex64 = Some(entry!(
                side_proxy_ptp_gettimex
                    as unsafe extern "C" fn(
                        Info,
                        *mut TimeSpec,
                        *mut bindings::ptp_system_timestamp,
                    ) -> i32
            ));
        }
        if ops(Op::SetTime) {
            info.settime64 = Some(entry!(
                side_proxy_ptp_settime as unsafe extern "C" fn(Info, *const TimeSpec) -> i32
            ));
        }
        if ops(Op::GetCross) {
            info.getcrosststamp = Some(entry!(
                side_proxy_ptp_getcross
                    as unsafe extern "C" fn(Info, *mut bindings::system_device_crosststamp) -> i32
            ));
        }
        if ops(Op::Enable) {
            info.enable = Some(entry!(
                side_proxy_ptp_enable
                    as unsafe extern "C" fn(Info, *mut bindings::ptp_clock_request, i32) -> i32
            ));
        }
        let twin = Twin {
            info,
            clock: core::ptr::null_mut(),
            object: BhLock::new(object.clone()),
        };
        let twin = KBox::into_raw(KBox::new(twin, GFP_KERNEL)?);
        // SAFETY: from a box.
        let registered = Registered(unsafe { NonNull::new_unchecked(twin) });
        // SAFETY: the twin stays until the clock is unregistered; the parent is alive.
        let clock = unsafe { bindings::ptp_clock_register(&raw mut (*twin).info, parent.device()) };
        let status = clock as isize;
        if (-4095..0).contains(&status) {
            return Err(Error::from_errno(status as i32));
        }
        // SAFETY: ours; NULL means that the kernel has no PTP support, and stays NULL.
        unsafe { (*twin).clock = clock };
        Ok(registered)
    }

    /// Lets the kernel's calls go to `object`, the clock of a restarted driver.
    pub(crate) fn serve(&self, object: &Arc<PtpClock>) {
        // SAFETY: the twin lives as long as this value.
        let twin = unsafe { self.0.as_ref() };
        let before = core::mem::replace(&mut *twin.object.lock(), object.clone());
        drop(before);
    }

    /// The number of /dev/ptpN, or -1.
    pub(crate) fn index(&self) -> i32 {
        // SAFETY: the twin lives as long as this value.
        let clock = unsafe { self.0.as_ref().clock };
        if clock.is_null() {
            return -1;
        }
        // SAFETY: a registered clock.
        unsafe { bindings::ptp_clock_index(clock) }
    }
}

impl Drop for Registered {
    fn drop(&mut self) {
        // SAFETY: made by `new`; after the unregistration the kernel calls nothing of it any more.
        unsafe {
            let twin = KBox::from_raw(self.0.as_ptr());
            if !twin.clock.is_null() {
                bindings::ptp_clock_unregister(twin.clock);
            }
        }
    }
}

/// The object of a clock that the kernel calls.
///
/// # Safety
///
/// `info` must be the first field of a live [`Twin`].
unsafe fn object(info: *mut bindings::ptp_clock_info) -> Arc<PtpClock> {
    // SAFETY: as demanded.
    unsafe { (*info.cast::<Twin>()).object.lock().clone() }
}

/// The bytes of a structure of the kernel's.
///
/// # Safety
///
/// `structure` must be valid for reads and writes of `len` bytes, or NULL.
unsafe fn bytes<'a, T>(structure: *mut T, len: usize) -> Option<&'a mut [u8]> {
    if structure.is_null() {
        return None;
    }
    // SAFETY: as demanded.
    Some(unsafe { core::slice::from_raw_parts_mut(structure.cast(), len) })
}

#[no_mangle]
unsafe extern "C" fn side_proxy_ptp_adjfine(
    info: *mut bindings::ptp_clock_info,
    ppm: isize,
) -> i32 {
    // SAFETY: the kernel gives back the info that was registered.
    unsafe { object(info) }.number(Op::AdjFine, ppm as u64)
}

#[no_mangle]
unsafe extern "C" fn side_proxy_ptp_adjtime(info: *mut bindings::ptp_clock_info, by: i64) -> i32 {
    // SAFETY: as above.
    unsafe { object(info) }.number(Op::AdjTime, by as u64)
}

#[no_mangle]
unsafe extern "C" fn side_proxy_ptp_gettime(
    info: *mut bindings::ptp_clock_info,
    time: *mut TimeSpec,
) -> i32 {
    // SAFETY: as above; the kernel's own structure.
    unsafe { object(info).get_time(Op::GetTime, &mut *time, None) }
}

#[no_mangle]
unsafe extern "C" fn side_proxy_ptp_gettimex(
    info: *mut bindings::ptp_clock_info,
    time: *mut TimeSpec,
    system: *mut bindings::ptp_system_timestamp,
) -> i32 {
    // SAFETY: as above; both structures are the kernel's.
    let (object, time, mut system) = unsafe {
        (
            object(info),
            &mut *time,
            bytes(system, SYSTEM_TIMESTAMP_SIZE),
        )
    };
    // All but the clock that is asked for may be what the kernel's stack happened to hold.
    let asked = offset_of!(bindings::ptp_system_timestamp, clockid);
    for (n, byte) in system
        .iter_mut()
        .flat_map(|room| room.iter_mut().enumerate())
    {
        if !(asked..asked + size_of::<i32>()).contains(&n) {
            *byte = 0;
        }
    }
    object.get_time(Op::GetTimeX, time, system)
}

#[no_mangle]
unsafe extern "C" fn side_proxy_ptp_settime(
    info: *mut bindings::ptp_clock_info,
    time: *const TimeSpec,
) -> i32 {
    // SAFETY: as above.
    unsafe { object(info).set_time(&*time) }
}

#[no_mangle]
unsafe extern "C" fn side_proxy_ptp_getcross(
    info: *mut bindings::ptp_clock_info,
    cross: *mut bindings::system_device_crosststamp,
) -> i32 {
    // SAFETY: as above.
    let room = unsafe { bytes(cross, size_of::<bindings::system_device_crosststamp>()) };
    // SAFETY: as above.
    unsafe { object(info) }.exchange(Op::GetCross, room, None)
}

#[no_mangle]
unsafe extern "C" fn side_proxy_ptp_enable(
    info: *mut bindings::ptp_clock_info,
    request: *mut bindings::ptp_clock_request,
    on: i32,
) -> i32 {
    // SAFETY: as above.
    let room = unsafe { bytes(request, REQUEST_SIZE) };
    // SAFETY: as above.
    unsafe { object(info) }.exchange(Op::Enable, room, Some(on as u64))
}
