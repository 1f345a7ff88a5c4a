// SPDX-License-Identifier: GPL-2.0

//! Transmit: a real packet becomes a shadow with the packet's bytes copied beside it.
//!
//! Everything lies in one physically contiguous buffer: the linear part with some room before and
//! behind it, the shared information, and the fragments one after the other, which the shadow names
//! by page tokens into the same buffer. The driver may change headers there for offload; that never
//! reaches the real packet, which may be shared, and is exactly what the device reads.

use super::gather::{self, Ready};
use super::net::NetDevice;
use super::skb::{put, Held, Skb, HEAD};
use crate::call::{Call, Outcome, Violation};
use crate::run::{self, Context, Ended};
use crate::side_stubs::contract::address_to_page;
use crate::side_stubs::packet::Moved;
use crate::side_stubs::rings::TRANSMIT_GATHERING;
use crate::sys::access::{Fault, Words};
use crate::sys::net_layout::*;
use crate::sys::skb::Packet;
use crate::sys::{cpu, net};
use core::sync::atomic::{AtomicU64, Ordering};
use kernel::prelude::*;
use kernel::sync::{Arc, ArcBorrow};

/// Room before the linear part.
const HEADROOM: u32 = 64;
/// Room behind it, for padding.
const TAILROOM: u32 = 64;
/// `NETDEV_TX_BUSY`.
const BUSY: i32 = 0x10;

/// Counts the packets that were handed over, across drivers and their deaths.
static TURNS: AtomicU64 = AtomicU64::new(0);

/// The turn of the packet that comes next.
pub(super) fn next_turn() -> u64 {
    TURNS.fetch_add(1, Ordering::Relaxed)
}

/// The turn that the packet after all so far will have.
pub(crate) fn turn_now() -> u64 {
    TURNS.load(Ordering::Relaxed)
}

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
    let outgoing = packet.outgoing();
    let queue = u32::from(outgoing.queue());
    let lost = || {
        device.dropped.fetch_add(1, Ordering::Relaxed);
        // Those before it must not wait for one that does not come.
        device.hurry(queue);
        Verdict::Taken
    };
    if queue >= device.tx_queues {
        return lost();
    }
    let kept_all = device.has_kept_all(queue);
    if kept_all && !domain.is_dead() && !cpu::irqs_disabled() {
        gather::hand_over(&device, queue, false);
    }
    if domain.is_dead() && device.is_recovering() {
        // The next driver sends it.
        device.real.stop_queue(queue);
        return Verdict::Busy(packet);
    }
    if domain.is_dead() || function == 0 {
        return lost();
    }
    if !cpu::may_enter(run::STACK_AMPLE) {
        // Ring 3 is never entered so, and a file system over the network can be deep in a stack.
        device.transmit_later(packet);
        return Verdict::Taken;
    }
    if kept_all && device.has_kept_all(queue) {
        return Verdict::Busy(packet);
    }
    let bytes = outgoing.len();
    if outgoing.is_unreadable() || outgoing.data_len() > bytes {
        return lost();
    }
    let stamp = outgoing.shared().tx_flags & TX_HW_TSTAMP != 0;
    let Some((skb, end)) = prepare(&device, &packet) else {
        return lost();
    };
    let more = net::xmit_more();
    // Counted first: once the packet is in the buffer the driver may free it, on another CPU too.
    let full = device.sent(queue, bytes, more);
    let turn = next_turn();
    let held = Held::Transmit {
        packet,
        device: device.into(),
        queue,
        bytes,
        turn,
    };
    skb.hold(held, end);
    let gathers = domain.has(TRANSMIT_GATHERING) && !device.veil.is_quiet();
    let ready = Ready {
        gathers,
        stamp,
        more,
        full,
    };
    let sent = Sent { skb, turn };
    let Some(sent) = gather::offer(&device, queue, sent, ready) else {
        return Verdict::Taken;
    };
    device.sync_traffic();
    domain.memory.set_xmit_more(cpu::id(), more);
    let begin = cpu::stopwatch();
    match call(&device, function, &[sent.skb.address, device.handle]) {
        Ok(value) => {
            if gathers {
                device.returned(queue, begin);
            }
            device.sync_queue(queue);
            if is_busy(value) {
                return give_back(&device, sent, queue);
            }
            if stamp {
                note_time_stamp(&device, &sent);
            }
            Verdict::Taken
        }
        Err(_) => match give_back(&device, sent, queue) {
            Verdict::Busy(packet) if device.is_recovering() => {
                device.real.stop_queue(queue);
                Verdict::Busy(packet)
            }
            _ => Verdict::Taken,
        },
    }
}

