//! The reader: every committed message of every partition, applied to the cache.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use metrics::Counter;

use super::keys::{Key, SETTLED};
use super::plan::{Follow, Plan};
use super::{FollowerError, Shared, snapshot};
use crate::cache::{Applied, Said};
use crate::source::{Begin, Cluster, Failure, Feed, Message, Polled, Purpose, Trouble};
use crate::telemetry::Metric;
use crate::wire::change::{Reading, decode};

/// Longer than this nothing is waited for, so that a command is soon seen.
const POLL: Duration = Duration::from_millis(5);
/// Applied messages are told to the barrier after so many, or when there is a pause.
const TELL_EVERY: usize = 512;

/// Reads the consent topic.
pub struct Reader<C: Cluster> {
    shared: Arc<Shared>,
    feed: Arc<C::Feed>,
    /// The plan that was obeyed last: its number, and how often everything had been forgotten by then.
    obeyed: (u64, u64),
    /// How many partitions the topic has.
    count: usize,
    /// What is followed: which time that is, and the offset below which everything committed is applied.
    following: BTreeMap<usize, (u64, i64)>,
    untold: usize,
    /// How often the topic had been made anew when this reading of it began.
    changes: u64,
    counts: Counts,
    /// Nothing is fetched: messages could not be, and the topic is to be read anew.
    broken: bool,
}

/// What is counted, as handles made once.
struct Counts {
    state: Counter,
    tombstone: Counter,
    invalid: Counter,
    version_regressed: Counter,
    unreadable_tcf: Counter,
    unreadable_gpp: Counter,
}

impl<C: Cluster> Reader<C> {
    /// A reader that waits for its first plan.
    pub fn new(shared: Arc<Shared>, cluster: &C) -> Result<Self, FollowerError> {
        let feed = Arc::new(cluster.feed(Purpose::Consent)?);
        let applied = |kind| Metric::ConsentApplied.counter(&[kind]);
        let counts = Counts {
            state: applied("state"),
            tombstone: applied("tombstone"),
            invalid: applied("invalid"),
            version_regressed: Metric::ConsentVersionRegressed.counter(&[]),
            unreadable_tcf: Metric::ConsentSignalsInvalid.counter(&["tcf"]),
            unreadable_gpp: Metric::ConsentSignalsInvalid.counter(&["gpp"]),
        };
        Ok(Self {
            shared,
            feed,
            obeyed: (0, 0),
            count: 0,
            following: BTreeMap::new(),
            untold: 0,
            changes: 0,
            counts,
            broken: false,
        })
    }

    /// Reads until the follower stops.
    pub fn run(mut self) {
        while !self.shared.is_stopping() {
            let plan = self.shared.state().plan(self.obeyed.0);
            if let Some((number, plan)) = plan {
                self.obeyed.0 = number;
                if let Err(error) = self.obey(&plan) {
                    self.break_off(&error.to_string());
                }
            }
            self.read();
        }
    }

    /// Reads what is there, or waits a moment.
    fn read(&mut self) {
        let feed = Arc::clone(&self.feed);
        let polled = feed.poll(POLL);
        // Told before anything of the new topic can be polled.
        if feed.changes() != self.changes {
            return self.let_go();
        }
        match polled {
            None => self.tell(),
            Some(Ok(Polled::Message(message))) => {
                let (partition, next) = (message.partition(), message.offset() + 1);
                if self.pass(partition, next) {
                    apply(&self.shared, &self.counts, self.count, &message);
                }
                self.untold += 1;
                if self.untold >= TELL_EVERY {
                    self.tell();
                }
            }
            Some(Ok(Polled::End(partition, end))) => {
                // Control records and what compaction took are not polled: the end tells that they are passed.
                if let Some(end) = end {
                    self.pass(partition, end);
                }
                self.tell();
            }
            Some(Err(error)) => self.fail(&error),
        }
    }

