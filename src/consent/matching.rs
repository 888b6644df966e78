//! What a grant's words mean for a route: refusals are read broadly, permissions narrowly.
//!
//! A [`Matcher`] compares the words of each shape with a route's requirement once and keeps the answer
//! under the shape's number. Deciding a record then compares no text at all.

use std::sync::Arc;

use super::grant::{Shape, Status, fold};
use super::reason::Reason;
use super::stamp::Category;
use super::vocabulary::Vocabulary;
use super::window::Window;

/// What a route requires of a subject, with every name looked up.
#[derive(Clone, Debug)]
pub struct Requirement {
    /// At least one, 64 at most. A list that is empty denies.
    pub purposes: Vec<Purpose>,
    /// True: every purpose must be permitted. False: any one.
    pub all: bool,
    /// How the person is reached; `None`: not at all.
    pub channel: Option<String>,
    /// `first_party`, `processor:NAME` or `third_party:NAME`.
    pub recipient: String,
    /// The legal bases that count, as a set of [`super::Basis::bit`].
    pub bases: u8,
    /// Whether consent is asked of the event's time too.
    pub both: bool,
    /// Which verdicts wait.
    pub hold: Hold,
    /// The policy's contact windows for the channel.
    pub windows: Option<Vec<Window>>,
    /// The policy's levels, least intimate first.
    pub levels: Arc<[String]>,
    /// Where the event itself must carry consent: the categories of each purpose, in the order of `purposes`.
    pub stamp: Option<Vec<Vec<Category>>>,
}

/// A purpose as the policy defines it.
#[derive(Clone, Debug)]
pub struct Purpose {
    /// Its name, compared exactly with what permits.
    pub name: String,
    /// How long an opt-in holds, in milliseconds.
    pub max_age_ms: Option<i64>,
    /// Whether consent counts only once confirmed.
    pub double: bool,
    /// The level of a grant that names none.
    pub level: u8,
}

/// Which verdicts wait, and how long, in milliseconds.
#[derive(Clone, Copy, Debug, Default)]
pub struct Hold {
    /// `unconfirmed`, and `unanswered` where the event's time is not asked.
    pub pending_ms: Option<i64>,
    /// `unknown_subject` and `no_consent`.
    pub unknown_ms: Option<i64>,
    /// Outside a contact window, until it opens.
    pub contact_window: bool,
}

impl Requirement {
    /// Whether the recipient is a third party: delivery to it is selling or sharing.
    pub fn is_third_party(&self) -> bool {
        class(&self.recipient) == "third_party"
    }

    /// Whether a purpose can be permitted on no basis that withdrawing consent in general would end.
    pub fn is_essential(&self) -> bool {
        use super::grant::Basis::{Contract, LegalObligation, VitalInterest};
        self.bases & !(Contract.bit() | LegalObligation.bit() | VitalInterest.bit()) == 0
    }

    /// What `shape` says of `purpose` (semantics, section 3).
    pub fn compare(&self, purpose: &Purpose, shape: &Shape) -> Match {
        match shape.status {
            Status::Refused | Status::Withdrawn => self.refusal(purpose, shape, fold(&shape.purpose) == "*"),
            Status::Revoked | Status::Objected | Status::Invalidated | Status::Unrecognized => {
                self.refusal(purpose, shape, false)
            }
            Status::Requested | Status::Given | Status::Confirmed => self.permission(purpose, shape),
        }
    }

    fn refusal(&self, purpose: &Purpose, shape: &Shape, soft: bool) -> Match {
        let named = fold(&shape.purpose);
        let channel = fold(&shape.channel);
        let concerned = self.channel.as_deref().map(fold);
        let applies = (named == "*" || named == fold(&purpose.name))
            && (channel.is_empty() || channel == "*" || Some(channel) == concerned)
            && self.refuses_recipient(&fold(&shape.recipient));
        if !applies {
            return Match::Nothing;
        }
        let reason = match shape.status {
            Status::Revoked => Reason::Revoked,
            Status::Withdrawn => Reason::Withdrawn,
            Status::Objected => Reason::Objected,
            Status::Refused => Reason::Refused,
            Status::Invalidated
            | Status::Unrecognized
            | Status::Requested
            | Status::Given
            | Status::Confirmed => Reason::Invalidated,
        };
        Match::Refuses { soft, reason }
    }

    /// Whether a refusal for `folded` concerns this route's recipient.
    fn refuses_recipient(&self, folded: &str) -> bool {
        let own = fold(&self.recipient);
        let own_class = class(&own);
        let of_class = folded == own_class || folded.strip_suffix(":*") == Some(own_class);
        folded.is_empty() || folded == "*" || folded == own || of_class || !is_known_shape(folded)
    }

