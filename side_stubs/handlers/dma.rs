// SPDX-License-Identifier: GPL-2.0

//! DMA: mappings of a domain's memory for its devices, and coherent memory.
//!
//! A driver maps pages that it names by tokens; what counts is where the domain's tables say that
//! they lie. Each mapping is in a ledger by device and bus address, so that one that is undone
//! twice, or with another length or direction, is a breach before the kernel sees it. The pages
//! themselves stay until the domain ends, whatever the driver frees.
//!
//! Coherent memory is made for the device's space (`sys/dma.rs`) and mapped into the view: it obeys
//! the device's mask and any IOMMU, which pages of the domain's heap could not promise. A freed
//! block waits, mapped, for the next request of its size, and goes with its device.
//!
//! Quarantine: a device whose driver died still knows the rings. Its bus mastering is off, but the
//! next driver turns that on before it resets the device, which may write to the old rings in
//! between. So unless an IOMMU made the device forget them, the memory of a dead domain stays until
//! a probe of each of its devices has succeeded, the device is gone, or the module goes.

use super::buffers;
use super::pci::PciDevice;
use crate::call::{errno, int, Call, Outcome, Violation};
use crate::domain::Domain;
use crate::side_stubs::contract::page_to_address;
use crate::sys::access::{quietly, PAGE};
use crate::sys::defer;
use crate::sys::dma::{self, Coherent, Direction, DmaSpace, MAPPING_ERROR};
use crate::sys::lock::BhLock;
use crate::sys::pci::PciRef;
use core::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use kernel::alloc::flags::GFP_ATOMIC;
use kernel::prelude::*;
use kernel::rbtree::{RBTree, RBTreeNodeReservation};
use kernel::sync::Arc;

/// The largest block of coherent memory.
const COHERENT_MAX: u64 = 16 << 20;
/// The largest streaming mapping.
const MAPPING_MAX: u64 = 4 << 20;
/// Streaming mappings that a domain may have: what the watchdog says is asked once a second only.
const MAPPINGS_MAX: u64 = 1 << 18;
/// How often the same memory may be mapped to the same address at a time.
const SAME_MAX: u32 = 1 << 16;

struct Mapping {
    device: Arc<PciDevice>,
    len: u64,
    direction: Direction,
    attributes: u64,
    /// The same memory may be mapped more than once to the same address.
    count: u32,
}

struct Block {
    device: Arc<PciDevice>,
    memory: Coherent,
    /// Bytes that the driver asked for; 0 while the block waits for reuse.
    asked: u64,
}

/// What a domain holds of DMA.
pub(crate) struct State {
    /// Streaming mappings by device (its shadow) and bus address.
    mappings: BhLock<RBTree<(u64, u64), Mapping>>,
    /// How many there are.
    mapped: AtomicU64,
    /// Coherent blocks by domain address.
    blocks: BhLock<RBTree<u64, Block>>,
    /// Memory that is to be freed where sleeping is allowed.
    discarded: BhLock<KVec<Coherent>>,
    /// Spaces of devices that may know addresses of the domain's memory.
    spaces: BhLock<KVec<Arc<DmaSpace>>>,
    /// The domain's memory is, or was, in quarantine.
    quarantined: AtomicBool,
}

/// A dead domain that a device may still write to.
struct Quarantined {
    space: Arc<DmaSpace>,
    domain: Arc<Domain>,
}

/// Dead domains, one entry a device.
static QUARANTINE: BhLock<KVec<Quarantined>> = BhLock::new(KVec::new());

impl State {
    /// How many streaming mappings and coherent blocks there are.
    pub(crate) fn count(&self) -> (u64, u64) {
        let mappings = self.mapped.load(Ordering::Relaxed);
        let blocks = self.blocks.lock();
        let in_use = blocks.values().filter(|block| block.asked != 0).count();
        (mappings, in_use as u64)
    }

    pub(crate) fn new() -> Self {
        State {
            mappings: BhLock::new(RBTree::new()),
            mapped: AtomicU64::new(0),
            blocks: BhLock::new(RBTree::new()),
            discarded: BhLock::new(KVec::new()),
            spaces: BhLock::new(KVec::new()),
            quarantined: AtomicBool::new(false),
        }
    }

    /// Makes the space of a device that a driver of the domain is about to be given.
    pub(super) fn open(&self, device: &PciRef) -> Result<Arc<DmaSpace>> {
        let space = Arc::new(DmaSpace::new(device), GFP_KERNEL)?;
        self.spaces.lock().push(space.clone(), GFP_ATOMIC)?;
        Ok(space)
    }

