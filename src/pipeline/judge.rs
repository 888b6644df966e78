//! One record, every route: what is checked before deciding, the decision, and the fields.
//!
//! Pure but for its buffers. `run` and `explain` both come through here and nowhere else.

mod elements;
mod stamp;

use std::sync::Arc;

use smallvec::SmallVec;

use super::refusal::Misplaced;
use super::subject::{self, Named};
use crate::cache::View;
use crate::consent::{
    Batch, Cleared, Deadlines, Grounds, Identities, Judged, Matcher, Question, Reason, judge as decide,
};
use crate::policy::rules::{Needs, Route, Rules};
use crate::policy::when::Seen;
use crate::record::Record;
use crate::time::Timestamp;
use crate::transform::{Failed, Outgoing, Reducer};
use crate::wire::json::{Fault, Slots, scan};
use elements::Elements;
use stamp::said;

/// What became of one record at one route.
#[derive(Debug)]
#[allow(
    clippy::large_enum_variant,
    reason = "one lives at a time, and a box would be an allocation a record"
)]
pub enum Outcome<'batch, 'm> {
    /// It goes to the route's sink.
    Forwarded {
        /// What the sink gets.
        cleared: Cleared<'batch, Outgoing<'m>>,
        /// `permitted`, `reduced` or `exempt`.
        reason: Reason,
    },
    /// The person does not permit it.
    Dropped(Reason),
    /// It waits.
    Held {
        /// Why.
        reason: Reason,
        /// Until then.
        until: Timestamp,
    },
    /// It cannot be decided, or not be reduced.
    Quarantined(Reason),
    /// It does not concern the route.
    NotRouted,
}

/// Decides the records of one pipeline. One a worker: its buffers are reused.
#[derive(Debug)]
pub struct Judge<'r> {
    rules: &'r Rules,
    max_record_bytes: usize,
    max_depth: usize,
    matchers: Vec<Option<Matcher>>,
    reducer: Reducer<'r>,
    identities: Identities,
}

/// A record that passed what is checked before deciding.
#[derive(Debug)]
pub struct Read<'a, 'm> {
    record: &'a Record<'m>,
    text: Option<&'m str>,
    slots: Slots<'m>,
    named: Result<SmallVec<[Named; 1]>, Reason>,
    /// The people it is about, each by themselves, where the pipeline has `elements`.
    elements: Option<Box<Elements<'m>>>,
}

impl Read<'_, '_> {
    /// Whom it names, as far as that can be said.
    pub fn named(&self) -> &[Named] {
        self.named.as_deref().unwrap_or_default()
    }
}

/// What is found out about a record only when a route asks, and then kept for the others.
#[derive(Default)]
struct Asked {
    subject: Option<Result<Option<Timestamp>, Unresolved>>,
    seen: Option<Seen>,
    deadlines: Deadlines,
}

/// Why it is not known what a record's subjects permit.
#[derive(Clone, Copy, Debug)]
enum Unresolved {
    /// The record is to be quarantined.
    Faulty(Reason),
    /// It is known on this partition of the consent topic, and the record stands on another.
    Elsewhere(i32),
}

impl<'r> Judge<'r> {
    /// For the pipeline with these rules.
    pub fn new(rules: &'r Rules, max_record_bytes: usize, max_depth: usize) -> Self {
        let matcher = |route: &Route| match &route.needs {
            Needs::Consent(requirement) => Some(Matcher::new(Arc::clone(requirement))),
            Needs::Nothing(_) => None,
        };
        Self {
            matchers: rules.routes.iter().map(matcher).collect(),
            reducer: Reducer::new(rules),
            rules,
            max_record_bytes,
            max_depth,
            identities: Identities::default(),
        }
    }

