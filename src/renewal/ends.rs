//! Where a person's grants end, and what forbids to ask about it.

use std::sync::Arc;

use super::settings::AskSettings;
use crate::consent::{Basis, Full, Hold, Match, Purpose, Requirement, Shape, Status, Vocabulary, fold};
use crate::policy::settings::PolicySettings;
use crate::time::Timestamp;
use crate::wire::change::{Change, GrantLine};

/// Why a grant comes to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Why {
    /// `valid_until`.
    Expires,
    /// The purpose's `max_age`.
    NeedsRenewal,
}

impl Why {
    /// The word in a message.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Expires => "expires",
            Self::NeedsRenewal => "needs_renewal",
        }
    }
}

/// The end of what a grant permits for one purpose, and when to ask.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Due {
    /// The purpose: an index into the policy's.
    pub purpose: usize,
    /// The number of the grant's words.
    pub shape: u32,
    /// Why it ends.
    pub why: Why,
    /// When it ends.
    pub at: Timestamp,
    /// From when on it is to be asked about.
    pub ask_at: Timestamp,
    /// The first opt-in.
    pub given_at: Option<Timestamp>,
    /// The confirmation or the last renewal.
    pub confirmed_at: Option<Timestamp>,
}

/// A refusal, and when it was last said.
pub(super) type Refused = (u32, Timestamp);

/// What a policy says of asking again, and the words of all grants that may be asked about.
#[derive(Debug)]
pub struct Asking {
    purposes: Vec<Purpose>,
    levels: Arc<[String]>,
    honour_gpc: bool,
    settings: AskSettings,
    words: Vocabulary,
}

