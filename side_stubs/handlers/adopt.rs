// SPDX-License-Identifier: GPL-2.0

//! Interfaces that outlive their driver: what is kept of a net_device from one driver to the next,
//! and how the next one takes it over.
//!
//! A restarted driver begins with a net_device of its own, as fresh as it expects. When it registers
//! that, the value adopts the interface that the dead driver left. Until the driver knows the
//! interface's settings again a veil hangs between the two: the driver sees an interface that is
//! down and has the defaults, the stack sees one that is up, with its carrier, and stopped queues.
//! Then the settings are told in order, the interface is opened if it is up, the stack's calls go to
//! the new driver, and with the link, or after a bound, the queues run again.
//!
//! The carrier is never taken away meanwhile: the stack would reset the qdiscs.

use super::ethtool::Part;
use super::late::Late;
use super::net::{wait_for, NetDevice, State};
use super::transmit::{next_turn, transmit, Verdict};
use crate::call::{Call, Violation};
use crate::domain::Domain;
use crate::fault_handler::watch::Hearing;
use crate::side_stubs::setters;
use crate::sys::cpu;
use crate::sys::lock::BhLock;
use crate::sys::net::{self, Device};
use crate::sys::net_layout::*;
use crate::sys::pci::PciRef;
use crate::sys::skb::Packet;
use core::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, AtomicUsize, Ordering};
use kernel::alloc::flags::GFP_ATOMIC;
use kernel::prelude::*;
use kernel::sync::Arc;

/// Packets that wait for the next driver, at most: more than any ring holds.
const UNSENT_MAX: usize = 8192;
/// How often a packet that finds no room in the new driver's ring is offered again, in ms.
const RESEND_TRIES: u32 = 200;

/// The bits of a veil.
const FRESH: u32 = 1;
const QUIET: u32 = 2;
const LINK: u32 = 4;

/// What is kept apart between a driver and the stack.
pub(crate) struct Veil {
    bits: AtomicU32,
    /// Serialises the carrier's two sides.
    carrier: BhLock<()>,
}

impl Veil {
    pub(crate) const fn new() -> Self {
        Veil {
            bits: AtomicU32::new(0),
            carrier: BhLock::new(()),
        }
    }

    fn has(&self, bit: u32) -> bool {
        self.bits.load(Ordering::Acquire) & bit != 0
    }

    /// Whether the driver does not know the interface's settings yet.
    pub(crate) fn is_fresh(&self) -> bool {
        self.has(FRESH)
    }

    /// Whether queues and carrier do not cross.
    pub(crate) fn is_quiet(&self) -> bool {
        self.has(QUIET)
    }
}

/// One value of a setting: a number or bytes.
enum Value {
    Word(u64),
    Bytes(KVec<u8>),
}

/// One setting as the last successful call gave it.
struct Setting {
    slot: usize,
    name: &'static str,
    values: KVec<Value>,
}

/// A packet that waits for the next driver.
struct Unsent {
    packet: Packet,
    queue: u32,
    /// By which they are sent: their order in the dead driver's tables is none.
    turn: u64,
}

/// What the stack sees as one interface, across all the drivers that serve it.
pub(crate) struct Interface {
    real: Arc<Device>,
    parent: Option<PciRef>,
    /// Transmit and receive queues.
    queues: (u32, u32),
    /// The stack knows it.
    registered: AtomicBool,
    /// The domain that adopted it last, by its number.
    claimed: AtomicU64,
    /// Whom the stack's calls go to; holds it, since the calls do not.
    owner: BhLock<Option<Arc<NetDevice>>>,
    settings: BhLock<[Option<Setting>; setters::COUNT]>,
    /// VLAN filters: protocol and number.
    vlans: BhLock<KVec<(u16, u16)>>,
    /// Packets that a dead driver had not sent, by their turns.
    unsent: BhLock<KVec<Unsent>>,
    /// Whether it hears anything.
    hearing: BhLock<Hearing>,
    /// Packets that came with interrupts off.
    pub(super) late: Late,
}

impl Interface {
    fn is_of(&self, parent: Option<&PciRef>) -> bool {
        match (&self.parent, parent) {
            (Some(own), Some(other)) => own.same(other),
            (None, None) => true,
            _ => false,
        }
    }

