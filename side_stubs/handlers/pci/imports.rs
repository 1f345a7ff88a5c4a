// SPDX-License-Identifier: GPL-2.0

//! PCI imports: configuration, regions and registers, message-signalled interrupts, power.

use super::super::irq;
use super::device::{drop_vectors, Named, PciDevice, Vectors, Window};
use super::ports;
use crate::call::{errno, int, Call, Outcome, Violation};
use crate::side_stubs::config_space::{device_dependent, judge, Bytes, Role, Verdict};
use crate::sys::access::PAGE;
use crate::sys::pci::{layout, PciRef};
use kernel::prelude::*;
use kernel::sync::Arc;

/// `PCIBIOS_BAD_REGISTER_NUMBER`.
const BAD_REGISTER: i32 = 0x87;
/// One past the highest offset of a configuration space.
const CONFIG_END: i32 = 4096;
/// Vectors that one device may have.
const VECTORS_MAX: i32 = 2048;
/// `PCI_D0` to `PCI_D3cold`.
const POWER_STATES: core::ops::RangeInclusive<i32> = 0..=4;
/// All six BARs.
const ALL_BARS: u32 = 0x3f;

/// The device whose `pci_dev` is argument `n`.
fn device(call: &Call<'_>, n: usize) -> Result<Arc<PciDevice>, Violation> {
    let handle = call.arg(n);
    call.domain
        .pci
        .get(handle)
        .ok_or(Violation::new("not-a-pci-device", handle))
}

/// The device in whose `pci_dev` the `struct device` of argument `n` is embedded.
fn by_device(call: &Call<'_>, n: usize) -> Result<Arc<PciDevice>, Violation> {
    let handle = call.arg(n);
    call.domain
        .pci
        .by_device(handle)
        .ok_or(Violation::new("not-a-device", handle))
}

/// As [`device`], or the bridge above one.
fn named(call: &Call<'_>, n: usize) -> Result<Named, Violation> {
    let handle = call.arg(n);
    Named::find(call.domain, handle).ok_or(Violation::new("not-a-pci-device", handle))
}

fn read_config(call: &mut Call<'_>, size: usize) -> Outcome {
    let target = named(call, 0)?;
    let offset = call.int(1);
    let (value, code) = match (0..CONFIG_END).contains(&offset) {
        true => target.raw.read_config(offset, size),
        false => (u32::MAX, BAD_REGISTER),
    };
    match size {
        1 => call.write(call.arg(2), value as u8)?,
        2 => call.write(call.arg(2), value as u16)?,
        _ => call.write(call.arg(2), value)?,
    }
    Ok(int(code))
}

/// `pci_read_config_byte(dev, where, val)`
pub(crate) fn read_config_byte(call: &mut Call<'_>) -> Outcome {
    read_config(call, 1)
}

/// `pci_read_config_word(dev, where, val)`
pub(crate) fn read_config_word(call: &mut Call<'_>) -> Outcome {
    read_config(call, 2)
}

/// `pci_read_config_dword(dev, where, val)`
pub(crate) fn read_config_dword(call: &mut Call<'_>) -> Outcome {
    read_config(call, 4)
}

/// The value to write for a write that is allowed.
fn judged(target: &Named, offset: i32, size: usize, new: u32) -> Result<u32, Violation> {
    let (old, code) = target.raw.read_config(offset, size);
    if code != 0 {
        return Ok(new);
    }
    let express = u32::from(target.raw.express());
    let free = match target.role {
        Role::Own => device_dependent(|at| match target.raw.read_config(at as i32, 1) {
            (value, 0) => Some(value as u8),
            _ => None,
        }),
        Role::Bridge => Bytes::NONE,
    };
    match judge(target.role, express, &free, offset as u32, size, old, new) {
        Verdict::Write(value) => Ok(value),
        Verdict::Refused(bits) => Err(Violation::new(
            "config-write",
            (offset as u64) << 32 | u64::from(bits),
        )),
    }
}

