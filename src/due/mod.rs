//! Telling, on a topic, whose consent comes to its end: [`crate::renewal`] knows who, this room knows when and where.
//!
//! One thread a process. It is a member of a consumer group on the consent topic, so that over all processes each
//! consent partition has one owner, and a dead one's goes to another. The group only says who has what: the records
//! are read by clients without a group, from the beginning.
//!
//! ```text
//! a partition is ours → read back what was told → read its consents → follow
//! somebody is due → wait until everything acknowledged is read → tell, a batch a transaction
//! ```
//!
//! **Never twice.** Consent partition p is told of on partition p of the due topic, which must have as many. What was
//! told there is read back up to its high watermark as of the assignment, so past whatever an earlier owner left
//! open. Each transaction commits the group's place too: the coordinator takes that from the owner alone, so one that
//! slept through its session cannot add anything any more. Where anything is not certain the worker ends and starts
//! anew from what stands on the topics.
//!
//! **Never behind.** Before anything is told, the high watermark of the consent partition is read, and everything
//! up to it; and the follower's barrier is waited for. So a withdrawal that Kafka acknowledged before is honoured.
//!
//! **A key on several partitions.** Each partition is read by itself, so the process's cache, which holds all of
//! them, has the last word: somebody who is known from several keys or partitions, or whom one of them has erased,
//! is not asked until there is one again. With `cache: sharded` there is no such cache: a key on another partition
//! than its own stops forwarding anyway, and is not asked about; another spelling of a key on the same partition
//! speaks for itself.
//!
//! Readiness does not depend on any of this: who cannot tell still forwards. Metrics say how it stands.

mod end;
mod reading;
pub mod settings;
mod share;
mod topic;
mod write;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use metrics::{Counter, Gauge};
use rdkafka::TopicPartitionList;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};

use crate::kafka::client;
use crate::kafka::member::{self, Membership};
use crate::kafka::settings::ClusterSettings;
use crate::kafka::topics::{self, ASK_WITHIN};
use crate::kafka::writer::Writer;
use crate::renewal::Asking;
use crate::source::{self, Barrier, Event, WriterSettings};
use crate::telemetry::Metric;
use crate::time::{Clock, Instant};
use reading::Reading;
use settings::DueSettings;
use share::Share;

pub use end::End;
pub use share::Decode;

/// How long is waited for anything in one go.
const PATIENCE: Duration = Duration::from_millis(50);
/// How many records are read in one go, before the group is listened to again.
const READ_AT_ONCE: usize = 5000;
/// What may wait in each client, in KiB and bytes.
const QUEUED_KIB: usize = 16 << 10;
const BUFFER_BYTES: usize = 8 << 20;
/// The largest batch, and the longest record, that is written: any broker's default takes it.
const BATCH_BYTES: usize = 900_000;
/// How long readers of the topic wait at a transaction whose writer was killed.
const TRANSACTION_TIMEOUT: Duration = Duration::from_secs(15);
/// How often the gauges are set.
const REPORT_EVERY: Duration = Duration::from_secs(1);
/// How often it is said how far the reading of a partition is.
const SAY_EVERY: Duration = Duration::from_secs(10);

/// What the worker is made of.
pub struct Parts {
    /// Where and when.
    pub settings: DueSettings,
    /// Of what policy.
    pub asking: Asking,
    /// The policy's hash.
    pub policy_hash: String,
    /// The cluster.
    pub cluster: ClusterSettings,
    /// The process's name.
    pub instance: String,
    /// The consent topic.
    pub consent: String,
    /// How its messages are read.
    pub decode: Decode,
    /// More people than that are not kept.
    pub max_people: usize,
    /// What is waited at before anything is told.
    pub barrier: Box<dyn Barrier>,
    /// Whether the process's cache holds every partition.
    pub knows_all: bool,
    /// What time it is.
    pub clock: Clock,
    /// Set when the process is to stop.
    pub stopping: Arc<AtomicBool>,
}

impl Parts {
    /// Whether the process is to stop.
    pub fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::Relaxed)
    }
}

/// The worker.
pub struct Worker<'p> {
    parts: &'p Parts,
    /// How many partitions both topics have.
    count: usize,
    member: BaseConsumer<Membership>,
    /// Sees what is acknowledged, committed or not.
    ends: BaseConsumer,
    told: Reading,
    consents: Reading,
    writer: Writer,
    shares: BTreeMap<i32, Share>,
    counts: Counts,
    reported: Instant,
}

