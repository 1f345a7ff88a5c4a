// SPDX-License-Identifier: GPL-2.0

//! Bounds on what a driver may hold and do, beyond the time of one upcall: what exceeds one is a
//! leak, a storm or a standstill that no single call shows.

/// The bounds of one driver. 0 turns a bound off.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Limits {
    /// Milliseconds that a lock of the kernel's may be held.
    pub lock_ms: u64,
    /// Interrupts a second of one number.
    pub irqs: u64,
    /// Transmit timeouts one after the other, with no packet sent between them or within 30 s of each other.
    pub stalls: u64,
    /// Milliseconds in which an interface sends and hears nothing.
    pub silence_ms: u64,
    /// Milliseconds for which a driver may keep packets that it was given to send.
    pub sent_ms: u64,
    /// Bytes of live heap objects.
    pub heap: u64,
    /// Packet buffers.
    pub packets: u64,
    /// DMA mappings.
    pub mappings: u64,
    /// Timers and work items that have been used.
    pub timers: u64,
    /// Milliseconds of each second of a CPU's that timer functions may take.
    pub timer_ms: u64,
}

/// The bounds by name, for reading and writing.
const NAMES: [&str; 10] = [
    "lock_ms",
    "irqs",
    "stalls",
    "silence_ms",
    "sent_ms",
    "heap",
    "packets",
    "mappings",
    "timers",
    "timer_ms",
];

impl Limits {
    /// Far above what a driver in order needs.
    pub const DEFAULT: Limits = Limits {
        lock_ms: 30_000,
        irqs: 500_000,
        stalls: 3,
        silence_ms: 30_000,
        sent_ms: 30_000,
        heap: 512 << 20,
        packets: 1 << 17,
        mappings: 1 << 17,
        timers: 1 << 14,
        timer_ms: 600,
    };

    fn slot(&mut self, name: &str) -> Option<&mut u64> {
        Some(match name {
            "lock_ms" => &mut self.lock_ms,
            "irqs" => &mut self.irqs,
            "stalls" => &mut self.stalls,
            "silence_ms" => &mut self.silence_ms,
            "sent_ms" => &mut self.sent_ms,
            "heap" => &mut self.heap,
            "packets" => &mut self.packets,
            "mappings" => &mut self.mappings,
            "timers" => &mut self.timers,
            "timer_ms" => &mut self.timer_ms,
            _ => return None,
        })
    }

    /// Calls `f` with each name and bound.
    pub fn each(mut self, mut f: impl FnMut(&'static str, u64)) {
        for name in NAMES {
            let value = self.slot(name).map_or(0, |value| *value);
            f(name, value);
        }
    }

    /// Reads "NAME N" pairs; bounds that are not named stay. `None`: not understood.
    pub fn parse(self, text: &str) -> Option<Limits> {
        let mut limits = self;
        let mut words = text.split_ascii_whitespace();
        let mut any = false;
        while let Some(name) = words.next() {
            let value = words.next()?.parse().ok()?;
            *limits.slot(name)? = value;
            any = true;
        }
        any.then_some(limits)
    }

    /// The rule and the value of the first bound on what is held that `held` exceeds.
    pub fn check(&self, held: &Held) -> Option<(&'static str, u64)> {
        let bounds = [
            ("heap-leak", held.heap, self.heap),
            ("packet-leak", held.packets, self.packets),
            ("mapping-leak", held.mappings, self.mappings),
            ("timer-leak", held.timers, self.timers),
            ("lock-held-too-long", held.lock_ms, self.lock_ms),
        ];
        bounds
            .into_iter()
            .find(|(_, value, bound)| *bound != 0 && value > bound)
            .map(|(rule, value, _)| (rule, value))
    }
}

/// What a driver holds at one moment.
#[derive(Clone, Copy, Default, Debug)]
pub struct Held {
    /// Bytes of live heap objects.
    pub heap: u64,
    /// Packet buffers.
    pub packets: u64,
    /// DMA mappings.
    pub mappings: u64,
    /// Timers and work items.
    pub timers: u64,
    /// Milliseconds for which the lock has been held that is held longest.
    pub lock_ms: u64,
    /// Packets to send of interfaces that have a carrier.
    pub to_send: ToSend,
}

/// Packets that a driver was given to send and has not freed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ToSend {
    /// How many.
    pub count: u64,
    /// The turn of the first of them, among all packets that were handed over.
    pub first: u64,
}