fn write_config(call: &mut Call<'_>, size: usize) -> Outcome {
    let target = named(call, 0)?;
    let offset = call.int(1);
    if !(0..CONFIG_END).contains(&offset) || offset % size as i32 != 0 {
        return Ok(int(BAD_REGISTER));
    }
    let mask = u32::MAX >> (32 - 8 * size);
    let value = judged(&target, offset, size, call.uint(2) & mask)?;
    Ok(int(target.raw.write_config(offset, size, value)))
}

/// `pci_write_config_byte(dev, where, val)`
pub(crate) fn write_config_byte(call: &mut Call<'_>) -> Outcome {
    write_config(call, 1)
}

/// `pci_write_config_word(dev, where, val)`
pub(crate) fn write_config_word(call: &mut Call<'_>) -> Outcome {
    write_config(call, 2)
}

/// `pci_write_config_dword(dev, where, val)`
pub(crate) fn write_config_dword(call: &mut Call<'_>) -> Outcome {
    write_config(call, 4)
}

/// An offset in the PCI Express capability: of a word, inside it.
fn express_offset(call: &Call<'_>) -> Option<i32> {
    Some(call.int(1)).filter(|offset| (0..0x3c).contains(offset) && offset % 2 == 0)
}

/// `pcie_capability_read_word(dev, pos, val)`
pub(crate) fn express_read_word(call: &mut Call<'_>) -> Outcome {
    let target = named(call, 0)?;
    let (value, code) = match express_offset(call) {
        Some(offset) => target.raw.express_read(offset),
        None => (0, BAD_REGISTER),
    };
    call.write(call.arg(2), value)?;
    Ok(int(code))
}

/// `pcie_capability_read_dword(dev, pos, val)`
pub(crate) fn express_read_dword(call: &mut Call<'_>) -> Outcome {
    let target = named(call, 0)?;
    let mut value = 0;
    let code = match express_offset(call) {
        Some(offset) => target.raw.express_read_dword_status(offset, &mut value),
        None => BAD_REGISTER,
    };
    call.write(call.arg(2), value)?;
    Ok(int(code))
}

/// `pcie_capability_write_word(dev, pos, val)`
pub(crate) fn express_write_word(call: &mut Call<'_>) -> Outcome {
    let target = named(call, 0)?;
    let Some(offset) = express_offset(call) else {
        return Ok(int(BAD_REGISTER));
    };
    let base = i32::from(target.raw.express());
    if base == 0 {
        return Ok(int(target.raw.express_write(offset, 0)));
    }
    let value = judged(&target, base + offset, 2, call.uint(2) & 0xffff)?;
    Ok(int(target.raw.express_write(offset, value as u16)))
}

fn express_change(call: &mut Call<'_>, locked: bool) -> Outcome {
    let target = named(call, 0)?;
    let Some(offset) = express_offset(call) else {
        return Ok(int(BAD_REGISTER));
    };
    let (clear, set) = (call.uint(2) as u16, call.uint(3) as u16);
    let base = i32::from(target.raw.express());
    if base != 0 {
        // Which bits change matters, not what the rest of the word is.
        let (old, _) = target.raw.express_read(offset);
        judged(&target, base + offset, 2, u32::from((old & !clear) | set))?;
    }
    Ok(int(target.raw.express_change(offset, clear, set, locked)))
}

/// `pcie_capability_clear_and_set_word_locked(dev, pos, clear, set)`
pub(crate) fn express_change_locked(call: &mut Call<'_>) -> Outcome {
    express_change(call, true)
}

/// `pcie_capability_clear_and_set_word_unlocked(dev, pos, clear, set)`
pub(crate) fn express_change_unlocked(call: &mut Call<'_>) -> Outcome {
    express_change(call, false)
}

