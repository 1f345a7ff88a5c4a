// SPDX-License-Identifier: GPL-2.0

//! SIDE's own `struct pci_driver`, which stands in the PCI core for one of the domain, and the
//! proxies that the core calls. A proxy finds its twin through `pci_dev.driver`, which the core set
//! to memory of SIDE's.

use super::bindings;
use super::entry;
use super::lock::BhLock;
use super::pci::PciRef;
use crate::side_stubs::handlers::pci::driver::{self, Slot, Twin};
use core::cell::UnsafeCell;
use core::mem::offset_of;
use kernel::alloc::flags::GFP_ATOMIC;
use kernel::prelude::*;
use kernel::sync::Arc;

/// Functions in a `struct dev_pm_ops`.
pub(crate) const PM_SLOTS: usize = size_of::<bindings::dev_pm_ops>() / 8;
/// The functions during which the PM core lets other requests for the device wait.
pub(crate) const RUNTIME_SLOTS: [usize; 2] = [
    offset_of!(bindings::dev_pm_ops, runtime_suspend) / 8,
    offset_of!(bindings::dev_pm_ops, runtime_resume) / 8,
];
/// Functions in a `struct pci_error_handlers`.
pub(crate) const ERROR_SLOTS: usize = size_of::<bindings::pci_error_handlers>() / 8;

/// One entry of an id table, as the kernel has it.
#[derive(Clone, Copy)]
pub(crate) struct Id(bindings::pci_device_id);

impl Id {
    /// The entry whose bytes, read from the driver, are these.
    pub(crate) fn new(words: [u32; 6], driver_data: u64, override_only: u32) -> Self {
        let [vendor, device, subvendor, subdevice, class, class_mask] = words;
        Id(bindings::pci_device_id {
            vendor,
            device,
            subvendor,
            subdevice,
            class,
            class_mask,
            driver_data: driver_data as usize,
            override_only,
        })
    }

    /// Whether this is the end of a table.
    pub(crate) fn is_last(&self) -> bool {
        self.0.vendor == 0 && self.0.subvendor == 0 && self.0.class_mask == 0
    }

    /// The entry as the driver reads it.
    pub(crate) fn words(&self) -> [u64; 5] {
        let pair = |low: u32, high: u32| u64::from(low) | u64::from(high) << 32;
        [
            pair(self.0.vendor, self.0.device),
            pair(self.0.subvendor, self.0.subdevice),
            pair(self.0.class, self.0.class_mask),
            self.0.driver_data as u64,
            u64::from(self.0.override_only),
        ]
    }
}

/// What the PCI core and the proxies share: the core's structure first.
#[repr(C)]
struct Shared {
    raw: UnsafeCell<bindings::pci_driver>,
    pm: bindings::dev_pm_ops,
    errors: bindings::pci_error_handlers,
    ids: KVVec<Id>,
    /// With its NUL.
    name: KVec<u8>,
    /// The entries with which the core offered devices, which may be none of `ids`: a user can add some.
    matched: BhLock<KVec<(usize, Id)>>,
    /// The driver's side, of its present domain.
    twin: BhLock<Arc<Twin>>,
}

impl Shared {
    /// Notes with which entry the core offers `device`. Without memory [`Shared::matched_id`] looks in
    /// the table again.
    fn note_match(&self, device: *mut bindings::pci_dev, id: Id) {
        let mut matched = self.matched.lock();
        matched.retain(|(known, _)| *known != device.addr());
        let _ = matched.push((device.addr(), id), GFP_ATOMIC);
    }

    /// Forgets `device`.
    fn forget_match(&self, device: *mut bindings::pci_dev) {
        self.matched
            .lock()
            .retain(|(known, _)| *known != device.addr());
    }

    /// The entry with which the core offered `device`, or else one of the table.
    ///
    /// # Safety
    ///
    /// `device` is alive.
    unsafe fn matched_id(&self, device: *mut bindings::pci_dev) -> Option<Id> {
        let noted = |matched: &KVec<(usize, Id)>| {
            let entry = matched.iter().find(|(known, _)| *known == device.addr());
            entry.map(|(_, id)| *id)
        };
        if let Some(id) = noted(&self.matched.lock()) {
            return Some(id);
        }
        // SAFETY: as the function demands; `ids` has an end.
        let id = unsafe { bindings::pci_match_id(self.ids.as_ptr().cast(), device) };
        // SAFETY: NULL or an entry of `ids`.
        unsafe { id.as_ref() }.map(|id| Id(*id))
    }
}

