//! The consent topic as one person's records are found in it and written to it.
//!
//! Reads are by hand and without a group, of what is committed; a write goes to a partition by its number, and is
//! done when all replicas have it. Nothing waits without end.

use std::collections::BTreeSet;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::time::Duration;

use rdkafka::ClientContext;
use rdkafka::TopicPartitionList;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaError;
use rdkafka::message::{BorrowedMessage, Header, Message, OwnedHeaders};
use rdkafka::producer::{BaseRecord, DeliveryResult, ProducerContext, ThreadedProducer};
use rdkafka::topic_partition_list::Offset;

use super::StewardError;
use super::plan::{Planned, Stored};
use super::settings::StewardSettings;
use super::subject::Subject;
use crate::cache::Place;
use crate::consent::split_key;
use crate::kafka::client::{self, Asking};
use crate::kafka::partition::{SETTLED, of_subject};
use crate::kafka::topics::{self, ASK_WITHIN};
use crate::time::Instant;

const POLL: Duration = Duration::from_millis(100);
/// How long an acknowledgement may take.
const ACKNOWLEDGED_WITHIN: Duration = Duration::from_secs(20);

/// A subject's messages, and how far the topic had been read when they were found.
#[derive(Clone, Debug)]
pub struct Found {
    /// The last message of each key on each partition, tombstones too.
    pub stored: Vec<Stored>,
    /// By partition, the offset from which on anything may have been written since.
    pub ends: Vec<i64>,
}

/// Clients of the topic.
pub struct Topic {
    name: String,
    consumer: BaseConsumer<Asking>,
    producer: ThreadedProducer<Deliveries>,
}

type Acknowledged = Result<(i32, i64), KafkaError>;

/// Hands each acknowledgement to who waits for it.
struct Deliveries;

impl ClientContext for Deliveries {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        client::log(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        tracing::debug!(%error, reason, "client");
    }
}

impl ProducerContext for Deliveries {
    type DeliveryOpaque = Box<SyncSender<Acknowledged>>;

    fn delivery(&self, result: &DeliveryResult<'_>, waits: Self::DeliveryOpaque) {
        let place = match result {
            Ok(message) => Ok((message.partition(), message.offset())),
            Err((error, _)) => Err(error.clone()),
        };
        // Whoever has stopped waiting has said so already.
        drop(waits.try_send(place));
    }
}

impl Topic {
    /// Makes the clients; nothing is asked yet.
    pub fn connect(settings: &StewardSettings) -> Result<Self, StewardError> {
        let reading = [
            // Never joined, never committed to: librdkafka wants a name to assign partitions by hand.
            ("group.id", "consentry-consent-desk"),
            ("enable.auto.commit", "false"),
            ("enable.auto.offset.store", "false"),
            ("auto.offset.reset", "earliest"),
            ("isolation.level", "read_committed"),
            ("enable.partition.eof", "true"),
            ("check.crcs", "true"),
            ("fetch.wait.max.ms", "10"),
            // From the leader alone: the end that a follower tells may lag.
            ("client.rack", ""),
        ];
        let writing = [
            ("acks", "all"),
            ("enable.idempotence", "true"),
            ("linger.ms", "0"),
            ("partitioner", "murmur2_random"),
            ("message.timeout.ms", "15000"),
        ];
        let consumer = client::config(&settings.cluster, &reading).create_with_context(Asking::default())?;
        let producer = client::config(&settings.cluster, &writing).create_with_context(Deliveries)?;
        Ok(Self { name: settings.topic.clone(), consumer, producer })
    }

    /// Reads the whole topic for a subject.
    pub fn scan(&self, subject: &Subject, patience: Duration) -> Result<Found, StewardError> {
        let count = topics::partitions(self.consumer.client(), &self.name, ASK_WITHIN)?;
        let mut found = Found { stored: Vec::new(), ends: vec![0; count] };
        for one in self.since(&mut found.ends, subject, patience)? {
            replace(&mut found.stored, one);
        }
        Ok(found)
    }

    /// Reads what stands at these places, as a cache knows them that is as fresh as these ends.
    pub fn at(&self, subject: &Subject, places: &[Place], ends: &[i64]) -> Result<Found, StewardError> {
        let mut stored = Vec::new();
        for place in places {
            stored.push(self.one(subject, *place)?);
        }
        Ok(Found { stored, ends: ends.to_vec() })
    }

