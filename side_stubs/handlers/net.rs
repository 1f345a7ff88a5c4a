// SPDX-License-Identifier: GPL-2.0

//! Network devices: the driver's shadow of a `net_device` and the real one that SIDE owns.
//!
//! The shadow is one block of the domain's memory: the structure, the private area that the driver
//! asked for, its transmit queues, its address bytes and the nodes of its address lists. Fields
//! cross by rule. What the kernel changes (state, flags, features, MTU, address) is written into
//! the shadow before each callback, if it changed since the last time; what the driver sets is read
//! when it registers the device and when an operation that changes it returns. Of the words that
//! the driver writes at any time only each queue's stop bit crosses.

use crate::call::Violation;
use crate::domain::Domain;
use crate::fault_handler::watch::Stalls;
use crate::objects::Table;
use crate::run::{self, Context};
use crate::side_stubs::handlers::adopt::{self, Interface, Veil};
use crate::side_stubs::handlers::gather;
use crate::side_stubs::handlers::limits::{Limits, LIMIT_AHEAD};
use crate::side_stubs::handlers::napi::Napi;
use crate::sys::access::{Fault, Window};
use crate::sys::cpu;
use crate::sys::lock::BhLock;
use crate::sys::net::{self, RealDevice, STATS_WORDS};
use crate::sys::net_layout::*;
use crate::sys::once::SetOnce;
use crate::tasks::Tasks;
use core::sync::atomic::{AtomicBool, AtomicI32, AtomicU32, AtomicU64, AtomicUsize, Ordering};
use kernel::prelude::*;
use kernel::sync::Arc;

/// Addresses of one list that a driver is shown; beyond that it is told to take all.
const LIST_MAX: u64 = 512;
/// Size in bytes of the storage behind `dev_addr`, as MAX_ADDR_LEN.
pub(crate) const ADDRESS_MAX: u64 = 32;
/// How long an import waits for a lock of the kernel's, in ns.
const LOCK_TIMEOUT: u64 = 60_000_000_000;
/// `IFF_PROMISC` and `IFF_ALLMULTI` of include/uapi/linux/if.h.
const IFF_PROMISC: u32 = 0x100;
const IFF_ALLMULTI: u32 = 0x200;
/// The last values that were written into the shadow.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Shown {
    state: u64,
    flags: u32,
    features: u64,
    mtu: u32,
    address: [u8; 6],
    name: [u8; 16],
}

/// One network device of a driver.
pub(crate) struct NetDevice {
    /// Packets that wait to be handed over, by queue. First, so that its timers end before the rest.
    pub(super) gather: KVec<gather::Queue>,
    pub(crate) domain: Arc<Domain>,
    /// Where the shadow begins: the driver's `struct net_device *`.
    pub(crate) handle: u64,
    pub(crate) real: RealDevice,
    pub(crate) tx_queues: u32,
    pub(crate) rx_queues: u32,
    /// Where the shadow's transmit queues begin.
    queues: u64,
    /// The kernel's own way to the shadow, where it is contiguous.
    pub(super) window: Option<Window>,
    /// Where the bytes of `dev_addr` are.
    address: u64,
    /// Where the nodes of the two address lists begin, made at their first use.
    lists: AtomicU64,
    shown: BhLock<Shown>,
    pub(super) limits: Limits,
    /// The features that the device was registered with: none is added later.
    offered: AtomicU64,
    pub(crate) registered: AtomicBool,
    /// Its `ndo_stop` is in progress.
    pub(super) stopping: AtomicBool,
    /// Held while the hardware address changes.
    addressing: BhLock<()>,
    /// The task that holds `net_device.lock` for the driver, or 0.
    pub(super) lock_holder: AtomicUsize,
    /// When it took it, in ns.
    pub(super) lock_since: AtomicU64,
    /// Transmit timeouts in a row.
    pub(crate) stalls: BhLock<Stalls>,
    /// The driver has let go of packets as sent since the queue last stood still.
    pub(crate) sent_some: AtomicBool,
    /// The driver's operations: the words of its tables, read at registration.
    pub(crate) ndo: KVec<AtomicU64>,
    pub(crate) ethtool: KVec<AtomicU64>,
    /// What the last call told, for when the driver cannot be asked.
    pub(crate) last_stats: BhLock<[u64; STATS_WORDS]>,
    /// What the driver last said of the length of its register dump.
    pub(crate) regs_len: AtomicI32,
    /// What it last said of the number of strings of each set.
    pub(crate) set_counts: [AtomicI32; 32],
    /// The ring-3 library's loop that transmits several packets, and its call of a handler and a poll.
    pub(super) gather_function: u64,
    pub(super) interrupt_poll_function: u64,
    /// The stack was given a packet, since the watchdog looked last.
    pub(super) heard: AtomicBool,
    /// Counts polls that received something.
    pub(super) received: AtomicU32,
    /// Packets that SIDE itself had to drop.
    pub(crate) dropped: AtomicU64,
    /// What the stack sees as one interface across all its drivers, once it is registered.
    pub(crate) interface: SetOnce<Arc<Interface>>,
    /// Its registration is over: the queues have their qdiscs.
    pub(super) scheduled: AtomicBool,
    /// What is kept apart between driver and stack while an interface is being adopted.
    pub(crate) veil: Veil,
    /// What earlier drivers of the interface counted.
    pub(crate) base: BhLock<[u64; STATS_WORDS]>,
}

