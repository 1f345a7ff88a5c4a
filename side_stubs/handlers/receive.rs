// SPDX-License-Identifier: GPL-2.0

//! Receive: a driver hands over a shadow; its bytes are copied into a real packet at once, so that
//! neither the driver nor the device can change a frame that the stack has begun to look at.

use super::napi::Napi;
use super::net::NetDevice;
use super::skb::{self, Held, Skb};
use crate::call::{Call, Outcome, Violation};
use crate::domain::Domain;
use crate::side_stubs::contract::page_to_address;
use crate::side_stubs::packet::{self, Received};
use crate::sys::net_layout::*;
use crate::sys::skb::{Packet, RxMeta};
use core::sync::atomic::Ordering;
use kernel::prelude::*;
use kernel::sync::Arc;

/// `NETIF_F_RXCSUM`.
const RXCSUM: u64 = crate::sys::features::RXCSUM;
/// `GRO_CONSUMED`-like answer for a packet that was dropped for want of memory: `GRO_NORMAL`.
const NORMAL: u64 = 3;
/// `NET_RX_DROP`.
const RX_DROP: u64 = 1;

/// Checks the shadow of `skb`, copies it into a packet that `alloc` makes, and frees it. `polls`: in a poll, with bottom
/// halves off.
fn take(
    domain: &Arc<Domain>,
    device: &NetDevice,
    skb: Arc<Skb>,
    polls: bool,
    alloc: impl FnOnce(u32) -> Option<Packet>,
) -> Result<Option<Packet>, Violation> {
    let handle = skb.address;
    let before = {
        let held = skb.held.lock();
        match held.0 {
            Held::Receive { pulled } => (pulled, held.1),
            _ => return Err(Violation::new("skb-not-received", handle)),
        }
    };
    let (pulled, end) = before;
    // One look at each field of the shadow: everything is decided from these copies.
    let shadow = skb.window.part::<SKB_SIZE>(0)?;
    let data: u64 = shadow.get::<_, SKB_DATA>();
    let (len, data_len) = (
        shadow.get::<u32, SKB_LEN>(),
        shadow.get::<_, SKB_DATA_LEN>(),
    );
    let mac: u16 = shadow.get::<_, SKB_MAC>();
    // A local `eth_type_trans` shows by the header's place only.
    let head = skb.head();
    let header = head.wrapping_add(mac.into());
    let pulled = pulled || data == header.wrapping_add(packet::ETH_HLEN.into());
    let frame = packet::received(head, end, data, len, data_len, pulled)
        .map_err(|rule| Violation::new(rule, len.into()))?;
    let (fragments, hwtstamp) = skb.shared(domain, end)?;
    let bits = [
        shadow.get::<u8, SKB_BITS>(),
        shadow.get::<u8, { SKB_BITS + 2 }>(),
    ];
    let hash: u32 = shadow.get::<_, SKB_HASH>();
    let vlan_proto: u16 = shadow.get::<_, SKB_VLAN>();
    let meta = RxMeta {
        hwtstamp,
        hash,
        vlan_proto,
        vlan_tci: shadow.get::<_, { SKB_VLAN + 2 }>(),
        queue: match shadow.get::<u16, SKB_QUEUE>() {
            0 => u16::MAX,
            n => n - 1,
        },
        hash_type: match (hash, bits[1] & SKB_L4_HASH != 0) {
            (0, _) => 0,
            (_, false) => 1,
            (_, true) => 2,
        },
        has_vlan: matches!(u16::from_be(vlan_proto), 0x8100 | 0x88a8),
        checked: bits[0] >> SKB_IP_SUMMED_SHIFT & 3 == 1 && device.real.features() & RXCSUM != 0,
    };
    // The stack looks at none that comes by a poll, and keeps a packet in places that do not outlive the device.
    let alloc = |len| match device.real.is_running() {
        true => alloc(len),
        false => None,
    };
    let built = copy(domain, &skb, &frame, fragments, end, alloc);
    // The driver has given the buffer away whatever came of it.
    let mut built = built?;
    match polls {
        true => skb::recycle(domain, skb, before, fragments)?,
        false => skb::let_go(domain, skb, true, Some(fragments))?,
    }
    match &mut built {
        Some(packet) => {
            device.heard.store(true, Ordering::Relaxed);
            packet.received(&device.real, &meta)
        }
        None => {
            device.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }
    Ok(built)
}

fn copy(
    domain: &Domain,
    skb: &Skb,
    frame: &Received,
    count: u8,
    end: u64,
    alloc: impl FnOnce(u32) -> Option<Packet>,
) -> Result<Option<Packet>, Violation> {
    let total = frame.linear + frame.paged;
    let Some(mut packet) = alloc(total) else {
        return Ok(None);
    };
    packet.append(frame.linear, |bytes| {
        skb.read_data(domain, frame.start, bytes)
    })?;
    if usize::from(count) > MAX_FRAGS {
        return Err(Violation::new("too-many-fragments", count.into()));
    }
    let mut left = frame.paged;
    for n in 0..usize::from(count) {
        let place = end + (SHARED_FRAGS + n * FRAG_SIZE) as u64;
        let memory = &domain.memory;
        let (token, len): (u64, u32) = (memory.read(place)?, memory.read(place + 8)?);
        let offset: u32 = memory.read(place + 12)?;
        if len > left {
            return Err(Violation::new("skb-length", len.into()));
        }
        left -= len;
        let page = page_to_address(token & !1).ok_or(Violation::new("bad-page", token))?;
        packet.append(len, |bytes| {
            memory.read_bytes(page + u64::from(offset), bytes)
        })?;
    }
    if left != 0 || packet.len() != total {
        return Err(Violation::new("skb-length", left.into()));
    }
    Ok(Some(packet))
}

/// The NAPI instance whose GRO state is at `gro`, a member of the driver's `napi_struct`.
pub(super) fn napi_of(domain: &Domain, gro: u64) -> Result<Arc<Napi>, Violation> {
    let handle = gro.wrapping_sub(NAPI_GRO);
    let napi = domain.net.napis.get(handle);
    napi.ok_or(Violation::new("not-a-napi", handle))
}

/// Whether the upcall of this name is a poll. What is called on top of a poll, to send the answer to a packet
/// that it has just handed over, is none: the stack is in the middle of its lists then.
pub(super) fn is_poll(upcall: &str) -> bool {
    matches!(upcall, "poll" | "irq-poll")
}

/// Hands `skb` to the stack by `napi`, whose poll on this CPU this must be; `polls` says whether the
/// innermost upcall is one. Bottom halves are off.
pub(super) fn by_napi(domain: &Arc<Domain>, napi: &Napi, skb: Arc<Skb>, polls: bool) -> Outcome {
    if !polls || !napi.is_polling_here() {
        return Err(Violation::new("gro-outside-poll", napi.handle));
    }
    match take(domain, &napi.device, skb, true, |len| napi.twin.alloc(len))? {
        Some(packet) => Ok(napi.twin.receive(packet)),
        None => Ok(NORMAL),
    }
}

/// `gro_receive_skb(gro, skb)`: the GRO state is a member of the driver's `napi_struct`.
pub(crate) fn gro_receive(call: &mut Call<'_>) -> Outcome {
    let napi = napi_of(call.domain, call.arg(0))?;
    if call.may_sleep() {
        return Err(Violation::new("gro-outside-poll", napi.handle));
    }
    let skb = call.domain.skb.get(call.arg(1))?;
    by_napi(call.domain, &napi, skb, is_poll(call.upcall))
}

/// Room for headers in a buffer whose data are fragments (`GRO_MAX_HEAD`, rounded).
const FRAGMENTS_HEAD: u32 = 256;

/// `napi_get_frags(napi)`: the instance's buffer for a packet that comes in fragments.
pub(crate) fn get_fragments(call: &mut Call<'_>) -> Outcome {
    let napi = call.domain.net.napis.get(call.arg(0));
    let napi = napi.ok_or(Violation::new("not-a-napi", call.arg(0)))?;
    let kept = napi.fragments.load(Ordering::Relaxed);
    if kept != 0 {
        return Ok(kept);
    }
    let handle = skb::allocate(call.domain, napi.device.handle, FRAGMENTS_HEAD, SKB_PAD)?;
    napi.fragments.store(handle, Ordering::Relaxed);
    Ok(handle)
}

/// `napi_gro_frags(napi)`: hands that buffer to the stack.
pub(crate) fn gro_fragments(call: &mut Call<'_>) -> Outcome {
    let napi = call.domain.net.napis.get(call.arg(0));
    let napi = napi.ok_or(Violation::new("not-a-napi", call.arg(0)))?;
    match napi.fragments.swap(0, Ordering::Relaxed) {
        0 => Err(Violation::new("no-fragments", call.arg(0))),
        _ if call.may_sleep() => Err(Violation::new("gro-outside-poll", napi.handle)),
        handle => {
            let skb = call.domain.skb.get(handle)?;
            by_napi(call.domain, &napi, skb, is_poll(call.upcall))
        }
    }
}

/// The device that the driver wrote into the shadow at `handle`.
fn device_of(call: &Call<'_>, handle: u64) -> Result<Arc<NetDevice>, Violation> {
    call.domain
        .net
        .device(call.read(handle.wrapping_add(SKB_DEV as u64))?)
}

/// `netif_rx(skb)`.
pub(crate) fn netif_rx(call: &mut Call<'_>) -> Outcome {
    let skb = call.domain.skb.get(call.arg(0))?;
    let device = device_of(call, call.arg(0))?;
    match take(call.domain, &device, skb, false, |len| {
        Packet::alloc(&device.real, len)
    })? {
        Some(packet) => Ok(crate::call::int(packet.deliver(false))),
        None => Ok(RX_DROP),
    }
}

/// `netif_receive_skb(skb)`. Outside a poll the stack may hold a lock that the packet wants, of the socket that
/// transmits for instance; its backlog takes the packet then.
pub(crate) fn netif_receive(call: &mut Call<'_>) -> Outcome {
    let skb = call.domain.skb.get(call.arg(0))?;
    let device = device_of(call, call.arg(0))?;
    let now = !call.may_sleep() && is_poll(call.upcall);
    match take(call.domain, &device, skb, false, |len| {
        Packet::alloc(&device.real, len)
    })? {
        Some(packet) => Ok(crate::call::int(packet.deliver(now))),
        None => Ok(RX_DROP),
    }
}
