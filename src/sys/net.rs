// SPDX-License-Identifier: GPL-2.0

//! The real net_device behind a driver's shadow: owned by SIDE, freed with its value.
//!
//! Its private area holds one pointer, to the [`NetDevice`] that owns it; that is how a proxy
//! finds the domain. The pointer does not count as a reference: the kernel calls operations only
//! between registration and the end of unregistration, and the registration holds one.
//!
//! A registered device outlives its driver's death: the next driver's value, which began with a
//! device of its own, adopts it.

use super::bindings;
use super::net_layout::*;
use super::net_proxies::Tables;
use super::{cpu, lock::BhLock};
use crate::side_stubs::handlers::net::NetDevice;
use core::ptr::NonNull;
use core::sync::atomic::{AtomicBool, AtomicPtr, Ordering};
use kernel::alloc::flags::GFP_ATOMIC;
use kernel::prelude::*;
use kernel::sync::Arc;

/// The kernel's own device that a net_device belongs to, as a bus keeps it.
#[derive(Clone, Copy)]
pub(crate) struct Parent(pub(super) *mut bindings::device);

// SAFETY: the pointer is only handed to the kernel, while the bus device is bound to SIDE.
unsafe impl Send for Parent {}
// SAFETY: as above.
unsafe impl Sync for Parent {}

impl super::pci::PciRef {
    /// The device as the parent of a net_device. It stays bound to SIDE for as long as the driver
    /// that registers the net_device drives it.
    pub(crate) fn parent(&self) -> Parent {
        Parent(self.device())
    }
}

/// A net_device and the tables that it names, freed with this value.
pub(crate) struct Device {
    dev: NonNull<bindings::net_device>,
    /// The operations that it names, and before them those that it named once.
    tables: BhLock<KVec<KBox<Tables>>>,
    /// Its lock stays taken: an interface was adopted in its place.
    abandoned: AtomicBool,
}

// SAFETY: a net_device is shared by all CPUs by design; the methods use the kernel's own rules.
unsafe impl Send for Device {}
// SAFETY: as above.
unsafe impl Sync for Device {}

/// The real net_device behind a driver's.
pub(crate) struct RealDevice {
    current: AtomicPtr<bindings::net_device>,
    /// Holds the current one, and the one before if another was adopted.
    held: BhLock<[Option<Arc<Device>>; 2]>,
}

/// Counters as `struct rtnl_link_stats64` has them.
pub(crate) const STATS_WORDS: usize = size_of::<bindings::rtnl_link_stats64>() / 8;

impl RealDevice {
    /// Allocates an Ethernet device with so many queues.
    pub(crate) fn new(tx: u32, rx: u32) -> Result<Self> {
        // SAFETY: the sizes are small; process context.
        let dev =
            unsafe { bindings::alloc_etherdev_mqs(size_of::<*const NetDevice>() as i32, tx, rx) };
        let dev = NonNull::new(dev).ok_or(ENOMEM)?;
        let device = Device {
            dev,
            tables: BhLock::new(KVec::new()),
            abandoned: AtomicBool::new(false),
        };
        Ok(RealDevice {
            current: AtomicPtr::new(dev.as_ptr()),
            held: BhLock::new([Some(Arc::new(device, GFP_KERNEL)?), None]),
        })
    }

    pub(super) fn as_ptr(&self) -> *mut bindings::net_device {
        self.current.load(Ordering::Acquire)
    }

    /// The device itself, to be kept beyond its driver's life.
    pub(crate) fn device(&self) -> Option<Arc<Device>> {
        self.held.lock()[0].clone()
    }

    /// Takes over `device`, which is registered, in place of its own, which is not. The own one's
    /// lock was taken with [`RealDevice::try_lock`] and stays taken, so that whoever waits for it
    /// finds the new one's. The operations are taken over with [`RealDevice::adopt_tables`]. RTNL is held.
    pub(crate) fn adopt(&self, device: &Arc<Device>) {
        let mut held = self.held.lock();
        self.current.store(device.dev.as_ptr(), Ordering::Release);
        if let Some(own) = held[0].replace(device.clone()) {
            own.abandoned.store(true, Ordering::Release);
            held[1] = Some(own);
        }
    }

