//! Keyed hash → bytes, at the size of a population.
//!
//! Many shards, each a table of places and the arena they point into. An entry is its key, its length and its
//! bytes, one behind the other in chunks: no box, no pointer and no capacity of its own, so that a subject
//! takes little more than what is known of it, and looking it up touches little more than its slot and
//! itself. What is replaced by something longer is left behind; when a quarter of a shard is left behind, its
//! arena is written anew. A growing table moves one shard at a time, so that nothing ever takes twice the
//! memory.
//!
//! A reader sees an entry before or after a change, never between: both hold the shard's lock.

use std::hint::black_box;
use std::sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use smallvec::SmallVec;

use super::bytes::{self, Reader};
use super::table::{Place, Table};

/// More shards: less to wait for, less to move at once. A subject's shard is the highest byte of its hash.
const SHARDS: usize = 256;
/// Entries begin at multiples of so many bytes.
const ALIGN: usize = 4;
/// Bytes of the first chunk; each is as large as all before it, up to `CHUNK`.
const FIRST_CHUNK: usize = 4 << 10;
/// Bytes of a chunk at most: what a place can point into.
const CHUNK: usize = ALIGN << AT_BITS;
/// A larger entry has a chunk of its own.
const LARGE: usize = CHUNK / 4;
/// The bits of a place that say where in its chunk; the others number the chunk.
const AT_BITS: u32 = 16;
/// The chunks that a place can number, but for the last, which would look like no place at all.
const MAX_CHUNKS: usize = (1 << (Place::BITS - AT_BITS)) - 1;
/// Bytes of a cache line.
const LINE: usize = 64;
/// Bytes of a key.
const KEY: usize = 16;
/// A shard leaves so many bytes behind before it is worth writing anew.
const MIN_DEAD: usize = 64 << 10;

/// A shard is as large as its places can tell (16 GiB): the entry is not stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Full;

/// The table.
#[derive(Debug)]
pub struct Store {
    shards: Box<[RwLock<Shard>]>,
}

#[derive(Debug, Default)]
struct Shard {
    places: Table,
    arena: Arena,
    /// What a change writes; kept, so that it is allocated once.
    scratch: Vec<u8>,
}

#[derive(Debug, Default)]
struct Arena {
    chunks: Vec<Vec<u8>>,
    /// The chunk that is being filled.
    filling: Option<usize>,
    /// Bytes that entries take, and that replaced ones took.
    live: usize,
    dead: usize,
}

impl Default for Store {
    fn default() -> Self {
        Self { shards: (0..SHARDS).map(|_| RwLock::default()).collect() }
    }
}

impl Store {
    /// What `see` makes of the entry; `None` where there is none.
    pub fn find<T>(&self, key: u128, see: impl FnOnce(&[u8]) -> T) -> Option<T> {
        let shard = self.read(shard_of(key))?;
        shard.entry(key).map(see)
    }

    /// Touches what finding these entries will touch: of all of them at once, so that the waits for memory overlap.
    /// A lock in between would end that, so the shards are locked before; nobody who writes waits for a second one.
    pub fn prefetch(&self, keys: impl Iterator<Item = u128> + Clone) {
        let mut numbers: SmallVec<[usize; 16]> = keys.clone().map(shard_of).collect();
        numbers.sort_unstable();
        numbers.dedup();
        let shards: SmallVec<[_; 16]> = numbers.iter().map(|number| self.read(*number)).collect();
        let shard = |key| {
            let at = numbers.binary_search(&shard_of(key)).ok()?;
            shards.get(at)?.as_ref()
        };
        for key in keys.clone() {
            black_box(shard(key).and_then(|shard| shard.places.slot(hash(key))));
        }
        for key in keys {
            black_box(shard(key).and_then(|shard| shard.touch(key)));
        }
    }

    /// Lets `change` read the entry (empty: there is none) and write another. Where it answers true, that
    /// stands from now on.
    pub fn update(&self, key: u128, change: impl FnOnce(&[u8], &mut Vec<u8>) -> bool) -> Result<(), Full> {
        let Some(mut shard) = self.write(shard_of(key)) else { return Err(Full) };
        let mut scratch = std::mem::take(&mut shard.scratch);
        scratch.clear();
        let stored = if change(shard.entry(key).unwrap_or_default(), &mut scratch) {
            shard.put(key, &scratch)
        } else {
            Ok(())
        };
        shard.scratch = scratch;
        stored
    }

