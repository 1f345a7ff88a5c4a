// SPDX-License-Identifier: GPL-2.0

//! A value that is set once and read often.
//!
//! As `kernel::sync::SetOnce`, whose look at its state is a call of a C function in this kernel: an upcall passes a
//! dozen of them.

use core::cell::UnsafeCell;
use core::mem::MaybeUninit;
use core::sync::atomic::{AtomicU8, Ordering};

const EMPTY: u8 = 0;
/// Somebody writes the value.
const BUSY: u8 = 1;
const SET: u8 = 2;

/// A place for one value. Any context.
pub(crate) struct SetOnce<T> {
    state: AtomicU8,
    value: UnsafeCell<MaybeUninit<T>>,
}

// SAFETY: the value is handed over once, and is only shared after that.
unsafe impl<T: Send + Sync> Sync for SetOnce<T> {}

impl<T> SetOnce<T> {
    /// An empty place.
    pub(crate) const fn new() -> Self {
        SetOnce {
            state: AtomicU8::new(EMPTY),
            value: UnsafeCell::new(MaybeUninit::uninit()),
        }
    }

    /// The value, once it is there.
    #[inline(always)]
    pub(crate) fn as_ref(&self) -> Option<&T> {
        match self.state.load(Ordering::Acquire) {
            // SAFETY: it was written before the state was, and does not change any more.
            SET => Some(unsafe { (*self.value.get()).assume_init_ref() }),
            _ => None,
        }
    }

    /// A copy of the value, once it is there.
    #[inline(always)]
    pub(crate) fn copy(&self) -> Option<T>
    where
        T: Copy,
    {
        self.as_ref().copied()
    }

    /// Sets the value. False, and the value is dropped, if there was one, or somebody else is about to set it.
    pub(crate) fn populate(&self, value: T) -> bool {
        let claimed =
            self.state
                .compare_exchange(EMPTY, BUSY, Ordering::Relaxed, Ordering::Relaxed);
        if claimed.is_err() {
            return false;
        }
        // SAFETY: nobody else reads it before the state says so, or writes it.
        unsafe { (*self.value.get()).write(value) };
        self.state.store(SET, Ordering::Release);
        true
    }
}

impl<T> Drop for SetOnce<T> {
    fn drop(&mut self) {
        if *self.state.get_mut() == SET {
            // SAFETY: it was written, and nobody reads it any more.
            unsafe { self.value.get_mut().assume_init_drop() };
        }
    }
}