impl Default for ToSend {
    fn default() -> Self {
        let first = u64::MAX;
        ToSend { count: 0, first }
    }
}

impl ToSend {
    /// Adds the packet of `turn`.
    pub fn add(&mut self, turn: u64) {
        self.count += 1;
        self.first = self.first.min(turn);
    }
}

/// Counts events a second.
#[derive(Clone, Copy, Default, Debug)]
pub struct Rate {
    begin: u64,
    count: u64,
}

impl Rate {
    /// An event at `now` (ns). Returns the count if there were more than `bound` within one second.
    pub fn event(&mut self, now: u64, bound: u64) -> Option<u64> {
        let count = self.within(now, 1_000_000_000);
        (bound != 0 && count > bound).then_some(count)
    }

    /// An event at `now`. Returns the count of those in its window of `length`, both in ns.
    fn within(&mut self, now: u64, length: u64) -> u64 {
        if now.saturating_sub(self.begin) >= length {
            *self = Rate {
                begin: now,
                count: 0,
            };
        }
        self.count += 1;
        self.count
    }
}

/// Lines of a driver in the kernel's log: so many within five seconds, the others are left out and counted.
#[derive(Clone, Copy, Debug)]
pub struct Lines {
    lines: Rate,
    left_out: u64,
}

impl Lines {
    /// None so far.
    pub const NONE: Lines = Lines {
        lines: Rate { begin: 0, count: 0 },
        left_out: 0,
    };

    /// A line at `now` (ns), of which there may be `bound`. `None`: it is left out. Else how many were left out
    /// before it, to be told once.
    pub fn allow(&mut self, now: u64, bound: u64) -> Option<u64> {
        if self.lines.within(now, 5_000_000_000) > bound {
            self.left_out += 1;
            return None;
        }
        Some(core::mem::take(&mut self.left_out))
    }
}

/// Notices an interface that sends and hears nothing: its card may be deaf, or the network quiet. Which of the
/// two a new start of the driver tells, so there is one in each silence.
#[derive(Clone, Copy, Default, Debug)]
pub struct Hearing {
    driver: u64,
    sent: u64,
    looked: u64,
    silent: u64,
    tried: bool,
}

impl Hearing {
    /// A look at `now` (ns) at an interface of the driver number `driver`: `sent` changes when something is sent,
    /// `heard` says whether something came since the last look. Returns for how many ms in which something was sent
    /// nothing came, if that is more than `bound`, once until something comes. 0 is no bound.
    pub fn look(
        &mut self,
        now: u64,
        driver: u64,
        sent: u64,
        heard: bool,
        bound: u64,
    ) -> Option<u64> {
        if self.driver != driver {
            (self.driver, self.silent) = (driver, 0);
        }
        if heard {
            (self.silent, self.tried) = (0, false);
        } else if self.sent != sent {
            // A look that came late says nothing about the time before.
            self.silent += now.saturating_sub(self.looked).min(2_000_000_000) / 1_000_000;
        }
        (self.sent, self.looked) = (sent, now);
        let exceeds = bound != 0 && self.silent > bound && !self.tried;
        self.tried |= exceeds;
        exceeds.then_some(self.silent)
    }
}

/// Counts how often in a row the stack finds a transmit queue that stands still.
#[derive(Clone, Copy, Default, Debug)]
pub struct Stalls {
    count: u64,
    last: u64,
}

