// SPDX-License-Identifier: GPL-2.0

//! Which tasks are inside something that must not be entered, or waited for, from within.

use crate::sys::net;
use core::sync::atomic::{AtomicU64, Ordering};

/// How many tasks are told apart at a time.
const TASKS: usize = 16;

/// The tasks that are inside.
pub(crate) struct Tasks([AtomicU64; TASKS]);

/// A task inside, until it is dropped.
pub(crate) struct Inside<'a>(&'a AtomicU64);

impl Tasks {
    /// Nobody.
    pub(crate) const fn new() -> Self {
        Tasks([const { AtomicU64::new(0) }; TASKS])
    }

    /// Notes that the running task is inside; a task may be so several times. None if too many are.
    pub(crate) fn enter(&self) -> Option<Inside<'_>> {
        let me = net::current();
        let take = |slot: &&AtomicU64| {
            slot.compare_exchange(0, me, Ordering::AcqRel, Ordering::Relaxed)
                .is_ok()
        };
        self.0.iter().find(take).map(Inside)
    }

    /// Whether the running task is inside.
    pub(crate) fn has_this(&self) -> bool {
        let me = net::current();
        self.0.iter().any(|slot| slot.load(Ordering::Acquire) == me)
    }
}

impl Drop for Inside<'_> {
    fn drop(&mut self) {
        self.0.store(0, Ordering::Release);
    }
}