    /// After [`RealDevice::adopt`]: the operations of the driver's own device replace those of the
    /// adopted one where they differ, and its limits too. RTNL is held.
    pub(crate) fn adopt_tables(&self) -> Result {
        let (now, before) = {
            let held = self.held.lock();
            let [Some(now), Some(before)] = &*held else {
                return Ok(());
            };
            (now.clone(), before.clone())
        };
        let fresh = before.tables.lock().pop();
        // SAFETY: both are live; what is written changes under RTNL only, which is held, and is
        // read by the stack with no other lock than that.
        unsafe {
            let (to, from) = (now.dev.as_ptr(), before.dev.as_ptr());
            (*to).min_mtu = (*from).min_mtu;
            (*to).max_mtu = (*from).max_mtu;
            // 0 would let a running watchdog strike with each tick.
            if (*from).watchdog_timeo > 0 {
                (*to).watchdog_timeo = (*from).watchdog_timeo;
            }
            (*to).irq = (*from).irq;
            (*to).base_addr = (*from).base_addr;
        }
        let Some(mut fresh) = fresh else {
            return Ok(());
        };
        let mut tables = now.tables.lock();
        if let Some(last) = tables.last() {
            fresh.inherit(last);
        }
        if tables.last().is_some_and(|last| last.same(&fresh)) {
            drop(tables);
            drop(fresh);
            return Ok(());
        }
        // Someone may be inside the old tables at any time: they stay as long as the device.
        tables.push(fresh, GFP_ATOMIC)?;
        if let Some(last) = tables.last() {
            // SAFETY: as above; both sets of operations are SIDE's.
            unsafe {
                (*now.dev.as_ptr()).netdev_ops = last.net_device_ops();
                (*now.dev.as_ptr()).ethtool_ops = last.ethtool_ops();
            }
        }
        Ok(())
    }

    /// What the driver's own device had before another was adopted: features, MTU, address.
    pub(crate) fn fresh(&self) -> Option<(u64, u32, [u8; 6])> {
        let before = self.held.lock()[1].clone()?;
        let dev = before.dev.as_ptr();
        let mut address = [0; 6];
        // SAFETY: a live device that nobody changes any more.
        unsafe {
            core::ptr::copy_nonoverlapping((*dev).dev_addr, address.as_mut_ptr(), 6);
            Some(((*dev).features, (*dev).mtu, address))
        }
    }

    /// Names the value by which proxies find the driver's side.
    pub(crate) fn set_owner(&self, owner: &Arc<NetDevice>) {
        // SAFETY: the private area has room for the pointer.
        unsafe {
            bindings::side_netdev_priv(self.as_ptr())
                .cast::<*const NetDevice>()
                .write(Arc::as_ptr(owner))
        };
    }

    /// Whether the interface is up, or going up or down.
    pub(crate) fn is_running(&self) -> bool {
        // SAFETY: a live device.
        unsafe { bindings::side_netif_running(self.as_ptr()) }
    }

    /// Whether there is a carrier, as far as the stack knows. Any context.
    pub(crate) fn has_carrier(&self) -> bool {
        self.state() & STATE_NO_CARRIER == 0
    }

    /// Tells the stack that the carrier was away for a moment, without what a loss would do.
    pub(crate) fn announce_carrier(&self) {
        // SAFETY: a live device; any context.
        unsafe { bindings::netif_carrier_event(self.as_ptr()) }
    }

    /// Forgets what byte queue limits counted on queue `n`: what was sent is gone. Nothing is sent
    /// or completed meanwhile.
    pub(crate) fn reset_limits(&self, n: u32) {
        // SAFETY: a live queue.
        unsafe { bindings::side_txq_reset(self.queue(n)) }
    }

    /// Sets back the clocks of the transmit watchdog.
    pub(crate) fn touch_watchdog(&self, queues: u32) {
        for n in 0..queues {
            // SAFETY: a live queue.
            unsafe { bindings::side_txq_touch(self.queue(n)) }
        }
    }

