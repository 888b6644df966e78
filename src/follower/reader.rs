//! The reader: every committed message of every partition, applied to the cache.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::apply::{Counts, apply};
use super::plan::{Follow, Plan};
use super::{FollowerError, Shared, snapshot};
use crate::source::{Begin, Cluster, Failure, Feed, Message, Polled, Purpose, Trouble};
use crate::time::{Clock, Timestamp};

/// Longer than this nothing is waited for, so that a command is soon seen.
const POLL: Duration = Duration::from_millis(5);
/// Applied messages are told to the barrier after so many, or when there is a pause.
const TELL_EVERY: usize = 512;

/// A partition that is followed.
#[derive(Clone, Copy, Debug)]
struct Following {
    /// Which time of following it this is.
    number: u64,
    /// Below this offset everything committed is applied.
    next: i64,
    /// Since when. What is older was there before: nothing waited for it.
    since: Timestamp,
}

/// Reads the consent topic.
pub struct Reader<C: Cluster> {
    shared: Arc<Shared>,
    feed: Arc<C::Feed>,
    /// The plan that was obeyed last: its number, and how often everything had been forgotten by then.
    obeyed: (u64, u64),
    /// How many partitions the topic has.
    count: usize,
    following: BTreeMap<usize, Following>,
    untold: usize,
    /// How often the topic had been made anew when this reading of it began.
    changes: u64,
    counts: Counts,
    clock: Clock,
    /// Nothing is fetched: messages could not be, and the topic is to be read anew.
    broken: bool,
}

impl<C: Cluster> Reader<C> {
    /// A reader that waits for its first plan.
    pub fn new(shared: Arc<Shared>, cluster: &C) -> Result<Self, FollowerError> {
        let feed = Arc::new(cluster.feed(Purpose::Consent)?);
        Ok(Self {
            shared,
            feed,
            obeyed: (0, 0),
            count: 0,
            following: BTreeMap::new(),
            untold: 0,
            changes: 0,
            counts: Counts::new(),
            clock: Clock::default(),
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
                if let Some(since) = self.pass(partition, next) {
                    let withdrawn = apply(&self.shared, &self.counts, self.count, &message);
                    if withdrawn && let Some(at) = message.timestamp().filter(|at| *at >= since) {
                        self.counts.effective(at, self.clock.now());
                    }
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

    /// A partition is read up to there: since when it is followed, if it is.
    fn pass(&mut self, partition: i32, offset: i64) -> Option<Timestamp> {
        let following = usize::try_from(partition).ok().and_then(|at| self.following.get_mut(&at))?;
        following.next = offset.max(following.next);
        Some(following.since)
    }

    /// Tells the barrier how far the cache is.
    fn tell(&mut self) {
        if self.broken {
            return;
        }
        let told = self.following.iter().map(|(partition, own)| (*partition, own.number, own.next));
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
        let stays = |(at, own): (&usize, &Following)| {
            plan.follows.get(at).is_some_and(|follow| follow.number == own.number)
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
            let (number, next) = (follow.number, kept.unwrap_or(0));
            self.following.insert(*partition, Following { number, next, since: self.clock.now() });
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
