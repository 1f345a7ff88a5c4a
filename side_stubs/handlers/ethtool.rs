// SPDX-License-Identifier: GPL-2.0

//! ethtool: structures and buffers go into the domain for the length of one operation and come
//! back. How long a buffer is, is what the kernel knows from what SIDE told it before, never what
//! the driver says while it is being asked.

use super::net::NetDevice;
use super::net_ops::{answer, Scratch};
use crate::call::{Call, Outcome, Violation};
use crate::side_stubs::packet::status_up_to;
use core::ops::Range;
use core::sync::atomic::Ordering;
use kernel::prelude::*;

/// The longest register dump, EEPROM or list of strings that a driver may announce, in bytes or in
/// entries of 32.
const MAX_LEN: i32 = 1 << 20;
const MAX_STRINGS: i32 = 1 << 14;
/// `ETH_SS_PRIV_FLAGS`.
const PRIVATE_FLAGS: i32 = 2;
/// `ETH_GSTRING_LEN`.
const STRING_LEN: usize = 32;
/// Blinks a second that a driver may ask for.
const MAX_BLINKS: i32 = 50;

/// One argument of an operation after the device.
pub(crate) enum Part<'a> {
    /// A number.
    Word(u64),
    /// Plain data, of which this range comes back.
    Data(&'a mut [u8], Range<usize>),
    /// Plain data that only goes in.
    In(&'a [u8]),
}

impl Part<'_> {
    pub(super) fn bytes(&self) -> &[u8] {
        match self {
            Part::Word(_) => &[],
            Part::Data(bytes, _) => bytes,
            Part::In(bytes) => bytes,
        }
    }

    fn room(&self) -> usize {
        self.bytes().len().div_ceil(64) * 64
    }
}