    /// Calls `f` with the transmit lock of queue `n` held and bottom halves off, as the stack calls
    /// `ndo_start_xmit`.
    pub(crate) fn with_transmit_lock<R>(&self, n: u32, f: impl FnOnce() -> R) -> R {
        // SAFETY: a live queue; nothing in `f` sleeps.
        unsafe { bindings::side_txq_lock(self.queue(n)) };
        let result = f();
        // SAFETY: taken above.
        unsafe { bindings::side_txq_unlock(self.queue(n)) };
        result
    }

    /// Calls `f` with the lock of the address lists held, as the stack calls `ndo_set_rx_mode`.
    pub(crate) fn with_address_lock<R>(&self, f: impl FnOnce() -> R) -> R {
        // SAFETY: a live device; nothing in `f` sleeps.
        unsafe { bindings::side_netif_addr_lock(self.as_ptr()) };
        let result = f();
        // SAFETY: taken above.
        unsafe { bindings::side_netif_addr_unlock(self.as_ptr()) };
        result
    }

    /// Reads a field of `N` bytes at `offset`, for filling the shadow. Only fields that hold plain
    /// numbers, as the constants of `net_layout` name them.
    pub(crate) fn field<const N: usize>(&self, offset: u64) -> [u8; N] {
        debug_assert!(offset + N as u64 <= DEVICE_SIZE);
        let mut bytes = [0; N];
        // SAFETY: the field lies in the live structure; the kernel may change it meanwhile, which
        // changes what is copied and nothing else.
        unsafe {
            core::ptr::copy_nonoverlapping(
                self.as_ptr().cast::<u8>().add(offset as usize),
                bytes.as_mut_ptr(),
                N,
            )
        };
        bytes
    }

    /// `net_device.state`.
    pub(crate) fn state(&self) -> u64 {
        u64::from_ne_bytes(self.field(DEVICE_STATE))
    }

    /// `net_device.flags`.
    pub(crate) fn flags(&self) -> u32 {
        u32::from_ne_bytes(self.field(DEVICE_FLAGS))
    }

    /// `net_device.features`.
    pub(crate) fn features(&self) -> u64 {
        u64::from_ne_bytes(self.field(DEVICE_FEATURES))
    }

    /// `net_device.mtu`.
    pub(crate) fn mtu(&self) -> u32 {
        u32::from_ne_bytes(self.field(DEVICE_MTU))
    }

    /// `net_device.hw_features`.
    pub(crate) fn hw_features(&self) -> u64 {
        u64::from_ne_bytes(self.field(DEVICE_HW_FEATURES))
    }

    /// `net_device.priv_flags`.
    pub(crate) fn priv_flags(&self) -> u32 {
        // SAFETY: a live device.
        unsafe { bindings::side_netdev_priv_flags(self.as_ptr()) }
    }

    /// Sets further bits of `priv_flags`; before registration only.
    pub(crate) fn add_priv_flags(&self, flags: u32) {
        // SAFETY: a live device that nobody else knows yet.
        unsafe { bindings::side_netdev_set_priv_flags(self.as_ptr(), flags) }
    }

    /// Sets `features`, under RTNL or before registration.
    pub(crate) fn set_features(&self, features: u64) {
        // SAFETY: a live device; the caller's lock covers the field.
        unsafe { (*self.as_ptr()).features = features }
    }

    /// Sets `mtu`, under RTNL.
    pub(crate) fn set_mtu(&self, mtu: u32) {
        // SAFETY: as the kernel's own WRITE_ONCE on a live device.
        unsafe { core::ptr::write_volatile(&raw mut (*self.as_ptr()).mtu, mtu) }
    }

