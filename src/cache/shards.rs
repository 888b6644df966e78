//! All of the consent topic in one cache, or a cache a partition.
//!
//! With one a partition a subject is looked up in the cache of the partition that its record stands on, and
//! what no longer concerns the process is dropped whole, so that its memory falls. All of them share one
//! vocabulary and one secret key: numbers and hashes mean the same in each. Which partition a subject belongs
//! to is not known here: who fills and who asks must agree on it.

use std::collections::BTreeMap;
use std::ops::Add;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use super::listen::{Listener, Listeners};
use super::settings::CacheSettings;
use super::{Applied, Cache, Census, Said, SubjectId, View};
use crate::consent::Identities;

/// What a process holds of the consent topic.
#[derive(Debug)]
pub struct Caches {
    /// All of it; with a cache a partition empty, and the pattern of those.
    whole: Arc<Cache>,
    shards: Option<RwLock<Table>>,
    listeners: Listeners,
}

/// The caches that are loaded.
#[derive(Debug, Default)]
pub(super) struct Table {
    /// How many partitions the topic has.
    partitions: usize,
    loaded: BTreeMap<i32, Arc<Cache>>,
}

impl Caches {
    /// One cache for every partition.
    pub fn whole(cache: Cache) -> Self {
        Self { whole: Arc::new(cache), shards: None, listeners: Listeners::default() }
    }

    /// A cache a partition, none of them loaded; each as this one, which is empty.
    pub fn sharded(pattern: Cache) -> Self {
        Self { whole: Arc::new(pattern), shards: Some(RwLock::default()), listeners: Listeners::default() }
    }

    /// Somebody who is to be told of changes.
    pub fn listen(&self) -> Arc<Listener> {
        self.listeners.add()
    }

    /// The limits.
    pub fn settings(&self) -> &CacheSettings {
        self.whole.settings()
    }

    /// Forgets everything, and waits for readers to finish. The topic has so many partitions from now on.
    pub fn discard(&self, partitions: usize) {
        self.whole.discard();
        if let Some(mut table) = self.write() {
            let old = std::mem::replace(&mut *table, Table { partitions, loaded: BTreeMap::new() });
            drop(table);
            drop(old);
        }
        self.listeners.tell_all();
    }

    /// Makes room for a partition that is to be loaded. What is held of it already is forgotten.
    pub fn load(&self, partition: i32) {
        if let Some(mut table) = self.write() {
            table.loaded.insert(partition, Arc::new(self.whole.beside()));
        }
        self.listeners.tell_all();
    }

    /// Forgets a partition, once no reader looks at it.
    pub fn unload(&self, partition: i32) {
        // Taken out under the lock and dropped after it: freeing many subjects takes a while.
        let gone = self.write().and_then(|mut table| table.loaded.remove(&partition));
        drop(gone);
    }

    /// Applies a message, as [`Cache::apply`] does. One of a partition that is not loaded changes nothing.
    pub fn apply(&self, key: (&str, &str), partition: i32, offset: i64, said: &Said<'_>) -> Applied {
        let apply = || match self.read() {
            None => self.whole.apply(key, partition, offset, said),
            Some(table) => {
                let cache = table.loaded.get(&partition);
                cache.map(|cache| cache.apply(key, partition, offset, said)).unwrap_or_default()
            }
        };
        self.listeners.change(apply, || self.whole.subject(key.0, key.1))
    }

    /// Each cache by itself: the one of all partitions (`None`), or those that are loaded.
    pub fn each(&self) -> Vec<(Option<i32>, Arc<Cache>)> {
        match self.read() {
            None => vec![(None, Arc::clone(&self.whole))],
            Some(table) => {
                table.loaded.iter().map(|(partition, cache)| (Some(*partition), Arc::clone(cache))).collect()
            }
        }
    }

    /// The cache of all partitions (`None`), or of one that is loaded.
    pub fn one(&self, partition: Option<i32>) -> Option<Arc<Cache>> {
        self.each().into_iter().find(|(own, _)| *own == partition).map(|(_, cache)| cache)
    }

