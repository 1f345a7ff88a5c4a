// SPDX-License-Identifier: GPL-2.0

//! Managed resources (devres): what goes with its device without being freed by the driver.
//!
//! The real driver core knows nothing of them. They are entered in the ledger of the device, which
//! frees them after the driver's `remove`, or after a probe that failed.

use super::dma;
use super::net_imports;
use super::pci::Managed;
use crate::call::{Call, Outcome, Violation};
use crate::sys::layout;

/// The largest managed object.
const LARGEST: u64 = 4 << 20;

/// `devm_kmalloc(dev, size, flags)`
pub(crate) fn kmalloc(call: &mut Call<'_>) -> Outcome {
    let (device, size) = (dma::device(call, 0)?, call.arg(1));
    if size == 0 || size > LARGEST {
        return Ok(0);
    }
    let memory = &call.domain.memory;
    let object = match call.arg(2) & layout::GFP_ZERO {
        0 => memory.alloc_dirty(size),
        _ => memory.alloc(size),
    };
    let Ok(object) = object else { return Ok(0) };
    if device.manage(Managed::Object(object))?.is_err() {
        let _ = memory.free(object);
        return Ok(0);
    }
    Ok(object)
}

/// `devm_kfree(dev, object)`
pub(crate) fn kfree(call: &mut Call<'_>) -> Outcome {
    let (device, object) = (dma::device(call, 0)?, call.arg(1));
    let known = device.unmanage(|one| matches!(one, Managed::Object(at) if *at == object))?;
    if !known || call.domain.memory.free(object).is_err() {
        return Err(Violation::new("bad-free", object));
    }
    Ok(0)
}

/// `devm_alloc_etherdev_mqs(dev, private, txqs, rxqs)`
pub(crate) fn alloc_etherdev(call: &mut Call<'_>) -> Outcome {
    let device = dma::device(call, 0)?;
    let (private, tx, rx) = (call.uint(1).into(), call.uint(2), call.uint(3));
    let handle = net_imports::make(call, private, tx, rx)?;
    if handle != 0 && device.manage(Managed::NetDevice(handle))?.is_err() {
        net_imports::free(call.domain, handle)?;
        return Ok(0);
    }
    Ok(handle)
}
