//! What is known of a run from outside: which consent was acknowledged when, which events there are, and what became of
//! each at each route. Steps are numbered, so that it can be said what was before what.

use std::collections::{BTreeMap, HashMap};

use consentry::source::Place;

use super::{expect::Verdicts, town::ROUTES};

/// A batch of a worker, as its barrier saw it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Batch {
    /// The step at which its claim was made.
    pub claim: u64,
    /// What the process's clock said when it was let through.
    pub now: i64,
}

/// Who wrote a record.
#[derive(Clone, Copy, Debug)]
pub struct By {
    pub worker: Worker,
    pub batch: Option<Batch>,
}

/// A process, and a worker's number in it.
pub type Worker = (usize, usize);

/// What a consent message says of its subject, in the order of its partition.
#[derive(Clone, Debug)]
pub struct Version {
    /// Which of the topics that had this name.
    pub topic: u64,
    /// The step at which that was deleted.
    pub gone: Option<u64>,
    pub partition: i32,
    pub offset: i64,
    /// `None`: a tombstone.
    pub body: Option<String>,
    /// Whether it is committed; `None`: its transaction is open.
    pub committed: Option<bool>,
    /// The step at which its producer was told that it is there.
    pub acknowledged: Option<u64>,
    /// What the time was when it was.
    pub at_ms: i64,
    /// The transaction it is of.
    pub of: Option<u64>,
}

/// How a record waits.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Waits {
    /// For each reason that it ever waited for and that has a time, when that runs out.
    pub deadlines: BTreeMap<String, i64>,
    /// When it is to be looked at again whatever its subject says, and by which claim that was decided.
    pub until: i64,
    pub claim: u64,
    /// What the deciding process's clock said then.
    pub decided: i64,
}

/// What became of an event at a route.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Fate {
    #[default]
    New,
    Held(Waits),
    Forwarded,
    Dropped,
    Quarantined,
    NotRouted,
}

/// An event, as its topic holds it.
#[derive(Clone, Debug)]
pub struct Event {
    pub number: usize,
    pub partition: i32,
    pub offset: i64,
    /// As the second implementation reads it.
    pub line: String,
    /// `type:value`, of those that name somebody.
    pub subject: Option<String>,
    pub key: Option<Vec<u8>>,
    pub is_deletion: bool,
    pub committed: Option<bool>,
    pub of: Option<u64>,
    pub fates: [Fate; ROUTES],
    /// The step at which each worker fetched it last.
    pub fetched: BTreeMap<Worker, u64>,
}

/// How many records ended how at a route.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ends {
    pub forwarded: u64,
    pub dropped: u64,
    pub held: u64,
    pub quarantined: u64,
    pub not_routed: u64,
    pub released: u64,
}

/// What a commit adds to the counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counted {
    pub read: u64,
    pub routes: [Ends; ROUTES],
}

impl Counted {
    pub fn add(&mut self, other: &Self) {
        self.read += other.read;
        for (own, more) in self.routes.iter_mut().zip(other.routes) {
            own.forwarded += more.forwarded;
            own.dropped += more.dropped;
            own.held += more.held;
            own.quarantined += more.quarantined;
            own.not_routed += more.not_routed;
            own.released += more.released;
        }
    }
}

/// Where a consent message stands: topic, partition and offset.
pub type Said = (u64, i32, i64);

/// An event, what is known of its subject, and the time.
pub type Question = (usize, Vec<Said>, i64);

/// Source and sink partition of a route.
pub type Way = (usize, Place, Place);

#[derive(Default)]
pub struct Ledger {
    step: u64,
    pub consents: BTreeMap<String, Vec<Version>>,
    pub events: BTreeMap<Place, BTreeMap<i64, Event>>,
    /// Where each event stands, by its number.
    pub numbers: HashMap<usize, (Place, i64)>,
    /// Where the group stands, by what was committed.
    pub stands: BTreeMap<Place, i64>,
    /// What each worker was let through for since its last commit.
    pub batches: BTreeMap<Worker, Vec<Batch>>,
    /// The same of a transaction that is about to end.
    pub sealed: BTreeMap<u64, Vec<Batch>>,
    pub last: BTreeMap<Way, i64>,
    pub last_released: BTreeMap<(Way, String), i64>,
    /// The last deletion that has passed a route with this key.
    pub deleted: BTreeMap<(usize, Place, Vec<u8>), i64>,
    pub verdicts: HashMap<Question, Verdicts>,
    pub seen: Seen,
}

/// How often what happened, so that a run in which nothing happens is not taken for proof.
#[derive(Clone, Copy, Debug, Default)]
pub struct Seen {
    pub commits: u64,
    pub forwarded: u64,
    pub dropped: u64,
    pub held: u64,
    pub released: u64,
    pub quarantined: u64,
    pub killed: u64,
    pub frozen: u64,
    pub lost_ends: u64,
    pub fenced: u64,
    pub rebalances: u64,
    pub aborted: u64,
    pub uncounted: u64,
}

impl Ledger {
    pub const fn tick(&mut self) -> u64 {
        self.step += 1;
        self.step
    }

