// SPDX-License-Identifier: GPL-2.0

//! Packet buffers: the shadows of `sk_buff` and their data in the domain's memory.
//!
//! A buffer is one physically contiguous object of the domain's heap: the shadow structure, room
//! for the data, and the shared information at the data's end, as the driver's inlined code looks
//! for it. Buffers are kept for reuse, so a packet costs no allocation. For each buffer the kernel
//! remembers where its data begins and ends and whose it is; what the driver writes into the shadow
//! is a claim that is checked when the packet crosses.

use super::buffers;
use super::fragments::{put_fragments, put_page, trim_fragments};
use super::net::NetDevice;
use super::slots::Slots;
use crate::call::{Call, Outcome, Violation};
use crate::domain::Domain;
use crate::fault_handler::watch::ToSend;
use crate::objects::Table;
use crate::side_stubs::contract::address_to_page;
use crate::side_stubs::packet::ETH_HLEN;
use crate::side_stubs::rings::SKB_SLOT;
use crate::sys::access::{Fault, Window, Words, PAGE};
use crate::sys::layout::PAGE_REFCOUNT;
use crate::sys::lock::BhLock;
use crate::sys::net_layout::*;
use crate::sys::skb::Packet;
use core::sync::atomic::{AtomicU64, Ordering};
use kernel::alloc::flags::GFP_ATOMIC;
use kernel::prelude::*;
use kernel::sync::Arc;

/// Bytes of a buffer before its data: the shadow `sk_buff` and padding.
pub(crate) const HEAD: u64 = 256;
/// Sizes of buffers, as powers of two.
const SHIFTS: [u32; 6] = [10, 11, 12, 14, 16, 18];
pub(super) const CLASSES: usize = SHIFTS.len();
/// Buffers of a class that wait for reuse, at most; those that stay mapped for DMA all wait.
const KEEP: usize = 512;
/// Which of these sizes the buffers of the two pools have, a small and a large one.
const POOLS: [usize; 2] = [0, 2];
/// Room for data and headroom in them: all of it.
const ROOM: [u64; 2] = [
    ((1 << SHIFTS[POOLS[0]]) - HEAD - SHARED_SIZE as u64) / 64 * 64,
    ((1 << SHIFTS[POOLS[1]]) - HEAD - SHARED_SIZE as u64) / 64 * 64,
];
/// The most bytes that a driver may ask of each pool.
pub(crate) const SMALL_ROOM: u32 = ROOM[0] as u32 - SKB_PAD;
pub(crate) const LARGE_ROOM: u32 = ROOM[1] as u32 - SKB_PAD;
/// The largest linear buffer that a driver may ask for.
const MAX_LINEAR: u32 = 1 << 17;

/// What a buffer is at the moment.
pub(crate) enum Held {
    /// Waits for reuse; the driver has let go of it.
    Free,
    /// On its way out: the real packet goes when the driver frees this one.
    Transmit {
        packet: Packet,
        device: Arc<NetDevice>,
        queue: u32,
        bytes: u32,
        /// Its turn among all packets that were handed over.
        turn: u64,
    },
    /// Allocated by the driver.
    Receive { pulled: bool },
}

/// Buffers that a driver holds.
pub(crate) struct Count {
    pub(crate) received: u64,
    pub(crate) sent: u64,
    /// Those to send of interfaces that have a carrier.
    pub(crate) to_send: ToSend,
}

/// One buffer.
pub(crate) struct Skb {
    /// The driver's `struct sk_buff *`.
    pub(crate) address: u64,
    class: usize,
    /// Its place in the list of buffers, which the ring-3 library finds in the block.
    slot: u32,
    /// The kernel's own way to the whole block.
    pub(crate) window: Window,
    /// What the buffer is, and where the shared information of its data begins.
    pub(crate) held: BhLock<(Held, u64)>,
    /// The data is a page fragment of the driver's that begins here; 0 where it follows the shadow.
    fragment: AtomicU64,
}

impl Skb {
    /// Where the room for data begins.
    pub(crate) fn head(&self) -> u64 {
        match self.fragment.load(Ordering::Relaxed) {
            0 => self.address + HEAD,
            fragment => fragment,
        }
    }

    /// Copies bytes of the data or of the shared information at `address`, each once.
    pub(crate) fn read_data(
        &self,
        domain: &Domain,
        address: u64,
        bytes: &mut [u8],
    ) -> Result<(), Fault> {
        match self.fragment.load(Ordering::Relaxed) {
            0 => self.window.read(address.wrapping_sub(self.address), bytes),
            _ => domain.memory.read_bytes(address, bytes),
        }
    }