    /// Takes over what the driver set before it registers the device.
    pub(crate) fn configure(&self, c: &Configuration) {
        // SAFETY: a live device that is not registered: nobody else uses these fields.
        let dev = unsafe { &mut *self.as_ptr() };
        dev.features = c.features;
        dev.hw_features = c.hw_features;
        dev.vlan_features = c.vlan_features;
        dev.hw_enc_features = c.hw_enc_features;
        dev.mtu = c.mtu;
        dev.min_mtu = c.min_mtu;
        dev.max_mtu = c.max_mtu;
        dev.watchdog_timeo = c.watchdog_timeo;
        dev.irq = c.irq;
        dev.mem_start = c.mem_start as _;
        dev.mem_end = c.mem_end as _;
        dev.base_addr = c.base_addr as _;
        for (to, from) in dev.name.iter_mut().zip(c.name) {
            *to = from as _;
        }
        if let Some(parent) = c.parent {
            dev.dev.parent = parent.0;
        }
    }

    /// Names the operations. Before registration only.
    pub(crate) fn set_tables(&self, tables: KBox<Tables>) -> Result {
        // SAFETY: a live device that is not registered; the tables live as long as it does, since
        // both are this value's.
        unsafe {
            (*self.as_ptr()).netdev_ops = tables.net_device_ops();
            (*self.as_ptr()).ethtool_ops = tables.ethtool_ops();
        }
        let Some(device) = self.device() else {
            return Ok(());
        };
        let mut room = KVec::with_capacity(1, GFP_KERNEL)?;
        room.push(tables, GFP_KERNEL)?;
        let old = core::mem::replace(&mut *device.tables.lock(), room);
        drop(old);
        Ok(())
    }

    /// Lets the kernel call the proxies directly, or by slots that trap.
    pub(crate) fn enter_directly(&self, direct: bool) {
        let Some(device) = self.device() else {
            return;
        };
        let tables = device.tables.lock();
        if let Some(tables) = tables.last() {
            let ops = tables.operations(direct);
            // SAFETY: a live device; both tables live as long as it does and have the same slots.
            unsafe { core::ptr::write_volatile(&raw mut (*self.as_ptr()).netdev_ops, ops) }
        }
    }

    /// Registers the device. RTNL is held.
    pub(crate) fn register(&self) -> i32 {
        // SAFETY: a configured device; RTNL is held.
        unsafe { bindings::register_netdevice(self.as_ptr()) }
    }

    /// Unregisters the device. RTNL is held; the last references are waited for by its release.
    pub(crate) fn unregister(&self) {
        // SAFETY: a registered device; RTNL is held.
        unsafe { bindings::unregister_netdevice_queue(self.as_ptr(), core::ptr::null_mut()) }
    }

    /// `netif_carrier_on` or `netif_carrier_off`.
    pub(crate) fn set_carrier(&self, on: bool) {
        // SAFETY: a live device; any context.
        unsafe {
            match on {
                true => bindings::netif_carrier_on(self.as_ptr()),
                false => bindings::netif_carrier_off(self.as_ptr()),
            }
        }
    }

    /// `netif_device_attach` or `netif_device_detach`.
    pub(crate) fn set_present(&self, present: bool) {
        // SAFETY: a live device; any context.
        unsafe {
            match present {
                true => bindings::netif_device_attach(self.as_ptr()),
                false => bindings::netif_device_detach(self.as_ptr()),
            }
        }
    }

    /// `netif_tx_stop_all_queues`.
    pub(crate) fn stop_all_queues(&self) {
        // SAFETY: a live device; any context.
        unsafe { bindings::netif_tx_stop_all_queues(self.as_ptr()) }
    }

    /// Transmit queue `n`, which the caller has checked against the number of queues.
    fn queue(&self, n: u32) -> *mut bindings::netdev_queue {
        // SAFETY: a live device, a number below `num_tx_queues`.
        unsafe { bindings::side_netdev_queue(self.as_ptr(), n) }
    }

    /// Whether the driver's stop bit of queue `n` is set.
    pub(crate) fn queue_stopped(&self, n: u32) -> bool {
        // SAFETY: a live queue.
        unsafe { bindings::side_txq_stopped(self.queue(n)) }
    }

    /// Stops queue `n`.
    pub(crate) fn stop_queue(&self, n: u32) {
        // SAFETY: a live queue.
        unsafe { bindings::side_txq_stop(self.queue(n)) }
    }

    /// Wakes queue `n`.
    pub(crate) fn wake_queue(&self, n: u32) {
        // SAFETY: a live queue.
        unsafe { bindings::netif_tx_wake_queue(self.queue(n)) }
    }

