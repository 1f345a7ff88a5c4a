// SPDX-License-Identifier: GPL-2.0

//! The I/O ports of a domain: those of its own devices' I/O BARs that the driver has claimed.
//!
//! `in` and `out` trap in ring 3. The fault handler asks here, and the access is made while the
//! table is locked, so that no port is touched after its range was taken back.

use crate::sys::lock::BhLock;
use crate::sys::port;
use kernel::alloc::flags::GFP_ATOMIC;
use kernel::prelude::*;

/// A range of ports, both ends inclusive.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Range {
    first: u16,
    last: u16,
    /// The device has left its bus: reads give all ones, writes go nowhere.
    gone: bool,
}

/// The ports that a domain owns at this moment.
pub(crate) struct Ports {
    ranges: BhLock<KVec<Range>>,
}

/// The range in which the `size` ports from `port` on lie.
fn find(ranges: &[Range], port: u16, size: u8) -> Option<Range> {
    let last = port.checked_add(u16::from(size.max(1)) - 1)?;
    ranges
        .iter()
        .copied()
        .find(|range| range.first <= port && last <= range.last)
}

impl Ports {
    /// No ports.
    pub(crate) const fn new() -> Self {
        Ports {
            ranges: BhLock::new(KVec::new()),
        }
    }

    /// Grants the ports `[first, last]`. The caller has checked that they are an I/O BAR, or a part
    /// of one, of a device of the domain. Granting a range twice changes nothing. Errors: ERANGE
    /// beyond the 64 Ki ports that the processor has, ENOMEM. Any context but hard interrupts.
    pub(crate) fn grant(&self, first: u64, last: u64) -> Result {
        let range = Range {
            first: u16::try_from(first).map_err(|_| ERANGE)?,
            last: u16::try_from(last).map_err(|_| ERANGE)?,
            gone: false,
        };
        let mut ranges = self.ranges.lock();
        if !ranges.contains(&range) {
            ranges.push(range, GFP_ATOMIC)?;
        }
        Ok(())
    }

    /// Takes back every range within `[first, last]`: the driver released the region, or its device
    /// is silenced. Any context but hard interrupts.
    pub(crate) fn revoke(&self, first: u64, last: u64) {
        self.ranges
            .lock()
            .retain(|range| u64::from(range.first) < first || u64::from(range.last) > last);
    }

    /// Lets every range within `[first, last]` read as all ones: the device has left its bus, and
    /// its ports may become another's. Any context but hard interrupts.
    pub(crate) fn vanish(&self, first: u64, last: u64) {
        for range in self.ranges.lock().iter_mut() {
            range.gone |= u64::from(range.first) >= first && u64::from(range.last) <= last;
        }
    }

    /// Whether the `size` ports from `port` on are the domain's.
    pub(crate) fn owns(&self, port: u16, size: u8) -> bool {
        find(&self.ranges.lock(), port, size).is_some()
    }

    /// Reads `size` bytes (1, 2 or 4) at `port`, if it is the domain's.
    pub(crate) fn read(&self, port: u16, size: u8) -> Option<u32> {
        let ranges = self.ranges.lock();
        match find(&ranges, port, size)?.gone {
            true => Some(u32::MAX),
            false => Some(port::read(port, size)),
        }
    }

    /// Writes `size` bytes (1, 2 or 4) at `port`, if it is the domain's; says whether it is.
    pub(crate) fn write(&self, port: u16, size: u8, value: u32) -> bool {
        let ranges = self.ranges.lock();
        let Some(range) = find(&ranges, port, size) else {
            return false;
        };
        if !range.gone {
            port::write(port, size, value);
        }
        true
    }
}
