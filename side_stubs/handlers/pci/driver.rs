// SPDX-License-Identifier: GPL-2.0

//! The driver's `pci_driver`, its twin in the PCI core, and what the core calls: probe, remove,
//! shutdown, power management and error recovery, each an upcall in process context.

use super::super::{dma, irq};
use super::device::PciDevice;
use crate::call::{errno, Call, Outcome, Violation};
use crate::domain::Domain;
use crate::run::{self, Context};
use crate::side_stubs::request;
use crate::sys::cpu;
use crate::sys::params::{self, Param};
use crate::sys::pci::{self, layout, PciRef};
use crate::sys::pci_driver::{matches, Id, Registered, ERROR_SLOTS, PM_SLOTS, RUNTIME_SLOTS};
use kernel::prelude::*;
use kernel::sync::Arc;

/// Entries of an id table that are copied at most.
const IDS_MAX: u64 = 1024;
/// Drivers that one domain may register at a time.
const DRIVERS_MAX: usize = 16;
/// `PCI_BASE_CLASS_NETWORK`
const NETWORK: u32 = 0x02;
/// How long the removal of a device waits for a dead domain's interfaces to go, in ms.
const BURIAL_MAX_MS: u32 = 30_000;
/// `PCI_ERS_RESULT_DISCONNECT`: what a dead driver answers to a channel error.
pub(crate) const ERS_DISCONNECT: u32 = 4;
/// `PCI_ERS_RESULT_NO_AER_DRIVER`: the highest answer.
const ERS_MAX: u32 = 6;

/// A function of the driver.
#[derive(Clone, Copy)]
pub(crate) enum Slot {
    Shutdown,
    /// By its place in `struct dev_pm_ops`.
    Pm(usize),
    /// By its place in `struct pci_error_handlers`.
    Error(usize),
}

/// What SIDE knows of a driver that the domain registered, fetched and checked once.
pub(crate) struct Twin {
    domain: Arc<Domain>,
    /// The driver's name for itself.
    name: KVec<u8>,
    /// Address of the driver's id table, and what it held.
    ids_at: u64,
    ids: KVVec<Id>,
    probe: u64,
    remove: u64,
    shutdown: u64,
    pm: Option<[u64; PM_SLOTS]>,
    errors: Option<[u64; ERROR_SLOTS]>,
}

impl Twin {
    fn function(&self, slot: Slot) -> u64 {
        match slot {
            Slot::Shutdown => self.shutdown,
            Slot::Pm(n) => self
                .pm
                .as_ref()
                .and_then(|pm| pm.get(n))
                .copied()
                .unwrap_or(0),
            Slot::Error(n) => self
                .errors
                .as_ref()
                .and_then(|errors| errors.get(n))
                .copied()
                .unwrap_or(0),
        }
    }

    /// Whether this is the driver's name for itself.
    pub(crate) fn is_called(&self, name: &[u8]) -> bool {
        &self.name[..] == name
    }

    /// Whether the driver has this function.
    pub(crate) fn has(&self, slot: Slot) -> bool {
        self.function(slot) != 0
    }

    /// Whether the driver has functions of power management.
    pub(crate) fn has_pm(&self) -> bool {
        self.pm.is_some()
    }

    /// Whether the driver has error handlers.
    pub(crate) fn has_errors(&self) -> bool {
        self.errors.is_some()
    }
}

/// A function that the driver named: text, or nothing.
fn function(call: &Call<'_>, at: u64) -> Result<u64, Violation> {
    let address = call.read(at)?;
    if address != 0 && !call.domain.memory.is_text(address) {
        return Err(Violation::new("bad-function", address));
    }
    Ok(address)
}

fn table<const N: usize>(call: &Call<'_>, at: u64) -> Result<Option<[u64; N]>, Violation> {
    if at == 0 {
        return Ok(None);
    }
    let mut functions = [0; N];
    for (n, slot) in functions.iter_mut().enumerate() {
        *slot = function(call, at + 8 * n as u64)?;
    }
    Ok(Some(functions))
}

/// Copies the id table at `at`, its end included.
fn read_ids(call: &Call<'_>, at: u64) -> Result<KVVec<Id>, Violation> {
    let full = |_| Violation::new("id-table", at);
    let mut ids = KVVec::new();
    for n in 0..IDS_MAX {
        let entry = at.wrapping_add(n * layout::ID);
        let id = Id::new(
            call.read(entry)?,
            call.read(entry + 24)?,
            call.read(entry + 32)?,
        );
        ids.push(id, GFP_KERNEL).map_err(full)?;
        if id.is_last() {
            return Ok(ids);
        }
    }
    Err(Violation::new("id-table", at))
}

