//! A member of a pipeline's consumer group: which partitions it has, and where it begins.
//!
//! Where a partition begins is decided here, never by librdkafka: at the committed offset, without one at the
//! first record there is. A group that is to begin at the end has the ends committed for it before anybody
//! joins ([`begin_at_end`]), so that nothing that comes later, nor a partition that is added later, can be
//! skipped. A committed offset outside of what the topic holds is a gap: the partition is assigned
//! but paused, unless gaps are accepted.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer, ConsumerContext};
use rdkafka::error::{KafkaError, KafkaResult};
use rdkafka::message::BorrowedMessage;
use rdkafka::topic_partition_list::{Offset, TopicPartitionListElem};
use rdkafka::types::{RDKafkaErrorCode, RDKafkaRespErr};
use rdkafka::{ClientContext, TopicPartitionList};

use super::client;
use super::settings::ClusterSettings;
use super::topics::partitions;
use crate::source::{Event, Failure, Gap, Member, Offsets, Place, Reading, Trouble};

const ASK_WITHIN: Duration = Duration::from_secs(10);
const SEEK_WITHIN: Duration = Duration::from_secs(10);
/// How long the brokers may take to say that a topic is there.
const ANSWER_WITHIN: Duration = Duration::from_secs(2);
/// How often a question about offsets is repeated within a rebalance.
const TRIES: usize = 3;

/// The context of a member's consumer.
#[derive(Debug)]
pub struct Membership {
    accept_gap: bool,
    /// Nothing is read of what is assigned until that is said.
    waits: bool,
    events: Mutex<Vec<Event>>,
    /// Whether there are any: asked at every record.
    has_events: AtomicBool,
    /// It is about to leave the group.
    leaving: AtomicBool,
}

/// A consumer that is a member of `group`.
pub fn join(
    cluster: &ClusterSettings,
    group: &str,
    reading: Reading,
) -> KafkaResult<BaseConsumer<Membership>> {
    let mut config = client::config(
        cluster,
        &[
            ("group.id", group),
            ("enable.auto.commit", "false"),
            ("enable.auto.offset.store", "false"),
            ("auto.offset.reset", "error"),
            ("isolation.level", "read_committed"),
            ("enable.partition.eof", "false"),
            ("partition.assignment.strategy", "cooperative-sticky"),
            ("check.crcs", "true"),
            // Tells when a topic was made anew (see `client::Asking`).
            ("debug", "topic"),
        ],
    );
    config.set_log_level(RDKafkaLogLevel::Debug);
    for (name, value) in [
        ("session.timeout.ms", "15000"),
        // By default three seconds: so long the others do not hear that somebody has come.
        ("heartbeat.interval.ms", "1000"),
        ("queued.max.messages.kbytes", &reading.queued_kib.clamp(1, 2_097_151).to_string()),
        // By default a second: a queue that was full is emptied long before.
        ("fetch.queue.backoff.ms", "5"),
        ("topic.metadata.refresh.interval.ms", "10000"),
    ] {
        if !client::is_set(cluster, name) {
            config.set(name, value);
        }
    }
    config.create_with_context(Membership {
        accept_gap: reading.accept_gap,
        waits: reading.waits,
        events: Mutex::default(),
        has_events: AtomicBool::new(false),
        leaving: AtomicBool::new(false),
    })
}

