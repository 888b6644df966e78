//! What a worker holds back: by subject, by the time it is to be looked at again, and what is due.
//!
//! The truth is the hold topic; this is an index of what its committed messages say, and of what the worker has
//! begun since its last commit. What is begun is a journal: a commit forgets it, an abort takes it back, and what
//! had been decided is due again. Never reads a clock, never decides, never writes: it is told what came of a
//! record.
//!
//! `S` stands for a subject, by whatever name it is known.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use smallvec::SmallVec;

use crate::consent::{Deadlines, Reason};
use crate::time::Timestamp;

/// A record that waits at a route: ordered as it came.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Id {
    /// The source topic and partition, by the number that the worker has for them.
    pub place: usize,
    /// The record's offset.
    pub offset: i64,
    /// The route's index.
    pub route: usize,
}

/// What is known of a record that waits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Waiting<S> {
    /// Whom it names; empty: nobody has looked yet.
    pub subjects: SmallVec<[S; 1]>,
    /// A hash of its key; others may have the same.
    pub key: u64,
    /// Why it waits.
    pub reason: Reason,
    /// When it is to be looked at again, whatever its subjects say.
    pub until: Timestamp,
    /// When waiting runs out.
    pub deadlines: Deadlines,
    /// Since when it waits.
    pub held_at: Timestamp,
    /// The message of the hold topic.
    pub body: Arc<[u8]>,
}

/// What an entry takes beside its message, in bytes, roughly: six trees know it.
const ENTRY_BYTES: usize = 450;

#[derive(Debug)]
struct Entry<S> {
    waiting: Waiting<S>,
    /// It waits no longer, as soon as that is committed.
    is_gone: bool,
}

/// What was begun since the last commit.
#[derive(Debug)]
enum Step<S> {
    /// It waits.
    Added(Id),
    /// It waits no longer.
    Gone(Id),
    /// It was decided again and waits on; this is what was known before.
    Stayed(Id, Waiting<S>),
}

/// Everything that a worker holds back.
#[derive(Debug)]
pub struct Holding<S> {
    entries: BTreeMap<Id, Entry<S>>,
    by_subject: BTreeSet<(S, Id)>,
    by_time: BTreeSet<(Timestamp, Id)>,
    by_age: BTreeSet<(usize, Timestamp, Id)>,
    by_key: BTreeSet<(u64, Id)>,
    due: BTreeSet<Id>,
    journal: Vec<Step<S>>,
    counts: BTreeMap<usize, usize>,
    bytes: usize,
}

impl<S> Default for Holding<S> {
    fn default() -> Self {
        Self {
            entries: BTreeMap::new(),
            by_subject: BTreeSet::new(),
            by_time: BTreeSet::new(),
            by_age: BTreeSet::new(),
            by_key: BTreeSet::new(),
            due: BTreeSet::new(),
            journal: Vec::new(),
            counts: BTreeMap::new(),
            bytes: 0,
        }
    }
}

/// The lowest and the highest name that anything at a place, or anything at all, can have.
const fn ends(first: usize, last: usize) -> (Id, Id) {
    let low = Id { place: first, offset: i64::MIN, route: 0 };
    (low, Id { place: last, offset: i64::MAX, route: usize::MAX })
}

impl<S: Copy + Ord> Holding<S> {
    /// The hold topic says that this record waits. It is due: what its subjects have said meanwhile nobody knows.
    pub fn load(&mut self, id: Id, waiting: Waiting<S>) {
        self.unload(id);
        self.insert(id, waiting);
        self.due.insert(id);
    }

    /// The hold topic says that this record waits no longer.
    pub fn unload(&mut self, id: Id) {
        if let Some(waiting) = self.remove(id) {
            debug_assert!(waiting.subjects.is_empty(), "nobody looks before everything is loaded");
        }
    }