/// Refuses to register or unregister a driver where the driver core, or the stack, holds locks for this task that
/// it would take again: in what the core has called, and under RTNL or the lock of a network device.
fn refuse_inside(call: &Call<'_>, at: u64) -> Result<(), Violation> {
    if call.domain.pci.callers.has_this() {
        return Err(Violation::new("driver-core-busy", at));
    }
    call.domain.net.refuse_locked(at)
}

/// `__pci_register_driver(drv, owner, mod_name)`
pub(crate) fn register(call: &mut Call<'_>) -> Outcome {
    let at = call.arg(0);
    refuse_inside(call, at)?;
    if call.domain.pci.drivers() >= DRIVERS_MAX {
        return Ok(errno(ENOSPC));
    }
    if call
        .domain
        .pci
        .drivers
        .lock()
        .iter()
        .any(|(handle, _)| *handle == at)
    {
        return Ok(errno(EBUSY));
    }
    let mut buffer = [0; 48];
    let name = call.read_str(call.read(at + layout::DRIVER_NAME)?, &mut buffer)?;
    if name.is_empty()
        || name
            .iter()
            .any(|byte| !byte.is_ascii_graphic() || *byte == b'/')
    {
        return Err(Violation::new("driver-name", at));
    }
    let ids_at: u64 = call.read(at + layout::DRIVER_IDS)?;
    let probe = function(call, at + layout::DRIVER_PROBE)?;
    if probe == 0 || ids_at == 0 {
        return Ok(errno(EINVAL));
    }
    let ids = read_ids(call, ids_at)?;
    let (mut own, mut twin_name) = (KVec::new(), KVec::new());
    // Another instance of the driver has the same name for itself.
    let instance = match &call.domain.image.instance.name {
        given if given.is_empty() => name,
        given => &given[..],
    };
    let named = own
        .extend_from_slice(b"side-", GFP_KERNEL)
        .and_then(|()| own.extend_from_slice(instance, GFP_KERNEL))
        .and_then(|()| own.push(0, GFP_KERNEL))
        .and_then(|()| twin_name.extend_from_slice(name, GFP_KERNEL));
    if named.is_err() {
        return Ok(errno(ENOMEM));
    }
    let mut copy = KVVec::new();
    if copy.extend_from_slice(&ids, GFP_KERNEL).is_err() {
        return Ok(errno(ENOMEM));
    }
    let errors_at = call.read(at + layout::DRIVER_ERRORS)?;
    let pm_at = call.read(at + layout::DRIVER_PM)?;
    let twin = Twin {
        domain: call.domain.clone(),
        name: twin_name,
        ids_at,
        ids: copy,
        probe,
        remove: function(call, at + layout::DRIVER_REMOVE)?,
        shutdown: function(call, at + layout::DRIVER_SHUTDOWN)?,
        pm: table(call, pm_at)?,
        errors: table(call, errors_at)?,
    };
    let Ok(twin) = Arc::new(twin, GFP_KERNEL) else {
        return Ok(errno(ENOMEM));
    };
    let kept = call.domain.driver().map(|driver| &driver.kept);
    let registered = match kept.and_then(|kept| kept.take_registration(&twin.name)) {
        Some(registered) => {
            take_over(&registered, &twin);
            registered
        }
        None => {
            free_devices(call.domain, &ids);
            match Registered::new(own, ids, &twin) {
                Ok(registered) => registered,
                Err(error) => return Ok(errno(error)),
            }
        }
    };
    let kept = call.domain.pci.keep(at, registered);
    // Whoever released what a dead domain holds did not see this driver.
    if call.domain.is_dead() {
        if let Some(registered) = call.domain.pci.take(at) {
            let_go(call.domain, registered);
        }
    }
    Ok(kept.map_or_else(errno, |()| 0))
}

/// Lets a registration that a dead driver left serve a new one, which probes the devices that are
/// bound to it.
fn take_over(registered: &Registered, twin: &Arc<Twin>) {
    registered.serve(twin);
    let Some(driver) = twin.domain.driver() else {
        return;
    };
    let mut last = None;
    while let Some(device) = driver.kept.unprobed(twin.domain.number, last.as_ref()) {
        if twin.domain.is_dead() {
            return;
        }
        if let Some(code @ ..0) = registered.probe_again(&device) {
            pr_err!(
                "{}: {}: probe failed after the restart (error {code})\n",
                twin.domain.name(),
                device.name()
            );
        }
        last = Some(device);
    }
}

/// A registration whose domain is dead: kept for the next one, if there is to be one.
pub(super) fn let_go(domain: &Domain, registered: Registered) {
    match domain.keeper() {
        Some(driver) => driver.kept.keep_registration(registered),
        None => drop(registered),
    }
}