impl Stalls {
    /// A queue stands still at `now` (ns); `sent` says whether the driver has let go of packets as sent since the last
    /// time. Many do in a reset of the card, so that alone is no progress: it is where the queue then ran for a while.
    /// Returns the count if there are more than `bound` in a row. 0 is no bound.
    pub fn found(&mut self, now: u64, sent: bool, bound: u64) -> Option<u64> {
        if sent && now.saturating_sub(self.last) > 30_000_000_000 {
            self.count = 0;
        }
        (self.count, self.last) = (self.count + 1, now);
        (bound != 0 && self.count > bound).then_some(self.count)
    }
}

/// Notices packets that a driver keeps. It is to free what it sent in finite time, or sockets that wait for room stand
/// still (Documentation/networking/driver.rst); the stack's own watchdog looks at queues that the driver has stopped only.
#[derive(Clone, Copy, Default, Debug)]
pub struct Keeping {
    driver: u64,
    looked: u64,
    /// Moments, the latest first, and the turn of the packet that came next then.
    marks: [(u64, u64); 3],
    tried: bool,
}

impl Keeping {
    /// So many packets a driver may keep for as long as it likes: some ask for an interrupt at each 16th only.
    const FEW: u64 = 32;

    /// A look at `now` (ns) at the driver number `driver`: what it has to send, and the turn of the packet that comes
    /// `next`. Returns for how many ms at least it has had the first, if that is more than `bound`, once until it has
    /// but few: a link that is paused is no better after a restart. 0 is no bound. To be called about once a second.
    pub fn look(
        &mut self,
        now: u64,
        driver: u64,
        to_send: ToSend,
        next: u64,
        bound: u64,
    ) -> Option<u64> {
        // A look that comes late says nothing about the time before.
        if self.driver != driver || now.saturating_sub(self.looked) > 3_000_000_000 {
            self.marks = [(now, next), (now, 0), (now, 0)];
        }
        (self.driver, self.looked) = (driver, now);
        let [latest, before, _] = self.marks;
        if now.saturating_sub(latest.0) / 500_000 >= bound {
            self.marks = [(now, next), latest, before];
        }
        if to_send.count < Self::FEW {
            self.tried = false;
            return None;
        }
        let then = self.marks.iter().filter(|mark| to_send.first < mark.1);
        let kept = now.saturating_sub(then.map(|mark| mark.0).min()?) / 1_000_000;
        let exceeds = bound != 0 && kept > bound && !self.tried;
        self.tried |= exceeds;
        exceeds.then_some(kept)
    }
}

/// Sums up time that is used, second by second.
#[derive(Clone, Copy, Default, Debug)]
pub struct Share {
    begin: u64,
    used: u64,
}

