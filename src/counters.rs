// SPDX-License-Identifier: GPL-2.0

//! Counters of upcalls and the ring of recent crossings, which reports print after a failure.

use crate::sys::lock::BhLock;
use kernel::alloc::flags::GFP_ATOMIC;
use kernel::prelude::*;

/// Upcalls by name.
pub(crate) struct Upcalls {
    counts: BhLock<KVec<(&'static str, u64)>>,
}

impl Upcalls {
    pub(crate) const fn new() -> Self {
        Upcalls {
            counts: BhLock::new(KVec::new()),
        }
    }

    /// Counts one upcall.
    pub(crate) fn count(&self, name: &'static str) {
        let mut counts = self.counts.lock();
        for entry in counts.iter_mut() {
            // Names are literals: the same pointer in nearly all cases.
            if core::ptr::eq(entry.0, name) || entry.0 == name {
                entry.1 += 1;
                return;
            }
        }
        // Without memory the count begins later; nothing depends on it.
        let _ = counts.push((name, 1), GFP_ATOMIC);
    }

    /// Calls `f` for each upcall that happened, with its count.
    pub(crate) fn each(&self, mut f: impl FnMut(&'static str, u64)) {
        for (name, count) in self.counts.lock().iter() {
            f(name, *count);
        }
    }
}

/// One crossing of the ring.
#[derive(Clone, Copy)]
pub(crate) enum Crossing {
    /// Nothing yet.
    None,
    /// The kernel called the driver: name, first argument.
    Upcall(&'static str, u64),
    /// The driver called the kernel: symbol, first two arguments.
    Import(&'static str, u64, u64),
}

const RECENT: usize = 32;

/// The last crossings of a domain, oldest overwritten first.
pub(crate) struct Recent {
    ring: BhLock<([Crossing; RECENT], usize)>,
}

impl Recent {
    pub(crate) const fn new() -> Self {
        Recent {
            ring: BhLock::new(([Crossing::None; RECENT], 0)),
        }
    }

    /// Notes a crossing.
    pub(crate) fn push(&self, crossing: Crossing) {
        let mut ring = self.ring.lock();
        let at = ring.1 % RECENT;
        ring.0[at] = crossing;
        ring.1 += 1;
    }

    /// Calls `f` for each crossing, oldest first.
    pub(crate) fn each(&self, mut f: impl FnMut(&Crossing)) {
        let ring = self.ring.lock();
        for n in 0..RECENT {
            match &ring.0[(ring.1 + n) % RECENT] {
                Crossing::None => {}
                crossing => f(crossing),
            }
        }
    }
}