/// A registered driver; dropping it unregisters, which removes its devices first.
pub(crate) struct Registered(*mut Shared);

// SAFETY: the structure is constant after registration but for what the PCI core serialises.
unsafe impl Send for Registered {}
// SAFETY: as above.
unsafe impl Sync for Registered {}

impl Registered {
    /// Registers a driver called `name` (which ends with a NUL) for `ids` (which ends with an
    /// empty entry). The core may call the proxies before this returns. Process context.
    pub(crate) fn new(name: KVec<u8>, ids: KVVec<Id>, twin: &Arc<Twin>) -> Result<Self> {
        let shared = KBox::new(
            Shared {
                raw: UnsafeCell::new(bindings::pci_driver::default()),
                pm: pm_ops(twin),
                errors: error_handlers(twin),
                ids,
                name,
                matched: BhLock::new(KVec::new()),
                twin: BhLock::new(twin.clone()),
            },
            GFP_KERNEL,
        )?;
        let shared = KBox::into_raw(shared);
        // SAFETY: `shared` is this function's alone until it is registered; what the core is given
        // pointers to lies in it and lives until it was unregistered.
        let code = unsafe {
            let raw = (*shared).raw.get();
            (*raw).name = (*shared).name.as_ptr().cast();
            (*raw).id_table = (*shared).ids.as_ptr().cast();
            (*raw).driver_managed_dma = true;
            (*raw).probe = Some(entry!(side_proxy_pci_probe));
            (*raw).remove = Some(entry!(side_proxy_pci_remove));
            if twin.has(Slot::Shutdown) {
                (*raw).shutdown = Some(entry!(side_proxy_pci_shutdown));
            }
            if twin.has_errors() {
                (*raw).err_handler = &raw const (*shared).errors;
            }
            if twin.has_pm() {
                (*raw).driver.pm = &raw const (*shared).pm;
            }
            let owner = bindings::side_this_module();
            bindings::__pci_register_driver(raw, owner, c"side".as_char_ptr())
        };
        if code != 0 {
            // SAFETY: registration failed, so nothing points to it.
            drop(unsafe { KBox::from_raw(shared) });
            return Err(Error::from_errno(code));
        }
        Ok(Registered(shared))
    }

    /// The driver's side.
    pub(crate) fn twin(&self) -> Arc<Twin> {
        // SAFETY: lives as long as this value.
        unsafe { (*self.0).twin.lock().clone() }
    }

    /// Lets the core's calls go to `twin`, of the driver's next domain.
    pub(crate) fn serve(&self, twin: &Arc<Twin>) {
        // SAFETY: lives as long as this value.
        let lock = unsafe { &(*self.0).twin };
        let before = core::mem::replace(&mut *lock.lock(), twin.clone());
        drop(before);
    }

    /// Has the driver's side probe `device`, if that is bound to this driver, under the device's
    /// lock as the core does. Process context.
    pub(crate) fn probe_again(&self, device: &PciRef) -> Option<i32> {
        let twin = self.twin();
        // SAFETY: the device is alive; its lock keeps the driver bound, and `ids` has an end.
        unsafe {
            bindings::side_device_lock(device.device());
            let bound = core::ptr::eq((*device.raw()).driver, (*self.0).raw.get());
            let result = bound.then(|| match (*self.0).matched_id(device.raw()) {
                Some(id) => driver::probe(&twin, device.clone(), &id),
                None => ENODEV.to_errno(),
            });
            bindings::side_device_unlock(device.device());
            result
        }
    }
}

impl Drop for Registered {
    fn drop(&mut self) {
        // SAFETY: registered by `new`; afterwards no callback runs or will run.
        unsafe {
            bindings::pci_unregister_driver((*self.0).raw.get());
            drop(KBox::from_raw(self.0));
        }
    }
}

impl PartialEq for Id {
    fn eq(&self, other: &Id) -> bool {
        self.words() == other.words()
    }
}

/// Whether `device` matches one of `ids`, which ends with an empty entry.
pub(crate) fn matches(ids: &KVVec<Id>, device: &PciRef) -> bool {
    // SAFETY: `Id` is the kernel's entry; the table has an end, and the device is alive.
    unsafe { !bindings::pci_match_id(ids.as_ptr().cast(), device.raw()).is_null() }
}

