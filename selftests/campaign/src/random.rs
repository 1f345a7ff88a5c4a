// SPDX-License-Identifier: GPL-2.0

//! Random numbers that depend on the seed and the trial alone, so that a trial can be repeated by
//! itself.

/// SplitMix64.
pub struct Random(u64);

impl Random {
    /// The numbers of one trial of a campaign.
    pub fn of_trial(seed: u64, trial: u64) -> Self {
        let mut random = Random(seed ^ trial.wrapping_mul(0xd134_2543_de82_ef95));
        random.next();
        random
    }

    /// The next number.
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `bound`, which is not 0.
    pub fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound as u64) as usize
    }

    /// One of `items`, which is not empty.
    pub fn pick<'a, T>(&mut self, items: &'a [T]) -> &'a T {
        &items[self.below(items.len())]
    }

    /// A number from 1 to 7, to make another register or bit of the three-bit number `old`.
    pub fn other(&mut self, old: u8) -> u8 {
        old ^ (1 + self.below(7) as u8)
    }
}
