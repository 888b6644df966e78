//! What an audit finds, and what it cannot decide.

use std::collections::BTreeMap;

use serde::Serialize;

use super::input::Place;

/// What is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// It was forwarded, and no state that may have been in force permits it.
    NoPermit,
    /// A consent change was acknowledged before the record came, and it was decided by an older state.
    Stale,
    /// It was permitted and is in no sink.
    Missing,
    /// It is in the sink more often than in the source.
    Twice,
    /// Its value is not the one that came, or not reduced as it must be.
    Bytes,
    /// Its key is not what the sink's setting makes of it.
    Key,
    /// Its headers are not those that came.
    Headers,
    /// Its timestamp is not the one that came.
    Timestamp,
    /// A field that had to be acted on is there as it came.
    Unreduced,
    /// A field was acted on that was permitted.
    Overreduced,
    /// `consentry.reason` is not why it was forwarded.
    Reason,
    /// `consentry.purposes` are not those that permitted.
    Purposes,
    /// `consentry.consent_offset` is missing, is not to be there, or names nothing that its subject said.
    ConsentOffset,
    /// It does not say under which policy it was forwarded.
    Policy,
    /// It is in the sink of another route, or names a route that there is not.
    WrongSink,
    /// It is on another partition than it should be.
    Partition,
    /// There is no record that it comes from.
    FromNowhere,
    /// It stands behind one that came after it.
    Order,
    /// It is in the quarantine, and nothing is wrong with it.
    QuarantinedWithoutReason,
    /// It is in the quarantine for another reason than what is wrong with it.
    QuarantineReason,
    /// It is not in the quarantine, and should be.
    NotQuarantined,
    /// It is in the quarantine more than once for one route.
    QuarantinedTwice,
    /// What is in the quarantine is not what came.
    QuarantineBytes,
    /// It waits, and there is nothing that it should wait for.
    HeldWithoutReason,
    /// It waits, and its time is over.
    HeldTooLong,
    /// It may wait longer than the route says.
    HeldDeadline,
    /// What waits is not what came.
    HeldBytes,
    /// It was forwarded and still waits.
    ForwardedAndWaits,
    /// It was forwarded and is in the quarantine for the same route.
    ForwardedAndAside,
}

impl Kind {
    /// The word of a finding.
    pub fn word(self) -> String {
        serde_json::to_value(self).ok().and_then(|word| Some(word.as_str()?.to_owned())).unwrap_or_default()
    }
}

/// Why a case cannot be decided from what is in the topics.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Undecidable {
    /// It left no trace, and of the states and times under which it may have been decided some permit it.
    SeveralStates,
    /// So many states and times come into question that not all were tried.
    TooManyStates,
    /// What its subject said then may have been compacted away.
    Compacted,
    /// It was forwarded or set aside under another policy than this configuration's.
    OtherPolicy,
    /// It was set aside for its size, which the sink's own limit decides, or as what cannot be taken for good.
    SinksOwn,
    /// It has a header whose name is not UTF-8, which the client cannot show.
    Headers,
    /// It may come from a record that is not audited: from outside the window, or gone.
    BeforeWindow,
}

/// One thing that is wrong.
#[derive(Clone, Debug, Serialize)]
pub struct Finding {
    /// What.
    pub kind: Kind,
    /// The pipeline.
    pub pipeline: String,
    /// The route; of a quarantine those that are named there.
    pub route: String,
    /// Where it is seen: `topic/partition/offset`.
    pub at: String,
    /// The record of the source, `topic/partition/offset`.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "written")]
    pub source: Option<Place>,
    /// What should be.
    pub expected: String,
    /// What is.
    pub found: String,
    /// The consent key of the first subject that it names: shown to who asks.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub subject: Option<String>,
}

fn written<S: serde::Serializer>(place: &Option<Place>, to: S) -> Result<S::Ok, S::Error> {
    to.serialize_str(&place.as_ref().map(Place::to_string).unwrap_or_default())
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}/{}", self.topic, self.partition, self.offset)
    }
}

impl Finding {
    pub(super) fn new(kind: Kind, at: Option<Place>) -> Self {
        let empty = String::new;
        let at = at.map(|at| at.to_string()).unwrap_or_default();
        Self {
            kind,
            pipeline: empty(),
            route: empty(),
            at,
            source: None,
            expected: empty(),
            found: empty(),
            subject: None,
        }
    }

    pub(super) fn because(mut self, expected: impl Into<String>, found: impl Into<String>) -> Self {
        (self.expected, self.found) = (expected.into(), found.into());
        self
    }
}

/// What came of an audit.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// Records of the sources that were audited.
    pub events: u64,
    /// Records of the sinks that were read.
    pub outputs: u64,
    /// Records at routes that were worked out.
    pub decisions: u64,
    /// Of these, those that stand where they must, by end.
    pub agreed: BTreeMap<&'static str, u64>,
    /// Of these, those of which it cannot be said.
    pub undecidable: BTreeMap<Undecidable, u64>,
    /// What is wrong: the first 10,000.
    pub findings: Vec<Finding>,
    /// How many are wrong, by what.
    pub counts: BTreeMap<Kind, u64>,
}

/// The most findings that are kept; more are counted.
pub const MAX_FINDINGS: usize = 10_000;

impl Report {
    pub(super) fn add(&mut self, finding: Finding) {
        *self.counts.entry(finding.kind).or_default() += 1;
        if self.findings.len() < MAX_FINDINGS {
            self.findings.push(finding);
        }
    }

    pub(super) fn undecidable(&mut self, why: Undecidable) {
        *self.undecidable.entry(why).or_default() += 1;
    }

    pub(super) fn agreed(&mut self, end: &'static str) {
        *self.agreed.entry(end).or_default() += 1;
    }

    /// By where they are seen.
    pub(super) fn sort(&mut self) {
        self.findings.sort_by(|one, other| (one.kind, &one.at).cmp(&(other.kind, &other.at)));
    }

    /// How many are wrong.
    pub fn found(&self) -> u64 {
        self.counts.values().sum()
    }
}
