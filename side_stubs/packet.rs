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

/// A header's offset from the buffer's head, carried over from a buffer with `from` bytes of
/// headroom to one with `to`. An unset one (all bits set) stays unset.
pub const fn moved(offset: u16, from: u32, to: u32) -> u16 {
    if offset == u16::MAX {
        return offset;
    }
    let place = offset as i64 - from as i64 + to as i64;
    if place < 0 || place >= u16::MAX as i64 {
        u16::MAX
    } else {
        place as u16
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

#[cfg(test)]
mod tests {
    use super::*;

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
        assert_eq!(moved(100, 80, 64), 84);
        assert_eq!(moved(u16::MAX, 80, 64), u16::MAX);
        assert_eq!(moved(10, 80, 64), u16::MAX);
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
