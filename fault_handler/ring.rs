// SPDX-License-Identifier: GPL-2.0

//! A ring of the most recent crossings of a domain.
//!
//! A report without it names where a driver failed, with it also what led there. It is a fixed
//! array that overwrites its oldest entry: noting a crossing must never fail or allocate.

/// What crossed the border.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum What {
    /// The kernel called the driver.
    Upcall(&'static str),
    /// The driver called the kernel.
    Import(&'static str),
    /// A device or the timer interrupted ring 3.
    Interrupt(u8),
}

/// One crossing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Crossing {
    /// What it was.
    pub what: What,
    /// When, in ns of the clock that the caller chose.
    pub when: u64,
    /// The first arguments.
    pub args: [u64; 3],
}

/// The last `N` entries pushed.
#[derive(Clone, Copy, Debug)]
pub struct Ring<T: Copy, const N: usize> {
    entries: [Option<T>; N],
    /// Place of the next entry, which is that of the oldest when the ring is full.
    next: usize,
}

impl<T: Copy, const N: usize> Ring<T, N> {
    /// An empty ring.
    pub const fn new() -> Self {
        Ring {
            entries: [None; N],
            next: 0,
        }
    }

    /// Notes an entry, in place of the oldest if the ring is full.
    pub fn push(&mut self, entry: T) {
        if let Some(place) = self.entries.get_mut(self.next) {
            *place = Some(entry);
            self.next = (self.next + 1) % N;
        }
    }

    /// The entries, oldest first.
    pub fn iter(&self) -> impl Iterator<Item = T> + '_ {
        let (newer, older) = self.entries.split_at(self.next.min(N));
        older.iter().chain(newer).filter_map(|entry| *entry)
    }
}

impl<T: Copy, const N: usize> Default for Ring<T, N> {
    fn default() -> Self {
        Self::new()
    }
}
