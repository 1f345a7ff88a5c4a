// SPDX-License-Identifier: GPL-2.0

//! What to do after a driver's death: start it again now, start it again later, or give up.
//!
//! Times are milliseconds of any clock that does not go backwards. A driver that dies rarely is
//! restarted at once; one that dies again within the window waits twice as long each time; one that
//! has died as often as the policy allows stays down until a user asks for it.

/// Deaths that are remembered, and so the highest limit.
pub const FAILURES_MAX: usize = 64;

/// How often and how fast a driver is restarted.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Policy {
    /// The death in one window with which recovery gives up; 0: never.
    pub failures: u32,
    /// The window.
    pub window_ms: u64,
    /// The wait before the second restart in a window; the first one is at once.
    pub delay_ms: u64,
    /// The longest wait.
    pub delay_max_ms: u64,
}

impl Policy {
    /// Five deaths in five minutes; waits of 100 ms to 10 s.
    pub const DEFAULT: Policy = Policy {
        failures: 5,
        window_ms: 300_000,
        delay_ms: 100,
        delay_max_ms: 10_000,
    };

    /// Reads "failures N window N delay N max N" (the last three in ms), in any order and with any
    /// of them left out, which leaves that number as it is. `None`: not understood, or out of range.
    pub fn parse(self, text: &str) -> Option<Policy> {
        let mut policy = self;
        let mut words = text.split_ascii_whitespace();
        let mut any = false;
        while let Some(name) = words.next() {
            let value: u64 = words.next()?.parse().ok()?;
            match name {
                "failures" if value <= FAILURES_MAX as u64 => policy.failures = value as u32,
                "window" if (1..=86_400_000).contains(&value) => policy.window_ms = value,
                "delay" if value <= 3_600_000 => policy.delay_ms = value,
                "max" if value <= 3_600_000 => policy.delay_max_ms = value,
                _ => return None,
            }
            any = true;
        }
        any.then_some(policy)
    }
}

/// What to do after a death.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Decision {
    /// Restart after so many ms.
    Restart { after_ms: u64 },
    /// Leave the driver down.
    GiveUp,
}

/// The recent deaths of one driver.
#[derive(Clone, Copy)]
pub struct History {
    times: [u64; FAILURES_MAX],
    count: usize,
}

impl History {
    /// No death yet.
    pub const fn new() -> Self {
        History {
            times: [0; FAILURES_MAX],
            count: 0,
        }
    }

    /// Forgets all deaths: a user asked for a new start.
    pub fn forget(&mut self) {
        self.count = 0;
    }

    /// Deaths remembered that lie within the window before `now`.
    pub fn recent(&self, now: u64, policy: &Policy) -> usize {
        let alive = |time: &&u64| now.saturating_sub(**time) < policy.window_ms;
        self.times[..self.count].iter().filter(alive).count()
    }

    /// Notes a death at `now` and decides.
    pub fn death(&mut self, now: u64, policy: &Policy) -> Decision {
        if self.count == FAILURES_MAX {
            self.times.copy_within(1.., 0);
            self.count -= 1;
        }
        self.times[self.count] = now;
        self.count += 1;
        let recent = self.recent(now, policy);
        if policy.failures != 0 && recent >= policy.failures as usize {
            return Decision::GiveUp;
        }
        let after_ms = match recent {
            0 | 1 => 0,
            n => {
                let doubled = policy.delay_ms.saturating_mul(1 << (n - 2).min(32));
                doubled.min(policy.delay_max_ms)
            }
        };
        Decision::Restart { after_ms }
    }
}

impl Default for History {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gives_up_at_the_limit_and_not_before() {
        let (mut history, policy) = (History::new(), Policy::DEFAULT);
        for n in 0..4 {
            let decision = history.death(n * 1000, &policy);
            assert!(matches!(decision, Decision::Restart { .. }), "{n}");
        }
        assert_eq!(history.death(4000, &policy), Decision::GiveUp);
        history.forget();
        assert_eq!(
            history.death(5000, &policy),
            Decision::Restart { after_ms: 0 }
        );
    }

    #[test]
    fn deaths_outside_the_window_do_not_count() {
        let (mut history, policy) = (History::new(), Policy::DEFAULT);
        for n in 0..100 {
            assert_eq!(
                history.death(n * 300_000, &policy),
                Decision::Restart { after_ms: 0 }
            );
        }
    }

    #[test]
    fn waits_double_up_to_the_longest() {
        let policy = Policy {
            failures: 0,
            ..Policy::DEFAULT
        };
        let mut history = History::new();
        let waits: [u64; 10] = core::array::from_fn(|n| match history.death(n as u64, &policy) {
            Decision::Restart { after_ms } => after_ms,
            Decision::GiveUp => panic!("gave up"),
        });
        assert_eq!(
            waits,
            [0, 100, 200, 400, 800, 1600, 3200, 6400, 10_000, 10_000]
        );
        for n in 10..1000 {
            assert_eq!(
                history.death(n, &policy),
                Decision::Restart { after_ms: 10_000 }
            );
        }
    }

    #[test]
    fn a_limit_of_one_gives_up_at_once() {
        let policy = Policy::DEFAULT.parse("failures 1").unwrap();
        assert_eq!(History::new().death(7, &policy), Decision::GiveUp);
    }

    #[test]
    fn policies_are_parsed() {
        let policy = Policy::DEFAULT;
        let new = policy
            .parse("failures 3 window 1000 delay 5 max 50")
            .unwrap();
        assert_eq!((new.failures, new.window_ms), (3, 1000));
        assert_eq!((new.delay_ms, new.delay_max_ms), (5, 50));
        assert_eq!(policy.parse("delay 0").unwrap().failures, 5);
        for bad in [
            "",
            "failures",
            "failures x",
            "failures 65",
            "window 0",
            "5",
            "failures -1",
            "delay 1 2",
            "delay 99999999999",
        ] {
            assert_eq!(policy.parse(bad), None, "{bad}");
        }
    }
}
