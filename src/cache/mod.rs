//! Subject → consent state, in memory.
//!
//! The key is a 128-bit hash of the subject under a secret key, its value the subject's state packed
//! into bytes: neither the id nor any word stands in it. A change replaces what one consent partition says
//! of one subject under the entry's lock, so that a reader sees the state before or after, never between.
//!
//! Looking something up takes a [`View`], which the follower gives out with the proof that the cache is
//! fresh enough: state and freshness come together or not at all.

mod bytes;
mod listen;
mod packed;
pub mod settings;
mod shards;
pub mod snapshot;
mod store;
mod table;

use std::hash::Hasher;
use std::ops::{Add, Sub};
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard};

use siphasher::sip128::{Hasher128, SipHasher13};

use crate::consent::{Identities, Vocabulary, normalize};
use crate::wire::change::Change;
use packed::{Body, Part};
use settings::CacheSettings;
use shards::Table;
use store::{Filler, Store};

pub use listen::{Changed, Listener};
pub use shards::Caches;

/// A subject's keyed hash.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SubjectId(u128);

/// Where the last message with a key stands on one consent partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// The partition.
    pub partition: i32,
    /// The offset.
    pub offset: i64,
}

/// What one consent message says.
#[derive(Debug)]
pub enum Said<'a> {
    /// The subject's whole state.
    State(&'a Change),
    /// Something that does not decode.
    Invalid,
    /// That the subject is erased.
    Erased,
}

/// What a change did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Applied {
    /// Its version is below the one before it.
    pub version_regressed: bool,
    /// A bound of the vocabulary is reached: the subject is denied.
    pub vocabulary_full: bool,
}

/// What the cache holds. Each number is exact once changes cease.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Census {
    /// Entries, erased ones included.
    pub entries: i64,
    /// Subjects that are not erased.
    pub subjects: i64,
    /// Subjects denied because a record does not decode.
    pub invalid: i64,
    /// Subjects known from more than one key or partition.
    pub splits: i64,
    /// Subjects erased here and known there.
    pub conflicted: i64,
}

impl Census {
    /// What a single entry counts as.
    fn of(tally: packed::Tally) -> Self {
        Self {
            entries: 1,
            subjects: tally.known.into(),
            invalid: tally.invalid.into(),
            splits: tally.split.into(),
            conflicted: tally.conflicted.into(),
        }
    }

    fn with(self, other: Self, both: impl Fn(i64, i64) -> i64) -> Self {
        Self {
            entries: both(self.entries, other.entries),
            subjects: both(self.subjects, other.subjects),
            invalid: both(self.invalid, other.invalid),
            splits: both(self.splits, other.splits),
            conflicted: both(self.conflicted, other.conflicted),
        }
    }
}

impl Add for Census {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        self.with(other, |own, other| own + other)
    }
}

impl Sub for Census {
    type Output = Self;

    fn sub(self, other: Self) -> Self {
        self.with(other, |own, other| own - other)
    }
}

/// A consent cache.
#[derive(Debug)]
pub struct Cache {
    store: Store,
    words: Arc<Vocabulary>,
    hasher: SipHasher13,
    settings: CacheSettings,
    generation: RwLock<u64>,
    entries: AtomicI64,
    subjects: AtomicI64,
    invalid: AtomicI64,
    splits: AtomicI64,
    conflicted: AtomicI64,
    /// A change found no room: nothing may be decided.
    is_full: AtomicBool,
}

impl Cache {
    /// An empty cache that hashes subjects under `key`.
    pub fn new(settings: CacheSettings, key: &[u8; 16]) -> Self {
        Self {
            store: Store::default(),
            words: Arc::default(),
            hasher: SipHasher13::new_with_key(key),
            settings,
            generation: RwLock::new(0),
            entries: AtomicI64::new(0),
            subjects: AtomicI64::new(0),
            invalid: AtomicI64::new(0),
            splits: AtomicI64::new(0),
            conflicted: AtomicI64::new(0),
            is_full: AtomicBool::new(false),
        }
    }

    /// The words of all subjects.
    pub fn words(&self) -> &Vocabulary {
        &self.words
    }

    /// The limits.
    pub const fn settings(&self) -> &CacheSettings {
        &self.settings
    }

    /// The hash of a subject, whose value is normalized here.
    pub fn subject(&self, kind: &str, value: &str) -> SubjectId {
        let mut hasher = self.hasher;
        hasher.write(kind.as_bytes());
        hasher.write(b":");
        hasher.write(normalize(kind, value).as_bytes());
        SubjectId(hasher.finish128().as_u128())
    }

    /// Applies what a message with this key (type and raw value) says. A message that is not later than
    /// what is known of the key on its partition changes nothing.
    pub fn apply(&self, key: (&str, &str), partition: i32, offset: i64, said: &Said<'_>) -> Applied {
        let (body, vocabulary_full) = match said {
            Said::Erased => (Body::Erased, false),
            Said::Invalid => (Body::Invalid, false),
            Said::State(change) => match packed::pack(change, &self.words) {
                Ok(state) => (Body::State(state), false),
                Err(_full) => (Body::Invalid, true),
            },
        };
        let part = Part { raw: self.raw(key), partition, offset, body };
        let (mut version_regressed, mut change) = (false, None);
        let stored = self.store.update(self.subject(key.0, key.1).0, |old, new| {
            let replaced = packed::replace(old, &part, new);
            if replaced {
                let versions = packed::version(old, &part).zip(packed::version(new, &part));
                version_regressed = versions.is_some_and(|(old, new)| new < old);
                let before = if old.is_empty() { Census::default() } else { Census::of(packed::census(old)) };
                change = Some(Census::of(packed::census(new)) - before);
            }
            replaced
        });
        if stored.is_err() {
            self.is_full.store(true, Ordering::Relaxed);
        } else if let Some(change) = change {
            self.count(change);
        }
        Applied { version_regressed, vocabulary_full }
    }

