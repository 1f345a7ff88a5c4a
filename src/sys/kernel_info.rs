// SPDX-License-Identifier: GPL-2.0

//! Small services of the kernel: checksums, random bytes, what machine this is.

use super::bindings;

/// CRC-32, little endian, seeded with `crc`.
pub(crate) fn crc32_le(crc: u32, bytes: &[u8]) -> u32 {
    // SAFETY: reads the slice.
    unsafe { bindings::crc32_le(crc, bytes.as_ptr().cast(), bytes.len()) }
}

/// Fills `bytes` with random ones.
pub(crate) fn random(bytes: &mut [u8]) {
    // SAFETY: writes the slice.
    unsafe { bindings::get_random_bytes(bytes.as_mut_ptr().cast(), bytes.len()) };
}

/// An entry of a DMI list, copied from a driver.
pub(crate) struct DmiEntry(bindings::dmi_system_id);

impl DmiEntry {
    /// Bytes of an entry.
    pub(crate) const SIZE: u64 = size_of::<bindings::dmi_system_id>() as u64;

    pub(crate) fn new() -> Self {
        // SAFETY: zero is a value of this C structure.
        DmiEntry(unsafe { core::mem::zeroed() })
    }

    /// The entry's bytes, to be filled with the driver's. Its pointers are never followed.
    pub(crate) fn bytes(&mut self) -> &mut [u8] {
        // SAFETY: any bits are a value of a structure of integers, arrays and nullable pointers;
        // a function pointer read through `Option` is not called, and is cleared before use.
        unsafe { core::slice::from_raw_parts_mut((&raw mut self.0).cast(), Self::SIZE as usize) }
    }

    /// Whether the list ends here.
    pub(crate) fn is_last(&self) -> bool {
        self.0.matches[0].slot() == 0
    }

    /// Whether each string that is asked for is one that DMI has: the kernel takes the number as an index into
    /// its table (`dmi_matches` of drivers/firmware/dmi_scan.c).
    pub(crate) fn has_known_fields(&self) -> bool {
        let slots = self.0.matches.iter().map(|part| u32::from(part.slot()));
        slots
            .take_while(|&slot| slot != bindings::dmi_field_DMI_NONE)
            .all(|slot| {
                slot < bindings::dmi_field_DMI_STRING_MAX
                    || slot == bindings::dmi_field_DMI_OEM_STRING
            })
    }

    /// The driver's function for a match, as a domain address.
    pub(crate) fn callback(&self) -> u64 {
        self.0
            .callback
            .map_or(0, |function| function as usize as u64)
    }

    /// Whether this machine's DMI strings match. An entry that has other fields than DMI does not.
    pub(crate) fn is_this_machine(&self) -> bool {
        if !self.has_known_fields() {
            return false;
        }
        // SAFETY: zero is a value of this C structure.
        let mut list: [bindings::dmi_system_id; 2] = unsafe { core::mem::zeroed() };
        list[0].matches = self.0.matches;
        for part in &mut list[0].matches {
            if let Some(last) = part.substr.last_mut() {
                *last = 0;
            }
        }
        // SAFETY: a list of the kernel's own memory with an empty entry at its end, fields that there are,
        // strings that end, and no callback.
        unsafe { bindings::dmi_check_system(list.as_ptr()) > 0 }
    }
}
