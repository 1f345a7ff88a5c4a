// SPDX-License-Identifier: GPL-2.0

//! Transmit: a real packet becomes a shadow with the packet's bytes copied beside it.
//!
//! Everything lies in one physically contiguous buffer: the linear part with some room before and
//! behind it, the shared information, and the fragments one after the other, which the shadow names
//! by page tokens into the same buffer. The driver may change headers there for offload; that never
//! reaches the real packet, which may be shared, and is exactly what the device reads.

use super::net::NetDevice;
use super::skb::{put, Held, Skb, HEAD};
use crate::run::{self, Context};
use crate::side_stubs::contract::address_to_page;
use crate::side_stubs::packet::moved;
use crate::sys::net_layout::*;
use crate::sys::skb::{Packet, TxMeta};
use crate::sys::{access::Fault, cpu, net};
use core::sync::atomic::Ordering;
use kernel::prelude::*;
use kernel::sync::{Arc, ArcBorrow};

/// Room before the linear part.
const HEADROOM: u32 = 64;
/// Room behind it, for padding.
const TAILROOM: u32 = 64;
/// `NETDEV_TX_BUSY`.
const BUSY: i32 = 0x10;

/// What became of a packet.
pub(crate) enum Verdict {
    /// The driver has it, or it is dropped.
    Taken,
    /// The driver has no room; the stack keeps it.
    Busy(Packet),
}

/// The stack hands over a packet: bottom halves are off and the queue's lock is held.
pub(crate) fn transmit(
    device: ArcBorrow<'_, NetDevice>,
    packet: Packet,
    function_slot: usize,
) -> Verdict {
    let domain = &device.domain;
    let function = device.ndo[function_slot / 8].load(Ordering::Relaxed);
    if domain.is_dead() || cpu::irqs_disabled() || function == 0 {
        // With interrupts off (netconsole) ring 3 cannot be entered.
        device.dropped.fetch_add(1, Ordering::Relaxed);
        return Verdict::Taken;
    }
    let meta = packet.meta();
    let queue = u32::from(meta.queue);
    if meta.unreadable || queue >= device.tx_queues || meta.data_len > meta.len {
        device.dropped.fetch_add(1, Ordering::Relaxed);
        return Verdict::Taken;
    }
    let Some(skb) = prepare(&device, &packet, &meta) else {
        device.dropped.fetch_add(1, Ordering::Relaxed);
        return Verdict::Taken;
    };
    let more = net::xmit_more();
    {
        let mut held = skb.held.lock();
        let device: Arc<NetDevice> = device.into();
        held.0 = Held::Transmit {
            packet,
            device,
            queue,
            bytes: meta.len,
        };
    }
    device.sync_in();
    device.sent(queue, meta.len, more);
    domain.memory.set_xmit_more(cpu::id(), more);
    let args = [skb.address, device.handle];
    let answer = run::upcall(domain, "ndo_start_xmit", function, &args, Context::Atomic);
    match answer {
        Ok(value) => {
            device.sync_queue(queue);
            if value as u32 as i32 == BUSY {
                return give_back(&device, skb, queue);
            }
            if meta.tx_flags & TX_HW_TSTAMP != 0 {
                note_time_stamp(&device, &skb);
            }
            Verdict::Taken
        }
        Err(_) => {
            if let Verdict::Busy(packet) = give_back(&device, skb, queue) {
                drop(packet);
            }
            Verdict::Taken
        }
    }
}

/// Takes the packet out of a buffer that the driver did not take.
fn give_back(device: &NetDevice, skb: Arc<Skb>, queue: u32) -> Verdict {
    let held = core::mem::replace(&mut skb.held.lock().0, Held::Free);
    match held {
        Held::Transmit { packet, bytes, .. } => {
            device.finished(queue, bytes);
            device.flush(queue);
            device.domain.skb.keep(&device.domain, skb);
            Verdict::Busy(packet)
        }
        // The driver freed it all the same.
        Held::Free => Verdict::Taken,
        other => {
            skb.held.lock().0 = other;
            Verdict::Taken
        }
    }
}

/// Carries the driver's promise of a hardware time stamp over to the real packet.
fn note_time_stamp(device: &NetDevice, skb: &Skb) {
    let held = skb.held.lock();
    if let (Held::Transmit { packet, .. }, end) = (&held.0, held.1) {
        let flags = device
            .domain
            .memory
            .read::<u8>(end + SHARED_TX_FLAGS as u64);
        if flags.is_ok_and(|flags| flags & TX_IN_PROGRESS != 0) {
            packet.set_in_progress();
        }
    }
}

