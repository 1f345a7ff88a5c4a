// SPDX-License-Identifier: GPL-2.0

//! When packets to transmit are gathered: the decision, apart from the packets.
//!
//! Only a stream is gathered. A packet that comes alone, or answers one that was received, goes to
//! the driver at once; the third of a row that nothing was received between waits for those that
//! follow, for a bounded time. Where waiting gathered next to nothing there is no more of it for a
//! while.
//!
//! How near is near, and how long a packet waits, is measured by what a hand-over takes: where that is
//! long, packets can only follow each other slowly, and would go one by one for ever.

// Also a part of the host crate, where `pub` reaches further.
#![allow(dead_code, unreachable_pub)]

/// Packets that are handed over at once, at most.
pub const GATHER_MAX: usize = 32;
/// How long a packet waits for others, in ns, unless two hand-overs take longer: then as long as those, up to a
/// bound.
const WAIT: u64 = 100_000;
const WAIT_MAX: u64 = 1_000_000;
/// A hand-over counts for one part in so many of what one takes.
const PART: u64 = 4;
/// Packets that must have followed each other before one waits.
const ROW: i32 = 2;
/// Fewer packets than these were not worth the wait ...
const WORTH: usize = 3;
/// ... and so many packets go at once before the next one waits.
const PENANCE: i32 = 64;

/// The recent past of one transmit queue.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub struct Pace {
    /// When a packet came last, or the driver had taken what was there.
    last: u64,
    /// What a hand-over takes, in ns.
    taking: u64,
    /// Packets that followed each other; below 0, packets that are still to go at once.
    row: i32,
    /// The count of receptions at that time.
    received: u32,
}

impl Pace {
    /// A packet comes at `now` while none waits. Returns whether it is to wait for others.
    /// `received` counts up whenever something was received.
    pub fn waits(&mut self, now: u64, received: u32) -> bool {
        let follows = now.wrapping_sub(self.last) < self.wait() && received == self.received;
        self.row = match (self.row, follows) {
            (row, _) if row < 0 => row + 1,
            (_, false) => 0,
            (row, true) => core::cmp::min(row + 1, ROW),
        };
        self.last = now;
        self.received = received;
        self.row >= ROW
    }

    /// The longest that a packet waits for others, in ns; packets follow each other if no more time lies
    /// between them.
    pub fn wait(&self) -> u64 {
        (2 * self.taking).clamp(WAIT, WAIT_MAX)
    }

    /// `count` packets that had waited are handed over, because time was `up` or for another reason.
    pub fn handed_over(&mut self, count: usize, up: bool) {
        if up && count < WORTH {
            self.row = -PENANCE;
        }
    }

    /// The driver has taken what was handed over at `begin`, one packet or several.
    pub fn returned(&mut self, begin: u64, now: u64) {
        let took = core::cmp::min(now.wrapping_sub(begin), WAIT_MAX);
        self.taking = (self.taking * (PART - 1) + took) / PART;
        self.last = now;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lone_packet_never_waits() {
        let mut pace = Pace::default();
        for n in 1..1000 {
            assert!(!pace.waits(n * (WAIT + 1), 0));
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
        pace.handed_over(GATHER_MAX, false);
        pace.returned(1_030_000, 1_031_000);
        assert!(pace.waits(1_031_000, 7));
        // Time was up, but there was enough to gather.
        pace.handed_over(WORTH, true);
        pace.returned(1_131_000, 1_131_000);
        assert!(pace.waits(1_132_000, 7));
        // A pause ends the row.
        assert!(!pace.waits(1_132_000 + WAIT, 7));
        assert!(!pace.waits(1_133_000 + WAIT, 7));
        assert!(pace.waits(1_134_000 + WAIT, 7));
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
                pace.handed_over(2, true);
                pace.returned(now, now);
            }
        }
        assert!((8..=11).contains(&waited), "{waited} packets waited");
    }

    /// Packets each 13 us while the sender is let; a hand-over takes `takes` ns. Returns the hand-overs that
    /// 10,000 packets took, and the longest that one waited.
    fn stream(takes: u64) -> (usize, u64) {
        let mut pace = Pace::default();
        let (mut now, mut calls, mut longest) = (1_000_000, 0, 0);
        let (mut kept, mut since) = (0, 0);
        for _ in 0..10_000 {
            now += 13_000;
            if kept == 0 {
                if !pace.waits(now, 0) {
                    pace.returned(now, now + takes);
                    now += takes;
                    calls += 1;
                    continue;
                }
                since = now;
            }
            kept += 1;
            let up = now - since >= pace.wait();
            if up || kept == GATHER_MAX {
                longest = core::cmp::max(longest, now - since);
                pace.handed_over(kept, up);
                pace.returned(now, now + takes);
                now += takes;
                calls += 1;
                kept = 0;
            }
        }
        (calls, longest)
    }

    #[test]
    fn a_stream_is_gathered_however_long_a_hand_over_takes() {
        // Eight and more go at once where a hand-over takes 2 us, nearly all that can where it takes 400 us.
        let (calls, longest) = stream(2_000);
        assert!(calls <= 10_000 / 8, "{calls} calls");
        assert!(longest <= WAIT + 13_000, "{longest} ns");
        let (calls, longest) = stream(400_000);
        assert!(calls <= 10_000 / 31, "{calls} calls");
        assert!(longest <= 813_000, "{longest} ns");
        let (_, longest) = stream(50_000_000);
        assert!(longest <= WAIT_MAX + 13_000, "{longest} ns");
    }
}
