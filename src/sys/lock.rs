// SPDX-License-Identifier: GPL-2.0

//! A spinlock that also holds off bottom halves: for data that upcalls from process context and
//! from softirq share. Never taken in hard-interrupt context.
//!
//! A packet passes several of these, nearly always with bottom halves off already and nobody else
//! there. So the lock is a pair of tickets that is taken in line, not the kernel's own, whose function
//! would count up preemption as well, which bottom halves that are off hold off already.

use super::cpu;
use core::cell::UnsafeCell;
use core::ops::{Deref, DerefMut};
use core::sync::atomic::{AtomicU16, Ordering};

/// Data protected by a spinlock, taken with bottom halves off. Whoever comes first is served first.
pub(crate) struct BhLock<T> {
    /// The ticket of whoever comes next.
    next: AtomicU16,
    /// The ticket whose holder has the lock. Only that one changes it.
    serving: AtomicU16,
    data: UnsafeCell<T>,
}

// SAFETY: the lock hands out access to one CPU at a time, and the data may move between CPUs.
unsafe impl<T: Send> Sync for BhLock<T> {}

impl<T> BhLock<T> {
    /// Makes an unlocked lock around `data`.
    pub(crate) const fn new(data: T) -> Self {
        BhLock {
            next: AtomicU16::new(0),
            serving: AtomicU16::new(0),
            data: UnsafeCell::new(data),
        }
    }

    /// Takes the lock; bottom halves stay off until the guard is dropped. Not for hard interrupts.
    /// Where they are off already they must stay so for as long as the guard lives: only who turned
    /// them off turns them on, and guards do not outlive a function that does.
    #[inline(always)]
    pub(crate) fn lock(&self) -> BhGuard<'_, T> {
        let enable = !cpu::bh_off();
        if enable {
            cpu::bh_disable();
        }
        let ticket = self.next.fetch_add(1, Ordering::Relaxed);
        if self.serving.load(Ordering::Acquire) != ticket {
            self.wait(ticket);
        }
        BhGuard { lock: self, enable }
    }

    #[cold]
    #[inline(never)]
    fn wait(&self, ticket: u16) {
        while self.serving.load(Ordering::Acquire) != ticket {
            core::hint::spin_loop();
        }
    }
}

/// Access to the data of a locked [`BhLock`].
pub(crate) struct BhGuard<'a, T> {
    lock: &'a BhLock<T>,
    /// Bottom halves are off because of this guard.
    enable: bool,
}

impl<T> Deref for BhGuard<'_, T> {
    type Target = T;
    fn deref(&self) -> &T {
        // SAFETY: the guard exists only while the lock is held.
        unsafe { &*self.lock.data.get() }
    }
}

impl<T> DerefMut for BhGuard<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: the guard exists only while the lock is held, and there is one.
        unsafe { &mut *self.lock.data.get() }
    }
}

impl<T> Drop for BhGuard<'_, T> {
    #[inline]
    fn drop(&mut self) {
        let ticket = self.lock.serving.load(Ordering::Relaxed);
        self.lock
            .serving
            .store(ticket.wrapping_add(1), Ordering::Release);
        if self.enable {
            cpu::bh_enable();
        }
    }
}
