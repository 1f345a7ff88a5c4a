// SPDX-License-Identifier: GPL-2.0

//! The imports by which a driver makes, registers and steers its network devices.

use super::net::{NetDevice, ADDRESS_MAX};
use super::{adopt, napi};
use crate::call::{errno, int, Call, Outcome, Violation};
use crate::domain::Domain;
use crate::side_stubs::contract::{stub_index, STUB_BASE};
use crate::side_stubs::rings::DIRECT_ENTRY;
use crate::side_stubs::table;
use crate::sys::features;
use crate::sys::net::{self, Configuration, RealDevice};
use crate::sys::net_layout::*;
use crate::sys::net_proxies::{Slot, Tables};
use crate::sys::{ethtool, net::Parent};
use core::sync::atomic::Ordering;
use kernel::alloc::flags::GFP_ATOMIC;
use kernel::prelude::*;
use kernel::sync::Arc;

/// The largest private area and the most queues that a driver may ask for.
const MAX_PRIVATE: u64 = 4 << 20;
const MAX_QUEUES: u32 = 256;
/// Devices of a domain: each costs the kernel more than it costs the driver.
const DEVICES_MAX: usize = 64;
/// The largest MTU that is accepted, and the smallest.
const MAX_MTU: u32 = 65_535;
const MIN_MTU: u32 = 68;
/// `HZ * 60` in ticks of at most 1000 a second: the longest transmit watchdog.
const MAX_WATCHDOG: i32 = 60_000;

pub(crate) fn make(call: &Call<'_>, private: u64, tx: u32, rx: u32) -> Outcome {
    if private > MAX_PRIVATE || tx == 0 || rx == 0 || tx > MAX_QUEUES || rx > MAX_QUEUES {
        return Err(Violation::new("bad-device-size", private));
    }
    if call.domain.net.devices.len() >= DEVICES_MAX {
        return Err(Violation::new("too-many-devices", DEVICES_MAX as u64));
    }
    Ok(match NetDevice::new(call.domain, private, tx, rx) {
        Ok(device) => device.handle,
        Err(_) => 0,
    })
}

/// `alloc_etherdev_mqs(sizeof_priv, txqs, rxqs)`.
pub(crate) fn alloc_etherdev(call: &mut Call<'_>) -> Outcome {
    make(call, call.uint(0).into(), call.uint(1), call.uint(2))
}

/// `alloc_netdev_mqs(sizeof_priv, name, name_assign_type, setup, txqs, rxqs)` for Ethernet: `setup` is
/// the kernel's `ether_setup()`, or a function of the driver's that calls it.
pub(crate) fn alloc_netdev(call: &mut Call<'_>) -> Outcome {
    let setup = call.arg(3);
    let own = match kernel_function(setup) {
        Some("ether_setup") => false,
        None if call.domain.memory.is_text(setup) => true,
        _ => return Err(Violation::new("not-ethernet", setup)),
    };
    let mut buffer = [0; 15];
    let name = call.read_str(call.arg(1), &mut buffer)?;
    let mut kept = [0; 16];
    kept[..name.len()].copy_from_slice(name);
    let handle = make(call, call.arg(0), call.uint(4), call.uint(5))?;
    if handle == 0 {
        return Ok(0);
    }
    if own {
        call.write(handle + DEVICE_TYPE, 0u16)?;
        if call.upcall("setup", setup, &[handle]).is_err() {
            return Ok(0);
        }
        if call.read::<u16>(handle + DEVICE_TYPE)? != ARPHRD_ETHER {
            return Err(Violation::new("not-ethernet", setup));
        }
    }
    call.write_bytes(handle + DEVICE_NAME, &kept)?;
    Ok(handle)
}

/// That the driver does not hold the device's own lock, which the kernel is about to take and would wait
/// for for ever.
fn unlocked(device: &NetDevice) -> Result<(), Violation> {
    match device.holds_lock() {
        true => Err(Violation::new("netdev-lock-held", device.handle)),
        false => Ok(()),
    }
}

/// `free_netdev(dev)`.
pub(crate) fn free_netdev(call: &mut Call<'_>) -> Outcome {
    free(call.domain, call.arg(0)).map(|()| 0)
}