    /// Of the shared information at `end`, as the driver left it: how many fragments there are, and
    /// the time stamp. Each is read once.
    #[inline(always)]
    pub(super) fn shared(&self, domain: &Domain, end: u64) -> Result<(u8, i64), Fault> {
        if self.fragment.load(Ordering::Relaxed) != 0 {
            return self.shared_elsewhere(domain, end);
        }
        let place = end.wrapping_sub(self.address);
        let shared = self.window.part::<SHARED_FRAGS>(place)?;
        Ok((
            shared.get::<_, SHARED_NR_FRAGS>(),
            shared.get::<_, SHARED_HWTSTAMP>(),
        ))
    }

    /// [`Skb::shared`] of a buffer around a fragment.
    #[inline(never)]
    fn shared_elsewhere(&self, domain: &Domain, end: u64) -> Result<(u8, i64), Fault> {
        let memory = &domain.memory;
        let count = memory.read(end + SHARED_NR_FRAGS as u64)?;
        Ok((count, memory.read(end + SHARED_HWTSTAMP as u64)?))
    }

    /// Takes what the buffer is from the driver, which frees it, with where its data's shared information begins.
    #[inline(always)]
    fn take_held(&self) -> Result<(Held, u64), Violation> {
        let mut held = self.held.lock();
        match core::mem::replace(&mut held.0, Held::Free) {
            Held::Free => Err(Violation::new("skb-freed-twice", self.address)),
            taken => Ok((taken, held.1)),
        }
    }

    /// The driver lets go of a reference: `skb_get` is inlined, so the count is its own business. Whether that was
    /// the last one.
    #[inline(always)]
    fn is_last_use(&self) -> Result<bool, Fault> {
        let shadow = self.window.part::<SKB_SIZE>(0)?;
        let users: u32 = shadow.get::<_, SKB_USERS>();
        if users > 1 {
            shadow.set::<_, SKB_USERS>(users - 1);
        }
        Ok(users <= 1)
    }

    /// The buffer, which is [`Held::Free`], becomes what `held` says, with its shared information at `end`.
    #[inline(always)]
    pub(super) fn hold(&self, held: Held, end: u64) {
        let before = core::mem::replace(&mut *self.held.lock(), (held, end));
        match before.0 {
            Held::Free => core::mem::forget(before),
            _ => drop(before),
        }
    }

    /// Where the room for data begins and ends, of a buffer that the driver holds. Both of one
    /// moment: a buffer around a fragment loses that when it is freed.
    pub(super) fn bounds(&self) -> Result<(u64, u64), Violation> {
        let held = self.held.lock();
        match held.0 {
            Held::Free => Err(Violation::new("not-an-skb", self.address)),
            _ => Ok((self.head(), held.1)),
        }
    }
}

/// The packet buffers of a domain.
pub(crate) struct State {
    pub(crate) table: Table<Skb>,
    slots: BhLock<Slots>,
}

impl State {
    pub(crate) fn new() -> Self {
        State {
            table: Table::new(),
            slots: BhLock::new(Slots::new()),
        }
    }

    /// The buffer at `handle`, which the driver says is in `slot`.
    pub(crate) fn in_slot(&self, handle: u64, slot: u64) -> Result<Arc<Skb>, Violation> {
        let slots = self.slots.lock();
        let skb = slots.find(slot, handle);
        skb.cloned().ok_or(Violation::new("not-an-skb", handle))
    }

    /// Takes a buffer with `bytes` in all, the shadow included. Its contents are left over.
    #[inline(always)]
    pub(crate) fn take(&self, domain: &Domain, bytes: u64) -> Result<Arc<Skb>> {
        let class = SHIFTS
            .iter()
            .position(|shift| bytes <= 1 << shift)
            .ok_or(ENOMEM)?;
        let waiting = self.slots.lock().reuse(class);
        match waiting {
            Some(skb) => Ok(skb),
            None => self.fresh(domain, class),
        }
    }

    /// A buffer of the class that is not one of those that wait for reuse.
    #[inline(never)]
    fn fresh(&self, domain: &Domain, class: usize) -> Result<Arc<Skb>> {
        let size = 1 << SHIFTS[class];
        let address = domain.memory.alloc_dirty(size)?;
        let made = self.make(domain, address, size, class);
        if made.is_err() {
            let _ = domain.memory.free(address);
        }
        made
    }

