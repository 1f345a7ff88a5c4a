// SPDX-License-Identifier: GPL-2.0

//! A PCI device of a domain: the kernel's device, its shadow in the domain's heap, and the ledger
//! of what the driver holds of it.
//!
//! The shadow is one heap object: the `pci_dev`, a `pci_bus` with the root bus above it, a parent
//! device that is always active (drivers look at the parent's power state without asking whether
//! there is a parent), names, a copy of a dynamic id, and the `pci_dev` of the bridge above.

use super::super::{dma, irq, net_imports};
use crate::call::Violation;
use crate::domain::Domain;
use crate::side_stubs::config_space::Role;
use crate::sys::access::PAGE;
use crate::sys::dma::DmaSpace;
use crate::sys::lock::BhLock;
use crate::sys::pci::{layout, PciRef};
use crate::tasks::Tasks;
use core::sync::atomic::{AtomicBool, AtomicI32, Ordering};
use kernel::alloc::flags::GFP_ATOMIC;
use kernel::prelude::*;
use kernel::sync::lock::{mutex::MutexBackend, Guard};
use kernel::sync::{Arc, Mutex};

const ALIGN: u64 = 64;
const fn after(at: u64, len: u64) -> u64 {
    (at + len).div_ceil(ALIGN) * ALIGN
}
/// Places in the shadow.
const BUS: u64 = after(0, layout::PCI_DEV);
const ROOT_BUS: u64 = after(BUS, layout::PCI_BUS);
const PARENT: u64 = after(ROOT_BUS, layout::PCI_BUS);
const NAME: u64 = after(PARENT, layout::DEVICE);
const DRIVER_NAME: u64 = after(NAME, 64);
const ID: u64 = after(DRIVER_NAME, 64);
const BRIDGE: u64 = after(ID, layout::ID);
const SIZE: u64 = after(BRIDGE, layout::PCI_DEV);

/// `PCI_STD_NUM_BARS`
const BARS: usize = 6;
/// The largest number that one driver may take off or put on the runtime usage count.
const USAGE_MAX: i32 = 64;
/// Managed things that one device may have.
const MANAGED_MAX: usize = 4096;
/// The flags of system power management that drivers set (`DPM_FLAG_*`).
const DRIVER_FLAGS: u32 = 0xf;

/// How interrupts of the device come.
pub(crate) enum Vectors {
    /// By the line.
    Line,
    /// By one message, under the device's own number.
    Msi,
    /// By the messages with these numbers.
    MsiX(KVec<u32>),
    /// By the messages with these numbers, taken by `pci_alloc_irq_vectors`.
    Allocated(KVec<u32>),
}

/// A mapped part of a BAR.
pub(super) struct Window {
    /// What the driver was given.
    pub(super) address: u64,
    /// The window in the domain's memory.
    pub(super) base: u64,
}

/// Something that a driver leaves to the driver core to free after its `remove` (devres).
pub(crate) enum Managed {
    /// An object of the heap.
    Object(u64),
    /// A net device.
    NetDevice(u64),
}

/// The ledger of a device.
pub(super) struct Held {
    /// Enables not undone.
    pub(super) enabled: u32,
    /// BARs claimed.
    pub(super) regions: u32,
    pub(super) vectors: Vectors,
    pub(super) windows: KVec<Window>,
    /// The driver has turned the PME signal on by itself.
    pub(super) pme: bool,
    /// Everything was given back.
    released: bool,
}

/// How an interrupt number belongs to a device.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Source {
    Line,
    Message,
}

/// A device that a driver of the domain is bound to.
#[pin_data]
pub(crate) struct PciDevice {
    /// The kernel's device.
    pub(crate) raw: PciRef,
    /// The memory that it reaches.
    pub(crate) space: Arc<DmaSpace>,
    /// The bridge above it.
    pub(crate) bridge: Option<PciRef>,
    /// Address of the shadow `pci_dev`.
    pub(crate) shadow: u64,
    /// The name under which regions are claimed, with its NUL; the kernel keeps a pointer.
    pub(super) region_name: KVec<u8>,
    /// Serialises what the kernel expects a driver to serialise.
    #[pin]
    pub(super) held: Mutex<Held>,
    /// The usage count that was last written into the shadow.
    usage_shown: AtomicI32,
    /// What the driver changed of the real one in all.
    usage_delta: AtomicI32,
    /// The device left its bus without notice.
    gone: AtomicBool,
    /// The task in which the driver's function for a runtime suspend or resume runs.
    transition: Tasks,
    /// What goes with the device, in the order in which it was taken; `None` once it is going.
    managed: BhLock<Option<KVec<Managed>>>,
}