/// `pci_dev_present(ids)`: whether the machine has a device that one of the ids names.
pub(crate) fn present(call: &mut Call<'_>) -> Outcome {
    let ids = read_ids(call, call.arg(0))?;
    let mut found = false;
    pci::each(|device| found |= matches(&ids, device));
    Ok(found.into())
}

/// `pci_unregister_driver(drv)`
pub(crate) fn unregister(call: &mut Call<'_>) -> Outcome {
    let at = call.arg(0);
    // The core removes the devices, which frees their interrupts.
    irq::refuse_in_thread(call, at)?;
    refuse_inside(call, at)?;
    match call.domain.pci.take(at) {
        Some(registered) => {
            drop(registered);
            Ok(0)
        }
        None => Err(Violation::new("unregister-unknown-driver", at)),
    }
}

impl super::State {
    fn keep(&self, at: u64, registered: Registered) -> Result {
        let mut list = KVec::with_capacity(1, GFP_KERNEL)?;
        list.push((at, registered), GFP_KERNEL)?;
        let mut drivers = self.drivers.lock();
        // Most modules register one driver: the list is then the one just made.
        if drivers.is_empty() {
            *drivers = list;
            return Ok(());
        }
        let reserved = drivers.reserve(1, kernel::alloc::flags::GFP_ATOMIC);
        if reserved.is_ok() {
            if let Some(entry) = list.pop() {
                drivers.push(entry, kernel::alloc::flags::GFP_ATOMIC)?;
            }
        }
        drop(drivers);
        // Without memory the driver is unregistered here, outside the lock.
        drop(list);
        Ok(reserved?)
    }

    fn take(&self, at: u64) -> Option<Registered> {
        let mut drivers = self.drivers.lock();
        let n = drivers.iter().position(|(handle, _)| *handle == at)?;
        drivers.remove(n).ok().map(|(_, registered)| registered)
    }
}

/// Whether the user lets the domain have `device`. What is no network card must be named: a driver says itself what
/// it is for, and most devices without a driver are parts of the machine, such as bridges.
fn wanted(domain: &Domain, device: &PciRef) -> bool {
    let name = device.name().as_bytes();
    let (only, devices) = (
        params::string(Param::Device),
        &domain.image.instance.devices,
    );
    only.is_none_or(|only| only == name)
        && request::names(devices, name)
        && (device.class() >> 16 == NETWORK || only.is_some() || !devices.is_empty())
}

/// Looks at the devices that the driver is for: those that another driver holds are named, and
/// taken over if the user asked for that.
fn free_devices(domain: &Arc<Domain>, ids: &KVVec<Id>) {
    pci::each(|device| {
        let mut buffer = [0; 48];
        if !matches(ids, device) {
            return;
        }
        if !wanted(domain, device) {
            if device.class() >> 16 != NETWORK && domain.may_log() {
                pr_info!(
                    "{}: {} is no network card: left alone unless device= names it\n",
                    domain.name(),
                    device.name()
                );
            }
            return;
        }
        let Some(holder) = device.held_by(&mut buffer) else {
            return;
        };
        let (name, device_name) = (domain.name(), device.name());
        if !params::takeover() {
            pr_info!(
                "{}: {} belongs to driver {}: left alone\n",
                name,
                device_name,
                holder
            );
            return;
        }
        pr_info!(
            "{}: taking {} over from driver {}\n",
            name,
            device_name,
            holder
        );
        let noted = domain
            .pci
            .taken
            .lock()
            .push(device.clone(), kernel::alloc::flags::GFP_ATOMIC);
        if noted.is_ok() {
            device.unbind();
        }
    });
}

/// An upcall about a device: brings the shadow up to date before, and carries the driver's inline
/// writes over afterwards.
fn upcall(
    domain: &Arc<Domain>,
    device: &PciDevice,
    name: &'static str,
    function: u64,
    args: &[u64],
) -> Option<u64> {
    if domain.is_dead() {
        return None;
    }
    if let Err(violation) = device.refresh_all(domain) {
        domain.breach(name, violation);
        return None;
    }
    let inside = domain.pci.callers.enter()?;
    let value = run::upcall(domain, name, function, args, Context::Process).ok()?;
    drop(inside);
    if let Err(violation) = device.mirror(domain) {
        domain.breach(name, violation);
        return None;
    }
    Some(value)
}

/// An errno of the driver's, or `EIO` for what is none.
fn status(value: u64) -> i32 {
    match value as i32 {
        value @ -4095..=0 => value,
        value if value > 0 => 0,
        _ => EIO.to_errno(),
    }
}

