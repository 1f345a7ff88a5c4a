// SPDX-License-Identifier: GPL-2.0

//! What happens when the stack calls an operation of a network device: the shadow is brought up to
//! date, arguments are copied into the domain, the driver is called, and what it answered is
//! checked and carried back. When the domain is dead each operation has a harmless answer.

use super::ethtool::Part;
use super::net::NetDevice;
use crate::call::Violation;
use crate::domain::Domain;
use crate::run::Context;
use crate::side_stubs::packet::status;
use crate::sys::cpu;
use crate::sys::net::STATS_WORDS;
use crate::sys::net_layout::*;
use core::sync::atomic::Ordering;
use kernel::prelude::*;

/// Memory of the domain for the length of one operation, zeroed.
pub(crate) struct Scratch<'a> {
    domain: &'a Domain,
    /// Where it begins.
    pub(crate) address: u64,
}

impl<'a> Scratch<'a> {
    /// Takes `len` bytes.
    pub(crate) fn new(domain: &'a Domain, len: usize) -> Result<Self> {
        let address = match len {
            0..=0x4000 => domain.memory.alloc(core::cmp::max(len as u64, 8))?,
            _ => domain.memory.alloc_virtual(len as u64)?,
        };
        Ok(Scratch { domain, address })
    }

    /// Writes `bytes` at `offset`.
    pub(crate) fn write(&self, offset: usize, bytes: &[u8]) -> Result {
        let at = self.address + offset as u64;
        self.domain
            .memory
            .write_bytes(at, bytes)
            .map_err(|_| EFAULT)
    }

    /// Reads `bytes` from `offset`, once.
    pub(crate) fn read(&self, offset: usize, bytes: &mut [u8]) -> Result {
        let at = self.address + offset as u64;
        self.domain.memory.read_bytes(at, bytes).map_err(|_| EFAULT)
    }
}

impl Drop for Scratch<'_> {
    fn drop(&mut self) {
        let _ = self.domain.memory.free(self.address);
    }
}

/// The answer of an operation as the kernel's `int`.
pub(crate) fn answer(result: Result<u64>) -> i32 {
    match result {
        Ok(value) => status(value),
        Err(error) => error.to_errno(),
    }
}

impl NetDevice {
    /// An operation that takes numbers only and may sleep.
    pub(crate) fn simple(&self, slot: usize, name: &'static str, args: &[u64]) -> i32 {
        let mut all = [self.handle, 0, 0, 0];
        all[1..=args.len()].copy_from_slice(args);
        answer(self.operate(slot, name, &all[..=args.len()], Context::Process))
    }

    /// As [`NetDevice::simple`] where sleeping is not allowed and nothing is answered.
    pub(crate) fn simple_atomic(&self, slot: usize, name: &'static str, args: &[u64]) {
        let mut all = [self.handle, 0, 0, 0];
        all[1..=args.len()].copy_from_slice(args);
        let _ = self.operate(slot, name, &all[..=args.len()], Context::Atomic);
    }

    /// `ndo_open`.
    pub(crate) fn open(&self, slot: usize) -> i32 {
        let result = self.simple(slot, "ndo_open", &[]);
        if result != 0 && self.domain.is_dead() {
            if self.is_recovering() {
                // The next driver opens whatever is up.
                self.real.stop_all_queues();
                return 0;
            }
            self.force_stop();
        }
        result
    }

    /// `ndo_stop`. The interface goes down whatever the driver says.
    pub(crate) fn stop(&self, slot: usize) -> i32 {
        self.hand_over_all();
        self.stopping.store(true, Ordering::Release);
        let result = self.simple(slot, "ndo_stop", &[]);
        self.stopping.store(false, Ordering::Release);
        if self.domain.is_dead() {
            self.force_stop();
            return 0;
        }
        result
    }

    /// `ndo_set_rx_mode`: the lock of the address lists is held.
    pub(crate) fn set_rx_mode(&self, slot: usize) {
        self.sync_in();
        if self.domain.is_dead() || cpu::irqs_disabled() || self.show_lists().is_err() {
            return;
        }
        self.simple_atomic(slot, "ndo_set_rx_mode", &[]);
    }

    /// `ndo_set_mac_address` with a `struct sockaddr_storage`'s first bytes.
    pub(crate) fn set_mac(&self, slot: usize, address: &[u8]) -> i32 {
        let Ok(scratch) = Scratch::new(&self.domain, 128) else {
            return ENOMEM.to_errno();
        };
        if let Err(error) = scratch.write(0, address) {
            return error.to_errno();
        }
        self.simple(slot, "ndo_set_mac_address", &[scratch.address])
    }

    /// `ndo_change_mtu`: the driver sets the field itself.
    pub(crate) fn change_mtu(&self, slot: usize, mtu: i32) -> i32 {
        let result = self.simple(slot, "ndo_change_mtu", &[u64::from(mtu as u32)]);
        if result == 0 {
            let shadow = self.domain.memory.read::<u32>(self.handle + DEVICE_MTU);
            // The driver's own idea counts only if it is the one that was asked for.
            let new = mtu as u32;
            self.real.set_mtu(new);
            if shadow.is_ok_and(|shadow| shadow == new) {
                self.note_shown(None, Some(new));
                return 0;
            }
        }
        self.show_again();
        result
    }

