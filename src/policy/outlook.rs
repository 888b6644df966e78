//! What would become, now, of an event about one person: each route's decision, without an event.
//!
//! The event is made up: it occurs now, names this person and nobody else, is stamped with whatever consent a route
//! requires of its stamp, and meets whatever `when` asks. It is
//! decided by the function that decides every record; what it would hold is not known, so that of its fields only
//! the labels are named that would be reduced.

use std::sync::Arc;

use serde::Serialize;

use crate::consent::{
    Batch, Deadlines, End, Grounds, Identities, Judged, Matcher, Question, Reason, Requirement, Said,
    Vocabulary, judge,
};

use super::rules::{Needs, Route, Rules};
use crate::time::Timestamp;

/// What one route would do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Outlook {
    /// The pipeline.
    pub pipeline: String,
    /// The route.
    pub route: String,
    /// `forwarded`, `dropped` or `held`; `not_asked` where the pipeline names no subject of this type.
    pub end: &'static str,
    /// Why.
    pub reason: Option<Reason>,
    /// The same for people.
    pub why: &'static str,
    /// When a hold opens or runs out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub until: Option<String>,
    /// The permitted level.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub level: Option<String>,
    /// The purposes that permit.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub purposes: Vec<String>,
    /// The labels above the permitted level.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub reduces: Vec<String>,
    /// Whether the route takes only events that meet its `when`, or that are stamped with consent.
    pub conditional: bool,
}

/// What the routes of one pipeline would do about an event that names only this identity.
pub fn outlook(
    rules: &Rules,
    words: &Vocabulary,
    kind: &str,
    identities: &Identities,
    now: Timestamp,
) -> Vec<Outlook> {
    let named = rules.selectors.iter().any(|selector| selector.kind == kind);
    let (batch, one) = (Batch::open(now), Outlook::of);
    let each = rules.routes.iter().enumerate().map(|(index, route)| match &route.needs {
        Needs::Nothing(level) => {
            let judged = judge(&batch, (), Question::Nothing { level: *level });
            one(rules, index, route, Some(&judged))
        }
        Needs::Consent(_) if !named => one(rules, index, route, None),
        Needs::Consent(requirement) => {
            let unstamped = Requirement { stamp: None, ..Requirement::clone(requirement) };
            let mut matcher = Matcher::new(Arc::new(unstamped));
            matcher.learn(words);
            let (terms, occurred_at, matcher) = (&rules.terms, Some(now), &matcher);
            let (deadlines, stamp) = (Deadlines::default(), &|| Said::Missing);
            let question =
                Question::Consent { matcher, words, terms, occurred_at, deadlines, identities, stamp };
            let judged = judge(&batch, (), question);
            one(rules, index, route, Some(&judged))
        }
    });
    each.collect()
}

impl Outlook {
    fn of(rules: &Rules, index: usize, route: &Route, judged: Option<&Judged<'_, ()>>) -> Self {
        let mut outlook = Self {
            pipeline: rules.name.clone(),
            route: route.name.clone(),
            end: "not_asked",
            reason: None,
            why: "the pipeline names no subject of this type",
            until: None,
            level: None,
            purposes: Vec::new(),
            reduces: Vec::new(),
            conditional: route.when.is_some() || route.stamp.is_some(),
        };
        match judged {
            None => {}
            Some(Judged::Dropped { reason, .. }) => outlook.ends(End::Dropped, *reason),
            Some(Judged::Held { reason, until, .. }) => {
                outlook.ends(End::Held, *reason);
                outlook.until = Some(until.to_string());
            }
            Some(Judged::Permitted(permitted)) => outlook.permitted(rules, index, permitted.grounds()),
        }
        outlook
    }

    fn ends(&mut self, end: End, reason: Reason) {
        (self.end, self.reason, self.why) = (end.word(), Some(reason), reason.explanation());
    }

    fn permitted(&mut self, rules: &Rules, index: usize, grounds: Grounds) {
        let level = match grounds {
            Grounds::Consent { level, purposes } => {
                self.ends(End::Forwarded, Reason::Permitted);
                self.purposes = rules.purposes(index, purposes);
                Some(level)
            }
            Grounds::Exempt { level } => {
                self.ends(End::Forwarded, Reason::Exempt);
                level
            }
            Grounds::Deletion => None,
        };
        let Some(level) = level else { return };
        self.level = rules.levels.get(usize::from(level)).cloned();
        let above = rules.labels.iter().filter(|label| label.level > level);
        self.reduces = above.map(|label| label.written.clone()).collect();
    }
}