    /// The rules it judges by.
    pub const fn rules(&self) -> &'r Rules {
        self.rules
    }

    /// The partition and offset of the consent record that the last record decided was decided by. A record about
    /// several people has none: there is no one record that it went by.
    pub fn consent_offset(&self) -> Option<(i32, i64)> {
        self.identities.consent_offset().filter(|_| self.rules.elements.is_none())
    }

    /// Judges one record and gives what became of it at each route, in the order of the configuration.
    ///
    /// # Errors
    /// It cannot be decided where it stands; what was given of it so far must not be done. Only where a cache a
    /// partition is held.
    pub fn record<'batch, 'm>(
        &mut self,
        batch: &'batch Batch,
        view: &View<'_>,
        record: &Record<'m>,
        each: impl FnMut(usize, Outcome<'batch, 'm>, Option<(i32, i64)>),
    ) -> Result<(), Misplaced> {
        let read = self.read(view, record);
        self.decide(batch, view, &read, each)
    }

    /// As [`Judge::record`], of a record that was read before.
    pub fn decide<'batch, 'm>(
        &mut self,
        batch: &'batch Batch,
        view: &View<'_>,
        read: &Result<Read<'_, 'm>, Reason>,
        mut each: impl FnMut(usize, Outcome<'batch, 'm>, Option<(i32, i64)>),
    ) -> Result<(), Misplaced> {
        let rules = self.rules;
        self.identities.clear();
        match read {
            Err(reason) => {
                for index in 0..rules.routes.len() {
                    each(index, Outcome::Quarantined(*reason), None);
                }
            }
            Ok(read) => {
                let mut asked = Asked::default();
                for (index, route) in rules.routes.iter().enumerate() {
                    let outcome = self.route(batch, view, read, index, route, &mut asked)?;
                    each(index, outcome, self.consent_offset());
                }
            }
        }
        Ok(())
    }

    /// Judges a record for one route again: who it names is looked up anew, and `deadlines` have begun.
    ///
    /// # Errors
    /// As [`Judge::record`].
    pub fn again<'batch, 'm>(
        &mut self,
        batch: &'batch Batch,
        view: &View<'_>,
        read: &Result<Read<'_, 'm>, Reason>,
        index: usize,
        deadlines: Deadlines,
    ) -> Result<Outcome<'batch, 'm>, Misplaced> {
        let rules = self.rules;
        self.identities.clear();
        match (read, rules.routes.get(index)) {
            (Err(reason), _) => Ok(Outcome::Quarantined(*reason)),
            (Ok(read), Some(route)) => {
                let mut asked = Asked { deadlines, ..Asked::default() };
                self.route(batch, view, read, index, route, &mut asked)
            }
            (Ok(_), None) => Ok(Outcome::Dropped(Reason::NoConsent)),
        }
    }

    /// Reads a record: what is checked of it as a whole, and whom it names.
    ///
    /// # Errors
    /// Why it must be quarantined.
    pub fn read<'a, 'm>(&self, view: &View<'_>, record: &'a Record<'m>) -> Result<Read<'a, 'm>, Reason> {
        if record.size() > self.max_record_bytes {
            return Err(Reason::TooLarge);
        }
        if let (Some(array), Some(value)) = (self.rules.elements, record.value) {
            return elements::read(self.rules, array, record, value, self.max_depth, view);
        }
        let (text, slots) = match record.value {
            Some(value) => {
                let scanned = scan(value, &self.rules.tree, self.rules.slots, self.max_depth);
                let (text, slots) = scanned.map_err(reason_of)?;
                (Some(text), slots)
            }
            None if record.is_deletion() => (None, Slots::new()),
            None => return Err(Reason::Malformed),
        };
        if subject::is_ambiguous(self.rules, record) {
            return Err(Reason::Ambiguous);
        }
        let named = subject::named(self.rules, record, &slots, view);
        Ok(Read { record, text, slots, named, elements: None })
    }

    fn route<'batch, 'm>(
        &mut self,
        batch: &'batch Batch,
        view: &View<'_>,
        read: &Read<'_, 'm>,
        index: usize,
        route: &Route,
        asked: &mut Asked,
    ) -> Result<Outcome<'batch, 'm>, Misplaced> {
        if read.record.is_deletion() && route.pass_tombstones {
            return Ok(self.clear_whole(decide(batch, read, Question::Deletion), route));
        }
        if let Some(when) = &route.when {
            let seen = asked.seen.get_or_insert_with(|| Seen::new(read.record, read.text));
            match when.holds(seen) {
                Some(true) => {}
                Some(false) => return Ok(Outcome::NotRouted),
                None => return Ok(Outcome::Quarantined(Reason::WhenFailed)),
            }
        }
        if let Needs::Nothing(level) = route.needs {
            return Ok(self.clear_whole(decide(batch, read, Question::Nothing { level }), route));
        }
        let occurred_at = match *asked.subject.get_or_insert_with(|| self.resolve(view, read)) {
            Ok(occurred_at) => occurred_at,
            Err(Unresolved::Faulty(reason)) => return Ok(Outcome::Quarantined(reason)),
            Err(Unresolved::Elsewhere(own)) => {
                return Err(Misplaced::of(read.record, own, view.partitions().unwrap_or_default()));
            }
        };
        if self.rules.elements.is_some() {
            return self.several(batch, view, read, (index, route), occurred_at);
        }
        let words = view.cache().words();
        if let Some(Some(matcher)) = self.matchers.get_mut(index) {
            matcher.learn(words);
        }
        let Some(Some(matcher)) = self.matchers.get(index) else {
            return Ok(Outcome::Dropped(Reason::NoConsent));
        };
        let (terms, identities) = (&self.rules.terms, &self.identities);
        let (deadlines, stamp) = (asked.deadlines, || said(route.stamp.as_ref(), &read.slots));
        let stamp = &stamp;
        let question = Question::Consent { matcher, words, terms, occurred_at, deadlines, identities, stamp };
        Ok(self.clear_whole(decide(batch, read, question), route))
    }

    /// Looks up whom the record names, and says when its event occurred. Of several people each is looked up when
    /// they are decided.
    fn resolve(&mut self, view: &View<'_>, read: &Read<'_, '_>) -> Result<Option<Timestamp>, Unresolved> {
        let named = read.named.as_ref().map_err(|reason| Unresolved::Faulty(*reason))?;
        if self.rules.elements.is_none() {
            subject::look_up(named, read.record.partition, view, &mut self.identities)
                .map_err(Unresolved::Elsewhere)?;
        }
        subject::occurred_at(self.rules, read.record, &read.slots).map_err(Unresolved::Faulty)
    }

    fn clear_whole<'batch, 'm>(
        &self,
        judged: Judged<'batch, &Read<'_, 'm>>,
        route: &Route,
    ) -> Outcome<'batch, 'm> {
        clear(judged, |read, grounds| self.reducer.reduce(read.record, read.text, grounds, route.key))
    }
}