    /// A partition is read up to there. False: it is not followed.
    fn pass(&mut self, partition: i32, offset: i64) -> bool {
        let following = usize::try_from(partition).ok().and_then(|at| self.following.get_mut(&at));
        following.map(|(_, next)| *next = offset.max(*next)).is_some()
    }

    /// Tells the barrier how far the cache is.
    fn tell(&mut self) {
        if self.broken {
            return;
        }
        let told = self.following.iter().map(|(partition, (number, next))| (*partition, *number, *next));
        self.shared.state().pass(told);
        self.untold = 0;
        self.shared.changed.ring();
    }

    fn obey(&mut self, plan: &Plan) -> Result<(), Failure> {
        let anew = plan.resets != self.obeyed.1;
        if anew {
            self.obeyed.1 = plan.resets;
            self.feed.clear()?;
            self.changes = self.feed.changes();
            self.count = plan.count;
            self.shared.caches.discard(plan.count);
            self.shared.kept().clear();
            self.following.clear();
            self.broken = false;
        } else if self.broken {
            return Ok(());
        }
        let stays = |(at, (number, _)): (&usize, &(u64, i64))| {
            plan.follows.get(at).is_some_and(|follow| follow.number == *number)
        };
        let gone: Vec<usize> =
            self.following.iter().filter(|one| !stays(*one)).map(|(partition, _)| *partition).collect();
        self.leave(&gone)?;
        let new = |at: &usize| !self.following.contains_key(at);
        let new: Vec<(usize, Follow)> =
            plan.follows.iter().filter(|(at, _)| new(at)).map(|(at, follow)| (*at, *follow)).collect();
        self.begin(&new, anew)?;
        self.tell();
        Ok(())
    }

    /// Follows these no longer, and forgets what they said.
    fn leave(&mut self, partitions: &[usize]) -> Result<(), Failure> {
        if partitions.is_empty() {
            return Ok(());
        }
        self.following.retain(|partition, _| !partitions.contains(partition));
        let numbers: Vec<i32> = partitions.iter().map(|partition| number(*partition)).collect();
        self.feed.remove(&self.shared.settings.topic, &numbers)?;
        for partition in numbers {
            self.shared.caches.unload(partition);
            self.shared.kept().leave(partition);
        }
        tracing::info!(topic = self.shared.settings.topic, ?partitions, "consent partitions unloaded");
        Ok(())
    }

    /// Follows these from where each begins; `anew`: and nothing else.
    fn begin(&mut self, follows: &[(usize, Follow)], anew: bool) -> Result<(), Failure> {
        for (partition, _) in follows {
            self.shared.caches.load(number(*partition));
        }
        let restored = self.restore(follows, anew);
        let (topic, mut from) = (&self.shared.settings.topic, Vec::new());
        for (partition, follow) in follows {
            let kept = restored.get(partition).copied();
            from.push((number(*partition), kept.map_or(follow.from, Begin::At)));
            self.following.insert(*partition, (follow.number, kept.unwrap_or(0)));
        }
        if anew {
            self.feed.assign(topic, &from)
        } else if follows.is_empty() {
            Ok(())
        } else {
            self.feed.add(topic, &from)
        }
    }

    /// Fills what begins from snapshots, as long as nothing was forgotten: the partitions that it could, and the
    /// offset that each goes on from.
    fn restore(&self, follows: &[(usize, Follow)], anew: bool) -> BTreeMap<usize, i64> {
        let (settings, sharded) = (&self.shared.settings, self.shared.settings.share.is_part());
        let mut restored = BTreeMap::new();
        if settings.snapshot.is_none() || self.obeyed.1 != 1 || (!sharded && !anew) || follows.is_empty() {
            return restored;
        }
        let ends = match self.feed.ends(&settings.topic, self.count) {
            Ok(ends) if self.shared.state().topic().is_some() => ends,
            Ok(_) => {
                tracing::warn!("the brokers do not tell the consent topic's id: no snapshot can be used");
                return restored;
            }
            Err(error) => {
                tracing::warn!(%error, "no snapshot is read: the consent topic's ends are not known");
                return restored;
            }
        };
        let own = |(partition, _): &(usize, Follow)| Some(number(*partition));
        let pieces = if sharded { follows.iter().map(own).collect() } else { vec![None] };
        for piece in pieces {
            let Some(kept) = snapshot::restore(&self.shared, piece, &ends) else { continue };
            for (partition, follow) in follows {
                if let Some(offset) = kept.offsets.get(&number(*partition)) {
                    self.shared.state().restored(*partition, follow.number, kept.age);
                    restored.insert(*partition, *offset);
                }
            }
        }
        restored
    }