    fn make(&self, domain: &Domain, address: u64, size: u64, class: usize) -> Result<Arc<Skb>> {
        let window = domain.memory.window(address, size).ok_or(EFAULT)?;
        let slot = self.slots.lock().reserve()?;
        let skb = Skb {
            address,
            class,
            slot,
            window,
            held: BhLock::new((Held::Free, address)),
            fragment: AtomicU64::new(0),
        };
        let entered = Arc::new(skb, GFP_ATOMIC)
            .map_err(Error::from)
            .and_then(|skb| self.table.insert(address, skb.clone()).map(|()| skb));
        window.set_word(SKB_SLOT, slot.into());
        self.slots.lock().set(slot, entered.as_ref().ok().cloned());
        entered
    }

    /// Keeps a buffer that is [`Held::Free`] for reuse.
    pub(crate) fn keep(&self, domain: &Domain, skb: &Skb) {
        let mut slots = self.slots.lock();
        if slots.waiting(skb.class) < KEEP || buffers::is_lasting(domain, skb.address) {
            // Without room to note it, the memory stays with the domain and is lost until its end.
            slots.keep(skb.class, skb.slot);
            return;
        }
        drop(slots);
        if self.table.remove(skb.address).is_some() {
            self.slots.lock().set(skb.slot, None);
            let _ = domain.memory.free(skb.address);
        }
    }

    /// The buffer that the driver holds at `handle`.
    pub(crate) fn get(&self, handle: u64) -> Result<Arc<Skb>, Violation> {
        self.table
            .get(handle)
            .ok_or(Violation::new("not-an-skb", handle))
    }

    /// How many buffers the driver holds.
    pub(crate) fn count(&self) -> Count {
        let mut count = Count {
            received: 0,
            sent: 0,
            to_send: ToSend::default(),
        };
        for (_, skb) in self.table.iter() {
            match &skb.held.lock().0 {
                Held::Free => {}
                Held::Transmit { device, turn, .. } => {
                    count.sent += 1;
                    if device.real.has_carrier() {
                        count.to_send.add(*turn);
                    }
                }
                Held::Receive { .. } => count.received += 1,
            }
        }
        count
    }

    /// Frees every real packet that the driver held; those to transmit wait for the next driver.
    /// Process context; the driver runs no more.
    pub(crate) fn release(&self, _domain: &Arc<Domain>) {
        for (_, skb) in self.table.iter() {
            let held = core::mem::replace(&mut skb.held.lock().0, Held::Free);
            match held {
                Held::Transmit {
                    packet,
                    device,
                    queue,
                    turn,
                    ..
                } => device.unsent(packet, queue, turn),
                other => drop(other),
            }
        }
    }
}

/// The fields of a shadow that a handler changes, read once.
#[derive(Clone, Copy)]
pub(crate) struct Fields {
    pub(crate) len: u32,
    pub(crate) data_len: u32,
    pub(crate) tail: u32,
    pub(crate) data: u64,
}

/// Reads the lengths and pointers of the shadow at `skb`.
pub(crate) fn fields(domain: &Domain, skb: u64) -> Result<Fields, Fault> {
    let memory = &domain.memory;
    Ok(Fields {
        len: memory.read(skb + SKB_LEN as u64)?,
        data_len: memory.read(skb + SKB_DATA_LEN as u64)?,
        tail: memory.read(skb + SKB_TAIL as u64)?,
        data: memory.read(skb + SKB_DATA as u64)?,
    })
}

/// Puts a number into an image of a structure that is being built.
pub(crate) fn put<const N: usize>(image: &mut [u8], offset: usize, bytes: [u8; N]) {
    if let Some(place) = image.get_mut(offset..offset + N) {
        place.copy_from_slice(&bytes);
    }
}

/// Makes an empty buffer for `len` bytes after `pad` bytes of headroom. Returns its handle, 0 if
/// memory is short.
pub(crate) fn allocate(domain: &Domain, device: u64, len: u32, pad: u32) -> Outcome {
    if len > MAX_LINEAR {
        return Ok(0);
    }
    let room = (u64::from(len) + u64::from(pad)).div_ceil(64) * 64;
    let Ok(skb) = domain.skb.take(domain, HEAD + room + SHARED_SIZE as u64) else {
        return Ok(0);
    };
    set_up(domain, &skb, device, room, pad)?;
    Ok(skb.address)
}

