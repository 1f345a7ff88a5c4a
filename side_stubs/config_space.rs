// SPDX-License-Identifier: GPL-2.0

//! Which bits of PCI configuration space a driver may change.
//!
//! A decision only: no `unsafe`, no kernel. Everything that moves or arms the device (BARs, bus
//! mastering, the MSI tables, power, links) has a kernel function that checks it and enters it in
//! the ledger; what is left for plain writes is a short list. Bits outside the list must keep the
//! value that they have.

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

/// Offset of the command register.
pub(crate) const COMMAND: u32 = 0x04;
/// `COMMAND.INTX_DISABLE`, as a byte at `COMMAND + 1`. SIDE masks the line with it at any moment,
/// so a driver that reads and writes back may carry an old value.
const INTX_DISABLE: u8 = 0x04;

/// Bits of the byte at `offset` that a driver may change. `express` is the offset of the PCI
/// Express capability, or 0.
fn changeable(role: Role, express: u32, offset: u32) -> u8 {
    let own = role == Role::Own;
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
    if express == 0 || offset < express {
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
        let mask = changeable(role, express, at);
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
            judge(Role::Own, 0xe0, 4, 2, 0x0107, 0x0007),
            Verdict::Write(0x0007)
        );
        assert_eq!(
            judge(Role::Own, 0xe0, 4, 2, 0x0103, 0x0107),
            Verdict::Refused(0x0004)
        );
        assert_eq!(
            judge(Role::Bridge, 0xe0, 4, 2, 0x0107, 0x0007),
            Verdict::Refused(0x0100)
        );
    }

    #[test]
    fn a_stale_line_mask_is_kept_as_it_is() {
        assert_eq!(
            judge(Role::Own, 0, 4, 2, 0x0507, 0x0007),
            Verdict::Write(0x0407)
        );
    }

    #[test]
    fn bars_and_vectors_never_change() {
        assert_eq!(
            judge(Role::Own, 0xe0, 0x10, 4, 0xfeb0_0000, 0),
            Verdict::Refused(0xfeb0_0000)
        );
        assert_eq!(judge(Role::Own, 0xe0, 0xd4, 4, 1, 1), Verdict::Write(1));
    }

    #[test]
    fn express_words() {
        assert_eq!(
            judge(Role::Own, 0xe0, 0xf0, 2, 0x0043, 0x0040),
            Verdict::Write(0x0040)
        );
        assert_eq!(
            judge(Role::Bridge, 0x40, 0x48, 2, 0x000f, 0x000e),
            Verdict::Write(0x000e)
        );
        assert_eq!(
            judge(Role::Bridge, 0x40, 0x48, 2, 0x000f, 0x0000),
            Verdict::Refused(0x000e)
        );
        assert_eq!(judge(Role::Own, 0, 0xf0, 2, 3, 0), Verdict::Refused(3));
    }
}
