// SPDX-License-Identifier: GPL-2.0

//! The view: the page tables under which a domain runs in ring 3.
//!
//! A domain has one root for each CPU. All of them share the tables of the lower half, where the
//! domain's pages are. The upper half of a root holds of the kernel only what that CPU needs to
//! come back (`switcher/context.rs` lists it) and belongs to the switcher.
//!
//! The tables are filled and read without locks; see `table.rs`. A leaf that is taken away may stay
//! in a CPU's TLB until it leaves ring 3; `View::flush` waits for that.

mod entry;
mod listing;
pub(crate) mod table;

pub(crate) use entry::{Kind, Mapping, Perm, DOMAIN_END, PAGE_SIZE};
#[allow(unused_imports)] // The test module lists nothing.
pub(crate) use listing::Range;

use crate::switcher::context;
use kernel::prelude::*;
use table::{OwnedPage, Table};

/// Page-table levels in use: 4, or 5 when Linux runs so.
pub(crate) fn levels() -> u32 {
    if crate::switcher::processor::read_cr4() & crate::switcher::processor::CR4_LA57 != 0 {
        5
    } else {
        4
    }
}

/// The view of one domain. Dropping it frees the tables; the pages that they name are the domain's.
pub(crate) struct View {
    levels: u32,
    /// The one table that entry 0 of every root leads to.
    lower: OwnedPage,
    /// One for each CPU number; `None` where no such CPU can be.
    roots: KVec<Option<OwnedPage>>,
    /// Their physical addresses; 0 for none.
    addresses: KVec<u64>,
}

impl View {
    /// An empty view: no domain page, and of the kernel what the switcher needs.
    pub(crate) fn new() -> Result<View> {
        let levels = levels();
        let lower = OwnedPage::new(true)?;
        let mut roots = KVec::new();
        let mut addresses = KVec::new();
        for cpu in 0..context::cpu_ids() {
            let root = match context::kernel_half(cpu) {
                None => None,
                Some(half) => {
                    let page = OwnedPage::new(true)?;
                    page.table().swap(0, entry::user_table(lower.phys()));
                    for index in entry::ENTRIES / 2..entry::ENTRIES {
                        page.table().swap(index, half.get(index));
                    }
                    Some(page)
                }
            };
            addresses.push(root.as_ref().map_or(0, OwnedPage::phys), GFP_KERNEL)?;
            roots.push(root, GFP_KERNEL)?;
        }
        Ok(View {
            levels,
            lower,
            roots,
            addresses,
        })
    }

    /// Makes the tables for `[va, va + len)`: [`View::map`] fails there only where something is mapped. Any context.
    pub(crate) fn prepare(&self, va: u64, len: u64) -> Result {
        const SPAN: u64 = PAGE_SIZE * entry::ENTRIES as u64;
        let mut at = va / SPAN * SPAN;
        while at < va + len {
            if at >= DOMAIN_END {
                return Err(EINVAL);
            }
            self.lower
                .table()
                .make(self.levels - 1, at, entry::user_table)?;
            at += SPAN;
        }
        Ok(())
    }

    /// Maps one page at a domain address. Any context. `EEXIST` when something is there already.
    pub(crate) fn map(&self, va: u64, phys: u64, perm: Perm, kind: Kind) -> Result {
        if !entry::is_mappable(va, phys) {
            return Err(EINVAL);
        }
        let leaf = self
            .lower
            .table()
            .make(self.levels - 1, va, entry::user_table)?;
        leaf.fill(entry::index(va, 1), entry::user_leaf(phys, perm, kind))
    }

    /// Takes one page away and returns its physical address. Any context. CPUs that are in ring 3 may
    /// use it until `flush`, so the page is not free before.
    pub(crate) fn unmap(&self, va: u64) -> Option<u64> {
        if va >= DOMAIN_END {
            return None;
        }
        let leaf = self.lower.table().find(self.levels - 1, va)?;
        let old = leaf.swap(entry::index(va, 1), 0);
        entry::decode_user_leaf(old).map(|mapping| mapping.phys)
    }

    /// Returns when no CPU uses what `unmap` took away before the call. Each entry into ring 3
    /// starts with an empty TLB for the view, so it is enough that every CPU has left it once.
    /// May wait for other CPUs: interrupts must be on.
    pub(crate) fn flush(&self) {
        context::kick_all();
    }

    /// What a domain address leads to. Any context, no lock; the answer may be out of date at once
    /// unless the caller keeps the domain from unmapping it.
    pub(crate) fn translate(&self, va: u64) -> Option<Mapping> {
        if va >= DOMAIN_END {
            return None;
        }
        let leaf = self.lower.table().find(self.levels - 1, va)?;
        let mut mapping = entry::decode_user_leaf(leaf.get(entry::index(va, 1)))?;
        mapping.phys |= va & (PAGE_SIZE - 1);
        Some(mapping)
    }

    /// Every present entry of one CPU's root, tables and leaves: address, level (1 is a page), entry.
    pub(crate) fn walk(&self, cpu: usize, f: &mut dyn FnMut(u64, u32, u64)) {
        let Some(Some(root)) = self.roots.get(cpu) else {
            return;
        };
        root.table().walk(self.levels, 0, &mut |va, level, entry| {
            let top = 12 + 9 * self.levels - 1;
            let sign = if va >> top & 1 != 0 { !0 << top } else { 0 };
            f(va | sign, level, entry)
        });
    }

    /// Physical address of the root for a CPU.
    pub(crate) fn root(&self, cpu: usize) -> Option<u64> {
        self.addresses.get(cpu).copied().filter(|phys| *phys != 0)
    }
}

impl Drop for View {
    fn drop(&mut self) {
        // SAFETY: CR3 names a root only inside `enter`, which borrows the view; the walks do too.
        unsafe { self.lower.table().free_below(self.levels - 1) };
    }
}

impl Table {
    /// Writes an entry where there is none.
    fn fill(self, index: usize, value: u64) -> Result {
        if self.replace(index, 0, value) {
            Ok(())
        } else {
            Err(EEXIST)
        }
    }
}

/// The kernel pages of one CPU's roots, as a root of its own of which the upper half is copied.
pub(crate) struct KernelHalf {
    levels: u32,
    root: OwnedPage,
}

impl KernelHalf {
    pub(crate) fn new() -> Result<Self> {
        Ok(Self {
            levels: levels(),
            root: OwnedPage::new(true)?,
        })
    }

    /// Maps a kernel address for ring 0. A second mapping of the same page at the same place is one.
    pub(crate) fn map(&self, va: u64, phys: u64, perm: Perm) -> Result {
        if va >> 63 == 0 || (va | phys) % PAGE_SIZE != 0 {
            return Err(EINVAL);
        }
        let leaf = self
            .root
            .table()
            .make(self.levels, va, entry::kernel_table)?;
        leaf.swap(entry::index(va, 1), entry::kernel_leaf(phys, perm));
        Ok(())
    }

    pub(crate) fn get(&self, index: usize) -> u64 {
        self.root.table().get(index)
    }
}

impl Drop for KernelHalf {
    fn drop(&mut self) {
        // SAFETY: the switcher drops it when no view is left.
        unsafe { self.root.table().free_below(self.levels) };
    }
}
