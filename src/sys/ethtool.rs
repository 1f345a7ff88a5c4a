// SPDX-License-Identifier: GPL-2.0

//! The ethtool operations that the kernel calls on SIDE's net_devices.
//!
//! For all of them: the kernel calls them with a registered device of SIDE's, in process context,
//! with the arguments that include/linux/ethtool.h promises; structures are the caller's own and
//! plain data.

use super::bindings::{self, ethtool_ops, net_device};
use super::entry;
use super::net_proxies::{bytes, owner, Slot};
use crate::side_stubs::handlers::ethtool::{end_strings, Part};
use core::ffi::{c_int, c_uint, c_void};
use core::mem::{offset_of, size_of};

/// The data fields of `ethtool_ops` that are taken over, each cut to what the kernel knows.
#[derive(Clone, Copy, Default)]
pub(crate) struct Data {
    pub(crate) coalesce: u32,
    pub(crate) ring: u32,
    pub(crate) hwtstamp_qualifiers: u32,
    pub(crate) needs_rtnl: u32,
}

/// Where those fields are in the driver's table.
pub(crate) const COALESCE: u64 = offset_of!(ethtool_ops, supported_coalesce_params) as u64;
pub(crate) const RING: u64 = offset_of!(ethtool_ops, supported_ring_params) as u64;
pub(crate) const QUALIFIERS: u64 = offset_of!(ethtool_ops, supported_hwtstamp_qualifiers) as u64;
pub(crate) const NEEDS_RTNL: u64 = offset_of!(ethtool_ops, op_needs_rtnl) as u64;

macro_rules! slot {
    ($op:ident) => {
        offset_of!(ethtool_ops, $op)
    };
}

/// A table with the slots that the driver's has and that SIDE carries across.
pub(super) fn table(slot: impl Fn(usize) -> Slot, data: &Data) -> ethtool_ops {
    let mut ops = ethtool_ops::default();
    macro_rules! fill {
        ($($op:ident = $proxy:ident),* $(,)?) => { $(
            if slot(slot!($op)) == Slot::Driver {
                ops.$op = Some(entry!($proxy));
            }
        )* };
    }
    fill!(
        get_drvinfo = side_proxy_get_drvinfo,
        get_regs_len = side_proxy_get_regs_len,
        get_regs = side_proxy_get_regs,
        get_wol = side_proxy_get_wol,
        set_wol = side_proxy_set_wol,
        get_msglevel = side_proxy_get_msglevel,
        set_msglevel = side_proxy_set_msglevel,
        nway_reset = side_proxy_nway_reset,
        get_link = side_proxy_get_link,
        get_eeprom_len = side_proxy_get_eeprom_len,
        get_eeprom = side_proxy_get_eeprom,
        set_eeprom = side_proxy_set_eeprom,
        get_coalesce = side_proxy_get_coalesce,
        get_ringparam = side_proxy_get_ringparam,
        set_ringparam = side_proxy_set_ringparam,
        get_pause_stats = side_proxy_get_pause_stats,
        get_pauseparam = side_proxy_get_pauseparam,
        set_pauseparam = side_proxy_set_pauseparam,
        self_test = side_proxy_self_test,
        get_strings = side_proxy_get_strings,
        set_phys_id = side_proxy_set_phys_id,
        get_ethtool_stats = side_proxy_get_ethtool_stats,
        begin = side_proxy_begin,
        complete = side_proxy_complete,
        get_priv_flags = side_proxy_get_priv_flags,
        set_priv_flags = side_proxy_set_priv_flags,
        get_sset_count = side_proxy_get_sset_count,
        get_rxfh_fields = side_proxy_get_rxfh_fields,
        get_channels = side_proxy_get_channels,
        set_channels = side_proxy_set_channels,
        get_ts_info = side_proxy_get_ts_info,
        get_eee = side_proxy_get_eee,
        set_eee = side_proxy_set_eee,
        get_link_ksettings = side_proxy_get_link_ksettings,
        set_link_ksettings = side_proxy_set_link_ksettings,
    );
    // The kernel warns about a table that sets what it does not declare.
    if data.coalesce != 0 && slot(slot!(set_coalesce)) == Slot::Driver {
        ops.set_coalesce = Some(entry!(side_proxy_set_coalesce));
    }
    if slot(slot!(get_link)) == Slot::Kernel("ethtool_op_get_link") {
        ops.get_link = Some(bindings::ethtool_op_get_link);
    }
    if slot(slot!(get_ts_info)) == Slot::Kernel("ethtool_op_get_ts_info") {
        ops.get_ts_info = Some(bindings::ethtool_op_get_ts_info);
    }
    ops.supported_coalesce_params = data.coalesce;
    ops.supported_ring_params = data.ring;
    ops.supported_hwtstamp_qualifiers = data.hwtstamp_qualifiers;
    ops.op_needs_rtnl = data.needs_rtnl;
    ops
}