    /// A transaction of somebody who writes consents or events has ended.
    pub fn ended(&mut self, of: u64, committed: bool, at_ms: i64) {
        let step = self.tick();
        for version in self.consents.values_mut().flatten().filter(|version| version.of == Some(of)) {
            version.committed = Some(committed);
            version.acknowledged = committed.then_some(step);
            version.at_ms = at_ms;
        }
        for event in self.events.values_mut().flat_map(BTreeMap::values_mut) {
            if event.of == Some(of) {
                event.committed = Some(committed);
            }
        }
    }

    /// What may be known of a subject by a batch that was claimed at this step and is looked at now: of each partition
    /// the last that was acknowledged before, or anything that has come since, whatever is known of the others. The
    /// last is all that there is now; empty: nothing is known.
    pub fn possible(&self, subject: Option<&str>, claim: u64) -> Vec<Vec<&Version>> {
        let all = subject.and_then(|subject| self.consents.get(subject));
        let is_there = |version: &&Version| version.gone.is_none_or(|gone| gone > claim);
        let committed = all.into_iter().flatten().filter(|version| version.committed == Some(true));
        let mut partitions: BTreeMap<i32, Vec<&Version>> = BTreeMap::new();
        for version in committed.filter(is_there) {
            partitions.entry(version.partition).or_default().push(version);
        }
        let mut possible: Vec<Vec<&Version>> = vec![Vec::new()];
        for visible in partitions.into_values() {
            let before = std::mem::take(&mut possible);
            for one in of_partition(&visible, claim) {
                possible.extend(before.iter().map(|known| known.iter().copied().chain(one).collect()));
            }
        }
        possible
    }
}

/// What may be known of what was said on one partition.
fn of_partition<'v>(visible: &[&'v Version], claim: u64) -> Vec<Option<&'v Version>> {
    // Its topic was made anew after the claim: that may have been noticed, or not.
    let may_be_gone = visible.iter().any(|version| version.gone.is_some());
    let is_before = |version: &&Version| version.acknowledged.is_some_and(|step| step < claim);
    let first = visible.iter().rposition(is_before);
    let nothing = (first.is_none() || may_be_gone).then_some(None);
    nothing.into_iter().chain(visible[first.unwrap_or(0)..].iter().map(|version| Some(*version))).collect()
}

#[test]
fn what_was_acknowledged_before_a_claim_cannot_be_unknown_to_it() {
    let mut ledger = Ledger::default();
    let version = |offset, committed: Option<bool>, acknowledged| Version {
        topic: 1,
        gone: None,
        partition: 0,
        offset,
        body: None,
        committed,
        acknowledged,
        at_ms: 0,
        of: Some(9),
    };
    let known =
        vec![version(0, Some(true), Some(3)), version(1, Some(true), Some(5)), version(2, None, None)];
    ledger.consents.insert("a".to_owned(), known);
    let offsets = |ledger: &Ledger, claim| {
        let possible = ledger.possible(Some("a"), claim);
        possible.iter().map(|known| known.first().map(|version| version.offset)).collect::<Vec<_>>()
    };
    assert_eq!(offsets(&ledger, 2), [None, Some(0), Some(1)]);
    assert_eq!(offsets(&ledger, 4), [Some(0), Some(1)]);
    assert_eq!(offsets(&ledger, 6), [Some(1)]);
    ledger.step = 6;
    ledger.ended(9, true, 0);
    assert_eq!(offsets(&ledger, 6), [None, Some(0), Some(1), Some(2)], "all are of that transaction");
    assert_eq!(offsets(&ledger, 8), [Some(2)]);
    assert_eq!(ledger.possible(Some("b"), 8).len(), 1);
    ledger.consents.values_mut().flatten().for_each(|version| version.gone = Some(9));
    assert_eq!(offsets(&ledger, 8), [None, Some(2)]);
    assert_eq!(offsets(&ledger, 10), [None]);
}

#[test]
fn what_was_said_on_two_partitions_may_be_known_in_any_combination() {
    let version = |partition, offset, acknowledged| Version {
        topic: 1,
        gone: None,
        partition,
        offset,
        body: None,
        committed: Some(true),
        acknowledged: Some(acknowledged),
        at_ms: 0,
        of: None,
    };
    let mut ledger = Ledger::default();
    let said = vec![version(1, 0, 3), version(0, 0, 5), version(1, 1, 7)];
    ledger.consents.insert("a".to_owned(), said);
    let known = |claim| {
        let possible = ledger.possible(Some("a"), claim);
        let places = |known: &Vec<&Version>| known.iter().map(|own| (own.partition, own.offset)).collect();
        possible.iter().map(places).collect::<Vec<Vec<_>>>()
    };
    assert_eq!(known(8), [[(0, 0), (1, 1)]]);
    assert_eq!(known(6), [[(0, 0), (1, 0)], [(0, 0), (1, 1)]]);
    assert_eq!(known(4), [vec![(1, 0)], vec![(0, 0), (1, 0)], vec![(1, 1)], vec![(0, 0), (1, 1)]]);
    assert_eq!(known(1).len(), 6);
}