    /// The interface's present owner.
    pub(crate) fn owner(&self) -> Option<Arc<NetDevice>> {
        self.owner.lock().clone()
    }

    /// Whether `domain` has taken it over.
    pub(crate) fn is_claimed_by(&self, domain: &Domain) -> bool {
        self.claimed.load(Ordering::Acquire) == domain.number
    }

    /// Whether it belongs to `device`.
    pub(crate) fn belongs_to(&self, device: &PciRef) -> bool {
        self.is_of(Some(device))
    }

    /// Takes it away from the stack, whoever serves it. Process context.
    pub(crate) fn unregister(&self) {
        if let Some(owner) = self.owner() {
            owner.unregister_now();
        }
    }

    /// The driver stays down: nobody will send what waits, and the stack is told.
    pub(crate) fn give_up(&self) {
        let unsent = core::mem::replace(&mut *self.unsent.lock(), KVec::new());
        drop(unsent);
        self.late.clear();
        if let Some(owner) = self.owner() {
            owner.real.set_carrier(false);
        }
    }

    /// Keeps the stack from finding a transmit queue stuck while there is no driver.
    pub(crate) fn touch_watchdog(&self) {
        if let Some(owner) = self.owner() {
            owner.real.touch_watchdog(owner.tx_queues);
        }
    }
}

fn parent(call: &Call<'_>, device: &NetDevice) -> Result<Option<PciRef>, Violation> {
    let handle: u64 = call.read(device.handle + DEVICE_PARENT)?;
    let parent = call.domain.pci.by_device(handle);
    Ok(parent.map(|parent| parent.raw.clone()))
}

/// The interface that a dead driver left and that `device` is to take over: of the same parent, the
/// first that its domain has not taken yet.
pub(crate) fn candidate(
    call: &Call<'_>,
    device: &NetDevice,
) -> Result<Option<Arc<Interface>>, Violation> {
    let Some(driver) = call.domain.driver() else {
        return Ok(None);
    };
    let parent = parent(call, device)?;
    let found = driver.kept.interface(|interface| {
        !interface.is_claimed_by(call.domain)
            && interface.is_of(parent.as_ref())
            && interface.queues == (device.tx_queues, device.rx_queues)
    });
    if let Some(interface) = &found {
        interface
            .claimed
            .store(call.domain.number, Ordering::Release);
    }
    Ok(found)
}

/// Prepares what will be kept of `device`, which is about to be registered.
pub(crate) fn begin(call: &Call<'_>, device: &NetDevice) -> Result<Arc<Interface>> {
    let parent = parent(call, device).map_err(|_| EFAULT)?;
    let interface = Interface {
        real: device.real.device().ok_or(EINVAL)?,
        parent,
        queues: (device.tx_queues, device.rx_queues),
        registered: AtomicBool::new(true),
        claimed: AtomicU64::new(call.domain.number),
        owner: BhLock::new(None),
        settings: BhLock::new([const { None }; setters::COUNT]),
        vlans: BhLock::new(KVec::new()),
        unsent: BhLock::new(KVec::new()),
        hearing: BhLock::new(Hearing::default()),
        late: Late::new()?,
    };
    Ok(Arc::new(interface, GFP_KERNEL)?)
}

/// `device` is registered: from now on its interface outlives it.
pub(crate) fn note(device: &Arc<NetDevice>, interface: Arc<Interface>) -> Result {
    let Some(driver) = device.domain.driver() else {
        return Ok(());
    };
    *interface.owner.lock() = Some(device.clone());
    driver.kept.add_interface(&interface).inspect_err(|_| {
        interface.owner.lock().take();
    })?;
    device.interface.populate(interface);
    Ok(())
}

/// `device` is not registered any more, and nothing is kept of it.
pub(crate) fn forget(device: &NetDevice) {
    let Some(interface) = device.interface.as_ref() else {
        return;
    };
    interface.registered.store(false, Ordering::Release);
    if let Some(driver) = device.domain.driver() {
        driver.kept.remove_interface(interface);
    }
    let unsent = core::mem::replace(&mut *interface.unsent.lock(), KVec::new());
    drop(unsent);
    interface.late.clear();
    let owner = interface.owner.lock().take();
    if let Some(owner) = owner {
        owner.registered.store(false, Ordering::Release);
    }
}