/// The twin of the driver that `device` is bound to.
///
/// # Safety
///
/// `device` is the argument of a callback of a driver that [`Registered::new`] registered.
unsafe fn twin(device: *mut bindings::pci_dev) -> Option<(Arc<Twin>, PciRef)> {
    // SAFETY: the core keeps the device and its driver alive during a callback; `pci_driver` is
    // the first field of `Shared`.
    unsafe {
        let shared = (*device).driver.cast::<Shared>();
        if shared.is_null() {
            return None;
        }
        let twin = (*shared).twin.lock().clone();
        Some((twin, PciRef::new(device)?))
    }
}

/// The PCI device that `device` is embedded in.
///
/// # Safety
///
/// `device` is the `dev` of a `struct pci_dev`.
unsafe fn outer(device: *mut bindings::device) -> *mut bindings::pci_dev {
    // SAFETY: as the function demands.
    unsafe { device.byte_sub(offset_of!(bindings::pci_dev, dev)).cast() }
}

/// The PCI core found a device for the driver.
///
/// # Safety
///
/// Only the kernel calls this, as it was registered.
#[no_mangle]
unsafe extern "C" fn side_proxy_pci_probe(
    device: *mut bindings::pci_dev,
    id: *const bindings::pci_device_id,
) -> i32 {
    // SAFETY: called by the core for SIDE's driver, which stands at the beginning of a `Shared`; `id` is an
    // entry of the table or of a dynamic one.
    unsafe {
        let Some((twin, reference)) = twin(device) else {
            return ENODEV.to_errno();
        };
        let shared = &*(*device).driver.cast::<Shared>();
        shared.note_match(device, Id(*id));
        let code = driver::probe(&twin, reference, &Id(*id));
        if code != 0 {
            shared.forget_match(device);
        }
        code
    }
}

/// The device goes, or the driver does.
///
/// # Safety
///
/// Only the kernel calls this, as it was registered.
#[no_mangle]
unsafe extern "C" fn side_proxy_pci_remove(device: *mut bindings::pci_dev) {
    // SAFETY: called by the core for SIDE's driver.
    let Some((twin, reference)) = (unsafe { twin(device) }) else {
        return;
    };
    driver::remove(&twin, &reference);
    // SAFETY: as above; the core keeps the driver registered until this returns.
    unsafe { (*(*device).driver.cast::<Shared>()).forget_match(device) };
}

/// The machine is shut down.
///
/// # Safety
///
/// Only the kernel calls this, as it was registered.
#[no_mangle]
unsafe extern "C" fn side_proxy_pci_shutdown(device: *mut bindings::pci_dev) {
    // SAFETY: called by the core for SIDE's driver.
    if let Some((twin, device)) = unsafe { twin(device) } {
        driver::shutdown(&twin, &device);
    }
}

/// Power management: one proxy a slot, in the order of `struct dev_pm_ops`.
macro_rules! pm_proxies {
    ($($slot:ident $proxy:ident $name:literal;)*) => {
        $(
            /// A callback of the driver core.
            ///
            /// # Safety
            ///
            /// Only the kernel calls this, as it was registered.
            #[no_mangle]
            unsafe extern "C" fn $proxy(device: *mut bindings::device) -> i32 {
                // SAFETY: called by the driver core for a device of SIDE's PCI driver.
                match unsafe { twin(outer(device)) } {
                    Some((twin, device)) => {
                        let slot = offset_of!(bindings::dev_pm_ops, $slot) / 8;
                        driver::power(&twin, &device, slot, $name)
                    }
                    None => 0,
                }
            }
        )*
        fn pm_ops(twin: &Twin) -> bindings::dev_pm_ops {
            let mut ops = bindings::dev_pm_ops::default();
            $(
                if twin.has(Slot::Pm(offset_of!(bindings::dev_pm_ops, $slot) / 8)) {
                    ops.$slot = Some(entry!($proxy));
                }
            )*
            if twin.has(Slot::Pm(offset_of!(bindings::dev_pm_ops, complete) / 8)) {
                ops.complete = Some(entry!(side_proxy_pm_complete));
            }
            ops
        }
    };
}