/// Operations with one structure that goes in and comes back whole, and an error or none.
macro_rules! status_structures {
    ($($proxy:ident: $op:ident($type:ty);)*) => { $(
        #[no_mangle]
        unsafe extern "C" fn $proxy(dev: *mut net_device, value: *mut $type) -> c_int {
            // SAFETY: see the head of this file.
            let (device, value) = unsafe { (owner(dev), bytes(value)) };
            let all = 0..value.len();
            device.ethtool_status(slot!($op), stringify!($op), &mut [Part::Data(value, all)])
        }
    )* };
}

/// As above without an answer.
macro_rules! void_structures {
    ($($proxy:ident: $op:ident($type:ty);)*) => { $(
        #[no_mangle]
        unsafe extern "C" fn $proxy(dev: *mut net_device, value: *mut $type) {
            // SAFETY: see the head of this file.
            let (device, value) = unsafe { (owner(dev), bytes(value)) };
            let all = 0..value.len();
            let _ = device.ethtool(slot!($op), stringify!($op), &mut [Part::Data(value, all)]);
        }
    )* };
}

/// Operations without an argument that answer a number.
macro_rules! numbers {
    ($($proxy:ident: $op:ident;)*) => { $(
        #[no_mangle]
        unsafe extern "C" fn $proxy(dev: *mut net_device) -> u32 {
            // SAFETY: see the head of this file.
            unsafe { owner(dev) }.ethtool_number(slot!($op), stringify!($op), &mut [])
        }
    )* };
}

status_structures! {
    side_proxy_set_wol: set_wol(bindings::ethtool_wolinfo);
    side_proxy_set_pauseparam: set_pauseparam(bindings::ethtool_pauseparam);
    side_proxy_get_rxfh_fields: get_rxfh_fields(bindings::ethtool_rxfh_fields);
    side_proxy_set_channels: set_channels(bindings::ethtool_channels);
    side_proxy_get_ts_info: get_ts_info(bindings::kernel_ethtool_ts_info);
    side_proxy_get_eee: get_eee(bindings::ethtool_keee);
    side_proxy_set_eee: set_eee(bindings::ethtool_keee);
    side_proxy_get_link_ksettings: get_link_ksettings(bindings::ethtool_link_ksettings);
}

void_structures! {
    side_proxy_get_wol: get_wol(bindings::ethtool_wolinfo);
    side_proxy_get_pauseparam: get_pauseparam(bindings::ethtool_pauseparam);
    side_proxy_get_pause_stats: get_pause_stats(bindings::ethtool_pause_stats);
}

numbers! {
    side_proxy_get_msglevel: get_msglevel;
    side_proxy_get_link: get_link;
    side_proxy_get_priv_flags: get_priv_flags;
}

/// More channels than any device has: the kernel walks through as many as it is told (net/ethtool/channels.c).
const CHANNELS_MAX: u32 = 4096;

