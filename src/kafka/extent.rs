//! Parts of topics, read once from one offset to another.
//!
//! By hand and without a group, of what is committed. Where a part ends is settled before it is read; a transaction that
//! is still open before that end is waited for, but not without end.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaError;
use rdkafka::message::{BorrowedMessage, Message};
use rdkafka::topic_partition_list::Offset;
use rdkafka::{Timestamp, TopicPartitionList};
use thiserror::Error;

use super::client::{self, Asking};
use super::offsets;
use super::settings::ClusterSettings;
use super::topics::{self, ASK_WITHIN};
use crate::source::{Place, TopicError};
use crate::time::Instant;

const POLL: Duration = Duration::from_millis(100);
/// How long nothing may come of a part that has not ended.
const PATIENCE: Duration = Duration::from_secs(60);

/// Why something cannot be read.
#[derive(Debug, Error)]
pub enum ExtentError {
    /// The topic cannot be asked about.
    #[error(transparent)]
    Topic(#[from] TopicError),
    /// The brokers do not answer, or not as they should.
    #[error(transparent)]
    Kafka(#[from] KafkaError),
    /// Nothing comes.
    #[error(
        "nothing more came of topic `{0}` partition {1} for {seconds} s, from offset {2} to {3}: a transaction may be open there",
        seconds = PATIENCE.as_secs()
    )]
    Stuck(String, i32, i64, i64),
}

/// A message that was read.
pub type Found<'m> = BorrowedMessage<'m>;

/// Whether it was the broker that said when a message was appended, and not its producer.
pub fn is_by_broker(message: &Found<'_>) -> bool {
    matches!(message.timestamp(), Timestamp::LogAppendTime(_))
}

/// A part of a topic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Extent {
    /// The topic.
    pub topic: String,
    /// The partition.
    pub partition: i32,
    /// The first offset.
    pub from: i64,
    /// The offset behind the last.
    pub to: i64,
}

impl Extent {
    /// How many offsets it spans.
    pub fn len(&self) -> u64 {
        u64::try_from(self.to - self.from).unwrap_or(0)
    }

    /// Whether it spans none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// Reads parts of a cluster's topics.
pub struct Reader {
    cluster: ClusterSettings,
    consumer: Arc<BaseConsumer<Asking>>,
    /// Sees what is not committed yet too.
    asker: BaseConsumer,
}

impl Reader {
    /// Reads nothing yet.
    pub fn new(cluster: &ClusterSettings) -> Result<Self, ExtentError> {
        let mut consumer = client::by_hand(cluster, "consentry-verify");
        consumer.set("fetch.wait.max.ms", "20");
        let ours = [("isolation.level", "read_uncommitted"), ("group.id", "consentry-verify")];
        let asker = client::config(cluster, &ours).create()?;
        let consumer = Arc::new(consumer.create_with_context(Asking::default())?);
        Ok(Self { cluster: cluster.clone(), consumer, asker })
    }

    /// All that a topic holds now; `None`: there is no such topic.
    pub fn whole(&self, topic: &str) -> Result<Option<Vec<Extent>>, ExtentError> {
        let count = match topics::partitions(self.asker.client(), topic, ASK_WITHIN) {
            Ok(count) => count,
            Err(TopicError::Missing(_)) => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        let count = i32::try_from(count).unwrap_or(i32::MAX);
        let places: Vec<Place> = (0..count).map(|partition| (topic.to_owned(), partition)).collect();
        let bounds = offsets::bounds(&self.asker, &places)?.into_iter();
        let extent = |((topic, partition), (from, to))| Extent { topic, partition, from, to };
        Ok(Some(bounds.map(extent).collect()))
    }

    /// Up to where a group has committed, by topic and partition; one without a commit is not there.
    pub fn committed(&self, group: &str, all: &[Extent]) -> Result<BTreeMap<Place, i64>, ExtentError> {
        let asker: BaseConsumer = client::config(&self.cluster, &[("group.id", group)]).create()?;
        let places: Vec<Place> = all.iter().map(|one| (one.topic.clone(), one.partition)).collect();
        Ok(offsets::committed(&asker, &places)?)
    }

    /// The first offset of a part at which a message is from then on; its end where there is none.
    pub fn since(&self, one: &Extent, ms: i64) -> Result<i64, ExtentError> {
        let mut list = TopicPartitionList::new();
        // Below zero it would be another question.
        list.add_partition_offset(&one.topic, one.partition, Offset::Offset(ms.max(0)))?;
        let answers = self.asker.offsets_for_times(list, ASK_WITHIN)?;
        let elements = answers.elements();
        let Some(answer) = elements.first() else { return Ok(one.to) };
        answer.error()?;
        Ok(match answer.offset() {
            Offset::Offset(offset) => offset.clamp(one.from, one.to),
            _ => one.to,
        })
    }

    /// Reads parts of one topic, each in order.
    pub fn read(&self, all: &[Extent], mut each: impl FnMut(&Found<'_>)) -> Result<(), ExtentError> {
        let mut open: BTreeMap<i32, (i64, &Extent)> = BTreeMap::new();
        let mut list = TopicPartitionList::new();
        for one in all.iter().filter(|one| !one.is_empty()) {
            list.add_partition_offset(&one.topic, one.partition, Offset::Offset(one.from))?;
            open.insert(one.partition, (one.from, one));
        }
        if open.is_empty() {
            return Ok(());
        }
        self.consumer.assign(&list)?;
        let mut heard = Instant::now();
        while let Some((partition, (next, one))) = open.first_key_value() {
            if heard.elapsed() > PATIENCE {
                return Err(ExtentError::Stuck(one.topic.clone(), *partition, *next, one.to));
            }
            let (partition, next) = match self.consumer.poll(POLL) {
                None => continue,
                Some(Ok(message)) => {
                    heard = Instant::now();
                    let part = open.get(&message.partition());
                    if part.is_some_and(|(_, one)| message.offset() < one.to) {
                        each(&message);
                    }
                    (message.partition(), message.offset() + 1)
                }
                // Control records and what compaction took are not told: the end tells that they are passed.
                Some(Err(KafkaError::PartitionEOF(partition))) => {
                    (partition, self.consumer.context().end().unwrap_or(0))
                }
                Some(Err(error)) if client::is_absence_by_hand(&error) => {
                    tracing::debug!(%error, "verify");
                    continue;
                }
                Some(Err(error)) => return Err(error.into()),
            };
            if let Some((at, one)) = open.get_mut(&partition) {
                *at = next.max(*at);
                if *at >= one.to {
                    open.remove(&partition);
                }
            }
        }
        Ok(self.consumer.unassign()?)
    }
}