    /// Puts entries back that a snapshot has kept, so many, into a cache that has none.
    fn restoring(&self, count: u64) -> Restoring<'_> {
        // What the file claims is only a hint: no more is reserved than may be kept.
        let count = usize::try_from(count).unwrap_or(usize::MAX).min(self.settings.max_subjects);
        Restoring { cache: self, filler: self.store.fill(count), census: Census::default() }
    }

    /// Forgets everything and waits for readers to finish: what they hold is no longer the truth.
    pub fn discard(&self) {
        let mut generation = self.generation.write().unwrap_or_else(PoisonError::into_inner);
        *generation += 1;
        self.store.clear();
        self.is_full.store(false, Ordering::Relaxed);
        for count in [&self.entries, &self.subjects, &self.invalid, &self.splits, &self.conflicted] {
            count.store(0, Ordering::Relaxed);
        }
    }

    /// Opens the cache for reading; it is not discarded while the view lives. The caller answers for its
    /// freshness: only the follower's barrier calls this on the way to a decision.
    pub fn view(&self) -> View<'_> {
        let generation = self.generation.read().unwrap_or_else(PoisonError::into_inner);
        View { cache: self, generation, shards: None }
    }

    /// What it holds.
    pub fn census(&self) -> Census {
        let read = |count: &AtomicI64| count.load(Ordering::Relaxed);
        Census {
            entries: read(&self.entries),
            subjects: read(&self.subjects),
            invalid: read(&self.invalid),
            splits: read(&self.splits),
            conflicted: read(&self.conflicted),
        }
    }

    /// Whether it holds more than `max_subjects`, or has found no room for a change.
    pub fn is_over(&self) -> bool {
        let entries = usize::try_from(self.entries.load(Ordering::Relaxed));
        self.is_full.load(Ordering::Relaxed)
            || entries.is_ok_and(|entries| entries > self.settings.max_subjects)
    }

    /// The memory that subjects take, in bytes.
    pub fn bytes(&self) -> usize {
        self.store.bytes()
    }

    fn look_up(&self, subject: SubjectId, into: &mut Identities) {
        if self.store.find(subject.0, |entry| packed::unpack(entry, into)).is_none() {
            into.unknown();
        }
    }

    fn places(&self, subject: SubjectId) -> Vec<Place> {
        self.store.find(subject.0, packed::places).unwrap_or_default()
    }

    /// 0 for a key in its one form; else a hash that tells two spellings of one subject apart.
    fn raw(&self, (kind, value): (&str, &str)) -> u64 {
        if normalize(kind, value) == value {
            return 0;
        }
        let mut hasher = self.hasher;
        hasher.write(value.as_bytes());
        hasher.finish().max(1)
    }

    /// Counts so many more, or fewer.
    fn count(&self, more: Census) {
        for (count, more) in [
            (&self.entries, more.entries),
            (&self.subjects, more.subjects),
            (&self.invalid, more.invalid),
            (&self.splits, more.splits),
            (&self.conflicted, more.conflicted),
        ] {
            if more != 0 {
                count.fetch_add(more, Ordering::Relaxed);
            }
        }
    }
}

/// Puts entries back that a snapshot has kept; counted when it is dropped.
struct Restoring<'c> {
    cache: &'c Cache,
    filler: Filler<'c>,
    census: Census,
}

impl Restoring<'_> {
    fn put(&mut self, key: u128, bytes: &[u8]) {
        if self.filler.put(key, bytes).is_err() {
            self.cache.is_full.store(true, Ordering::Relaxed);
        }
        self.census = self.census + Census::of(packed::census(bytes));
    }
}

impl Drop for Restoring<'_> {
    fn drop(&mut self) {
        self.cache.count(self.census);
    }
}

/// The cache, open for reading.
#[derive(Debug)]
pub struct View<'c> {
    cache: &'c Cache,
    generation: RwLockReadGuard<'c, u64>,
    /// Where there is a cache a partition: those that are loaded.
    shards: Option<RwLockReadGuard<'c, Table>>,
}

impl View<'_> {
    /// Adds what is known of a subject to the identities of a record.
    pub fn find(&self, subject: SubjectId, into: &mut Identities) {
        self.cache.look_up(subject, into);
    }

    /// Where the last messages about a subject stand, tombstones too. `None`: with a cache a partition this one is
    /// not loaded, and nobody can say.
    pub fn places(&self, subject: SubjectId, own: Option<i32>) -> Option<Vec<Place>> {
        self.cache_of(own).map(|cache| cache.places(subject))
    }

    /// Has the memory at hand that looking these subjects up will touch, each on its partition where there is a
    /// cache a partition. Changes nothing but how long that takes.
    pub fn prefetch(&self, subjects: &[(SubjectId, Option<i32>)]) {
        for run in subjects.chunk_by(|(_, one), (_, next)| one == next) {
            let Some((_, partition)) = run.first() else { continue };
            if let Some(cache) = self.cache_of(*partition) {
                cache.store.prefetch(run.iter().map(|(subject, _)| subject.0));
            }
        }
    }

    /// The cache.
    pub const fn cache(&self) -> &Cache {
        self.cache
    }

    /// How often the cache had been discarded when this view was opened.
    pub fn generation(&self) -> u64 {
        *self.generation
    }
}

#[cfg(test)]
mod tests;