/// Frees the net device at `handle`, which is not registered. Process context.
pub(crate) fn free(domain: &Domain, handle: u64) -> Result<(), Violation> {
    let gone = Violation::new("not-a-net-device", handle);
    let device = domain.net.devices.remove(handle).ok_or(gone)?;
    // Out of the table first: either this sees that another CPU registers it or has its lock, or that one sees that
    // it is gone.
    let refused = if device.registered.load(Ordering::SeqCst) {
        "free-of-registered-device"
    } else if device.lock_holder.load(Ordering::SeqCst) != 0 {
        "netdev-lock-held"
    } else {
        ""
    };
    if !refused.is_empty() {
        // The release is to find it.
        let _ = domain.net.devices.insert(handle, device);
        return Err(Violation::new(refused, handle));
    }
    napi::remove_all(&device);
    device.forget_kept();
    match domain.memory.free(device.handle) {
        Ok(()) => Ok(()),
        Err(_) => Err(Violation::new("not-a-net-device", handle)),
    }
}

/// `dev_close(dev)`, with RTNL held by the driver's caller or itself.
pub(crate) fn close(call: &mut Call<'_>) -> Outcome {
    let device = call.domain.net.device(call.arg(0))?;
    if !device.registered.load(Ordering::Acquire) || !call.domain.net.has_rtnl() {
        return Err(Violation::new("rtnl-not-held", call.arg(0)));
    }
    unlocked(&device)?;
    // The kernel has it in a list of devices to close already (`netif_close_many` of net/core/dev.c).
    if device.stopping.load(Ordering::Acquire) {
        return Err(Violation::new("closed-while-closing", call.arg(0)));
    }
    device.real.close();
    Ok(0)
}

/// The import whose stub is at `address`, as a table of operations may name it.
fn kernel_function(address: u64) -> Option<&'static str> {
    if address < STUB_BASE {
        return None;
    }
    let index = stub_index(address.checked_add(2)?)?;
    Some(table::get(index as usize)?.name)
}

/// Reads the driver's table at `place` into `words` and says what its slots hold.
fn read_table(
    call: &Call<'_>,
    place: u64,
    words: &[core::sync::atomic::AtomicU64],
    first: usize,
) -> Result<(), Violation> {
    for word in words {
        word.store(0, Ordering::Relaxed);
    }
    if place == 0 {
        return Ok(());
    }
    for (n, word) in words.iter().enumerate().skip(first) {
        word.store(
            call.read(place.wrapping_add(n as u64 * 8))?,
            Ordering::Relaxed,
        );
    }
    Ok(())
}

fn slot(device: &NetDevice, words: &[core::sync::atomic::AtomicU64], offset: usize) -> Slot {
    let value = words
        .get(offset / 8)
        .map_or(0, |word| word.load(Ordering::Relaxed));
    if value == 0 {
        return Slot::Absent;
    }
    match kernel_function(value) {
        Some(name) => Slot::Kernel(name),
        None if device.domain.memory.is_text(value) => Slot::Driver,
        None => Slot::Absent,
    }
}

