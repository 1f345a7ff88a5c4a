// SPDX-License-Identifier: GPL-2.0

//! Packet buffers that are ready beforehand: mapped for DMA for as long as they live, and waiting
//! in each CPU's pool for the driver to take.
//!
//! The first mapping of a buffer of [`super::skb`] maps its whole pages, both ways, and tells ring
//! 3 the bus address by a table that only the kernel writes. From then on mapping, unmapping and
//! handing over the buffer are nothing. A device could reach the buffer's pages before too, during
//! each mapping; received bytes are copied out before anything looks at them, and transmitted ones
//! are a copy. Where the kernel's DMA layer would have to copy or flush, nothing is kept mapped.

use super::pci::PciDevice;
use crate::domain::Domain;
use crate::memory::VirtualCpu;
use crate::side_stubs::contract::*;
use crate::side_stubs::rings::*;
use crate::sys::access::{Window, PAGE};
use crate::sys::cpu;
use crate::sys::dma::Direction;
use crate::sys::lock::BhLock;
use crate::sys::pci::layout;
use core::sync::atomic::{AtomicU8, Ordering};
use kernel::alloc::flags::GFP_ATOMIC;
use kernel::prelude::*;
use kernel::sync::Arc;

/// Pages that stay mapped for a device.
struct Lasting {
    device: Arc<PciDevice>,
    /// Domain address of the first page.
    address: u64,
    len: u64,
    bus: u64,
}

struct Pools {
    lasting: KVVec<Lasting>,
    /// The devices of the table of bus addresses; the first place means none.
    devices: [Option<Arc<PciDevice>>; IOVA_DEVICES as usize],
}

/// What a domain holds of lasting mappings and pools.
pub(crate) struct State {
    pools: BhLock<Pools>,
    /// Whether the driver has asked for buffers that a pool has: small ones, large ones.
    /// Bits by class: 1, 2.
    wanted: AtomicU8,
}

impl State {
    pub(crate) fn new() -> Self {
        State {
            pools: BhLock::new(Pools {
                lasting: KVVec::new(),
                devices: [const { None }; IOVA_DEVICES as usize],
            }),
            wanted: AtomicU8::new(0),
        }
    }

    /// Notes that the driver asked for `len` bytes by the gate.
    pub(super) fn want(&self, len: u32) {
        let class = usize::from(len > super::skb::SMALL_ROOM);
        if len <= super::skb::LARGE_ROOM {
            self.wanted.fetch_or(1 << class, Ordering::Relaxed);
        }
    }
}

fn table_offset(address: u64) -> Option<u64> {
    let n = address.checked_sub(HEAP_BASE)? / PAGE;
    (n < IOVA_PAGES).then_some(n * 8)
}

/// Whether the page at `address` stays mapped.
pub(super) fn is_lasting(domain: &Domain, address: u64) -> bool {
    match (domain.memory.iova(), table_offset(address)) {
        (Some((table, _)), Some(offset)) => table.word(offset) != 0,
        _ => false,
    }
}

/// Whether the bus address `bus` lies in a page that stays mapped for `device`.
pub(super) fn holds(domain: &Domain, device: &PciDevice, bus: u64) -> bool {
    let Some((_, set)) = domain.memory.iova() else {
        return false;
    };
    let page = bus & !(PAGE - 1);
    (0..IOVA_WAYS).any(|n| {
        let word = set.word((iova_slot(bus) + n) * 8);
        let place = CONTROL_DEVICES + word % PAGE * 8;
        word >= PAGE
            && word & !(PAGE - 1) == page
            && word % PAGE < IOVA_DEVICES
            && domain.memory.control(place) == device.shadow + layout::DEV
    })
}

/// The bus address of `len` bytes at `address`, if all of it stays mapped for the device `number`.
fn known(table: Window, number: usize, address: u64, len: u64) -> Option<u64> {
    let base = address & !(PAGE - 1);
    let first = table.word(table_offset(base)?);
    let last = (address + len - 1) & !(PAGE - 1);
    let all = (base..=last).step_by(PAGE as usize).all(|page| {
        table_offset(page).is_some_and(|place| table.word(place) == first + (page - base))
    });
    (all && first >= PAGE && first % PAGE == number as u64)
        .then_some((first & !(PAGE - 1)) + (address - base))
}

