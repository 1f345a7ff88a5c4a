// SPDX-License-Identifier: GPL-2.0

//! Firmware files of the machine.

use super::bindings;
use super::pci::PciRef;
use core::ptr::NonNull;
use kernel::prelude::*;

/// A firmware file in memory; dropping it gives it back.
pub(crate) struct Firmware(NonNull<bindings::firmware>);

/// Reads the firmware file `name` on behalf of `device`. Process context. Errors: ENOENT and what
/// else reading gives.
pub(crate) fn request(device: &PciRef, name: &[u8]) -> Result<Firmware> {
    let mut path = KVec::with_capacity(name.len() + 1, GFP_KERNEL)?;
    path.extend_from_slice(name, GFP_KERNEL)?;
    path.push(0, GFP_KERNEL)?;
    let mut found = core::ptr::null();
    // SAFETY: the name is NUL-terminated, the device is alive by its reference.
    let code =
        unsafe { bindings::request_firmware(&mut found, path.as_ptr().cast(), device.device()) };
    match NonNull::new(found.cast_mut()) {
        Some(found) if code == 0 => Ok(Firmware(found)),
        _ => Err(Error::from_errno(code)),
    }
}

impl Firmware {
    /// The file's contents.
    pub(crate) fn bytes(&self) -> &[u8] {
        // SAFETY: the structure and its data live until the release.
        unsafe {
            let firmware = self.0.as_ref();
            core::slice::from_raw_parts(firmware.data, firmware.size)
        }
    }
}

impl Drop for Firmware {
    fn drop(&mut self) {
        // SAFETY: from `request_firmware`, and not used again.
        unsafe { bindings::release_firmware(self.0.as_ptr()) }
    }
}
