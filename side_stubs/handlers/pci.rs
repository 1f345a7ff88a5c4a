// SPDX-License-Identifier: GPL-2.0

//! PCI: the devices and drivers of a domain.
//!
//! `driver` holds the registration and what the PCI core calls, `device` a device with its shadow
//! and what the driver holds of it, `imports` the handlers, `ports` those that claim ports.

pub(crate) mod device;
pub(crate) mod driver;
pub(crate) mod imports;
pub(crate) mod ports;

pub(crate) use device::{Managed, PciDevice};

use crate::domain::Domain;
use crate::objects::Table;
use crate::sys::lock::BhLock;
use crate::sys::pci::{layout, PciRef};
use crate::sys::pci_driver::Registered;
use crate::tasks::Tasks;
use kernel::prelude::*;
use kernel::sync::Arc;

/// What a domain holds of PCI.
pub(crate) struct State {
    /// Devices by the address of their shadow `pci_dev`.
    pub(crate) devices: Table<PciDevice>,
    /// The same devices by the address of the shadow of the bridge above them.
    pub(crate) bridges: Table<PciDevice>,
    /// Registered drivers by the address of the driver's own `pci_driver`.
    drivers: BhLock<KVec<(u64, Registered)>>,
    /// The tasks that are in a function of the driver's that the driver core calls, mostly with the lock of a
    /// device held.
    callers: Tasks,
    /// Devices taken from other drivers.
    taken: BhLock<KVec<PciRef>>,
}

impl State {
    pub(crate) fn new() -> Self {
        State {
            devices: Table::new(),
            bridges: Table::new(),
            drivers: BhLock::new(KVec::new()),
            callers: Tasks::new(),
            taken: BhLock::new(KVec::new()),
        }
    }

    /// How many drivers are registered.
    pub(crate) fn drivers(&self) -> usize {
        self.drivers.lock().len()
    }

    /// The device whose shadow `pci_dev` is at `handle`.
    pub(crate) fn get(&self, handle: u64) -> Option<Arc<PciDevice>> {
        self.devices.get(handle)
    }

    /// The device in whose shadow the `struct device` at `handle` is embedded.
    pub(crate) fn by_device(&self, handle: u64) -> Option<Arc<PciDevice>> {
        self.devices.get(handle.checked_sub(layout::DEV)?)
    }

    /// The domain's device that is `raw` in the kernel.
    pub(crate) fn find(&self, raw: &PciRef) -> Option<Arc<PciDevice>> {
        self.first(|device| device.raw.same(raw))
    }

    /// The first device that `f` accepts.
    pub(crate) fn first(&self, f: impl Fn(&PciDevice) -> bool) -> Option<Arc<PciDevice>> {
        let mut devices = self.devices.iter().map(|(_, device)| device);
        devices.find(|device| f(device))
    }

    fn each(&self, f: impl Fn(&Arc<PciDevice>)) {
        for (_, device) in self.devices.iter() {
            f(&device);
        }
    }

    /// First step after a death: no device reaches memory or raises its line any more.
    pub(crate) fn silence(&self, domain: &Arc<Domain>) {
        self.each(|device| device.silence(domain));
    }

    /// Unregisters the drivers: the PCI core removes each device, which calls the driver while the
    /// domain lives and gives back what is left either way. If there is to be a next domain they are
    /// kept for that.
    pub(crate) fn unregister(&self, domain: &Arc<Domain>) {
        loop {
            let driver = self.drivers.lock().pop();
            match driver {
                Some((_, registered)) => driver::let_go(domain, registered),
                None => return,
            }
        }
    }

    /// Last step: unregisters, gives back what any device still holds, and offers devices that
    /// were taken over to their own drivers again. Interrupts and DMA were released before.
    pub(crate) fn release(&self, domain: &Arc<Domain>) {
        self.unregister(domain);
        while let Some((_, device)) = self.devices.pop() {
            device.release(domain);
        }
        loop {
            let device = self.taken.lock().pop();
            let Some(device) = device else { return };
            if let Some(driver) = domain.keeper() {
                driver.kept.keep_taken(device);
                continue;
            }
            if device.is_present() && device.offer() < 0 {
                pr_warn!(
                    "{}: {}: no driver took it back\n",
                    domain.name(),
                    device.name()
                );
            }
        }
    }
}
