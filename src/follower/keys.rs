//! Keys that stop every decision until somebody puts them right: those that nobody can read, and, where only a
//! part of the topic is followed, those that are not on their own partition.
//!
//! Kept as hashes: what such a key holds may be an id. Bounded: beyond the bound none is forgotten, and
//! only reading the topic anew clears them.
//!
//! A key's own partition is that of its one form, `type:value` with the value as it is compared: the events of
//! a subject are looked up on that partition and on no other. A tombstone cannot settle a key on another one: it
//! may be somebody's erasure, written by the wrong partitioner. So the one that does says so in a header, which
//! stays with it as long as Kafka keeps the tombstone.

use std::collections::HashMap;
use std::hash::Hasher;

use siphasher::sip128::{Hasher128, SipHasher13};

use crate::consent::split_key;
pub use crate::kafka::partition::SETTLED;
use crate::kafka::partition::of_subject;

const MAX_KEYS: usize = 100_000;

/// What a message's key is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Key<'k> {
    /// Type and raw value of a subject that is looked up where it stands.
    Good(&'k str, &'k str),
    /// Nobody can say whom it protects.
    Unreadable,
    /// Where it stands nobody looks for it.
    Misplaced,
}

impl<'k> Key<'k> {
    /// The key of a message on this partition; with `sharded` of so many, and it must be its own.
    pub fn read(raw: &'k [u8], partition: i32, sharded: Option<usize>) -> Self {
        match split_key(raw) {
            None => Self::Unreadable,
            Some((kind, value)) => match sharded {
                Some(count) if of_subject(kind, value, count) != partition => Self::Misplaced,
                Some(_) | None => Self::Good(kind, value),
            },
        }
    }
}

/// The keys that are kept because they stop every decision.
#[derive(Debug, Default)]
pub struct Kept {
    /// Those that nobody can read, until a tombstone comes.
    pub unreadable: Keys,
    /// Those that are not on their own partition, until a tombstone with [`SETTLED`] comes.
    pub misplaced: Keys,
}

impl Kept {
    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.unreadable.is_empty() && self.misplaced.is_empty()
    }

    /// The topic is read anew.
    pub fn clear(&mut self) {
        *self = Self::default();
    }

    /// A partition is not followed any more.
    pub fn leave(&mut self, partition: i32) {
        for keys in [&mut self.unreadable, &mut self.misplaced] {
            keys.keys.retain(|(at, _), _| *at != partition);
        }
    }
}

/// Keys, and where the last message with each stands.
#[derive(Debug, Default)]
pub struct Keys {
    keys: HashMap<(i32, u128), i64>,
    overflowed: bool,
}

impl Keys {
    /// A message with such a key, which it may settle.
    pub fn see(&mut self, partition: i32, offset: i64, key: &[u8], settles: bool) {
        let mut hasher = SipHasher13::new();
        hasher.write(key);
        let id = (partition, hasher.finish128().as_u128());
        if settles {
            self.keys.remove(&id);
        } else if self.keys.len() < MAX_KEYS || self.keys.contains_key(&id) {
            self.keys.insert(id, offset);
        } else {
            self.overflowed = true;
        }
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty() && !self.overflowed
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.keys.len()
    }

    /// Where one of them stands: partition and offset.
    pub fn first(&self) -> Option<(i32, i64)> {
        self.keys.iter().map(|((partition, _), offset)| (*partition, *offset)).min()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_settles_a_key_has_the_same_bytes() {
        let mut keys = Keys::default();
        keys.see(1, 5, b"no colon", false);
        keys.see(0, 9, b"\xff", false);
        assert_eq!((keys.len(), keys.first()), (2, Some((0, 9))));
        keys.see(1, 6, b"\xff", true);
        assert_eq!(keys.len(), 2, "on another partition it is another key");
        keys.see(0, 10, b"\xff", true);
        keys.see(1, 11, b"no colon", true);
        assert!(keys.is_empty());
    }

    #[test]
    fn a_partition_takes_its_keys_with_it() {
        let mut kept = Kept::default();
        kept.unreadable.see(1, 5, b"no colon", false);
        kept.misplaced.see(1, 6, b"user_id:a", false);
        kept.misplaced.see(2, 7, b"user_id:a", false);
        kept.leave(1);
        assert_eq!((kept.unreadable.len(), kept.misplaced.first()), (0, Some((2, 7))));
        assert!(!kept.is_empty());
        kept.clear();
        assert!(kept.is_empty());
    }

    #[test]
    fn a_key_is_on_the_partition_of_its_one_form() {
        let own = of_subject("email", "ann@example.org", 6);
        let other = (own + 1) % 6;
        let (plain, odd) = (b"email:ann@example.org", b"email: ANN@example.org");
        assert_eq!(Key::read(plain, own, Some(6)), Key::Good("email", "ann@example.org"));
        assert_eq!(Key::read(odd, own, Some(6)), Key::Good("email", " ANN@example.org"));
        assert_eq!(Key::read(odd, other, Some(6)), Key::Misplaced);
        assert_eq!(Key::read(plain, other, Some(6)), Key::Misplaced);
        assert_eq!(Key::read(plain, other, None), Key::Good("email", "ann@example.org"));
        assert_eq!(Key::read(b"ann", own, Some(6)), Key::Unreadable);
    }
}