impl Asking {
    /// By this policy.
    pub fn new(policy: &PolicySettings, settings: AskSettings) -> Self {
        let purpose = |purpose: &'_ crate::policy::settings::PurposeSettings| Purpose {
            name: purpose.name.clone(),
            max_age_ms: purpose.max_age_ms,
            double: purpose.double,
            level: u8::try_from(purpose.level).unwrap_or(0),
        };
        Self {
            purposes: policy.purposes.iter().map(purpose).collect(),
            levels: policy.levels.clone().into(),
            honour_gpc: policy.honour_gpc,
            settings,
            words: Vocabulary::default(),
        }
    }

    /// How long nobody is asked after they refused, in milliseconds.
    pub(super) const fn quiet_ms(&self) -> i64 {
        self.settings.quiet_ms
    }

    /// A purpose's name.
    pub(super) fn purpose(&self, index: usize) -> &str {
        self.purposes.get(index).map_or("", |purpose| &purpose.name)
    }

    /// The words with this number.
    pub(super) fn shape(&self, number: u32) -> Option<&Shape> {
        self.words.shape_at(number)
    }

    /// The level that a grant's words come to.
    pub(super) fn level(&self, index: usize, shape: &Shape) -> &str {
        let Some(purpose) = self.purposes.get(index) else { return "" };
        match self.requirement(&shape.channel, &shape.recipient, shape.basis).compare(purpose, shape) {
            Match::Permits { level, .. } => self.levels.get(usize::from(level)).map_or("", String::as_str),
            Match::Nothing
            | Match::Refuses { .. }
            | Match::Requested
            | Match::OtherChannel
            | Match::OtherRecipient => "",
        }
    }

    /// The refusals in a record that came `at`, each with the time that its silence counts from. Those of purposes
    /// that the policy does not name say nothing to anybody here.
    pub(super) fn refusals(&self, change: &Change, at: Timestamp) -> Result<Vec<Refused>, Full> {
        let mut found = Vec::new();
        for grant in change.grants.iter().filter(|grant| refuses(grant.shape.status)) {
            let named = fold(&grant.shape.purpose);
            if named == "*" || self.purposes.iter().any(|purpose| fold(&purpose.name) == named) {
                let said = latest(grant).map_or(at, |latest| latest.max(at));
                found.push((self.words.shape(&grant.shape)?, said));
            }
        }
        if change.gpc && self.honour_gpc {
            found.push((self.words.shape(&opted_out())?, at));
        }
        Ok(found)
    }

    /// The ends in a record of somebody who refused `refused`, now or before; `standing` says so of those that the
    /// record itself holds. What may never be asked about is not here.
    pub(super) fn dues(
        &self,
        change: &Change,
        standing: &[Refused],
        refused: &[Refused],
    ) -> Result<Vec<Due>, Full> {
        let mut dues = Vec::new();
        if change.restricted {
            return Ok(dues);
        }
        for (index, purpose) in self.purposes.iter().enumerate() {
            for (number, grant) in change.grants.iter().enumerate() {
                let Some((at, why)) = self.last_end(purpose, &change.grants, number) else { continue };
                let applies = |(shape, _): &&Refused| self.is_refused(purpose, &grant.shape, *shape);
                if standing.iter().any(|one| applies(&one)) {
                    continue;
                }
                let quiet = refused.iter().filter(applies).map(|(_, said)| said.plus(self.quiet_ms())).max();
                let ask_at =
                    at.plus(-self.settings.before_ms).max(latest(grant).unwrap_or(Timestamp(i64::MIN)));
                let ask_at = quiet.map_or(ask_at, |quiet| quiet.max(ask_at));
                if ask_at < at {
                    let shape = self.words.shape(&grant.shape)?;
                    let (given_at, confirmed_at) = (grant.given_at, grant.confirmed_at);
                    dues.push(Due { purpose: index, shape, why, at, ask_at, given_at, confirmed_at });
                }
            }
        }
        Ok(dues)
    }

    /// The end of the grant with this number for a purpose, unless it does not permit, has no end, or another one
    /// that covers all it permits ends later, or as late and stands before it.
    fn last_end(&self, purpose: &Purpose, grants: &[GrantLine], number: usize) -> Option<(Timestamp, Why)> {
        let grant = grants.get(number)?;
        let Shape { channel, recipient, basis, .. } = &grant.shape;
        let requirement = self.requirement(channel, recipient, *basis);
        let permits = |grant: &GrantLine| {
            matches!(requirement.compare(purpose, &grant.shape), Match::Permits { unconfirmed: false, .. })
        };
        if *basis == Basis::Other || !permits(grant) {
            return None;
        }
        let own = end(purpose, grant)?;
        let others = grants.iter().enumerate().filter(|(at, other)| *at != number && permits(other));
        let is_covered = others.into_iter().any(|(at, other)| match end(purpose, other) {
            None => true,
            Some((end, _)) => end > own.0 || (end == own.0 && at < number),
        });
        (!is_covered && own.0 > Timestamp(i64::MIN)).then_some(own)
    }

    /// Whether a refusal applies to what a grant with these words permits for a purpose. Of a wildcard any part
    /// counts.
    fn is_refused(&self, purpose: &Purpose, granted: &Shape, refusal: u32) -> bool {
        // A number that nobody gave out cannot be here; if it were, nobody is asked.
        let Some(refusal) = self.words.shape_at(refusal) else { return true };
        let refused_channel = refusal.channel.trim();
        let channel = match &*granted.channel {
            "*" if !refused_channel.is_empty() => refused_channel,
            own => own,
        };
        let refused_recipient = fold(&refusal.recipient);
        let recipient = match granted.recipient.strip_suffix("*") {
            Some(class) if refused_recipient.starts_with(class) => &refused_recipient,
            Some(_) | None => &*granted.recipient,
        };
        let requirement = self.requirement(channel, recipient, granted.basis);
        matches!(requirement.compare(purpose, refusal), Match::Refuses { .. })
    }

    /// What a route would require for which exactly these words are made.
    fn requirement(&self, channel: &str, recipient: &str, basis: Basis) -> Requirement {
        let recipient = if recipient.is_empty() { "first_party" } else { recipient };
        Requirement {
            purposes: Vec::new(),
            all: true,
            channel: (!channel.is_empty()).then(|| channel.to_owned()),
            recipient: recipient.to_owned(),
            bases: basis.bit(),
            both: false,
            hold: Hold::default(),
            windows: None,
            stamp: None,
            levels: Arc::clone(&self.levels),
        }
    }
}

/// When a grant ends for a purpose that it permits; `None`: never. One whose age nobody knows has ended long ago.
fn end(purpose: &Purpose, grant: &GrantLine) -> Option<(Timestamp, Why)> {
    let expires = grant.valid_until.map(|until| (until, Why::Expires));
    let ages = purpose.max_age_ms.map(|age_ms| {
        let end = latest(grant).map_or(Timestamp(i64::MIN), |latest| latest.plus(age_ms));
        (end, Why::NeedsRenewal)
    });
    expires.into_iter().chain(ages).min()
}

fn latest(grant: &GrantLine) -> Option<Timestamp> {
    grant.given_at.max(grant.confirmed_at)
}

const fn refuses(status: Status) -> bool {
    match status {
        Status::Refused
        | Status::Withdrawn
        | Status::Revoked
        | Status::Objected
        | Status::Invalidated
        | Status::Unrecognized => true,
        Status::Requested | Status::Given | Status::Confirmed => false,
    }
}

/// What Global Privacy Control comes to: delivery to any third party is refused, for every purpose.
fn opted_out() -> Shape {
    Shape {
        purpose: "*".into(),
        channel: "".into(),
        recipient: "third_party".into(),
        level: "".into(),
        status: Status::Withdrawn,
        basis: Basis::Consent,
    }
}