impl NetDevice {
    /// Calls the operation at byte `slot` of the driver's `ethtool_ops` with `parts`.
    pub(crate) fn ethtool(
        &self,
        slot: usize,
        name: &'static str,
        parts: &mut [Part<'_>],
    ) -> Result<u64> {
        let total: usize = parts.iter().map(Part::room).sum();
        let scratch = Scratch::new(&self.domain, total)?;
        let mut args = [self.handle, 0, 0, 0, 0, 0];
        let mut at = 0;
        for (arg, part) in args[1..].iter_mut().zip(parts.iter()) {
            *arg = match part {
                Part::Word(word) => *word,
                _ => scratch.address + at as u64,
            };
            scratch.write(at, part.bytes())?;
            at += part.room();
        }
        let value = self.operate_ethtool(slot, name, &args[..=parts.len()])?;
        if value as u32 == 0 || name == "set_msglevel" {
            self.note_setting(slot, name, parts);
        }
        let mut at = 0;
        for part in parts {
            let room = part.room();
            if let Part::Data(bytes, range) = part {
                let end = core::cmp::min(range.end, bytes.len());
                if range.start < end {
                    scratch.read(at + range.start, &mut bytes[range.start..end])?;
                }
            }
            at += room;
        }
        Ok(value)
    }

    /// As [`NetDevice::ethtool`] for operations that answer 0 or an error.
    pub(crate) fn ethtool_status(
        &self,
        slot: usize,
        name: &'static str,
        parts: &mut [Part<'_>],
    ) -> i32 {
        answer(self.ethtool(slot, name, parts))
    }

    /// As [`NetDevice::ethtool`] for operations that answer a 32-bit number.
    pub(crate) fn ethtool_number(
        &self,
        slot: usize,
        name: &'static str,
        parts: &mut [Part<'_>],
    ) -> u32 {
        self.ethtool(slot, name, parts).unwrap_or(0) as u32
    }

    /// As [`NetDevice::ethtool`] for operations that answer a length in bytes.
    pub(crate) fn ethtool_length(&self, slot: usize, name: &'static str) -> i32 {
        match self.ethtool(slot, name, &mut []) {
            Ok(value) => status_up_to(value, MAX_LEN),
            Err(_) => 0,
        }
    }

    /// `get_regs_len`, which says how long the buffer of `get_regs` is.
    pub(crate) fn regs_len(&self, slot: usize) -> i32 {
        let len = core::cmp::max(self.ethtool_length(slot, "get_regs_len"), 0);
        self.regs_len.store(len, Ordering::Relaxed);
        len
    }

    /// The length of the buffer that the kernel made after [`NetDevice::regs_len`].
    pub(crate) fn regs_room(&self) -> usize {
        self.regs_len.load(Ordering::Relaxed) as usize
    }

    /// `get_sset_count`, which says how long the buffers of strings and numbers are.
    pub(crate) fn sset_count(&self, slot: usize, set: i32) -> i32 {
        let parts = &mut [Part::Word(u64::from(set as u32))];
        let count = match self.ethtool(slot, "get_sset_count", parts) {
            // The kernel asks for a set only of a driver that has some of it, and warns about none
            // (net/ethtool/ioctl.c); private flags are the bits of a word.
            Ok(value) => match (status_up_to(value, MAX_STRINGS), set) {
                (0, _) => EOPNOTSUPP.to_errno(),
                (count, PRIVATE_FLAGS) => count.min(32),
                (count, _) => count,
            },
            Err(error) => error.to_errno(),
        };
        if let Some(kept) = usize::try_from(set)
            .ok()
            .and_then(|set| self.set_counts.get(set))
        {
            kept.store(core::cmp::max(count, 0), Ordering::Relaxed);
        }
        count
    }

    /// The length of the buffer that the kernel made for the strings of `set`.
    pub(crate) fn strings_room(&self, set: u32) -> usize {
        match self.set_counts.get(set as usize) {
            Some(count) => count.load(Ordering::Relaxed) as usize * STRING_LEN,
            None => 0,
        }
    }

    /// `set_phys_id`: a positive answer is a number of blinks a second.
    pub(crate) fn phys_id(&self, slot: usize, state: u32) -> i32 {
        match self.ethtool(slot, "set_phys_id", &mut [Part::Word(state.into())]) {
            Ok(value) => status_up_to(value, MAX_BLINKS),
            Err(error) => error.to_errno(),
        }
    }
}

/// Ends each of the strings in `bytes[range]`, which are `len` bytes each.
pub(crate) fn end_strings(bytes: &mut [u8], range: Range<usize>, len: usize) {
    if let Some(bytes) = bytes.get_mut(range) {
        for string in bytes.chunks_exact_mut(len) {
            string[len - 1] = 0;
        }
    }
}

/// `ethtool_op_get_ts_info(dev, info)`: software time stamps, no clock.
pub(crate) fn op_get_ts_info(call: &mut Call<'_>) -> Outcome {
    call.domain.net.device(call.arg(0))?;
    // SOF_TIMESTAMPING_TX_SOFTWARE | RX_SOFTWARE | SOFTWARE of include/uapi/linux/net_tstamp.h.
    const SOFTWARE: u32 = 1 << 1 | 1 << 3 | 1 << 4;
    let info = call.arg(1);
    let flags: u32 = call.read(info.wrapping_add(4))?;
    call.write(info.wrapping_add(4), flags | SOFTWARE)?;
    call.write(info.wrapping_add(8), -1i32)?;
    Ok(0)
}

/// `ethtool_op_get_link(dev)`.
pub(crate) fn op_get_link(call: &mut Call<'_>) -> Outcome {
    let device = call.domain.net.device(call.arg(0))?;
    // __LINK_STATE_NOCARRIER of include/linux/netdevice.h.
    Ok(u64::from(device.real.state() & 1 << 2 == 0))
}

/// `ethtool_convert_legacy_u32_to_link_mode(dst, legacy)`: a bitmap of 128 bits.
pub(crate) fn legacy_to_link_mode(call: &mut Call<'_>) -> Outcome {
    call.write(call.arg(0), [u64::from(call.arg(1) as u32), 0])?;
    Ok(0)
}

/// `ethtool_convert_link_mode_to_legacy_u32(legacy, src)`: whether all modes fit.
pub(crate) fn link_mode_to_legacy(call: &mut Call<'_>) -> Outcome {
    let [low, high]: [u64; 2] = call.read(call.arg(1))?;
    call.write(call.arg(0), low as u32)?;
    Ok(u64::from(low >> 32 == 0 && high == 0))
}

/// `dev_get_stats(dev, storage)`: asks the driver again from inside its own call.
pub(crate) fn dev_get_stats(call: &mut Call<'_>) -> Outcome {
    let device = call.domain.net.device(call.arg(0))?;
    let storage = call.arg(1);
    if !device.registered.load(Ordering::Acquire) {
        return Err(Violation::new("device-not-registered", call.arg(0)));
    }
    let stats = device.real.stats();
    call.write(storage, stats)?;
    Ok(storage)
}