impl Membership {
    /// What happened since this was last asked.
    pub fn take_events(&self) -> Vec<Event> {
        if !self.has_events.swap(false, Ordering::Acquire) {
            return Vec::new();
        }
        std::mem::take(&mut *self.events.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Begins nothing any more: what the group still gives is given back when the consumer closes.
    pub fn leave(&self) {
        self.leaving.store(true, Ordering::Relaxed);
    }

    fn tell(&self, event: Event) {
        self.events.lock().unwrap_or_else(PoisonError::into_inner).push(event);
        self.has_events.store(true, Ordering::Release);
    }

    fn assign(&self, consumer: &BaseConsumer<Self>, list: &TopicPartitionList) -> KafkaResult<()> {
        let places: Vec<Place> = list.to_topic_map().into_keys().collect();
        // A consumer that closes answers no questions, and lets go of whatever it is given.
        if places.is_empty() || self.leaving.load(Ordering::Relaxed) {
            return consumer.incremental_assign(list);
        }
        let committed = retry(|| committed(consumer, &places))?;
        let bounds = retry(|| bounds(consumer, &places))?;
        let (mut assigned, mut paused) = (TopicPartitionList::new(), TopicPartitionList::new());
        let mut events = Vec::new();
        for place in places {
            let (low, high) = bounds.get(&place).copied().unwrap_or_default();
            let (topic, partition) = (place.0.as_str(), place.1);
            let (from, gap) = match committed.get(&place) {
                Some(committed) if (low..=high).contains(committed) => (*committed, None),
                Some(committed) => (low, Some(Gap { committed: *committed, low, high })),
                None => (low, None),
            };
            assigned.add_partition_offset(topic, partition, Offset::Offset(from))?;
            if self.waits || (gap.is_some() && !self.accept_gap) {
                paused.add_partition(topic, partition);
            }
            events.push(Event::Assigned(place, from, gap));
        }
        consumer.incremental_assign(&assigned)?;
        // A pause outlives an assignment in librdkafka.
        Consumer::resume(consumer, list)?;
        Consumer::pause(consumer, &paused)?;
        events.into_iter().for_each(|event| self.tell(event));
        Ok(())
    }
}

impl ClientContext for Membership {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        if !matches!(level, RDKafkaLogLevel::Debug) {
            return client::log(level, facility, message);
        }
        if let Some((topic, old, _)) = client::changed_id(message)
            && old != client::NO_ID
        {
            self.tell(Event::MadeAnew(topic.to_owned()));
        }
    }

    fn error(&self, error: KafkaError, reason: &str) {
        tracing::debug!(%error, reason, "consumer");
    }
}

impl ConsumerContext for Membership {
    fn rebalance(&self, consumer: &BaseConsumer<Self>, err: RDKafkaRespErr, list: &mut TopicPartitionList) {
        // Until it is answered, the client neither goes on nor closes: a failure is answered too.
        let done: KafkaResult<()> = if err == RDKafkaRespErr::RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS {
            let assigned = self.assign(consumer, list);
            assigned.or_else(|error| consumer.incremental_assign(&TopicPartitionList::new()).and(Err(error)))
        } else {
            list.to_topic_map().into_keys().for_each(|place| self.tell(Event::Revoked(place)));
            let unassigned = consumer.incremental_unassign(list);
            unassigned.or_else(|error| consumer.unassign().and(Err(error)))
        };
        if let Err(error) = done {
            self.tell(Event::Failed(error.into()));
        }
    }
}

impl Member for BaseConsumer<Membership> {
    type Message<'m> = BorrowedMessage<'m>;

    fn poll(&self, patience: Duration) -> Option<Result<BorrowedMessage<'_>, Failure>> {
        Some(Self::poll(self, patience)?.map_err(sorted))
    }

    fn take_events(&self) -> Vec<Event> {
        self.context().take_events()
    }

    fn assignment(&self) -> Result<BTreeSet<Place>, Failure> {
        Ok(Consumer::assignment(self)?.to_topic_map().into_keys().collect())
    }

    fn positions(&self) -> Result<BTreeMap<Place, i64>, Failure> {
        let mut positions = BTreeMap::new();
        // Where nothing was read yet, it begins where it was assigned.
        for list in [Consumer::assignment(self)?, self.position()?] {
            for (place, offset) in list.to_topic_map() {
                if let Offset::Offset(offset) = offset {
                    positions.insert(place, offset);
                }
            }
        }
        Ok(positions)
    }

    fn pause<'p>(&self, places: impl IntoIterator<Item = &'p Place>) -> Result<(), Failure> {
        Ok(Consumer::pause(self, &unplaced(places))?)
    }

    fn resume<'p>(&self, places: impl IntoIterator<Item = &'p Place>) -> Result<(), Failure> {
        Ok(Consumer::resume(self, &unplaced(places))?)
    }

    fn seek(&self, to: &[(Place, i64)]) -> Result<(), Failure> {
        let sought = self.seek_partitions(placed(to)?, SEEK_WITHIN)?;
        Ok(sought.elements().iter().try_for_each(TopicPartitionListElem::error)?)
    }

    fn committed(&self, places: &[Place]) -> Result<BTreeMap<Place, (i64, String)>, Failure> {
        Ok(ask_committed(self, places, |element, offset| (offset, element.metadata().to_owned()))?)
    }

    fn bounds(&self, places: &[Place]) -> Result<BTreeMap<Place, (i64, i64)>, Failure> {
        Ok(bounds(self, places)?)
    }

    fn answers(&self, topic: &str) -> bool {
        partitions(self.client(), topic, ANSWER_WITHIN).is_ok()
    }

    fn leave(&self) {
        self.context().leave();
    }
}

/// What an error of a member means.
fn sorted(error: KafkaError) -> Failure {
    use RDKafkaErrorCode as Code;
    let trouble = match error.rdkafka_error_code() {
        Some(Code::AutoOffsetReset | Code::OffsetOutOfRange) => Trouble::OutOfRange,
        Some(Code::BrokerTransportFailure) => Trouble::Disconnected,
        Some(
            Code::AllBrokersDown
            | Code::UnknownTopicOrPartition
            | Code::UnknownTopic
            | Code::TopicAuthorizationFailed
            | Code::GroupAuthorizationFailed,
        ) => Trouble::CutOff,
        Some(
            Code::OperationTimedOut
            | Code::RequestTimedOut
            | Code::Resolve
            | Code::NotCoordinator
            | Code::CoordinatorNotAvailable
            | Code::CoordinatorLoadInProgress
            | Code::PollExceeded,
        ) => Trouble::Passing,
        _unknown_is_not_harmless => Trouble::Unknown,
    };
    Failure { trouble, said: error.to_string() }
}

