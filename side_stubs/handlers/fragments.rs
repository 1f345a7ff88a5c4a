// SPDX-License-Identifier: GPL-2.0

//! Packets whose data lie in pages of the driver's beside the buffer: fragments.

use super::skb::{fields, put, Held, Skb};
use crate::call::{Call, Outcome, Violation};
use crate::domain::Domain;
use crate::side_stubs::contract::{address_to_page, page_to_address, STRUCT_PAGE_SIZE};
use crate::sys::access::PAGE;
use crate::sys::layout::PAGE_REFCOUNT;
use crate::sys::net_layout::*;
use kernel::prelude::*;

/// The largest page fragment.
const MAX_FRAGMENT: u64 = 1 << 16;

/// `__netdev_alloc_frag_align(size, mask)`, `__napi_alloc_frag_align(size, mask)`: pages of its own
/// for each fragment, so that the last user of one frees no other.
pub(crate) fn alloc_fragment(call: &mut Call<'_>) -> Outcome {
    let size = u64::from(call.uint(0));
    if size == 0 || size > MAX_FRAGMENT {
        return Ok(0);
    }
    let order = size.div_ceil(PAGE).next_power_of_two().trailing_zeros();
    Ok(call.domain.memory.alloc_pages(order).unwrap_or(0))
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

/// Lets go of the pages of the received packet `skb`, whose shared information is at `end` and names `count` of them.
#[inline(never)]
pub(super) fn put_fragments(
    domain: &Domain,
    skb: &Skb,
    end: u64,
    count: u8,
) -> Result<(), Violation> {
    if usize::from(count) > MAX_FRAGS {
        return Err(Violation::new("too-many-fragments", count.into()));
    }
    for n in 0..usize::from(count) {
        let mut token = [0; 8];
        let place = end + (SHARED_FRAGS + n * FRAG_SIZE) as u64;
        skb.read_data(domain, place, &mut token)?;
        put_page(domain, u64::from_ne_bytes(token) & !1)?;
    }
    Ok(())
}

/// Shortens the fragments of `skb` to `paged` bytes; the packet is `len` bytes then.
pub(super) fn trim_fragments(call: &Call<'_>, skb: &Skb, len: u32, paged: u32) -> Outcome {
    let domain = call.domain;
    let end = skb.held.lock().1;
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
    let (head, end) = skb.bounds()?;
    let f = fields(domain, handle)?;
    let tail = head + u64::from(f.tail);
    if delta > f.data_len || tail + u64::from(delta) > end {
        return Ok(0);
    }
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
    call.write(handle + SKB_TAIL as u64, f.tail.wrapping_add(delta))?;
    call.write(handle + SKB_DATA_LEN as u64, f.data_len - delta)?;
    Ok(tail + u64::from(delta))
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
