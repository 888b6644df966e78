//! The types that carry the promise: what is not decided cannot be sent.
//!
//! `judge` and, for a record about several people, `judge_each` are the only ways to a [`Permitted`],
//! [`Permitted::clear`] the only way to a [`Cleared`], and a sink takes nothing but a [`Cleared`]. Both borrow
//! the [`Batch`] they were decided in, so that no permit outlives it.
//!
//! ```
//! use consentry::consent::{Batch, Grounds, Judged, Question, judge};
//! use consentry::time::Timestamp;
//!
//! let batch = Batch::open(Timestamp(0));
//! let Judged::Permitted(permitted) = judge(&batch, "record", Question::Deletion) else { panic!() };
//! assert_eq!(permitted.grounds(), Grounds::Deletion);
//! let cleared = permitted.clear(|record, _| Ok::<_, ()>(record)).unwrap();
//! assert_eq!(*cleared.record(), "record");
//! ```
//!
//! Making one by hand does not compile:
//!
//! ```compile_fail,E0451
//! use consentry::consent::{Grounds, Permitted};
//! let _ = Permitted { record: "record", grounds: Grounds::Deletion, batch: std::marker::PhantomData };
//! ```
//!
//! ```compile_fail,E0451
//! use consentry::consent::{Cleared, Grounds};
//! let _ = Cleared { record: "record", grounds: Grounds::Deletion, batch: std::marker::PhantomData };
//! ```
//!
//! Nor does sending a record that was permitted but whose fields were not looked at:
//!
//! ```compile_fail,E0308
//! use consentry::consent::{Cleared, Permitted};
//! fn send(_: Cleared<'_, &str>) {}
//! fn forgetful(permitted: Permitted<'_, &'static str>) { send(permitted) }
//! ```
//!
//! Nor keeping a permit for another batch:
//!
//! ```compile_fail,E0597
//! use consentry::consent::{Batch, Judged, Question, judge};
//! use consentry::time::Timestamp;
//! let kept = {
//!     let batch = Batch::open(Timestamp(0));
//!     judge(&batch, "record", Question::Deletion)
//! };
//! assert!(matches!(kept, Judged::Permitted(_)));
//! ```

mod elements;

use std::marker::PhantomData;

use super::ask::{Decided, Moment, Terms};
use super::deadlines::Deadlines;
use super::decide::decide;
use super::identity::Identities;
use super::matching::Matcher;
use super::reason::Reason;
use super::stamp::Said;
use super::vocabulary::Vocabulary;
use crate::time::Timestamp;
pub use elements::{Each, Kept, judge_each};

/// Records fetched together and decided at one instant, after the cache was fresh enough for all of them.
#[derive(Debug)]
pub struct Batch {
    now: Timestamp,
}

impl Batch {
    /// Opens a batch that is decided as of `now`.
    pub const fn open(now: Timestamp) -> Self {
        Self { now }
    }

    /// The instant of its decisions.
    pub const fn now(&self) -> Timestamp {
        self.now
    }
}

/// What is asked about one record and one route.
#[derive(Clone, Copy)]
pub enum Question<'a> {
    /// The route requires no consent; fields above this level are reduced.
    Nothing {
        /// An index into the policy's levels.
        level: Option<u8>,
    },
    /// The record only says that something is to be forgotten, and the route lets that pass.
    Deletion,
    /// Whether these subjects permit it.
    Consent {
        /// The route's requirement, which has learned every shape there is.
        matcher: &'a Matcher,
        /// The words of all subjects.
        words: &'a Vocabulary,
        /// What the policy says to every route.
        terms: &'a Terms,
        /// When the event occurred.
        occurred_at: Option<Timestamp>,
        /// The deadlines of the holds already begun.
        deadlines: Deadlines,
        /// The subjects the record names.
        identities: &'a Identities,
        /// What the event itself says of consent; asked only where that matters.
        stamp: &'a dyn Fn() -> Said<'a>,
    },
}

/// What became of a record at one route.
#[derive(Debug)]
pub enum Judged<'batch, R> {
    /// It may go on.
    Permitted(Permitted<'batch, R>),
    /// It waits.
    Held {
        /// The record.
        record: R,
        /// Why.
        reason: Reason,
        /// Until then.
        until: Timestamp,
    },
    /// It may not go on.
    Dropped {
        /// The record.
        record: R,
        /// Why.
        reason: Reason,
    },
}

/// On what a permit stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Grounds {
    /// The person permits it.
    Consent {
        /// Up to this level.
        level: u8,
        /// For these of the route's purposes: bit n for the n-th.
        purposes: u64,
    },
    /// The route requires nothing.
    Exempt {
        /// Fields above this level are reduced.
        level: Option<u8>,
    },
    /// It is a deletion.
    Deletion,
}

/// A record that may go on, once its fields are done.
#[derive(Debug)]
pub struct Permitted<'batch, R> {
    record: R,
    grounds: Grounds,
    batch: PhantomData<&'batch Batch>,
}

/// A record that may be handed to a sink.
#[derive(Debug)]
pub struct Cleared<'batch, R> {
    record: R,
    grounds: Grounds,
    batch: PhantomData<&'batch Batch>,
}

/// Decides one record for one route.
pub fn judge<'batch, R>(batch: &'batch Batch, record: R, question: Question<'_>) -> Judged<'batch, R> {
    let grounds = match question {
        Question::Nothing { level } => Grounds::Exempt { level },
        Question::Deletion => Grounds::Deletion,
        Question::Consent { matcher, words, terms, occurred_at, deadlines, identities, stamp } => {
            let moment = Moment { now: batch.now, occurred_at, deadlines };
            match decide(matcher, words, terms, moment, identities, stamp) {
                Decided::Permit { level, purposes } => Grounds::Consent { level, purposes },
                Decided::Hold { reason, until } => return Judged::Held { record, reason, until },
                Decided::Drop(reason) => return Judged::Dropped { record, reason },
            }
        }
    };
    Judged::Permitted(Permitted { record, grounds, batch: PhantomData })
}

impl<'batch, R> Permitted<'batch, R> {
    /// On what it stands.
    pub const fn grounds(&self) -> Grounds {
        self.grounds
    }

    /// Carries out the field actions; where one cannot be, the error says so and nothing is cleared.
    pub fn clear<T, E>(
        self,
        reduce: impl FnOnce(R, Grounds) -> Result<T, E>,
    ) -> Result<Cleared<'batch, T>, E> {
        let record = reduce(self.record, self.grounds)?;
        Ok(Cleared { record, grounds: self.grounds, batch: PhantomData })
    }
}

impl<R> Cleared<'_, R> {
    /// On what it stands.
    pub const fn grounds(&self) -> Grounds {
        self.grounds
    }

    /// The record as a sink gets it.
    pub const fn record(&self) -> &R {
        &self.record
    }
}
