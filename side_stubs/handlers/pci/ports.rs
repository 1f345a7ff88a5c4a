// SPDX-License-Identifier: GPL-2.0

//! Regions and ports claimed by number: what lies inside a BAR of the domain's own devices is the
//! domain's, everything else is refused.

use super::device::PciDevice;
use crate::call::{Call, Outcome, Violation};
use crate::side_stubs::contract::{PIO_END, PIO_OFFSET};
use crate::sys::pci::layout;
use kernel::sync::Arc;

/// The device and BAR that hold all of `[start, start + len)` of memory or ports.
fn holder(call: &Call<'_>, start: u64, len: u64) -> Option<(Arc<PciDevice>, usize)> {
    let last = start.checked_add(len.checked_sub(1)?)?;
    let bar_of = |device: &PciDevice| {
        (0..6).find(|n| {
            device
                .raw
                .resource(*n)
                .is_some_and(|bar| bar.start <= start && last <= bar.end && bar.end > bar.start)
        })
    };
    let device = call.domain.pci.first(|device| bar_of(device).is_some())?;
    let bar = bar_of(&device)?;
    Some((device, bar))
}

/// Whether BAR `n` of `device` is one of ports.
fn is_ports(device: &PciDevice, n: usize) -> bool {
    device
        .raw
        .resource(n)
        .is_some_and(|bar| bar.flags & layout::IORESOURCE_IO != 0)
}

/// `__request_region(parent, start, n, name, flags)`: claims the whole BAR. Returns the parent, which
/// stands for the region: drivers look no further than whether it is NULL.
pub(crate) fn request_region(call: &mut Call<'_>) -> Outcome {
    let (start, len) = (call.arg(1), call.arg(2));
    let Some((device, n)) = holder(call, start, len) else {
        return Err(Violation::new("foreign-region", start));
    };
    let mut held = device.hold()?;
    if held.regions >> n & 1 != 0 {
        return Ok(0);
    }
    let bar = 1 << n;
    if device.raw.request_regions(bar, &device.region_name, false) != 0 {
        return Ok(0);
    }
    if is_ports(&device, n) && call.domain.ports.grant(start, start + len - 1).is_err() {
        device.raw.release_regions(bar);
        return Ok(0);
    }
    held.regions |= bar as u32;
    Ok(call.arg(0))
}

/// `__release_region(parent, start, n)`
pub(crate) fn release_region(call: &mut Call<'_>) -> Outcome {
    let (start, len) = (call.arg(1), call.arg(2));
    let Some((device, n)) = holder(call, start, len) else {
        return Err(Violation::new("foreign-region", start));
    };
    let mut held = device.hold()?;
    if held.regions >> n & 1 == 0 {
        return Err(Violation::new("region-not-claimed", start));
    }
    if is_ports(&device, n) {
        call.domain.ports.revoke(start, start + len - 1);
    }
    held.regions &= !(1 << n);
    device.raw.release_regions(1 << n);
    Ok(0)
}

/// The address by which `ioread8` and its kin know the `len` ports from `start` on, which lie in a BAR
/// of the domain's; 0 if they cannot be granted.
pub(super) fn map(call: &Call<'_>, start: u64, len: u64) -> u64 {
    match call.domain.ports.grant(start, start + len - 1) {
        Ok(()) => start + PIO_OFFSET,
        Err(_) => 0,
    }
}

/// Whether `address` is one that [`map`] gave.
pub(super) fn is_mapped(address: u64) -> bool {
    (PIO_OFFSET..PIO_END).contains(&address)
}

/// `ioport_map(port, nr)`
pub(crate) fn ioport_map(call: &mut Call<'_>) -> Outcome {
    let (start, len) = (call.arg(0), u64::from(call.uint(1)));
    match holder(call, start, len) {
        Some((device, n)) if is_ports(&device, n) => Ok(map(call, start, len)),
        _ => Err(Violation::new("foreign-ports", start)),
    }
}

/// `ioport_unmap(addr)`: the ports stay granted until the region or the device is given back.
pub(crate) fn ioport_unmap(call: &mut Call<'_>) -> Outcome {
    match is_mapped(call.arg(0)) {
        true => Ok(0),
        false => Err(Violation::new("unmap-unknown-registers", call.arg(0))),
    }
}