    /// Lets the stack look at queue `n` again.
    pub(crate) fn schedule_queue(&self, n: u32) {
        // SAFETY: a live queue.
        unsafe { bindings::netif_schedule_queue(self.queue(n)) }
    }

    /// Byte queue limits: `bytes` go to the device. Under the queue's transmit lock. Returns whether
    /// the limits have just stopped the queue.
    pub(crate) fn sent(&self, n: u32, bytes: u32, more: bool) -> bool {
        // SAFETY: a live device with that queue, whose transmit lock the stack holds.
        unsafe { bindings::side_txq_sent(self.as_ptr(), n, bytes, more) }
    }

    /// As [`RealDevice::with_transmit_lock`] if the lock is free. Bottom halves are off.
    pub(crate) fn try_transmit_lock<R>(&self, n: u32, f: impl FnOnce() -> R) -> Option<R> {
        // SAFETY: a live queue; nothing in `f` sleeps.
        if !unsafe { bindings::side_txq_trylock(self.queue(n)) } {
            return None;
        }
        let result = f();
        // SAFETY: taken above.
        unsafe { bindings::side_txq_unlock_only(self.queue(n)) };
        Some(result)
    }

    /// Whether queue `n` is stopped by the driver, or frozen by the stack for a moment. The transmit
    /// lock is held.
    pub(crate) fn is_held_up(&self, n: u32) -> bool {
        // SAFETY: a live queue.
        unsafe { bindings::side_txq_held_up(self.queue(n)) }
    }

    /// Byte queue limits: so much is done. Callers serialise, and never complete more than was
    /// sent.
    pub(crate) fn completed(&self, n: u32, packets: u32, bytes: u32) {
        // SAFETY: a live queue; the caller's promise keeps `dql_completed` from its BUG.
        unsafe { bindings::side_txq_completed(self.queue(n), packets, bytes) }
    }

    /// When the last packet was sent, in ticks.
    pub(crate) fn trans_start(&self, queues: u32) -> u64 {
        let mut last = 0;
        for n in 0..queues {
            // SAFETY: a live queue.
            let one = unsafe { core::ptr::read_volatile(&raw const (*self.queue(n)).trans_start) };
            last = core::cmp::max(last, one as u64);
        }
        last
    }

    /// `netdev_update_features`. RTNL is held.
    pub(crate) fn update_features(&self) {
        // SAFETY: a registered device; RTNL is held.
        unsafe { bindings::netdev_update_features(self.as_ptr()) }
    }

    /// `netif_set_real_num_tx_queues`. RTNL is held if registered.
    pub(crate) fn set_real_tx(&self, n: u32) -> i32 {
        // SAFETY: a live device; the kernel checks the number.
        unsafe { bindings::netif_set_real_num_tx_queues(self.as_ptr(), n) }
    }

    /// `netif_set_real_num_rx_queues`. RTNL is held if registered.
    pub(crate) fn set_real_rx(&self, n: u32) -> i32 {
        // SAFETY: a live device; the kernel checks the number.
        unsafe { bindings::netif_set_real_num_rx_queues(self.as_ptr(), n) }
    }

    /// How many transmit and receive queues are in use.
    pub(crate) fn real_queues(&self) -> [u32; 2] {
        [DEVICE_REAL_NUM_TX, DEVICE_REAL_NUM_RX].map(|at| u32::from_ne_bytes(self.field(at)))
    }

    /// Sets both numbers of queues in use, where they are others. RTNL is held. Returns whether that went well.
    pub(crate) fn set_real_queues(&self, [tx, rx]: [u32; 2]) -> bool {
        let [now_tx, now_rx] = self.real_queues();
        (now_tx == tx || self.set_real_tx(tx) == 0) && (now_rx == rx || self.set_real_rx(rx) == 0)
    }

    /// Takes `net_device.lock` if it is free.
    pub(crate) fn try_lock(&self) -> bool {
        // SAFETY: the device's own mutex; process context.
        unsafe { bindings::mutex_trylock(&raw mut (*self.as_ptr()).lock) != 0 }
    }

