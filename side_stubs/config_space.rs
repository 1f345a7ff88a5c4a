// SPDX-License-Identifier: GPL-2.0

//! Which bits of PCI configuration space a driver may change.
//!
//! A decision only: no `unsafe`, no kernel. Everything that moves or arms the device (BARs, bus
//! mastering, the MSI tables, power, links) has a kernel function that checks it and enters it in
//! the ledger; what is left for plain writes is a short list, and the registers of the device's own
//! that lie between its capabilities (PCI Local Bus Specification 3.0, section 6.1: the
//! device-dependent region), with which it is driven as with those in its BARs. Bits outside the
//! list must keep the value that they have.

/// What the device is to the driver.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Role {
    /// The device that the driver is bound to.
    Own,
    /// The bridge above it.
    Bridge,
}

/// What a write amounts to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Verdict {
    /// Write this value.
    Write(u32),
    /// The write would change bits that the driver may not change: these.
    Refused(u32),
}

/// The bytes of a device's standard configuration space, one bit each.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Bytes([u64; 4]);

/// Where the device-dependent region begins and ends.
const REGION: u32 = 0x40;
const REGION_END: u32 = 0x100;
/// Capabilities at most: one each four bytes.
const CAPABILITIES: usize = ((REGION_END - REGION) / 4) as usize;

impl Bytes {
    /// No byte at all.
    pub(crate) const NONE: Bytes = Bytes([0; 4]);

    fn has(&self, at: u32) -> bool {
        at < REGION_END && self.0[at as usize / 64] & (1 << (at % 64)) != 0
    }

    fn set(&mut self, at: u32, to: bool) {
        if at < REGION_END {
            let bit = 1 << (at % 64);
            let word = &mut self.0[at as usize / 64];
            *word = if to { *word | bit } else { *word & !bit };
        }
    }
}

/// Length in bytes of the capability `id` (`PCI_CAP_ID_*`) at `at`; of one that is not known the rest
/// of the space.
fn capability_length(id: u8, at: u32, read: &impl Fn(u32) -> Option<u8>) -> Option<u32> {
    Some(match id {
        // Power management, vital product data, subsystem id, SATA.
        0x01 | 0x03 | 0x0d | 0x12 => 8,
        // MSI: with 64 bits of address, with a mask for each vector.
        0x05 => {
            let wide = if read(at + 2)? & 0x80 != 0 { 4 } else { 0 };
            let masks = if read(at + 3)? & 0x01 != 0 { 10 } else { 0 };
            10 + wide + masks
        }
        // PCI-X, with the registers of its second version.
        0x07 => 24,
        // A vendor's own says how long it is.
        0x09 => u32::from(read(at + 2)?).max(3),
        // PCI Express.
        0x10 => 0x3c,
        // MSI-X.
        0x11 => 12,
        // Advanced features.
        0x13 => 6,
        _ => REGION_END - at,
    })
}

/// The bytes behind the header of an ordinary device that none of its capabilities covers. `read` reads
/// a byte of the configuration space. If it cannot be read there are none.
pub(crate) fn device_dependent(read: impl Fn(u32) -> Option<u8>) -> Bytes {
    let walk = || {
        let mut free = Bytes::NONE;
        // HEADER_TYPE: of a bridge the region means something else.
        if read(0x0e)? & 0x7f != 0 {
            return None;
        }
        (REGION..REGION_END).for_each(|at| free.set(at, true));
        // STATUS.CAP_LIST, CAPABILITY_LIST.
        let mut at = match read(0x06)? & 0x10 {
            0 => 0,
            _ => u32::from(read(0x34)? & !3),
        };
        for _ in 0..CAPABILITIES {
            if at < REGION {
                return Some(free);
            }
            let length = capability_length(read(at)?, at, &read)?;
            (at..at + length).for_each(|byte| free.set(byte, false));
            at = u32::from(read(at + 1)? & !3);
        }
        // The list runs in a circle.
        None
    };
    walk().unwrap_or(Bytes::NONE)
}

/// Offset of the command register.
pub(crate) const COMMAND: u32 = 0x04;
/// `COMMAND.INTX_DISABLE`, as a byte at `COMMAND + 1`. SIDE masks the line with it at any moment,
/// so a driver that reads and writes back may carry an old value.
const INTX_DISABLE: u8 = 0x04;

