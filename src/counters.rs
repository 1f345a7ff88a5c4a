// SPDX-License-Identifier: GPL-2.0

//! Counters of upcalls and the ring of recent crossings, which reports print after a failure.
//!
//! Both are written at every crossing on every CPU, so neither takes a lock. A reader may see a
//! count that is about to change, or of an entry that is just being overwritten the old arguments.

use crate::fault_handler::ring::{Crossing, What};
use crate::side_stubs::table;
use crate::sys::cpu;
use crate::sys::once::SetOnce;
use core::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use kernel::prelude::*;

/// Kinds of upcalls that are told apart; more share the last slot's count.
const NAMES: usize = 96;

struct Slot {
    name: SetOnce<&'static str>,
    count: AtomicU64,
}

/// Places in which a name's slot is remembered, so that it is not searched for at each upcall.
const HINTS: usize = 64;

/// Upcalls by name.
pub(crate) struct Upcalls {
    slots: KVec<Slot>,
    hints: [AtomicU64; HINTS],
}

/// What a hint says: where a name lies, by the lower half of the address (the upper one is the same for all of a
/// module), how long it is, and the slot that it has.
fn hint(name: &'static str, slot: usize) -> u64 {
    (name.as_ptr() as u64) << 32 | (name.len() as u64 & 0xffff) << 16 | slot as u64
}

impl Upcalls {
    pub(crate) fn new() -> Result<Self> {
        let mut slots = KVec::with_capacity(NAMES, GFP_KERNEL)?;
        for _ in 0..NAMES {
            let slot = Slot {
                name: SetOnce::new(),
                count: AtomicU64::new(0),
            };
            slots.push(slot, GFP_KERNEL)?;
        }
        Ok(Upcalls {
            slots,
            hints: [const { AtomicU64::new(0) }; HINTS],
        })
    }

    /// Counts one upcall. Returns its slot, which [`Recent::upcall`] notes.
    #[inline(always)]
    pub(crate) fn count(&self, name: &'static str) -> usize {
        let place = &self.hints[name.as_ptr() as usize / 4 % HINTS];
        let known = place.load(Ordering::Relaxed);
        let at = match known ^ hint(name, 0) {
            at if at < NAMES as u64 => at as usize,
            _ => {
                let at = self.slot(name);
                place.store(hint(name, at), Ordering::Relaxed);
                at
            }
        };
        if let Some(slot) = self.slots.get(at) {
            slot.count.fetch_add(1, Ordering::Relaxed);
        }
        at
    }

    #[cold]
    #[inline(never)]
    fn slot(&self, name: &'static str) -> usize {
        for (at, slot) in self.slots.iter().enumerate() {
            match slot.name.as_ref() {
                // Names are literals: the same pointer each time, though two literals of the same
                // text may have two slots.
                Some(known) if core::ptr::eq(*known, name) => return at,
                Some(_) => {}
                None => {
                    if slot.name.populate(name) {
                        return at;
                    }
                    // Another CPU was first. If it was with the same name, there will be two
                    // slots of it, which `each` adds up.
                }
            }
        }
        NAMES - 1
    }

    fn name(&self, at: usize) -> &'static str {
        self.slots
            .get(at)
            .and_then(|slot| slot.name.copy())
            .unwrap_or("?")
    }

    /// Calls `f` for each upcall that happened, with its count.
    pub(crate) fn each(&self, mut f: impl FnMut(&'static str, u64)) {
        for (at, slot) in self.slots.iter().enumerate() {
            let Some(name) = slot.name.copy() else {
                break;
            };
            let same = |other: &&Slot| other.name.copy() == Some(name);
            if self.slots[..at].iter().any(|other| same(&other)) {
                continue;
            }
            let slots = self.slots[at..].iter().filter(same);
            f(
                name,
                slots.map(|slot| slot.count.load(Ordering::Relaxed)).sum(),
            );
        }
    }
}

const RECENT: usize = 32;
/// In an entry's code: the rest is a slot of [`Upcalls`]; without it, an import's index and one.
const UPCALL: u64 = 1 << 32;

struct Entry {
    code: AtomicU64,
    when: AtomicU64,
    arguments: [AtomicU64; 3],
}

/// The last crossings of a domain, oldest overwritten first.
pub(crate) struct Recent {
    /// [`RECENT`] entries; not inside, since a domain is made on a kernel stack.
    ring: KVec<Entry>,
    next: AtomicUsize,
}

impl Recent {
    pub(crate) fn new() -> Result<Self> {
        let mut ring = KVec::with_capacity(RECENT, GFP_KERNEL)?;
        for _ in 0..RECENT {
            let entry = Entry {
                code: AtomicU64::new(0),
                when: AtomicU64::new(0),
                arguments: [const { AtomicU64::new(0) }; 3],
            };
            ring.push(entry, GFP_KERNEL)?;
        }
        Ok(Recent {
            ring,
            next: AtomicUsize::new(0),
        })
    }

    fn push(&self, code: u64, when: u64, arguments: [u64; 3]) {
        let at = self.next.fetch_add(1, Ordering::Relaxed) % RECENT;
        let entry = &self.ring[at];
        for (place, value) in entry.arguments.iter().zip(arguments) {
            place.store(value, Ordering::Relaxed);
        }
        entry.when.store(when, Ordering::Relaxed);
        entry.code.store(code, Ordering::Relaxed);
    }

    /// Notes an upcall at `when`, by the stopwatch, by its slot and its first arguments.
    pub(crate) fn upcall(&self, slot: usize, when: u64, arguments: [u64; 3]) {
        self.push(UPCALL | slot as u64, when, arguments);
    }

    /// As [`Recent::upcall`] for a call of the import at `index` of the table.
    pub(crate) fn import(&self, index: usize, when: u64, arguments: [u64; 3]) {
        self.push(index as u64 + 1, when, arguments);
    }

    /// Calls `f` with the crossings, oldest first. `upcalls` has given the slots.
    pub(crate) fn with<R>(
        &self,
        upcalls: &Upcalls,
        f: impl FnOnce(&mut dyn Iterator<Item = Crossing>) -> R,
    ) -> R {
        let next = self.next.load(Ordering::Relaxed);
        let since = cpu::now().wrapping_sub(cpu::stopwatch());
        let mut entries = (0..RECENT).filter_map(|n| {
            let entry = &self.ring[next.wrapping_add(n) % RECENT];
            let what = match entry.code.load(Ordering::Relaxed) {
                0 => return None,
                code if code & UPCALL != 0 => What::Upcall(upcalls.name((code ^ UPCALL) as usize)),
                code => What::Import(table::get(code as usize - 1).map_or("?", |one| one.name)),
            };
            Some(Crossing {
                what,
                when: entry.when.load(Ordering::Relaxed).wrapping_add(since),
                args: [0, 1, 2].map(|n: usize| entry.arguments[n].load(Ordering::Relaxed)),
            })
        });
        f(&mut entries)
    }
}