/// The network devices and NAPI instances of a domain.
pub(crate) struct State {
    pub(crate) devices: Table<NetDevice>,
    pub(crate) napis: Table<Napi>,
    /// The task that holds RTNL for the driver, or 0.
    pub(super) rtnl_holder: AtomicUsize,
    /// When it took it, in ns.
    pub(super) rtnl_since: AtomicU64,
    /// The tasks that are in an operation of a network device that the stack calls under RTNL.
    pub(super) under_rtnl: Tasks,
    /// Devices that were unregistered under RTNL, which is still held: until it is let go the kernel uses them,
    /// whoever frees them.
    pub(super) leaving: BhLock<KVec<Arc<NetDevice>>>,
    /// Locks of network devices that the driver holds.
    pub(super) device_locks: AtomicU32,
    /// Transmit queues of whose finished packets the stack has not been told.
    pub(super) owed: AtomicU32,
}

impl State {
    pub(crate) fn new() -> Self {
        State {
            devices: Table::new(),
            napis: Table::new(),
            rtnl_holder: AtomicUsize::new(0),
            rtnl_since: AtomicU64::new(0),
            under_rtnl: Tasks::new(),
            leaving: BhLock::new(KVec::new()),
            device_locks: AtomicU32::new(0),
            owed: AtomicU32::new(0),
        }
    }

    /// The device whose shadow begins at `handle`.
    pub(crate) fn device(&self, handle: u64) -> Result<Arc<NetDevice>, Violation> {
        self.devices
            .get(handle)
            .ok_or(Violation::new("not-a-net-device", handle))
    }

    /// The device whose embedded `struct device` is at `handle`.
    pub(crate) fn by_device(&self, handle: u64) -> Option<Arc<NetDevice>> {
        self.devices.get(handle.checked_sub(DEVICE_DEV)?)
    }

    /// The device whose `lock` field is at `address`: the mutex there is the kernel's.
    pub(crate) fn lock_of(&self, address: u64) -> Option<Arc<NetDevice>> {
        self.devices.get(address.checked_sub(DEVICE_LOCK)?)
    }

    /// The device and the number of the transmit queue whose shadow is at `address`; `offset` is
    /// the place in the queue that is meant.
    pub(crate) fn queue(&self, address: u64, offset: u64) -> Option<(Arc<NetDevice>, u32)> {
        let address = address.checked_sub(offset)?;
        for (_, device) in self.devices.iter() {
            if let Some(n) = device.queue_at(address) {
                return Some((device, n));
            }
        }
        None
    }

    /// What each upcall is followed by: queues that the driver stopped or started in its own
    /// memory are stopped or woken.
    pub(crate) fn after_upcall(&self) {
        for (_, device) in self.devices.iter() {
            device.sync_queues();
        }
    }

    /// Lets the kernel call the proxies of all devices directly, or by slots that trap.
    pub(crate) fn enter_directly(&self, direct: bool) {
        for (_, device) in self.devices.iter() {
            device.real.enter_directly(direct);
        }
        for (_, napi) in self.napis.iter() {
            napi.twin.enter_directly(direct);
        }
    }