    /// A record is held. It counts once it is committed. Where the same was held already, by somebody who could
    /// not commit that he had read it, that is what comes back.
    pub fn add(&mut self, id: Id, waiting: Waiting<S>) -> Option<Waiting<S>> {
        let before = self.insert(id, waiting);
        self.journal.push(Step::Added(id));
        before
    }

    /// What is known of a record that waits.
    pub fn get(&self, id: Id) -> Option<&Waiting<S>> {
        self.entries.get(&id).filter(|entry| !entry.is_gone).map(|entry| &entry.waiting)
    }

    /// What waits of a place at a route under a key with this hash, as it came.
    pub fn of_key(&self, key: u64, place: usize, route: usize) -> Vec<Id> {
        let (low, high) = ends(place, place);
        let own = self.by_key.range((key, low)..=(key, high)).map(|(_, id)| *id);
        own.filter(|id| id.route == route && self.get(*id).is_some()).collect()
    }

    /// Whom a record names has been found out.
    pub fn name(&mut self, id: Id, subjects: &[S]) {
        let Some(entry) = self.entries.get_mut(&id) else { return };
        entry.waiting.subjects = SmallVec::from_slice(subjects);
        self.by_subject.extend(subjects.iter().map(|subject| (*subject, id)));
    }

    /// A subject has said something: what is held of it is due.
    pub fn wake(&mut self, subject: S) {
        let (low, high) = ends(0, usize::MAX);
        let own = self.by_subject.range((subject, low)..=(subject, high));
        self.due.extend(own.map(|(_, id)| *id));
    }

    /// Nobody knows who has said something: everything is due.
    pub fn wake_all(&mut self) {
        let all = self.entries.iter().filter(|(_, entry)| !entry.is_gone);
        self.due.extend(all.map(|(id, _)| *id));
    }

    /// It is now: what was to be looked at by then is due.
    pub fn tick(&mut self, now: Timestamp) {
        let (_, high) = ends(0, usize::MAX);
        while let Some((_, id)) = self.by_time.first().filter(|first| **first <= (now, high)).copied() {
            self.by_time.pop_first();
            self.due.insert(id);
        }
    }

    /// What is due, so many at most, as they came.
    pub fn due(&self, most: usize) -> Vec<Id> {
        self.due.iter().take(most).copied().collect()
    }

    /// Whether anything is due.
    pub fn is_due(&self) -> bool {
        !self.due.is_empty()
    }

    /// A record was decided and waits no longer.
    pub fn leave(&mut self, id: Id) {
        let Some(entry) = self.entries.get_mut(&id) else { return };
        entry.is_gone = true;
        let (until, subjects) = (entry.waiting.until, entry.waiting.subjects.clone());
        self.by_time.remove(&(until, id));
        self.due.remove(&id);
        for subject in subjects {
            self.by_subject.remove(&(subject, id));
        }
        self.journal.push(Step::Gone(id));
    }

    /// A record was decided again and waits on, and nothing was written of it: there is nothing to undo.
    pub fn wait_on(&mut self, id: Id, reason: Reason, until: Timestamp) {
        let known = self.get(id).cloned();
        if known.and_then(|own| self.replace(id, Waiting { reason, until, ..own })).is_some() {
            self.due.remove(&id);
        }
    }

    /// A record was decided again, waits on, and more is known of its deadlines.
    pub fn stay(&mut self, id: Id, now: Waiting<S>) {
        let Some(before) = self.replace(id, now) else { return };
        self.due.remove(&id);
        self.journal.push(Step::Stayed(id, before));
    }

    /// What was begun is committed. `forget` is told whom nobody waits for any more, once a record.
    pub fn committed(&mut self, mut forget: impl FnMut(S)) {
        for step in std::mem::take(&mut self.journal) {
            if let Step::Gone(id) = step
                && let Some(waiting) = self.remove(id)
            {
                waiting.subjects.into_iter().for_each(&mut forget);
            }
        }
    }

