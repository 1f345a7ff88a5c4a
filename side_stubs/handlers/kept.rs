// SPDX-License-Identifier: GPL-2.0

//! What is kept of a driver from one of its domains to the next: the interfaces, the registration
//! with the PCI core and the devices bound to it, the PTP clocks, and the devices that were taken
//! from other drivers.

use super::adopt::Interface;
use crate::sys::lock::BhLock;
use crate::sys::pci::PciRef;
use crate::sys::pci_driver::Registered;
use crate::sys::ptp;
use kernel::alloc::flags::GFP_ATOMIC;
use kernel::prelude::*;
use kernel::sync::Arc;

/// A device that the driver is bound to.
struct Bound {
    device: PciRef,
    /// The number of the domain whose probe of it succeeded last.
    probed: u64,
}

/// What is kept of one driver.
pub(crate) struct Kept {
    interfaces: BhLock<KVec<Arc<Interface>>>,
    /// Registrations that no domain holds at the moment.
    registrations: BhLock<KVec<Registered>>,
    bound: BhLock<KVec<Bound>>,
    /// Clocks that no domain holds at the moment, by the device they belong to.
    clocks: BhLock<KVec<(PciRef, ptp::Registered)>>,
    taken: BhLock<KVec<PciRef>>,
}

impl Kept {
    pub(crate) const fn new() -> Self {
        Kept {
            interfaces: BhLock::new(KVec::new()),
            registrations: BhLock::new(KVec::new()),
            bound: BhLock::new(KVec::new()),
            clocks: BhLock::new(KVec::new()),
            taken: BhLock::new(KVec::new()),
        }
    }

    /// The first interface that `f` accepts.
    pub(crate) fn interface(&self, f: impl Fn(&Interface) -> bool) -> Option<Arc<Interface>> {
        self.interfaces
            .lock()
            .iter()
            .find(|interface| f(interface))
            .cloned()
    }

    /// Calls `f` for each interface.
    pub(crate) fn each_interface(&self, f: impl Fn(&Interface)) {
        let mut n = 0;
        loop {
            let next = self.interfaces.lock().get(n).cloned();
            let Some(interface) = next else { return };
            f(&interface);
            n += 1;
        }
    }

    /// Enters an interface.
    pub(crate) fn add_interface(&self, interface: &Arc<Interface>) -> Result {
        Ok(self.interfaces.lock().push(interface.clone(), GFP_ATOMIC)?)
    }

    /// Takes an interface out.
    pub(crate) fn remove_interface(&self, interface: &Arc<Interface>) {
        let removed = {
            let mut list = self.interfaces.lock();
            let place = list.iter().position(|one| Arc::ptr_eq(one, interface));
            place.and_then(|n| list.remove(n).ok())
        };
        drop(removed);
    }

    /// Unregisters the interfaces that `which` accepts. Process context.
    pub(crate) fn unregister(&self, which: impl Fn(&Interface) -> bool) -> usize {
        let mut count = 0;
        while let Some(interface) = self.interface(&which) {
            interface.unregister();
            self.remove_interface(&interface);
            count += 1;
        }
        count
    }

    /// Keeps a registration whose domain is dead.
    pub(crate) fn keep_registration(&self, registered: Registered) {
        let mut one = match KVec::with_capacity(1, GFP_KERNEL) {
            Ok(list) => list,
            // Without memory it is unregistered, and the devices are free.
            Err(_) => return drop(registered),
        };
        if one.push(registered, GFP_KERNEL).is_err() {
            return;
        }
        let mut list = self.registrations.lock();
        if list.is_empty() {
            *list = one;
            return;
        }
        let room = list.reserve(1, GFP_ATOMIC).is_ok();
        if let (true, Some(registered)) = (room, one.pop()) {
            let _ = list.push(registered, GFP_ATOMIC);
        }
        drop(list);
        drop(one);
    }

    /// Takes the registration of the driver that calls itself `name`.
    pub(crate) fn take_registration(&self, name: &[u8]) -> Option<Registered> {
        let mut list = self.registrations.lock();
        let place = list.iter().position(|one| one.twin().is_called(name));
        place.and_then(|n| list.remove(n).ok())
    }

    /// Notes that domain `number` has probed `device` with success.
    pub(crate) fn note_bound(&self, device: &PciRef, number: u64) -> Result {
        let mut bound = self.bound.lock();
        if let Some(known) = bound.iter_mut().find(|known| known.device.same(device)) {
            known.probed = number;
            return Ok(());
        }
        let device = device.clone();
        let probed = number;
        Ok(bound.push(Bound { device, probed }, GFP_ATOMIC)?)
    }

    /// Forgets `device`: it goes, or the driver lets go of it. Process context.
    pub(crate) fn forget_bound(&self, device: &PciRef) {
        let forgotten = {
            let mut bound = self.bound.lock();
            let place = bound.iter().position(|known| known.device.same(device));
            place.and_then(|n| bound.remove(n).ok())
        };
        drop(forgotten);
    }

    /// A bound device that domain `number` has not probed.
    pub(crate) fn unprobed(&self, number: u64, after: Option<&PciRef>) -> Option<PciRef> {
        let bound = self.bound.lock();
        let begin = match after {
            Some(last) => bound
                .iter()
                .position(|b| b.device.same(last))
                .map_or(0, |n| n + 1),
            None => 0,
        };
        bound[begin.min(bound.len())..]
            .iter()
            .find(|bound| bound.probed != number)
            .map(|bound| bound.device.clone())
    }

    /// Keeps a clock whose domain is dead.
    pub(crate) fn keep_clock(&self, device: &PciRef, clock: ptp::Registered) {
        let entry = (device.clone(), clock);
        let mut clocks = self.clocks.lock();
        if clocks.reserve(1, GFP_ATOMIC).is_ok() {
            let _ = clocks.push(entry, GFP_ATOMIC);
            return;
        }
        drop(clocks);
        drop(entry);
    }

    /// Takes the clock of `device`.
    pub(crate) fn take_clock(&self, device: &PciRef) -> Option<ptp::Registered> {
        let mut clocks = self.clocks.lock();
        let place = clocks.iter().position(|(owner, _)| owner.same(device));
        place
            .and_then(|n| clocks.remove(n).ok())
            .map(|(_, clock)| clock)
    }

    /// Keeps a device that was taken from another driver.
    pub(crate) fn keep_taken(&self, device: PciRef) {
        let _ = self.taken.lock().push(device, GFP_ATOMIC);
    }

    /// Drops the clocks that nobody has taken over.
    pub(crate) fn drop_clocks(&self) {
        loop {
            let clock = self.clocks.lock().pop();
            if clock.is_none() {
                return;
            }
        }
    }

    /// Gives everything back: the driver is unloaded. Process context.
    pub(crate) fn drop_all(&self) {
        self.unregister(|_| true);
        self.drop_clocks();
        loop {
            let registered = self.registrations.lock().pop();
            if registered.is_none() {
                break;
            }
            // Dropped here, outside the lock: the PCI core removes the devices.
        }
        let bound = core::mem::replace(&mut *self.bound.lock(), KVec::new());
        drop(bound);
        loop {
            let device = self.taken.lock().pop();
            let Some(device) = device else { return };
            if device.is_present() && device.offer() < 0 {
                pr_warn!("{}: no driver took it back\n", device.name());
            }
        }
    }
}