/// Bits of the byte at `offset` that a driver may change. `express` is the offset of the PCI
/// Express capability, or 0; `free` what [`device_dependent`] found.
fn changeable(role: Role, express: u32, free: &Bytes, offset: u32) -> u8 {
    let own = role == Role::Own;
    if own && free.has(offset) {
        return 0xff;
    }
    if own {
        match offset {
            // COMMAND: PARITY; SERR.
            0x04 => return 0x40,
            0x05 => return 0x01,
            // STATUS: error bits, which a write of ones clears.
            0x06 => return 0x00,
            0x07 => return 0xf9,
            // CACHE_LINE_SIZE, LATENCY_TIMER.
            0x0c | 0x0d => return 0xff,
            _ => {}
        }
    }
    // Behind the standard space are other capabilities, also where this one would reach so far.
    if express == 0 || offset < express || offset >= REGION_END {
        return 0;
    }
    match offset - express {
        // DEVCTL: error reporting and relaxed ordering; of a bridge correctable errors only.
        0x08 => {
            if own {
                0x1f
            } else {
                0x01
            }
        }
        // DEVCTL: no-snoop.
        0x09 if own => 0x08,
        // DEVSTA: cleared by ones.
        0x0a if own => 0x0f,
        // LNKCTL: ASPM.
        0x10 => 0x03,
        // LNKCTL: clock power management.
        0x11 if own => 0x01,
        // DEVCTL2: completion timeout.
        0x28 if own => 0x1f,
        _ => 0,
    }
}