    /// Gives up the space of a device that no driver was given. Process context.
    pub(super) fn forget(&self, space: &Arc<DmaSpace>) {
        space.release();
        self.remove(space);
    }

    fn remove(&self, space: &Arc<DmaSpace>) {
        let mut spaces = self.spaces.lock();
        let known = spaces.iter().position(|known| Arc::ptr_eq(known, space));
        let known = known.and_then(|n| spaces.remove(n).ok());
        drop(spaces);
        drop(known);
    }

    /// Undoes everything. Bus mastering is off and no upcall runs any more. The memory of a dead
    /// domain goes into quarantine.
    pub(crate) fn release(&self, domain: &Arc<Domain>) {
        if !domain.is_dead() {
            release_if(domain, |_| true);
            return;
        }
        unmap_if(domain, |_| true);
        if self.quarantined.swap(true, Ordering::AcqRel) {
            return;
        }
        loop {
            let space = self.spaces.lock().pop();
            let Some(space) = space else { break };
            space.block();
            if space.device().is_present() && !space.forgets() {
                let entry = Quarantined {
                    space,
                    domain: domain.clone(),
                };
                // Made beforehand, so that nothing is dropped under the lock.
                if QUARANTINE.lock().push(entry, GFP_ATOMIC).is_err() {
                    pr_warn!("{}: no memory for the quarantine\n", domain.name());
                }
            }
        }
        release_unless_quarantined(domain);
    }
}

/// Gives coherent memory back once no device is left that may write to it.
fn release_unless_quarantined(domain: &Arc<Domain>) {
    if !QUARANTINE
        .lock()
        .iter()
        .any(|entry| Arc::ptr_eq(&entry.domain, domain))
    {
        free_if(domain, |_| true);
    }
}

/// Ends the quarantine of the memory that `which` devices knew. Process context.
fn end_quarantine(which: impl Fn(&PciRef) -> bool) {
    loop {
        let entry = {
            let mut list = QUARANTINE.lock();
            let found = list.iter().position(|entry| which(entry.space.device()));
            found.and_then(|n| list.remove(n).ok())
        };
        match entry {
            Some(entry) => {
                entry.space.release();
                release_unless_quarantined(&entry.domain);
            }
            None => return,
        }
    }
}

/// A driver has taken `device` into its hands: it was reset, and knows nothing of older memory.
pub(super) fn probed(device: &PciRef) {
    end_quarantine(|known| known.same(device));
}

/// The module goes, and all quarantine with it.
pub(crate) fn end_all_quarantine() {
    end_quarantine(|_| true);
    // A static is never dropped: the list gives its room back here.
    let list = core::mem::take(&mut *QUARANTINE.lock());
    drop(list);
}

/// Undoes what exists for `device`; a dead domain's coherent memory waits for the quarantine.
pub(crate) fn release_device(domain: &Arc<Domain>, device: &Arc<PciDevice>) {
    if !device.raw.is_present() {
        end_quarantine(|known| known.same(&device.raw));
    }
    if domain.is_dead() {
        unmap_if(domain, |other| Arc::ptr_eq(other, device));
        return;
    }
    release_if(domain, |other| Arc::ptr_eq(other, device));
    domain.dma.remove(&device.space);
}

/// The device is the kernel's again: last step of its release, when it is disabled.
pub(super) fn close(domain: &Arc<Domain>, device: &PciDevice) {
    device.space.block();
    if !domain.is_dead() || device.space.forgets() || !device.raw.is_present() {
        device.space.release();
    }
}

fn release_if(domain: &Arc<Domain>, which: impl Fn(&Arc<PciDevice>) -> bool) {
    unmap_if(domain, &which);
    free_if(domain, &which);
}

fn unmap_if(domain: &Arc<Domain>, which: impl Fn(&Arc<PciDevice>) -> bool) {
    buffers::release(domain, &which);
    let mut from = (0, 0);
    loop {
        let mut mappings = domain.dma.mappings.lock();
        let Some(key) = next(&mut mappings, &from, |m| which(&m.device)) else {
            break;
        };
        from = key;
        let mapping = mappings.remove(&key);
        drop(mappings);
        domain.dma.mapped.fetch_sub(1, Ordering::Relaxed);
        if let Some(m) = mapping {
            for _ in 0..m.count {
                m.device
                    .space
                    .unmap(key.1, m.len, m.direction, m.attributes);
            }
        }
    }
}

/// The first key from `from` on whose value `which` accepts.
fn next<K: Ord + Copy, V>(
    tree: &mut RBTree<K, V>,
    from: &K,
    which: impl Fn(&V) -> bool,
) -> Option<K> {
    let mut cursor = tree.cursor_lower_bound_mut(from)?;
    while !which(cursor.current().1) {
        cursor = cursor.move_next()?;
    }
    Some(*cursor.current().0)
}

