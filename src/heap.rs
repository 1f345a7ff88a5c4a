// SPDX-License-Identifier: GPL-2.0

//! The heap of a domain: kmalloc, vmalloc, pages, shadows and packet buffers come from here.
//!
//! All bookkeeping is in kernel memory, so the driver can damage only contents. Small objects live
//! in slabs of one size class; a slab is physically contiguous, as kmalloc memory is, so that the
//! driver may map any object for DMA. Large ones are runs of pages. Nothing is unmapped before the
//! domain ends: a freed run waits for the next request of its size, and no other CPU has to be
//! told to flush.

use crate::pages::{Kind, Perm, View};
use crate::side_stubs::contract::{HEAP_BASE, HEAP_SPACE};
use crate::sys::access::{quietly, Pages, PAGE};
use kernel::prelude::*;
use kernel::rbtree::{RBTree, RBTreeNodeReservation};

/// Addresses are handed out in units of this many bytes; a slab is one unit.
const UNIT: u64 = 8 * PAGE;
const UNIT_ORDER: u32 = 3;
const UNITS: usize = (HEAP_SPACE / UNIT) as usize;
/// log2 of the smallest and the largest slab object.
const MIN_SHIFT: u32 = 5;
const MAX_SHIFT: u32 = 14;
const CLASSES: usize = (MAX_SHIFT - MIN_SHIFT + 1) as usize;
const WORDS: usize = (UNIT as usize >> MIN_SHIFT) / 64;

/// What a run's pages are like.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Contiguity {
    /// One physically contiguous block.
    Physical,
    /// Single pages, contiguous for the driver only.
    Virtual,
}

struct Slab {
    pages: Pages,
    shift: u32,
    used: u32,
    bitmap: [u64; WORDS],
}

impl Slab {
    fn capacity(&self) -> u32 {
        (UNIT >> self.shift) as u32
    }
}

struct Run {
    len: u64,
    bytes: u64,
    kind: Contiguity,
    live: bool,
    _pages: KVec<Pages>,
}

enum Unit {
    Slab(Slab),
    Run(Run),
}

/// The heap's bookkeeping. Callers serialise.
pub(crate) struct Heap {
    /// Slabs and runs by the address at which they begin.
    units: RBTree<u64, Unit>,
    /// Slabs with room, by class.
    partial: [KVec<u64>; CLASSES],
    /// Freed runs that wait for reuse.
    idle: KVec<u64>,
    /// Units handed out so far; addresses are never given back.
    next_unit: usize,
    /// Bytes of memory held.
    held: u64,
    /// Bytes of live objects.
    live: u64,
    /// Bytes of memory that is mapped at heap addresses and not the heap's own.
    foreign: u64,
    /// What `held` and `foreign` may be at most together.
    limit: u64,
}

/// The limit of a new domain's memory, in bytes.
const LIMIT: u64 = 256 << 20;

/// Why a free was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum BadFree {
    /// No object begins at the address.
    NotAnObject,
    /// The object was freed before.
    Double,
}

impl Heap {
    pub(crate) fn new() -> Self {
        Heap {
            units: RBTree::new(),
            partial: [const { KVec::new() }; CLASSES],
            idle: KVec::new(),
            next_unit: 0,
            held: 0,
            live: 0,
            foreign: 0,
            limit: LIMIT,
        }
    }

    /// Bytes of memory held for the heap, and bytes of live objects in it.
    pub(crate) fn usage(&self) -> (u64, u64) {
        (self.held, self.live)
    }

    /// The limit in bytes of the memory that the heap and what is mapped beside it hold.
    pub(crate) fn limit(&self) -> u64 {
        self.limit
    }

    /// Sets the limit. What is held beyond it stays.
    pub(crate) fn set_limit(&mut self, bytes: u64) {
        self.limit = bytes;
    }

    /// Refuses `bytes` more than the domain may hold.
    fn admit(&self, bytes: u64) -> Result {
        let held = self.held.saturating_add(self.foreign).saturating_add(bytes);
        match held <= self.limit {
            true => Ok(()),
            false => Err(ENOMEM),
        }
    }

    /// Counts memory that is about to be mapped at heap addresses. Error: ENOMEM over the limit.
    pub(crate) fn charge(&mut self, bytes: u64) -> Result {
        self.admit(bytes)?;
        self.foreign = self.foreign.saturating_add(bytes);
        Ok(())
    }

    /// Counts such memory out again.
    pub(crate) fn uncharge(&mut self, bytes: u64) {
        self.foreign = self.foreign.saturating_sub(bytes);
    }

