// SPDX-License-Identifier: GPL-2.0

//! Which tasks are inside something that must not be entered, or waited for, from within.

use crate::sys::cpu;
use core::sync::atomic::{AtomicUsize, Ordering};

/// How many tasks are told apart at a time.
const TASKS: usize = 16;

/// The tasks that are inside.
pub(crate) struct Tasks([AtomicUsize; TASKS]);

/// A task inside, until it is dropped.
pub(crate) struct Inside<'a>(&'a AtomicUsize);

impl Tasks {
    /// Nobody.
    pub(crate) const fn new() -> Self {
        Tasks([const { AtomicUsize::new(0) }; TASKS])
    }

    /// Notes that the running task is inside; a task may be so several times. None if too many are.
    pub(crate) fn enter(&self) -> Option<Inside<'_>> {
        let me = cpu::current_task();
        let take = |slot: &&AtomicUsize| {
            slot.compare_exchange(0, me, Ordering::AcqRel, Ordering::Relaxed)
                .is_ok()
        };
        self.0.iter().find(take).map(Inside)
    }

    /// Whether the running task is inside.
    pub(crate) fn has_this(&self) -> bool {
        let me = cpu::current_task();
        self.0.iter().any(|slot| slot.load(Ordering::Acquire) == me)
    }
}

impl Drop for Inside<'_> {
    fn drop(&mut self) {
        self.0.store(0, Ordering::Release);
    }
}