/// The bus address of `len` bytes at `address` for `device`, if they stay mapped or belong to a
/// packet buffer that can be mapped so now.
///
/// What stays mapped is used in every mode, and what was mapped by a gate in the same pages is made
/// part of it: a mapping may be made in one mode and undone in another, where nobody would look for
/// it in the ledger.
pub(super) fn map(
    domain: &Arc<Domain>,
    device: &Arc<PciDevice>,
    address: u64,
    len: u64,
    direction: Direction,
) -> Option<u64> {
    let (table, set) = domain.memory.iova()?;
    let wanted = match direction {
        Direction::ToDevice => TRANSMIT_SLOTS,
        _ => RECEIVE_POOL,
    };
    if !domain.has(wanted) && !is_lasting(domain, address) {
        // Neither is there a mapping nor is one wanted: the base mode takes no lock for that.
        return None;
    }
    let mut pools = domain.buffers.pools.lock();
    // Under the lock: either the release after a death sees the mapping, or this sees the death.
    if domain.is_dead() {
        return None;
    }
    let number = pools.devices.iter().position(|known| {
        known
            .as_ref()
            .is_some_and(|known| Arc::ptr_eq(known, device))
    });
    if let Some(bus) = number.and_then(|number| known(table, number, address, len)) {
        return Some(bus);
    }
    if !domain.has(wanted) {
        return None;
    }
    let (start, size) = domain.memory.object(address)?;
    domain.skb.table.get(start)?;
    if address + len > start + size {
        return None;
    }
    let base = start & !(PAGE - 1);
    let whole = (start + size).next_multiple_of(PAGE) - base;
    table_offset(base + whole - 1)?;
    // Mapped for another device already.
    if table.word(table_offset(base)?) != 0 {
        return None;
    }
    let number = match number {
        Some(number) => number,
        None => {
            let free = (1..pools.devices.len()).find(|n| pools.devices[*n].is_none())?;
            pools.devices[free] = Some(device.clone());
            let place = CONTROL_DEVICES + free as u64 * 8;
            domain
                .memory
                .set_control(place, device.shadow + layout::DEV);
            free
        }
    };
    pools.lasting.reserve(1, GFP_ATOMIC).ok()?;
    let phys = domain.memory.contiguous(base, whole).ok()?;
    if device.space.needs_sync() {
        return None;
    }
    let bus = device.space.map(phys, whole, Direction::Both, 0)?;
    if bus % PAGE != 0 || device.space.needs_sync() || !enter(set, number, bus, whole) {
        device.space.unmap(bus, whole, Direction::Both, 0);
        return None;
    }
    // Those who undo a mapping look into the set, the ledger, and the set again, so that one of
    // them has it.
    super::dma::absorb(domain, device, bus, whole);
    for offset in (0..whole).step_by(PAGE as usize) {
        if let Some(place) = table_offset(base + offset) {
            table.set_word(place, (bus + offset) | number as u64);
        }
    }
    let entry = Lasting {
        device: device.clone(),
        address: base,
        len: whole,
        bus,
    };
    // Room was reserved.
    let _ = pools.lasting.push(entry, GFP_ATOMIC);
    Some(bus + (address - base))
}

/// Enters the pages of `[bus, bus + len)` in the set for the device `number`. All or none.
fn enter(set: Window, number: usize, bus: u64, len: u64) -> bool {
    for offset in (0..len).step_by(PAGE as usize) {
        let first = iova_slot(bus + offset);
        let free = (0..IOVA_WAYS).find(|n| set.word((first + n) * 8) == 0);
        match free {
            Some(n) => set.set_word((first + n) * 8, (bus + offset) | number as u64),
            None => {
                leave(set, number, bus, offset);
                return false;
            }
        }
    }
    true
}

