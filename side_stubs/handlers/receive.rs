// SPDX-License-Identifier: GPL-2.0

//! Receive: a driver hands over a shadow; its bytes are copied into a real packet at once, so that
//! neither the driver nor the device can change a frame that the stack has begun to look at.

use super::napi::Napi;
use super::net::NetDevice;
use super::skb::{self, Held, Skb};
use crate::call::{Call, Outcome, Violation};
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

/// Checks the shadow at `handle`, copies it into a packet that `alloc` makes, and frees it.
fn take(
    call: &Call<'_>,
    device: &NetDevice,
    handle: u64,
    alloc: impl FnOnce(u32) -> Option<Packet>,
) -> Result<Option<Packet>, Violation> {
    let domain = call.domain;
    let skb = domain.skb.get(handle)?;
    let (pulled, end) = {
        let held = skb.held.lock();
        match held.0 {
            Held::Receive { pulled } => (pulled, held.1),
            _ => return Err(Violation::new("skb-not-received", handle)),
        }
    };
    // One look at the shadow: everything is decided from this copy.
    let mut image = [0; SKB_SIZE];
    call.read_bytes(handle, &mut image)?;
    let word =
        |at: usize| u32::from_ne_bytes([image[at], image[at + 1], image[at + 2], image[at + 3]]);
    let half = |at: usize| u16::from_ne_bytes([image[at], image[at + 1]]);
    let data = u64::from(word(SKB_DATA)) | u64::from(word(SKB_DATA + 4)) << 32;
    let (len, data_len) = (word(SKB_LEN), word(SKB_DATA_LEN));
    let frame = packet::received(skb.head(), end, data, len, data_len, pulled)
        .map_err(|rule| Violation::new(rule, len.into()))?;
    let mut info = [0; SHARED_FRAGS];
    call.read_bytes(end, &mut info)?;
    let mut hwtstamp = [0; 8];
    hwtstamp.copy_from_slice(&info[SHARED_HWTSTAMP..SHARED_HWTSTAMP + 8]);

    let bits = [image[SKB_BITS], image[SKB_BITS + 1], image[SKB_BITS + 2]];
    let hash = word(SKB_HASH);
    let vlan_proto = half(SKB_VLAN);
    let meta = RxMeta {
        hwtstamp: i64::from_ne_bytes(hwtstamp),
        hash,
        vlan_proto,
        vlan_tci: half(SKB_VLAN + 2),
        queue: match half(SKB_QUEUE) {
            0 => u16::MAX,
            n => n - 1,
        },
        hash_type: match (hash, bits[2] & SKB_L4_HASH != 0) {
            (0, _) => 0,
            (_, false) => 1,
            (_, true) => 2,
        },
        has_vlan: matches!(u16::from_be(vlan_proto), 0x8100 | 0x88a8),
        checked: bits[0] >> SKB_IP_SUMMED_SHIFT & 3 == 1 && device.real.features() & RXCSUM != 0,
    };
    let built = copy(call, &skb, &frame, info[SHARED_NR_FRAGS], end, alloc);
    // The driver has given the buffer away whatever came of it.
    call.write(handle + SKB_USERS as u64, 1u32)?;
    let mut built = built?;
    skb::free(domain, handle, true)?;
    match &mut built {
        Some(packet) => packet.received(&device.real, &meta),
        None => {
            device.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }
    Ok(built)
}

fn copy(
    call: &Call<'_>,
    _skb: &Skb,
    frame: &Received,
    count: u8,
    end: u64,
    alloc: impl FnOnce(u32) -> Option<Packet>,
) -> Result<Option<Packet>, Violation> {
    let total = frame.linear + frame.paged;
    let Some(mut packet) = alloc(total) else {
        return Ok(None);
    };
    packet.append(frame.linear, |bytes| call.read_bytes(frame.start, bytes))?;
    if usize::from(count) > MAX_FRAGS {
        return Err(Violation::new("too-many-fragments", count.into()));
    }
    let mut left = frame.paged;
    for n in 0..usize::from(count) {
        let place = end + (SHARED_FRAGS + n * FRAG_SIZE) as u64;
        let (token, len): (u64, u32) = (call.read(place)?, call.read(place + 8)?);
        let offset: u32 = call.read(place + 12)?;
        if len > left {
            return Err(Violation::new("skb-length", len.into()));
        }
        left -= len;
        let page = page_to_address(token & !1).ok_or(Violation::new("bad-page", token))?;
        packet.append(len, |bytes| {
            call.read_bytes(page + u64::from(offset), bytes)
        })?;
    }
    if left != 0 || packet.len() != total {
        return Err(Violation::new("skb-length", left.into()));
    }
    Ok(Some(packet))
}

/// Hands the shadow at `handle` to the stack by `napi`, whose poll this must be.
fn by_napi(call: &Call<'_>, napi: &Arc<Napi>, handle: u64) -> Outcome {
    if call.may_sleep() || !napi.is_polling_here() {
        return Err(Violation::new("gro-outside-poll", napi.handle));
    }
    match take(call, &napi.device, handle, |len| napi.twin.alloc(len))? {
        Some(packet) => Ok(napi.twin.receive(packet)),
        None => Ok(NORMAL),
    }
}

/// `gro_receive_skb(gro, skb)`: the GRO state is a member of the driver's `napi_struct`.
pub(crate) fn gro_receive(call: &mut Call<'_>) -> Outcome {
    let handle = call.arg(0).wrapping_sub(NAPI_GRO);
    let napi = call.domain.net.napis.get(handle);
    by_napi(
        call,
        &napi.ok_or(Violation::new("not-a-napi", handle))?,
        call.arg(1),
    )
}

/// The device that the driver wrote into the shadow at `handle`.
fn device_of(call: &Call<'_>, handle: u64) -> Result<Arc<NetDevice>, Violation> {
    call.domain
        .net
        .device(call.read(handle.wrapping_add(SKB_DEV as u64))?)
}

/// `netif_rx(skb)`.
pub(crate) fn netif_rx(call: &mut Call<'_>) -> Outcome {
    let device = device_of(call, call.arg(0))?;
    match take(call, &device, call.arg(0), |len| {
        Packet::alloc(&device.real, len)
    })? {
        Some(packet) => Ok(crate::call::int(packet.deliver(false))),
        None => Ok(RX_DROP),
    }
}

/// `netif_receive_skb(skb)`.
pub(crate) fn netif_receive(call: &mut Call<'_>) -> Outcome {
    let device = device_of(call, call.arg(0))?;
    let now = !call.may_sleep();
    match take(call, &device, call.arg(0), |len| {
        Packet::alloc(&device.real, len)
    })? {
        Some(packet) => Ok(crate::call::int(packet.deliver(now))),
        None => Ok(RX_DROP),
    }
}
