//! A record about several people: each is decided by themselves, and only those who permit are still in it.
//!
//! What is asked about comes in pieces, what stands around the people and each of them, and [`Kept`] is all that
//! comes out. It holds nobody but those whom the decision has let pass, each with their own level, and it can be
//! made here alone. So whoever makes what a sink gets out of a `Kept` has no way to anybody else: there is no list
//! of permits beside the record that could be read wrongly, or not at all.
//!
//! ```compile_fail,E0451
//! use consentry::consent::Kept;
//! let _ = Kept { around: "[]", elements: vec![("somebody", 3)], is_part: false };
//! ```
//!
//! Nobody in it is held: a record that goes on without somebody is not sent again for them.

use super::{Batch, Grounds, Judged, Permitted};
use crate::consent::ask::{Decided, Moment, Terms};
use crate::consent::deadlines::Deadlines;
use crate::consent::decide::decide;
use crate::consent::identity::Identities;
use crate::consent::matching::Matcher;
use crate::consent::reason::Reason;
use crate::consent::stamp::Said;
use crate::consent::vocabulary::Vocabulary;
use crate::time::Timestamp;
use std::marker::PhantomData;

/// What is asked about each person of a record at one route.
pub struct Each<'a> {
    /// The route's requirement. It learns the shapes that each person uses once that person is looked up.
    pub matcher: &'a mut Matcher,
    /// The words of all subjects.
    pub words: &'a Vocabulary,
    /// What the policy says to every route.
    pub terms: &'a Terms,
    /// When the event occurred, which is the same for all of them.
    pub occurred_at: Option<Timestamp>,
    /// A buffer: one person at a time is in it, so that no record takes more memory than its largest person.
    pub identities: &'a mut Identities,
}

/// What of a record may go on: all that stands around the people, and those who permit.
#[derive(Debug)]
pub struct Kept<A, E> {
    around: A,
    elements: Vec<(E, u8)>,
    is_part: bool,
}

impl<A, E> Kept<A, E> {
    /// What stands around them.
    pub const fn around(&self) -> &A {
        &self.around
    }

    /// Those who permit, in the record's order, each with the most intimate level that may pass.
    pub fn elements(&self) -> &[(E, u8)] {
        &self.elements
    }

    /// Whether somebody was taken out.
    pub const fn is_part(&self) -> bool {
        self.is_part
    }
}

