// SPDX-License-Identifier: GPL-2.0

//! PCI devices of the kernel behind counted references, and what a shadow of one is filled from.

use super::access::bytes_of;
use super::bindings;
use core::mem::offset_of;
use core::ptr::{addr_of, addr_of_mut, NonNull};
use kernel::prelude::*;

/// A counted reference to a PCI device. The device may be gone from its bus; its structure stays.
pub(crate) struct PciRef(NonNull<bindings::pci_dev>);

// SAFETY: the kernel's functions on a device may be called from any thread; those that need
// serialising are called under the lock of the handler's `PciDevice`.
unsafe impl Send for PciRef {}
// SAFETY: as above.
unsafe impl Sync for PciRef {}

impl Clone for PciRef {
    fn clone(&self) -> Self {
        // SAFETY: `self` holds a reference, so the device is alive.
        unsafe { bindings::pci_dev_get(self.raw()) };
        PciRef(self.0)
    }
}

impl Drop for PciRef {
    fn drop(&mut self) {
        // SAFETY: gives back the reference that this value holds.
        unsafe { bindings::pci_dev_put(self.raw()) };
    }
}

/// One resource of a device: a BAR or the ROM.
#[derive(Clone, Copy, Default)]
pub(crate) struct Resource {
    pub(crate) start: u64,
    pub(crate) end: u64,
    pub(crate) flags: u64,
}