struct Counts {
    asked: Counter,
    missed: Counter,
    split: Counter,
    too_large: Counter,
    taken_back: Counter,
    waiting: Gauge,
    people: Gauge,
    partitions: Gauge,
    lag: Gauge,
}

impl<'p> Worker<'p> {
    /// Looks at the topics, joins the group and makes the producer.
    ///
    /// # Errors
    /// Topics that do not fit; brokers that do not answer.
    pub fn start(parts: &'p Parts) -> Result<Self, End> {
        let count = topic::fit(parts)?;
        let settings = WriterSettings {
            // A pipeline's has four parts.
            transactional_id: Some(format!("consentry/{}/due", parts.instance)),
            timeout: TRANSACTION_TIMEOUT,
            buffer_bytes: BUFFER_BYTES,
            batch_bytes: BATCH_BYTES,
            linger: Duration::from_millis(5),
            cautious: false,
        };
        let writer = Writer::open(&parts.cluster, &settings)?;
        let reading = source::Reading { accept_gap: true, waits: false, queued_kib: 1 };
        let member = member::join(&parts.cluster, &parts.settings.group, reading)?;
        member.subscribe(&[&parts.consent])?;
        let ours = [("group.id", "consentry-due-ends"), ("isolation.level", "read_uncommitted")];
        Ok(Self {
            count,
            member,
            ends: client::config(&parts.cluster, &ours).create()?,
            told: Reading::new(&parts.cluster, &parts.settings.topic.name),
            consents: Reading::new(&parts.cluster, &parts.consent),
            writer,
            shares: BTreeMap::new(),
            counts: Counts::new(),
            reported: Instant::now(),
            parts,
        })
    }

    /// Works until it is told to stop.
    ///
    /// # Errors
    /// Whatever is not certain: everything is to be read anew.
    pub fn run(&mut self) -> Result<(), End> {
        while !self.parts.is_stopping() {
            let idle = self.shares.is_empty();
            self.follow_group(if idle { PATIENCE } else { Duration::ZERO })?;
            if !idle {
                self.read(PATIENCE)?;
            }
            let now = self.parts.clock.now();
            if self.shares.values().any(|share| share.has_work(now)) {
                self.tell()?;
            }
            self.report();
        }
        Ok(())
    }

    /// What the group says. True: what is ours has changed.
    fn follow_group(&mut self, patience: Duration) -> Result<bool, End> {
        if let Some(Err(error)) = self.member.poll(patience) {
            harmless(error)?;
        }
        let events = self.member.context().take_events();
        let changed = !events.is_empty();
        for event in events {
            match event {
                Event::Assigned((_, partition), ..) => self.begin(partition)?,
                Event::Revoked((_, partition)) => self.leave(partition),
                Event::MadeAnew(topic) => return Err(End::MadeAnew(topic)),
                Event::Failed(error) => return Err(error.into()),
            }
        }
        Ok(changed)
    }

    /// A partition is ours: what was told of it is read back first.
    fn begin(&mut self, partition: i32) -> Result<(), End> {
        // The records themselves are read by clients without a group, which keep no place.
        let mut list = TopicPartitionList::new();
        list.add_partition(&self.parts.consent, partition);
        self.member.pause(&list)?;
        let topic = &self.parts.settings.topic.name;
        let target = self.end(topic, partition)?;
        tracing::info!(topic, partition, to = target, "reading back what was told of consents that end");
        self.told.begin(partition);
        self.shares.insert(partition, Share::new(target));
        Ok(())
    }

    fn leave(&mut self, partition: i32) {
        if self.shares.remove(&partition).is_some() {
            tracing::info!(
                topic = self.parts.consent,
                partition,
                "looks for ends of consents here no longer"
            );
            self.told.leave(partition);
            self.consents.leave(partition);
        }
    }

    /// Everything acknowledged on a partition is below this.
    fn end(&self, topic: &str, partition: i32) -> Result<i64, End> {
        let ends = topics::ends(&self.ends, topic, self.count, ASK_WITHIN)?;
        let end = usize::try_from(partition).ok().and_then(|at| ends.get(at).copied());
        end.ok_or_else(|| End::Grown(self.parts.consent.clone()))
    }

