// SPDX-License-Identifier: GPL-2.0

//! When packets to transmit are gathered: the decision, apart from the packets.
//!
//! Only a stream is gathered. A packet that comes alone, or answers one that was received, goes to
//! the driver at once; the third of a row that nothing was received between waits for those that
//! follow, for a bounded time. Where waiting gathered next to nothing there is no more of it for a
//! while.

// Also a part of the host crate, where `pub` reaches further.
#![allow(dead_code, unreachable_pub)]

/// Packets that are handed over at once, at most.
pub const GATHER_MAX: usize = 32;
/// The longest that a packet waits for others, in ns.
pub const WAIT: u64 = 100_000;
/// Packets follow each other if no more time lies between them, in ns.
const NEAR: u64 = 100_000;
/// Packets that must have followed each other before one waits.
const ROW: i32 = 2;
/// Fewer packets than these were not worth the wait ...
const WORTH: usize = 3;
/// ... and so many packets go at once before the next one waits.
const PENANCE: i32 = 64;

/// The recent past of one transmit queue.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub struct Pace {
    /// When a packet was sent last.
    last: u64,
    /// Packets that followed each other; below 0, packets that are still to go at once.
    row: i32,
    /// The count of receptions at that time.
    received: u32,
}

impl Pace {
    /// A packet comes at `now` while none waits. Returns whether it is to wait for others.
    /// `received` counts up whenever something was received.
    pub fn waits(&mut self, now: u64, received: u32) -> bool {
        let follows = now.wrapping_sub(self.last) < NEAR && received == self.received;
        self.row = match (self.row, follows) {
            (row, _) if row < 0 => row + 1,
            (_, false) => 0,
            (row, true) => core::cmp::min(row + 1, ROW),
        };
        self.last = now;
        self.received = received;
        self.row >= ROW
    }

    /// `count` packets were handed over at `now`, because time was `up` or for another reason.
    pub fn handed_over(&mut self, now: u64, count: usize, up: bool) {
        self.last = now;
        if up && count < WORTH {
            self.row = -PENANCE;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lone_packet_never_waits() {
        let mut pace = Pace::default();
        for n in 1..1000 {
            assert!(!pace.waits(n * (NEAR + 1), 0));
        }
    }

    #[test]
    fn an_answer_never_waits() {
        let mut pace = Pace::default();
        for n in 1..1000 {
            assert!(!pace.waits(n * 1000, n as u32));
        }
    }

    #[test]
    fn the_third_of_a_row_waits_and_so_does_the_first_after_a_full_group() {
        let mut pace = Pace::default();
        assert!(!pace.waits(1_000_000, 7));
        assert!(!pace.waits(1_001_000, 7));
        assert!(pace.waits(1_002_000, 7));
        pace.handed_over(1_030_000, GATHER_MAX, false);
        assert!(pace.waits(1_031_000, 7));
        // Time was up, but there was enough to gather.
        pace.handed_over(1_131_000, WORTH, true);
        assert!(pace.waits(1_132_000, 7));
        // A pause ends the row.
        assert!(!pace.waits(1_132_000 + NEAR, 7));
        assert!(!pace.waits(1_133_000 + NEAR, 7));
        assert!(pace.waits(1_134_000 + NEAR, 7));
    }

    #[test]
    fn waiting_for_nothing_is_not_repeated_soon() {
        let mut pace = Pace::default();
        // A packet each 60 us: near enough, and yet alone when its time is up.
        let (mut now, mut waited) = (1_000_000, 0);
        for _ in 0..660 {
            now += 60_000;
            if pace.waits(now, 0) {
                waited += 1;
                now += WAIT;
                pace.handed_over(now, 2, true);
            }
        }
        assert!((8..=11).contains(&waited), "{waited} packets waited");
    }
}