/// Places as the client wants them.
fn unplaced<'p>(places: impl IntoIterator<Item = &'p Place>) -> TopicPartitionList {
    let mut list = TopicPartitionList::new();
    for (topic, partition) in places {
        list.add_partition(topic, *partition);
    }
    list
}

fn placed(offsets: &[(Place, i64)]) -> KafkaResult<TopicPartitionList> {
    let mut list = TopicPartitionList::with_capacity(offsets.len());
    for ((topic, partition), offset) in offsets {
        list.add_partition_offset(topic, *partition, Offset::Offset(*offset))?;
    }
    Ok(list)
}

/// Offsets to commit as the client wants them.
pub(super) fn list(offsets: &Offsets) -> KafkaResult<TopicPartitionList> {
    let list = placed(&offsets.places)?;
    for ((topic, partition), _) in offsets.places.iter().filter(|_| !offsets.mark.is_empty()) {
        list.find_partition(topic, *partition)
            .into_iter()
            .for_each(|mut one| one.set_metadata(&offsets.mark));
    }
    Ok(list)
}

/// Has a group begin at the end of these topics: where it has no offset of a topic at all, the ends are
/// committed for every partition. A group that has members has begun.
pub fn begin_at_end(
    cluster: &ClusterSettings,
    group: &str,
    topics: &BTreeMap<String, usize>,
) -> KafkaResult<()> {
    let consumer: BaseConsumer = client::config(cluster, &[("group.id", group)]).create()?;
    for (topic, partitions) in topics {
        let count = i32::try_from(*partitions).unwrap_or(i32::MAX);
        let places: Vec<Place> = (0..count).map(|partition| (topic.clone(), partition)).collect();
        if !retry(|| committed(&consumer, &places))?.is_empty() {
            continue;
        }
        let mut ends = TopicPartitionList::new();
        for ((topic, partition), (_, high)) in retry(|| bounds(&consumer, &places))? {
            ends.add_partition_offset(&topic, partition, Offset::Offset(high))?;
        }
        match consumer.commit(&ends, CommitMode::Sync) {
            Err(error) if is_joined(&error) => {}
            done => done?,
        }
    }
    Ok(())
}

/// Whether a commit from outside was refused because the group has members.
fn is_joined(error: &KafkaError) -> bool {
    matches!(
        error.rdkafka_error_code(),
        Some(
            RDKafkaErrorCode::UnknownMemberId
                | RDKafkaErrorCode::IllegalGeneration
                | RDKafkaErrorCode::RebalanceInProgress
        )
    )
}

/// The committed offsets of those partitions that have one.
fn committed<C: ConsumerContext>(
    consumer: &BaseConsumer<C>,
    places: &[Place],
) -> KafkaResult<BTreeMap<Place, i64>> {
    ask_committed(consumer, places, |_, offset| offset)
}

fn ask_committed<C: ConsumerContext, T>(
    consumer: &BaseConsumer<C>,
    places: &[Place],
    answer: impl Fn(&TopicPartitionListElem<'_>, i64) -> T,
) -> KafkaResult<BTreeMap<Place, T>> {
    let mut list = TopicPartitionList::with_capacity(places.len());
    for (topic, partition) in places {
        list.add_partition(topic, *partition);
    }
    let mut offsets = BTreeMap::new();
    for element in consumer.committed_offsets(list, ASK_WITHIN)?.elements() {
        element.error()?;
        if let Offset::Offset(offset) = element.offset() {
            let place = (element.topic().to_owned(), element.partition());
            offsets.insert(place, answer(&element, offset));
        }
    }
    Ok(offsets)
}

/// The first offset and the end of each partition.
fn bounds<C: ConsumerContext>(
    consumer: &BaseConsumer<C>,
    places: &[Place],
) -> KafkaResult<BTreeMap<Place, (i64, i64)>> {
    let ask = |which: Offset| -> KafkaResult<BTreeMap<Place, i64>> {
        let mut list = TopicPartitionList::with_capacity(places.len());
        for (topic, partition) in places {
            list.add_partition_offset(topic, *partition, which)?;
        }
        let mut found = BTreeMap::new();
        for element in consumer.offsets_for_times(list, ASK_WITHIN)?.elements() {
            element.error()?;
            if let Offset::Offset(offset) = element.offset() {
                found.insert((element.topic().to_owned(), element.partition()), offset);
            }
        }
        Ok(found)
    };
    let (lows, highs) = (ask(Offset::Beginning)?, ask(Offset::End)?);
    let both = lows.into_iter().filter_map(|(place, low)| {
        let high = *highs.get(&place)?;
        Some((place, (low, high)))
    });
    let both: BTreeMap<_, _> = both.collect();
    if both.len() == places.len() {
        return Ok(both);
    }
    Err(KafkaError::OffsetFetch(RDKafkaErrorCode::LeaderNotAvailable))
}

fn retry<T>(mut ask: impl FnMut() -> KafkaResult<T>) -> KafkaResult<T> {
    let mut answer = ask();
    for _ in 1..TRIES {
        if answer.is_ok() {
            break;
        }
        std::thread::sleep(Duration::from_millis(200));
        answer = ask();
    }
    answer
}