    /// Reads what is there, or waits for so long.
    fn read(&mut self, patience: Duration) -> Result<(), End> {
        let now = self.parts.clock.now();
        let (shares, parts, count) = (&mut self.shares, self.parts, self.count);
        // Where both are read, only one is waited for.
        let (for_told, for_consents) = match (self.told.is_idle(), self.consents.is_idle()) {
            (false, true) => (patience, Duration::ZERO),
            (false, false) | (true, _) => (Duration::ZERO, patience),
        };
        self.told.read(READ_AT_ONCE, for_told, |message| {
            shares.get_mut(&message.partition).map_or(Ok(()), |share| share.was_told(&message))
        })?;
        self.turn_to_consents()?;
        let shares = &mut self.shares;
        self.consents.read(READ_AT_ONCE, for_consents, |message| {
            shares
                .get_mut(&message.partition)
                .map_or(Ok(()), |share| share.apply(parts, &message, count, now))
        })?;
        self.note_loaded();
        let people: usize = self.shares.values().map(Share::people).sum();
        let most = self.parts.max_people;
        if people > most { Err(End::TooMany(most)) } else { Ok(()) }
    }

    /// Where everything that was told is read back, the consents are read.
    fn turn_to_consents(&mut self) -> Result<(), End> {
        let told = &self.told;
        let ready = |(partition, share): (&i32, &Share)| {
            let read_back = share.is_reading_back() && told.has_passed(*partition, share.target());
            read_back.then_some(*partition)
        };
        let ready: Vec<i32> = self.shares.iter().filter_map(ready).collect();
        for partition in ready {
            self.told.leave(partition);
            let target = self.end(&self.parts.consent, partition)?;
            tracing::info!(
                topic = self.parts.consent,
                partition,
                to = target,
                "reading consents to find their ends"
            );
            self.consents.begin(partition);
            if let Some(share) = self.shares.get_mut(&partition) {
                share.loads(target);
            }
        }
        Ok(())
    }

    fn note_loaded(&mut self) {
        for (partition, share) in &mut self.shares {
            if share.is_loading() && self.consents.has_passed(*partition, share.target()) {
                share.is_loaded();
                let people = share.people();
                tracing::info!(
                    topic = self.parts.consent,
                    partition,
                    people,
                    "all ends of consents are known"
                );
            }
        }
    }

    /// Says how it stands.
    fn report(&mut self) {
        if self.reported.elapsed() < REPORT_EVERY {
            return;
        }
        self.reported = Instant::now();
        let now = self.parts.clock.now();
        let (mut waiting, mut people, mut lag) = (0, 0, 0);
        for (partition, share) in &mut self.shares {
            waiting += share.waiting(now);
            people += share.people();
            if !share.is_following() {
                let read = if share.is_loading() { &self.consents } else { &self.told };
                let at = read.position(*partition).unwrap_or(0);
                lag += share.target().saturating_sub(at).max(0);
                if share.said.elapsed() >= SAY_EVERY {
                    share.said = Instant::now();
                    tracing::info!(topic = read.topic(), partition, at, to = share.target(), "still reading");
                }
            }
        }
        #[allow(clippy::cast_precision_loss, reason = "a gauge is a float")]
        {
            self.counts.waiting.set(waiting as f64);
            self.counts.people.set(people as f64);
            self.counts.partitions.set(self.shares.len() as f64);
            self.counts.lag.set(lag as f64);
        }
    }
}

impl Drop for Worker<'_> {
    /// The consumer closes when it is dropped, in the middle of a rebalance too.
    fn drop(&mut self) {
        self.member.context().leave();
        for gauge in [&self.counts.waiting, &self.counts.people, &self.counts.partitions, &self.counts.lag] {
            gauge.set(0.0);
        }
    }
}

impl Counts {
    fn new() -> Self {
        let result = |result| Metric::DueMessages.counter(&[result]);
        Self {
            asked: result("asked"),
            missed: result("missed"),
            split: result("split"),
            too_large: result("too_large"),
            taken_back: result("taken_back"),
            waiting: Metric::DueWaiting.gauge(&[]),
            people: Metric::DuePeople.gauge(&[]),
            partitions: Metric::DuePartitions.gauge(&[]),
            lag: Metric::DueLag.gauge(&[]),
        }
    }
}

/// Passes over what the brokers' absence looks like; anything else may mean that records are skipped.
fn harmless(error: KafkaError) -> Result<(), End> {
    let is_late = error.rdkafka_error_code() == Some(RDKafkaErrorCode::PollExceeded);
    if is_late || client::is_absence(&error) {
        tracing::debug!(%error, "asking again");
        Ok(())
    } else {
        Err(error.into())
    }
}
