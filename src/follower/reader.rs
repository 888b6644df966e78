//! The reader: every committed message of every partition, applied to the cache.
//!
//! Its client is never told to read something else, but replaced: one that is dead inside would not come back from being
//! told (see [`super::silence`]). Only polling it is safe.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::apply::{Counts, apply};
use super::plan::Plan;
use super::silence::Silence;
use super::{Shared, snapshot};
use crate::source::{Begin, Cluster, Failure, Feed, Message, Polled, Purpose, TopicError, Trouble, pace};
use crate::time::{Clock, Instant, Timestamp};

/// Longer than this nothing is waited for, so that a command is soon seen.
const POLL: Duration = Duration::from_millis(5);
/// Applied messages are told to the barrier after so many, or when there is a pause.
const TELL_EVERY: usize = 512;
/// How often it is looked whether the client has fallen silent.
const LOOK_EVERY: Duration = Duration::from_secs(1);

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
    cluster: C,
    /// What gives the messages; `None`: nothing is read.
    feed: Option<Arc<C::Feed>>,
    /// The plan that was obeyed last: its number, and how often everything had been forgotten by then.
    obeyed: (u64, u64),
    /// How many partitions the topic has.
    count: usize,
    following: BTreeMap<usize, Following>,
    untold: usize,
    silence: Silence,
    began: Instant,
    /// When it was last looked whether the client has fallen silent, after it began.
    looked: Duration,
    counts: Counts,
    clock: Clock,
    /// Nothing is fetched: messages could not be, and the topic is to be read anew.
    broken: bool,
}

impl<C: Cluster> Reader<C> {
    /// A reader that waits for its first plan.
    pub fn new(shared: Arc<Shared>, cluster: C) -> Self {
        Self {
            shared,
            cluster,
            feed: None,
            obeyed: (0, 0),
            count: 0,
            following: BTreeMap::new(),
            untold: 0,
            silence: Silence::default(),
            began: Instant::now(),
            looked: Duration::ZERO,
            counts: Counts::new(),
            clock: Clock::default(),
            broken: false,
        }
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
        self.stop_reading();
    }