impl PciDevice {
    /// Makes the shadow of `raw` in the domain and enters it in the tables. `driver_name` is the
    /// name that the driver gave itself.
    pub(super) fn new(
        domain: &Arc<Domain>,
        space: Arc<DmaSpace>,
        driver_name: &[u8],
    ) -> Result<Arc<Self>> {
        let raw = space.device().clone();
        let shadow = domain.memory.alloc(SIZE)?;
        let bridge = raw.bridge();
        let mut region_name = KVec::new();
        region_name.extend_from_slice(domain.name().as_bytes(), GFP_KERNEL)?;
        region_name.push(0, GFP_KERNEL)?;
        let device = Arc::pin_init(
            try_pin_init!(PciDevice {
                raw,
                space,
                bridge,
                shadow,
                region_name,
                held <- kernel::new_mutex!(Held {
                    enabled: 0,
                    regions: 0,
                    vectors: Vectors::Line,
                    windows: KVec::new(),
                    pme: false,
                    released: false,
                }),
                usage_shown: AtomicI32::new(0),
                usage_delta: AtomicI32::new(0),
                gone: AtomicBool::new(false),
                transition: Tasks::new(),
                managed: BhLock::new(Some(KVec::new())),
            }),
            GFP_KERNEL,
        )?;
        device.fill(domain, driver_name).map_err(|_| EFAULT)?;
        domain.pci.devices.insert(shadow, device.clone())?;
        if device.bridge.is_some() {
            let entered = domain.pci.bridges.insert(shadow + BRIDGE, device.clone());
            entered.inspect_err(|_| drop(domain.pci.devices.remove(shadow)))?;
        }
        Ok(device)
    }

    fn fill(&self, domain: &Domain, driver_name: &[u8]) -> Result<(), Violation> {
        let memory = &domain.memory;
        let shadow = self.shadow;
        let mut result = Ok(());
        self.raw.facts(|offset, bytes| {
            if let Err(fault) = memory.write_bytes(shadow + offset, bytes) {
                result = Err(Violation::from(fault));
            }
        });
        result?;
        let dev = shadow + layout::DEV;
        memory.write(shadow + layout::BUS, shadow + BUS)?;
        memory.write(shadow + BUS + layout::BUS_NUMBER, self.raw.bus_number())?;
        if let Some(bridge) = &self.bridge {
            let mut result = Ok(());
            bridge.facts(|offset, bytes| {
                if let Err(fault) = memory.write_bytes(shadow + BRIDGE + offset, bytes) {
                    result = Err(Violation::from(fault));
                }
            });
            result?;
            memory.write(shadow + BUS + layout::BUS_SELF, shadow + BRIDGE)?;
            memory.write(shadow + BUS + layout::BUS_PARENT, shadow + ROOT_BUS)?;
            memory.write(shadow + BRIDGE + layout::BUS, shadow + ROOT_BUS)?;
        }
        memory.write(dev + layout::DEVICE_PARENT, shadow + PARENT)?;
        memory.write(shadow + PARENT + layout::RUNTIME_STATUS, layout::RPM_ACTIVE)?;
        memory.write(dev + layout::DEVICE_NAME, shadow + NAME)?;
        memory.write(dev + layout::DEVICE_DMA_MASK, shadow + layout::DMA_MASK)?;
        memory.write(dev + layout::DEVICE_DMA_PARMS, shadow + layout::DMA_PARMS)?;
        let name = self.raw.name().as_bytes();
        memory.write_bytes(shadow + NAME, &name[..core::cmp::min(name.len(), 63)])?;
        let len = core::cmp::min(driver_name.len(), 63);
        memory.write_bytes(shadow + DRIVER_NAME, &driver_name[..len])?;
        self.show_usage(domain)
    }

