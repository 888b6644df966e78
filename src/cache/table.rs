//! Hash → place, in one cache line a look-up.
//!
//! Open addressing with linear probing over slots of eight bytes: half a hash and a place. The half tells
//! nearly all other keys apart without looking at them, and a table that grows needs nothing else to find each
//! slot's new home. Nothing is ever removed but everything at once, so there are no gaps to close.

/// Where an entry is.
pub type Place = u32;

/// No place is so large: the arena has one chunk less than a place could number.
const EMPTY: u64 = u64::MAX;
const FIRST: usize = 8;

/// The table.
#[derive(Debug, Default)]
pub struct Table {
    /// A power of two of them, or none: the hash's half above, the place below.
    slots: Vec<u64>,
    used: usize,
}

impl Table {
    /// The place under this hash that `is_it`.
    #[inline]
    pub fn find(&self, hash: u32, is_it: impl Fn(Place) -> bool) -> Option<Place> {
        let mut at = hash as usize;
        loop {
            let slot = *self.slots.get(at & self.slots.len().checked_sub(1)?)?;
            if slot == EMPTY {
                return None;
            }
            if half(slot) == hash && is_it(place(slot)) {
                return Some(place(slot));
            }
            at += 1;
        }
    }

    /// The slot where looking for this hash begins.
    #[inline]
    pub fn slot(&self, hash: u32) -> Option<u64> {
        self.slots.get(hash as usize & self.slots.len().checked_sub(1)?).copied()
    }

    /// Adds a place that is not there.
    pub fn insert(&mut self, hash: u32, place: Place) {
        if (self.used + 1) * 4 > self.slots.len() * 3 {
            self.grow();
        }
        self.used += 1;
        self.settle(u64::from(hash) << 32 | u64::from(place));
    }

    /// Makes room for so many at once.
    pub fn reserve(&mut self, count: usize) {
        while count * 4 > self.slots.len() * 3 {
            self.grow();
        }
    }

    /// Puts `new` where `old` is under this hash.
    pub fn replace(&mut self, hash: u32, old: Place, new: Place) {
        let (from, to) = (u64::from(hash) << 32 | u64::from(old), u64::from(hash) << 32 | u64::from(new));
        let mask = self.slots.len().saturating_sub(1);
        for step in 0..self.slots.len() {
            if let Some(slot) =
                self.slots.get_mut((hash as usize + step) & mask).filter(|slot| **slot == from)
            {
                *slot = to;
                return;
            }
        }
    }

    /// Every place.
    pub fn places(&self) -> impl Iterator<Item = Place> {
        self.slots.iter().filter(|slot| **slot != EMPTY).map(|slot| place(*slot))
    }

    /// Moves every place.
    pub fn for_each_place(&mut self, mut to: impl FnMut(Place) -> Place) {
        for slot in self.slots.iter_mut().filter(|slot| **slot != EMPTY) {
            *slot = u64::from(half(*slot)) << 32 | u64::from(to(place(*slot)));
        }
    }

    /// The memory it holds, in bytes.
    pub const fn bytes(&self) -> usize {
        self.slots.capacity() * size_of::<u64>()
    }

    fn grow(&mut self) {
        let size = (self.slots.len() * 2).max(FIRST);
        let old = std::mem::replace(&mut self.slots, vec![EMPTY; size]);
        old.into_iter().filter(|slot| *slot != EMPTY).for_each(|slot| self.settle(slot));
    }

    /// Puts a slot at the first free place from its home on; there is one.
    fn settle(&mut self, slot: u64) {
        let (mask, home) = (self.slots.len().saturating_sub(1), half(slot) as usize);
        for step in 0..self.slots.len() {
            if let Some(free) = self.slots.get_mut((home + step) & mask).filter(|slot| **slot == EMPTY) {
                *free = slot;
                return;
            }
        }
    }
}

#[allow(clippy::cast_possible_truncation, reason = "shifted to its half")]
const fn half(slot: u64) -> u32 {
    (slot >> 32) as u32
}

#[allow(clippy::cast_possible_truncation, reason = "its lower half is meant")]
const fn place(slot: u64) -> Place {
    slot as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_what_was_inserted_under_hashes_that_collide() {
        let mut table = Table::default();
        assert_eq!(table.find(3, |_| true), None);
        for place in 0..1000 {
            table.insert(place % 7, place);
        }
        for place in 0..1000 {
            assert_eq!(table.find(place % 7, |found| found == place), Some(place));
            assert_eq!(table.find((place + 1) % 7, |found| found == place), None);
        }
        table.replace(3, 3, 5000);
        table.for_each_place(|place| place + 1);
        assert_eq!(table.find(3, |found| found == 5001), Some(5001));
        assert_eq!(table.find(3, |found| found == 3), None);
        assert_eq!(table.places().count(), 1000);
    }
}