    fn permission(&self, purpose: &Purpose, shape: &Shape) -> Match {
        let named = *shape.purpose == *purpose.name;
        if !(named || &*shape.purpose == "*") || shape.basis.bit() & self.bases == 0 {
            return Match::Nothing;
        }
        let recipient = if shape.recipient.is_empty() { "first_party" } else { &shape.recipient };
        let to_us = recipient == self.recipient || self.is_wildcard(recipient);
        let this_way = &*shape.channel == "*" || *shape.channel == *self.channel.as_deref().unwrap_or("");
        let asked = shape.status == Status::Requested;
        match (to_us, this_way) {
            (true, true) if asked => Match::Requested,
            (true, true) => Match::Permits {
                named,
                essential: shape.basis.is_essential(),
                unconfirmed: purpose.double
                    && shape.basis == super::Basis::Consent
                    && shape.status != Status::Confirmed,
                level: self.level(purpose, &shape.level),
            },
            (true | false, true | false) if asked => Match::Nothing,
            (true, false) => Match::OtherChannel,
            (false, true | false) => Match::OtherRecipient,
        }
    }

    /// Whether `recipient` is the wildcard of this route's recipient's class.
    fn is_wildcard(&self, recipient: &str) -> bool {
        let own = class(&self.recipient);
        own != "first_party" && recipient.strip_suffix(":*") == Some(own)
    }

    fn level(&self, purpose: &Purpose, word: &str) -> u8 {
        if word.is_empty() {
            return purpose.level;
        }
        let index = self.levels.iter().position(|level| level == word).unwrap_or(0);
        u8::try_from(index).unwrap_or(0)
    }
}

/// The part before the colon.
fn class(recipient: &str) -> &str {
    recipient.split_once(':').map_or(recipient, |(class, _)| class)
}

/// `first_party`, `processor`, `third_party`, the last two also with `:NAME` or `:*`.
fn is_known_shape(recipient: &str) -> bool {
    match recipient.split_once(':') {
        None => matches!(recipient, "first_party" | "processor" | "third_party"),
        Some((class, name)) => matches!(class, "processor" | "third_party") && !name.is_empty(),
    }
}

/// What a grant's words say of one required purpose.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Match {
    /// Nothing.
    Nothing,
    /// It refuses.
    Refuses {
        /// Taking back consent in general, which does not end a contract.
        soft: bool,
        /// With this reason.
        reason: Reason,
    },
    /// It permits, if its times do.
    Permits {
        /// It names the purpose rather than `*`.
        named: bool,
        /// It stands on a basis that survives a soft refusal.
        essential: bool,
        /// The second step of a double opt-in is missing.
        unconfirmed: bool,
        /// How close the person lets this come.
        level: u8,
    },
    /// It would apply if it were given.
    Requested,
    /// It permits the purpose and the recipient over another channel.
    OtherChannel,
    /// It permits the purpose for another recipient.
    OtherRecipient,
}

/// A route's requirement, and what each shape known so far means for it. One a route and worker.
#[derive(Clone, Debug)]
pub struct Matcher {
    requirement: Arc<Requirement>,
    /// Row by row: what shape number `row` says of each purpose.
    table: Vec<Match>,
}

impl Matcher {
    /// A matcher that has seen no shape yet.
    pub const fn new(requirement: Arc<Requirement>) -> Self {
        Self { requirement, table: Vec::new() }
    }

    /// The requirement.
    pub fn requirement(&self) -> &Requirement {
        &self.requirement
    }

    /// Learns every shape there is by now. Nothing to do, and nothing done, once they are known.
    pub fn learn(&mut self, words: &Vocabulary) {
        let width = self.requirement.purposes.len().max(1);
        let (known, all) = (self.table.len() / width, words.shapes());
        for number in known..all {
            let shape = u32::try_from(number).ok().and_then(|number| words.shape_at(number));
            // A number is given out a moment before its shape can be read: stop, and learn it next time.
            let Some(shape) = shape else { break };
            let requirement = &self.requirement;
            self.table.extend(requirement.purposes.iter().map(|of| requirement.compare(of, shape)));
        }
    }

    /// What the shape says of the purpose with this index; `None` for a shape not learned.
    pub fn at(&self, shape: u32, purpose: usize) -> Option<Match> {
        let row = shape as usize * self.requirement.purposes.len();
        self.table.get(row + purpose).copied()
    }
}