/// The PCI core offers a device, or a restarted driver is given one that was its own; `id` is the
/// entry that matched.
pub(crate) fn probe(twin: &Twin, raw: PciRef, id: &Id) -> i32 {
    let domain = &twin.domain;
    if domain.is_dead() || !wanted(domain, &raw) {
        return ENODEV.to_errno();
    }
    let space = match domain.dma.open(&raw) {
        Ok(space) => space,
        Err(error) => return error.to_errno(),
    };
    match space.containment() {
        (true, words) => pr_info!("{}: {}: {}\n", domain.name(), raw.name(), words),
        (false, words) => pr_warn!("{}: {}: {}\n", domain.name(), raw.name(), words),
    }
    let device = match PciDevice::new(domain, space.clone(), &twin.name) {
        Ok(device) => device,
        Err(error) => {
            domain.dma.forget(&space);
            return error.to_errno();
        }
    };
    let id = match twin.ids.iter().position(|own| own == id) {
        Some(index) => Ok(twin.ids_at + index as u64 * layout::ID),
        None => device.put_id(domain, id.words()),
    };
    let answer = match id {
        Ok(id) => upcall(domain, &device, "probe", twin.probe, &[device.shadow, id]),
        Err(_) => None,
    };
    let code = answer.map_or(EIO.to_errno(), status);
    let noted = match (code, domain.driver()) {
        (0, Some(driver)) => driver.kept.note_bound(&device.raw, domain.number),
        _ => Ok(()),
    };
    match (code, noted) {
        (0, Ok(())) => {
            dma::probed(&device.raw);
            0
        }
        (0, Err(error)) => {
            // The driver believes that it has the device, which the core takes back.
            domain.breach("probe", Violation::new("out-of-memory", device.shadow));
            device.release(domain);
            error.to_errno()
        }
        _ => {
            device.release(domain);
            code
        }
    }
}

/// The device goes.
pub(crate) fn remove(twin: &Twin, raw: &PciRef) {
    let domain = &twin.domain;
    let kept = domain.driver().map(|driver| &driver.kept);
    if let Some(kept) = kept {
        kept.forget_bound(raw);
    }
    if let Some(device) = domain.pci.find(raw) {
        if !raw.is_present() {
            device.set_gone();
            device.vanish(domain);
        }
        if twin.remove != 0 {
            upcall(domain, &device, "remove", twin.remove, &[device.shadow]);
        }
        // Interfaces go before the device that they hang on. Whoever buries a dead domain takes
        // them down, or leaves them, before it asks for this device.
        let mut waited = 0;
        while domain.is_dead() && !domain.is_released() && waited < BURIAL_MAX_MS {
            if domain.keeper().is_none() && domain.net.devices.len() == 0 {
                break;
            }
            cpu::sleep_ms(1);
            waited += 1;
        }
        device.release(domain);
    }
    // What a dead driver left.
    if let Some(kept) = kept {
        kept.unregister(|interface| interface.belongs_to(raw));
    }
}

/// The machine is shut down.
pub(crate) fn shutdown(twin: &Twin, raw: &PciRef) {
    if let Some(device) = twin.domain.pci.find(raw) {
        upcall(
            &twin.domain,
            &device,
            "shutdown",
            twin.shutdown,
            &[device.shadow],
        );
        if twin.domain.is_dead() {
            device.silence(&twin.domain);
        }
    }
}

/// Power management calls for slot `slot` of `struct dev_pm_ops`. A dead driver has nothing to save
/// and must not hold up the system.
pub(crate) fn power(twin: &Twin, raw: &PciRef, slot: usize, name: &'static str) -> i32 {
    let domain = &twin.domain;
    let Some(device) = domain.pci.find(raw) else {
        return 0;
    };
    let function = twin.function(Slot::Pm(slot));
    if function == 0 {
        return 0;
    }
    let args = [device.device_handle()];
    let call = || upcall(domain, &device, name, function, &args);
    let answer = match RUNTIME_SLOTS.contains(&slot) {
        true => device.in_transition(call),
        false => call(),
    };
    answer.map_or(0, status)
}

/// Error recovery calls for slot `slot` of `struct pci_error_handlers`. Returns a
/// `pci_ers_result_t`.
pub(crate) fn channel_error(
    twin: &Twin,
    raw: &PciRef,
    slot: usize,
    name: &'static str,
    argument: Option<u32>,
) -> u32 {
    let domain = &twin.domain;
    let Some(device) = domain.pci.find(raw) else {
        return ERS_DISCONNECT;
    };
    let function = twin.function(Slot::Error(slot));
    if function == 0 {
        return ERS_DISCONNECT;
    }
    let args = [device.shadow, u64::from(argument.unwrap_or(0))];
    match upcall(domain, &device, name, function, &args) {
        Some(value) if (1..=u64::from(ERS_MAX)).contains(&(value & 0xffff_ffff)) => value as u32,
        _ => ERS_DISCONNECT,
    }
}