/// Decides each person of a record for one route. `look_up` fills in what is known of a person.
///
/// Permitted if somebody is left. The level of the grounds is the lowest of theirs, and the purposes are those
/// that permit for each of them: of no other purpose could it be said that the record was forwarded for it.
/// Dropped, with the first person's reason, if nobody is; `no_consent` if there was nobody.
///
/// # Errors
/// What `look_up` returns, as soon as it does.
pub fn judge_each<'batch, A, E, X>(
    batch: &'batch Batch,
    around: A,
    elements: impl IntoIterator<Item = E>,
    question: Each<'_>,
    mut look_up: impl FnMut(&E, &mut Identities) -> Result<(), X>,
) -> Result<Judged<'batch, Kept<A, E>>, X> {
    let Each { matcher, words, terms, occurred_at, identities } = question;
    // Nobody is held here, and a stamp says what one person chose: none is read for several.
    let moment = Moment { now: batch.now, occurred_at, deadlines: Deadlines::default() };
    let mut kept = Kept { around, elements: Vec::new(), is_part: false };
    let (mut lowest, mut common, mut first) = (u8::MAX, u64::MAX, None);
    for element in elements {
        identities.clear();
        look_up(&element, identities)?;
        // Only now: what was looked up may have brought shapes that were not there before.
        matcher.learn(words);
        match decide(matcher, words, terms, moment, identities, &|| Said::Missing) {
            Decided::Permit { level, purposes } => {
                lowest = lowest.min(level);
                common &= purposes;
                kept.elements.push((element, level));
            }
            Decided::Hold { reason, .. } | Decided::Drop(reason) => {
                first.get_or_insert(reason);
                kept.is_part = true;
            }
        }
    }
    if kept.elements.is_empty() {
        return Ok(Judged::Dropped { record: kept, reason: first.unwrap_or(Reason::NoConsent) });
    }
    let grounds = Grounds::Consent { level: lowest, purposes: common };
    Ok(Judged::Permitted(Permitted { record: kept, grounds, batch: PhantomData }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::consent::{Basis, Grant, Hold, Purpose, Requirement, Shape, Status, Voice};
    use std::sync::Arc;

    /// A requirement of any of two purposes, which holds for the unknown.
    fn requirement() -> Matcher {
        let purpose =
            |name: &str| Purpose { name: name.to_owned(), max_age_ms: None, double: false, level: 1 };
        Matcher::new(Arc::new(Requirement {
            purposes: vec![purpose("a"), purpose("b")],
            all: false,
            channel: None,
            recipient: "first_party".to_owned(),
            bases: Basis::Consent.bit(),
            both: false,
            hold: Hold { unknown_ms: Some(1), ..Hold::default() },
            windows: None,
            stamp: None,
            levels: ["low", "mid", "high"].map(str::to_owned).into(),
        }))
    }

    /// Judges people given as `PURPOSE:LEVEL …` each; `-` is nobody known, `!` who withdrew.
    fn judge<'b>(batch: &'b Batch, people: &[&'static str]) -> Judged<'b, Kept<(), &'static str>> {
        let words = Vocabulary::default();
        let terms = Terms { honour_gpc: true, clock_skew_ms: 0, assume_zones: Vec::new(), match_all: false };
        let (mut matcher, mut identities) = (requirement(), Identities::default());
        let question = Each {
            matcher: &mut matcher,
            words: &words,
            terms: &terms,
            occurred_at: None,
            identities: &mut identities,
        };
        let look_up = |person: &&'static str, identities: &mut Identities| {
            if *person == "-" {
                identities.unknown();
                return Ok::<_, ()>(());
            }
            let grant = |text: &str| {
                let (purpose, level) = text.split_once(':').unwrap_or(("*", ""));
                let status = if text == "!" { Status::Withdrawn } else { Status::Given };
                let (channel, recipient) = Default::default();
                let (purpose, level) = (purpose.into(), level.into());
                let shape = Shape { purpose, channel, recipient, level, status, basis: Basis::Consent };
                let shape = words.shape(&shape).unwrap();
                Grant { shape, given_at: None, confirmed_at: None, valid_until: None }
            };
            identities.known(|identities| {
                identities.voice(Voice::at(0, 0), |_, grants, _| {
                    grants.extend(person.split(' ').map(grant));
                    Some(())
                });
            });
            Ok(())
        };
        judge_each(batch, (), people.iter().copied(), question, look_up).unwrap()
    }

    fn kept<'b>(judged: Judged<'b, Kept<(), &'static str>>) -> (Vec<(&'static str, u8)>, Grounds, bool) {
        let Judged::Permitted(permitted) = judged else { panic!("{judged:?}") };
        (permitted.record.elements, permitted.grounds, permitted.record.is_part)
    }

    fn dropped(judged: Judged<'_, Kept<(), &'static str>>) -> Reason {
        let Judged::Dropped { record, reason } = judged else { panic!("{judged:?}") };
        assert!(record.elements.is_empty());
        reason
    }

    #[test]
    fn who_does_not_permit_is_not_in_it() {
        let batch = Batch::open(Timestamp(0));
        let (elements, grounds, is_part) = kept(judge(&batch, &["a:high", "-", "a:mid", "!"]));
        assert_eq!(elements, [("a:high", 2), ("a:mid", 1)]);
        assert_eq!(grounds, Grounds::Consent { level: 1, purposes: 1 });
        assert!(is_part);
        assert!(!kept(judge(&batch, &["a:high"])).2);
    }

    #[test]
    fn the_purposes_are_those_of_all_who_are_left() {
        let batch = Batch::open(Timestamp(0));
        let purposes = |people: &[&'static str]| match kept(judge(&batch, people)).1 {
            Grounds::Consent { purposes, .. } => purposes,
            other => panic!("{other:?}"),
        };
        assert_eq!(purposes(&["a:low b:low", "-", "b:low"]), 0b10);
        assert_eq!(purposes(&["a:low", "b:low"]), 0);
        assert_eq!(purposes(&["a:low b:low"]), 0b11);
    }

    #[test]
    fn nobody_left_is_dropped_for_the_first_ones_reason_and_never_held() {
        let batch = Batch::open(Timestamp(0));
        assert_eq!(dropped(judge(&batch, &["-", "!"])), Reason::UnknownSubject, "though the route holds it");
        assert_eq!(dropped(judge(&batch, &["!", "-"])), Reason::Withdrawn);
        assert_eq!(dropped(judge(&batch, &[])), Reason::NoConsent);
    }

    #[test]
    fn who_cannot_be_looked_up_stops_it_all() {
        let batch = Batch::open(Timestamp(0));
        let (words, mut identities) = (Vocabulary::default(), Identities::default());
        let terms = Terms { honour_gpc: true, clock_skew_ms: 0, assume_zones: Vec::new(), match_all: false };
        let (matcher, identities) = (&mut requirement(), &mut identities);
        let question = Each { matcher, words: &words, terms: &terms, occurred_at: None, identities };
        let stopped = judge_each(&batch, (), [1, 2], question, |person, _| Err::<(), _>(*person));
        assert!(matches!(stopped, Err(1)));
    }
}
