//! The quick way out and back: reads one person's consent, and changes it where it is kept, on the consent topic.
//!
//! Commands and the HTTP interface both come here. A change is planned from what stands (`plan`, `edit`: pure),
//! written to every partition that holds the key, and read back: two who write at once must not undo each other
//! unseen. What somebody wrote in between is not lost to a withdrawal or a grant, which are made again on top of it;
//! a whole record replaces it, and says so. It never decides anything, and nothing here reaches the cache but by way
//! of the topic. Ids are in no log and in no error.

mod edit;
mod line;
mod merge;
mod plan;
mod record;
pub mod settings;
mod sheet;
mod subject;
mod topic;
mod unsubscribe;

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use rdkafka::error::KafkaError;
use thiserror::Error;

use crate::cache::Place;
use crate::source::TopicError;
use crate::time::{Clock, Instant, Timestamp};
use crate::wire::change::Undecodable;
use plan::Planned;
use settings::StewardSettings;
use topic::{Topic, replace};

pub use edit::{Grant, Scope};
pub use plan::{Edit, Refused, Stored};
pub use record::Record;
pub use sheet::{Standing, sheet};
pub use subject::Subject;
pub use topic::Found;
pub use unsubscribe::{UnsubscribeKey, Unsubscription};

/// How often a change is made again where somebody else writes at the same time.
const ROUNDS: usize = 8;

/// Why consent cannot be read or changed.
#[derive(Debug, Error)]
pub enum StewardError {
    /// The change must not be made.
    #[error(transparent)]
    Refused(#[from] Refused),
    /// The topic cannot be asked about.
    #[error("the consent topic: {0}")]
    Topic(#[from] TopicError),
    /// The brokers do not answer as they should.
    #[error("the brokers: {0}")]
    Kafka(#[from] KafkaError),
    /// It takes too long.
    #[error("the consent topic was not read to its end within {0} s; nothing more was written")]
    Slow(u64),
    /// It may have been written or not.
    #[error(
        "the brokers have not acknowledged it in time; it may be written all the same: look, and do it again"
    )]
    Unacknowledged,
    /// Others write all the time.
    #[error("somebody else keeps changing this subject's consent; look at what stands, and do it again")]
    Contended,
    /// There is nothing to merge.
    #[error("nothing is known of the subject to merge from: see that type and value are right")]
    Nothing,
    /// The records to merge are not all there.
    #[error("the subject to merge from {0}: erase it, or withdraw and then merge")]
    Unmergeable(&'static str),
}

/// A message that was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Written {
    /// The partition.
    pub partition: i32,
    /// The offset.
    pub offset: i64,
    /// The record's version; a tombstone has none.
    pub version: Option<i64>,
}

/// What became of a change.
#[derive(Clone, Debug)]
pub struct Done {
    /// What was written last to each place; empty: everything was so already.
    pub written: Vec<Written>,
    /// When it began to be written.
    pub began: Instant,
    /// How long until Kafka had acknowledged all of it.
    pub acknowledged: Duration,
    /// What others wrote meanwhile.
    pub others: Vec<Stored>,
    /// Whether something of theirs stands above it, and was left.
    pub overtaken: bool,
}

/// Keeps the consent topic of one cluster. Clients are made when they are first needed; one change is made at a time.
pub struct Steward {
    settings: StewardSettings,
    clock: Clock,
    topic: Mutex<Option<Topic>>,
}

impl Steward {
    /// Of this topic.
    pub fn new(settings: StewardSettings) -> Self {
        Self { settings, clock: Clock::default(), topic: Mutex::default() }
    }

    /// The topic's settings.
    pub const fn settings(&self) -> &StewardSettings {
        &self.settings
    }

    /// Now.
    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// What stands of a subject: at these places, as fresh as these ends, or wherever it is in the topic.
    pub fn find(
        &self,
        subject: &Subject,
        known: Option<(&[Place], &[i64])>,
        patience: Duration,
    ) -> Result<Found, StewardError> {
        self.with(|topic| match known {
            Some((places, ends)) => topic.at(subject, places, ends),
            None => topic.scan(subject, patience),
        })
    }

    /// Makes a change to what was found. `after` is told what was written and when that began, as soon as it is
    /// acknowledged and before anything is read again; more than once where it is made again.
    ///
    /// # Errors
    /// It is refused, and nothing is written; or the brokers fail, and it may be in part.
    pub fn change(
        &self,
        subject: &Subject,
        found: Found,
        edit: &Edit,
        patience: Duration,
        after: &mut dyn FnMut(&[Written], Instant),
    ) -> Result<Done, StewardError> {
        self.with(|topic| self.rounds(topic, subject, found, edit, patience, after))
    }

