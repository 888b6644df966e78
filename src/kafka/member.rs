//! A member of a pipeline's consumer group: which partitions it has, and where it begins.
//!
//! Where a partition begins is decided here ([`begins`]), never by librdkafka. One with a gap is assigned but paused,
//! unless gaps are accepted. What an error of the client means is decided here too.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext};
use rdkafka::error::{KafkaError, KafkaResult};
use rdkafka::message::BorrowedMessage;
use rdkafka::topic_partition_list::{Offset, TopicPartitionListElem};
use rdkafka::types::{RDKafkaErrorCode, RDKafkaRespErr};
use rdkafka::{ClientContext, TopicPartitionList};

use super::client;
use super::offsets::{ask_committed, bounds, committed, placed, retry, unplaced};
use super::settings::ClusterSettings;
use super::topics::partitions;
use crate::source::{Event, Failure, Member, Place, Reading, Trouble, begins};
use crate::time::Instant;

const SEEK_WITHIN: Duration = Duration::from_secs(10);
/// How long the brokers may take to say that a topic is there.
const ANSWER_WITHIN: Duration = Duration::from_secs(2);
/// How long a member that is dismissed may take to give back what it has.
const LEAVE_WITHIN: Duration = Duration::from_secs(10);

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
            let bounds = bounds.get(&place).copied().unwrap_or_default();
            let (from, gap) = begins(committed.get(&place).copied(), bounds);
            let (topic, partition) = (place.0.as_str(), place.1);
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

    fn dismiss(&self) {
        self.context().leave();
        self.unsubscribe();
        // What it has is given back within a poll.
        let began = Instant::now();
        while began.elapsed() < LEAVE_WITHIN {
            drop(Self::poll(self, ANSWER_WITHIN / 10));
        }
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