#[no_mangle]
unsafe extern "C" fn side_proxy_get_channels(
    dev: *mut net_device,
    channels: *mut bindings::ethtool_channels,
) {
    // SAFETY: see the head of this file.
    let (device, value) = unsafe { (owner(dev), bytes(channels)) };
    let all = 0..value.len();
    let parts = &mut [Part::Data(value, all)];
    let _ = device.ethtool(slot!(get_channels), "get_channels", parts);
    // SAFETY: the kernel's structure, which nothing else refers to any more.
    let channels = unsafe { &mut *channels };
    for count in [
        &mut channels.max_rx,
        &mut channels.max_tx,
        &mut channels.max_other,
        &mut channels.max_combined,
        &mut channels.rx_count,
        &mut channels.tx_count,
        &mut channels.other_count,
        &mut channels.combined_count,
    ] {
        *count = (*count).min(CHANNELS_MAX);
    }
}

#[no_mangle]
unsafe extern "C" fn side_proxy_get_drvinfo(
    dev: *mut net_device,
    info: *mut bindings::ethtool_drvinfo,
) {
    // SAFETY: see the head of this file.
    let (device, info) = unsafe { (owner(dev), bytes(info)) };
    // The strings; `cmd` before and the counts after them are the kernel's.
    let strings = 4..offset_of!(bindings::ethtool_drvinfo, n_priv_flags);
    let parts = &mut [Part::Data(info, strings.clone())];
    let _ = device.ethtool(slot!(get_drvinfo), "get_drvinfo", parts);
    end_strings(info, 4..4 + 5 * 32, 32);
}

#[no_mangle]
unsafe extern "C" fn side_proxy_get_regs_len(dev: *mut net_device) -> c_int {
    // SAFETY: see the head of this file.
    unsafe { owner(dev) }.regs_len(slot!(get_regs_len))
}

#[no_mangle]
unsafe extern "C" fn side_proxy_get_regs(
    dev: *mut net_device,
    regs: *mut bindings::ethtool_regs,
    buffer: *mut c_void,
) {
    // SAFETY: see the head of this file.
    let device = unsafe { owner(dev) };
    let room = device.regs_room();
    if buffer.is_null() || room == 0 {
        return;
    }
    // SAFETY: the kernel made the buffer as long as `get_regs_len` said, under the same lock.
    let buffer = unsafe { core::slice::from_raw_parts_mut(buffer.cast::<u8>(), room) };
    // SAFETY: see the head of this file.
    let regs = unsafe { bytes(regs) };
    let version = offset_of!(bindings::ethtool_regs, version);
    let parts = &mut [
        Part::Data(regs, version..version + 4),
        Part::Data(buffer, 0..room),
    ];
    let _ = device.ethtool(slot!(get_regs), "get_regs", parts);
}

#[no_mangle]
unsafe extern "C" fn side_proxy_set_msglevel(dev: *mut net_device, level: u32) {
    // SAFETY: see the head of this file.
    let device = unsafe { owner(dev) };
    let parts = &mut [Part::Word(level.into())];
    let _ = device.ethtool(slot!(set_msglevel), "set_msglevel", parts);
}

#[no_mangle]
unsafe extern "C" fn side_proxy_nway_reset(dev: *mut net_device) -> c_int {
    // SAFETY: see the head of this file.
    unsafe { owner(dev) }.ethtool_status(slot!(nway_reset), "nway_reset", &mut [])
}

#[no_mangle]
unsafe extern "C" fn side_proxy_begin(dev: *mut net_device) -> c_int {
    // SAFETY: see the head of this file.
    unsafe { owner(dev) }.ethtool_status(slot!(begin), "begin", &mut [])
}

#[no_mangle]
unsafe extern "C" fn side_proxy_complete(dev: *mut net_device) {
    // SAFETY: see the head of this file.
    let _ = unsafe { owner(dev) }.ethtool(slot!(complete), "complete", &mut []);
}

#[no_mangle]
unsafe extern "C" fn side_proxy_get_eeprom_len(dev: *mut net_device) -> c_int {
    // SAFETY: see the head of this file.
    unsafe { owner(dev) }.ethtool_length(slot!(get_eeprom_len), "get_eeprom_len")
}

