// SPDX-License-Identifier: GPL-2.0

//! What makes a packet that a driver hands over acceptable: decisions on numbers only, so that
//! they are tested on the host.

// Also a part of the host crate, where `pub` reaches further.
#![allow(unreachable_pub)]

/// Length of an Ethernet header.
pub const ETH_HLEN: u32 = 14;
/// The longest frame that is accepted from a driver.
pub const MAX_FRAME: u32 = 65_535 + 64;

/// Where the linear part of a received frame lies, and how long the whole frame is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Received {
    /// Domain address of the first byte, the Ethernet header included.
    pub start: u64,
    /// Bytes there.
    pub linear: u32,
    /// Bytes in fragments after that.
    pub paged: u32,
}

/// Checks a received buffer as its `sk_buff` claims it to be. `head` and `end` bound the buffer as
/// SIDE made it; `data`, `len` and `data_len` are the driver's claims; `pulled` says that
/// `eth_type_trans` has moved `data` past the header. Errors name the broken rule.
pub fn received(
    head: u64,
    end: u64,
    data: u64,
    len: u32,
    data_len: u32,
    pulled: bool,
) -> Result<Received, &'static str> {
    if data_len > len {
        return Err("skb-length");
    }
    let header = if pulled { ETH_HLEN } else { 0 };
    let linear = len - data_len;
    let start = data.wrapping_sub(u64::from(header));
    if data < u64::from(header) || start < head || start > end {
        return Err("skb-data-outside");
    }
    let linear = linear.checked_add(header).ok_or("skb-length")?;
    if end - start < u64::from(linear) {
        return Err("skb-data-outside");
    }
    let total = linear.checked_add(data_len).ok_or("skb-length")?;
    if total < ETH_HLEN {
        return Err("frame-too-short");
    }
    if total > MAX_FRAME {
        return Err("frame-too-long");
    }
    Ok(Received {
        start,
        linear,
        paged: data_len,
    })
}

/// Carries offsets from a buffer's head over to a buffer with other headroom.
#[derive(Clone, Copy)]
pub struct Moved {
    less: u32,
    limit: u32,
}

impl Moved {
    /// From a buffer with `from` bytes of headroom to one with `to`.
    #[inline(always)]
    pub const fn new(from: u32, to: u32) -> Moved {
        let unset = u16::MAX as u32;
        Moved {
            less: from.wrapping_sub(to),
            limit: match to.saturating_sub(from) < unset {
                true => unset.saturating_sub(from.saturating_sub(to)),
                false => 0,
            },
        }
    }

    /// A header's offset in the other buffer. An unset one (all bits set) stays unset, and one that would lie outside
    /// becomes unset.
    #[inline(always)]
    pub const fn offset(self, offset: u16) -> u16 {
        let place = (offset as u32).wrapping_sub(self.less);
        if place < self.limit {
            place as u16
        } else {
            u16::MAX
        }
    }
}

/// An `int` that an operation of the driver returned as a success or an error: a driver that
/// answers nonsense is taken to have failed.
pub const fn status(value: u64) -> i32 {
    let value = value as i32;
    if value <= 0 && value > -4096 {
        value
    } else {
        -5
    }
}

/// As [`status`] where positive answers up to `max` have a meaning.
pub const fn status_up_to(value: u64, max: i32) -> i32 {
    let signed = value as i32;
    if signed > 0 && signed <= max {
        signed
    } else {
        status(value)
    }
}

/// The one's complement sum of 16-bit words (RFC 1071) of bytes that come in pieces.
#[derive(Clone, Copy, Default)]
pub struct Sum {
    total: u64,
    odd: bool,
}

impl Sum {
    /// Adds the next bytes.
    pub fn add(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            let shift = if self.odd { 0 } else { 8 };
            self.total += u64::from(byte) << shift;
            self.odd = !self.odd;
        }
    }

    /// The inverted sum as it lies in a packet's memory; all ones for 0, which UDP takes for "none".
    pub fn mangled(self) -> u16 {
        let mut total = self.total;
        while total >> 16 != 0 {
            total = (total & 0xffff) + (total >> 16);
        }
        match !(total as u16) {
            0 => u16::MAX,
            sum => sum.to_be(),
        }
    }
}