/// A buffer for the pool of `class` that waits for the driver to take it.
pub(super) fn prepared(domain: &Domain, class: usize) -> Option<u64> {
    let bytes = HEAD + ROOM[class] + SHARED_SIZE as u64;
    let skb = domain.skb.take(domain, bytes).ok()?;
    set_up(domain, &skb, 0, ROOM[class], SKB_PAD).ok()?;
    Some(skb.address)
}

/// Makes `skb` an empty buffer with `room` bytes, `pad` of them before the data.
fn set_up(domain: &Domain, skb: &Skb, device: u64, room: u64, pad: u32) -> Result<(), Violation> {
    start(domain, skb, device, pad, room)?;
    skb.hold(Held::Receive { pulled: false }, skb.head() + room);
    Ok(())
}

/// Fills the shadow `skb` in as an empty buffer of `room` bytes, `pad` of them headroom.
#[inline(always)]
fn start(domain: &Domain, skb: &Skb, device: u64, pad: u32, room: u64) -> Result<(), Violation> {
    let head = skb.head();
    let mut shadow = Words::ZERO;
    shadow.put::<_, SKB_DEV>(device);
    shadow.put::<_, SKB_HEAD>(head);
    shadow.put::<_, SKB_DATA>(head + u64::from(pad));
    shadow.put::<_, SKB_TAIL>(pad);
    shadow.put::<_, SKB_END>(room as u32);
    shadow.put::<_, SKB_TRUESIZE>((room + HEAD) as u32 + SHARED_SIZE as u32);
    shadow.put::<_, SKB_USERS>(1u32);
    shadow.put::<_, SKB_MAC>(u16::MAX);
    shadow.put::<_, SKB_TRANSPORT>(u16::MAX);
    shadow.put::<u64, { SKB_SLOT as usize }>(skb.slot.into());
    skb.window
        .part::<{ HEAD as usize }>(0)?
        .fill::<{ HEAD as usize / 8 }>(shadow);
    match skb.fragment.load(Ordering::Relaxed) {
        0 => {
            let mut shared = Words::ZERO;
            shared.put::<_, SHARED_DATAREF>(1u32);
            skb.window
                .part::<SHARED_FRAGS>(HEAD + room)?
                .fill::<{ SHARED_FRAGS / 8 }>(shared);
        }
        _ => start_elsewhere(domain, head + room)?,
    }
    Ok(())
}

/// Fills in the shared information at `end` of a buffer around a fragment.
#[inline(never)]
fn start_elsewhere(domain: &Domain, end: u64) -> Result<(), Violation> {
    let mut shared = [0; SHARED_FRAGS];
    put(&mut shared, SHARED_DATAREF, 1u32.to_ne_bytes());
    Ok(domain.memory.write_bytes(end, &shared)?)
}

/// `napi_build_skb(data, size)`: a buffer around the page fragment at `data`, which it owns from
/// now on.
pub(crate) fn build(call: &mut Call<'_>) -> Outcome {
    let (data, size) = (call.arg(0), u64::from(call.uint(1)));
    let bad = Violation::new("bad-fragment", data);
    let (begin, len) = call.domain.memory.object(data).ok_or(bad)?;
    let shared = (SHARED_SIZE as u64).div_ceil(64) * 64;
    if size <= shared || data - begin > len || size > len - (data - begin) {
        return Err(bad);
    }
    // Its page is one that `put_page` can let go of.
    let users: u32 = call
        .read(address_to_page(begin) + PAGE_REFCOUNT)
        .map_err(|_| bad)?;
    if begin % PAGE != 0 || users == 0 {
        return Err(bad);
    }
    let Ok(skb) = call.domain.skb.take(call.domain, HEAD) else {
        return Ok(0);
    };
    skb.fragment.store(data, Ordering::Relaxed);
    start(call.domain, &skb, 0, 0, size - shared)?;
    skb.hold(Held::Receive { pulled: false }, data + size - shared);
    Ok(skb.address)
}

/// The driver frees the buffer at `handle`: its reference goes, and with the last one the packet.
pub(crate) fn free(domain: &Arc<Domain>, handle: u64, sent: bool) -> Result<(), Violation> {
    let skb = domain.skb.get(handle)?;
    free_buffer(domain, skb, sent)
}