    /// Adds what is known of one subject to another of the same person, and then erases it.
    ///
    /// # Errors
    /// As [`Steward::change`]; the first subject is erased only once the second has everything.
    pub fn merge(
        &self,
        (from, from_found): (&Subject, Found),
        (into, into_found): (&Subject, Found),
        patience: Duration,
        after: &mut dyn FnMut(&[Written], Instant),
    ) -> Result<(Done, Done), StewardError> {
        let records = self.mergeable(&from_found.stored)?;
        let merged = self.change(into, into_found, &Edit::Merge(records), patience, after)?;
        let erased = self.change(from, from_found, &Edit::Erase, patience, after)?;
        let late = |one: &Stored| plan::read(&self.settings, one)?.ok();
        let late: Vec<Record> = erased.others.iter().filter_map(late).collect();
        if late.is_empty() {
            return Ok((merged, erased));
        }
        let again = self.find(into, None, patience)?;
        Ok((self.change(into, again, &Edit::Merge(late), patience, after)?, erased))
    }

    fn mergeable(&self, stored: &[Stored]) -> Result<Vec<Record>, StewardError> {
        let read: Vec<_> = stored.iter().map(|one| plan::read(&self.settings, one)).collect();
        match (read.iter().any(Option::is_some), read.iter().any(Option::is_none)) {
            (false, _) => return Err(StewardError::Nothing),
            (true, true) => {
                return Err(StewardError::Unmergeable("is erased on one partition and known on another"));
            }
            (true, false) => {}
        }
        let records: Result<Vec<_>, Undecodable> = read.into_iter().flatten().collect();
        records.map_err(|_| StewardError::Unmergeable("has a record that cannot be read"))
    }

    /// Writes, and looks whether anybody else did, until nobody did.
    fn rounds(
        &self,
        topic: &Topic,
        subject: &Subject,
        mut found: Found,
        edit: &Edit,
        patience: Duration,
        after: &mut dyn FnMut(&[Written], Instant),
    ) -> Result<Done, StewardError> {
        let began = Instant::now();
        let mut done = Done {
            written: Vec::new(),
            began,
            acknowledged: Duration::ZERO,
            others: Vec::new(),
            overtaken: false,
        };
        let (mut above, mut ours) = (0, Vec::new());
        let mut again: Option<Vec<(i32, Vec<u8>)>> = None;
        for _ in 0..ROUNDS {
            let (now, count) = (self.clock.now(), found.ends.len());
            let mut planned =
                plan::plan(&self.settings, subject, (&found.stored, count), edit, (now, above))?;
            if let Some(places) = &again {
                planned.retain(|one| places.contains(&(one.partition, one.key.clone())));
            }
            if planned.is_empty() {
                return Ok(done);
            }
            let places = topic.write(&planned, count)?;
            done.acknowledged = began.elapsed();
            above = planned.iter().filter_map(|one| one.version).max().unwrap_or(above).max(above);
            done.note(&planned, &places);
            after(&done.written, began);
            ours.extend(&places);
            let since = topic.since(&mut found.ends, subject, patience)?;
            let others = since.iter().filter(|one| !ours.contains(&(one.partition, one.offset)));
            let others: Vec<Stored> = others.cloned().collect();
            done.others.extend(others.iter().cloned());
            let late =
                |one: &Stored| places.iter().all(|(at, offset)| *at != one.partition || *offset < one.offset);
            done.overtaken |= others.iter().any(late) && !edit.insists();
            if others.is_empty() || !edit.is_made_again(others.iter().any(late)) {
                return Ok(done);
            }
            since.into_iter().for_each(|one| replace(&mut found.stored, one));
            again = Some(others.iter().map(|one| (one.partition, one.key.clone())).collect());
            if !matches!(edit, Edit::Erase) {
                // What they said is what it is made on; what we wrote over it says it is not.
                others.into_iter().for_each(|one| replace(&mut found.stored, one));
            }
        }
        Err(StewardError::Contended)
    }

    fn with<T>(&self, act: impl FnOnce(&Topic) -> Result<T, StewardError>) -> Result<T, StewardError> {
        let mut topic = self.topic.lock().unwrap_or_else(PoisonError::into_inner);
        let clients = match topic.take() {
            Some(clients) => clients,
            None => Topic::connect(&self.settings)?,
        };
        let done = act(&clients);
        // After a failure of the brokers nothing is known of what these clients have in hand.
        if matches!(done, Ok(_) | Err(StewardError::Refused(_))) {
            *topic = Some(clients);
        }
        done
    }
}

impl Edit {
    /// Whether it goes before whatever others write meanwhile, because it protects the person.
    const fn insists(&self) -> bool {
        match self {
            Self::Withdraw(_) | Self::Erase => true,
            Self::Set { .. } | Self::Replace(_) | Self::Merge(_) => false,
        }
    }

    /// Whether it is made again on top of what others wrote; `late`: after ours, so that they may have meant to.
    const fn is_made_again(&self, late: bool) -> bool {
        match self {
            Self::Withdraw(_) | Self::Erase => true,
            Self::Set { .. } | Self::Merge(_) => !late,
            Self::Replace(_) => false,
        }
    }
}

impl Done {
    fn note(&mut self, planned: &[Planned], places: &[(i32, i64)]) {
        for (one, (partition, offset)) in planned.iter().zip(places) {
            self.written.retain(|old| old.partition != *partition);
            self.written.push(Written { partition: *partition, offset: *offset, version: one.version });
        }
    }
}