/// How many of the first bytes of a frame are Ethernet, VLAN, IP and TCP or UDP headers.
pub fn header_length(frame: &[u8]) -> usize {
    let half = |at: usize| Some(u16::from_be_bytes([*frame.get(at)?, *frame.get(at + 1)?]));
    let mut at = ETH_HLEN as usize;
    let mut kind = half(12).unwrap_or(0);
    for _ in 0..2 {
        if matches!(kind, 0x8100 | 0x88a8) {
            kind = half(at + 2).unwrap_or(0);
            at += 4;
        }
    }
    let (transport, protocol) = match (kind, frame.get(at)) {
        (0x0800, Some(first)) if first >> 4 == 4 => {
            let whole = half(at + 6).is_some_and(|fragment| fragment & 0x1fff == 0);
            let protocol = frame.get(at + 9).filter(|_| whole);
            (at + usize::from(first & 0xf) * 4, protocol)
        }
        (0x86dd, Some(first)) if first >> 4 == 6 => (at + 40, frame.get(at + 6)),
        _ => (at, None),
    };
    let end = match protocol {
        Some(6) => match frame.get(transport + 12) {
            Some(offset) => transport + core::cmp::max(usize::from(offset >> 4) * 4, 20),
            None => transport,
        },
        Some(17) => transport + 8,
        _ => transport,
    };
    core::cmp::min(end, frame.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_do_not_depend_on_the_pieces() {
        // The example of RFC 1071, section 3: the sum is 0xddf2.
        let bytes = [0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7];
        for cut in 0..=bytes.len() {
            let mut sum = Sum::default();
            sum.add(&bytes[..cut]);
            sum.add(&bytes[cut..]);
            assert_eq!(sum.mangled(), (!0xddf2u16).to_be());
        }
        let mut ones = Sum::default();
        ones.add(&[0xff, 0xff]);
        assert_eq!(ones.mangled(), u16::MAX);
    }

    #[test]
    fn headers_are_measured_and_never_beyond_the_frame() {
        let mut tcp = [0u8; 100];
        tcp[12..15].copy_from_slice(&[0x08, 0x00, 0x45]);
        tcp[23] = 6;
        tcp[14 + 20 + 12] = 0x80;
        assert_eq!(header_length(&tcp), 14 + 20 + 32);
        let mut udp = [0u8; 100];
        udp[12..18].copy_from_slice(&[0x81, 0x00, 0, 1, 0x86, 0xdd]);
        udp[18] = 0x60;
        udp[24] = 17;
        assert_eq!(header_length(&udp), 18 + 40 + 8);
        for len in 0..tcp.len() {
            assert!(header_length(&tcp[..len]) <= len);
            assert!(header_length(&udp[..len]) <= len);
        }
    }

    #[test]
    fn a_plain_frame_is_found() {
        let r = received(0x1000, 0x2000, 0x1040, 60, 0, false);
        assert_eq!(
            r,
            Ok(Received {
                start: 0x1040,
                linear: 60,
                paged: 0
            })
        );
        let r = received(0x1000, 0x2000, 0x104e, 46, 0, true);
        assert_eq!(
            r,
            Ok(Received {
                start: 0x1040,
                linear: 60,
                paged: 0
            })
        );
    }

    #[test]
    fn claims_outside_the_buffer_are_refused() {
        assert!(received(0x1000, 0x2000, 0xfff, 60, 0, false).is_err());
        assert!(received(0x1000, 0x2000, 0x1000, 46, 0, true).is_err());
        assert!(received(0x1000, 0x2000, 0x1ff0, 17, 0, false).is_err());
        assert!(received(0x1000, 0x2000, 3, 60, 0, true).is_err());
        assert!(received(0x1000, 0x2000, u64::MAX, 60, 0, false).is_err());
        assert!(received(0x1000, 0x2000, 0x1000, 60, 61, false).is_err());
        assert!(received(0x1000, 0x2000, 0x1000, u32::MAX, 0, true).is_err());
        assert!(received(0x1000, 0x2000, 0x1000, u32::MAX, u32::MAX, true).is_err());
        assert_eq!(
            received(0x1000, 0x2000, 0x1000, 13, 0, false),
            Err("frame-too-short")
        );
    }

    #[test]
    fn headers_move_with_the_headroom() {
        assert_eq!(Moved::new(80, 64).offset(100), 84);
        assert_eq!(Moved::new(80, 64).offset(u16::MAX), u16::MAX);
        assert_eq!(Moved::new(80, 64).offset(10), u16::MAX);
        let edges = [
            0,
            1,
            15,
            16,
            64,
            100,
            0x7fff,
            0xfffe,
            0xffff,
            0x10000,
            u32::MAX,
        ];
        for (from, to) in edges.iter().flat_map(|from| edges.map(|to| (*from, to))) {
            for offset in 0..=u16::MAX {
                let place = i64::from(offset) - i64::from(from) + i64::from(to);
                let set = offset != u16::MAX && (0..i64::from(u16::MAX)).contains(&place);
                let expected = if set { place as u16 } else { u16::MAX };
                assert_eq!(
                    Moved::new(from, to).offset(offset),
                    expected,
                    "{offset} {from} {to}"
                );
            }
        }
    }

    #[test]
    fn answers_are_errors_or_zero() {
        assert_eq!(status(0), 0);
        assert_eq!(status(-22i32 as u64), -22);
        assert_eq!(status(7), -5);
        assert_eq!(status(-5000i64 as u64), -5);
        assert_eq!(status_up_to(2, 50), 2);
        assert_eq!(status_up_to(51, 50), -5);
    }
}
