// SPDX-License-Identifier: GPL-2.0

//! A spinlock that also holds off bottom halves: for data that upcalls from process context and
//! from softirq share. Never taken in hard-interrupt context.

use super::bindings;
use core::cell::UnsafeCell;
use core::ops::{Deref, DerefMut};

/// Data protected by a spinlock, taken with bottom halves off.
pub(crate) struct BhLock<T> {
    raw: UnsafeCell<bindings::spinlock_t>,
    data: UnsafeCell<T>,
}

// SAFETY: the lock hands out access to one CPU at a time, and the data may move between CPUs.
unsafe impl<T: Send> Sync for BhLock<T> {}
// SAFETY: moving an unlocked lock moves the data, which is `Send`. The kernel has no lock debugging
// that would keep the lock's address.
unsafe impl<T: Send> Send for BhLock<T> {}

impl<T> BhLock<T> {
    /// Makes an unlocked lock around `data`.
    pub(crate) const fn new(data: T) -> Self {
        BhLock {
            // SAFETY: an all-zero spinlock is an unlocked one (asm-generic/qspinlock_types.h) in a
            // kernel without lock debugging, which the build refuses otherwise.
            raw: UnsafeCell::new(unsafe { core::mem::zeroed() }),
            data: UnsafeCell::new(data),
        }
    }

    /// Takes the lock; bottom halves stay off until the guard is dropped. Not for hard interrupts.
    /// Where they are off already they must stay so for as long as the guard lives: only who turned
    /// them off turns them on, and guards do not outlive a function that does.
    pub(crate) fn lock(&self) -> BhGuard<'_, T> {
        // SAFETY: `raw` is a valid spinlock for as long as `self` lives.
        let enable = unsafe { bindings::side_spin_lock_bh(self.raw.get()) };
        BhGuard { lock: self, enable }
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
    fn drop(&mut self) {
        // SAFETY: the guard proves that this CPU took the lock.
        unsafe { bindings::side_spin_unlock_bh(self.lock.raw.get(), self.enable) };
    }
}