/// Gives blocks of coherent memory back. Process context.
fn free_if(domain: &Arc<Domain>, which: impl Fn(&Arc<PciDevice>) -> bool) {
    let mut gone: RBTree<u64, Block> = RBTree::new();
    let mut from = 0;
    loop {
        let mut blocks = domain.dma.blocks.lock();
        let Some(key) = next(&mut blocks, &from, |block| which(&block.device)) else {
            break;
        };
        from = key;
        if let Some(node) = blocks.remove_node(&key) {
            gone.insert(node);
        }
    }
    if gone.is_empty() {
        return;
    }
    for (address, block) in gone.iter() {
        domain.memory.unmap_foreign(*address, block.memory.len());
    }
    domain.memory.settle();
    drop(gone);
}

/// Frees what was [`discarded`](discard). Process context.
fn free_discarded(domain: Arc<Domain>) {
    let gone = core::mem::take(&mut *domain.dma.discarded.lock());
    domain.memory.settle();
    drop(gone);
}

/// Frees memory that was mapped into the view for a moment, in any context: another CPU may have found it
/// there.
fn discard(domain: &Arc<Domain>, memory: Coherent) {
    let mut one = match KVec::with_capacity(1, GFP_ATOMIC) {
        Ok(list) => list,
        Err(_) => return forget(domain, memory),
    };
    let mut discarded = domain.dma.discarded.lock();
    if discarded.is_empty() {
        // Room was made.
        let _ = one.push(memory, GFP_ATOMIC);
        *discarded = one;
    } else if discarded.reserve(1, GFP_ATOMIC).is_ok() {
        let _ = discarded.push(memory, GFP_ATOMIC);
    } else {
        drop(discarded);
        return forget(domain, memory);
    }
    drop(discarded);
    defer::later(domain.clone(), free_discarded);
}

/// There is no memory to remember by which to free this.
fn forget(domain: &Domain, memory: Coherent) {
    pr_warn!("{}: {} bytes are lost\n", domain.name(), memory.len());
    core::mem::forget(memory);
}

/// The device whose `struct device` is argument `n`.
pub(super) fn device(call: &Call<'_>, n: usize) -> Result<Arc<PciDevice>, Violation> {
    let handle = call.arg(n);
    call.domain
        .pci
        .by_device(handle)
        .ok_or(Violation::new("not-a-device", handle))
}

fn direction(value: u32) -> Result<Direction, Violation> {
    Direction::new(value).ok_or(Violation::new("dma-direction", u64::from(value)))
}

/// `dma_set_mask(dev, mask)`
pub(crate) fn set_mask(call: &mut Call<'_>) -> Outcome {
    let device = device(call, 0)?;
    if !device.space.accepts_mask(call.arg(1)) {
        return Ok(errno(EIO));
    }
    let code = dma::set_mask(&device.raw, call.arg(1));
    device.refresh(call.domain)?;
    Ok(int(code))
}

/// `dma_set_coherent_mask(dev, mask)`
pub(crate) fn set_coherent_mask(call: &mut Call<'_>) -> Outcome {
    let device = device(call, 0)?;
    if !device.space.accepts_mask(call.arg(1)) {
        return Ok(errno(EIO));
    }
    let code = dma::set_coherent_mask(&device.raw, call.arg(1));
    device.refresh(call.domain)?;
    Ok(int(code))
}

/// `dma_get_required_mask(dev)`
pub(crate) fn required_mask(call: &mut Call<'_>) -> Outcome {
    Ok(dma::required_mask(&device(call, 0)?.raw))
}

/// `dma_map_page_attrs(dev, page, offset, size, dir, attrs)`
pub(crate) fn map_page(call: &mut Call<'_>) -> Outcome {
    let device = device(call, 0)?;
    let (page, offset, len) = (call.arg(1), call.arg(2), call.arg(3));
    let direction = direction(call.uint(4))?;
    let attributes = call.arg(5);
    let address = page_to_address(page)
        .and_then(|address| address.checked_add(offset))
        .ok_or(Violation::new("not-a-page", page))?;
    if len == 0 || len > MAPPING_MAX {
        return Err(Violation::new("dma-length", len));
    }
    let phys = call.domain.memory.contiguous(address, len)?;
    if let Some(bus) = buffers::map(call.domain, &device, address, len, direction) {
        return Ok(bus);
    }
    let Some(bus) = device.space.map(phys, len, direction, attributes) else {
        return Ok(MAPPING_ERROR);
    };
    match enter(call, &device, bus, len, direction, attributes) {
        Ok(true) => Ok(bus),
        refused => {
            device.space.unmap(bus, len, direction, attributes);
            match refused {
                // No memory for the ledger.
                Ok(_) => Ok(MAPPING_ERROR),
                Err(violation) => Err(violation),
            }
        }
    }
}

