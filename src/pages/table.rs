// SPDX-License-Identifier: GPL-2.0

//! One page-table page, and the walk that makes missing ones.
//!
//! Entries are read and written as atomics, so that two CPUs may fill a table at once and a third
//! may walk it, without a lock. A table, once entered, stays until its owner goes.

use super::entry::{self, ENTRIES};
use core::ptr::NonNull;
use core::sync::atomic::{AtomicU64, Ordering};
use kernel::ffi;
use kernel::prelude::*;

extern "C" {
    fn side_switch_page_alloc(may_sleep: bool) -> *mut ffi::c_void;
    fn side_switch_page_free(page: *mut ffi::c_void);
    static page_offset_base: usize;
}

/// Kernel address of physical memory.
pub(crate) fn direct_map(phys: u64) -> *mut u8 {
    // SAFETY: the kernel writes the variable during early boot only.
    let base = unsafe { page_offset_base };
    (base as u64 + phys) as *mut u8
}

/// One zeroed page of kernel memory, freed with its owner.
pub(crate) struct OwnedPage(NonNull<u8>);

// SAFETY: a page belongs to no CPU or task; all access to it goes through raw pointers or atomics.
unsafe impl Send for OwnedPage {}
// SAFETY: as above.
unsafe impl Sync for OwnedPage {}

impl OwnedPage {
    /// Allocates; never sleeps unless `may_sleep`.
    pub(crate) fn new(may_sleep: bool) -> Result<Self> {
        // SAFETY: the function has no preconditions but the context that `may_sleep` states.
        let page = unsafe { side_switch_page_alloc(may_sleep) };
        NonNull::new(page.cast()).map(Self).ok_or(ENOMEM)
    }

    /// The page's address in the direct map.
    pub(crate) fn address(&self) -> u64 {
        self.0.as_ptr() as u64
    }

    /// The page's physical address.
    pub(crate) fn phys(&self) -> u64 {
        // SAFETY: as in `direct_map`.
        self.address() - unsafe { page_offset_base } as u64
    }

    /// The page's memory.
    pub(crate) fn as_ptr(&self) -> *mut u8 {
        self.0.as_ptr()
    }

    /// The page as a page table.
    pub(crate) fn table(&self) -> Table {
        Table(self.0.cast())
    }

    fn into_table(self) -> Table {
        let table = self.table();
        core::mem::forget(self);
        table
    }
}

impl Drop for OwnedPage {
    fn drop(&mut self) {
        // SAFETY: the page came from `side_switch_page_alloc` and this is its only owner.
        unsafe { side_switch_page_free(self.0.as_ptr().cast()) };
    }
}

/// A page of 512 entries. A copy is another name for the same page; the owner is elsewhere.
#[derive(Clone, Copy)]
pub(crate) struct Table(NonNull<u64>);

impl Table {
    /// The entry at `index`.
    fn slot(&self, index: usize) -> &AtomicU64 {
        debug_assert!(index < ENTRIES);
        // SAFETY: the table is a page of 512 aligned words (module invariant), masked to stay in
        // it, and all access to it is atomic.
        unsafe { AtomicU64::from_ptr(self.0.as_ptr().add(index & (ENTRIES - 1))) }
    }

    /// The table that a present entry leads to.
    fn of_entry(entry: u64) -> Self {
        let address = direct_map(entry & entry::ADDRESS);
        // SAFETY: the direct map never contains address 0.
        Table(unsafe { NonNull::new_unchecked(address.cast()) })
    }

    /// Reads an entry.
    pub(crate) fn get(&self, index: usize) -> u64 {
        self.slot(index).load(Ordering::Acquire)
    }

    /// Writes an entry and returns what was there.
    pub(crate) fn swap(&self, index: usize, value: u64) -> u64 {
        self.slot(index).swap(value, Ordering::AcqRel)
    }

    /// Writes an entry if it is still `old`.
    pub(crate) fn replace(&self, index: usize, old: u64, value: u64) -> bool {
        let slot = self.slot(index);
        slot.compare_exchange(old, value, Ordering::AcqRel, Ordering::Acquire)
            .is_ok()
    }

    /// The table at level 1 that serves `va`, if all tables on the way exist; `self` is at `level`.
    pub(crate) fn find(self, level: u32, va: u64) -> Option<Table> {
        let mut table = self;
        let mut level = level;
        while level > 1 {
            let entry = table.get(entry::index(va, level));
            if entry & entry::PRESENT == 0 {
                return None;
            }
            table = Table::of_entry(entry);
            level -= 1;
        }
        Some(table)
    }

    /// Like `find`, but makes what is missing. `link` makes the entry for a new table.
    pub(crate) fn make(self, level: u32, va: u64, link: fn(u64) -> u64) -> Result<Table> {
        let mut table = self;
        let mut level = level;
        while level > 1 {
            let slot = table.slot(entry::index(va, level));
            let mut value = slot.load(Ordering::Acquire);
            if value & entry::PRESENT == 0 {
                let page = OwnedPage::new(false)?;
                let wanted = link(page.phys());
                match slot.compare_exchange(0, wanted, Ordering::AcqRel, Ordering::Acquire) {
                    Ok(_) => {
                        // The parent's entry owns it now.
                        page.into_table();
                        value = wanted;
                    }
                    // Another CPU was first; ours is dropped.
                    Err(there) => value = there,
                }
            }
            table = Table::of_entry(value);
            level -= 1;
        }
        Ok(table)
    }

    /// Calls `f` for every present entry at and below this table, which is at `level` and serves
    /// the addresses from `base`.
    pub(crate) fn walk(self, level: u32, base: u64, f: &mut dyn FnMut(u64, u32, u64)) {
        for index in 0..ENTRIES {
            let entry = self.get(index);
            if entry & entry::PRESENT == 0 {
                // A non-present entry that is not zero names physical memory to L1TF.
                if entry != 0 {
                    f(base, level, entry);
                }
                continue;
            }
            let va = base | (index as u64) << (12 + 9 * (level - 1));
            f(va, level, entry);
            if level > 1 {
                Table::of_entry(entry).walk(level - 1, va, f);
            }
        }
    }

    /// Frees every table below this one, which is at `level`. Leaves belong to others.
    ///
    /// # Safety
    ///
    /// No CPU and no other code uses the tables any more.
    pub(crate) unsafe fn free_below(self, level: u32) {
        if level <= 1 {
            return;
        }
        for index in 0..ENTRIES {
            let entry = self.swap(index, 0);
            if entry & entry::PRESENT != 0 {
                let table = Table::of_entry(entry);
                // SAFETY: the caller's promise covers the whole tree.
                unsafe { table.free_below(level - 1) };
                drop(OwnedPage(table.0.cast()));
            }
        }
    }
}