    /// An error of the consumer. The brokers' absence shows in readings that do not come; anything else may
    /// mean that messages are being skipped, and the topic is read anew.
    fn fail(&mut self, error: &Failure) {
        if error.trouble == Trouble::Passing {
            tracing::debug!(%error, "consent reader");
        } else {
            self.break_off(&error.to_string());
        }
    }

    /// The topic was made anew: nothing more is applied until it is read from its beginning.
    fn let_go(&mut self) {
        if self.broken {
            return;
        }
        self.broken = true;
        if let Err(error) = self.feed.clear() {
            tracing::debug!(%error, "unassign");
        }
        self.shared.state().made_anew();
        self.shared.changed.ring();
    }

    fn break_off(&mut self, why: &str) {
        if self.broken || self.shared.is_stopping() {
            return;
        }
        tracing::error!(why, topic = self.shared.settings.topic, "the consent topic cannot be read");
        self.broken = true;
        if let Err(error) = self.feed.clear() {
            tracing::debug!(%error, "unassign");
        }
        self.shared.state().broken(why.to_owned());
        self.shared.changed.ring();
    }
}

/// A partition's number as the client has it.
fn number(partition: usize) -> i32 {
    i32::try_from(partition).unwrap_or(i32::MAX)
}

/// Applies one message of a topic with so many partitions. Total: whatever it holds.
fn apply(shared: &Shared, counts: &Counts, count: usize, message: &impl Message) {
    let (partition, offset) = (message.partition(), message.offset());
    let (raw_key, body) = (message.key().unwrap_or_default(), message.value());
    let sharded = shared.settings.share.is_part().then_some(count);
    let key = match Key::read(raw_key, partition, sharded) {
        Key::Good(kind, value) => (kind, value),
        Key::Unreadable => {
            shared.kept().unreadable.see(partition, offset, raw_key, body.is_none());
            return;
        }
        Key::Misplaced => {
            shared.kept().misplaced.see(
                partition,
                offset,
                raw_key,
                body.is_none() && message.has_header(SETTLED),
            );
            return;
        }
    };
    let max_grants = shared.caches.settings().max_grants;
    let reading = Reading { max_grants, signals: &shared.settings.signals };
    let change = body.map(|body| decode(shared.settings.format, body, key, reading));
    let (said, count) = match &change {
        None => (Said::Erased, &counts.tombstone),
        Some(Ok(change)) => (Said::State(change), &counts.state),
        Some(Err(_)) => (Said::Invalid, &counts.invalid),
    };
    if let Some(Err(error)) = &change {
        tracing::warn!(partition, offset, %error, "a consent record does not decode; its subject is denied");
    }
    let Applied { version_regressed, vocabulary_full } = shared.caches.apply(key, partition, offset, &said);
    count.increment(1);
    if let Some(Ok(change)) = &change {
        counts.unreadable_tcf.increment(change.unreadable.tcf.into());
        counts.unreadable_gpp.increment(change.unreadable.gpp.into());
    }
    if version_regressed {
        counts.version_regressed.increment(1);
    }
    if vocabulary_full {
        tracing::warn!(
            partition,
            offset,
            "too many different words in consent records; the subject is denied"
        );
    }
}