    /// Gives `net_device.lock` back, which SIDE has taken.
    pub(crate) fn unlock(&self) {
        // SAFETY: taken by `try_lock`.
        unsafe { bindings::mutex_unlock(&raw mut (*self.as_ptr()).lock) }
    }

    /// Takes the interface down. RTNL is held.
    pub(crate) fn close(&self) {
        // SAFETY: a live, registered device.
        unsafe { bindings::dev_close(self.as_ptr()) };
    }

    /// The statistics as the kernel reports them; calls the driver's operation.
    pub(crate) fn stats(&self) -> [u64; STATS_WORDS] {
        let mut stats = bindings::rtnl_link_stats64::default();
        // SAFETY: a live device, room for the answer.
        unsafe { bindings::dev_get_stats(self.as_ptr(), &mut stats) };
        // SAFETY: the structure is made of 64-bit counters only.
        unsafe { core::mem::transmute_copy(&stats) }
    }

    /// Changes bytes of the hardware address.
    pub(crate) fn set_address(&self, offset: u32, bytes: &[u8]) {
        // SAFETY: a live device; the caller has checked the range against MAX_ADDR_LEN.
        unsafe { bindings::dev_addr_mod(self.as_ptr(), offset, bytes.as_ptr().cast(), bytes.len()) }
    }

    /// The hardware address.
    pub(crate) fn address(&self) -> [u8; 6] {
        let mut address = [0; 6];
        // SAFETY: `dev_addr` of a live device points to at least MAX_ADDR_LEN bytes.
        unsafe {
            core::ptr::copy_nonoverlapping((*self.as_ptr()).dev_addr, address.as_mut_ptr(), 6)
        };
        address
    }

    /// Calls `f` for each address of the unicast list, or of the multicast list. The address lock
    /// is held by the stack, as it is in `ndo_set_rx_mode`.
    pub(crate) fn each_address(&self, multicast: bool, mut f: impl FnMut(&[u8; 32])) -> u32 {
        // SAFETY: a live device.
        let list = unsafe {
            match multicast {
                true => &raw mut (*self.as_ptr()).mc,
                false => &raw mut (*self.as_ptr()).uc,
            }
        };
        // SAFETY: the caller holds the lock of the list, so its nodes stay; `list` is the first
        // member of a node.
        unsafe {
            let head = &raw mut (*list).list;
            let mut at = (*head).next;
            while at != head {
                let node = at.cast::<bindings::netdev_hw_addr>();
                f(&(*node).addr);
                at = (*at).next;
            }
            (*list).count as u32
        }
    }

    /// Forgets which NAPI instance serves which queue.
    pub(crate) fn clear_queue_napi(&self, tx: u32, rx: u32) {
        for n in 0..tx {
            // SAFETY: a live device, one of its queues.
            unsafe { bindings::side_queue_forget_napi(self.as_ptr(), n, true) };
        }
        for n in 0..rx {
            // SAFETY: as above.
            unsafe { bindings::side_queue_forget_napi(self.as_ptr(), n, false) };
        }
    }

    /// Forgets which NAPI instance serves queue `n`, which the caller has checked.
    pub(crate) fn clear_one_queue_napi(&self, n: u32, tx: bool) {
        self.set_queue_napi(n, tx, core::ptr::null_mut());
    }

    /// Says which NAPI instance serves queue `n`; the caller has checked the number.
    pub(super) fn set_queue_napi(&self, n: u32, tx: bool, napi: *mut bindings::napi_struct) {
        let kind = match tx {
            true => bindings::netdev_queue_type_NETDEV_QUEUE_TYPE_TX,
            false => bindings::netdev_queue_type_NETDEV_QUEUE_TYPE_RX,
        };
        // SAFETY: a live device and a live NAPI instance or none.
        unsafe { bindings::netif_queue_set_napi(self.as_ptr(), n, kind, napi) }
    }
}

impl Drop for Device {
    fn drop(&mut self) {
        let remains = Remains {
            dev: self.dev,
            tables: core::mem::replace(&mut *self.tables.lock(), KVec::new()),
            abandoned: *self.abandoned.get_mut(),
        };
        match cpu::in_atomic() {
            true => remains.later(),
            false => drop(remains),
        }
    }
}

