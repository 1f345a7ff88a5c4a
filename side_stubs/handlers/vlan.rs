// SPDX-License-Identifier: GPL-2.0

//! VLAN tags in a frame.

use super::skb;
use crate::call::{Call, Outcome};
use crate::side_stubs::packet::ETH_HLEN;

/// `__vlan_get_protocol_offset(skb, type, mac_offset)`: returns the protocol and, above it, where
/// the headers end (`struct vlan_type_depth`).
pub(crate) fn vlan_protocol(call: &mut Call<'_>) -> Outcome {
    let (handle, kind, offset) = (call.arg(0), call.arg(1) as u16, call.uint(2));
    call.domain.skb.get(handle)?;
    let f = skb::fields(call.domain, handle)?;
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