/// Declares handlers that pass the device and small checked numbers on, under the device's lock.
macro_rules! simple {
    ($($(#[$doc:meta])* $name:ident => |$call:ident, $device:ident| $body:expr;)*) => { $(
        $(#[$doc])*
        pub(crate) fn $name($call: &mut Call<'_>) -> Outcome {
            let $device = device($call, 0)?;
            let value = {
                let _serialised = $device.hold()?;
                $body
            };
            $device.refresh($call.domain)?;
            Ok(value)
        }
    )* };
}

fn power_state(call: &Call<'_>, n: usize) -> Result<i32, Violation> {
    let state = call.int(n);
    match POWER_STATES.contains(&state) {
        true => Ok(state),
        false => Err(Violation::new("power-state", u64::from(state as u32))),
    }
}

simple! {
    /// `pci_set_master(dev)`
    set_master => |call, device| { device.raw.set_master(); 0 };
    /// `pci_clear_master(dev)`
    clear_master => |call, device| { device.raw.clear_master(); 0 };
    /// `pci_select_bars(dev, flags)`
    select_bars => |call, device| int(device.raw.select_bars(call.arg(1) as usize));
    /// `pci_disable_link_state(dev, state)`
    disable_link_state => |call, device| int(device.raw.disable_link_state(call.int(1)));
    /// `pci_disable_link_state_locked(dev, state)`
    disable_link_state_locked =>
        |call, device| int(device.raw.disable_link_state_locked(call.int(1)));
    /// `pci_save_state(dev)`
    save_state => |call, device| int(device.raw.save_state());
    /// `pci_enable_wake(dev, state, enable)`
    enable_wake => |call, device| {
        int(device.raw.enable_wake(power_state(call, 1)?, call.uint(2) & 0xff != 0))
    };
    /// `pci_wake_from_d3(dev, enable)`
    wake_from_d3 => |call, device| int(device.raw.wake_from_d3(call.uint(1) & 0xff != 0));
    /// `pci_prepare_to_sleep(dev)`
    prepare_to_sleep => |call, device| {
        device.raw.save_before_lowering();
        int(device.raw.prepare_to_sleep())
    };
    /// `pci_back_from_sleep(dev)`
    back_from_sleep => |call, device| int(device.raw.back_from_sleep());
    /// `pci_dev_run_wake(dev)`
    run_wake => |call, device| u64::from(device.raw.run_wake());
    /// `pci_set_power_state(dev, state)`
    set_power_state => |call, device| {
        let state = power_state(call, 1)?;
        if state > 0 {
            device.raw.save_before_lowering();
        }
        int(device.raw.set_power_state(state))
    };
    /// `pci_pme_capable(dev, state)`
    pme_capable => |call, device| u64::from(device.raw.pme_capable(power_state(call, 1)?));
    /// `pci_choose_state(dev, state)`
    choose_state => |call, device| int(device.raw.choose_state(call.int(1)));
    /// `pcix_get_mmrbc(dev)`
    get_mmrbc => |call, device| int(device.raw.get_mmrbc());
    /// `pcix_set_mmrbc(dev, mmrbc)`: the kernel checks the value.
    set_mmrbc => |call, device| int(device.raw.set_mmrbc(call.int(1)));
    /// `pci_set_mwi(dev)`
    set_mwi => |call, device| int(device.raw.set_mwi());
    /// `pci_try_set_mwi(dev)`
    try_set_mwi => |call, device| int(device.raw.try_set_mwi());
    /// `pci_clear_mwi(dev)`
    clear_mwi => |call, device| { device.raw.clear_mwi(); 0 };
    /// `pcie_get_readrq(dev)`
    get_read_request => |call, device| int(device.raw.get_read_request());
    /// `pcie_set_readrq(dev, rq)`
    set_read_request => |call, device| int(device.raw.set_read_request(call.int(1)));
    /// `pcie_print_link_status(dev)`: a line in the kernel's log, unless there were too many.
    print_link_status => |call, device| {
        if call.domain.may_log() {
            device.raw.print_link_status();
        }
        0
    };
    /// `pci_device_is_present(dev)`
    is_present => |call, device| u64::from(device.raw.is_present());
    /// `pci_find_capability(dev, cap)`
    find_capability => |call, device| u64::from(device.raw.find_capability(call.int(1) & 0xff));
    /// `pci_find_ext_capability(dev, cap)`
    find_ext_capability =>
        |call, device| u64::from(device.raw.find_ext_capability(call.int(1) & 0xffff));
}

/// `pci_restore_state(dev)`. Not in low power: what sleeps has nothing to restore, and the kernel would
/// think that its state was never saved.
pub(crate) fn restore_state(call: &mut Call<'_>) -> Outcome {
    let device = device(call, 0)?;
    {
        let held = device.hold()?;
        if !device.raw.is_low() {
            device.raw.restore_state();
            device.settle_line(call.domain, &held);
        }
    }
    device.refresh(call.domain)?;
    Ok(0)
}

/// `pci_pme_active(dev, enable)`. The kernel notes each enable anew, to poll the device: one at a time.
pub(crate) fn pme_active(call: &mut Call<'_>) -> Outcome {
    let device = device(call, 0)?;
    {
        let mut held = device.hold()?;
        let enable = call.uint(1) & 0xff != 0;
        if held.pme || !enable {
            device.raw.pme_active(false);
        }
        held.pme = enable;
        if enable {
            device.raw.pme_active(true);
        }
    }
    device.refresh(call.domain)?;
    Ok(0)
}

fn enable_with(call: &mut Call<'_>, enable: fn(&PciRef) -> i32) -> Outcome {
    let device = device(call, 0)?;
    let code = {
        let mut held = device.hold()?;
        let code = enable(&device.raw);
        if code == 0 {
            held.enabled += 1;
            // The kernel has turned the line on.
            device.settle_line(call.domain, &held);
        }
        code
    };
    device.refresh(call.domain)?;
    Ok(int(code))
}

/// `pci_enable_device(dev)`, `pcim_enable_device(dev)`: what a driver leaves enabled is undone when
/// its device goes, managed or not.
pub(crate) fn enable_device(call: &mut Call<'_>) -> Outcome {
    enable_with(call, PciRef::enable)
}

/// `pci_enable_device_mem(dev)`
pub(crate) fn enable_device_mem(call: &mut Call<'_>) -> Outcome {
    enable_with(call, PciRef::enable_mem)
}

/// `pci_disable_device(dev)`
pub(crate) fn disable_device(call: &mut Call<'_>) -> Outcome {
    let device = device(call, 0)?;
    let mut held = device.hold()?;
    if held.enabled == 0 {
        return Err(Violation::new("disable-unbalanced", call.arg(0)));
    }
    held.enabled -= 1;
    device.raw.disable();
    Ok(0)
}

fn request(call: &mut Call<'_>, bars: u32, exclusive: bool) -> Outcome {
    let device = device(call, 0)?;
    let mut held = device.hold()?;
    // The kernel would say so in its log each time.
    if device.has_any(bars & held.regions) {
        return Ok(errno(EBUSY));
    }
    let code = device
        .raw
        .request_regions(bars as i32, &device.region_name, exclusive);
    if code == 0 {
        held.regions |= bars;
        for (first, last) in device.port_ranges(bars) {
            if call.domain.ports.grant(first, last).is_err() {
                device.raw.release_regions(bars as i32);
                held.regions &= !bars;
                return Ok(errno(ENOMEM));
            }
        }
    }
    Ok(int(code))
}

/// `pci_request_selected_regions(dev, bars, name)`
pub(crate) fn request_selected_regions(call: &mut Call<'_>) -> Outcome {
    request(call, call.uint(1) & ALL_BARS, false)
}

/// `pci_request_selected_regions_exclusive(dev, bars, name)`
pub(crate) fn request_selected_regions_exclusive(call: &mut Call<'_>) -> Outcome {
    request(call, call.uint(1) & ALL_BARS, true)
}

/// `pci_request_regions(dev, name)`, `pcim_request_all_regions(dev, name)`
pub(crate) fn request_regions(call: &mut Call<'_>) -> Outcome {
    request(call, ALL_BARS, false)
}

fn release_bars(call: &mut Call<'_>, bars: u32) -> Outcome {
    let device = device(call, 0)?;
    let mut held = device.hold()?;
    let bars = bars & held.regions;
    if bars != 0 {
        held.regions &= !bars;
        for (first, last) in device.port_ranges(bars) {
            call.domain.ports.revoke(first, last);
        }
        device.raw.release_regions(bars as i32);
    }
    Ok(0)
}

/// `pci_release_selected_regions(dev, bars)`
pub(crate) fn release_selected_regions(call: &mut Call<'_>) -> Outcome {
    release_bars(call, call.uint(1))
}

/// `pci_release_regions(dev)`
pub(crate) fn release_regions(call: &mut Call<'_>) -> Outcome {
    release_bars(call, ALL_BARS)
}

/// Maps `[phys, phys + len)`, which lies in a memory BAR of `device`. Whole pages that other
/// devices share are refused, and pages of the MSI-X tables stay holes: who writes there sends
/// messages to any CPU.
fn map(call: &Call<'_>, device: &PciDevice, phys: u64, len: u64) -> Result<u64> {
    let start = phys / PAGE * PAGE;
    let end = (phys + len).div_ceil(PAGE) * PAGE;
    if device.raw.shared_with_other(start, end - 1) {
        if call.domain.may_log() {
            pr_err!(
                "{}: {}: registers share a page with another device\n",
                call.domain.name(),
                device.raw.name()
            );
        }
        return Err(EBUSY);
    }
    let memory = &call.domain.memory;
    let mut held = device.hold().map_err(|_| ENODEV)?;
    held.windows.reserve(1, GFP_KERNEL)?;
    let hidden = |page| device.is_vector_table(page, PAGE);
    let base = memory.map_registers(start, end - start, hidden)?;
    let address = base + (phys - start);
    held.windows.push(Window { address, base }, GFP_KERNEL)?;
    Ok(address)
}

/// `ioremap(phys, size)`: only inside a memory BAR of the domain's own devices.
pub(crate) fn ioremap(call: &mut Call<'_>) -> Outcome {
    let (phys, len) = (call.arg(0), call.arg(1));
    let Some(last) = phys.checked_add(len.wrapping_sub(1)).filter(|_| len != 0) else {
        return Ok(0);
    };
    let inside = |device: &PciDevice| {
        (0..6).filter_map(|n| device.raw.resource(n)).any(|bar| {
            bar.flags & layout::IORESOURCE_MEM != 0 && bar.start <= phys && last <= bar.end
        })
    };
    match call.domain.pci.first(inside) {
        Some(device) => Ok(map(call, &device, phys, len).unwrap_or(0)),
        None => Err(Violation::new("foreign-registers", phys)),
    }
}

/// `pci_ioremap_bar(dev, bar)`
pub(crate) fn ioremap_bar(call: &mut Call<'_>) -> Outcome {
    iomap_len(call, u64::MAX)
}

/// `pci_iomap(dev, bar, max)`, `pcim_iomap(dev, bar, max)`
pub(crate) fn iomap(call: &mut Call<'_>) -> Outcome {
    let max = call.arg(2);
    iomap_len(call, if max == 0 { u64::MAX } else { max })
}

fn iomap_len(call: &mut Call<'_>, max: u64) -> Outcome {
    let device = device(call, 0)?;
    let n = call.uint(1) as usize;
    let bar = if n < 6 { device.raw.resource(n) } else { None };
    match bar {
        Some(bar) if bar.flags & layout::IORESOURCE_MEM != 0 && bar.end > bar.start => {
            let len = core::cmp::min(bar.end - bar.start + 1, max);
            Ok(map(call, &device, bar.start, len).unwrap_or(0))
        }
        Some(bar) if bar.flags & layout::IORESOURCE_IO != 0 && bar.end > bar.start => {
            let len = core::cmp::min(bar.end - bar.start + 1, max);
            Ok(ports::map(call, bar.start, len))
        }
        _ => Ok(0),
    }
}

fn unmap(call: &Call<'_>, address: u64) -> Outcome {
    if ports::is_mapped(address) {
        // As in the kernel: the ports stay reachable until the region is given back.
        return Ok(0);
    }
    let Some(device) = call.domain.pci.first(|device| {
        device
            .held
            .lock()
            .windows
            .iter()
            .any(|w| w.address == address)
    }) else {
        return Err(Violation::new("unmap-unknown-registers", address));
    };
    let mut held = device.hold()?;
    if let Some(n) = held.windows.iter().position(|w| w.address == address) {
        if let Ok(window) = held.windows.remove(n) {
            call.domain.memory.unmap_registers(window.base);
        }
    }
    Ok(0)
}

/// `iounmap(addr)`
pub(crate) fn iounmap(call: &mut Call<'_>) -> Outcome {
    match call.arg(0) {
        0 => Ok(0),
        address => unmap(call, address),
    }
}

/// `pci_iounmap(dev, addr)`, `pcim_iounmap(dev, addr)`
pub(crate) fn pci_iounmap(call: &mut Call<'_>) -> Outcome {
    match call.arg(1) {
        0 => Ok(0),
        address => unmap(call, address),
    }
}

/// Refuses to take vectors away from under a handler. The caller holds the device's lock, under
/// which handlers are requested too.
fn no_handlers(call: &Call<'_>, device: &PciDevice) -> Result<(), Violation> {
    match irq::in_use(call.domain, device) {
        true => Err(Violation::new("vectors-in-use", call.arg(0))),
        false => Ok(()),
    }
}

/// `pci_enable_msi(dev)`
pub(crate) fn enable_msi(call: &mut Call<'_>) -> Outcome {
    let device = device(call, 0)?;
    let code = {
        let mut held = device.hold()?;
        no_handlers(call, &device)?;
        if !matches!(held.vectors, Vectors::Line) {
            return Ok(errno(EINVAL));
        }
        let code = device.raw.enable_msi();
        if code == 0 {
            held.vectors = Vectors::Msi;
        }
        device.settle_line(call.domain, &held);
        code
    };
    device.refresh(call.domain)?;
    Ok(int(code))
}

/// `pci_enable_msix_range(dev, entries, minvec, maxvec)`
pub(crate) fn enable_msix_range(call: &mut Call<'_>) -> Outcome {
    let device = device(call, 0)?;
    let (at, min, max) = (call.arg(1), call.int(2), call.int(3));
    if min < 1 || max < min || max > VECTORS_MAX {
        return Ok(errno(ERANGE));
    }
    let mut entries = KVVec::new();
    for n in 0..max as u64 {
        let entry: u16 = call.read(at.wrapping_add(n * 8 + 4))?;
        if entries.push((0u32, entry), GFP_KERNEL).is_err() {
            return Ok(errno(ENOMEM));
        }
    }
    let code = {
        let mut held = device.hold()?;
        no_handlers(call, &device)?;
        if !matches!(held.vectors, Vectors::Line) {
            return Ok(errno(EINVAL));
        }
        let mut list = KVec::new();
        if list.reserve(max as usize, GFP_KERNEL).is_err() {
            return Ok(errno(ENOMEM));
        }
        let code = match device.raw.enable_msix(&mut entries, min) {
            Ok(code) => code,
            Err(error) => return Ok(errno(error)),
        };
        if code > 0 {
            for (vector, _) in entries.iter().take(code as usize) {
                // Room was reserved.
                let _ = list.push(*vector, GFP_KERNEL);
            }
            held.vectors = Vectors::MsiX(list);
        }
        device.settle_line(call.domain, &held);
        code
    };
    for (n, (vector, _)) in entries
        .iter()
        .take(core::cmp::max(code, 0) as usize)
        .enumerate()
    {
        call.write(at + n as u64 * 8, *vector)?;
    }
    device.refresh(call.domain)?;
    Ok(int(code))
}

/// `pci_disable_msi(dev)`, `pci_disable_msix(dev)`, `pci_free_irq_vectors(dev)`: whichever there
/// are; none is no mistake.
pub(crate) fn disable_vectors(call: &mut Call<'_>) -> Outcome {
    let device = device(call, 0)?;
    {
        let mut held = device.hold()?;
        if matches!(held.vectors, Vectors::Line) {
            return Ok(0);
        }
        no_handlers(call, &device)?;
        drop_vectors(&device, &mut held);
        device.settle_line(call.domain, &held);
    }
    device.refresh(call.domain)?;
    Ok(0)
}

/// `pci_alloc_irq_vectors(dev, min_vecs, max_vecs, flags)`
pub(crate) fn alloc_irq_vectors(call: &mut Call<'_>) -> Outcome {
    /// `PCI_IRQ_INTX | PCI_IRQ_MSI | PCI_IRQ_MSIX`.
    const KINDS: u32 = 7;
    let device = device(call, 0)?;
    let (min, max) = (call.uint(1), call.uint(2));
    if min < 1 || max < min || max > VECTORS_MAX as u32 {
        return Ok(errno(ERANGE));
    }
    let code = {
        let mut held = device.hold()?;
        no_handlers(call, &device)?;
        if !matches!(held.vectors, Vectors::Line) {
            return Ok(errno(EINVAL));
        }
        let mut list = KVec::new();
        if list.reserve(max as usize, GFP_KERNEL).is_err() {
            return Ok(errno(ENOMEM));
        }
        // The line's number, to tell whether that is what was given.
        let line = device.raw.irq();
        let code = device.raw.alloc_vectors(min, max, call.uint(3) & KINDS);
        if code > 0 {
            for n in 0..code as u32 {
                // Room was reserved.
                let _ = list.push(device.raw.vector(n) as u32, GFP_KERNEL);
            }
            if list.first() != Some(&line) {
                held.vectors = Vectors::Allocated(list);
            }
        }
        device.settle_line(call.domain, &held);
        code
    };
    device.refresh(call.domain)?;
    Ok(int(code))
}

/// `pci_irq_vector(dev, nr)`
pub(crate) fn irq_vector(call: &mut Call<'_>) -> Outcome {
    let (device, n) = (device(call, 0)?, call.uint(1));
    // The kernel warns of numbers that no device can have.
    match n < VECTORS_MAX as u32 {
        true => Ok(int(device.raw.vector(n))),
        false => Ok(errno(EINVAL)),
    }
}

/// `pci_msi_enabled()`
pub(crate) fn msi_enabled(_: &mut Call<'_>) -> Outcome {
    Ok(crate::sys::pci::msi_enabled().into())
}

/// `dev_driver_string(dev)`
pub(crate) fn driver_string(call: &mut Call<'_>) -> Outcome {
    Ok(by_device(call, 0)?.driver_name())
}

/// Calls `f`, which changes whether the device wakes the system, under the device's lock: the kernel
/// leaves that to the driver, and would add a file to the device's folder twice.
fn change_wakeup(call: &mut Call<'_>, f: impl FnOnce(&PciRef) -> i32) -> Outcome {
    let device = by_device(call, 0)?;
    let code = {
        let _serialised = device.hold()?;
        f(&device.raw)
    };
    device.refresh(call.domain)?;
    Ok(int(code))
}

/// `device_set_wakeup_enable(dev, enable)`
pub(crate) fn set_wakeup_enable(call: &mut Call<'_>) -> Outcome {
    let enable = call.uint(1) & 0xff != 0;
    change_wakeup(call, |raw| raw.set_wakeup_enable(enable))
}

/// `device_wakeup_enable(dev)`
pub(crate) fn wakeup_enable(call: &mut Call<'_>) -> Outcome {
    change_wakeup(call, PciRef::wakeup_enable)
}

/// `device_set_wakeup_capable(dev, capable)`
pub(crate) fn set_wakeup_capable(call: &mut Call<'_>) -> Outcome {
    let capable = call.uint(1) & 0xff != 0;
    change_wakeup(call, |raw| {
        raw.set_wakeup_capable(capable);
        0
    })
}