/// Enters a mapping in the ledger. False means that there is no memory for it.
fn enter(
    call: &Call<'_>,
    device: &Arc<PciDevice>,
    bus: u64,
    len: u64,
    direction: Direction,
    attributes: u64,
) -> Result<bool, Violation> {
    let key = (device.shadow, bus);
    let mut mappings = call.domain.dma.mappings.lock();
    // Under the lock: either the release after a death sees the mapping, or this sees the death.
    if call.domain.is_dead() {
        return Ok(false);
    }
    // Its pages came to stay mapped meanwhile.
    if buffers::holds(call.domain, device, bus) {
        return Ok(true);
    }
    if let Some(mapping) = mappings.get_mut(&key) {
        if mapping.len != len || mapping.direction != direction {
            return Err(Violation::new("dma-overlap", bus));
        }
        let more = mapping.count < SAME_MAX;
        mapping.count += u32::from(more);
        return Ok(more);
    }
    if call.domain.dma.mapped.load(Ordering::Relaxed) >= MAPPINGS_MAX {
        return Ok(false);
    }
    let mapping = Mapping {
        device: device.clone(),
        len,
        direction,
        attributes,
        count: 1,
    };
    let entered = mappings
        .try_create_and_insert(key, mapping, quietly())
        .is_ok();
    let more = u64::from(entered);
    call.domain.dma.mapped.fetch_add(more, Ordering::Relaxed);
    Ok(entered)
}

/// Takes the mappings of `device` that begin in `[bus, bus + len)` out of the ledger and undoes
/// them: these pages stay mapped from now on.
pub(super) fn absorb(domain: &Domain, device: &Arc<PciDevice>, bus: u64, len: u64) {
    loop {
        let (at, mapping) = {
            let mut mappings = domain.dma.mappings.lock();
            let found = mappings
                .cursor_lower_bound(&(device.shadow, bus))
                .map(|cursor| *cursor.current().0)
                .filter(|(shadow, at)| *shadow == device.shadow && *at < bus + len);
            let Some(key) = found else { return };
            match mappings.remove(&key) {
                Some(mapping) => {
                    domain.dma.mapped.fetch_sub(1, Ordering::Relaxed);
                    (key.1, mapping)
                }
                None => return,
            }
        };
        for _ in 0..mapping.count {
            device
                .space
                .unmap(at, mapping.len, mapping.direction, mapping.attributes);
        }
    }
}

/// `dma_unmap_page_attrs(dev, addr, size, dir, attrs)`
pub(crate) fn unmap_page(call: &mut Call<'_>) -> Outcome {
    let device = device(call, 0)?;
    let (bus, len) = (call.arg(1), call.arg(2));
    let direction = direction(call.uint(3))?;
    if buffers::holds(call.domain, &device, bus) {
        return Ok(0);
    }
    let key = (device.shadow, bus);
    {
        let mut mappings = call.domain.dma.mappings.lock();
        let Some(mapping) = mappings.get_mut(&key) else {
            if buffers::holds(call.domain, &device, bus) {
                return Ok(0);
            }
            return Err(Violation::new("dma-unmap-unknown", bus));
        };
        if mapping.len != len {
            return Err(Violation::new("dma-unmap-length", len));
        }
        if mapping.direction != direction {
            return Err(Violation::new("dma-unmap-direction", bus));
        }
        mapping.count -= 1;
        if mapping.count == 0 {
            mappings.remove(&key);
            call.domain.dma.mapped.fetch_sub(1, Ordering::Relaxed);
        }
    }
    device.space.unmap(bus, len, direction, call.arg(4));
    Ok(0)
}

/// Hands part of a mapping to one side; the part must lie in one mapping.
fn sync(call: &mut Call<'_>, give: fn(&DmaSpace, u64, u64, Direction)) -> Outcome {
    let device = device(call, 0)?;
    let (bus, len) = (call.arg(1), call.arg(2));
    let direction = direction(call.uint(3))?;
    if buffers::holds(call.domain, &device, bus) {
        return Ok(0);
    }
    let inside = {
        let mappings = call.domain.dma.mappings.lock();
        let key = (device.shadow, bus);
        let below = match mappings.cursor_lower_bound(&key) {
            Some(cursor) => {
                let at = cursor.current();
                if *at.0 == key {
                    Some((*at.0, at.1.len))
                } else {
                    cursor.peek_prev().map(|(key, mapping)| (*key, mapping.len))
                }
            }
            None => mappings.cursor_back().map(|cursor| {
                let (key, mapping) = cursor.current();
                (*key, mapping.len)
            }),
        };
        matches!(below, Some(((shadow, start), held)) if shadow == device.shadow
            && bus >= start
            && bus - start <= held
            && len <= held - (bus - start))
    };
    if !inside {
        if buffers::holds(call.domain, &device, bus) {
            return Ok(0);
        }
        return Err(Violation::new("dma-sync-unknown", bus));
    }
    give(&device.space, bus, len, direction);
    Ok(0)
}

