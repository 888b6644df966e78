//! What a decision is made of, and what it can come to.

use jiff::tz::TimeZone;

use super::deadlines::Deadlines;
use super::identity::Identities;
use super::matching::{Matcher, Requirement};
use super::reason::Reason;
use super::stamp::Said;
use super::vocabulary::Vocabulary;
use crate::time::Timestamp;

/// What the policy says to every route.
#[derive(Clone, Debug)]
pub struct Terms {
    /// Whether `signals.gpc` refuses delivery to third parties.
    pub honour_gpc: bool,
    /// How far clocks may differ, in milliseconds.
    pub clock_skew_ms: i64,
    /// The zones in which a window must be open where a subject has none.
    pub assume_zones: Vec<TimeZone>,
    /// Whether every identity present must permit, or the first one.
    pub match_all: bool,
}

/// When the decision is made, and when the event occurred.
#[derive(Clone, Copy, Debug)]
pub struct Moment {
    /// Now.
    pub now: Timestamp,
    /// The earlier of the event's own time and the record's timestamp; `None`: nobody knows.
    pub occurred_at: Option<Timestamp>,
    /// The deadlines of the holds already begun: none for a record that has just come.
    pub deadlines: Deadlines,
}

/// What was decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decided {
    /// The person permits it.
    Permit {
        /// The most intimate level that may pass.
        level: u8,
        /// Which of the requirement's purposes permit: bit n for the n-th.
        purposes: u64,
    },
    /// It waits.
    Hold {
        /// For this reason.
        reason: Reason,
        /// Until then.
        until: Timestamp,
    },
    /// The person does not permit it.
    Drop(Reason),
}

/// Everything a decision is made of.
pub(super) struct Ask<'a> {
    pub matcher: &'a Matcher,
    pub words: &'a Vocabulary,
    pub terms: &'a Terms,
    pub moment: Moment,
    pub identities: &'a Identities,
    /// What the event itself says of consent; read only where the requirement wants a stamp.
    pub stamp: &'a dyn Fn() -> Said<'a>,
    /// Which of the requirement's purposes are asked for: bit n for the n-th.
    pub purposes: u64,
}

impl<'a> Ask<'a> {
    /// The route's requirement.
    pub fn requirement(&self) -> &'a Requirement {
        self.matcher.requirement()
    }

    /// Step 6: a reason that the route lets wait, until its time runs out.
    pub fn or_hold(&self, reason: Reason) -> Decided {
        let hold = &self.requirement().hold;
        let pending =
            reason == Reason::Unconfirmed || (reason == Reason::Unanswered && !self.requirement().both);
        let unknown = reason == Reason::UnknownSubject || reason == Reason::NoConsent;
        let pending_ms = hold.pending_ms.filter(|_| pending);
        let wait_ms = pending_ms.or(hold.unknown_ms.filter(|_| unknown));
        let Some(ms) = wait_ms else { return Decided::Drop(reason) };
        let now = self.moment.now;
        match self.moment.deadlines.of(reason) {
            Some(until) if until <= now => Decided::Drop(Reason::HoldExpired),
            Some(until) => Decided::Hold { reason, until },
            None => Decided::Hold { reason, until: now.plus(ms) },
        }
    }
}