    /// Gives everything back: after death, or after the driver's exit function. The interfaces stay
    /// for the next driver if there is to be one. Process context.
    pub(crate) fn release(&self, domain: &Arc<Domain>) {
        self.drop_locks(domain);
        let keep = domain.keeper().is_some();
        for (_, device) in self.devices.iter() {
            if !keep || device.interface.as_ref().is_none() {
                device.unregister_now();
            } else {
                device.real.stop_all_queues();
            }
        }
        while let Some((_, napi)) = self.napis.pop() {
            napi.remove();
        }
        net::synchronize();
        self.forget_kept();
        domain.skb.release(domain);
        while let Some((_, device)) = self.devices.pop() {
            if keep && device.registered.load(Ordering::Acquire) {
                device.reset_limits();
            }
        }
    }
}

/// Waits until `attempt` succeeds, the domain dies, or time is up.
pub(crate) fn wait_for(
    domain: &Arc<Domain>,
    rule: &'static str,
    mut attempt: impl FnMut() -> bool,
) -> Result<(), Violation> {
    let since = cpu::now();
    while !attempt() {
        if domain.is_dead() {
            return Err(Violation::new("domain-dead", 0));
        }
        let waited = cpu::now().wrapping_sub(since);
        if waited > LOCK_TIMEOUT {
            return Err(Violation::new(rule, waited));
        }
        cpu::sleep_ms(1);
    }
    Ok(())
}

fn align(value: u64, to: u64) -> u64 {
    value.div_ceil(to) * to
}

impl NetDevice {
    /// Makes a device with `private` bytes for the driver.
    pub(crate) fn new(
        domain: &Arc<Domain>,
        private: u64,
        tx_queues: u32,
        rx_queues: u32,
    ) -> Result<Arc<NetDevice>> {
        let real = RealDevice::new(tx_queues, rx_queues)?;
        let queues = align(DEVICE_PRIV + private, 64);
        let address = queues + u64::from(tx_queues) * QUEUE_SIZE;
        // As in the kernel, contiguous if it can be: some drivers map a part of it for DMA.
        let size = address + ADDRESS_MAX;
        let contiguous = domain.memory.alloc(size);
        let handle = contiguous.or_else(|_| domain.memory.alloc_virtual(size))?;
        let shown = Shown {
            state: real.state(),
            flags: real.flags(),
            features: real.features(),
            mtu: real.mtu(),
            address: real.address(),
            name: real.field(DEVICE_NAME),
        };
        let device = Arc::new(
            NetDevice {
                gather: gather::queues(tx_queues)?,
                domain: domain.clone(),
                handle,
                real,
                tx_queues,
                rx_queues,
                queues: handle + queues,
                window: domain.memory.window(handle, size),
                address: handle + address,
                lists: AtomicU64::new(0),
                shown: BhLock::new(shown),
                limits: Limits::new(domain, tx_queues)?,
                offered: AtomicU64::new(0),
                registered: AtomicBool::new(false),
                stopping: AtomicBool::new(false),
                addressing: BhLock::new(()),
                lock_holder: AtomicUsize::new(0),
                lock_since: AtomicU64::new(0),
                scheduled: AtomicBool::new(false),
                heard: AtomicBool::new(false),
                stalls: BhLock::new(Stalls::default()),
                sent_some: AtomicBool::new(false),
                ndo: words(NDO_WORDS)?,
                ethtool: words(ETHTOOL_WORDS)?,
                last_stats: BhLock::new([0; STATS_WORDS]),
                regs_len: AtomicI32::new(0),
                set_counts: [const { AtomicI32::new(0) }; 32],
                gather_function: gather::function(b"side_gather"),
                interrupt_poll_function: gather::function(b"side_interrupt_poll"),
                received: AtomicU32::new(0),
                dropped: AtomicU64::new(0),
                interface: SetOnce::new(),
                veil: Veil::new(),
                base: BhLock::new([0; STATS_WORDS]),
            },
            GFP_KERNEL,
        )?;
        device.real.set_owner(&device);
        for queue in device.gather.iter() {
            queue.set_owner(&device);
        }
        device.fill_shadow(private).map_err(|_| EFAULT)?;
        domain.net.devices.insert(handle, device.clone())?;
        Ok(device)
    }