/// Gives `device`, which its driver registers, the interface that was kept. RTNL is held.
pub(crate) fn adopt(
    call: &Call<'_>,
    device: &Arc<NetDevice>,
    interface: &Arc<Interface>,
) -> Result<Result<()>, Violation> {
    let domain = call.domain;
    // The driver's own lock is taken for good, so that nobody holds it when it is replaced.
    wait_for(domain, "netdev-lock-timeout", || device.real.try_lock())?;
    let mut napis = KVec::new();
    for (_, napi) in domain.net.napis.iter() {
        if napi.belongs_to(device.handle) && napis.push((napi, false), GFP_KERNEL).is_err() {
            device.real.unlock();
            return Ok(Err(ENOMEM));
        }
    }
    for (napi, enabled) in napis.iter_mut() {
        *enabled = napi.leave().inspect_err(|_| device.real.unlock())?;
    }
    net::synchronize();
    let queues = device.real.real_queues();
    let link = device.real.has_carrier();
    device.veil.bits.store(
        FRESH | QUIET | if link { LINK } else { 0 },
        Ordering::Release,
    );
    device.real.adopt(&interface.real);
    device.registered.store(true, Ordering::Release);
    device.scheduled.store(true, Ordering::Release);
    device.interface.populate(interface.clone());
    if let Err(error) = device.real.adopt_tables() {
        return Ok(Err(error));
    }
    wait_for(domain, "netdev-lock-timeout", || device.real.try_lock())?;
    for (napi, enabled) in &napis {
        napi.join(*enabled);
    }
    device.real.unlock();
    if !device.real.set_real_queues(queues) {
        return Ok(Err(ENOMEM));
    }
    if let Some(before) = interface.owner() {
        let counted = *before.last_stats.lock();
        *device.base.lock() = counted;
        *device.last_stats.lock() = counted;
    }
    let handle = device.handle;
    call.write_bytes(handle + DEVICE_NAME, &device.name())?;
    for field in [DEVICE_WANTED_FEATURES, DEVICE_HW_FEATURES] {
        call.write_bytes(handle + field, &device.real.field::<8>(field))?;
    }
    call.write(
        handle + DEVICE_REG_STATE,
        device.real.field::<1>(DEVICE_REG_STATE),
    )?;
    call.write(
        handle + DEVICE_PERM_ADDR,
        device.real.field::<32>(DEVICE_PERM_ADDR),
    )?;
    device.sync_state();
    Ok(Ok(()))
}

impl State {
    /// Right after a death, in any context but hard interrupts: the stack keeps its packets.
    pub(crate) fn halt(&self) {
        for (_, device) in self.devices.iter() {
            if device.registered.load(Ordering::Acquire) {
                device.real.stop_all_queues();
            }
        }
    }

    /// For how long the driver has held the one of the kernel's locks that it has held longest, in
    /// ms; 0 if it holds none.
    pub(crate) fn lock_held_ms(&self) -> u64 {
        let since = |holder: &AtomicUsize, since: &AtomicU64| match holder.load(Ordering::Acquire) {
            0 => 0,
            _ => cpu::now().saturating_sub(since.load(Ordering::Relaxed)) / 1_000_000,
        };
        let mut longest = since(&self.rtnl_holder, &self.rtnl_since);
        for (_, device) in self.devices.iter() {
            longest = longest.max(since(&device.lock_holder, &device.lock_since));
        }
        longest
    }

    /// For how many ms one of the interfaces has sent and heard nothing, if that is more than `bound`; once in each
    /// silence. For a look about once a second.
    pub(crate) fn silence_ms(&self, bound: u64) -> Option<u64> {
        for (_, device) in self.devices.iter() {
            let Some(interface) = device.interface.as_ref() else {
                continue;
            };
            let (sent, heard) = (
                device.real.trans_start(device.tx_queues),
                device.heard.swap(false, Ordering::Relaxed),
            );
            let driver = device.domain.number;
            let mut hearing = interface.hearing.lock();
            let silent = hearing.look(cpu::now(), driver, sent, heard, bound);
            if silent.is_some() {
                return silent;
            }
        }
        None
    }
}