    /// What was begun is undone: what was decided is due again, what was added will be read again.
    pub fn undone(&mut self, mut forget: impl FnMut(S)) {
        for step in std::mem::take(&mut self.journal).into_iter().rev() {
            match step {
                Step::Added(id) => {
                    let subjects = self.remove(id).map(|waiting| waiting.subjects);
                    subjects.into_iter().flatten().for_each(&mut forget);
                }
                Step::Gone(id) => {
                    let Some(entry) = self.entries.get_mut(&id) else { continue };
                    entry.is_gone = false;
                    let waiting = &entry.waiting;
                    self.by_time.insert((waiting.until, id));
                    self.by_subject.extend(waiting.subjects.iter().map(|subject| (*subject, id)));
                    self.due.insert(id);
                }
                Step::Stayed(id, before) => {
                    if self.replace(id, before).is_some() {
                        self.due.insert(id);
                    }
                }
            }
        }
    }

    /// A place is somebody else's now. What was begun must have been undone before.
    pub fn drop_place(&mut self, place: usize, mut forget: impl FnMut(S)) {
        let (low, high) = ends(place, place);
        let own: Vec<Id> = self.entries.range(low..=high).map(|(id, _)| *id).collect();
        let gone = own.into_iter().filter_map(|id| self.remove(id));
        gone.flat_map(|waiting| waiting.subjects).for_each(&mut forget);
    }

    /// How many records wait at a route, and since when the oldest does.
    pub fn standing(&self, route: usize) -> (usize, Option<Timestamp>) {
        let (low, high) = ends(0, usize::MAX);
        let mut own =
            self.by_age.range((route, Timestamp(i64::MIN), low)..=(route, Timestamp(i64::MAX), high));
        (self.counts.get(&route).copied().unwrap_or(0), own.next().map(|(_, since, _)| *since))
    }

    /// The memory that all of it takes, in bytes.
    pub const fn bytes(&self) -> usize {
        self.bytes
    }

    /// Whether nothing waits.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    fn insert(&mut self, id: Id, waiting: Waiting<S>) -> Option<Waiting<S>> {
        let before = self.remove(id);
        self.by_time.insert((waiting.until, id));
        self.by_subject.extend(waiting.subjects.iter().map(|subject| (*subject, id)));
        self.by_age.insert((id.route, waiting.held_at, id));
        self.by_key.insert((waiting.key, id));
        *self.counts.entry(id.route).or_default() += 1;
        self.bytes += waiting.body.len() + ENTRY_BYTES;
        self.entries.insert(id, Entry { waiting, is_gone: false });
        before
    }

    fn remove(&mut self, id: Id) -> Option<Waiting<S>> {
        let Entry { waiting, .. } = self.entries.remove(&id)?;
        self.by_time.remove(&(waiting.until, id));
        for subject in &waiting.subjects {
            self.by_subject.remove(&(*subject, id));
        }
        self.by_age.remove(&(id.route, waiting.held_at, id));
        self.by_key.remove(&(waiting.key, id));
        self.due.remove(&id);
        self.bytes -= waiting.body.len() + ENTRY_BYTES;
        if let Some(count) = self.counts.get_mut(&id.route) {
            *count -= 1;
        }
        Some(waiting)
    }

    /// Says something else of a record that waits; its subjects, its age and its key stay what they are.
    fn replace(&mut self, id: Id, mut now: Waiting<S>) -> Option<Waiting<S>> {
        let entry = self.entries.get_mut(&id)?;
        now.subjects.clone_from(&entry.waiting.subjects);
        now.held_at = entry.waiting.held_at;
        now.key = entry.waiting.key;
        self.bytes = self.bytes + now.body.len() - entry.waiting.body.len();
        let (until, before) = (now.until, std::mem::replace(&mut entry.waiting, now));
        self.by_time.remove(&(before.until, id));
        self.by_time.insert((until, id));
        Some(before)
    }
}

#[cfg(test)]
mod tests;