pm_proxies! {
    prepare side_proxy_pm_prepare "pm.prepare";
    suspend side_proxy_pm_suspend "pm.suspend";
    resume side_proxy_pm_resume "pm.resume";
    freeze side_proxy_pm_freeze "pm.freeze";
    thaw side_proxy_pm_thaw "pm.thaw";
    poweroff side_proxy_pm_poweroff "pm.poweroff";
    restore side_proxy_pm_restore "pm.restore";
    suspend_late side_proxy_pm_suspend_late "pm.suspend_late";
    resume_early side_proxy_pm_resume_early "pm.resume_early";
    freeze_late side_proxy_pm_freeze_late "pm.freeze_late";
    thaw_early side_proxy_pm_thaw_early "pm.thaw_early";
    poweroff_late side_proxy_pm_poweroff_late "pm.poweroff_late";
    restore_early side_proxy_pm_restore_early "pm.restore_early";
    suspend_noirq side_proxy_pm_suspend_noirq "pm.suspend_noirq";
    resume_noirq side_proxy_pm_resume_noirq "pm.resume_noirq";
    freeze_noirq side_proxy_pm_freeze_noirq "pm.freeze_noirq";
    thaw_noirq side_proxy_pm_thaw_noirq "pm.thaw_noirq";
    poweroff_noirq side_proxy_pm_poweroff_noirq "pm.poweroff_noirq";
    restore_noirq side_proxy_pm_restore_noirq "pm.restore_noirq";
    runtime_suspend side_proxy_pm_runtime_suspend "pm.runtime_suspend";
    runtime_resume side_proxy_pm_runtime_resume "pm.runtime_resume";
    runtime_idle side_proxy_pm_runtime_idle "pm.runtime_idle";
}

/// The end of a system transition, which returns nothing.
///
/// # Safety
///
/// Only the kernel calls this, as it was registered.
#[no_mangle]
unsafe extern "C" fn side_proxy_pm_complete(device: *mut bindings::device) {
    // SAFETY: called by the driver core for a device of SIDE's PCI driver.
    if let Some((twin, device)) = unsafe { twin(outer(device)) } {
        let slot = offset_of!(bindings::dev_pm_ops, complete) / 8;
        driver::power(&twin, &device, slot, "pm.complete");
    }
}

/// Error recovery: one proxy a slot.
macro_rules! error_proxies {
    (results { $($slot:ident $proxy:ident $name:literal ($($arg:ident: $t:ty)?);)* }
     notices { $($notice:ident $notice_proxy:ident $notice_name:literal;)* }) => {
        $(
            /// A callback of the driver core.
            ///
            /// # Safety
            ///
            /// Only the kernel calls this, as it was registered.
            #[no_mangle]
            unsafe extern "C" fn $proxy(
                device: *mut bindings::pci_dev $(, $arg: $t)?
            ) -> bindings::pci_ers_result_t {
                #[allow(unused_mut, unused_assignments)]
                let mut argument = None::<u32>;
                $( argument = Some($arg); )?
                // SAFETY: called by the core for SIDE's driver.
                match unsafe { twin(device) } {
                    Some((twin, device)) => {
                        let slot = offset_of!(bindings::pci_error_handlers, $slot) / 8;
                        driver::channel_error(&twin, &device, slot, $name, argument)
                    }
                    None => driver::ERS_DISCONNECT,
                }
            }
        )*
        $(
            /// A callback of the driver core.
            ///
            /// # Safety
            ///
            /// Only the kernel calls this, as it was registered.
            #[no_mangle]
            unsafe extern "C" fn $notice_proxy(device: *mut bindings::pci_dev) {
                // SAFETY: called by the core for SIDE's driver.
                if let Some((twin, device)) = unsafe { twin(device) } {
                    let slot = offset_of!(bindings::pci_error_handlers, $notice) / 8;
                    driver::channel_error(&twin, &device, slot, $notice_name, None);
                }
            }
        )*
        fn error_handlers(twin: &Twin) -> bindings::pci_error_handlers {
            let mut handlers = bindings::pci_error_handlers::default();
            $(
                if twin.has(Slot::Error(offset_of!(bindings::pci_error_handlers, $slot) / 8)) {
                    handlers.$slot = Some(entry!($proxy));
                }
            )*
            $(
                if twin.has(Slot::Error(offset_of!(bindings::pci_error_handlers, $notice) / 8)) {
                    handlers.$notice = Some(entry!($notice_proxy));
                }
            )*
            handlers
        }
    };
}

error_proxies! {
    results {
        error_detected side_proxy_pci_error_detected "pci.error_detected" (state: u32);
        mmio_enabled side_proxy_pci_mmio_enabled "pci.mmio_enabled" ();
        slot_reset side_proxy_pci_slot_reset "pci.slot_reset" ();
    }
    notices {
        reset_prepare side_proxy_pci_reset_prepare "pci.reset_prepare";
        reset_done side_proxy_pci_reset_done "pci.reset_done";
        resume side_proxy_pci_resume "pci.resume";
        cor_error_detected side_proxy_pci_cor_error_detected "pci.cor_error_detected";
    }
}