    /// Writes the shadow of a fresh device: what the kernel set and a driver may read.
    fn fill_shadow(&self, private: u64) -> Result<(), Fault> {
        let memory = &self.domain.memory;
        let at = |offset: u64| self.handle + offset;
        macro_rules! copy {
            ($($field:ident: $size:literal),* $(,)?) => { $(
                memory.write_bytes(at($field), &self.real.field::<$size>($field))?;
            )* };
        }
        copy!(
            DEVICE_STATE: 8,
            DEVICE_FLAGS: 4,
            DEVICE_FEATURES: 8,
            DEVICE_MTU: 4,
            DEVICE_MIN_MTU: 4,
            DEVICE_MAX_MTU: 4,
            DEVICE_ADDR_LEN: 1,
            DEVICE_HARD_HEADER_LEN: 2,
            DEVICE_TYPE: 2,
            DEVICE_BROADCAST: 32,
            DEVICE_NUM_TX: 4,
            DEVICE_REAL_NUM_TX: 4,
            DEVICE_NUM_RX: 4,
            DEVICE_REAL_NUM_RX: 4,
            DEVICE_TX_QUEUE_LEN: 4,
            DEVICE_GSO_MAX_SIZE: 4,
            DEVICE_GSO_MAX_SEGS: 2,
            DEVICE_WATCHDOG_TIMEO: 4,
            DEVICE_REG_STATE: 1,
            DEVICE_NAME: 16,
        );
        memory.write(at(DEVICE_PRIV_FLAGS), self.real.priv_flags())?;
        memory.write(at(DEVICE_PRIV_LEN), private as u32)?;
        memory.write(at(DEVICE_TX), self.queues)?;
        memory.write(at(DEVICE_DEV_ADDR), self.address)?;
        for list in [DEVICE_UC, DEVICE_MC, DEVICE_DEV_ADDRS, DEVICE_NAPI_LIST] {
            memory.write(at(list), [at(list), at(list)])?;
        }
        for n in 0..self.tx_queues {
            let queue = self.queue_address(n);
            memory.write(queue + QUEUE_DEV, self.handle)?;
            memory.write(queue + QUEUE_STATE, 0u64)?;
            memory.write(queue + QUEUE_DQL + DQL_ADJ_LIMIT, LIMIT_AHEAD)?;
        }
        Ok(())
    }

    /// Whether its queues have a qdisc: the kernel makes them late when the device is registered
    /// (`dev_init_scheduler`, after the first `ndo_fix_features`), and its functions that wake a queue do not look.
    pub(super) fn has_qdiscs(&self) -> bool {
        self.scheduled.load(Ordering::Acquire)
    }

    /// The interface's name, as the kernel has it.
    pub(crate) fn name(&self) -> [u8; 16] {
        self.real.field(DEVICE_NAME)
    }

    /// Where the shadow of queue `n` is.
    pub(crate) fn queue_address(&self, n: u32) -> u64 {
        self.queues + u64::from(n) * QUEUE_SIZE
    }

    /// The number of the queue whose shadow begins at `address`.
    fn queue_at(&self, address: u64) -> Option<u32> {
        let offset = address.checked_sub(self.queues)?;
        let n = offset / QUEUE_SIZE;
        (offset % QUEUE_SIZE == 0 && n < u64::from(self.tx_queues)).then_some(n as u32)
    }

    /// Shows the driver what the kernel has changed since the last time.
    pub(crate) fn sync_in(&self) {
        if self.veil.is_fresh() {
            return self.sync_state();
        }
        let now = Shown {
            state: self.shown_state(),
            flags: self.real.flags(),
            features: self.real.features(),
            mtu: self.real.mtu(),
            address: self.real.address(),
            name: self.name(),
        };
        let mut shown = self.shown.lock();
        if now == *shown {
            return;
        }
        let memory = &self.domain.memory;
        // The shadow is mapped for as long as the domain lives, so the writes succeed.
        if now.state != shown.state {
            let _ = memory.write(self.handle + DEVICE_STATE, now.state);
        }
        if now.flags != shown.flags {
            let _ = memory.write(self.handle + DEVICE_FLAGS, now.flags);
        }
        if now.features != shown.features {
            let _ = memory.write(self.handle + DEVICE_FEATURES, now.features);
        }
        if now.mtu != shown.mtu {
            let _ = memory.write(self.handle + DEVICE_MTU, now.mtu);
        }
        if now.address != shown.address {
            let _ = memory.write(self.address, now.address);
        }
        // The driver names its interrupts after the interface, which may have been renamed.
        if now.name != shown.name {
            let _ = memory.write(self.handle + DEVICE_NAME, now.name);
        }
        *shown = now;
    }