/// Takes over what the driver set in the shadow, and makes the tables of operations.
fn configure(call: &Call<'_>, device: &Arc<NetDevice>) -> Result<Result<()>, Violation> {
    let at = |offset: u64| device.handle + offset;
    let ndo: u64 = call.read(at(DEVICE_NETDEV_OPS))?;
    let operations: u64 = call.read(at(DEVICE_ETHTOOL_OPS))?;
    read_table(call, ndo, &device.ndo, 0)?;
    // Data before the first operation of `ethtool_ops`.
    let first = (ethtool::NEEDS_RTNL as usize + 4) / 8;
    read_table(call, operations, &device.ethtool, first)?;
    let at_operations = |offset: u64| operations.wrapping_add(offset);
    let mut data = ethtool::Data::default();
    if operations != 0 {
        // 31 coalescing parameters and 7 ring parameters exist in this kernel.
        data.coalesce = call.read::<u32>(at_operations(ethtool::COALESCE))? & 0x7fff_ffff;
        data.ring = call.read::<u32>(at_operations(ethtool::RING))? & 0x7f;
        data.hwtstamp_qualifiers = call.read::<u32>(at_operations(ethtool::QUALIFIERS))? & 3;
        data.needs_rtnl = call.read(at_operations(ethtool::NEEDS_RTNL))?;
    }
    let ndo_slot = |offset| slot(device, &device.ndo, offset);
    let tables = Tables::new(
        ndo_slot,
        |offset| slot(device, &device.ethtool, offset),
        &data,
    );
    let tables = match tables {
        Ok(tables) => tables,
        Err(error) => return Ok(Err(error)),
    };
    let mut allowed = features::ALLOWED;
    if !tables.filters_vlans() {
        allowed &= !features::VLAN_FILTERS;
    }
    if let Err(error) = device.real.set_tables(tables) {
        return Ok(Err(error));
    }
    device.real.enter_directly(device.domain.has(DIRECT_ENTRY));

    let mut name = [0; 16];
    call.read_bytes(at(DEVICE_NAME), &mut name)?;
    name[15] = 0;
    let parent: u64 = call.read(at(DEVICE_PARENT))?;
    let max_mtu = call.read::<u32>(at(DEVICE_MAX_MTU))?;
    let max_mtu = if max_mtu == 0 {
        MAX_MTU
    } else {
        core::cmp::min(max_mtu, MAX_MTU)
    };
    let min_mtu = core::cmp::min(call.read::<u32>(at(DEVICE_MIN_MTU))?, max_mtu);
    let mtu = call.read::<u32>(at(DEVICE_MTU))?;
    let configuration = Configuration {
        features: call.read::<u64>(at(DEVICE_FEATURES))? & allowed,
        hw_features: call.read::<u64>(at(DEVICE_HW_FEATURES))? & allowed,
        vlan_features: call.read::<u64>(at(DEVICE_VLAN_FEATURES))? & allowed,
        hw_enc_features: call.read::<u64>(at(DEVICE_HW_ENC_FEATURES))? & allowed,
        mtu: mtu.clamp(core::cmp::max(min_mtu, MIN_MTU.min(max_mtu)), max_mtu),
        min_mtu,
        max_mtu,
        watchdog_timeo: call
            .read::<i32>(at(DEVICE_WATCHDOG_TIMEO))?
            .clamp(0, MAX_WATCHDOG),
        irq: call.read(at(DEVICE_IRQ))?,
        mem_start: 0,
        mem_end: 0,
        base_addr: call.read(at(DEVICE_BASE_ADDR))?,
        name,
        parent: parent_of(call, parent),
    };
    device.real.configure(&configuration);
    let flags: u32 = call.read(at(DEVICE_PRIV_FLAGS))?;
    device.real.add_priv_flags(flags & features::PRIV_FLAGS);
    Ok(Ok(()))
}

/// The kernel's device behind the shadow at `handle`.
fn parent_of(call: &Call<'_>, handle: u64) -> Option<Parent> {
    Some(call.domain.pci.by_device(handle)?.raw.parent())
}

/// Registers the device at argument 0; RTNL is held.
fn register(call: &Call<'_>) -> Outcome {
    let device = call.domain.net.device(call.arg(0))?;
    unlocked(&device)?;
    if device.registered.load(Ordering::Acquire) {
        return Err(Violation::new("registered-twice", call.arg(0)));
    }
    // What was unregistered can only be freed: the kernel stops at a second registration.
    if device.real.field::<1>(DEVICE_REG_STATE) != [0] {
        return Err(Violation::new("registered-twice", call.arg(0)));
    }
    if let Err(error) = configure(call, &device)? {
        return Ok(errno(error));
    }
    device.offer(device.real.features() | device.real.hw_features());
    if let Some(interface) = adopt::candidate(call, &device)? {
        let adopted = adopt::adopt(call, &device, &interface)?;
        return Ok(adopted.map_or_else(errno, |()| 0));
    }
    // Before the stack knows it: its first upcalls may end the domain.
    let interface = match adopt::begin(call, &device) {
        Ok(interface) => interface,
        Err(error) => return Ok(errno(error)),
    };
    device.registered.store(true, Ordering::SeqCst);
    if call.domain.net.devices.get(device.handle).is_none() {
        device.registered.store(false, Ordering::Release);
        return Err(Violation::new("not-a-net-device", device.handle));
    }
    let result = device.real.register();
    if result != 0 {
        device.registered.store(false, Ordering::Release);
        return Ok(int(result));
    }
    if let Err(error) = adopt::note(&device, interface) {
        device.registered.store(false, Ordering::Release);
        device.real.unregister();
        return Ok(errno(error));
    }
    device.scheduled.store(true, Ordering::Release);
    // What the driver woke meanwhile.
    device.sync_queues();
    call.write_bytes(device.handle + DEVICE_NAME, &device.name())?;
    call.write(
        device.handle + DEVICE_REG_STATE,
        device.real.field::<1>(DEVICE_REG_STATE),
    )?;
    let permanent: [u8; 32] = device.real.field(DEVICE_PERM_ADDR);
    call.write_bytes(device.handle + DEVICE_PERM_ADDR, &permanent)?;
    call.write_bytes(
        device.handle + DEVICE_WANTED_FEATURES,
        &device.real.field::<8>(DEVICE_WANTED_FEATURES),
    )?;
    call.write_bytes(
        device.handle + DEVICE_HW_FEATURES,
        &device.real.field::<8>(DEVICE_HW_FEATURES),
    )?;
    device.show_again();
    device.sync_in();
    Ok(0)
}