/// What becomes of what was judged, once `reduce` has done its fields.
fn clear<'batch, 'm, R>(
    judged: Judged<'batch, R>,
    reduce: impl FnOnce(R, Grounds) -> Result<Outgoing<'m>, Failed>,
) -> Outcome<'batch, 'm> {
    let permitted = match judged {
        Judged::Permitted(permitted) => permitted,
        Judged::Held { reason, until, .. } => return Outcome::Held { reason, until },
        Judged::Dropped { reason, .. } => return Outcome::Dropped(reason),
    };
    match permitted.clear(reduce) {
        Ok(cleared) => {
            let reason = match cleared.grounds() {
                Grounds::Consent { .. } if cleared.record().reduced => Reason::Reduced,
                Grounds::Consent { .. } => Reason::Permitted,
                Grounds::Exempt { .. } | Grounds::Deletion => Reason::Exempt,
            };
            Outcome::Forwarded { cleared, reason }
        }
        Err(_failed) => Outcome::Quarantined(Reason::TransformFailed),
    }
}

const fn reason_of(fault: Fault) -> Reason {
    match fault {
        Fault::Malformed => Reason::Malformed,
        Fault::TooDeep => Reason::TooDeep,
        Fault::Ambiguous => Reason::Ambiguous,
    }
}