    /// As [`NetDevice::sync_in`] where packets flow: of what only users change under RTNL, name and address, the
    /// operation that comes next shows the rest.
    #[inline]
    pub(crate) fn sync_traffic(&self) {
        let state = self.shown_state();
        let same = {
            let shown = self.shown.lock();
            shown.state == state
                && shown.flags == self.real.flags()
                && shown.features == self.real.features()
                && shown.mtu == self.real.mtu()
        };
        if !same {
            self.sync_in();
        }
    }

    /// As [`NetDevice::sync_in`] for the state word alone, after an import that changed it.
    pub(crate) fn sync_state(&self) {
        let state = self.shown_state();
        let mut shown = self.shown.lock();
        if state != shown.state {
            let _ = self.domain.memory.write(self.handle + DEVICE_STATE, state);
            shown.state = state;
        }
    }

    /// Notes what the driver itself has put into its shadow, so that it is not written again.
    pub(crate) fn note_shown(&self, features: Option<u64>, mtu: Option<u32>) {
        let mut shown = self.shown.lock();
        if let Some(features) = features {
            shown.features = features;
        }
        if let Some(mtu) = mtu {
            shown.mtu = mtu;
        }
    }

    /// Writes the real value of features and MTU into the shadow, whatever is there.
    pub(crate) fn show_again(&self) {
        let (features, mtu) = (self.real.features(), self.real.mtu());
        let memory = &self.domain.memory;
        let _ = memory.write(self.handle + DEVICE_FEATURES, features);
        let _ = memory.write(self.handle + DEVICE_MTU, mtu);
        self.note_shown(Some(features), Some(mtu));
    }

    /// Notes the features that the device may ever have.
    pub(crate) fn offer(&self, features: u64) {
        self.offered.store(features, Ordering::Relaxed);
    }

    /// The features that the device may ever have: those it was registered with, and those of the
    /// stack's own.
    pub(crate) fn offered(&self) -> u64 {
        self.offered.load(Ordering::Relaxed) | self.real.hw_features()
    }

    /// Brings the stop bit of queue `n` over from the shadow. The bit may be cleared by another
    /// upcall at any time: after a stop the shadow is read again.
    pub(crate) fn sync_queue(&self, n: u32) {
        if self.domain.is_dead() || self.veil.is_quiet() {
            return;
        }
        if self.is_stopped(n) {
            if !self.real.queue_stopped(n) {
                self.real.stop_queue(n);
                net::barrier();
                if !self.is_stopped(n) {
                    self.wake_queue(n);
                }
            }
        } else if self.real.queue_stopped(n) {
            self.wake_queue(n);
        }
    }

    /// As [`NetDevice::sync_queue`] for all queues.
    pub(crate) fn sync_queues(&self) {
        if self.domain.is_dead() || !self.registered.load(Ordering::Relaxed) {
            return;
        }
        for n in 0..self.tx_queues {
            self.sync_queue(n);
        }
    }

    /// Clears the stop bit of queue `n` in the shadow, for imports that wake it.
    pub(crate) fn clear_stop(&self, n: u32) {
        let place = self.queue_address(n) + QUEUE_STATE;
        if let Ok(state) = self.domain.memory.read::<u64>(place) {
            let _ = self.domain.memory.write(place, state & !DRV_XOFF);
        }
    }

    /// Sets the stop bit of queue `n` in the shadow.
    pub(crate) fn set_stop(&self, n: u32) {
        let place = self.queue_address(n) + QUEUE_STATE;
        if let Ok(state) = self.domain.memory.read::<u64>(place) {
            let _ = self.domain.memory.write(place, state | DRV_XOFF);
        }
    }

    /// Writes bytes of the hardware address on both sides.
    pub(crate) fn set_address(&self, offset: u32, bytes: &[u8]) -> Result<(), Fault> {
        {
            // The kernel takes it out of a tree and puts it back (`dev_addr_mod`), and leaves it to drivers not
            // to do so on two CPUs.
            let _one = self.addressing.lock();
            self.real.set_address(offset, bytes);
        }
        self.domain
            .memory
            .write_bytes(self.address + u64::from(offset), bytes)?;
        self.shown.lock().address = self.real.address();
        Ok(())
    }