    /// Every message about the subject from these offsets on, in the order of each partition. The offsets are moved
    /// to where it stopped.
    pub fn since(
        &self,
        ends: &mut Vec<i64>,
        subject: &Subject,
        patience: Duration,
    ) -> Result<Vec<Stored>, StewardError> {
        let count = topics::partitions(self.consumer.client(), &self.name, ASK_WITHIN)?;
        ends.resize(count.max(ends.len()), 0);
        let mut list = TopicPartitionList::new();
        for (partition, from) in ends.iter().enumerate() {
            let from = if *from == 0 { Offset::Beginning } else { Offset::Offset(*from) };
            list.add_partition_offset(&self.name, number(partition), from)?;
        }
        let (began, mut read) = (Instant::now(), Vec::new());
        let mut open: BTreeSet<i32> = (0..ends.len()).map(number).collect();
        self.consumer.assign(&list)?;
        while !open.is_empty() {
            if began.elapsed() > patience {
                return Err(StewardError::Slow(patience.as_secs()));
            }
            match self.consumer.poll(POLL) {
                None => {}
                Some(Ok(message)) => {
                    pass(ends, message.partition(), message.offset() + 1);
                    if message.key().is_some_and(|key| subject.is_named_by(key)) {
                        read.push(stored(&message));
                    }
                }
                Some(Err(KafkaError::PartitionEOF(partition))) => {
                    open.remove(&partition);
                    self.consumer.context().end().into_iter().for_each(|end| pass(ends, partition, end));
                }
                Some(Err(error)) => self.heard(error)?,
            }
        }
        self.consumer.unassign()?;
        Ok(read)
    }

    /// What stands at one place. What is gone was a tombstone: nothing else that is the last of its key is ever
    /// compacted away.
    fn one(&self, subject: &Subject, place: Place) -> Result<Stored, StewardError> {
        let mut list = TopicPartitionList::new();
        list.add_partition_offset(&self.name, place.partition, Offset::Offset(place.offset))?;
        self.consumer.assign(&list)?;
        let (began, mut read) = (Instant::now(), None);
        while read.is_none() {
            if began.elapsed() > ASK_WITHIN {
                return Err(StewardError::Slow(ASK_WITHIN.as_secs()));
            }
            let gone = || {
                let key = subject.key().into_bytes();
                Stored { partition: place.partition, offset: place.offset, key, message: None }
            };
            read = match self.consumer.poll(POLL) {
                None => None,
                Some(Ok(message)) => {
                    let own = message.offset() == place.offset && message.partition() == place.partition;
                    let own = own && message.key().is_some_and(|key| subject.is_named_by(key));
                    Some(if own { stored(&message) } else { gone() })
                }
                Some(Err(KafkaError::PartitionEOF(_))) => Some(gone()),
                Some(Err(error)) => {
                    self.heard(error)?;
                    None
                }
            };
        }
        self.consumer.unassign()?;
        read.ok_or(StewardError::Slow(0))
    }

    /// The brokers' absence may pass; all else is no answer.
    fn heard(&self, error: KafkaError) -> Result<(), StewardError> {
        use rdkafka::error::RDKafkaErrorCode as Code;
        let passing = error.rdkafka_error_code().is_some_and(|code| {
            matches!(
                code,
                Code::BrokerTransportFailure
                    | Code::AllBrokersDown
                    | Code::OperationTimedOut
                    | Code::RequestTimedOut
                    | Code::Resolve
                    | Code::GroupAuthorizationFailed
            )
        });
        if passing { Ok(()) } else { Err(error.into()) }
    }

    /// Writes these messages and waits until all replicas have them: where each stands.
    pub fn write(&self, planned: &[Planned], partitions: usize) -> Result<Vec<(i32, i64)>, StewardError> {
        let mut waits = Vec::new();
        for one in planned {
            let (sender, receiver) = sync_channel(1);
            let mut record = BaseRecord::<[u8], [u8], _>::with_opaque_to(&self.name, Box::new(sender));
            record.partition = Some(one.partition);
            record.key = Some(&one.key);
            record.payload = one.message.as_deref();
            if one.message.is_none() && !is_at_home(one, partitions) {
                let value: Option<&str> = Some("true");
                record.headers = Some(OwnedHeaders::new().insert(Header { key: SETTLED, value }));
            }
            self.producer.send(record).map_err(|(error, _)| error)?;
            waits.push(receiver);
        }
        let began = Instant::now();
        let mut places = Vec::new();
        for receiver in waits {
            let left = ACKNOWLEDGED_WITHIN.saturating_sub(began.elapsed());
            let place = receiver.recv_timeout(left);
            places.push(place.map_err(|_| StewardError::Unacknowledged)??);
        }
        Ok(places)
    }
}

/// Puts a message in the place of what stood under its key.
pub fn replace(stored: &mut Vec<Stored>, new: Stored) {
    stored.retain(|old| (old.partition, &old.key) != (new.partition, &new.key));
    stored.push(new);
}

/// Whether a message is on the partition that Java's clients would give it; elsewhere a tombstone also settles it.
fn is_at_home(one: &Planned, partitions: usize) -> bool {
    split_key(&one.key).is_some_and(|(kind, value)| of_subject(kind, value, partitions) == one.partition)
}

fn stored(message: &BorrowedMessage<'_>) -> Stored {
    Stored {
        partition: message.partition(),
        offset: message.offset(),
        key: message.key().unwrap_or_default().to_vec(),
        message: message.payload().map(<[u8]>::to_vec),
    }
}

fn pass(ends: &mut [i64], partition: i32, offset: i64) {
    let end = usize::try_from(partition).ok().and_then(|at| ends.get_mut(at));
    if let Some(end) = end {
        *end = offset.max(*end);
    }
}

fn number(partition: usize) -> i32 {
    i32::try_from(partition).unwrap_or(i32::MAX)
}
