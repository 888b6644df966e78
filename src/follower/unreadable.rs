//! Keys that nobody can read, until a tombstone for the same bytes comes.
//!
//! Kept as hashes: what such a key holds may be an id. Bounded: beyond the bound none is forgotten, and
//! only reading the topic anew clears them.

use std::collections::HashMap;

use siphasher::sip128::{Hasher128, SipHasher13};
use std::hash::Hasher;

const MAX_KEYS: usize = 100_000;

/// The keys, and where the last message with each stands.
#[derive(Debug, Default)]
pub struct Unreadable {
    keys: HashMap<(i32, u128), i64>,
    overflowed: bool,
}

impl Unreadable {
    /// A message with a key that cannot be read; with a tombstone it is settled.
    pub fn see(&mut self, partition: i32, offset: i64, key: &[u8], tombstone: bool) {
        let mut hasher = SipHasher13::new();
        hasher.write(key);
        let id = (partition, hasher.finish128().as_u128());
        if tombstone {
            self.keys.remove(&id);
        } else if self.keys.len() < MAX_KEYS {
            self.keys.insert(id, offset);
        } else {
            self.overflowed = true;
        }
    }

    /// The topic is read anew.
    pub fn clear(&mut self) {
        *self = Self::default();
    }

    /// Whether every key could be read.
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
    fn a_tombstone_with_the_same_bytes_settles_it() {
        let mut keys = Unreadable::default();
        keys.see(1, 5, b"no colon", false);
        keys.see(0, 9, b"\xff", false);
        assert_eq!((keys.len(), keys.first()), (2, Some((0, 9))));
        keys.see(1, 6, b"\xff", true);
        assert_eq!(keys.len(), 2, "on another partition it is another key");
        keys.see(0, 10, b"\xff", true);
        keys.see(1, 11, b"no colon", true);
        assert!(keys.is_empty());
    }
}
