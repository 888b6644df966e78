//! Whether a client that reads has fallen silent: there is more of a partition than it gives.
//!
//! Pure. A client can lock itself up for good: librdkafka may when a broker goes away that it has asked about an offset
//! (confluentinc/librdkafka#5476). It says nothing then, and any call but a poll may never come back.

use std::collections::BTreeMap;
use std::time::Duration;

/// What a client is given to say something, at first and at most: one after the other might be too slow, and none silent.
const PATIENCE: (Duration, Duration) = (Duration::from_secs(5), Duration::from_secs(80));

/// Where partitions stand that are behind, and since when: as the time since some moment.
#[derive(Debug)]
pub struct Silence {
    stand: BTreeMap<usize, (i64, Duration)>,
    patience: Duration,
}

impl Default for Silence {
    fn default() -> Self {
        Self { stand: BTreeMap::new(), patience: PATIENCE.0 }
    }
}

impl Silence {
    /// Takes note of the partitions that are behind now, each with where it stands. True: one has stood there for too
    /// long, and more patience is to be had with the next client.
    pub fn is_too_long(&mut self, behind: &[(usize, i64, i64)], now: Duration) -> bool {
        let stands =
            |partition: &usize, at: i64| behind.iter().any(|(own, now, _)| own == partition && *now == at);
        let before = self.stand.len();
        self.stand.retain(|partition, (at, _)| stands(partition, *at));
        if self.stand.len() < before {
            self.patience = PATIENCE.0;
        }
        for (partition, at, _) in behind {
            self.stand.entry(*partition).or_insert((*at, now));
        }
        let longest = self.stand.values().map(|(_, since)| now.saturating_sub(*since)).max();
        let too_long = longest.is_some_and(|longest| longest >= self.patience);
        if too_long {
            self.stand.clear();
            self.patience = (self.patience * 2).min(PATIENCE.1);
        }
        too_long
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_partition_that_is_behind_and_stands_still_is_silent() {
        let (mut silence, s) = (Silence::default(), Duration::from_secs);
        assert!(!silence.is_too_long(&[], s(10)));
        assert!(!silence.is_too_long(&[(0, 5, 7), (1, 5, 9)], s(20)));
        assert!(silence.is_too_long(&[(0, 6, 7), (1, 5, 9)], s(25)), "one stands where it stood");
        let mut silence = Silence::default();
        assert!(!silence.is_too_long(&[(0, 5, 7), (1, 5, 9)], s(20)));
        assert!(!silence.is_too_long(&[(0, 6, 7)], s(25)), "one has gone on since, the other caught up");
        assert!(silence.is_too_long(&[(0, 6, 8)], s(30)), "that there is more is no news of it");
        assert!(!silence.is_too_long(&[(0, 6, 8)], s(31)), "another client has its own time");
        assert!(!silence.is_too_long(&[(0, 6, 8)], s(40)), "and more of it");
        assert!(silence.is_too_long(&[(0, 6, 8)], s(41)));
        assert!(!silence.is_too_long(&[(0, 7, 8)], s(42)));
        assert!(!silence.is_too_long(&[], s(43)));
        assert!(!silence.is_too_long(&[(0, 8, 9)], s(50)));
        assert!(silence.is_too_long(&[(0, 8, 9)], s(55)), "it had caught up: no more patience than at first");
    }
}