/// Makes the shadow of `packet`.
fn prepare(device: &NetDevice, packet: &Packet, meta: &TxMeta) -> Option<Arc<Skb>> {
    let domain = &device.domain;
    let linear = meta.len - meta.data_len;
    let room = (HEADROOM + linear + TAILROOM).div_ceil(64) * 64;
    let shared = (SHARED_SIZE as u32).div_ceil(64) * 64;
    let total = HEAD + u64::from(room) + u64::from(shared) + u64::from(meta.data_len);
    let skb = domain.skb.take(domain, total).ok()?;
    skb.held.lock().1 = skb.head() + u64::from(room);
    if fill(device, packet, meta, &skb, room, shared).is_err() {
        domain.skb.keep(domain, skb);
        return None;
    }
    Some(skb)
}

fn fill(
    device: &NetDevice,
    packet: &Packet,
    meta: &TxMeta,
    skb: &Skb,
    room: u32,
    shared: u32,
) -> Result<(), Fault> {
    let memory = &device.domain.memory;
    let head = skb.head();
    let linear = meta.len - meta.data_len;
    let data = head + u64::from(HEADROOM);
    let shift = |offset: u16| moved(offset, meta.headroom, HEADROOM).to_ne_bytes();

    let mut image = [0; SKB_SIZE];
    put(&mut image, SKB_DEV, device.handle.to_ne_bytes());
    put(&mut image, SKB_LEN, meta.len.to_ne_bytes());
    put(&mut image, SKB_DATA_LEN, meta.data_len.to_ne_bytes());
    put(&mut image, SKB_QUEUE, meta.queue.to_ne_bytes());
    put(&mut image, SKB_BITS, meta.bits);
    // CHECKSUM_PARTIAL (3) gives the union the meaning of a place in the buffer.
    let csum = if meta.bits[0] >> SKB_IP_SUMMED_SHIFT & 3 == 3 {
        let start = moved(meta.csum as u16, meta.headroom, HEADROOM);
        meta.csum & 0xffff_0000 | u32::from(start)
    } else {
        0
    };
    put(&mut image, SKB_CSUM, csum.to_ne_bytes());
    put(&mut image, SKB_PRIORITY, meta.priority.to_ne_bytes());
    put(&mut image, SKB_HASH, meta.hash.to_ne_bytes());
    put(&mut image, SKB_VLAN, meta.vlan_all.to_ne_bytes());
    put(&mut image, SKB_PROTOCOL, meta.protocol.to_ne_bytes());
    put(
        &mut image,
        SKB_INNER_PROTOCOL,
        meta.inner_protocol.to_ne_bytes(),
    );
    put(&mut image, SKB_INNER_MAC, shift(meta.inner_mac_header));
    put(
        &mut image,
        SKB_INNER_NETWORK,
        shift(meta.inner_network_header),
    );
    put(
        &mut image,
        SKB_INNER_TRANSPORT,
        shift(meta.inner_transport_header),
    );
    put(&mut image, SKB_MAC, shift(meta.mac_header));
    put(&mut image, SKB_NETWORK, shift(meta.network_header));
    put(&mut image, SKB_TRANSPORT, shift(meta.transport_header));
    put(&mut image, SKB_HEAD, head.to_ne_bytes());
    put(&mut image, SKB_DATA, data.to_ne_bytes());
    put(&mut image, SKB_TAIL, (HEADROOM + linear).to_ne_bytes());
    put(&mut image, SKB_END, room.to_ne_bytes());
    put(&mut image, SKB_TRUESIZE, meta.truesize.to_ne_bytes());
    put(&mut image, SKB_USERS, 1u32.to_ne_bytes());
    memory.write_bytes(skb.address, &image)?;
    memory.write_bytes(data, packet.linear())?;

    let end = head + u64::from(room);
    let mut info = [0; SHARED_SIZE];
    let count = core::cmp::min(usize::from(meta.nr_frags), MAX_FRAGS);
    info[SHARED_NR_FRAGS] = count as u8;
    info[SHARED_TX_FLAGS] = meta.tx_flags & (TX_HW_TSTAMP | TX_SW_TSTAMP);
    put(&mut info, SHARED_GSO_SIZE, meta.gso_size.to_ne_bytes());
    put(&mut info, SHARED_GSO_SEGS, meta.gso_segs.to_ne_bytes());
    put(&mut info, SHARED_GSO_TYPE, meta.gso_type.to_ne_bytes());
    put(&mut info, SHARED_DATAREF, 1u32.to_ne_bytes());
    let mut at = end + u64::from(shared);
    let mut left = meta.data_len;
    for n in 0..count {
        let bytes = packet.fragment(n as u32);
        let len = bytes.len() as u32;
        if len > left {
            return Err(Fault(at));
        }
        left -= len;
        memory.write_bytes(at, bytes)?;
        let frag = SHARED_FRAGS + n * FRAG_SIZE;
        put(&mut info, frag, address_to_page(at).to_ne_bytes());
        put(&mut info, frag + 8, len.to_ne_bytes());
        put(&mut info, frag + 12, ((at & 0xfff) as u32).to_ne_bytes());
        at += u64::from(len);
    }
    if left != 0 {
        return Err(Fault(at));
    }
    memory.write_bytes(end, &info[..SHARED_FRAGS + count * FRAG_SIZE])
}