#[no_mangle]
unsafe extern "C" fn side_proxy_get_eeprom(
    dev: *mut net_device,
    eeprom: *mut bindings::ethtool_eeprom,
    data: *mut u8,
) -> c_int {
    // SAFETY: see the head of this file; the buffer is `len` bytes long.
    let (device, data) = unsafe {
        (
            owner(dev),
            core::slice::from_raw_parts_mut(data, (*eeprom).len as usize),
        )
    };
    // SAFETY: see the head of this file.
    let eeprom = unsafe { bytes(eeprom) };
    let magic = offset_of!(bindings::ethtool_eeprom, magic);
    let all = 0..data.len();
    let parts = &mut [Part::Data(eeprom, magic..magic + 4), Part::Data(data, all)];
    device.ethtool_status(slot!(get_eeprom), "get_eeprom", parts)
}

#[no_mangle]
unsafe extern "C" fn side_proxy_set_eeprom(
    dev: *mut net_device,
    eeprom: *mut bindings::ethtool_eeprom,
    data: *mut u8,
) -> c_int {
    // SAFETY: see the head of this file; the buffer is `len` bytes long.
    let (device, data) = unsafe {
        (
            owner(dev),
            core::slice::from_raw_parts_mut(data, (*eeprom).len as usize),
        )
    };
    // SAFETY: see the head of this file.
    let eeprom = unsafe { bytes(eeprom) };
    let parts = &mut [Part::Data(eeprom, 0..0), Part::In(data)];
    device.ethtool_status(slot!(set_eeprom), "set_eeprom", parts)
}

#[no_mangle]
unsafe extern "C" fn side_proxy_get_coalesce(
    dev: *mut net_device,
    coalesce: *mut bindings::ethtool_coalesce,
    more: *mut bindings::kernel_ethtool_coalesce,
    _extack: *mut bindings::netlink_ext_ack,
) -> c_int {
    // SAFETY: see the head of this file.
    let (device, coalesce, more) = unsafe { (owner(dev), bytes(coalesce), bytes(more)) };
    let (all, all_more) = (4..coalesce.len(), 0..more.len());
    let parts = &mut [
        Part::Data(coalesce, all),
        Part::Data(more, all_more),
        Part::Word(0),
    ];
    device.ethtool_status(slot!(get_coalesce), "get_coalesce", parts)
}

#[no_mangle]
unsafe extern "C" fn side_proxy_set_coalesce(
    dev: *mut net_device,
    coalesce: *mut bindings::ethtool_coalesce,
    more: *mut bindings::kernel_ethtool_coalesce,
    _extack: *mut bindings::netlink_ext_ack,
) -> c_int {
    // SAFETY: see the head of this file.
    let (device, coalesce, more) = unsafe { (owner(dev), bytes(coalesce), bytes(more)) };
    let parts = &mut [Part::In(coalesce), Part::In(more), Part::Word(0)];
    device.ethtool_status(slot!(set_coalesce), "set_coalesce", parts)
}

#[no_mangle]
unsafe extern "C" fn side_proxy_get_ringparam(
    dev: *mut net_device,
    ring: *mut bindings::ethtool_ringparam,
    kernel_ring: *mut bindings::kernel_ethtool_ringparam,
    _extack: *mut bindings::netlink_ext_ack,
) {
    // SAFETY: see the head of this file.
    let (device, ring, more) = unsafe { (owner(dev), bytes(ring), bytes(kernel_ring)) };
    let (all, all_more) = (4..ring.len(), 0..more.len());
    let parts = &mut [
        Part::Data(ring, all),
        Part::Data(more, all_more),
        Part::Word(0),
    ];
    let _ = device.ethtool(slot!(get_ringparam), "get_ringparam", parts);
    // SAFETY: the kernel's structure, which nothing else refers to any more.
    let split = unsafe { &mut (*kernel_ring).tcp_data_split };
    // ETHTOOL_TCP_DATA_SPLIT_ENABLED: the kernel warns about more (net/ethtool/rings.c).
    *split = (*split).min(2);
}

#[no_mangle]
unsafe extern "C" fn side_proxy_set_ringparam(
    dev: *mut net_device,
    ring: *mut bindings::ethtool_ringparam,
    more: *mut bindings::kernel_ethtool_ringparam,
    _extack: *mut bindings::netlink_ext_ack,
) -> c_int {
    // SAFETY: see the head of this file.
    let (device, ring, more) = unsafe { (owner(dev), bytes(ring), bytes(more)) };
    let parts = &mut [Part::In(ring), Part::In(more), Part::Word(0)];
    device.ethtool_status(slot!(set_ringparam), "set_ringparam", parts)
}

