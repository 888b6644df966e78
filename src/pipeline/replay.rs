//! A topic's partitions, read from their beginning to their end as it is when that is begun: what a compacted
//! topic says.
//!
//! By hand and without a group. Only committed messages are told, and the end is the high watermark: where a
//! transaction is still open before it, the reading waits until that has ended.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use rdkafka::TopicPartitionList;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, KafkaResult, RDKafkaErrorCode};
use rdkafka::message::Message;
use rdkafka::topic_partition_list::Offset;

use super::client::{self, Asking};
use super::settings::ClusterSettings;
use crate::time::Instant;

const ASK_WITHIN: Duration = Duration::from_secs(10);
/// How long the brokers may take to know of a partition that was just added.
const KNOWN_WITHIN: Duration = Duration::from_secs(10);
const PAUSE: Duration = Duration::from_millis(50);

/// Reads one topic.
pub struct Replay {
    topic: String,
    consumer: Arc<BaseConsumer<Asking>>,
    /// Sees what is not committed yet too.
    asker: BaseConsumer,
    /// What is being read, and up to where.
    ends: BTreeMap<i32, i64>,
}

/// What was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Replayed<'m> {
    /// A message: its key and its value, `None` where Kafka has null.
    Message(Option<&'m [u8]>, Option<&'m [u8]>),
    /// The partition is read to its end.
    End,
}

impl Replay {
    /// Reads nothing yet.
    pub fn new(cluster: &ClusterSettings, topic: &str) -> KafkaResult<Self> {
        let mut consumer = client::by_hand(cluster, "consentry-replay");
        consumer.set("fetch.wait.max.ms", "20").set("fetch.queue.backoff.ms", "2");
        let asker = client::config(cluster, &[("isolation.level", "read_uncommitted")]);
        Ok(Self {
            topic: topic.to_owned(),
            consumer: Arc::new(consumer.create_with_context(Asking::default())?),
            asker: asker.create()?,
            ends: BTreeMap::new(),
        })
    }

    /// Begins to read a partition.
    pub fn begin(&mut self, partition: i32) -> KafkaResult<()> {
        let end = self.end(partition)?;
        let mut list = TopicPartitionList::new();
        list.add_partition_offset(&self.topic, partition, Offset::Beginning)?;
        self.consumer.incremental_assign(&list)?;
        self.ends.insert(partition, end);
        Ok(())
    }

    /// Reads a partition no longer.
    pub fn leave(&mut self, partition: i32) -> KafkaResult<()> {
        if self.ends.remove(&partition).is_none() {
            return Ok(());
        }
        let mut list = TopicPartitionList::new();
        list.add_partition(&self.topic, partition);
        self.consumer.incremental_unassign(&list)
    }

    /// Whether anything is being read.
    pub fn is_reading(&self) -> bool {
        !self.ends.is_empty()
    }

    /// Reads what is there, so many messages at most; `each` is told the partition of each.
    pub fn read(&mut self, most: usize, mut each: impl FnMut(i32, Replayed<'_>)) -> KafkaResult<()> {
        let consumer = Arc::clone(&self.consumer);
        for _ in 0..most {
            let (partition, next) = match consumer.poll(Duration::ZERO) {
                None => break,
                Some(Ok(message)) => {
                    let partition = message.partition();
                    if self.ends.contains_key(&partition) {
                        each(partition, Replayed::Message(message.key(), message.payload()));
                    }
                    (partition, message.offset() + 1)
                }
                // Control records and what compaction took are not told: the end tells that they are passed.
                Some(Err(KafkaError::PartitionEOF(partition))) => {
                    (partition, consumer.context().end().unwrap_or(0))
                }
                Some(Err(error)) if client::is_absence_by_hand(&error) => {
                    tracing::debug!(topic = self.topic, %error, "replay");
                    continue;
                }
                Some(Err(error)) => return Err(error),
            };
            if self.ends.get(&partition).is_some_and(|end| next >= *end) {
                self.leave(partition)?;
                each(partition, Replayed::End);
            }
        }
        Ok(())
    }

    /// A partition's high watermark.
    fn end(&self, partition: i32) -> KafkaResult<i64> {
        let began = Instant::now();
        loop {
            let mut list = TopicPartitionList::new();
            list.add_partition_offset(&self.topic, partition, Offset::End)?;
            let answer = self.asker.offsets_for_times(list, ASK_WITHIN).and_then(|list| {
                let elements = list.elements();
                let element = elements.first().ok_or(KafkaError::NoMessageReceived)?;
                element.error().map(|()| element.offset())
            });
            match answer {
                Ok(Offset::Offset(end)) => return Ok(end),
                Ok(_) | Err(_) if began.elapsed() < KNOWN_WITHIN => std::thread::sleep(PAUSE),
                Ok(_) => return Err(KafkaError::OffsetFetch(RDKafkaErrorCode::LeaderNotAvailable)),
                Err(error) => return Err(error),
            }
        }
    }
}