/// As [`free`] of the buffer at `handle` that the driver says is in `slot`. Returns the device whose queue is to
/// be told, if it was a packet on its way out. Bottom halves are off.
#[inline]
pub(super) fn free_in_slot(
    domain: &Arc<Domain>,
    handle: u64,
    slot: u64,
    sent: bool,
) -> Result<Option<Arc<NetDevice>>, Violation> {
    let mut slots = domain.skb.slots.lock();
    let found = slots.find(slot, handle);
    let skb = found.ok_or(Violation::new("not-an-skb", handle))?;
    let (class, slot) = (skb.class, skb.slot);
    if !skb.is_last_use()? {
        return Ok(None);
    }
    let mut held = skb.held.lock();
    if !matches!(held.0, Held::Transmit { .. }) || slots.waiting(class) >= KEEP {
        drop(held);
        let skb = skb.clone();
        drop(slots);
        return let_go(domain, skb, sent, None).map(|()| None);
    }
    let Held::Transmit {
        packet,
        device,
        queue,
        bytes,
        ..
    } = core::mem::replace(&mut held.0, Held::Free)
    else {
        return Ok(None);
    };
    drop(held);
    slots.keep(class, slot);
    drop(slots);
    device.is_sent(packet, sent, queue, bytes);
    Ok(Some(device))
}

/// As [`free`] for a buffer that is found already.
pub(crate) fn free_buffer(
    domain: &Arc<Domain>,
    skb: Arc<Skb>,
    sent: bool,
) -> Result<(), Violation> {
    match skb.is_last_use()? {
        true => let_go(domain, skb, sent, None),
        false => Ok(()),
    }
}

/// As [`free_buffer`] of the last reference, whatever the driver's count says. `fragments` is how many of a
/// received packet there are, if that was read.
#[inline(never)]
pub(super) fn let_go(
    domain: &Arc<Domain>,
    skb: Arc<Skb>,
    sent: bool,
    fragments: Option<u8>,
) -> Result<(), Violation> {
    let (held, end) = skb.take_held()?;
    match held {
        // Is not taken.
        Held::Free => return Ok(()),
        Held::Transmit {
            packet,
            device,
            queue,
            bytes,
            ..
        } => device.is_sent(packet, sent, queue, bytes),
        Held::Receive { .. } => let_go_received(domain, &skb, end, fragments)?,
    }
    domain.skb.keep(domain, &skb);
    Ok(())
}

impl NetDevice {
    /// The driver has let go of a packet of queue `n`, which had so many `bytes` for the queue's limits.
    #[inline(always)]
    fn is_sent(&self, packet: Packet, sent: bool, n: u32, bytes: u32) {
        match sent {
            true => {
                self.sent_some.store(true, Ordering::Relaxed);
                packet.consume();
            }
            false => drop(packet),
        }
        self.finished(n, bytes);
    }
}

/// Gives what a buffer for reception was made of back: its fragments, as [`let_go`] says, and the one it lies in.
#[inline(never)]
fn let_go_received(
    domain: &Arc<Domain>,
    skb: &Skb,
    end: u64,
    fragments: Option<u8>,
) -> Result<(), Violation> {
    let count = match fragments {
        Some(count) => count,
        None => skb.shared(domain, end)?.0,
    };
    if count != 0 {
        put_fragments(domain, skb, end, count)?;
    }
    let fragment = skb.fragment.swap(0, Ordering::Relaxed);
    if fragment != 0 {
        put_page(domain, address_to_page(fragment))?;
    }
    Ok(())
}

/// As [`let_go`] of a received packet with so many `fragments` that the stack has a copy of. A driver that takes its
/// buffers from a pool receives into this one again. `before` is what the buffer was when the packet was looked at:
/// pulled or not, and where its shared information begins. Bottom halves are off.
pub(super) fn recycle(
    domain: &Arc<Domain>,
    skb: Arc<Skb>,
    before: (bool, u64),
    fragments: u8,
) -> Result<(), Violation> {
    let plain = fragments == 0 && skb.fragment.load(Ordering::Relaxed) == 0;
    let pool = POOLS.iter().position(|class| plain && *class == skb.class);
    let place = pool.and_then(|pool| Some((pool, buffers::free_place(domain, pool)?)));
    let Some((pool, (cpu, place))) = place else {
        return let_go(domain, skb, true, Some(fragments));
    };
    let room = ROOM[pool];
    let fresh = (false, skb.address.wrapping_add(HEAD + room));
    // Most are as they will be, and need no look at who else frees them meanwhile: what lies in a pool is the driver's
    // word alone, and each use of it is checked.
    if before != fresh {
        match &mut *skb.held.lock() {
            (Held::Receive { pulled }, end) => (*pulled, *end) = fresh,
            _ => return Err(Violation::new("skb-freed-twice", skb.address)),
        }
    }
    start(domain, &skb, 0, SKB_PAD, room)?;
    buffers::put(cpu, pool, place, skb.address);
    Ok(())
}