#[no_mangle]
unsafe extern "C" fn side_proxy_self_test(
    dev: *mut net_device,
    test: *mut bindings::ethtool_test,
    results: *mut u64,
) {
    // SAFETY: see the head of this file; there are `len` results.
    let (device, results) = unsafe {
        let bytes = (*test).len as usize * size_of::<u64>();
        (
            owner(dev),
            core::slice::from_raw_parts_mut(results.cast::<u8>(), bytes),
        )
    };
    // SAFETY: see the head of this file.
    let test = unsafe { bytes(test) };
    let flags = offset_of!(bindings::ethtool_test, flags);
    let all = 0..results.len();
    let parts = &mut [Part::Data(test, flags..flags + 4), Part::Data(results, all)];
    if device
        .ethtool(slot!(self_test), "self_test", parts)
        .is_err()
    {
        // ETH_TEST_FL_FAILED.
        test[flags] |= 2;
    }
}

#[no_mangle]
unsafe extern "C" fn side_proxy_get_strings(dev: *mut net_device, set: u32, strings: *mut u8) {
    // SAFETY: see the head of this file.
    let device = unsafe { owner(dev) };
    let room = device.strings_room(set);
    if strings.is_null() || room == 0 {
        return;
    }
    // SAFETY: the kernel made the buffer for as many strings as `get_sset_count` said.
    let strings = unsafe { core::slice::from_raw_parts_mut(strings, room) };
    let parts = &mut [Part::Word(set.into()), Part::Data(strings, 0..room)];
    let _ = device.ethtool(slot!(get_strings), "get_strings", parts);
    end_strings(strings, 0..room, 32);
}

#[no_mangle]
unsafe extern "C" fn side_proxy_set_phys_id(dev: *mut net_device, state: c_uint) -> c_int {
    // SAFETY: see the head of this file.
    unsafe { owner(dev) }.phys_id(slot!(set_phys_id), state)
}

#[no_mangle]
unsafe extern "C" fn side_proxy_get_ethtool_stats(
    dev: *mut net_device,
    stats: *mut bindings::ethtool_stats,
    values: *mut u64,
) {
    // SAFETY: see the head of this file; there are `n_stats` values.
    let (device, values) = unsafe {
        let bytes = (*stats).n_stats as usize * size_of::<u64>();
        (
            owner(dev),
            core::slice::from_raw_parts_mut(values.cast::<u8>(), bytes),
        )
    };
    // SAFETY: see the head of this file.
    let stats = unsafe { bytes(stats) };
    let all = 0..values.len();
    let parts = &mut [Part::In(stats), Part::Data(values, all)];
    let _ = device.ethtool(slot!(get_ethtool_stats), "get_ethtool_stats", parts);
}

#[no_mangle]
unsafe extern "C" fn side_proxy_set_priv_flags(dev: *mut net_device, flags: u32) -> c_int {
    // SAFETY: see the head of this file.
    let device = unsafe { owner(dev) };
    let parts = &mut [Part::Word(flags.into())];
    device.ethtool_status(slot!(set_priv_flags), "set_priv_flags", parts)
}

#[no_mangle]
unsafe extern "C" fn side_proxy_get_sset_count(dev: *mut net_device, set: c_int) -> c_int {
    // SAFETY: see the head of this file.
    unsafe { owner(dev) }.sset_count(slot!(get_sset_count), set)
}

#[no_mangle]
unsafe extern "C" fn side_proxy_set_link_ksettings(
    dev: *mut net_device,
    settings: *const bindings::ethtool_link_ksettings,
) -> c_int {
    // SAFETY: see the head of this file.
    let (device, settings) = unsafe { (owner(dev), bytes(settings.cast_mut())) };
    device.ethtool_status(
        slot!(set_link_ksettings),
        "set_link_ksettings",
        &mut [Part::In(settings)],
    )
}