impl NetDevice {
    /// Whether a next driver will take the interface over from this one, which is dead.
    pub(crate) fn is_recovering(&self) -> bool {
        self.domain.keeper().is_some_and(|driver| driver.recovers())
    }

    /// What an operation answers that the driver could not be asked.
    pub(crate) fn outage_error(&self) -> Error {
        match (self.domain.is_dead(), self.is_recovering()) {
            (false, _) => EIO,
            (true, true) => EAGAIN,
            (true, false) => ENETDOWN,
        }
    }

    /// `net_device.state` as the driver is to see it.
    pub(crate) fn shown_state(&self) -> u64 {
        let bits = self.veil.bits.load(Ordering::Acquire);
        let mut state = self.real.state();
        if bits & QUIET != 0 {
            state &= !STATE_NO_CARRIER;
            state |= if bits & LINK == 0 {
                STATE_NO_CARRIER
            } else {
                0
            };
        }
        if bits & FRESH != 0 {
            state &= !STATE_START;
        }
        state
    }

    /// Whether the stack may be told of the carrier: an event of a device that is unregistered would outlast it
    /// (net/core/link_watch.c). Under the lock of the carrier.
    fn may_have_events(&self) -> bool {
        self.real.field::<1>(DEVICE_REG_STATE)[0] <= NETREG_REGISTERED
    }

    /// `netif_carrier_on` or `netif_carrier_off` by the driver.
    pub(crate) fn set_carrier(&self, on: bool) {
        let guard = self.veil.carrier.lock();
        if !self.veil.is_quiet() {
            if self.may_have_events() {
                self.real.set_carrier(on);
            }
        } else if on {
            self.veil.bits.fetch_or(LINK, Ordering::AcqRel);
        } else {
            self.veil.bits.fetch_and(!LINK, Ordering::AcqRel);
        }
        drop(guard);
    }

    /// After a death: what byte queue limits counted is void.
    pub(crate) fn reset_limits(&self) {
        for n in 0..self.tx_queues {
            self.real.reset_limits(n);
        }
        self.real.touch_watchdog(self.tx_queues);
    }

    /// A packet that the dead driver had not sent; `turn` is its place among all packets.
    pub(crate) fn unsent(&self, packet: Packet, queue: u32, turn: u64) {
        let Some(interface) = self.interface.as_ref().filter(|_| self.is_recovering()) else {
            drop(packet);
            return;
        };
        let mut unsent = interface.unsent.lock();
        if unsent.len() < UNSENT_MAX {
            // Without memory the packet is lost, as on a wire.
            let one = Unsent {
                packet,
                queue,
                turn,
            };
            if unsent.push(one, GFP_ATOMIC).is_err() {
                return;
            }
            // Each goes to its place: they are few, and mostly come in order.
            let mut at = unsent.len() - 1;
            while at > 0 && unsent[at - 1].turn > turn {
                unsent.swap(at - 1, at);
                at -= 1;
            }
        }
    }