/// Judges the write of `new` (`size` bytes) at `offset`, where `old` was read just before.
pub(crate) fn judge(
    role: Role,
    express: u32,
    free: &Bytes,
    offset: u32,
    size: usize,
    old: u32,
    new: u32,
) -> Verdict {
    let mut value = 0;
    let mut refused = 0;
    for n in 0..size as u32 {
        let at = offset.wrapping_add(n);
        let (old, new) = ((old >> (8 * n)) as u8, (new >> (8 * n)) as u8);
        let mask = changeable(role, express, free, at);
        let ignored = if role == Role::Own && at == COMMAND + 1 {
            INTX_DISABLE
        } else {
            0
        };
        refused |= u32::from((old ^ new) & !mask & !ignored) << (8 * n);
        value |= u32::from((old & !mask) | (new & mask)) << (8 * n);
    }
    match refused {
        0 => Verdict::Write(value),
        bits => Verdict::Refused(bits),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn serr_may_change_and_bus_mastering_may_not() {
        assert_eq!(
            judge(Role::Own, 0xe0, &Bytes::NONE, 4, 2, 0x0107, 0x0007),
            Verdict::Write(0x0007)
        );
        assert_eq!(
            judge(Role::Own, 0xe0, &Bytes::NONE, 4, 2, 0x0103, 0x0107),
            Verdict::Refused(0x0004)
        );
        assert_eq!(
            judge(Role::Bridge, 0xe0, &Bytes::NONE, 4, 2, 0x0107, 0x0007),
            Verdict::Refused(0x0100)
        );
    }

    #[test]
    fn a_stale_line_mask_is_kept_as_it_is() {
        assert_eq!(
            judge(Role::Own, 0, &Bytes::NONE, 4, 2, 0x0507, 0x0007),
            Verdict::Write(0x0407)
        );
    }

    #[test]
    fn bars_and_vectors_never_change() {
        assert_eq!(
            judge(Role::Own, 0xe0, &Bytes::NONE, 0x10, 4, 0xfeb0_0000, 0),
            Verdict::Refused(0xfeb0_0000)
        );
        assert_eq!(
            judge(Role::Own, 0xe0, &Bytes::NONE, 0xd4, 4, 1, 1),
            Verdict::Write(1)
        );
    }

    #[test]
    fn express_words() {
        assert_eq!(
            judge(Role::Own, 0xe0, &Bytes::NONE, 0xf0, 2, 0x0043, 0x0040),
            Verdict::Write(0x0040)
        );
        assert_eq!(
            judge(Role::Bridge, 0x40, &Bytes::NONE, 0x48, 2, 0x000f, 0x000e),
            Verdict::Write(0x000e)
        );
        assert_eq!(
            judge(Role::Bridge, 0x40, &Bytes::NONE, 0x48, 2, 0x000f, 0x0000),
            Verdict::Refused(0x000e)
        );
        assert_eq!(
            judge(Role::Own, 0, &Bytes::NONE, 0xf0, 2, 3, 0),
            Verdict::Refused(3)
        );
    }

    #[test]
    fn extended_capabilities_are_not_the_end_of_express() {
        // Of a capability at 0xe0, DEVCTL2 would be at 0x108, where AER has its mask.
        let extended = |at, old, new| judge(Role::Own, 0xe0, &Bytes::NONE, at, 4, old, new);
        assert_eq!(extended(0x108, 0, 0x10), Verdict::Refused(0x10));
        assert_eq!(
            judge(Role::Own, 0xc0, &Bytes::NONE, 0xe8, 2, 0, 0x10),
            Verdict::Write(0x10)
        );
    }

    /// A configuration space of 256 bytes with these capabilities, each a place, an id and what follows
    /// the link.
    fn space(capabilities: &[(u8, u8, &[u8])]) -> [u8; 256] {
        let mut bytes = [0; 256];
        let mut link = 0x34;
        for &(at, id, rest) in capabilities {
            bytes[6] = 0x10;
            bytes[link] = at;
            bytes[usize::from(at)] = id;
            bytes[usize::from(at) + 2..][..rest.len()].copy_from_slice(rest);
            link = usize::from(at) + 1;
        }
        bytes
    }

    fn free(bytes: &[u8; 256]) -> Bytes {
        device_dependent(|at| bytes.get(at as usize).copied())
    }

    fn ranges(free: &Bytes) -> Vec<(u32, u32)> {
        let mut ranges: Vec<(u32, u32)> = Vec::new();
        for at in (0..300).filter(|at| free.has(*at)) {
            match ranges.last_mut() {
                Some(last) if last.1 == at => last.1 = at + 1,
                _ => ranges.push((at, at + 1)),
            }
        }
        ranges
    }

    #[test]
    fn what_no_capability_covers_is_the_devices_own() {
        assert_eq!(ranges(&free(&space(&[]))), [(0x40, 0x100)]);
        // As the 82574L: power management, MSI with 64 bits, Express, MSI-X.
        let card = space(&[
            (0xc8, 0x01, &[]),
            (0xd0, 0x05, &[0x80, 0x00]),
            (0xe0, 0x10, &[]),
            (0xa0, 0x11, &[]),
        ]);
        assert_eq!(
            ranges(&free(&card)),
            [(0x40, 0xa0), (0xac, 0xc8), (0xde, 0xe0)]
        );
        // With masks; of a vendor's own, which says its length; one that is not known.
        let card = space(&[
            (0x50, 0x05, &[0x80, 0x01]),
            (0x80, 0x09, &[0x10]),
            (0xc0, 0x0f, &[]),
        ]);
        assert_eq!(
            ranges(&free(&card)),
            [(0x40, 0x50), (0x68, 0x80), (0x90, 0xc0)]
        );
    }

    #[test]
    fn nothing_is_free_where_the_list_cannot_be_followed() {
        let mut circle = space(&[(0x50, 0x01, &[]), (0x60, 0x01, &[])]);
        circle[0x61] = 0x50;
        assert_eq!(free(&circle), Bytes::NONE);
        let mut bridge = space(&[]);
        bridge[0x0e] = 0x81;
        assert_eq!(free(&bridge), Bytes::NONE);
        assert_eq!(device_dependent(|_| None), Bytes::NONE);
        assert_eq!(device_dependent(|at| Some(at as u8)), Bytes::NONE);
    }

    #[test]
    fn own_registers_change_as_a_whole_and_their_neighbours_do_not() {
        let free = free(&space(&[(0x50, 0x05, &[])]));
        let own = |at, old, new| judge(Role::Own, 0, &free, at, 4, old, new);
        assert_eq!(own(0x40, 0, 0x8000_0001), Verdict::Write(0x8000_0001));
        // MSI's data end in the middle of this word.
        assert_eq!(own(0x58, 0, 0x0001_0001), Verdict::Refused(1));
        assert_eq!(own(0x5c, 1, 2), Verdict::Write(2));
        assert_eq!(own(0x3c, 1, 2), Verdict::Refused(3));
        assert_eq!(own(0x100, 1, 2), Verdict::Refused(3));
        assert_eq!(
            judge(Role::Bridge, 0, &free, 0x40, 4, 0, 1),
            Verdict::Refused(1)
        );
    }
}