    /// Opens everything for reading; nothing is discarded or unloaded while the view lives. The caller answers
    /// for its freshness: only the follower's barrier calls this on the way to a decision.
    pub fn view(&self) -> View<'_> {
        View { shards: self.read(), ..self.whole.view() }
    }

    /// What it holds.
    pub fn census(&self) -> Census {
        let Some(table) = self.read() else { return self.whole.census() };
        table.loaded.values().map(|cache| cache.census()).fold(Census::default(), Census::add)
    }

    /// Whether it holds more than `max_subjects`, or has found no room for a change.
    pub fn is_over(&self) -> bool {
        let Some(table) = self.read() else { return self.whole.is_over() };
        let entries: i64 = table.loaded.values().map(|cache| cache.census().entries).sum();
        let over = usize::try_from(entries).is_ok_and(|entries| entries > self.settings().max_subjects);
        over || table.loaded.values().any(|cache| cache.is_over())
    }

    /// The memory that subjects take, in bytes.
    pub fn bytes(&self) -> usize {
        self.read().map_or_else(
            || self.whole.bytes(),
            |table| table.loaded.values().map(|cache| cache.bytes()).sum(),
        )
    }

    fn read(&self) -> Option<RwLockReadGuard<'_, Table>> {
        self.shards.as_ref().map(|table| table.read().unwrap_or_else(PoisonError::into_inner))
    }

    fn write(&self) -> Option<RwLockWriteGuard<'_, Table>> {
        self.shards.as_ref().map(|table| table.write().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Cache {
    /// An empty cache whose words and hashes are those of this one.
    fn beside(&self) -> Self {
        let empty = Self::new(self.settings, &[0; 16]);
        Self { words: Arc::clone(&self.words), hasher: self.hasher, ..empty }
    }
}

impl View<'_> {
    /// With a cache a partition: how many partitions the topic has.
    pub fn partitions(&self) -> Option<usize> {
        self.shards.as_ref().map(|table| table.partitions)
    }

    /// The cache that subjects of this partition are looked up in; `None` where it is not loaded.
    pub(super) fn cache_of(&self, partition: Option<i32>) -> Option<&Cache> {
        match (&self.shards, partition) {
            (Some(table), Some(partition)) => table.loaded.get(&partition).map(Arc::as_ref),
            _whole => Some(self.cache),
        }
    }

    /// Adds what this partition says of a subject to the identities of a record, as [`View::find`] does. With
    /// one cache for all it is every partition. False: the partition is not loaded, and nobody can say.
    pub fn find_on(&self, partition: i32, subject: SubjectId, into: &mut Identities) -> bool {
        self.cache_of(Some(partition)).map(|cache| cache.look_up(subject, into)).is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::consent::Found;

    const ANN: (&str, &str) = ("user_id", "ann");

    fn pattern() -> Cache {
        Cache::new(CacheSettings { max_subjects: 2, max_grants: 9 }, &[7; 16])
    }

    /// What a partition says of Ann: nothing that is known, or something; `None` where it is not loaded.
    fn knows(caches: &Caches, partition: i32) -> Option<bool> {
        let (view, mut identities) = (caches.view(), Identities::default());
        let subject = view.cache().subject(ANN.0, ANN.1);
        let loaded = view.find_on(partition, subject, &mut identities);
        let found = identities.found().first();
        assert_eq!(loaded, found.is_some());
        found.map(|found| !matches!(found, Found::Unknown))
    }

    #[test]
    fn one_cache_knows_a_subject_wherever_it_is_asked() {
        let caches = Caches::whole(pattern());
        caches.apply(ANN, 3, 0, &Said::Invalid);
        assert_eq!((knows(&caches, 3), knows(&caches, 0)), (Some(true), Some(true)));
        assert_eq!(caches.view().partitions(), None);
        caches.unload(3);
        assert_eq!(caches.census().subjects, 1);
        caches.discard(4);
        assert_eq!((knows(&caches, 3), caches.census()), (Some(false), Census::default()));
    }

    #[test]
    fn a_partition_is_known_while_it_is_loaded() {
        let caches = Caches::sharded(pattern());
        caches.discard(4);
        assert_eq!((caches.view().partitions(), knows(&caches, 3)), (Some(4), None));
        caches.apply(ANN, 3, 0, &Said::Invalid);
        caches.load(2);
        caches.load(3);
        assert_eq!((knows(&caches, 2), knows(&caches, 3)), (Some(false), Some(false)), "it was not loaded");
        caches.apply(ANN, 3, 1, &Said::Invalid);
        caches.apply(("user_id", "bob"), 2, 0, &Said::Invalid);
        caches.apply(("user_id", "cat"), 2, 1, &Said::Erased);
        assert_eq!((knows(&caches, 2), knows(&caches, 3)), (Some(false), Some(true)));
        let census = caches.census();
        assert_eq!((census.entries, census.subjects, caches.is_over()), (3, 2, true));
        caches.unload(2);
        assert_eq!((caches.census().entries, caches.is_over()), (1, false));
        assert_eq!((knows(&caches, 2), knows(&caches, 3)), (None, Some(true)));
        caches.load(3);
        assert_eq!(knows(&caches, 3), Some(false), "it is loaded anew");
        caches.discard(5);
        assert_eq!((knows(&caches, 3), caches.view().partitions()), (None, Some(5)));
    }
}