/// `register_netdev(dev)`.
pub(crate) fn register_netdev(call: &mut Call<'_>) -> Outcome {
    call.domain.net.rtnl_lock(call.domain)?;
    let result = register(call);
    call.domain.net.rtnl_unlock()?;
    result
}

/// `register_netdevice(dev)`, with RTNL held by the driver.
pub(crate) fn register_netdevice(call: &mut Call<'_>) -> Outcome {
    call.domain.net.need_rtnl()?;
    register(call)
}

/// Unregisters the device at argument 0; RTNL is held.
fn unregister(call: &Call<'_>) -> Outcome {
    let device = call.domain.net.device(call.arg(0))?;
    if !device.registered.load(Ordering::Acquire) {
        return Err(Violation::new("device-not-registered", call.arg(0)));
    }
    unlocked(&device)?;
    // The kernel lets go of it when RTNL is let go.
    let kept = call
        .domain
        .net
        .leaving
        .lock()
        .push(device.clone(), GFP_ATOMIC);
    kept.map_err(|_| Violation::new("out-of-memory", call.arg(0)))?;
    device.registered.store(false, Ordering::Release);
    // An interface that was adopted and not handed over yet stays for the next attempt.
    if !device.veil.is_fresh() && adopt::may_unregister(&device) {
        device.real.unregister();
        adopt::forget(&device);
    }
    Ok(0)
}

/// `unregister_netdev(dev)`. The kernel waits for the last user of the device when RTNL is let go.
pub(crate) fn unregister_netdev(call: &mut Call<'_>) -> Outcome {
    call.domain.net.rtnl_lock(call.domain)?;
    let result = unregister(call);
    call.domain.net.rtnl_unlock()?;
    result
}

/// `unregister_netdevice_queue(dev, head)`, with RTNL held by the driver; lists of devices are not
/// gathered.
pub(crate) fn unregister_netdevice(call: &mut Call<'_>) -> Outcome {
    call.domain.net.need_rtnl()?;
    unregister(call)
}

fn device(call: &Call<'_>) -> Result<Arc<NetDevice>, Violation> {
    call.domain.net.device(call.arg(0))
}

/// `netif_carrier_on(dev)`.
pub(crate) fn carrier_on(call: &mut Call<'_>) -> Outcome {
    let device = device(call)?;
    device.set_carrier(true);
    device.sync_state();
    device.sync_queues();
    Ok(0)
}

/// `netif_carrier_off(dev)`.
pub(crate) fn carrier_off(call: &mut Call<'_>) -> Outcome {
    let device = device(call)?;
    device.set_carrier(false);
    device.sync_state();
    device.sync_queues();
    Ok(0)
}

/// `netif_device_attach(dev)`.
pub(crate) fn device_attach(call: &mut Call<'_>) -> Outcome {
    let device = device(call)?;
    for n in 0..device.tx_queues {
        device.clear_stop(n);
    }
    device.real.set_present(true);
    for n in 0..device.tx_queues {
        device.hurry(n);
    }
    device.sync_state();
    Ok(0)
}