    /// Bytes of memory that is not the heap's own.
    pub(crate) fn foreign(&self) -> u64 {
        self.foreign
    }

    fn reserve(&mut self, bytes: u64) -> Result<u64> {
        let units = bytes.div_ceil(UNIT) as usize;
        if units > UNITS - self.next_unit {
            return Err(ENOMEM);
        }
        let base = HEAP_BASE + self.next_unit as u64 * UNIT;
        self.next_unit += units;
        Ok(base)
    }

    /// Sets addresses aside for `bytes` of pages that are not the heap's, with a gap after them.
    pub(crate) fn reserve_foreign(&mut self, bytes: u64) -> Result<u64> {
        if bytes > HEAP_SPACE {
            return Err(ENOMEM);
        }
        self.reserve(bytes + UNIT)
    }

    /// Allocates `bytes` of physically contiguous memory, as kmalloc does: aligned to its size
    /// class, to a page where it is at least one. Contents are zero or left over from an earlier
    /// object of the domain. Any context but hard interrupts.
    pub(crate) fn alloc(&mut self, view: &View, bytes: u64) -> Result<u64> {
        if bytes > HEAP_SPACE {
            return Err(ENOMEM);
        }
        let shift = core::cmp::max(bytes.max(1).next_power_of_two().trailing_zeros(), MIN_SHIFT);
        if shift > MAX_SHIFT {
            return self.run(view, bytes, Contiguity::Physical);
        }
        let class = (shift - MIN_SHIFT) as usize;
        let base = match self.partial[class].last() {
            Some(base) => *base,
            None => self.new_slab(view, shift)?,
        };
        let Some(Unit::Slab(slab)) = self.units.get_mut(&base) else {
            return Err(EINVAL);
        };
        let capacity = slab.capacity();
        let mut found = None;
        for (index, word) in slab.bitmap.iter_mut().enumerate() {
            if *word != u64::MAX {
                let slot = index as u32 * 64 + word.trailing_ones();
                if slot < capacity {
                    *word |= 1 << (slot % 64);
                    found = Some(slot);
                }
                break;
            }
        }
        let slot = found.ok_or(ENOMEM)?;
        slab.used += 1;
        if slab.used == capacity {
            self.partial[class].pop();
        }
        self.live += 1 << shift;
        Ok(base + (u64::from(slot) << shift))
    }

    fn new_slab(&mut self, view: &View, shift: u32) -> Result<u64> {
        self.admit(UNIT)?;
        // Nothing fails once the pages are mapped: they would be free and the driver's at a time.
        let list = &mut self.partial[(shift - MIN_SHIFT) as usize];
        list.reserve(1, quietly())?;
        let room = RBTreeNodeReservation::new(quietly())?;
        let pages = Pages::new(UNIT_ORDER)?;
        let base = self.reserve(UNIT)?;
        view.prepare(base, UNIT)?;
        map(view, base, &pages)?;
        let slab = Slab {
            pages,
            shift,
            used: 0,
            bitmap: [0; WORDS],
        };
        self.held += slab.pages.len();
        self.units.insert(room.into_node(base, Unit::Slab(slab)));
        let list = &mut self.partial[(shift - MIN_SHIFT) as usize];
        // Room was made.
        let _ = list.push(base, quietly());
        Ok(base)
    }

    /// Allocates page-aligned memory that is contiguous for the driver only, as vmalloc does.
    pub(crate) fn alloc_virtual(&mut self, view: &View, bytes: u64) -> Result<u64> {
        self.run(view, bytes, Contiguity::Virtual)
    }

    /// Allocates `2^order` pages, naturally aligned in physical memory.
    pub(crate) fn alloc_pages(&mut self, view: &View, order: u32) -> Result<u64> {
        if order > 10 {
            return Err(ENOMEM);
        }
        self.run(view, PAGE << order, Contiguity::Physical)
    }