/// Calls the driver's `ndo_start_xmit`.
pub(super) fn call(device: &NetDevice, function: u64, args: &[u64]) -> Result<u64, Ended> {
    run::upcall(
        &device.domain,
        "ndo_start_xmit",
        function,
        args,
        Context::Atomic,
    )
}

/// Whether a driver's `ndo_start_xmit` that answered `value` left the packet to its caller.
pub(super) fn is_busy(value: u64) -> bool {
    value as u32 as i32 == BUSY
}

/// A packet on its way to the driver: the buffer that it lies in, and its turn. A driver may free the packet
/// before it says what became of it, and another one may lie in the buffer by then.
pub(super) struct Sent {
    pub(super) skb: Arc<Skb>,
    pub(super) turn: u64,
}

impl Sent {
    /// Takes the packet out, with the bytes that it was counted with, if it is there yet.
    pub(super) fn take(&self) -> Option<(Packet, u32)> {
        let mut held = self.skb.held.lock();
        let is_there = matches!(held.0, Held::Transmit { turn, .. } if turn == self.turn);
        match is_there.then(|| core::mem::replace(&mut held.0, Held::Free)) {
            Some(Held::Transmit { packet, bytes, .. }) => Some((packet, bytes)),
            _ => None,
        }
    }
}

/// Takes the packet out of a buffer that the driver did not take, unless it freed it all the same.
fn give_back(device: &NetDevice, sent: Sent, queue: u32) -> Verdict {
    let Some((packet, bytes)) = sent.take() else {
        return Verdict::Taken;
    };
    device.finished(queue, bytes);
    device.flush(queue);
    device.domain.skb.keep(&device.domain, &sent.skb);
    Verdict::Busy(packet)
}