/// `__dma_sync_single_for_cpu(dev, addr, size, dir)`
pub(crate) fn sync_for_cpu(call: &mut Call<'_>) -> Outcome {
    sync(call, DmaSpace::sync_for_cpu)
}

/// `__dma_sync_single_for_device(dev, addr, size, dir)`
pub(crate) fn sync_for_device(call: &mut Call<'_>) -> Outcome {
    sync(call, DmaSpace::sync_for_device)
}

/// `dma_alloc_attrs(dev, size, dma_handle, flag, attrs)`
pub(crate) fn alloc(call: &mut Call<'_>) -> Outcome {
    let device = device(call, 0)?;
    allocate(call, device, call.arg(1), call.arg(2))
}

/// Allocates `len` bytes of coherent memory for `device` and writes their bus address to `handle`.
/// Returns their address in the domain, 0 if there is no memory.
pub(super) fn allocate(call: &Call<'_>, device: Arc<PciDevice>, len: u64, handle: u64) -> Outcome {
    // Before anything is held, that the answer can be written at all.
    call.domain.memory.check(handle, 8, true)?;
    if len == 0 || len > COHERENT_MAX {
        return Ok(0);
    }
    let whole = len.div_ceil(PAGE) * PAGE;
    let reused = {
        let mut blocks = call.domain.dma.blocks.lock();
        let found = blocks.iter_mut().find(|(_, block)| {
            block.asked == 0 && block.memory.len() == whole && Arc::ptr_eq(&block.device, &device)
        });
        found.map(|(address, block)| {
            block.asked = len;
            (*address, block.memory.dma())
        })
    };
    if let Some((address, bus)) = reused {
        call.domain.memory.fill(address, 0, whole as usize)?;
        call.write(handle, bus)?;
        return Ok(address);
    }
    let Ok(room) = RBTreeNodeReservation::new(GFP_ATOMIC) else {
        return Ok(0);
    };
    let Ok(memory) = Coherent::new(&device.space, whole, call.may_sleep()) else {
        return Ok(0);
    };
    let bus = memory.dma();
    let Ok(address) = call
        .domain
        .memory
        .map_foreign(whole, |offset| memory.phys(offset))
    else {
        discard(call.domain, memory);
        return Ok(0);
    };
    let block = Block {
        device,
        memory,
        asked: len,
    };
    let left = {
        let mut blocks = call.domain.dma.blocks.lock();
        match call.domain.is_dead() {
            true => Some(block),
            false => {
                blocks.insert(room.into_node(address, block));
                None
            }
        }
    };
    if let Some(block) = left {
        call.domain.memory.unmap_foreign(address, whole);
        discard(call.domain, block.memory);
        return Ok(0);
    }
    call.write(handle, bus)?;
    Ok(address)
}

/// `dma_free_attrs(dev, size, cpu_addr, dma_handle, attrs)`
pub(crate) fn free(call: &mut Call<'_>) -> Outcome {
    let device = device(call, 0)?;
    let (len, address, bus) = (call.arg(1), call.arg(2), call.arg(3));
    if address != 0 {
        give_back(call, &device, len, address, bus)?;
    }
    Ok(0)
}

/// Takes the `len` bytes of coherent memory at `address` back, which must be those of one
/// allocation for `device`.
pub(super) fn give_back(
    call: &Call<'_>,
    device: &Arc<PciDevice>,
    len: u64,
    address: u64,
    bus: u64,
) -> Result<(), Violation> {
    let mut blocks = call.domain.dma.blocks.lock();
    let Some(block) = blocks
        .get_mut(&address)
        .filter(|b| Arc::ptr_eq(&b.device, device))
    else {
        return Err(Violation::new("dma-free-unknown", address));
    };
    if block.asked == 0 {
        return Err(Violation::new("dma-free-twice", address));
    }
    if block.asked != len || block.memory.dma() != bus {
        return Err(Violation::new("dma-free-mismatch", len));
    }
    block.asked = 0;
    Ok(())
}