/// `netif_device_detach(dev)`.
pub(crate) fn device_detach(call: &mut Call<'_>) -> Outcome {
    let device = device(call)?;
    for n in 0..device.tx_queues {
        device.set_stop(n);
    }
    device.real.set_present(false);
    device.sync_state();
    Ok(0)
}

/// The queue whose shadow is at argument 0, `offset` bytes into it.
fn queue(call: &Call<'_>, offset: u64) -> Result<(Arc<NetDevice>, u32), Violation> {
    let found = call.domain.net.queue(call.arg(0), offset);
    found.ok_or(Violation::new("not-a-queue", call.arg(0)))
}

/// `netif_tx_wake_queue(queue)`.
pub(crate) fn wake_queue(call: &mut Call<'_>) -> Outcome {
    let (device, n) = queue(call, 0)?;
    device.clear_stop(n);
    if !device.veil.is_quiet() {
        device.wake_queue(n);
    }
    Ok(0)
}

/// `netif_schedule_queue(queue)`.
pub(crate) fn schedule_queue(call: &mut Call<'_>) -> Outcome {
    let (device, n) = queue(call, 0)?;
    if device.has_qdiscs() {
        device.real.schedule_queue(n);
    }
    Ok(0)
}

/// `netif_tx_stop_all_queues(dev)`.
pub(crate) fn stop_all_queues(call: &mut Call<'_>) -> Outcome {
    let device = device(call)?;
    for n in 0..device.tx_queues {
        device.set_stop(n);
    }
    device.real.stop_all_queues();
    Ok(0)
}

/// `dql_completed(dql, count)`: the stack's own count comes from the packets that were freed.
pub(crate) fn dql_completed(call: &mut Call<'_>) -> Outcome {
    let (device, n) = queue(call, QUEUE_DQL)?;
    device.flush(n);
    Ok(0)
}

/// `dql_reset(dql)`.
pub(crate) fn dql_reset(call: &mut Call<'_>) -> Outcome {
    let (device, n) = queue(call, QUEUE_DQL)?;
    device.flush(n);
    device.reset_limit(n)?;
    Ok(0)
}

/// Runs `f` with RTNL held, which is taken for it unless this task has it.
fn with_rtnl<R>(call: &Call<'_>, f: impl FnOnce() -> R) -> Result<R, Violation> {
    let net = &call.domain.net;
    if net.has_rtnl() {
        return Ok(f());
    }
    net.rtnl_lock(call.domain)?;
    let result = f();
    net.rtnl_unlock()?;
    Ok(result)
}

/// Sets a number of queues. Of a device that is not registered under RTNL too: another CPU may register it.
fn set_real(
    call: &Call<'_>,
    device: &NetDevice,
    set: fn(&RealDevice, u32) -> i32,
) -> Result<i32, Violation> {
    need_rtnl_if_registered(call, device)?;
    with_rtnl(call, || {
        let registers = device.registered.load(Ordering::Acquire) && !device.has_qdiscs();
        match registers {
            // The kernel would look at qdiscs that it has not made yet.
            true => EBUSY.to_errno(),
            false => set(&device.real, call.uint(1)),
        }
    })
}

/// `netif_set_real_num_tx_queues(dev, n)`.
pub(crate) fn set_real_tx(call: &mut Call<'_>) -> Outcome {
    let device = device(call)?;
    if call.uint(1) == 0 || call.uint(1) > device.tx_queues {
        return Ok(errno(EINVAL));
    }
    let result = set_real(call, &device, RealDevice::set_real_tx)?;
    let now: [u8; 4] = device.real.field(DEVICE_REAL_NUM_TX);
    call.write_bytes(device.handle + DEVICE_REAL_NUM_TX, &now)?;
    Ok(int(result))
}

/// `netif_set_real_num_rx_queues(dev, n)`.
pub(crate) fn set_real_rx(call: &mut Call<'_>) -> Outcome {
    let device = device(call)?;
    if call.uint(1) == 0 || call.uint(1) > device.rx_queues {
        return Ok(errno(EINVAL));
    }
    let result = set_real(call, &device, RealDevice::set_real_rx)?;
    let now: [u8; 4] = device.real.field(DEVICE_REAL_NUM_RX);
    call.write_bytes(device.handle + DEVICE_REAL_NUM_RX, &now)?;
    Ok(int(result))
}

