//! Events that are not on the partition of their subject, which the pipeline refuses to go past.
//!
//! Where a process holds only the consent partitions of its event partitions, such an event's subject would look
//! unknown, and a refusal that stands elsewhere would not be seen. Nobody can decide it here, and it is no fault
//! of the record's content either: whoever writes the events partitions them otherwise. So what was begun is
//! undone and the whole pipeline stands still, as a member of its group, until the partition is somebody else's
//! or the process is started anew.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::batch::Fetched;
use super::{End, PATIENCE, Worker};
use crate::record::Record;
use crate::source::{Cluster, Place, WriteError, pace};
use crate::telemetry::Cause;

/// Where an event stands, and where its subject's consent does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Misplaced {
    /// The event's topic and partition.
    pub place: Place,
    /// Its offset.
    pub offset: i64,
    /// The partition of its subject.
    pub own: i32,
    /// How many partitions there are.
    pub count: usize,
}

impl Misplaced {
    /// This record, whose subject's consent is on another partition of so many.
    pub fn of(record: &Record<'_>, own: i32, count: usize) -> Self {
        let place = (record.topic.to_owned(), record.partition);
        Self { place, offset: record.offset, own, count }
    }
}

impl std::fmt::Display for Misplaced {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { place: (topic, partition), offset, own, count } = self;
        write!(
            f,
            "`{topic}` partition {partition} offset {offset} is about somebody whose consent is on partition \
             {own} of {count}: with `consent.cache: sharded` an event must be on the partition that murmur2 of \
             its subject's `type:value` gives. Have the events' producer partition by that, or write \
             `consent.cache: replicated`, which decides this one too"
        )
    }
}

/// Why a batch is not decided to its end.
#[derive(Debug)]
pub enum Undone {
    /// Writing failed.
    Write(WriteError),
    /// A record is refused.
    Refused(Misplaced),
}

impl From<WriteError> for Undone {
    fn from(error: WriteError) -> Self {
        Self::Write(error)
    }
}

/// What each worker of a pipeline has refused.
#[derive(Debug, Default)]
pub struct Refusals(Mutex<BTreeMap<usize, Place>>);

impl Refusals {
    fn add(&self, worker: usize, place: Place) {
        self.all().insert(worker, place);
    }

    /// Takes away what a worker has refused there, or anywhere; true if it was the last.
    fn take(&self, worker: usize, place: Option<&Place>) -> bool {
        let mut all = self.all();
        let is_meant = |own: &Place| place.is_none_or(|place| place == own);
        all.get(&worker).is_some_and(is_meant) && all.remove(&worker).is_some() && all.is_empty()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.all().is_empty()
    }

    fn all(&self) -> MutexGuard<'_, BTreeMap<usize, Place>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<C: Cluster> Worker<'_, C> {
    /// What is to become of a batch that was not decided to its end.
    pub(super) fn undo(&mut self, undone: Undone) -> Result<(), End> {
        match undone {
            Undone::Write(error) => self.recover(error),
            Undone::Refused(misplaced) => {
                let detail = misplaced.to_string();
                self.line.refusals().add(self.number, misplaced.place);
                self.line.block(Cause::EventMisplaced(self.line.name().to_owned()), detail);
                self.abort()
            }
        }
    }

    /// Decides nothing, but stays a member and hears what the group says.
    pub(super) fn stand_still(&mut self, member: &C::Member) -> Result<(), End> {
        self.commit()?;
        let mut fetched = Fetched::default();
        self.keep_membership(member, &mut fetched)?;
        if !fetched.is_empty() {
            fetched.clear();
            self.abort()?;
        }
        self.keep_place()?;
        pace::sleep(PATIENCE);
        Ok(())
    }

    /// What this worker refused is not its own any more: at this place, or at any.
    pub(super) fn forget_refusal(&self, place: Option<&Place>) {
        if self.line.refusals().take(self.number, place) {
            self.line.clear(&Cause::EventMisplaced(self.line.name().to_owned()));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pipeline_goes_on_when_no_worker_refuses_anything() {
        let (refusals, place) = (Refusals::default(), |partition| ("events".to_owned(), partition));
        assert!(refusals.is_empty() && !refusals.take(0, None));
        refusals.add(0, place(3));
        refusals.add(1, place(4));
        assert!(!refusals.take(0, Some(&place(4))), "that one is another worker's");
        assert!(!refusals.take(0, Some(&place(3))), "one is left");
        assert!(!refusals.is_empty() && refusals.take(1, None) && refusals.is_empty());
    }

    #[test]
    fn says_where_and_what_helps() {
        let record = Record { topic: "events", partition: 3, offset: 17, ..Record::default() };
        let said = Misplaced::of(&record, 5, 6).to_string();
        assert!(said.starts_with("`events` partition 3 offset 17 is about"), "{said}");
        assert!(said.contains("partition 5 of 6") && said.contains("replicated"), "{said}");
    }
}