/// `__alloc_skb(size, gfp, flags, node)`.
pub(crate) fn alloc(call: &mut Call<'_>) -> Outcome {
    allocate(call.domain, 0, call.uint(0), 0)
}

/// `__netdev_alloc_skb(dev, length, gfp)`.
pub(crate) fn netdev_alloc(call: &mut Call<'_>) -> Outcome {
    if call.arg(0) != 0 {
        call.domain.net.device(call.arg(0))?;
    }
    call.domain.buffers.want(call.uint(1));
    allocate(call.domain, call.arg(0), call.uint(1), SKB_PAD)
}

/// `napi_alloc_skb(napi, length)`.
pub(crate) fn napi_alloc(call: &mut Call<'_>) -> Outcome {
    let napi = call.domain.net.napis.get(call.arg(0));
    let napi = napi.ok_or(Violation::new("not-a-napi", call.arg(0)))?;
    call.domain.buffers.want(call.uint(1));
    allocate(call.domain, napi.device.handle, call.uint(1), SKB_PAD)
}

/// `skb_put(skb, len)`: returns where the new bytes begin.
pub(crate) fn put_bytes(call: &mut Call<'_>) -> Outcome {
    let (handle, more) = (call.arg(0), call.uint(1));
    let skb = call.domain.skb.get(handle)?;
    let (head, end) = skb.bounds()?;
    let f = fields(call.domain, handle)?;
    let tail = u64::from(f.tail) + u64::from(more);
    if f.data_len != 0 || tail > end - head {
        return Err(Violation::new("skb-over-end", tail));
    }
    call.write(handle + SKB_TAIL as u64, tail as u32)?;
    call.write(handle + SKB_LEN as u64, f.len.wrapping_add(more))?;
    Ok(head + u64::from(f.tail))
}

/// `skb_push(skb, len)`.
pub(crate) fn push_bytes(call: &mut Call<'_>) -> Outcome {
    let (handle, more) = (call.arg(0), call.uint(1));
    let skb = call.domain.skb.get(handle)?;
    let (head, end) = skb.bounds()?;
    let f = fields(call.domain, handle)?;
    let data = f.data.wrapping_sub(u64::from(more));
    if data < head || data > end {
        return Err(Violation::new("skb-under-head", data));
    }
    call.write(handle + SKB_DATA as u64, data)?;
    call.write(handle + SKB_LEN as u64, f.len.wrapping_add(more))?;
    Ok(data)
}

/// `skb_pull(skb, len)`.
pub(crate) fn pull_bytes(call: &mut Call<'_>) -> Outcome {
    let (handle, less) = (call.arg(0), call.uint(1));
    call.domain.skb.get(handle)?;
    let f = fields(call.domain, handle)?;
    if f.data_len > f.len || less > f.len - f.data_len {
        return Ok(0);
    }
    let data = f.data.wrapping_add(u64::from(less));
    call.write(handle + SKB_DATA as u64, data)?;
    call.write(handle + SKB_LEN as u64, f.len - less)?;
    Ok(data)
}

/// `___pskb_trim(skb, len)`, which never fails on a shadow.
pub(crate) fn trim_status(call: &mut Call<'_>) -> Outcome {
    trim(call).map(|_| 0)
}

/// `skb_trim(skb, len)`.
pub(crate) fn trim(call: &mut Call<'_>) -> Outcome {
    let (handle, len) = (call.arg(0), call.uint(1));
    let skb = call.domain.skb.get(handle)?;
    let f = fields(call.domain, handle)?;
    if f.len <= len {
        return Ok(0);
    }
    if f.data_len > f.len {
        return Err(Violation::new("skb-length", f.data_len.into()));
    }
    let linear = f.len - f.data_len;
    if len >= linear {
        return trim_fragments(call, &skb, len, len - linear);
    }
    if f.data_len != 0 {
        trim_fragments(call, &skb, len, 0)?;
    }
    let tail = f.data.wrapping_sub(skb.head()).wrapping_add(u64::from(len));
    call.write(handle + SKB_LEN as u64, len)?;
    call.write(handle + SKB_TAIL as u64, tail as u32)?;
    Ok(0)
}