    /// The handle of the embedded `struct device`.
    pub(crate) fn device_handle(&self) -> u64 {
        self.shadow + layout::DEV
    }

    /// Address of the driver's name in the domain.
    pub(super) fn driver_name(&self) -> u64 {
        self.shadow + DRIVER_NAME
    }

    /// Puts a copy of an id that is not in the driver's table into the domain.
    pub(super) fn put_id(&self, domain: &Domain, id: [u64; 5]) -> Result<u64, Violation> {
        let address = self.shadow + ID;
        domain.memory.write(address, id)?;
        Ok(address)
    }

    fn show_usage(&self, domain: &Domain) -> Result<(), Violation> {
        let usage = self.raw.usage_count();
        let at = self.device_handle() + layout::USAGE_COUNT;
        domain.memory.write(at, usage)?;
        self.usage_shown.store(usage, Ordering::Relaxed);
        Ok(())
    }

    /// Carries what the driver wrote in place into its shadow over to the kernel: the change of
    /// the usage count, and the flags for the PM core.
    pub(crate) fn mirror(&self, domain: &Domain) -> Result<(), Violation> {
        let dev = self.device_handle();
        let usage: i32 = domain.memory.read(dev + layout::USAGE_COUNT)?;
        let delta = usage.wrapping_sub(self.usage_shown.swap(usage, Ordering::Relaxed));
        if delta != 0 {
            self.account_usage(delta)?;
            self.raw.change_usage(delta);
        }
        let flags: u32 = domain.memory.read(dev + layout::DRIVER_FLAGS)?;
        if flags & !DRIVER_FLAGS != 0 {
            return Err(Violation::new("pm-driver-flags", u64::from(flags)));
        }
        self.raw.set_driver_flags(flags);
        Ok(())
    }

    /// Enters in the ledger what the driver changes of the usage count.
    pub(crate) fn account_usage(&self, delta: i32) -> Result<(), Violation> {
        // A driver may undo the one reference that the PCI core takes for it, no more.
        let sum = |all: i32| {
            all.checked_add(delta)
                .filter(|all| (-1..=USAGE_MAX).contains(all))
        };
        let all = &self.usage_delta;
        match all.fetch_update(Ordering::Relaxed, Ordering::Relaxed, sum) {
            Ok(_) => Ok(()),
            Err(all) => Err(Violation::new(
                "pm-usage-count",
                u64::from(all.wrapping_add(delta) as u32),
            )),
        }
    }

    /// Brings the shadow up to date with what changes while a driver is bound. Any context but
    /// hard interrupts; `mirror` first where the driver may have written.
    pub(crate) fn refresh(&self, domain: &Domain) -> Result<(), Violation> {
        let mut result = Ok(());
        self.raw.changing_facts(|offset, bytes| {
            if let Err(fault) = domain.memory.write_bytes(self.shadow + offset, bytes) {
                result = Err(Violation::from(fault));
            }
        });
        result?;
        if self.gone.load(Ordering::Relaxed) {
            // `pci_channel_io_perm_failure`.
            domain
                .memory
                .write(self.shadow + layout::ERROR_STATE, 3u32)?;
        }
        Ok(())
    }

    /// As [`PciDevice::refresh`], with the usage count: between upcalls of the driver core.
    pub(super) fn refresh_all(&self, domain: &Domain) -> Result<(), Violation> {
        self.mirror(domain)?;
        self.refresh(domain)?;
        self.show_usage(domain)
    }

    /// Notes that the device left its bus without notice.
    pub(super) fn set_gone(&self) {
        self.gone.store(true, Ordering::Relaxed);
    }

    /// Lets the register windows and ports read as all ones, as a device that is gone does, so that the
    /// driver's own clean-up can run.
    pub(super) fn vanish(&self, domain: &Domain) {
        for (first, last) in self.port_ranges(u32::MAX) {
            domain.ports.vanish(first, last);
        }
        for window in &self.held.lock().windows {
            domain.memory.vanish_registers(window.base);
        }
    }