    /// Remembers a setting that the driver accepted.
    pub(crate) fn note_setting(&self, slot: usize, name: &'static str, parts: &[Part<'_>]) {
        let (Some(place), Some(interface)) = (setters::place(name), self.interface.as_ref()) else {
            return;
        };
        if self.veil.is_fresh() {
            return;
        }
        let mut values = KVec::new();
        for part in parts {
            let value = match part {
                Part::Word(word) => Value::Word(*word),
                other => {
                    let mut bytes = KVec::new();
                    if bytes.extend_from_slice(other.bytes(), GFP_KERNEL).is_err() {
                        return;
                    }
                    Value::Bytes(bytes)
                }
            };
            if values.push(value, GFP_KERNEL).is_err() {
                return;
            }
        }
        let setting = Setting { slot, name, values };
        let before = interface.settings.lock()[place].replace(setting);
        drop(before);
    }

    /// Remembers or forgets a VLAN filter. Returns 0 or an errno.
    pub(crate) fn note_vlan(&self, add: bool, protocol: u16, vid: u16) -> i32 {
        let Some(interface) = self.interface.as_ref() else {
            return 0;
        };
        let mut vlans = interface.vlans.lock();
        let known = vlans.iter().position(|vlan| *vlan == (protocol, vid));
        match (known, add) {
            (None, true) => match vlans.push((protocol, vid), GFP_ATOMIC) {
                Ok(()) => 0,
                Err(_) => ENOMEM.to_errno(),
            },
            (Some(n), false) => {
                let _ = vlans.remove(n);
                0
            }
            _ => 0,
        }
    }

    fn tell_setting(&self, place: usize) -> i32 {
        let Some(interface) = self.interface.as_ref() else {
            return 0;
        };
        // Taken out, so that the driver is not called under the lock; RTNL keeps others away.
        let Some(mut setting) = interface.settings.lock()[place].take() else {
            return 0;
        };
        let result = if setters::needs_up(place) {
            match setting.values.first_mut() {
                Some(Value::Bytes(bytes)) => {
                    self.with_structure(setting.slot, setting.name, bytes, &[0])
                }
                _ => 0,
            }
        } else {
            self.tell_ethtool(&mut setting)
        };
        let mut settings = interface.settings.lock();
        if settings[place].is_none() {
            settings[place] = Some(setting);
        }
        result
    }

    fn tell_ethtool(&self, setting: &mut Setting) -> i32 {
        let mut parts = KVec::new();
        for value in setting.values.iter_mut() {
            let part = match value {
                Value::Word(word) => Part::Word(*word),
                Value::Bytes(bytes) => Part::In(bytes),
            };
            if parts.push(part, GFP_KERNEL).is_err() {
                return ENOMEM.to_errno();
            }
        }
        let result = self.ethtool(setting.slot, setting.name, &mut parts);
        match (setting.name, result) {
            ("set_msglevel", Ok(_)) => 0,
            (_, result) => super::net_ops::answer(result),
        }
    }

    fn tell(&self, what: &str, result: i32) -> Result {
        if self.domain.is_dead() {
            return Err(EIO);
        }
        if result < 0 {
            let name = self.name();
            let len = name.iter().position(|byte| *byte == 0).unwrap_or(16);
            pr_warn!(
                "{}: {}: {what} as before was refused (error {result})\n",
                self.domain.name(),
                core::str::from_utf8(&name[..len]).unwrap_or("?")
            );
        }
        Ok(())
    }

    /// Tells a fresh driver what its interface is set to, opens it if it is up, and lets the
    /// stack's calls go to it. Process context, without RTNL. Errors: the driver died or cannot open it.
    pub(crate) fn hand_over(self: &Arc<Self>) -> Result {
        let Some(interface) = self.interface.as_ref() else {
            return Ok(());
        };
        wait_for(&self.domain, "rtnl-timeout", net::rtnl_trylock).map_err(|_| EIO)?;
        let before = self.tell_all(interface);
        net::rtnl_unlock();
        // Whoever is still in a call of the old owner's is done with it afterwards.
        net::synchronize();
        drop(before?);
        Ok(())
    }

    fn tell_all(self: &Arc<Self>, interface: &Interface) -> Result<Option<Arc<NetDevice>>> {
        let (features, mtu, address) = self.real.fresh().ok_or(EINVAL)?;
        // Its driver may have unregistered it again.
        if !interface.registered.load(Ordering::Acquire) || !self.registered.load(Ordering::Acquire)
        {
            return Err(ENODEV);
        }
        if self.real.mtu() != mtu {
            let result = self.change_mtu(NDO_CHANGE_MTU, self.real.mtu() as i32);
            self.tell("the MTU", result)?;
        }
        for place in (0..setters::COUNT).filter(|place| !setters::needs_up(*place)) {
            let result = self.tell_setting(place);
            self.tell("a setting of ethtool", result)?;
        }
        let wanted = self.real.features();
        if (features ^ wanted) & self.real.hw_features() != 0 {
            let result = self.set_features(NDO_SET_FEATURES, wanted);
            self.tell("offload features", result)?;
        }
        if self.real.address() != address {
            let mut socket_address = [0; 16];
            // ARPHRD_ETHER, then the bytes, as in `struct sockaddr`.
            socket_address[0] = 1;
            socket_address[2..8].copy_from_slice(&self.real.address());
            let result = self.set_mac(NDO_SET_MAC, &socket_address);
            self.tell("the MAC address", result)?;
        }
        self.veil.bits.fetch_and(!FRESH, Ordering::AcqRel);
        self.sync_in();
        if self.real.is_running() {
            let result = self.simple(NDO_OPEN, "ndo_open", &[]);
            if result != 0 || self.domain.is_dead() {
                return Err(Error::from_errno(if result < 0 { result } else { -5 }));
            }
            let mut n = 0;
            loop {
                let vlan = interface.vlans.lock().get(n).copied();
                let Some((protocol, vid)) = vlan else { break };
                let args = [protocol.into(), vid.into()];
                let result = self.simple(NDO_ADD_VID, "ndo_vlan_rx_add_vid", &args);
                self.tell("a VLAN filter", result)?;
                n += 1;
            }
            if self.has_operation(NDO_SET_RX_MODE) {
                self.real
                    .with_address_lock(|| self.set_rx_mode(NDO_SET_RX_MODE));
            }
            for place in (0..setters::COUNT).filter(|place| setters::needs_up(*place)) {
                let result = self.tell_setting(place);
                self.tell("time stamping", result)?;
            }
        }
        if self.domain.is_dead() {
            return Err(EIO);
        }
        self.real.set_owner(self);
        Ok(interface.owner.lock().replace(self.clone()))
    }

    fn has_operation(&self, slot: usize) -> bool {
        self.ndo
            .get(slot / 8)
            .is_some_and(|word| word.load(Ordering::Relaxed) != 0)
    }

    /// Whether the driver may be given the queues: it has the link, or the interface is down.
    pub(crate) fn is_ready(&self) -> bool {
        self.veil.has(LINK) || !self.real.is_running()
    }

    /// Ends the veil: the packets that wait are sent, the carrier is what the driver says, and the
    /// queues run. Process context.
    pub(crate) fn lift(self: &Arc<Self>) {
        let registered = self.registered.load(Ordering::Acquire);
        if !self.veil.is_quiet() || self.domain.is_dead() || !registered {
            return;
        }
        // A driver that dies on its way into sleep has detached the device, and nobody else will attach
        // it again.
        self.real.set_present(true);
        let had_carrier = self.real.has_carrier();
        if self.veil.has(LINK) && self.real.is_running() {
            self.resend();
        }
        {
            let _guard = self.veil.carrier.lock();
            let bits = self.veil.bits.fetch_and(!QUIET, Ordering::AcqRel);
            if self.may_have_events() {
                self.real.set_carrier(bits & LINK != 0);
            }
        }
        self.sync_state();
        self.real.touch_watchdog(self.tx_queues);
        self.sync_queues();
        if had_carrier && self.real.is_running() {
            let _guard = self.veil.carrier.lock();
            if self.may_have_events() {
                self.real.announce_carrier();
            }
        }
        if let Some(interface) = self.interface.as_ref() {
            interface.transmit_late();
        }
    }

    /// Sends what the dead driver had not, in the order in which it was handed over.
    fn resend(self: &Arc<Self>) {
        let Some(interface) = self.interface.as_ref() else {
            return;
        };
        let unsent = core::mem::replace(&mut *interface.unsent.lock(), KVec::new());
        for Unsent { packet, queue, .. } in unsent {
            let mut next = Some(packet);
            for _ in 0..RESEND_TRIES {
                let Some(packet) = next.take() else { break };
                let verdict = self.real.with_transmit_lock(queue, || {
                    transmit(self.as_arc_borrow(), packet, NDO_START_XMIT)
                });
                if let Verdict::Busy(packet) = verdict {
                    if self.domain.is_dead() {
                        // After those that this driver took before it died.
                        self.unsent(packet, queue, next_turn());
                        break;
                    }
                    next = Some(packet);
                    cpu::sleep_ms(1);
                }
            }
        }
    }
}

/// Whether `device` may still be unregistered: nobody else who served the interface did.
pub(crate) fn may_unregister(device: &NetDevice) -> bool {
    match device.interface.as_ref() {
        Some(interface) => interface.registered.swap(false, Ordering::AcqRel),
        None => true,
    }
}
