// SPDX-License-Identifier: GPL-2.0

//! What a driver holds of the network stack's own locks: RTNL, and the lock of a `net_device`.
//!
//! A lock is the task's that took it, and goes back with the upcall in which it was taken: nobody else could give it
//! back once the task is gone. In an upcall on top of that one it counts as held by who called. What a dead driver's
//! upcalls have left is given back when all of them are over.

use super::net::{wait_for, NetDevice, State};
use crate::call::Violation;
use crate::domain::Domain;
use crate::sys::{cpu, net};
use crate::tasks::Inside;
use core::sync::atomic::Ordering;
use kernel::prelude::*;
use kernel::sync::Arc;

/// The locks that a task held for the driver when an upcall began in it.
pub(crate) struct Outer<'a> {
    rtnl: bool,
    inside: Option<Inside<'a>>,
    device: bool,
}

impl State {
    /// Takes RTNL for the driver, waiting in a way that ends with the domain.
    pub(crate) fn rtnl_lock(&self, domain: &Arc<Domain>) -> Result<(), Violation> {
        let me = cpu::current_task();
        if self.has_rtnl() {
            return Err(Violation::new("rtnl-held", 0));
        }
        wait_for(domain, "rtnl-timeout", net::rtnl_trylock)?;
        self.rtnl_since.store(cpu::now(), Ordering::Relaxed);
        self.rtnl_holder.store(me, Ordering::Release);
        Ok(())
    }

    /// As [`State::rtnl_lock`] without waiting.
    pub(crate) fn rtnl_trylock(&self) -> bool {
        if !net::rtnl_trylock() {
            return false;
        }
        self.rtnl_since.store(cpu::now(), Ordering::Relaxed);
        self.rtnl_holder
            .store(cpu::current_task(), Ordering::Release);
        true
    }

    /// Gives RTNL back, which the driver must hold.
    pub(crate) fn rtnl_unlock(&self) -> Result<(), Violation> {
        if self.rtnl_holder.load(Ordering::Acquire) != cpu::current_task() {
            return Err(Violation::new("rtnl-not-held", 0));
        }
        self.rtnl_holder.store(0, Ordering::Release);
        self.let_go_of_rtnl();
        Ok(())
    }

    /// Gives RTNL back, and then the devices that were unregistered under it.
    fn let_go_of_rtnl(&self) {
        let leaving = core::mem::take(&mut *self.leaving.lock());
        net::rtnl_unlock();
        drop(leaving);
    }

    /// Whether the running task holds RTNL for the driver.
    pub(crate) fn need_rtnl(&self) -> Result<(), Violation> {
        if self.rtnl_holder.load(Ordering::Acquire) != cpu::current_task() {
            return Err(Violation::new("rtnl-not-held", 0));
        }
        Ok(())
    }

    /// Whether the running task holds RTNL, for the driver or for the stack that called it. That somebody
    /// holds it is not enough: he may let go of it at any time.
    pub(crate) fn has_rtnl(&self) -> bool {
        self.rtnl_holder.load(Ordering::Acquire) == cpu::current_task()
            || self.under_rtnl.has_this()
    }

    /// An upcall begins that may sleep: what its task holds already for the driver is, in it, held by who
    /// called, and not the driver's to give back.
    pub(crate) fn begin_upcall(&self) -> Outer<'_> {
        let me = cpu::current_task();
        let rtnl = self
            .rtnl_holder
            .compare_exchange(me, 0, Ordering::AcqRel, Ordering::Relaxed)
            .is_ok();
        Outer {
            inside: rtnl.then(|| self.under_rtnl.enter()).flatten(),
            rtnl,
            device: self.device_locks.load(Ordering::Acquire) != 0
                && self.devices.any(NetDevice::holds_lock),
        }
    }

    /// Such an upcall ended: the task that took locks in it gives them back, since it may be gone when another
    /// one would. Returns whether there were any.
    pub(crate) fn end_upcall(&self, outer: Outer<'_>) -> bool {
        let me = cpu::current_task();
        let mut left = false;
        if !outer.device && self.device_locks.load(Ordering::Acquire) != 0 {
            left = self.devices.any(NetDevice::unlock);
            while left && self.devices.any(NetDevice::unlock) {}
        }
        drop(outer.inside);
        if outer.rtnl {
            self.rtnl_holder.store(me, Ordering::Release);
        } else if self.rtnl_unlock().is_ok() {
            left = true;
        }
        left
    }

    /// Refuses what makes the PCI core take locks that the running task may hold: a device goes, and its
    /// interfaces with it.
    pub(crate) fn refuse_locked(&self, value: u64) -> Result<(), Violation> {
        if self.has_rtnl() {
            return Err(Violation::new("rtnl-held", value));
        }
        match self.devices.any(NetDevice::holds_lock) {
            true => Err(Violation::new("netdev-lock-held", value)),
            false => Ok(()),
        }
    }

    /// Gives back the kernel's locks that upcalls which are over have left held. An upcall that is
    /// still on its way out may be inside the kernel under such a lock, so all must have left.
    pub(super) fn drop_locks(&self, domain: &Arc<Domain>) {
        for (_, device) in self.devices.iter() {
            if device.lock_holder.load(Ordering::Acquire) != 0 {
                wait_for_all(domain);
                if device.lock_holder.swap(0, Ordering::AcqRel) != 0 {
                    self.device_locks.fetch_sub(1, Ordering::AcqRel);
                    device.real.unlock();
                }
            }
        }
        if self.rtnl_holder.load(Ordering::Acquire) != 0 {
            wait_for_all(domain);
            if self.rtnl_holder.swap(0, Ordering::AcqRel) != 0 {
                self.let_go_of_rtnl();
            }
        }
    }
}

/// Waits until no upcall of the domain is in progress.
fn wait_for_all(domain: &Arc<Domain>) {
    while domain.active() > 0 {
        cpu::kick_all();
        cpu::sleep_ms(1);
    }
}

impl NetDevice {
    /// Takes the real `net_device.lock` for the driver, if it is free.
    pub(crate) fn try_lock(&self) -> bool {
        if !self.real.try_lock() {
            return false;
        }
        self.lock_since.store(cpu::now(), Ordering::Relaxed);
        self.domain.net.device_locks.fetch_add(1, Ordering::AcqRel);
        self.lock_holder
            .store(cpu::current_task(), Ordering::SeqCst);
        // Whoever frees it takes it out of the table first, and looks at the holder then. Nobody would find it there
        // to give the lock back.
        if self.domain.net.devices.get(self.handle).is_none() {
            self.unlock();
            return false;
        }
        true
    }

    /// Gives the lock back. Returns whether the running task held it for the driver.
    pub(crate) fn unlock(&self) -> bool {
        if !self.holds_lock() {
            return false;
        }
        self.lock_holder.store(0, Ordering::Release);
        self.domain.net.device_locks.fetch_sub(1, Ordering::AcqRel);
        self.real.unlock();
        true
    }

    /// Whether the running task holds the lock for the driver.
    pub(crate) fn holds_lock(&self) -> bool {
        self.lock_holder.load(Ordering::Acquire) == cpu::current_task()
    }
}