/// Whether RTNL is held by the caller, which for a registered device is its duty.
pub(super) fn need_rtnl_if_registered(
    call: &Call<'_>,
    device: &NetDevice,
) -> Result<(), Violation> {
    if device.registered.load(Ordering::Acquire) && !call.domain.net.has_rtnl() {
        return Err(Violation::new("rtnl-not-held", device.handle));
    }
    Ok(())
}

/// `dev_addr_mod(dev, offset, addr, len)`.
pub(crate) fn addr_mod(call: &mut Call<'_>) -> Outcome {
    let device = device(call)?;
    let (offset, len) = (call.uint(1), call.arg(3));
    if len > ADDRESS_MAX || u64::from(offset) + len > ADDRESS_MAX {
        return Err(Violation::new("address-too-long", len));
    }
    let mut bytes = [0; ADDRESS_MAX as usize];
    let bytes = &mut bytes[..len as usize];
    call.read_bytes(call.arg(2), bytes)?;
    if !device.registered.load(Ordering::Acquire) {
        device.set_address(offset, bytes)?;
    } else if call.domain.net.has_rtnl() || call.may_sleep() {
        // The kernel looks at the address when the interface goes up, and may set it itself. Some drivers set it in
        // a work item.
        with_rtnl(call, || device.set_address(offset, bytes))??;
    } else {
        return Err(Violation::new("rtnl-not-held", device.handle));
    }
    Ok(0)
}

/// `dev_trans_start(dev)`.
pub(crate) fn trans_start(call: &mut Call<'_>) -> Outcome {
    let device = device(call)?;
    Ok(device.real.trans_start(device.tx_queues))
}

/// `rtnl_lock()`.
pub(crate) fn rtnl_lock(call: &mut Call<'_>) -> Outcome {
    call.domain.net.rtnl_lock(call.domain).map(|()| 0)
}

/// `rtnl_trylock()`.
pub(crate) fn rtnl_trylock(call: &mut Call<'_>) -> Outcome {
    Ok(call.domain.net.rtnl_trylock().into())
}

/// `rtnl_unlock()`.
pub(crate) fn rtnl_unlock(call: &mut Call<'_>) -> Outcome {
    call.domain.net.rtnl_unlock().map(|()| 0)
}

/// `rtnl_is_locked()`.
pub(crate) fn rtnl_is_locked(_call: &mut Call<'_>) -> Outcome {
    Ok(net::rtnl_is_locked().into())
}

/// `netdev_rss_key_fill(buffer, len)`: random bytes of the domain's own; the host's key stays
/// secret.
pub(crate) fn rss_key_fill(call: &mut Call<'_>) -> Outcome {
    // NETDEV_RSS_KEY_LEN.
    let mut key = [0; 256];
    let len = core::cmp::min(call.arg(1), key.len() as u64) as usize;
    net::random(&mut key[..len]);
    call.write_bytes(call.arg(0), &key[..len])?;
    Ok(0)
}

/// `net_ratelimit()`.
pub(crate) fn ratelimit(_call: &mut Call<'_>) -> Outcome {
    Ok(net::ratelimit().into())
}

/// `synchronize_net()`.
pub(crate) fn synchronize(_call: &mut Call<'_>) -> Outcome {
    net::synchronize();
    Ok(0)
}

/// `netdev_update_features(dev)`, under RTNL; asks the driver again.
pub(crate) fn update_features(call: &mut Call<'_>) -> Outcome {
    let device = device(call)?;
    if device.registered.load(Ordering::Acquire) {
        need_rtnl_if_registered(call, &device)?;
        device.real.update_features();
        device.show_again();
    }
    Ok(0)
}

/// `ether_setup(dev)` called by the driver: the kernel's device is Ethernet already.
pub(crate) fn ether_setup(call: &mut Call<'_>) -> Outcome {
    device(call)?;
    call.write(call.arg(0) + DEVICE_TYPE, ARPHRD_ETHER)?;
    Ok(0)
}