/// Names methods of [`PciRef`] that only pass numbers on to one function of the kernel.
macro_rules! forward {
    ($($(#[$doc:meta])* $name:ident($($arg:ident: $t:ty),*) $(-> $ret:ty)? = $kernel:ident;)*) => {
        impl PciRef { $(
            $(#[$doc])*
            pub(crate) fn $name(&self $(, $arg: $t)*) $(-> $ret)? {
                // SAFETY: the reference keeps the device's structure alive, and the function copes
                // with a device that is gone from its bus.
                unsafe { bindings::$kernel(self.raw() $(, $arg)*) }
            }
        )* }
    };
}

/// Whether the machine has message-signalled interrupts.
pub(crate) fn msi_enabled() -> bool {
    // SAFETY: no demands.
    unsafe { bindings::pci_msi_enabled() }
}

forward! {
    /// Enables memory and port decoding.
    enable() -> i32 = pci_enable_device;
    /// Enables memory decoding.
    enable_mem() -> i32 = pci_enable_device_mem;
    /// Undoes one enable; the last one turns bus mastering off.
    disable() = pci_disable_device;
    /// Lets the device do DMA.
    set_master() = pci_set_master;
    /// The power state for a system state (`pm_message_t.event`).
    choose_state(event: i32) -> i32 = side_pci_choose_state;
    /// The most bytes of one read on PCI-X, or an error.
    get_mmrbc() -> i32 = pcix_get_mmrbc;
    /// Sets that.
    set_mmrbc(bytes: i32) -> i32 = pcix_set_mmrbc;
    /// Arms or disarms the PME signal.
    pme_active(enable: bool) = pci_pme_active;
    /// Stops the device's DMA.
    clear_master() = pci_clear_master;
    /// The BARs whose flags match.
    select_bars(flags: usize) -> i32 = pci_select_bars;
    /// Gives back the regions in the mask.
    release_regions(bars: i32) = pci_release_selected_regions;
    /// Reads from an offset in the PCI Express capability.
    express_read_dword_status(offset: i32, value: &mut u32) -> i32 = pcie_capability_read_dword;
    /// Writes at an offset in the PCI Express capability.
    express_write(offset: i32, value: u16) -> i32 = pcie_capability_write_word;
    /// Turns link power states off.
    disable_link_state(states: i32) -> i32 = pci_disable_link_state;
    /// As above where the caller holds the bus lock.
    disable_link_state_locked(states: i32) -> i32 = pci_disable_link_state_locked;
    /// One message-signalled interrupt.
    enable_msi() -> i32 = pci_enable_msi;
    /// Back to the line.
    disable_msi() = pci_disable_msi;
    /// Back to the line.
    disable_msix() = pci_disable_msix;
    /// Saves the standard configuration.
    save_state() -> i32 = pci_save_state;
    /// Restores what was saved.
    restore_state() = pci_restore_state;
    /// Arms or disarms wake-up from a power state.
    enable_wake(state: i32, enable: bool) -> i32 = pci_enable_wake;
    /// Arms or disarms wake-up from D3.
    wake_from_d3(enable: bool) -> i32 = pci_wake_from_d3;
    /// Goes to the power state from which the device can wake the system.
    prepare_to_sleep() -> i32 = pci_prepare_to_sleep;
    /// Undoes `prepare_to_sleep`.
    back_from_sleep() -> i32 = pci_back_from_sleep;
    /// Whether the device can signal wake-up at run time.
    run_wake() -> bool = pci_dev_run_wake;
    /// Goes to a power state.
    set_power_state(state: i32) -> i32 = pci_set_power_state;
    /// Whether wake-up can be signalled from a power state.
    pme_capable(state: i32) -> bool = pci_pme_capable;
    /// Whether the device still answers.
    is_present() -> bool = pci_device_is_present;
    /// The place of a capability, or 0.
    find_capability(id: i32) -> u8 = pci_find_capability;
    /// The place of an extended capability, or 0.
    find_ext_capability(id: i32) -> u16 = pci_find_ext_capability;
    /// Enables memory-write-invalidate.
    set_mwi() -> i32 = pci_set_mwi;
    /// As above, quietly.
    try_set_mwi() -> i32 = pci_try_set_mwi;
    /// Disables memory-write-invalidate.
    clear_mwi() = pci_clear_mwi;
    /// Largest read request.
    get_read_request() -> i32 = pcie_get_readrq;
    /// Sets the largest read request.
    set_read_request(bytes: i32) -> i32 = pcie_set_readrq;
    /// Prints the link's speed.
    print_link_status() = pcie_print_link_status;
    /// Takes whichever kind of vectors there is.
    alloc_vectors(min: u32, max: u32, flags: u32) -> i32 = pci_alloc_irq_vectors;
    /// Gives them back.
    free_vectors() = pci_free_irq_vectors;
    /// The interrupt number of a vector.
    vector(n: u32) -> i32 = pci_irq_vector;
    /// Turns the interrupt line on or off at the device.
    set_line(enable: i32) = pci_intx;
    /// If the device pulls its line, turns that off and says so. Any context.
    check_and_mask_line() -> bool = pci_check_and_mask_intx;
    /// Turns the line on unless it is pulled; says whether. Any context.
    check_and_unmask_line() -> bool = pci_check_and_unmask_intx;
    /// Whether the device can mask its line.
    line_maskable() -> bool = side_pci_intx_maskable;
    /// Turns the line off at the device, unless that would turn its messages off too. Any context.
    quiet_line() = side_pci_quiet_line;
}

impl PciRef {
    /// A reference of its own to `raw`.
    ///
    /// # Safety
    ///
    /// `raw` is a live device for the length of the call.
    pub(crate) unsafe fn new(raw: *mut bindings::pci_dev) -> Option<Self> {
        let device = NonNull::new(raw)?;
        // SAFETY: as the function demands.
        unsafe { bindings::pci_dev_get(raw) };
        Some(PciRef(device))
    }

    /// The kernel's structure.
    pub(crate) fn raw(&self) -> *mut bindings::pci_dev {
        self.0.as_ptr()
    }

    /// The embedded device, for interfaces that take one. Also names a device uniquely.
    pub(crate) fn device(&self) -> *mut bindings::device {
        // SAFETY: the field lies in the live structure.
        unsafe { addr_of_mut!((*self.raw()).dev) }
    }

    /// Whether both are the same device.
    pub(crate) fn same(&self, other: &PciRef) -> bool {
        self.0 == other.0
    }

    /// The bridge above the bus, if there is one.
    pub(crate) fn bridge(&self) -> Option<PciRef> {
        // SAFETY: a device's bus outlives the device's structure, and its bridge the bus.
        unsafe {
            let bus = (*self.raw()).bus;
            if bus.is_null() {
                return None;
            }
            PciRef::new((*bus).self_)
        }
    }

    /// The number of the bus.
    pub(crate) fn bus_number(&self) -> u8 {
        // SAFETY: as in `bridge`.
        unsafe { (*(*self.raw()).bus).number }
    }

    /// Calls `f` with the device's name, `domain:bus:slot.function`.
    pub(crate) fn name(&self) -> &str {
        // SAFETY: the name lives as long as the device and does not change once it is on its bus.
        let name = unsafe { CStr::from_char_ptr(bindings::side_pci_name(self.raw())) };
        name.to_str().unwrap_or("?")
    }

    /// The interrupt number that the device has now: of its line, or of its one message.
    pub(crate) fn irq(&self) -> u32 {
        // SAFETY: a word of the live structure.
        unsafe { addr_of!((*self.raw()).irq).read_volatile() }
    }

    /// The state of the channel to the device.
    pub(crate) fn error_state(&self) -> u32 {
        // SAFETY: a word of the live structure.
        unsafe { addr_of!((*self.raw()).error_state).read_volatile() }
    }

    /// Offset of the PCI Express capability, or 0.
    pub(crate) fn express(&self) -> u8 {
        // SAFETY: constant after the device was found.
        unsafe { (*self.raw()).pcie_cap }
    }

    /// Offset of the MSI-X capability, or 0.
    pub(crate) fn msix(&self) -> u8 {
        // SAFETY: constant after the device was found.
        unsafe { (*self.raw()).msix_cap }
    }

    /// Resource `n`, if the kernel has given it an address: what was not placed has its length at 0, or where something
    /// else is.
    pub(crate) fn resource(&self, n: usize) -> Option<Resource> {
        const NOWHERE: u64 = (bindings::IORESOURCE_UNSET | bindings::IORESOURCE_DISABLED) as u64;
        // SAFETY: the array lies in the live structure; the kernel changes it only while no driver
        // is bound.
        let resource = unsafe { (*addr_of!((*self.raw()).resource)).get(n)? };
        if resource.flags as u64 & NOWHERE != 0 || resource.start == 0 || resource.parent.is_null()
        {
            return None;
        }
        Some(Resource {
            start: resource.start,
            end: resource.end,
            flags: resource.flags as u64,
        })
    }

    /// Reads `size` (1, 2 or 4) bytes of the configuration. Any context. The error is the kernel's
    /// PCIBIOS code; the value is all ones then.
    pub(crate) fn read_config(&self, offset: i32, size: usize) -> (u32, i32) {
        let mut value = u32::MAX;
        let raw = self.raw();
        // SAFETY: the device is alive, and the out pointers are to locals of the right size.
        let code = unsafe {
            match size {
                1 => {
                    let mut byte = u8::MAX;
                    let code = bindings::pci_read_config_byte(raw, offset, &mut byte);
                    value = u32::from(byte);
                    code
                }
                2 => {
                    let mut word = u16::MAX;
                    let code = bindings::pci_read_config_word(raw, offset, &mut word);
                    value = u32::from(word);
                    code
                }
                _ => bindings::pci_read_config_dword(raw, offset, &mut value),
            }
        };
        (value, code)
    }

    /// Writes `size` (1, 2 or 4) bytes of the configuration, which the caller has judged.
    pub(crate) fn write_config(&self, offset: i32, size: usize, value: u32) -> i32 {
        // SAFETY: the device is alive.
        unsafe {
            match size {
                1 => bindings::pci_write_config_byte(self.raw(), offset, value as u8),
                2 => bindings::pci_write_config_word(self.raw(), offset, value as u16),
                _ => bindings::pci_write_config_dword(self.raw(), offset, value),
            }
        }
    }

    /// Reads a word of the PCI Express capability.
    pub(crate) fn express_read(&self, offset: i32) -> (u16, i32) {
        let mut value = 0;
        // SAFETY: the device is alive; the out pointer is to a local.
        let code = unsafe { bindings::pcie_capability_read_word(self.raw(), offset, &mut value) };
        (value, code)
    }

    /// Changes bits of a word of the PCI Express capability, serialised by the kernel if `locked`.
    pub(crate) fn express_change(&self, offset: i32, clear: u16, set: u16, locked: bool) -> i32 {
        let raw = self.raw();
        // SAFETY: the device is alive.
        unsafe {
            if locked {
                bindings::pcie_capability_clear_and_set_word_locked(raw, offset, clear, set)
            } else {
                bindings::pcie_capability_clear_and_set_word_unlocked(raw, offset, clear, set)
            }
        }
    }

    /// Claims the regions in the mask under `name`, which must end with a NUL and outlive them.
    pub(crate) fn request_regions(&self, bars: i32, name: &'_ [u8], exclusive: bool) -> i32 {
        let (raw, name) = (self.raw(), name.as_ptr().cast());
        // SAFETY: the device is alive; the callers pass a name that lives in the `PciDevice`, which
        // gives the regions back before it goes.
        unsafe {
            if exclusive {
                bindings::pci_request_selected_regions_exclusive(raw, bars, name)
            } else {
                bindings::pci_request_selected_regions(raw, bars, name)
            }
        }
    }

    /// Takes between `min` and `entries.len()` MSI-X vectors; `entries` are pairs of vector (out)
    /// and table entry (in).
    pub(crate) fn enable_msix(&self, entries: &mut [(u32, u16)], min: i32) -> Result<i32> {
        let mut raw = KVec::with_capacity(entries.len(), GFP_KERNEL)?;
        for (vector, entry) in entries.iter() {
            raw.push(
                bindings::msix_entry {
                    vector: *vector,
                    entry: *entry,
                },
                GFP_KERNEL,
            )?;
        }
        let max = raw.len() as i32;
        // SAFETY: the device is alive, and `raw` has `max` entries.
        let code =
            unsafe { bindings::pci_enable_msix_range(self.raw(), raw.as_mut_ptr(), min, max) };
        for (to, from) in entries.iter_mut().zip(raw.iter()) {
            to.0 = from.vector;
        }
        Ok(code)
    }

    /// Whether any other device has a resource in `[start, end]`.
    pub(crate) fn shared_with_other(&self, start: u64, end: u64) -> bool {
        let mut found = false;
        each(|device| {
            if !device.same(self) {
                for n in 0..OWN_RESOURCES {
                    if let Some(r) = device.resource(n) {
                        let memory = r.flags & u64::from(bindings::IORESOURCE_MEM) != 0;
                        found |= memory && r.end != 0 && r.start <= end && start <= r.end;
                    }
                }
            }
        });
        found
    }

    /// Runtime power management's count of users.
    pub(crate) fn usage_count(&self) -> i32 {
        // SAFETY: a word of the live structure.
        unsafe { addr_of!((*self.raw()).dev.power.usage_count.counter).read_volatile() }
    }

    /// Adds `delta` to that count without causing anything.
    pub(crate) fn change_usage(&self, delta: i32) {
        for _ in 0..delta.unsigned_abs() {
            // SAFETY: the device is alive; the count does not go below zero.
            unsafe {
                if delta > 0 {
                    bindings::side_pm_get_noresume(self.device());
                } else {
                    bindings::side_pm_put_noidle(self.device());
                }
            }
        }
    }

    /// Sets the driver's flags of system power management. Only from a callback of the driver
    /// core, which serialises it.
    pub(crate) fn set_driver_flags(&self, flags: u32) {
        // SAFETY: a word of the live structure, written under the device's lock.
        unsafe { addr_of_mut!((*self.raw()).dev.power.driver_flags).write_volatile(flags) }
    }

    /// The state of power, `PCI_D0` to `PCI_POWER_ERROR`.
    fn power_state(&self) -> i32 {
        // SAFETY: a word of the live structure, which the device's driver and the PCI core change in turn.
        unsafe { addr_of!((*self.raw()).current_state).read_volatile() }
    }

    /// Whether it is in a state of low power: D1 to D3cold.
    pub(crate) fn is_low(&self) -> bool {
        (1..=4).contains(&self.power_state())
    }

    /// Saves the standard configuration, if it can be read and was not saved. The PCI core warns of a
    /// driver that lowers power without.
    pub(crate) fn save_before_lowering(&self) {
        // SAFETY: a bit of the live structure, which the device's driver and the PCI core change in turn.
        let saved = unsafe { (*self.raw()).state_saved() != 0 };
        if !self.is_low() && !saved {
            self.save_state();
        }
    }

    /// Allows or forbids wake-up of the system by this device.
    pub(crate) fn set_wakeup_enable(&self, enable: bool) -> i32 {
        // SAFETY: the device is alive.
        unsafe { bindings::device_set_wakeup_enable(self.device(), enable) }
    }

    /// Allows wake-up of the system by this device.
    pub(crate) fn wakeup_enable(&self) -> i32 {
        // SAFETY: the device is alive.
        unsafe { bindings::device_wakeup_enable(self.device()) }
    }

    /// Says that this device can wake the system.
    pub(crate) fn set_wakeup_capable(&self, capable: bool) {
        // SAFETY: the device is alive.
        unsafe { bindings::device_set_wakeup_capable(self.device(), capable) }
    }

    /// Whether DMA of the device goes through an IOMMU group.
    pub(crate) fn has_iommu(&self) -> bool {
        // SAFETY: set before a driver is bound.
        unsafe { !(*self.device()).iommu_group.is_null() }
    }

    /// Whether the device translates addresses by itself.
    pub(crate) fn has_ats(&self) -> bool {
        // SAFETY: a bit of the live structure, set when the IOMMU found the device.
        unsafe { (*self.raw()).ats_enabled() != 0 }
    }

    /// The highest address that the device can name in streaming DMA.
    pub(crate) fn dma_mask(&self) -> u64 {
        // SAFETY: a word of the live structure.
        unsafe { addr_of!((*self.raw()).dma_mask).read_volatile() }
    }

    /// The class of the device: base class, subclass and programming interface, a byte each.
    pub(crate) fn class(&self) -> u32 {
        // SAFETY: a word of the live structure.
        unsafe { addr_of!((*self.raw()).class).read_volatile() }
    }

    /// The highest address that the device can name in coherent memory.
    pub(crate) fn coherent_mask(&self) -> u64 {
        // SAFETY: a word of the live structure.
        unsafe { addr_of!((*self.raw()).dev.coherent_dma_mask).read_volatile() }
    }

    /// Calls `put(offset, bytes)` for each field of the structure that drivers read in place and
    /// that is a plain number. No pointer is among them.
    pub(crate) fn facts(&self, mut put: impl FnMut(u64, &[u8])) {
        macro_rules! fields {
            ($($field:ident),*) => { $( {
                // SAFETY: a plain number in the live structure.
                let value = unsafe { addr_of!((*self.raw()).$field).read_volatile() };
                put(offset_of!(bindings::pci_dev, $field) as u64, bytes_of(&value));
            } )* };
        }
        fields!(
            devfn,
            vendor,
            device,
            subsystem_vendor,
            subsystem_device,
            class,
            revision,
            hdr_type,
            aer_cap,
            devcap,
            pcie_cap,
            msi_cap,
            msix_cap,
            rom_base_reg,
            pin,
            pcie_flags_reg,
            current_state,
            pm_cap,
            d3hot_delay,
            d3cold_delay,
            l1ss,
            cfg_size
        );
        for n in 0..RESOURCES {
            let base =
                offset_of!(bindings::pci_dev, resource) + n * size_of::<bindings::resource>();
            if let Some(r) = self.resource(n) {
                let at = |offset: usize| (base + offset) as u64;
                put(
                    at(offset_of!(bindings::resource, start)),
                    bytes_of(&r.start),
                );
                put(at(offset_of!(bindings::resource, end)), bytes_of(&r.end));
                put(
                    at(offset_of!(bindings::resource, flags)),
                    bytes_of(&r.flags),
                );
            }
        }
        self.changing_facts(put);
    }

    /// As [`PciRef::facts`], for what may change while a driver is bound.
    pub(crate) fn changing_facts(&self, mut put: impl FnMut(u64, &[u8])) {
        let device = offset_of!(bindings::pci_dev, dev);
        let power = device + offset_of!(bindings::device, power);
        let raw = self.raw();
        put(
            offset_of!(bindings::pci_dev, irq) as u64,
            bytes_of(&self.irq()),
        );
        put(
            offset_of!(bindings::pci_dev, error_state) as u64,
            bytes_of(&self.error_state()),
        );
        // SAFETY: plain words of the live structure.
        let (mask, coherent, status) = unsafe {
            (
                addr_of!((*raw).dma_mask).read_volatile(),
                addr_of!((*raw).dev.coherent_dma_mask).read_volatile(),
                addr_of!((*raw).dev.power.runtime_status).read_volatile(),
            )
        };
        put(
            offset_of!(bindings::pci_dev, dma_mask) as u64,
            bytes_of(&mask),
        );
        put(
            (device + offset_of!(bindings::device, coherent_dma_mask)) as u64,
            bytes_of(&coherent),
        );
        put(
            (power + offset_of!(bindings::dev_pm_info, runtime_status)) as u64,
            bytes_of(&status),
        );
        // SAFETY: bits of the live structure.
        let (can_wakeup, depth) = unsafe {
            (
                (*raw).dev.power.can_wakeup(),
                (*raw).dev.power.disable_depth() as u8,
            )
        };
        put(
            (power + offset_of!(bindings::dev_pm_info, _bitfield_1)) as u64,
            bytes_of(&u8::from(can_wakeup)),
        );
        put(
            (power + offset_of!(bindings::dev_pm_info, _bitfield_3)) as u64,
            bytes_of(&depth),
        );
        // Drivers only ask whether there is a wake-up source.
        // SAFETY: a word of the live structure.
        let wakeup = unsafe { !addr_of!((*raw).dev.power.wakeup).read_volatile().is_null() };
        put(
            (power + offset_of!(bindings::dev_pm_info, wakeup)) as u64,
            bytes_of(&u64::from(wakeup)),
        );
    }

    /// The name of the driver that holds the device, copied into `buffer`.
    pub(crate) fn held_by<'b>(&self, buffer: &'b mut [u8]) -> Option<&'b str> {
        // SAFETY: the device is alive; its lock keeps the driver bound while the name is copied.
        let len = unsafe {
            bindings::side_device_lock(self.device());
            let driver = (*self.device()).driver;
            let len = match driver.is_null() {
                true => None,
                false => {
                    let name = CStr::from_char_ptr((*driver).name).to_bytes();
                    let len = core::cmp::min(name.len(), buffer.len());
                    buffer[..len].copy_from_slice(&name[..len]);
                    Some(len)
                }
            };
            bindings::side_device_unlock(self.device());
            len
        };
        core::str::from_utf8(&buffer[..len?]).ok()
    }

    /// Unbinds the device from its driver. Process context, without the device's lock.
    pub(crate) fn unbind(&self) {
        // SAFETY: the device is alive.
        unsafe { bindings::device_release_driver(self.device()) }
    }

    /// Offers the device to the drivers that are registered.
    pub(crate) fn offer(&self) -> i32 {
        // SAFETY: the device is alive.
        unsafe { bindings::device_attach(self.device()) }
    }
}

/// Resources of a device, bridge windows included.
pub(crate) const RESOURCES: usize = 17;
/// So many of them are what the device itself answers to (include/linux/pci.h: BARs and the ROM). Behind
/// them come the ranges in which its virtual functions have their own, and a bridge's windows.
const OWN_RESOURCES: usize = 7;

/// Calls `f` for each PCI device of the machine. Process context.
pub(crate) fn each(mut f: impl FnMut(&PciRef)) {
    let mut raw = core::ptr::null_mut();
    loop {
        // SAFETY: gives back the reference to `raw` and takes one to the next device.
        raw = unsafe { bindings::pci_get_device(u32::MAX, u32::MAX, raw) };
        // SAFETY: `raw` is NULL or referenced.
        let Some(device) = (unsafe { PciRef::new(raw) }) else {
            return;
        };
        f(&device);
    }
}

/// Sizes and offsets in the structures whose shadows drivers read in place.
pub(crate) mod layout {
    use super::bindings;
    use core::mem::offset_of;

    /// Size of `struct pci_dev`.
    pub(crate) const PCI_DEV: u64 = size_of::<bindings::pci_dev>() as u64;
    /// Size of `struct pci_bus`.
    pub(crate) const PCI_BUS: u64 = size_of::<bindings::pci_bus>() as u64;
    /// Size of `struct device`.
    pub(crate) const DEVICE: u64 = size_of::<bindings::device>() as u64;
    /// `pci_dev.dev`.
    pub(crate) const DEV: u64 = offset_of!(bindings::pci_dev, dev) as u64;
    /// `pci_dev.bus`.
    pub(crate) const BUS: u64 = offset_of!(bindings::pci_dev, bus) as u64;
    /// `pci_dev.dma_mask`.
    pub(crate) const DMA_MASK: u64 = offset_of!(bindings::pci_dev, dma_mask) as u64;
    /// `pci_dev.dma_parms`.
    pub(crate) const DMA_PARMS: u64 = offset_of!(bindings::pci_dev, dma_parms) as u64;
    /// `pci_dev.error_state`.
    pub(crate) const ERROR_STATE: u64 = offset_of!(bindings::pci_dev, error_state) as u64;
    /// `pci_bus.parent`, `pci_bus.self`, `pci_bus.number`.
    pub(crate) const BUS_PARENT: u64 = offset_of!(bindings::pci_bus, parent) as u64;
    pub(crate) const BUS_SELF: u64 = offset_of!(bindings::pci_bus, self_) as u64;
    pub(crate) const BUS_NUMBER: u64 = offset_of!(bindings::pci_bus, number) as u64;
    /// `device.parent`, `device.kobj.name`, `device.dma_mask`, `device.dma_parms`.
    pub(crate) const DEVICE_PARENT: u64 = offset_of!(bindings::device, parent) as u64;
    pub(crate) const DEVICE_NAME: u64 =
        (offset_of!(bindings::device, kobj) + offset_of!(bindings::kobject, name)) as u64;
    pub(crate) const DEVICE_DMA_MASK: u64 = offset_of!(bindings::device, dma_mask) as u64;
    pub(crate) const DEVICE_DMA_PARMS: u64 = offset_of!(bindings::device, dma_parms) as u64;
    /// `device.power.usage_count` and `device.power.driver_flags`.
    pub(crate) const USAGE_COUNT: u64 = (offset_of!(bindings::device, power)
        + offset_of!(bindings::dev_pm_info, usage_count))
        as u64;
    pub(crate) const DRIVER_FLAGS: u64 = (offset_of!(bindings::device, power)
        + offset_of!(bindings::dev_pm_info, driver_flags))
        as u64;
    /// `device.power.runtime_status` and its value for an active device.
    pub(crate) const RUNTIME_STATUS: u64 = (offset_of!(bindings::device, power)
        + offset_of!(bindings::dev_pm_info, runtime_status))
        as u64;
    pub(crate) const RPM_ACTIVE: i32 = bindings::rpm_status_RPM_ACTIVE;
    /// Members of `struct pci_driver`.
    pub(crate) const DRIVER_NAME: u64 = offset_of!(bindings::pci_driver, name) as u64;
    pub(crate) const DRIVER_IDS: u64 = offset_of!(bindings::pci_driver, id_table) as u64;
    pub(crate) const DRIVER_PROBE: u64 = offset_of!(bindings::pci_driver, probe) as u64;
    pub(crate) const DRIVER_REMOVE: u64 = offset_of!(bindings::pci_driver, remove) as u64;
    pub(crate) const DRIVER_SHUTDOWN: u64 = offset_of!(bindings::pci_driver, shutdown) as u64;
    pub(crate) const DRIVER_ERRORS: u64 = offset_of!(bindings::pci_driver, err_handler) as u64;
    pub(crate) const DRIVER_PM: u64 =
        (offset_of!(bindings::pci_driver, driver) + offset_of!(bindings::device_driver, pm)) as u64;
    /// Size of `struct pci_device_id`.
    pub(crate) const ID: u64 = size_of::<bindings::pci_device_id>() as u64;
    /// Flag of a resource in memory space.
    pub(crate) const IORESOURCE_IO: u64 = bindings::IORESOURCE_IO as u64;
    pub(crate) const IORESOURCE_MEM: u64 = bindings::IORESOURCE_MEM as u64;
}