/// `pskb_expand_head(skb, nhead, ntail, gfp)`: the shadow's data is the driver's own and is never
/// shared, so only a request for room can ask for something, and rooms are fixed.
pub(crate) fn expand_head(call: &mut Call<'_>) -> Outcome {
    let (handle, before, after) = (call.arg(0), call.uint(1), call.uint(2));
    let skb = call.domain.skb.get(handle)?;
    let (head, end) = skb.bounds()?;
    let f = fields(call.domain, handle)?;
    let headroom = f.data.saturating_sub(head);
    let tailroom = (end - head).saturating_sub(f.tail.into());
    let fits = u64::from(before) <= headroom && u64::from(after) <= tailroom;
    Ok(if fits { 0 } else { crate::call::errno(ENOMEM) })
}

/// `__skb_pad(skb, pad, free_on_error)`: zeroes behind the data.
pub(crate) fn pad(call: &mut Call<'_>) -> Outcome {
    let (handle, pad) = (call.arg(0), call.uint(1));
    let skb = call.domain.skb.get(handle)?;
    let (head, end) = skb.bounds()?;
    let f = fields(call.domain, handle)?;
    let tail = head + u64::from(f.tail);
    if f.data_len != 0 || tail + u64::from(pad) > end {
        if call.arg(2) & 1 != 0 {
            free(call.domain, handle, false)?;
        }
        return Ok(crate::call::errno(ENOMEM));
    }
    call.domain.memory.fill(tail, 0, pad as usize)?;
    Ok(0)
}

/// `eth_type_trans(skb, dev)` on a shadow. The kernel does it again on the real packet.
pub(crate) fn eth_type_trans(call: &mut Call<'_>) -> Outcome {
    let (handle, device) = (call.arg(0), call.arg(1));
    call.domain.net.device(device)?;
    let skb = call.domain.skb.get(handle)?;
    let (head, end) = skb.bounds()?;
    let f = fields(call.domain, handle)?;
    if f.data < head || f.data.saturating_add(u64::from(ETH_HLEN)) > end || f.len < ETH_HLEN {
        return Err(Violation::new("frame-too-short", f.len.into()));
    }
    match &mut skb.held.lock().0 {
        Held::Receive { pulled } => *pulled = true,
        _ => return Err(Violation::new("skb-not-received", handle)),
    }
    let protocol: u16 = call.read(f.data + 12)?;
    call.write(handle + SKB_DEV as u64, device)?;
    call.write(handle + SKB_MAC as u64, (f.data - head) as u16)?;
    call.write(handle + SKB_DATA as u64, f.data + u64::from(ETH_HLEN))?;
    call.write(handle + SKB_LEN as u64, f.len - ETH_HLEN)?;
    Ok(match u16::from_be(protocol) {
        0x600.. => protocol,
        // ETH_P_802_2.
        _ => 4u16.to_be(),
    }
    .into())
}

/// `consume_skb(skb)`.
pub(crate) fn consume(call: &mut Call<'_>) -> Outcome {
    if call.arg(0) != 0 {
        free(call.domain, call.arg(0), true)?;
    }
    Ok(0)
}

/// `dev_kfree_skb_any_reason(skb, reason)` and kin: reason 1 is SKB_CONSUMED.
pub(crate) fn kfree_reason(call: &mut Call<'_>) -> Outcome {
    if call.arg(0) != 0 {
        let sent = call.uint(1) == 1;
        free(call.domain, call.arg(0), sent)?;
    }
    Ok(0)
}

/// `sk_skb_reason_drop(sk, skb, reason)`.
pub(crate) fn reason_drop(call: &mut Call<'_>) -> Outcome {
    if call.arg(1) != 0 {
        free(call.domain, call.arg(1), false)?;
    }
    Ok(0)
}

/// `napi_consume_skb(skb, budget)`.
pub(crate) fn napi_consume(call: &mut Call<'_>) -> Outcome {
    consume(call)
}

/// Imports that have nothing to do here, since no PHY stamps packets in a domain.
pub(crate) fn nothing(_call: &mut Call<'_>) -> Outcome {
    Ok(0)
}