/// Carries the driver's promise of a hardware time stamp over to the real packet.
pub(super) fn note_time_stamp(device: &NetDevice, sent: &Sent) {
    let held = sent.skb.held.lock();
    if let (Held::Transmit { packet, turn, .. }, end) = (&held.0, held.1) {
        if *turn != sent.turn {
            return;
        }
        let flags = device
            .domain
            .memory
            .read::<u8>(end + SHARED_TX_FLAGS as u64);
        if flags.is_ok_and(|flags| flags & TX_IN_PROGRESS != 0) {
            packet.set_in_progress();
        }
    }
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

/// Makes the shadow of `packet`. Returns it, and where its shared information begins.
fn prepare(device: &NetDevice, packet: &Packet) -> Option<(Arc<Skb>, u64)> {
    let domain = &device.domain;
    let outgoing = packet.outgoing();
    let (len, data_len) = (outgoing.len(), outgoing.data_len());
    let room = (HEADROOM + (len - data_len) + TAILROOM).div_ceil(64) * 64;
    let total = HEAD + u64::from(room) + SHARED_ROOM + u64::from(data_len);
    let skb = domain.skb.take(domain, total).ok()?;
    let end = skb.head() + u64::from(room);
    if fill(device, packet, &skb, room, end).is_err() {
        domain.skb.keep(domain, &skb);
        return None;
    }
    Some((skb, end))
}

/// Room for the shared information.
const SHARED_ROOM: u64 = (SHARED_SIZE as u64).div_ceil(64) * 64;

fn fill(device: &NetDevice, packet: &Packet, skb: &Skb, room: u32, end: u64) -> Result<(), Fault> {
    let from = packet.outgoing();
    let head = skb.head();
    let linear = from.len() - from.data_len();
    let moved = Moved::new(from.headroom(), HEADROOM);

    let mut shadow = Words::ZERO;
    shadow.put::<_, SKB_DEV>(device.handle);
    shadow.put::<_, SKB_LEN>(from.len());
    shadow.put::<_, SKB_DATA_LEN>(from.data_len());
    shadow.put::<_, SKB_QUEUE>(from.queue());
    let bits: u32 = from.get::<_, SKB_BITS>();
    shadow.put::<_, SKB_BITS>(bits);
    const MORE_BITS: usize = SKB_BITS + 4;
    shadow.put::<u16, MORE_BITS>(from.get::<_, MORE_BITS>());
    // CHECKSUM_PARTIAL (3) gives the union the meaning of a place in the buffer.
    if bits >> SKB_IP_SUMMED_SHIFT & 3 == 3 {
        const CSUM_OFFSET: usize = SKB_CSUM + 2;
        shadow.put::<_, SKB_CSUM>(moved.offset(from.get::<_, SKB_CSUM>()));
        shadow.put::<u16, CSUM_OFFSET>(from.get::<_, CSUM_OFFSET>());
    }
    shadow.put::<u32, SKB_PRIORITY>(from.get::<_, SKB_PRIORITY>());
    shadow.put::<u32, SKB_HASH>(from.get::<_, SKB_HASH>());
    shadow.put::<u32, SKB_VLAN>(from.get::<_, SKB_VLAN>());
    shadow.put::<u16, SKB_PROTOCOL>(from.get::<_, SKB_PROTOCOL>());
    shadow.put::<u16, SKB_INNER_PROTOCOL>(from.get::<_, SKB_INNER_PROTOCOL>());
    shadow.put::<_, SKB_INNER_MAC>(moved.offset(from.get::<_, SKB_INNER_MAC>()));
    shadow.put::<_, SKB_INNER_NETWORK>(moved.offset(from.get::<_, SKB_INNER_NETWORK>()));
    shadow.put::<_, SKB_INNER_TRANSPORT>(moved.offset(from.get::<_, SKB_INNER_TRANSPORT>()));
    shadow.put::<_, SKB_MAC>(moved.offset(from.get::<_, SKB_MAC>()));
    shadow.put::<_, SKB_NETWORK>(moved.offset(from.get::<_, SKB_NETWORK>()));
    shadow.put::<_, SKB_TRANSPORT>(moved.offset(from.get::<_, SKB_TRANSPORT>()));
    shadow.put::<_, SKB_HEAD>(head);
    shadow.put::<_, SKB_DATA>(head + u64::from(HEADROOM));
    shadow.put::<_, SKB_TAIL>(HEADROOM + linear);
    shadow.put::<_, SKB_END>(room);
    shadow.put::<u32, SKB_TRUESIZE>(from.get::<_, SKB_TRUESIZE>());
    shadow.put::<_, SKB_USERS>(1u32);
    skb.window
        .part::<SKB_SIZE>(0)?
        .fill::<{ SKB_SIZE / 8 }>(shadow);
    skb.window
        .write(HEAD + u64::from(HEADROOM), packet.linear())?;

    let shared = from.shared();
    // The fragments' places are filled in one by one; a packet often has none.
    let count = core::cmp::min(usize::from(shared.nr_frags), MAX_FRAGS);
    let mut info = Words::ZERO;
    info.put::<_, SHARED_NR_FRAGS>(count as u8);
    info.put::<_, SHARED_TX_FLAGS>(shared.tx_flags & (TX_HW_TSTAMP | TX_SW_TSTAMP));
    info.put::<_, SHARED_GSO_SIZE>(shared.gso_size);
    info.put::<_, SHARED_GSO_SEGS>(shared.gso_segs);
    info.put::<_, SHARED_GSO_TYPE>(shared.gso_type);
    info.put::<_, SHARED_DATAREF>(1u32);
    skb.window
        .part::<SHARED_FRAGS>(end - skb.address)?
        .fill::<{ SHARED_FRAGS / 8 }>(info);
    if count == 0 && from.data_len() == 0 {
        return Ok(());
    }
    fill_fragments(packet, skb, end, count)
}

/// Copies the `count` fragments of `packet` behind the shared information at `end`, which names them.
#[inline(never)]
fn fill_fragments(packet: &Packet, skb: &Skb, end: u64, count: usize) -> Result<(), Fault> {
    let mut at = end + SHARED_ROOM;
    let mut left = packet.outgoing().data_len();
    for n in 0..count {
        let bytes = packet.fragment(n as u32);
        let len = bytes.len() as u32;
        if len > left {
            return Err(Fault(at));
        }
        left -= len;
        skb.window.write(at - skb.address, bytes)?;
        let mut frag = [0; FRAG_SIZE];
        put(&mut frag, 0, address_to_page(at).to_ne_bytes());
        put(&mut frag, 8, len.to_ne_bytes());
        put(&mut frag, 12, ((at & 0xfff) as u32).to_ne_bytes());
        let place = end - skb.address + (SHARED_FRAGS + n * FRAG_SIZE) as u64;
        skb.window.write(place, &frag)?;
        at += u64::from(len);
    }
    if left != 0 {
        return Err(Fault(at));
    }
    Ok(())
}
