// SPDX-License-Identifier: GPL-2.0

//! Imports: mutexes, clocks, runtime power management, PTP.

use crate::side_stubs::handlers::{clock, lock, pm, ptp};
use crate::side_stubs::policy::{Arg::*, Where::*, *};

pub(crate) const IMPORTS: &[Import] = &[
    gate("mutex_lock", &[Obj(Kind::Mutex)], Sleep, lock::mutex_lock),
    gate(
        "mutex_lock_interruptible",
        &[Obj(Kind::Mutex)],
        Sleep,
        lock::mutex_lock,
    ),
    gate(
        "mutex_lock_killable",
        &[Obj(Kind::Mutex)],
        Sleep,
        lock::mutex_lock,
    ),
    gate(
        "mutex_trylock",
        &[Obj(Kind::Mutex)],
        Sleep,
        lock::mutex_trylock,
    ),
    gate(
        "mutex_unlock",
        &[Obj(Kind::Mutex)],
        Sleep,
        lock::mutex_unlock,
    ),
    gate(
        "mutex_is_locked",
        &[Obj(Kind::Mutex)],
        Any,
        lock::mutex_is_locked,
    ),
    gate(
        "__mutex_init",
        &[Addr, StrOrNull, Word],
        Any,
        lock::mutex_init,
    ),
    gate("mutex_init_generic", &[Addr], Any, lock::mutex_init),
    gate("ktime_get", &[], Any, clock::get),
    // Monotonic time is what a domain knows of the scheduler's.
    gate("sched_clock", &[], Any, clock::get),
    gate("local_clock", &[], Any, clock::get),
    gate(
        "set_normalized_timespec64",
        &[Addr, Word, Word],
        Any,
        clock::set_normalized,
    ),
    gate("ktime_get_real_seconds", &[], Any, clock::real_seconds),
    gate("ktime_get_with_offset", &[Word], Any, clock::with_offset),
    gate("ktime_get_ts64", &[Addr], Any, clock::monotonic_ts64),
    gate("ktime_get_real_ts64", &[Addr], Any, clock::real_ts64),
    gate("ktime_get_raw_ts64", &[Addr], Any, clock::raw_ts64),
    gate("ktime_get_snapshot_id", &[Word, Addr], Any, clock::snapshot),
    gate(
        "get_device_system_crosststamp",
        &[Fn, Word, AddrOrNull, Addr],
        Any,
        clock::crosststamp,
    ),
    gate(
        "cpu_latency_qos_add_request",
        &[Addr, Word],
        Sleep,
        pm::qos_add,
    ),
    gate(
        "cpu_latency_qos_update_request",
        &[Addr, Word],
        Sleep,
        pm::qos_update,
    ),
    gate(
        "cpu_latency_qos_remove_request",
        &[Addr],
        Sleep,
        pm::qos_remove,
    ),
    gate(
        "__pm_runtime_resume",
        &[Obj(Kind::Device), Word],
        Any,
        pm::runtime_resume,
    ),
    gate(
        "__pm_runtime_idle",
        &[Obj(Kind::Device), Word],
        Any,
        pm::runtime_idle,
    ),
    gate(
        "__pm_runtime_suspend",
        &[Obj(Kind::Device), Word],
        Any,
        pm::runtime_suspend,
    ),
    gate(
        "pm_schedule_suspend",
        &[Obj(Kind::Device), Word],
        Any,
        pm::schedule_suspend,
    ),
    data("pm_suspend_global_flags", 4, Init::Zero),
    gate(
        "ptp_clock_register",
        &[Addr, Obj(Kind::Device)],
        Sleep,
        ptp::register,
    ),
    gate(
        "ptp_clock_unregister",
        &[Obj(Kind::PtpClock)],
        Sleep,
        ptp::unregister,
    ),
    deny("ptp_clock_event", "clock events are not passed on"),
    local("ptp_find_pin"),
    gate("ptp_clock_index", &[Obj(Kind::PtpClock)], Any, ptp::index),
];