fn leave(set: Window, number: usize, bus: u64, len: u64) {
    for offset in (0..len).step_by(PAGE as usize) {
        let first = iova_slot(bus + offset);
        for n in 0..IOVA_WAYS {
            if set.word((first + n) * 8) == (bus + offset) | number as u64 {
                set.set_word((first + n) * 8, 0);
            }
        }
    }
}

/// Undoes the lasting mappings of the devices that `which` says.
pub(super) fn release(domain: &Arc<Domain>, which: impl Fn(&Arc<PciDevice>) -> bool) {
    let Some((table, set)) = domain.memory.iova() else {
        return;
    };
    loop {
        let entry = {
            let mut pools = domain.buffers.pools.lock();
            let found = pools.lasting.iter().position(|entry| which(&entry.device));
            let entry = found.and_then(|n| pools.lasting.remove(n).ok());
            if let Some(entry) = &entry {
                let number =
                    table_offset(entry.address).map_or(0, |place| table.word(place) % PAGE);
                for offset in (0..entry.len).step_by(PAGE as usize) {
                    if let Some(place) = table_offset(entry.address + offset) {
                        table.set_word(place, 0);
                    }
                }
                leave(set, number as usize, entry.bus, entry.len);
            }
            entry
        };
        let Some(entry) = entry else { break };
        entry
            .device
            .space
            .unmap(entry.bus, entry.len, Direction::Both, 0);
    }
    for n in 1..IOVA_DEVICES as usize {
        let gone = {
            let mut pools = domain.buffers.pools.lock();
            match &pools.devices[n] {
                Some(device) if which(device) => pools.devices[n].take(),
                _ => None,
            }
        };
        if gone.is_some() {
            domain.memory.set_control(CONTROL_DEVICES + n as u64 * 8, 0);
        }
        drop(gone);
    }
}

/// The first free place in the pool of `class` of the running CPU, with its CPU, if the driver takes buffers from
/// there. Bottom halves are off.
pub(super) fn free_place(domain: &Domain, class: usize) -> Option<(&VirtualCpu, u64)> {
    if !domain.has(RECEIVE_POOL) || domain.buffers.wanted.load(Ordering::Relaxed) >> class & 1 == 0
    {
        return None;
    }
    let cpu = domain.memory.cpu(cpu::id())?;
    let count = left(cpu.pools[class].0.get());
    (count < POOL_ENTRIES).then_some((cpu, count))
}

/// Puts the buffer at `handle` into the place that [`free_place`] gave.
pub(super) fn put(cpu: &VirtualCpu, class: usize, place: u64, handle: u64) {
    let (count, places) = &cpu.pools[class];
    if let Some(place) = places.get(place) {
        place.set::<_, 0>(handle);
    }
    count.set(place + 1);
}

/// Fills the pools of the running CPU for an upcall that may take buffers from them. Bottom halves
/// are off.
#[inline(always)]
pub(crate) fn fill(domain: &Arc<Domain>, cpu: &VirtualCpu) {
    let wanted = domain.buffers.wanted.load(Ordering::Relaxed);
    if wanted & 1 != 0 && left(cpu.pools[0].0.get()) <= POOL_ENTRIES / 2 {
        fill_one(domain, cpu, 0);
    }
    if wanted & 2 != 0 && left(cpu.pools[1].0.get()) <= POOL_ENTRIES / 2 {
        fill_one(domain, cpu, 1);
    }
}

#[inline(never)]
fn fill_one(domain: &Arc<Domain>, cpu: &VirtualCpu, class: usize) {
    let (on_hand, places) = &cpu.pools[class];
    let mut filled = left(on_hand.get());
    while filled < POOL_ENTRIES {
        let Some(handle) = super::skb::prepared(domain, class) else {
            break;
        };
        if let Some(place) = places.get(filled) {
            place.set::<_, 0>(handle);
        }
        filled += 1;
    }
    on_hand.set(filled);
}