impl Share {
    /// Of the time from `begin` on `used` went, both in ns. Returns the sum in ms if more than `bound` ms were
    /// used of what began within one second.
    pub fn add(&mut self, begin: u64, used: u64, bound: u64) -> Option<u64> {
        if begin.saturating_sub(self.begin) >= 1_000_000_000 {
            *self = Share { begin, used: 0 };
        }
        self.used = self.used.saturating_add(used);
        let sum = self.used / 1_000_000;
        (bound != 0 && sum > bound).then_some(sum)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_left_out_and_counted() {
        let mut lines = Lines::NONE;
        let second = 1_000_000_000;
        assert_eq!(lines.allow(7 * second, 2), Some(0));
        assert_eq!(lines.allow(8 * second, 2), Some(0));
        assert_eq!(lines.allow(9 * second, 2), None);
        assert_eq!(lines.allow(11 * second, 2), None);
        assert_eq!(lines.allow(12 * second, 2), Some(2));
        assert_eq!(lines.allow(12 * second, 2), Some(0));
        assert_eq!(lines.allow(13 * second, 2), None);
    }

    #[test]
    fn bounds_are_parsed_and_listed() {
        let limits = Limits::DEFAULT.parse("heap 1 stalls 0").unwrap();
        assert_eq!((limits.heap, limits.stalls), (1, 0));
        assert_eq!(limits.irqs, Limits::DEFAULT.irqs);
        for bad in ["", "heap", "heap x", "foo 1", "heap -1", "1"] {
            assert_eq!(limits.parse(bad), None, "{bad}");
        }
        let mut count = 0;
        limits.each(|name, value| {
            count += 1;
            assert_eq!(value == 1, name == "heap");
        });
        assert_eq!(count, NAMES.len());
    }

    #[test]
    fn the_first_bound_exceeded_is_named() {
        let limits = Limits::DEFAULT.parse("heap 10 timers 5").unwrap();
        let mut held = Held {
            heap: 10,
            timers: 5,
            ..Held::default()
        };
        assert_eq!(limits.check(&held), None);
        held.timers = 6;
        assert_eq!(limits.check(&held), Some(("timer-leak", 6)));
        assert_eq!(limits.parse("timers 0").unwrap().check(&held), None);
        held.heap = 11;
        assert_eq!(limits.check(&held), Some(("heap-leak", 11)));
    }

    /// Looks once a second, `seconds` times, with what was sent by then and whether something came; says when it was
    /// noticed.
    fn looks(
        hearing: &mut Hearing,
        from: u64,
        seconds: u64,
        driver: u64,
        at: impl Fn(u64) -> (u64, bool),
    ) -> Vec<u64> {
        let look = |n: &u64| {
            let (sent, heard) = at(*n);
            hearing
                .look(n * 1_000_000_000, driver, sent, heard, 5_000)
                .is_some()
        };
        (from..from + seconds).filter(look).collect()
    }

    #[test]
    fn a_silence_is_noticed_once() {
        let mut hearing = Hearing::default();
        // What is heard, or is not even asked for, is no silence.
        assert!(looks(&mut hearing, 1, 20, 1, |n| (n, true)).is_empty());
        assert!(looks(&mut hearing, 21, 20, 1, |_| (20, false)).is_empty());
        assert_eq!(looks(&mut hearing, 41, 20, 1, |n| (n, false)), [46]);
        // The next driver hears nothing either: the network is quiet.
        assert!(looks(&mut hearing, 61, 60, 2, |n| (n, false)).is_empty());
        // Something came, and then nothing.
        assert_eq!(looks(&mut hearing, 121, 20, 2, |n| (n, n == 121)), [127]);
        assert!(looks(&mut hearing, 141, 20, 3, |n| (n, false)).is_empty());
    }

    #[test]
    fn a_card_that_never_heard_is_noticed() {
        let mut hearing = Hearing::default();
        assert_eq!(looks(&mut hearing, 100, 20, 1, |n| (n, false)).len(), 1);
        let mut hearing = Hearing::default();
        for n in 0..100 {
            assert_eq!(hearing.look(n * 1_000_000_000, 1, n, false, 0), None);
        }
    }

    /// When packets are noticed that are kept, at a bound of 10 s and ten packets a second, of `seconds` looks at the
    /// driver number `driver`; `first` says which is the first that is not freed, by the second.
    fn notices(
        keeping: &mut Keeping,
        from: u64,
        seconds: u64,
        driver: u64,
        first: impl Fn(u64) -> u64,
    ) -> Vec<u64> {
        let look = |n: &u64| {
            let (next, first) = (n * 10, first(*n));
            let count = next.saturating_sub(first);
            let to_send = ToSend { count, first };
            keeping
                .look(n * 1_000_000_000, driver, to_send, next, 10_000)
                .is_some()
        };
        (from..from + seconds).filter(look).collect()
    }

    #[test]
    fn packets_that_are_kept_are_noticed_once() {
        let mut keeping = Keeping::default();
        // Few of them, and many that each go after some seconds.
        assert!(notices(&mut keeping, 1, 60, 1, |n| n * 10 - 5).is_empty());
        assert!(notices(&mut keeping, 61, 60, 1, |n| n * 10 - 80).is_empty());
        // From second 130 on none is freed; the next driver frees none either.
        assert!(notices(&mut keeping, 121, 9, 1, |n| n * 10).is_empty());
        let noticed = notices(&mut keeping, 130, 60, 1, |_| 1300);
        assert!(
            noticed.len() == 1 && (141..=146).contains(&noticed[0]),
            "{noticed:?}"
        );
        assert!(notices(&mut keeping, 190, 60, 2, |_| 1300).is_empty());
        // It does, and then no more.
        assert!(notices(&mut keeping, 250, 5, 2, |n| n * 10).is_empty());
        assert_eq!(notices(&mut keeping, 255, 60, 2, |_| 2550).len(), 1);
        // What nobody looked at for long, as in a suspend, is not counted; and there need be no bound.
        let mut keeping = Keeping::default();
        let many = ToSend {
            count: 99,
            first: 0,
        };
        assert_eq!(keeping.look(1_000_000_000, 1, many, 99, 10_000), None);
        assert_eq!(keeping.look(99_000_000_000, 1, many, 99, 10_000), None);
        for n in 100..200 {
            assert_eq!(keeping.look(n * 1_000_000_000, 1, many, 99, 0), None);
        }
    }

    #[test]
    fn stalls_in_a_row_are_counted() {
        let second = 1_000_000_000;
        let finds = |apart: u64, sent: bool, bound: u64| {
            let mut stalls = Stalls::default();
            let found = |n: &u64| stalls.found(n * apart * second, sent, bound).is_some();
            (1..10).filter(found).collect::<Vec<_>>()
        };
        assert_eq!(finds(100, false, 3), [4, 5, 6, 7, 8, 9]);
        // A reset frees what was in the ring, and nothing is better.
        assert_eq!(finds(6, true, 3), [4, 5, 6, 7, 8, 9]);
        assert!(finds(31, true, 3).is_empty() && finds(1, false, 0).is_empty());
    }

    #[test]
    fn a_rate_is_per_second() {
        let mut rate = Rate::default();
        let second = 1_000_000_000;
        for n in 0..100 {
            assert_eq!(rate.event(second + n * second / 10, 10), None, "{n}");
        }
        let mut rate = Rate::default();
        assert_eq!((0..11).filter_map(|n| rate.event(n, 10)).next(), Some(11));
        assert_eq!((0..99).filter_map(|n| rate.event(n, 0)).next(), None);
    }

    /// When the sum exceeds 600 ms, if functions take `used` ms each and the CPU rests `pause` ms between them.
    fn ends(used: u64, pause: u64) -> Option<u64> {
        let mut share = Share::default();
        let ms = 1_000_000;
        (0..100)
            .map(|n| 5000 + n * (used + pause))
            .find(|begin| share.add(begin * ms, used * ms, 600).is_some())
            .map(|begin| begin + used - 5000)
    }

    #[test]
    fn a_share_is_of_each_second() {
        // One function after the other, long and short ones.
        assert_eq!(ends(400, 0), Some(800));
        assert_eq!(ends(499, 1), Some(999));
        assert_eq!(ends(10, 0), Some(610));
        assert_eq!(ends(20, 4), Some(740));
        // The CPU is free for a good part of the time.
        assert_eq!(ends(450, 600), None);
        assert_eq!(ends(10, 10), None);
        assert_eq!(ends(1, 3), None);
        let mut share = Share::default();
        // Another CPU's clock may be behind, and no bound is none.
        assert_eq!(share.add(9_000_000_000, 600_000_000, 600), None);
        assert_eq!(share.add(8_999_999_000, 2_000_000, 600), Some(602));
        assert_eq!(share.add(8_999_999_000, 2_000_000, 0), None);
    }
}
