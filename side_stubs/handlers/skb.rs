// SPDX-License-Identifier: GPL-2.0

//! Packet buffers: the shadows of `sk_buff` and their data in the domain's memory.
//!
//! A buffer is one physically contiguous object of the domain's heap: the shadow structure, room
//! for the data, and the shared information at the data's end, as the driver's inlined code looks
//! for it. Buffers are kept for reuse, so a packet costs no allocation. For each buffer the kernel
//! remembers where its data begins and ends and whose it is; what the driver writes into the shadow
//! is a claim that is checked when the packet crosses.

use super::net::NetDevice;
use crate::call::{Call, Outcome, Violation};
use crate::domain::Domain;
use crate::objects::Table;
use crate::side_stubs::contract::{address_to_page, page_to_address, STRUCT_PAGE_SIZE};
use crate::side_stubs::packet::ETH_HLEN;
use crate::sys::access::Fault;
use crate::sys::layout::PAGE_REFCOUNT;
use crate::sys::lock::BhLock;
use crate::sys::net_layout::*;
use crate::sys::skb::Packet;
use kernel::alloc::flags::GFP_ATOMIC;
use kernel::prelude::*;
use kernel::sync::Arc;

/// Bytes of a buffer before its data: the shadow `sk_buff` and padding.
pub(crate) const HEAD: u64 = 256;
/// Sizes of buffers, as powers of two.
const SHIFTS: [u32; 6] = [10, 11, 12, 14, 16, 18];
const CLASSES: usize = SHIFTS.len();
/// Buffers of a class that wait for reuse, at most.
const KEEP: usize = 512;
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
    },
    /// Allocated by the driver.
    Receive { pulled: bool },
}

/// One buffer.
pub(crate) struct Skb {
    /// The driver's `struct sk_buff *`.
    pub(crate) address: u64,
    class: usize,
    /// What the buffer is, and where the shared information of its data begins.
    pub(crate) held: BhLock<(Held, u64)>,
}

impl Skb {
    /// Where the room for data begins.
    pub(crate) fn head(&self) -> u64 {
        self.address + HEAD
    }

    /// Where the shared information begins.
    pub(crate) fn end(&self) -> u64 {
        self.held.lock().1
    }
}

/// The packet buffers of a domain.
pub(crate) struct State {
    pub(crate) table: Table<Skb>,
    free: BhLock<[KVec<Arc<Skb>>; CLASSES]>,
}

impl State {
    pub(crate) fn new() -> Self {
        State {
            table: Table::new(),
            free: BhLock::new([const { KVec::new() }; CLASSES]),
        }
    }

    /// Takes a buffer with `bytes` in all, the shadow included. Its contents are left over.
    pub(crate) fn take(&self, domain: &Domain, bytes: u64) -> Result<Arc<Skb>> {
        let class = SHIFTS
            .iter()
            .position(|shift| bytes <= 1 << shift)
            .ok_or(ENOMEM)?;
        if let Some(skb) = self.free.lock()[class].pop() {
            return Ok(skb);
        }
        let address = domain.memory.alloc_dirty(1 << SHIFTS[class])?;
        let skb = Arc::new(
            Skb {
                address,
                class,
                held: BhLock::new((Held::Free, address)),
            },
            GFP_ATOMIC,
        )?;
        self.table.insert(address, skb.clone())?;
        Ok(skb)
    }

    /// Keeps a buffer that is [`Held::Free`] for reuse.
    pub(crate) fn keep(&self, domain: &Domain, skb: Arc<Skb>) {
        let mut free = self.free.lock();
        let list = &mut free[skb.class];
        if list.len() < KEEP {
            if let Err(error) = list.push(skb, GFP_ATOMIC) {
                // The memory stays with the domain and is lost until its end.
                let _ = error;
            }
            return;
        }
        drop(free);
        if self.table.remove(skb.address).is_some() {
            let _ = domain.memory.free(skb.address);
        }
    }

    /// The buffer that the driver holds at `handle`.
    pub(crate) fn get(&self, handle: u64) -> Result<Arc<Skb>, Violation> {
        self.table
            .get(handle)
            .ok_or(Violation::new("not-an-skb", handle))
    }

