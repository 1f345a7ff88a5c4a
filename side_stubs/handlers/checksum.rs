// SPDX-License-Identifier: GPL-2.0

//! Check sums and headers of packets that the kernel's helpers look at for a driver.

use super::skb::{fields, Fields, Skb};
use crate::call::{errno, Call, Outcome, Violation};
use crate::side_stubs::contract::page_to_address;
use crate::side_stubs::packet::{self, Sum};
use crate::sys::net_layout::*;
use kernel::prelude::*;
use kernel::sync::Arc;

/// `CHECKSUM_PARTIAL`, and the bits of `ip_summed` where they lie.
const PARTIAL: u8 = 3;
const SUMMED: u8 = 3 << SKB_IP_SUMMED_SHIFT;
/// The longest packet.
const LONGEST: u32 = 1 << 17;

/// Calls `f` with the bytes of `skb` from the first to the last, in pieces.
fn each_piece(
    call: &Call<'_>,
    skb: &Skb,
    mut f: impl FnMut(&[u8]) -> Result<(), Violation>,
) -> Result<(), Violation> {
    let claims = fields(call.domain, skb.address)?;
    if claims.data_len > claims.len || claims.len > LONGEST {
        return Err(Violation::new("skb-length", claims.len.into()));
    }
    let mut piece = [0; 256];
    let mut run = |start: u64, len: u32| {
        let mut done = 0;
        while done < len {
            let part = core::cmp::min(len - done, piece.len() as u32) as usize;
            call.read_bytes(start.wrapping_add(done.into()), &mut piece[..part])?;
            f(&piece[..part])?;
            done += part as u32;
        }
        Ok::<(), Violation>(())
    };
    run(claims.data, claims.len - claims.data_len)?;
    let end = skb.held.lock().1;
    let count: u8 = call.read(end + SHARED_NR_FRAGS as u64)?;
    if usize::from(count) > MAX_FRAGS {
        return Err(Violation::new("too-many-fragments", count.into()));
    }
    let mut left = claims.data_len;
    for n in 0..usize::from(count) {
        let place = end + (SHARED_FRAGS + n * FRAG_SIZE) as u64;
        let (token, len): (u64, u32) = (call.read(place)?, call.read(place + 8)?);
        let offset: u32 = call.read(place + 12)?;
        let page = page_to_address(token & !1).ok_or(Violation::new("bad-page", token))?;
        left = left
            .checked_sub(len)
            .ok_or(Violation::new("skb-length", len.into()))?;
        run(page + u64::from(offset), len)?;
    }
    match left {
        0 => Ok(()),
        _ => Err(Violation::new("skb-length", left.into())),
    }
}

/// Where the sum of `skb` begins and where it goes, from the first byte, with the fields that this was judged
/// by; `None` unless the sum is still to be made.
fn partial(call: &Call<'_>, skb: &Arc<Skb>) -> Result<Option<(u32, u32, Fields)>, Violation> {
    let bits: u8 = call.read(skb.address + SKB_BITS as u64)?;
    if bits >> SKB_IP_SUMMED_SHIFT & 3 != PARTIAL {
        return Ok(None);
    }
    let claims = fields(call.domain, skb.address)?;
    let start: u16 = call.read(skb.address + SKB_CSUM as u64)?;
    let offset: u16 = call.read(skb.address + SKB_CSUM as u64 + 2)?;
    let headroom = claims.data.wrapping_sub(skb.head());
    let begin = u64::from(start).wrapping_sub(headroom);
    let place = begin.wrapping_add(u64::from(offset));
    if place.wrapping_add(2) > u64::from(claims.len) || begin > place {
        return Err(Violation::new("skb-checksum", place));
    }
    Ok(Some((begin as u32, place as u32, claims)))
}

/// The one's complement sum of `skb` from byte `begin` on, folded and inverted; never 0.
fn sum_from(call: &Call<'_>, skb: &Skb, begin: u32) -> Result<u16, Violation> {
    let (mut sum, mut skip) = (Sum::default(), begin as usize);
    each_piece(call, skb, |bytes| {
        let from = core::cmp::min(skip, bytes.len());
        skip -= from;
        sum.add(&bytes[from..]);
        Ok(())
    })?;
    Ok(sum.mangled())
}

/// `skb_copy_and_csum_dev(skb, to)`: copies the packet, with its sum made if that is to be done.
pub(crate) fn copy_and_sum(call: &mut Call<'_>) -> Outcome {
    let (skb, to) = (call.domain.skb.get(call.arg(0))?, call.arg(1));
    let mut at = to;
    each_piece(call, &skb, |bytes| {
        call.write_bytes(at, bytes)?;
        at = at.wrapping_add(bytes.len() as u64);
        Ok(())
    })?;
    if let Some((begin, place, _)) = partial(call, &skb)? {
        let sum = sum_from(call, &skb, begin)?;
        call.write(to.wrapping_add(place.into()), sum)?;
    }
    Ok(0)
}

/// `skb_checksum_help(skb)`: makes the sum in place, where the device cannot.
pub(crate) fn help(call: &mut Call<'_>) -> Outcome {
    let skb = call.domain.skb.get(call.arg(0))?;
    let Some((begin, place, claims)) = partial(call, &skb)? else {
        return Ok(0);
    };
    let Some(linear) = claims.len.checked_sub(claims.data_len) else {
        return Err(Violation::new("skb-length", claims.data_len.into()));
    };
    if u64::from(place) + 2 > u64::from(linear) {
        return Ok(errno(EINVAL));
    }
    let sum = sum_from(call, &skb, begin)?;
    call.write(claims.data.wrapping_add(place.into()), sum)?;
    let at = skb.address + SKB_BITS as u64;
    let bits: u8 = call.read(at)?;
    call.write(at, bits & !SUMMED)?;
    Ok(0)
}

/// `eth_get_headlen(dev, data, len)`: how many bytes of the frame are headers.
pub(crate) fn header_length(call: &mut Call<'_>) -> Outcome {
    let mut frame = [0; 256];
    let len = core::cmp::min(call.uint(2), frame.len() as u32) as usize;
    call.read_bytes(call.arg(1), &mut frame[..len])?;
    Ok(packet::header_length(&frame[..len]) as u64)
}