    /// Reads what is there, or waits a moment.
    fn read(&mut self) {
        let Some(feed) = self.feed.clone() else { return pace::sleep(POLL) };
        let polled = feed.poll(POLL);
        // Told before anything of the new topic can be polled.
        if feed.changes() != 0 {
            return self.made_anew();
        }
        match polled {
            None => {
                self.tell();
                self.look();
            }
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
        if self.broken && !anew {
            return Ok(());
        }
        let feed = self.cluster.feed(Purpose::Consent)?;
        if anew {
            self.obeyed.1 = plan.resets;
            self.count = plan.count;
            self.shared.caches.discard(plan.count);
            self.shared.kept().clear();
            self.following.clear();
            self.broken = false;
        }
        let stays = |(at, own): (&usize, &Following)| plan.follows.get(at) == Some(&own.number);
        let gone: Vec<usize> =
            self.following.iter().filter(|one| !stays(*one)).map(|(partition, _)| *partition).collect();
        self.leave(&gone);
        let new = |at: &usize| !self.following.contains_key(at);
        let new: Vec<(usize, u64)> =
            plan.follows.iter().filter(|(at, _)| new(at)).map(|(at, number)| (*at, *number)).collect();
        self.begin(&feed, &new, anew);
        self.read_by(feed)?;
        self.tell();
        Ok(())
    }

    /// Reads what is followed, each partition from where it stands, by this client and no longer by the one before.
    fn read_by(&mut self, feed: C::Feed) -> Result<(), Failure> {
        if let Some(topic_id) = self.shared.state().topic_id() {
            feed.expect(topic_id);
        }
        let begin = |own: &Following| if own.next > 0 { Begin::At(own.next) } else { Begin::First };
        let from = self.following.iter().map(|(partition, own)| (number(*partition), begin(own)));
        feed.assign(&self.shared.settings.topic, &from.collect::<Vec<_>>())?;
        self.stop_reading();
        self.feed = Some(Arc::new(feed));
        Ok(())
    }

    fn stop_reading(&mut self) {
        if let Some(feed) = self.feed.take() {
            pace::let_go(feed);
        }
    }

    /// Looks whether the client has fallen silent; if so, another one goes on.
    fn look(&mut self) {
        let now = self.began.elapsed();
        if now < self.looked + LOOK_EVERY {
            return;
        }
        self.looked = now;
        let behind = {
            let state = self.shared.state();
            if state.is_going() { state.behind() } else { Vec::new() }
        };
        if !self.silence.is_too_long(&behind, now) {
            return;
        }
        if let Err(error) = self.go_on(&behind) {
            tracing::debug!(%error, "another client for the consent topic");
        }
    }

    /// Has another client go on, unless nothing is there for it either: the rest may be of a transaction that is open.
    fn go_on(&mut self, behind: &[(usize, i64, i64)]) -> Result<(), TopicError> {
        let topic = self.shared.settings.topic.clone();
        let feed = self.cluster.feed(Purpose::Consent).map_err(TopicError::Failed)?;
        let ends = feed.ends(&topic, self.count)?;
        if behind.iter().all(|(partition, passed, _)| ends.get(*partition).is_some_and(|end| end <= passed)) {
            pace::let_go(feed);
            return Ok(());
        }
        tracing::warn!(topic, "the client that reads the consents has fallen silent: another one goes on");
        self.read_by(feed).map_err(TopicError::Failed)
    }

    /// Follows these no longer, and forgets what they said.
    fn leave(&mut self, partitions: &[usize]) {
        if partitions.is_empty() {
            return;
        }
        self.following.retain(|partition, _| !partitions.contains(partition));
        for partition in partitions.iter().map(|partition| number(*partition)) {
            self.shared.caches.unload(partition);
            self.shared.kept().leave(partition);
        }
        tracing::info!(topic = self.shared.settings.topic, ?partitions, "consent partitions unloaded");
    }

    /// Begins to follow these; `anew`: and nothing else.
    fn begin(&mut self, feed: &C::Feed, follows: &[(usize, u64)], anew: bool) {
        for (partition, _) in follows {
            self.shared.caches.load(number(*partition));
        }
        let restored = self.restore(feed, follows, anew);
        for (partition, number) in follows {
            let (number, next) = (*number, restored.get(partition).copied().unwrap_or(0));
            self.following.insert(*partition, Following { number, next, since: self.clock.now() });
        }
    }

    /// Fills what begins from snapshots, as long as nothing was forgotten: the partitions that it could, and the
    /// offset that each goes on from.
    fn restore(&self, feed: &C::Feed, follows: &[(usize, u64)], anew: bool) -> BTreeMap<usize, i64> {
        let (settings, sharded) = (&self.shared.settings, self.shared.settings.share.is_part());
        let mut restored = BTreeMap::new();
        if settings.snapshot.is_none() || self.obeyed.1 != 1 || (!sharded && !anew) || follows.is_empty() {
            return restored;
        }
        let ends = match feed.ends(&settings.topic, self.count) {
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
        let own = |(partition, _): &(usize, u64)| Some(number(*partition));
        let pieces = if sharded { follows.iter().map(own).collect() } else { vec![None] };
        for piece in pieces {
            let Some(kept) = snapshot::restore(&self.shared, piece, &ends) else { continue };
            for (partition, follow) in follows {
                if let Some(offset) = kept.offsets.get(&number(*partition)) {
                    self.shared.state().restored(*partition, *follow, kept.age);
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
    fn made_anew(&mut self) {
        self.broken = true;
        self.stop_reading();
        self.shared.state().made_anew();
        self.shared.changed.ring();
    }

    fn break_off(&mut self, why: &str) {
        if self.broken || self.shared.is_stopping() {
            return;
        }
        tracing::error!(why, topic = self.shared.settings.topic, "the consent topic cannot be read");
        self.broken = true;
        self.stop_reading();
        self.shared.state().broken(why.to_owned());
        self.shared.changed.ring();
    }
}

/// A partition's number as the client has it.
fn number(partition: usize) -> i32 {
    i32::try_from(partition).unwrap_or(i32::MAX)
}