    /// Shows the driver the real address lists. The stack holds the lock of the lists.
    pub(crate) fn show_lists(&self) -> Result<(), Fault> {
        let memory = &self.domain.memory;
        let mut base = self.lists.load(Ordering::Relaxed);
        if base == 0 {
            base = memory
                .alloc_virtual(2 * LIST_MAX * ADDRESS_SIZE)
                .map_err(|_| Fault(0))?;
            self.lists.store(base, Ordering::Relaxed);
        }
        let mut flags = self.real.flags();
        for (multicast, list) in [(false, DEVICE_UC), (true, DEVICE_MC)] {
            let first = base + u64::from(multicast) * LIST_MAX * ADDRESS_SIZE;
            let head = self.handle + list;
            let mut n = 0;
            let mut last = head;
            let mut fault = Ok(());
            let mut link = |address: &[u8; 32]| -> Result<(), Fault> {
                let node = first + n * ADDRESS_SIZE;
                memory.write(last, node)?;
                memory.write(node + 8, last)?;
                memory.write(node + ADDRESS_BYTES, *address)?;
                last = node;
                n += 1;
                Ok(())
            };
            let mut shown = 0;
            let count = self.real.each_address(multicast, |address| {
                shown += 1;
                if shown <= LIST_MAX && fault.is_ok() {
                    fault = link(address);
                }
            });
            fault?;
            memory.write(last, head)?;
            memory.write(head + 8, last)?;
            memory.write(head + LIST_COUNT, count)?;
            if shown > LIST_MAX {
                flags |= if multicast { IFF_ALLMULTI } else { IFF_PROMISC };
            }
        }
        memory.write(self.handle + DEVICE_FLAGS, flags)?;
        self.shown.lock().flags = flags;
        Ok(())
    }

    /// Calls the operation whose slot in the driver's `net_device_ops` is at byte `slot`.
    pub(crate) fn operate(
        &self,
        slot: usize,
        name: &'static str,
        args: &[u64],
        context: Context,
    ) -> Result<u64> {
        self.call_slot(&self.ndo, slot, name, args, context)
    }

    /// As [`NetDevice::operate`] for `ethtool_ops`.
    pub(crate) fn operate_ethtool(
        &self,
        slot: usize,
        name: &'static str,
        args: &[u64],
    ) -> Result<u64> {
        self.call_slot(&self.ethtool, slot, name, args, Context::Process)
    }

    fn call_slot(
        &self,
        table: &[AtomicU64],
        slot: usize,
        name: &'static str,
        args: &[u64],
        context: Context,
    ) -> Result<u64> {
        let function = table
            .get(slot / 8)
            .map_or(0, |word| word.load(Ordering::Relaxed));
        if function == 0 {
            return Err(EOPNOTSUPP);
        }
        // The kernel asks for the counters deep in its stack, when it announces a device that is registered.
        if cpu::irqs_disabled() || cpu::stack_left() < run::STACK_AMPLE {
            return Err(EBUSY);
        }
        self.sync_in();
        // All operations that may sleep are called under RTNL (include/linux/netdevice.h, ethtool.h).
        let inside = match context {
            Context::Process => Some(self.domain.net.under_rtnl.enter().ok_or(EBUSY)?),
            Context::Atomic => None,
        };
        let value = run::upcall(&self.domain, name, function, args, context)
            .map_err(|_| self.outage_error())?;
        drop(inside);
        self.sync_queues();
        Ok(value)
    }

    /// Unregisters the device if it is registered; RTNL is not held. Afterwards the kernel calls
    /// no operation of it. Process context.
    pub(crate) fn unregister_now(&self) {
        if !self.registered.swap(false, Ordering::AcqRel) || !adopt::may_unregister(self) {
            return;
        }
        while !net::rtnl_trylock() {
            cpu::sleep_ms(1);
        }
        self.real.unregister();
        net::rtnl_unlock();
        adopt::forget(self);
    }

    /// What is left to do when the driver cannot be asked to stop: nothing may be scheduled or
    /// sent any more.
    pub(crate) fn force_stop(&self) {
        self.real.stop_all_queues();
        self.real.set_carrier(false);
        for (_, napi) in self.domain.net.napis.iter() {
            if napi.belongs_to(self.handle) {
                napi.force_disable();
            }
        }
    }
}

fn words(count: usize) -> Result<KVec<AtomicU64>> {
    let mut words = KVec::with_capacity(count, GFP_KERNEL)?;
    for _ in 0..count {
        words.push(AtomicU64::new(0), GFP_KERNEL)?;
    }
    Ok(words)
}
