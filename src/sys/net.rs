// SPDX-License-Identifier: GPL-2.0

//! The real net_device behind a driver's shadow: owned by SIDE, freed with its value.
//!
//! Its private area holds one pointer, to the [`NetDevice`] that owns it; that is how a proxy
//! finds the domain. The pointer does not count as a reference: the kernel calls operations only
//! between registration and the end of unregistration, and the registration holds one.

use super::bindings;
use super::net_layout::*;
use super::net_proxies::Tables;
use super::{cpu, lock::BhLock};
use crate::side_stubs::handlers::net::NetDevice;
use core::ptr::NonNull;
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

/// A real net_device.
pub(crate) struct RealDevice {
    dev: NonNull<bindings::net_device>,
    /// The operations that it names; replaced at registration.
    tables: BhLock<Option<KBox<Tables>>>,
}

// SAFETY: a net_device is shared by all CPUs by design; the methods use the kernel's own rules.
unsafe impl Send for RealDevice {}
// SAFETY: as above.
unsafe impl Sync for RealDevice {}

/// Counters as `struct rtnl_link_stats64` has them.
pub(crate) const STATS_WORDS: usize = size_of::<bindings::rtnl_link_stats64>() / 8;

impl RealDevice {
    /// Allocates an Ethernet device with so many queues.
    pub(crate) fn new(tx: u32, rx: u32) -> Result<Self> {
        // SAFETY: the sizes are small; process context.
        let dev =
            unsafe { bindings::alloc_etherdev_mqs(size_of::<*const NetDevice>() as i32, tx, rx) };
        let dev = NonNull::new(dev).ok_or(ENOMEM)?;
        Ok(RealDevice {
            dev,
            tables: BhLock::new(None),
        })
    }

    pub(super) fn as_ptr(&self) -> *mut bindings::net_device {
        self.dev.as_ptr()
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
    pub(crate) fn set_tables(&self, tables: KBox<Tables>) {
        // SAFETY: a live device that is not registered; the tables live as long as it does, since
        // both are this value's.
        unsafe {
            (*self.as_ptr()).netdev_ops = tables.net_device_ops();
            (*self.as_ptr()).ethtool_ops = tables.ethtool_ops();
        }
        let old = self.tables.lock().replace(tables);
        drop(old);
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

    /// Byte queue limits: `bytes` go to the device. Under the queue's transmit lock.
    pub(crate) fn sent(&self, n: u32, bytes: u32, more: bool) {
        // SAFETY: a live queue whose transmit lock the stack holds.
        unsafe { bindings::side_txq_sent(self.queue(n), bytes, more) }
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
            self.set_queue_napi(n, true, core::ptr::null_mut());
        }
        for n in 0..rx {
            self.set_queue_napi(n, false, core::ptr::null_mut());
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

impl Drop for RealDevice {
    fn drop(&mut self) {
        if cpu::in_atomic() {
            // The last user let go where sleeping is not allowed. Rather a lost device than a bug.
            pr_err!("a net_device was let go in atomic context and is not freed\n");
            if let Some(tables) = self.tables.lock().take() {
                let _ = KBox::into_raw(tables);
            }
            return;
        }
        // SAFETY: not registered any more, so the kernel holds no other pointer to it.
        unsafe { bindings::free_netdev(self.as_ptr()) };
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

/// A number that names the running task.
pub(crate) fn current() -> u64 {
    // SAFETY: reads a per-CPU pointer.
    unsafe { bindings::side_task() }
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