    /// Fills an empty store with so many entries.
    pub fn fill(&self, count: usize) -> Filler<'_> {
        for number in 0..SHARDS {
            if let Some(mut shard) = self.write(number) {
                shard.places.reserve(count / SHARDS);
            }
        }
        Filler { store: self, at: None }
    }

    /// Forgets everything.
    pub fn clear(&self) {
        for number in 0..SHARDS {
            if let Some(mut shard) = self.write(number) {
                *shard = Shard::default();
            }
        }
    }

    /// How many shards there are.
    pub const fn shards(&self) -> usize {
        SHARDS
    }

    /// Shows every entry of a shard, as it is at one moment.
    pub fn visit(&self, number: usize, mut see: impl FnMut(u128, &[u8])) {
        let Some(shard) = self.read(number) else { return };
        for place in shard.places.places() {
            if let Some((key, bytes)) = shard.arena.entry(place) {
                see(key, bytes);
            }
        }
    }

    /// The memory it holds, in bytes.
    pub fn bytes(&self) -> usize {
        let of = |number| self.read(number).map_or(0, |shard| shard.bytes());
        (0..SHARDS).map(of).sum()
    }

    fn read(&self, number: usize) -> Option<RwLockReadGuard<'_, Shard>> {
        Some(self.shards.get(number)?.read().unwrap_or_else(PoisonError::into_inner))
    }

    fn write(&self, number: usize) -> Option<RwLockWriteGuard<'_, Shard>> {
        Some(self.shards.get(number)?.write().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Fills a store. Entries of one shard that follow each other are put there under one lock.
pub struct Filler<'s> {
    store: &'s Store,
    at: Option<(usize, RwLockWriteGuard<'s, Shard>)>,
}

impl Filler<'_> {
    /// Puts an entry there.
    pub fn put(&mut self, key: u128, bytes: &[u8]) -> Result<(), Full> {
        let number = shard_of(key);
        if self.at.as_ref().is_none_or(|(at, _)| *at != number) {
            self.at = None;
            self.at = self.store.write(number).map(|shard| (number, shard));
        }
        self.at.as_mut().map_or(Err(Full), |(_, shard)| shard.put(key, bytes))
    }
}

/// The highest byte.
fn shard_of(key: u128) -> usize {
    usize::from(key.to_be_bytes().first().copied().unwrap_or_default())
}

/// The lowest bytes: the key is a uniform hash already.
#[allow(clippy::cast_possible_truncation, reason = "a part of a uniform hash is one")]
const fn hash(key: u128) -> u32 {
    key as u32
}

impl Shard {
    fn place(&self, key: u128) -> Option<Place> {
        self.places.find(hash(key), |place| self.arena.key(place) == Some(key))
    }

    /// A byte of each line of the entry, as far as it is short.
    fn touch(&self, key: u128) -> Option<(u8, Option<u8>)> {
        let place = self.places.find(hash(key), |_| true)?;
        let entry = self.arena.from(place)?;
        Some((*entry.first()?, entry.get(LINE).copied()))
    }

    fn entry(&self, key: u128) -> Option<&[u8]> {
        self.arena.entry(self.place(key)?).map(|(_, bytes)| bytes)
    }

    fn put(&mut self, key: u128, bytes: &[u8]) -> Result<(), Full> {
        match self.place(key) {
            Some(place) if self.arena.overwrite(place, bytes) => {}
            Some(place) => {
                let fresh = self.arena.add(key, bytes)?;
                self.arena.leave(place);
                self.places.replace(hash(key), place, fresh);
            }
            None => {
                let fresh = self.arena.add(key, bytes)?;
                self.places.insert(hash(key), fresh);
            }
        }
        if self.arena.dead > MIN_DEAD + self.arena.live / 4 {
            self.write_anew();
        }
        Ok(())
    }

    /// Moves every entry into a new arena, without what was left behind.
    fn write_anew(&mut self) {
        let (old, mut fresh) = (std::mem::take(&mut self.arena), Arena::default());
        self.places.for_each_place(|place| {
            // What fitted before fits now: there is less of it.
            let moved = old.entry(place).map(|(key, bytes)| fresh.add(key, bytes));
            moved.and_then(Result::ok).unwrap_or(place)
        });
        self.arena = fresh;
    }

    fn bytes(&self) -> usize {
        let chunks: usize = self.arena.chunks.iter().map(Vec::capacity).sum();
        chunks + self.arena.chunks.capacity() * size_of::<Vec<u8>>() + self.places.bytes()
    }
}

impl Arena {
    /// The bytes from a place on.
    fn from(&self, place: Place) -> Option<&[u8]> {
        let (chunk, at) = apart(place);
        self.chunks.get(chunk)?.get(at..)
    }

    fn key(&self, place: Place) -> Option<u128> {
        self.from(place)?.first_chunk().copied().map(u128::from_le_bytes)
    }

    fn entry(&self, place: Place) -> Option<(u128, &[u8])> {
        let mut reader = Reader(self.from(place)?);
        let key = u128::from_le_bytes(*reader.take(KEY)?.first_chunk()?);
        let length = usize::try_from(reader.unsigned()?).ok()?;
        Some((key, reader.take(length)?))
    }

    /// Writes an entry behind the others.
    fn add(&mut self, key: u128, bytes: &[u8]) -> Result<Place, Full> {
        let size = size_of_entry(bytes.len());
        let filling = self.filling.filter(|chunk| self.room(*chunk) >= size);
        let chunk = match filling {
            Some(chunk) => chunk,
            None if self.chunks.len() == MAX_CHUNKS => return Err(Full),
            None => {
                let capacity = self.live.clamp(FIRST_CHUNK, CHUNK);
                self.chunks.push(Vec::with_capacity(if size > LARGE { size } else { capacity.max(size) }));
                let chunk = self.chunks.len() - 1;
                if size <= LARGE {
                    self.filling = Some(chunk);
                }
                chunk
            }
        };
        let Some(into) = self.chunks.get_mut(chunk) else { return Err(Full) };
        let place = together(chunk, into.len()).ok_or(Full)?;
        into.extend(key.to_le_bytes());
        bytes::unsigned(into, bytes.len() as u64);
        into.extend(bytes);
        into.resize(into.len().next_multiple_of(ALIGN), 0);
        self.live += size;
        Ok(place)
    }

