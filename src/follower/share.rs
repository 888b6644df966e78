//! Which consent partitions a process follows: all of them, or those with the numbers of its event partitions.
//!
//! Pure. A worker says which partitions it has events of; what no worker has is followed a while longer,
//! because a partition that goes from one worker of a process to another is nobody's in between.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::time::Instant;

/// How long a partition is followed that no worker has events of any more.
const LINGER: Duration = Duration::from_secs(10);

/// A worker of this process: its pipeline's number, and its own.
pub type Holder = (usize, usize);

/// What is followed.
#[derive(Debug)]
pub enum Share {
    /// Every partition.
    Whole,
    /// What the workers have events of.
    Held(Held),
}

/// Who has events of which partitions.
#[derive(Debug, Default)]
pub struct Held {
    by: BTreeMap<Holder, BTreeSet<usize>>,
    /// What nobody has, and since when.
    left: BTreeMap<usize, Instant>,
}

impl Share {
    /// This worker has events of these partitions, and of no other.
    pub fn hold(&mut self, holder: Holder, partitions: BTreeSet<usize>) {
        let Self::Held(held) = self else { return };
        let before = held.all();
        held.by.insert(holder, partitions);
        let now = held.all();
        held.left.retain(|partition, _| !now.contains(partition));
        let left = before.difference(&now).map(|partition| (*partition, Instant::now()));
        held.left.extend(left);
    }

    /// Those that are followed of so many.
    pub fn followed(&self, count: usize) -> BTreeSet<usize> {
        match self {
            Self::Whole => (0..count).collect(),
            Self::Held(held) => {
                let lingers = |since: &&Instant| since.elapsed() < LINGER;
                let left = held.left.iter().filter(|(_, since)| lingers(since)).map(|(at, _)| *at);
                held.all().into_iter().chain(left).filter(|partition| *partition < count).collect()
            }
        }
    }

    /// What a worker's decisions wait for; `None`: every partition.
    pub fn of(&self, holder: Holder) -> Option<&BTreeSet<usize>> {
        const NONE: &BTreeSet<usize> = &BTreeSet::new();
        match self {
            Self::Whole => None,
            Self::Held(held) => Some(held.by.get(&holder).unwrap_or(NONE)),
        }
    }

    /// Whether only a part of the topic may be followed.
    pub const fn is_part(&self) -> bool {
        matches!(self, Self::Held(_))
    }
}

impl Held {
    fn all(&self) -> BTreeSet<usize> {
        self.by.values().flatten().copied().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_whole_is_followed_whoever_holds_what() {
        let mut share = Share::Whole;
        share.hold((0, 0), BTreeSet::from([1]));
        assert_eq!(share.followed(3), BTreeSet::from([0, 1, 2]));
        assert_eq!((share.of((0, 0)), share.is_part()), (None, false));
    }

    #[test]
    fn what_any_worker_has_is_followed() {
        let mut share = Share::Held(Held::default());
        assert!(share.followed(6).is_empty());
        share.hold((0, 0), BTreeSet::from([1, 2]));
        share.hold((1, 0), BTreeSet::from([2, 7]));
        assert_eq!(share.followed(6), BTreeSet::from([1, 2]), "there is no partition 7 of 6");
        assert_eq!(share.of((0, 0)), Some(&BTreeSet::from([1, 2])));
        assert_eq!(share.of((1, 0)), Some(&BTreeSet::from([2, 7])), "and yet its events must wait");
        assert_eq!(share.of((1, 1)), Some(&BTreeSet::new()));
    }

    #[test]
    fn what_nobody_has_lingers() {
        let mut share = Share::Held(Held::default());
        share.hold((0, 0), BTreeSet::from([1, 2]));
        share.hold((0, 0), BTreeSet::from([2]));
        assert_eq!(share.followed(6), BTreeSet::from([1, 2]));
        assert_eq!(left(&share), [1]);
        share.hold((0, 1), BTreeSet::from([1]));
        assert_eq!(left(&share), [0_usize; 0], "another worker has it now");
    }

    fn left(share: &Share) -> Vec<usize> {
        match share {
            Share::Whole => Vec::new(),
            Share::Held(held) => held.left.keys().copied().collect(),
        }
    }
}