    /// Calls `f` with how interrupt `number` belongs to this device, if it does; vectors stay as
    /// they are meanwhile. Process context.
    pub(crate) fn with_source<R>(&self, number: u32, f: impl FnOnce(Source) -> R) -> Option<R> {
        let held = self.hold().ok()?;
        let source = match &held.vectors {
            Vectors::Line if number == self.raw.irq() && number != 0 => Source::Line,
            Vectors::Msi if number == self.raw.irq() => Source::Message,
            Vectors::MsiX(list) | Vectors::Allocated(list) if list.contains(&number) => {
                Source::Message
            }
            _ => return None,
        };
        Some(f(source))
    }

    /// The ledger, locked; a breach once everything was given back, which only a dead domain's last
    /// calls and a driver that uses a device after its `remove` see.
    pub(super) fn hold(&self) -> Result<Guard<'_, Held, MutexBackend>, Violation> {
        let held = self.held.lock();
        match held.released {
            true => Err(Violation::new("device-released", self.shadow)),
            false => Ok(held),
        }
    }

    /// Calls `f`, the driver's function for a runtime suspend or resume.
    pub(super) fn in_transition<R>(&self, f: impl FnOnce() -> R) -> R {
        // The PM core runs one at a time for a device: there is room.
        let _inside = self.transition.enter();
        f()
    }

    /// Whether this task is in the driver's function for a runtime suspend or resume.
    pub(crate) fn is_in_transition(&self) -> bool {
        self.transition.has_this()
    }

    /// Calls `f` with the list of what goes with the device.
    fn with_managed<R>(&self, f: impl FnOnce(&mut KVec<Managed>) -> R) -> Result<R, Violation> {
        match &mut *self.managed.lock() {
            Some(list) => Ok(f(list)),
            None => Err(Violation::new("device-released", self.shadow)),
        }
    }

    /// Leaves `one` to be freed with the device. Any context but hard interrupts.
    pub(crate) fn manage(&self, one: Managed) -> Result<Result<()>, Violation> {
        self.with_managed(|list| match list.len() < MANAGED_MAX {
            true => Ok(list.push(one, GFP_ATOMIC)?),
            false => Err(ENOSPC),
        })
    }

    /// Takes the first managed thing that `which` accepts off the ledger. Returns whether there was
    /// one. Any context but hard interrupts.
    pub(crate) fn unmanage(&self, which: impl Fn(&Managed) -> bool) -> Result<bool, Violation> {
        self.with_managed(|list| {
            let at = list.iter().position(which);
            at.is_some_and(|at| list.remove(at).is_ok())
        })
    }

    /// Stops port and memory access, and the interrupt line. Where there is an IOMMU, the device
    /// reaches nothing from here on, whatever turns its bus mastering on again.
    pub(super) fn silence(&self, domain: &Domain) {
        self.close_ports(domain);
        self.raw.clear_master();
        self.space.block();
        if matches!(self.held.lock().vectors, Vectors::Line) {
            self.raw.set_line(0);
        }
    }

    /// Leaves the line on only while a handler is there for it: nobody would serve what the device
    /// raises, and the kernel would turn the line off for all that share it. `held` is the device's
    /// ledger.
    pub(super) fn settle_line(&self, domain: &Domain, held: &Held) {
        if matches!(held.vectors, Vectors::Line) {
            irq::settle_line(domain, self);
        }
    }

    /// Whether the device has any of the BARs in the mask.
    pub(super) fn has_any(&self, bars: u32) -> bool {
        (0..6usize)
            .filter(|n| bars >> n & 1 != 0)
            .filter_map(|n| self.raw.resource(n))
            .any(|bar| bar.end != 0)
    }

    /// The I/O BARs among `bars` (a mask): first and last port.
    pub(super) fn port_ranges(&self, bars: u32) -> impl Iterator<Item = (u64, u64)> + '_ {
        (0..6usize).filter_map(move |n| {
            let bar = self.raw.resource(n)?;
            let io = bars >> n & 1 != 0 && bar.flags & layout::IORESOURCE_IO != 0;
            (io && bar.end > bar.start).then_some((bar.start, bar.end))
        })
    }

    /// Takes the device's ports from the domain.
    fn close_ports(&self, domain: &Domain) {
        for (first, last) in self.port_ranges(u32::MAX) {
            domain.ports.revoke(first, last);
        }
    }

    /// Gives back what the driver holds of the device: interrupts, DMA, messages, windows, regions,
    /// enables. Idempotent; process context.
    pub(super) fn release(self: &Arc<Self>, domain: &Arc<Domain>) {
        irq::release_device(domain, self);
        dma::release_device(domain, self);
        let mut held = self.held.lock();
        if held.released {
            return;
        }
        held.released = true;
        drop_vectors(self, &mut held);
        self.raw.quiet_line();
        for window in &held.windows {
            domain.memory.unmap_registers(window.base);
        }
        // One that the driver has unmapped itself may be in use by a CPU, too.
        domain.memory.settle();
        held.windows.clear();
        self.close_ports(domain);
        if held.regions != 0 {
            self.raw.release_regions(held.regions as i32);
            held.regions = 0;
        }
        if held.enabled != 0 {
            self.raw.clear_master();
        }
        while held.enabled != 0 {
            self.raw.disable();
            held.enabled -= 1;
        }
        self.raw.enable_wake(0, false);
        if core::mem::take(&mut held.pme) {
            self.raw.pme_active(false);
        }
        let delta = self.usage_delta.swap(0, Ordering::Relaxed);
        self.raw.change_usage(-delta);
        drop(held);
        let mut managed = self.managed.lock().take().unwrap_or_default();
        while let Some(one) = managed.pop() {
            release_managed(domain, one);
        }
        dma::close(domain, self);
        domain.pci.bridges.remove(self.shadow + BRIDGE);
        domain.pci.devices.remove(self.shadow);
        // A shadow that the driver freed itself is gone already.
        let _ = domain.memory.free(self.shadow);
    }

    /// Whether any of `[phys, phys + len)`, in whole pages, holds the MSI-X table or pending bits.
    pub(super) fn is_vector_table(&self, phys: u64, len: u64) -> bool {
        let capability = i32::from(self.raw.msix());
        if capability == 0 {
            return false;
        }
        let (control, _) = self.raw.read_config(capability + 2, 2);
        let entries = u64::from(control & 0x7ff) + 1;
        for (register, bytes) in [(4, entries * 16), (8, entries.div_ceil(64) * 8)] {
            let (place, _) = self.raw.read_config(capability + register, 4);
            // A card that does not answer reads as all ones.
            let bar = Some(place as usize & 7).filter(|bar| *bar < BARS);
            let Some(bar) = bar.and_then(|bar| self.raw.resource(bar)) else {
                return true;
            };
            let start = (bar.start + u64::from(place & !7)) / PAGE * PAGE;
            let end = (bar.start + u64::from(place & !7) + bytes).div_ceil(PAGE) * PAGE;
            if phys < end && start < phys + len {
                return true;
            }
        }
        false
    }
}