    fn room(&self, chunk: usize) -> usize {
        self.chunks.get(chunk).map_or(0, |chunk| chunk.capacity() - chunk.len())
    }

    /// Writes over an entry that is as long or longer.
    fn overwrite(&mut self, place: Place, bytes: &[u8]) -> bool {
        let Some((_, old)) = self.entry(place) else { return false };
        let (old, new) = (size_of_entry(old.len()), size_of_entry(bytes.len()));
        let (chunk, at) = apart(place);
        let own = self.chunks.get_mut(chunk).and_then(|chunk| chunk.get_mut(at + KEY..at + old));
        let Some(own) = own.filter(|_| new <= old) else { return false };
        let length = bytes.len() as u64;
        let Some((head, rest)) = own.split_at_mut_checked(bytes::size(length)) else { return false };
        bytes::overwrite(head, length);
        rest.iter_mut().zip(bytes).for_each(|(old, new)| *old = *new);
        self.live -= old - new;
        self.dead += old - new;
        true
    }

    /// An entry is no longer pointed at.
    fn leave(&mut self, place: Place) {
        let size = self.entry(place).map_or(0, |(_, bytes)| size_of_entry(bytes.len()));
        self.live -= size;
        self.dead += size;
    }
}

/// Bytes of an entry with so many bytes of its own.
const fn size_of_entry(length: usize) -> usize {
    (KEY + bytes::size(length as u64) + length).next_multiple_of(ALIGN)
}

/// A place's chunk, and where in it, in bytes.
const fn apart(place: Place) -> (usize, usize) {
    ((place >> AT_BITS) as usize, (place & ((1 << AT_BITS) - 1)) as usize * ALIGN)
}

fn together(chunk: usize, at: usize) -> Option<Place> {
    let place = (chunk << AT_BITS) | (at / ALIGN);
    Place::try_from(place).ok().filter(|_| chunk < MAX_CHUNKS && at < CHUNK)
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;

    fn set(store: &Store, key: u128, bytes: &[u8]) {
        let stored = store.update(key, |_, out| {
            out.extend(bytes);
            true
        });
        assert_eq!(stored, Ok(()));
    }

    #[test]
    fn is_a_map() {
        let mut random = fastrand::Rng::with_seed(4);
        let (store, mut model) = (Store::default(), HashMap::new());
        for _ in 0..200_000 {
            // Few shards, so that they are written anew; now and then an entry larger than a chunk.
            let key = u128::from(random.u64(..3000)) << 64 | u128::from(random.u64(..2)) << 120;
            let length = if random.u32(..5000) == 0 { random.usize(..200_000) } else { random.usize(..300) };
            let bytes: Vec<u8> = std::iter::repeat_with(|| random.u8(..)).take(length).collect();
            set(&store, key, &bytes);
            model.insert(key, bytes);
        }
        for (key, bytes) in &model {
            assert_eq!(store.find(*key, <[u8]>::to_vec).as_ref(), Some(bytes));
        }
        assert_eq!(store.find(1, |_| ()), None);
        store.prefetch(model.keys().copied().chain([1, u128::MAX]));
        let mut seen = HashMap::new();
        for shard in 0..store.shards() {
            store.visit(shard, |key, bytes| drop(seen.insert(key, bytes.to_vec())));
        }
        assert_eq!(seen, model);
        let live: usize = model.values().map(|bytes| size_of_entry(bytes.len())).sum();
        assert!(store.bytes() < live * 3 / 2 + (4 << 20), "{} bytes for {live}", store.bytes());
        store.clear();
        assert_eq!(store.find(*model.keys().next().unwrap(), |_| ()), None);
    }

    #[test]
    fn nothing_stands_where_nothing_is_to_change() {
        let store = Store::default();
        store.prefetch([7, 7].into_iter());
        assert_eq!(store.update(7, |old, _| !old.is_empty()), Ok(()));
        assert_eq!(store.find(7, |_| ()), None);
        set(&store, 7, b"seven");
        assert_eq!(store.update(7, |old, _| old != b"seven"), Ok(()));
        assert_eq!(store.find(7, <[u8]>::to_vec), Some(b"seven".to_vec()));
    }

    #[test]
    fn an_entry_takes_little_more_than_its_bytes() {
        let store = Store::default();
        let count = 400_000_u32;
        for number in 0..count {
            let key = u128::from(number).wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835);
            set(&store, key, &[7; 50]);
        }
        let each = store.bytes() / count as usize;
        // A slot of eight bytes in a table three eighths to three quarters full, and a chunk half filled.
        assert!((KEY + 51..KEY + 51 + 40).contains(&each), "{each}");
    }
}
