// SPDX-License-Identifier: GPL-2.0

//! Mutexes that lie in the driver's memory.
//!
//! Who holds one is kept in the kernel; the driver's own words are only told whether it is held,
//! for code that looks at them in place. A wait ends with the domain, so a driver that never
//! unlocks cannot leave a task that nobody can kill. The `lock` of a shadow net_device is the
//! kernel's mutex and is taken there.

use super::wait;
use crate::call::{Call, Outcome, Violation};
use crate::domain::Domain;
use crate::sys::cpu;
use crate::sys::lock::BhLock;
use kernel::alloc::flags::GFP_ATOMIC;
use kernel::prelude::*;
use kernel::rbtree::RBTree;
use kernel::sync::Arc;

/// Mutexes that one driver may hold at once.
const MOST: usize = 256;

/// The mutexes of a domain that are held, with the task that holds each.
pub(crate) struct State {
    held: BhLock<RBTree<u64, usize>>,
}

/// The kernel locks that the domain holds through a shadow.
enum Taken {
    Now,
    Busy,
    Own,
}

impl State {
    pub(crate) fn new() -> Self {
        State {
            held: BhLock::new(RBTree::new()),
        }
    }

    fn try_take(&self, address: u64) -> Result<Taken, Violation> {
        let task = cpu::current_task();
        let mut held = self.held.lock();
        match held.get(&address) {
            Some(owner) if *owner == task => Ok(Taken::Own),
            Some(_) => Ok(Taken::Busy),
            None if held.keys().count() >= MOST => Err(Violation::new("too-many-mutexes", address)),
            None => held
                .try_create_and_insert(address, task, GFP_ATOMIC)
                .map(|_| Taken::Now)
                .map_err(|_| Violation::new("out-of-memory", address)),
        }
    }

    /// Forgets all mutexes: their memory goes with the domain. Idempotent.
    pub(crate) fn release(&self, _domain: &Arc<Domain>) {
        let old = core::mem::take(&mut *self.held.lock());
        drop(old);
    }
}

fn show(call: &Call<'_>, held: bool) -> Result<(), Violation> {
    // `owner` is the first word of struct mutex (include/linux/mutex_types.h).
    call.write(call.arg(0), u64::from(held) << 4)
}

/// `mutex_lock` and its interruptible forms, which here are interrupted by nothing but death.
pub(crate) fn mutex_lock(call: &mut Call<'_>) -> Outcome {
    let address = call.arg(0);
    if let Some(device) = call.domain.net.lock_of(address) {
        wait::until(call, "mutex-wait-too-long", address, || {
            Ok(device.try_lock())
        })?;
        return Ok(0);
    }
    wait::until(call, "mutex-wait-too-long", address, || {
        match call.domain.lock.try_take(address)? {
            Taken::Now => Ok(true),
            Taken::Busy => Ok(false),
            Taken::Own => Err(Violation::new("mutex-deadlock", address)),
        }
    })?;
    show(call, true)?;
    Ok(0)
}

/// `mutex_trylock`: 1 if taken.
pub(crate) fn mutex_trylock(call: &mut Call<'_>) -> Outcome {
    let address = call.arg(0);
    if let Some(device) = call.domain.net.lock_of(address) {
        return Ok(u64::from(device.try_lock()));
    }
    match call.domain.lock.try_take(address)? {
        Taken::Now => {
            show(call, true)?;
            Ok(1)
        }
        Taken::Busy | Taken::Own => Ok(0),
    }
}

/// `mutex_unlock`, by the task that locked it only.
pub(crate) fn mutex_unlock(call: &mut Call<'_>) -> Outcome {
    let address = call.arg(0);
    if let Some(device) = call.domain.net.lock_of(address) {
        return match device.unlock() {
            true => Ok(0),
            false => Err(Violation::new("mutex-not-owner", address)),
        };
    }
    let owner = call.domain.lock.held.lock().get(&address).copied();
    if owner != Some(cpu::current_task()) {
        return Err(Violation::new("mutex-not-owner", address));
    }
    // Before another task can take it and show that.
    show(call, false)?;
    call.domain.lock.held.lock().remove(&address);
    Ok(0)
}

/// `mutex_is_locked`.
pub(crate) fn mutex_is_locked(call: &mut Call<'_>) -> Outcome {
    let held = call.domain.lock.held.lock();
    Ok(u64::from(held.get(&call.arg(0)).is_some()))
}

/// `__mutex_init`: one that is held cannot be made anew.
pub(crate) fn mutex_init(call: &mut Call<'_>) -> Outcome {
    let address = call.arg(0);
    if call.domain.lock.held.lock().get(&address).is_some() {
        return Err(Violation::new("mutex-init-held", address));
    }
    call.domain.memory.fill(address, 0, 32)?;
    Ok(0)
}
