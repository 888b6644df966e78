//! Subject → consent state, in memory.
//!
//! The map's key is a 128-bit hash of the subject under a secret key, its value the subject's state packed
//! into bytes: neither the id nor any word stands in it. A change replaces what one consent partition says
//! of one subject under the entry's lock, so that a reader sees the state before or after, never between.
//!
//! Looking something up takes a [`View`], which the follower gives out with the proof that the cache is
//! fresh enough: state and freshness come together or not at all.

mod packed;
pub mod settings;
mod shards;

use std::hash::{BuildHasherDefault, Hasher};
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard};

use dashmap::DashMap;
use siphasher::sip128::{Hasher128, SipHasher13};

use crate::consent::{Identities, Vocabulary, normalize};
use crate::wire::change::Change;
use packed::{Body, Part};
use settings::CacheSettings;
use shards::Table;

pub use shards::Caches;

/// A subject's keyed hash.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct SubjectId(u128);

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

/// A consent cache.
#[derive(Debug)]
pub struct Cache {
    map: DashMap<u128, Box<[u8]>, BuildHasherDefault<Keyed>>,
    words: Arc<Vocabulary>,
    hasher: SipHasher13,
    settings: CacheSettings,
    generation: RwLock<u64>,
    entries: AtomicI64,
    subjects: AtomicI64,
    invalid: AtomicI64,
    splits: AtomicI64,
    conflicted: AtomicI64,
}

impl Cache {
    /// An empty cache that hashes subjects under `key`.
    pub fn new(settings: CacheSettings, key: &[u8; 16]) -> Self {
        Self {
            map: DashMap::with_hasher_and_shard_amount(BuildHasherDefault::default(), 128),
            words: Arc::default(),
            hasher: SipHasher13::new_with_key(key),
            settings,
            generation: RwLock::new(0),
            entries: AtomicI64::new(0),
            subjects: AtomicI64::new(0),
            invalid: AtomicI64::new(0),
            splits: AtomicI64::new(0),
            conflicted: AtomicI64::new(0),
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
        let mut entry = self.map.entry(self.subject(key.0, key.1).0).or_insert_with(|| {
            self.entries.fetch_add(1, Ordering::Relaxed);
            Box::default()
        });
        let (before, version_before) = (packed::census(&entry), packed::version(&entry, &part));
        if let Some(bytes) = packed::replace(&entry, &part) {
            *entry = bytes;
        }
        let after = packed::census(&entry);
        let version_after = packed::version(&entry, &part);
        drop(entry);
        self.count(before, after);
        let version_regressed = version_before.zip(version_after).is_some_and(|(old, new)| new < old);
        Applied { version_regressed, vocabulary_full }
    }

    /// Forgets everything and waits for readers to finish: what they hold is no longer the truth.
    pub fn discard(&self) {
        let mut generation = self.generation.write().unwrap_or_else(PoisonError::into_inner);
        *generation += 1;
        self.map.clear();
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

    /// Whether it holds more than `max_subjects`.
    pub fn is_over(&self) -> bool {
        usize::try_from(self.census().entries).is_ok_and(|entries| entries > self.settings.max_subjects)
    }

    fn look_up(&self, subject: SubjectId, into: &mut Identities) {
        match self.map.get(&subject.0) {
            Some(entry) => packed::unpack(&entry, into),
            None => into.unknown(),
        }
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

    fn count(&self, before: packed::Tally, after: packed::Tally) {
        let add = |count: &AtomicI64, before: bool, after: bool| {
            if before != after {
                count.fetch_add(i64::from(after) - i64::from(before), Ordering::Relaxed);
            }
        };
        add(&self.subjects, before.known, after.known);
        add(&self.invalid, before.invalid, after.invalid);
        add(&self.splits, before.split, after.split);
        add(&self.conflicted, before.conflicted, after.conflicted);
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

    /// The cache.
    pub const fn cache(&self) -> &Cache {
        self.cache
    }

    /// How often the cache had been discarded when this view was opened.
    pub fn generation(&self) -> u64 {
        *self.generation
    }
}

/// The map's hasher: its keys are hashes already.
#[derive(Clone, Copy, Debug, Default)]
struct Keyed(u64);

impl Hasher for Keyed {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(*byte);
        }
    }

    fn write_u128(&mut self, hash: u128) {
        #[allow(clippy::cast_possible_truncation, reason = "half of a uniform hash is one")]
        let low = hash as u64;
        self.0 = low;
    }
}

#[cfg(test)]
mod tests;