    /// Frees every real packet that the driver held. Process context; the driver runs no more.
    pub(crate) fn release(&self, _domain: &Arc<Domain>) {
        let mut at = None;
        while let Some((handle, skb)) = self.table.after(at) {
            at = Some(handle);
            let held = core::mem::replace(&mut skb.held.lock().0, Held::Free);
            drop(held);
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
fn allocate(domain: &Domain, device: u64, len: u32, pad: u32) -> Outcome {
    if len > MAX_LINEAR {
        return Ok(0);
    }
    let room = (u64::from(len) + u64::from(pad)).div_ceil(64) * 64;
    let Ok(skb) = domain.skb.take(domain, HEAD + room + SHARED_SIZE as u64) else {
        return Ok(0);
    };
    let head = skb.head();
    let mut image = [0; SKB_SIZE];
    put(&mut image, SKB_DEV, device.to_ne_bytes());
    put(&mut image, SKB_HEAD, head.to_ne_bytes());
    put(&mut image, SKB_DATA, (head + u64::from(pad)).to_ne_bytes());
    put(&mut image, SKB_TAIL, pad.to_ne_bytes());
    put(&mut image, SKB_END, (room as u32).to_ne_bytes());
    put(
        &mut image,
        SKB_TRUESIZE,
        ((room + HEAD) as u32 + SHARED_SIZE as u32).to_ne_bytes(),
    );
    put(&mut image, SKB_USERS, 1u32.to_ne_bytes());
    put(&mut image, SKB_MAC, u16::MAX.to_ne_bytes());
    put(&mut image, SKB_TRANSPORT, u16::MAX.to_ne_bytes());
    domain.memory.write_bytes(skb.address, &image)?;
    let mut shared = [0; SHARED_FRAGS];
    put(&mut shared, SHARED_DATAREF, 1u32.to_ne_bytes());
    domain.memory.write_bytes(head + room, &shared)?;
    *skb.held.lock() = (Held::Receive { pulled: false }, head + room);
    Ok(skb.address)
}

/// Lets go of a fragment's page: the last user frees it.
pub(crate) fn put_page(domain: &Domain, token: u64) -> Result<(), Violation> {
    let bad = Violation::new("bad-page", token);
    let address = page_to_address(token).ok_or(bad)?;
    // A fragment may name any page of a compound one; the object begins at the first.
    let (start, _) = domain.memory.object(address).ok_or(bad)?;
    let head = address_to_page(start);
    debug_assert!(head % STRUCT_PAGE_SIZE == 0);
    let count: u32 = domain.memory.read(head + PAGE_REFCOUNT)?;
    if count > 1 {
        domain.memory.write(head + PAGE_REFCOUNT, count - 1)?;
        return Ok(());
    }
    domain.memory.write(head + PAGE_REFCOUNT, 0u32)?;
    domain.memory.free(start).map_err(|_| bad)
}

/// The driver frees the buffer at `handle`: its reference goes, and with the last one the packet.
pub(crate) fn free(domain: &Arc<Domain>, handle: u64, sent: bool) -> Result<(), Violation> {
    let skb = domain.skb.get(handle)?;
    let users: u32 = domain.memory.read(handle + SKB_USERS as u64)?;
    if users > 1 {
        // `skb_get` is inlined; its count is the driver's own business.
        domain.memory.write(handle + SKB_USERS as u64, users - 1)?;
        return Ok(());
    }
    let (held, end) = {
        let mut held = skb.held.lock();
        (core::mem::replace(&mut held.0, Held::Free), held.1)
    };
    match held {
        Held::Free => return Err(Violation::new("skb-freed-twice", handle)),
        Held::Transmit {
            packet,
            device,
            queue,
            bytes,
        } => {
            if sent {
                packet.consume();
            } else {
                drop(packet);
            }
            device.finished(queue, bytes);
        }
        Held::Receive { .. } => put_fragments(domain, end)?,
    }
    domain.skb.keep(domain, skb);
    Ok(())
}

/// Lets go of the pages of a received packet whose shared information is at `end`.
pub(crate) fn put_fragments(domain: &Domain, end: u64) -> Result<(), Violation> {
    let count: u8 = domain.memory.read(end + SHARED_NR_FRAGS as u64)?;
    if usize::from(count) > MAX_FRAGS {
        return Err(Violation::new("too-many-fragments", count.into()));
    }
    for n in 0..u64::from(count) {
        let token: u64 = domain
            .memory
            .read(end + SHARED_FRAGS as u64 + n * FRAG_SIZE as u64)?;
        put_page(domain, token & !1)?;
    }
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
    allocate(call.domain, call.arg(0), call.uint(1), SKB_PAD)
}

/// `napi_alloc_skb(napi, length)`.
pub(crate) fn napi_alloc(call: &mut Call<'_>) -> Outcome {
    let napi = call.domain.net.napis.get(call.arg(0));
    let napi = napi.ok_or(Violation::new("not-a-napi", call.arg(0)))?;
    allocate(call.domain, napi.device.handle, call.uint(1), SKB_PAD)
}

/// `skb_put(skb, len)`: returns where the new bytes begin.
pub(crate) fn put_bytes(call: &mut Call<'_>) -> Outcome {
    let (handle, more) = (call.arg(0), call.uint(1));
    let skb = call.domain.skb.get(handle)?;
    let f = fields(call.domain, handle)?;
    let room = skb.end() - skb.head();
    let tail = u64::from(f.tail) + u64::from(more);
    if f.data_len != 0 || tail > room {
        return Err(Violation::new("skb-over-end", tail));
    }
    call.write(handle + SKB_TAIL as u64, tail as u32)?;
    call.write(handle + SKB_LEN as u64, f.len.wrapping_add(more))?;
    Ok(skb.head() + u64::from(f.tail))
}

/// `skb_push(skb, len)`.
pub(crate) fn push_bytes(call: &mut Call<'_>) -> Outcome {
    let (handle, more) = (call.arg(0), call.uint(1));
    let skb = call.domain.skb.get(handle)?;
    let f = fields(call.domain, handle)?;
    let data = f.data.wrapping_sub(u64::from(more));
    if data < skb.head() || data > skb.end() {
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

/// Shortens the fragments of `skb` to `paged` bytes; the packet is `len` bytes then.
fn trim_fragments(call: &Call<'_>, skb: &Skb, len: u32, paged: u32) -> Outcome {
    let domain = call.domain;
    let end = skb.end();
    let count: u8 = domain.memory.read(end + SHARED_NR_FRAGS as u64)?;
    if usize::from(count) > MAX_FRAGS {
        return Err(Violation::new("too-many-fragments", count.into()));
    }
    let mut left = paged;
    let mut kept = 0u8;
    for n in 0..u64::from(count) {
        let place = end + SHARED_FRAGS as u64 + n * FRAG_SIZE as u64;
        let (token, size): (u64, u32) = (call.read(place)?, call.read(place + 8)?);
        if left == 0 {
            put_page(domain, token & !1)?;
            continue;
        }
        call.write(place + 8, core::cmp::min(size, left))?;
        left = left.saturating_sub(size);
        kept += 1;
    }
    call.write(end + SHARED_NR_FRAGS as u64, kept)?;
    call.write(skb.address + SKB_LEN as u64, len)?;
    call.write(skb.address + SKB_DATA_LEN as u64, paged)?;
    Ok(0)
}

/// `__pskb_pull_tail(skb, delta)`: moves bytes from the fragments to the linear part.
pub(crate) fn pull_tail(call: &mut Call<'_>) -> Outcome {
    let (handle, delta) = (call.arg(0), call.uint(1));
    let domain = call.domain;
    let skb = domain.skb.get(handle)?;
    let f = fields(domain, handle)?;
    let tail = skb.head() + u64::from(f.tail);
    if delta > f.data_len || tail + u64::from(delta) > skb.end() {
        return Ok(0);
    }
    let end = skb.end();
    let count: u8 = call.read(end + SHARED_NR_FRAGS as u64)?;
    if usize::from(count) > MAX_FRAGS {
        return Err(Violation::new("too-many-fragments", count.into()));
    }
    let transmit = matches!(skb.held.lock().0, Held::Transmit { .. });
    let (mut at, mut left) = (tail, delta);
    let mut frags = [[0u8; FRAG_SIZE]; MAX_FRAGS];
    let mut kept = 0;
    for n in 0..usize::from(count) {
        let place = end + (SHARED_FRAGS + n * FRAG_SIZE) as u64;
        let token: u64 = call.read(place)?;
        let (mut size, mut offset): (u32, u32) = (call.read(place + 8)?, call.read(place + 12)?);
        let part = core::cmp::min(left, size);
        if part != 0 {
            let from = page_to_address(token & !1).ok_or(Violation::new("bad-page", token))?;
            copy_inside(domain, from + u64::from(offset), at, part)?;
            at += u64::from(part);
            left -= part;
            size -= part;
            offset = offset.wrapping_add(part);
        }
        if size == 0 {
            if !transmit {
                put_page(domain, token & !1)?;
            }
            continue;
        }
        put(&mut frags[kept], 0, token.to_ne_bytes());
        put(&mut frags[kept], 8, size.to_ne_bytes());
        put(&mut frags[kept], 12, offset.to_ne_bytes());
        kept += 1;
    }
    if left != 0 {
        return Err(Violation::new("skb-length", f.data_len.into()));
    }
    for (n, frag) in frags[..kept].iter().enumerate() {
        call.write_bytes(end + (SHARED_FRAGS + n * FRAG_SIZE) as u64, frag)?;
    }
    call.write(end + SHARED_NR_FRAGS as u64, kept as u8)?;
    call.write(handle + SKB_TAIL as u64, f.tail + delta)?;
    call.write(handle + SKB_DATA_LEN as u64, f.data_len - delta)?;
    Ok(skb.head() + u64::from(f.tail + delta))
}

fn copy_inside(domain: &Domain, from: u64, to: u64, len: u32) -> Result<(), Violation> {
    let mut done = 0u64;
    let mut piece = [0; 256];
    while done < u64::from(len) {
        let part = core::cmp::min(u64::from(len) - done, piece.len() as u64) as usize;
        domain.memory.read_bytes(from + done, &mut piece[..part])?;
        domain.memory.write_bytes(to + done, &piece[..part])?;
        done += part as u64;
    }
    Ok(())
}

/// `pskb_expand_head(skb, nhead, ntail, gfp)`: the shadow's data is the driver's own and is never
/// shared, so only a request for room can ask for something, and rooms are fixed.
pub(crate) fn expand_head(call: &mut Call<'_>) -> Outcome {
    let (handle, before, after) = (call.arg(0), call.uint(1), call.uint(2));
    let skb = call.domain.skb.get(handle)?;
    let f = fields(call.domain, handle)?;
    let headroom = f.data.saturating_sub(skb.head());
    let tailroom = (skb.end() - skb.head()).saturating_sub(f.tail.into());
    let fits = u64::from(before) <= headroom && u64::from(after) <= tailroom;
    Ok(if fits { 0 } else { crate::call::errno(ENOMEM) })
}

/// `__skb_pad(skb, pad, free_on_error)`: zeroes behind the data.
pub(crate) fn pad(call: &mut Call<'_>) -> Outcome {
    let (handle, pad) = (call.arg(0), call.uint(1));
    let skb = call.domain.skb.get(handle)?;
    let f = fields(call.domain, handle)?;
    let tail = skb.head() + u64::from(f.tail);
    if f.data_len != 0 || tail + u64::from(pad) > skb.end() {
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
    let f = fields(call.domain, handle)?;
    if f.data < skb.head()
        || f.data.saturating_add(u64::from(ETH_HLEN)) > skb.end()
        || f.len < ETH_HLEN
    {
        return Err(Violation::new("frame-too-short", f.len.into()));
    }
    match &mut skb.held.lock().0 {
        Held::Receive { pulled } => *pulled = true,
        _ => return Err(Violation::new("skb-not-received", handle)),
    }
    let protocol: u16 = call.read(f.data + 12)?;
    call.write(handle + SKB_DEV as u64, device)?;
    call.write(handle + SKB_MAC as u64, (f.data - skb.head()) as u16)?;
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

/// `skb_tstamp_tx(skb, hwtstamps)`.
pub(crate) fn tstamp_tx(call: &mut Call<'_>) -> Outcome {
    let skb = call.domain.skb.get(call.arg(0))?;
    let hardware = match call.arg(1) {
        0 => None,
        address => Some(call.read::<i64>(address)?),
    };
    // The socket's queue is reached without the buffer's lock.
    let packet = match &skb.held.lock().0 {
        Held::Transmit { packet, .. } => packet.another(),
        _ => return Err(Violation::new("skb-not-transmitted", call.arg(0))),
    };
    packet.timestamp(hardware);
    packet.consume();
    Ok(0)
}

/// `__vlan_get_protocol_offset(skb, type, mac_offset)`: returns the protocol and, above it, where
/// the headers end (`struct vlan_type_depth`).
pub(crate) fn vlan_protocol(call: &mut Call<'_>) -> Outcome {
    let (handle, kind, offset) = (call.arg(0), call.arg(1) as u16, call.uint(2));
    call.domain.skb.get(handle)?;
    let f = fields(call.domain, handle)?;
    let is_vlan = |kind: u16| matches!(u16::from_be(kind), 0x8100 | 0x88a8);
    let mut kind = kind;
    // A shadow's `mac_len` is 0, so the first tag follows the Ethernet header.
    let mut depth = 0;
    if is_vlan(kind) {
        depth = u64::from(ETH_HLEN);
        let mut tags = 0;
        while is_vlan(kind) {
            let at = f.data.wrapping_add(u64::from(offset) + depth);
            if tags == 8 || u64::from(offset) + depth + 4 > u64::from(f.len) {
                return Ok(0);
            }
            kind = call.read(at.wrapping_add(2))?;
            depth += 4;
            tags += 1;
        }
    }
    Ok(u64::from(kind) | depth << 16)
}

/// Imports that have nothing to do here, since no PHY stamps packets in a domain.
pub(crate) fn nothing(_call: &mut Call<'_>) -> Outcome {
    Ok(0)
}