    fn run(&mut self, view: &View, bytes: u64, kind: Contiguity) -> Result<u64> {
        if bytes == 0 || bytes > HEAP_SPACE {
            return Err(ENOMEM);
        }
        let len = match kind {
            Contiguity::Physical => PAGE << order_of(bytes),
            Contiguity::Virtual => bytes.div_ceil(PAGE) * PAGE,
        };
        let reuse = self.idle.iter().position(|base| {
            matches!(self.units.get(base), Some(Unit::Run(run)) if run.kind == kind && run.len == len)
        });
        if let Some(place) = reuse {
            let base = self.idle.remove(place).map_err(|_| EINVAL)?;
            if let Some(Unit::Run(run)) = self.units.get_mut(&base) {
                run.live = true;
                run.bytes = bytes;
                self.live += len;
                return Ok(base);
            }
        }
        self.admit(len)?;
        let (count, order) = match kind {
            Contiguity::Physical => (1, order_of(bytes)),
            Contiguity::Virtual => (len / PAGE, 0),
        };
        let mut pages = KVec::with_capacity(count as usize, quietly())?;
        for _ in 0..count {
            pages.push(Pages::new(order)?, quietly())?;
        }
        let room = RBTreeNodeReservation::new(quietly())?;
        // A gap of one unit after each run makes an overrun of the driver's a fault.
        let base = self.reserve(len + UNIT)?;
        // Nothing fails once a page is mapped, as for a slab.
        view.prepare(base, len)?;
        let mut at = base;
        for part in &pages {
            map(view, at, part)?;
            at += part.len();
        }
        self.held += len;
        self.live += len;
        let run = Run {
            len,
            bytes,
            kind,
            live: true,
            _pages: pages,
        };
        self.units.insert(room.into_node(base, Unit::Run(run)));
        Ok(base)
    }

    /// The object that holds `address`: its first address and its size in bytes.
    pub(crate) fn find(&self, address: u64) -> Option<(u64, u64)> {
        let (base, unit) = self.unit_below(address)?;
        match unit {
            Unit::Slab(slab) => {
                let slot = (address - base) >> slab.shift;
                let used = slab.bitmap[slot as usize / 64] >> (slot % 64) & 1 != 0;
                used.then_some((base + (slot << slab.shift), 1 << slab.shift))
            }
            Unit::Run(run) => (run.live && address - base < run.len).then_some((base, run.bytes)),
        }
    }

    /// Whether `address` lies in a live run of single pages.
    pub(crate) fn is_virtual(&self, address: u64) -> bool {
        match self.unit_below(address) {
            Some((_, Unit::Run(run))) => run.live && run.kind == Contiguity::Virtual,
            _ => false,
        }
    }

    fn unit_below(&self, address: u64) -> Option<(u64, &Unit)> {
        let base = address.checked_sub(HEAP_BASE)? / UNIT * UNIT + HEAP_BASE;
        if let Some(unit) = self.units.get(&base) {
            return Some((base, unit));
        }
        // A run longer than a unit begins further down. Runs are few.
        self.units
            .iter()
            .filter(|(start, unit)| {
                matches!(unit, Unit::Run(run) if **start <= address && address - **start < run.len)
            })
            .map(|(start, unit)| (*start, unit))
            .next()
    }

    /// Frees the object that begins at `address`.
    pub(crate) fn free(&mut self, address: u64) -> Result<(), BadFree> {
        let base =
            address.checked_sub(HEAP_BASE).ok_or(BadFree::NotAnObject)? / UNIT * UNIT + HEAP_BASE;
        match self.units.get_mut(&base).ok_or(BadFree::NotAnObject)? {
            Unit::Slab(slab) => {
                let offset = address - base;
                if offset % (1 << slab.shift) != 0 {
                    return Err(BadFree::NotAnObject);
                }
                let slot = offset >> slab.shift;
                let word = &mut slab.bitmap[slot as usize / 64];
                if *word >> (slot % 64) & 1 == 0 {
                    return Err(BadFree::Double);
                }
                *word &= !(1 << (slot % 64));
                let shift = slab.shift;
                let was_full = slab.used == slab.capacity();
                slab.used -= 1;
                self.live -= 1 << shift;
                if was_full {
                    // Without memory for the list the slab's room is lost until it fills again.
                    let _ = self.partial[(shift - MIN_SHIFT) as usize].push(base, quietly());
                }
                Ok(())
            }
            Unit::Run(run) => {
                if address != base {
                    return Err(BadFree::NotAnObject);
                }
                if !run.live {
                    return Err(BadFree::Double);
                }
                run.live = false;
                self.live -= run.len;
                let _ = self.idle.push(base, quietly());
                Ok(())
            }
        }
    }
}

fn order_of(bytes: u64) -> u32 {
    bytes.div_ceil(PAGE).next_power_of_two().trailing_zeros()
}

fn map(view: &View, base: u64, pages: &Pages) -> Result {
    for offset in (0..pages.len()).step_by(PAGE as usize) {
        view.map(
            base + offset,
            pages.phys() + offset,
            Perm::ReadWrite,
            Kind::Ram,
        )?;
    }
    Ok(())
}