/// Gives messages back, so that the device is on its line again, which the kernel turns on. Nothing is
/// requested any more.
pub(super) fn drop_vectors(device: &PciDevice, held: &mut Held) {
    match core::mem::replace(&mut held.vectors, Vectors::Line) {
        Vectors::Line => {}
        Vectors::Msi => device.raw.disable_msi(),
        Vectors::MsiX(_) => device.raw.disable_msix(),
        Vectors::Allocated(_) => device.raw.free_vectors(),
    }
}

/// Frees what the driver left to the driver core. What it freed itself all the same is gone already.
fn release_managed(domain: &Arc<Domain>, one: Managed) {
    match one {
        Managed::Object(address) => {
            let _ = domain.memory.free(address);
        }
        Managed::NetDevice(handle) => {
            let _ = net_imports::free(domain, handle);
        }
    }
}

/// A device named by the handle of its `pci_dev`, or the bridge above one.
pub(super) struct Named {
    pub(super) raw: PciRef,
    pub(super) role: Role,
}

impl Named {
    /// What `handle` names in `domain`.
    pub(super) fn find(domain: &Domain, handle: u64) -> Option<Named> {
        if let Some(device) = domain.pci.get(handle) {
            return Some(Named {
                raw: device.raw.clone(),
                role: Role::Own,
            });
        }
        let device = domain.pci.bridges.get(handle)?;
        Some(Named {
            raw: device.bridge.clone()?,
            role: Role::Bridge,
        })
    }
}
