//! Chance from one seed, and the few words that all generators share.

use fastrand::Rng;

/// Times around which zones change their clocks, with the zone.
pub const CHANGES: [(&str, &str); 10] = [
    ("Europe/Amsterdam", "2026-03-29T01:00:00Z"),
    ("Europe/Amsterdam", "2026-10-25T01:00:00Z"),
    ("America/New_York", "2026-03-08T07:00:00Z"),
    ("America/New_York", "2026-11-01T06:00:00Z"),
    ("Australia/Lord_Howe", "2026-10-03T15:30:00Z"),
    ("Australia/Lord_Howe", "2026-04-04T15:00:00Z"),
    ("Pacific/Apia", "2011-12-30T10:00:00Z"),
    ("America/Sao_Paulo", "2018-11-04T03:00:00Z"),
    ("America/Havana", "2026-03-08T05:00:00Z"),
    ("Antarctica/Troll", "2026-03-29T01:00:00Z"),
];
pub const PURPOSES: [&str; 5] = ["analytics", "newsletter", "advertising", "orders", "profile"];
pub const CHANNELS: [&str; 3] = ["email", "sms", "push"];
pub const DAYS: [&str; 7] = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];

pub struct Dice {
    rng: Rng,
    /// So many minutes past a quarter of an hour contact windows open and close.
    past_quarter: usize,
}

impl Dice {
    pub fn new(seed: u64) -> Self {
        Self { rng: Rng::with_seed(seed), past_quarter: 0 }
    }

    /// Contact windows open and close so many minutes past a quarter of an hour.
    pub const fn windows_past_quarter(self, minutes: usize) -> Self {
        Self { past_quarter: minutes, ..self }
    }

    /// True in so many of a hundred throws.
    pub fn often(&mut self, percent: u32) -> bool {
        self.rng.u32(0..100) < percent
    }

    pub fn below(&mut self, end: usize) -> usize {
        self.rng.usize(0..end)
    }

    pub fn within(&mut self, range: std::ops::RangeInclusive<i64>) -> i64 {
        self.rng.i64(range)
    }

    pub fn pick<T: Clone>(&mut self, of: &[T]) -> T {
        of[self.below(of.len())].clone()
    }

    /// Some of them, in their order.
    pub fn some<T: Clone>(&mut self, of: &[T], percent: u32) -> Vec<T> {
        of.iter().filter(|_| self.often(percent)).cloned().collect()
    }

    pub fn shuffle<T>(&mut self, of: &mut [T]) {
        self.rng.shuffle(of);
    }

    /// `HH:MM`, most often in the small hours, where clocks change.
    pub fn hour(&mut self) -> String {
        let hour = if self.often(60) { self.below(4) } else { self.below(24) };
        format!("{hour:02}:{:02}", self.below(4) * 15 + self.past_quarter)
    }

    /// A word in another spelling that a refusal still means.
    pub fn respelled(&mut self, word: &str) -> String {
        match self.below(4) {
            0 => word.to_uppercase(),
            1 => format!(" {word}"),
            2 => format!("{word}\u{2003}"),
            _ => format!("\t{}{} ", word[..1].to_uppercase(), &word[1..]),
        }
    }
}