/// What is left of a [`Device`] that nobody uses. To be dropped where sleeping is allowed.
struct Remains {
    dev: NonNull<bindings::net_device>,
    /// The operations, which go after the device.
    tables: KVec<KBox<Tables>>,
    abandoned: bool,
}

impl Remains {
    /// Has it dropped from a workqueue. Any context but hard interrupts.
    fn later(self) {
        let Ok(remains) = KBox::new(self, GFP_ATOMIC) else {
            return;
        };
        let word = KBox::into_raw(remains);
        // SAFETY: the function is called once with the word, or this answers false and it never is.
        if !unsafe { super::defer::raw(drop_remains, word.cast()) } {
            // Rather a lost device than a bug.
            pr_err!("no memory to free a net_device\n");
        }
    }
}

unsafe extern "C" fn drop_remains(word: *mut core::ffi::c_void, _: usize) {
    // SAFETY: the word is that of `later`.
    drop(unsafe { KBox::from_raw(word.cast::<Remains>()) });
}

impl Drop for Remains {
    fn drop(&mut self) {
        if cpu::in_atomic() {
            // There was no memory to do it later.
            for tables in core::mem::replace(&mut self.tables, KVec::new()) {
                let _ = KBox::into_raw(tables);
            }
            return;
        }
        let dev = self.dev.as_ptr();
        // SAFETY: not registered any more, so the kernel holds no other pointer to it, and if its
        // lock is taken, then by `adopt`'s caller for good.
        unsafe {
            if self.abandoned {
                bindings::mutex_unlock(&raw mut (*dev).lock);
            }
            bindings::free_netdev(dev)
        };
    }
}

/// What a driver sets in its net_device before it registers it, after the check.
pub(crate) struct Configuration {
    pub(crate) features: u64,
    pub(crate) hw_features: u64,
    pub(crate) vlan_features: u64,
    pub(crate) hw_enc_features: u64,
    pub(crate) mtu: u32,
    pub(crate) min_mtu: u32,
    pub(crate) max_mtu: u32,
    pub(crate) watchdog_timeo: i32,
    pub(crate) irq: i32,
    pub(crate) mem_start: u64,
    pub(crate) mem_end: u64,
    pub(crate) base_addr: u64,
    pub(crate) name: [u8; 16],
    pub(crate) parent: Option<Parent>,
}

/// Whether anybody holds RTNL.
pub(crate) fn rtnl_is_locked() -> bool {
    // SAFETY: reads a mutex.
    unsafe { bindings::rtnl_is_locked() != 0 }
}

/// Takes RTNL if it is free.
pub(crate) fn rtnl_trylock() -> bool {
    // SAFETY: process context.
    unsafe { bindings::rtnl_trylock() != 0 }
}

/// Gives RTNL back, which SIDE has taken, and does what waits for that.
pub(crate) fn rtnl_unlock() {
    // SAFETY: taken by `rtnl_trylock`.
    unsafe { bindings::rtnl_unlock() }
}

/// Waits until nobody uses what was just taken away from the network stack.
pub(crate) fn synchronize() {
    // SAFETY: process context.
    unsafe { bindings::synchronize_net() }
}

/// Whether a message about the network may be printed now.
pub(crate) fn ratelimit() -> bool {
    // SAFETY: any context.
    unsafe { bindings::net_ratelimit() != 0 }
}

/// A full memory barrier between CPUs.
pub(crate) fn barrier() {
    // SAFETY: always allowed.
    unsafe { bindings::side_smp_mb() }
}

/// Whether the stack says that more packets follow the one at hand.
pub(crate) fn xmit_more() -> bool {
    // SAFETY: called from the transmit path, with preemption off.
    unsafe { bindings::side_xmit_more() }
}

/// Random bytes.
pub(crate) fn random(bytes: &mut [u8]) {
    // SAFETY: room as told.
    unsafe { bindings::get_random_bytes(bytes.as_mut_ptr().cast(), bytes.len()) }
}