    /// `ndo_tx_timeout`: the driver is to repair a queue that stands still. One that is asked several
    /// times over and sends nothing in between, or its device, is stuck.
    pub(crate) fn tx_timeout(&self, slot: usize, queue: u32) {
        let bound = self.domain.driver().map_or(0, |d| d.limits().stalls);
        let sent = self.sent_some.swap(false, Ordering::Relaxed);
        let found = self.stalls.lock().found(cpu::now(), sent, bound);
        if let Some(stalls) = found {
            let violation = Violation::new("transmit-stall", stalls);
            return self.domain.breach("ndo_tx_timeout", violation);
        }
        self.simple_atomic(slot, "ndo_tx_timeout", &[queue.into()]);
    }

    /// `ndo_vlan_rx_add_vid` and, with `add` false, `ndo_vlan_rx_kill_vid`. What is filtered for is
    /// remembered for the next driver, which a dead one leaves it to.
    pub(crate) fn vlan(&self, slot: usize, add: bool, protocol: u16, vid: u16) -> i32 {
        let name = match add {
            true => "ndo_vlan_rx_add_vid",
            false => "ndo_vlan_rx_kill_vid",
        };
        let result = self.simple(slot, name, &[protocol.into(), vid.into()]);
        let dead = self.domain.is_dead();
        let result = match dead && (!add || self.is_recovering()) {
            // An error about a filter that is gone anyway would only be complained about.
            true => 0,
            false => result,
        };
        if result == 0 {
            return self.note_vlan(add, protocol, vid);
        }
        result
    }

    /// `ndo_fix_features`: a driver may take features away, not add any.
    pub(crate) fn fix_features(&self, slot: usize, features: u64) -> u64 {
        let args = [self.handle, features];
        match self.operate(slot, "ndo_fix_features", &args, Context::Process) {
            Ok(value) => value & (features | self.real.hw_features()) & self.offered(),
            Err(_) => features,
        }
    }

    /// `ndo_set_features`: 0 lets the kernel set the field; a positive answer says that the driver
    /// did.
    pub(crate) fn set_features(&self, slot: usize, features: u64) -> i32 {
        let args = [self.handle, features];
        let result = self.operate(slot, "ndo_set_features", &args, Context::Process);
        match result {
            Ok(value) if value as u32 as i32 > 0 => {
                let shadow = self
                    .domain
                    .memory
                    .read::<u64>(self.handle + DEVICE_FEATURES);
                let changeable = self.real.hw_features();
                let now = match shadow {
                    Ok(shadow) => features & !changeable | shadow & changeable,
                    Err(_) => features,
                };
                self.real.set_features(now);
                self.note_shown(Some(now), None);
                1
            }
            other => {
                let result = answer(other);
                self.show_again();
                result
            }
        }
    }

    /// The counters: of `ndo_get_stats64`, `ndo_get_stats` or the `net_device` itself, in the order
    /// in which the kernel prefers them. In an atomic context; when the driver cannot be asked, what
    /// it last said.
    pub(crate) fn stats64(&self) -> [u64; STATS_WORDS] {
        let asked = self.ask_stats64().or_else(|error| match error {
            EOPNOTSUPP => self.ask_stats(),
            error => Err(error),
        });
        let mut last = self.last_stats.lock();
        if let Ok(mut stats) = asked {
            for (value, before) in stats.iter_mut().zip(*self.base.lock()) {
                *value = value.wrapping_add(before);
            }
            *last = stats;
        }
        *last
    }

    fn ask_stats64(&self) -> Result<[u64; STATS_WORDS]> {
        let scratch = Scratch::new(&self.domain, STATS_WORDS * 8)?;
        let args = [self.handle, scratch.address];
        self.operate(NDO_GET_STATS64, "ndo_get_stats64", &args, Context::Atomic)?;
        self.domain.memory.read(scratch.address).map_err(|_| EFAULT)
    }

    /// The counters of a driver that keeps a `struct net_device_stats`.
    fn ask_stats(&self) -> Result<[u64; STATS_WORDS]> {
        let name = "ndo_get_stats";
        let at = match self.operate(NDO_GET_STATS, name, &[self.handle], Context::Atomic) {
            Err(EOPNOTSUPP) => self.handle + DEVICE_STATS,
            answer => answer?,
        };
        let short: [u64; OLD_STATS_WORDS] = self.domain.memory.read(at).map_err(|_| EFAULT)?;
        let mut stats = [0; STATS_WORDS];
        stats[..OLD_STATS_WORDS].copy_from_slice(&short);
        Ok(stats)
    }

    /// An operation with one structure that goes in and, where it succeeds, comes back.
    pub(crate) fn with_structure(
        &self,
        slot: usize,
        name: &'static str,
        bytes: &mut [u8],
        after: &[u64],
    ) -> i32 {
        let Ok(scratch) = Scratch::new(&self.domain, bytes.len()) else {
            return ENOMEM.to_errno();
        };
        if let Err(error) = scratch.write(0, bytes) {
            return error.to_errno();
        }
        let mut args = [0; 2];
        args[0] = scratch.address;
        args[1..=after.len()].copy_from_slice(after);
        let result = self.simple(slot, name, &args[..=after.len()]);
        if result == 0 {
            self.note_setting(slot, name, &[Part::In(&*bytes), Part::Word(0)]);
        }
        match scratch.read(0, bytes) {
            Ok(()) => result,
            Err(error) => error.to_errno(),
        }
    }
}
