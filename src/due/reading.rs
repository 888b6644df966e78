//! A topic, read by partitions that come and go, each from its beginning, committed records only.

use std::collections::BTreeMap;
use std::time::Duration;

use rdkafka::TopicPartitionList;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, KafkaResult};
use rdkafka::message::Message as _;
use rdkafka::topic_partition_list::Offset;

use super::{End, QUEUED_KIB, harmless};
use crate::kafka::client::{self, Asking};
use crate::kafka::settings::ClusterSettings;
use crate::time::Timestamp;

/// A record as it came.
#[derive(Clone, Copy, Debug)]
pub(super) struct Message<'m> {
    pub partition: i32,
    pub offset: i64,
    pub key: &'m [u8],
    pub value: Option<&'m [u8]>,
    /// Kafka's timestamp, where there is one.
    pub timestamp: Option<Timestamp>,
}

/// A topic that is read.
pub(super) struct Reading {
    topic: String,
    consumer: BaseConsumer<Asking>,
    /// What is read: the offset below which everything committed has been.
    positions: BTreeMap<i32, Option<i64>>,
}

impl Reading {
    /// Nothing is read yet.
    pub fn new(cluster: &ClusterSettings, topic: &str) -> KafkaResult<Self> {
        let mut config = client::by_hand(cluster, "consentry-due-reader");
        config.set("fetch.queue.backoff.ms", "5").set("debug", "topic");
        config.set("queued.max.messages.kbytes", QUEUED_KIB.to_string());
        let consumer = config.set_log_level(RDKafkaLogLevel::Debug).create_with_context(Asking::default())?;
        Ok(Self { topic: topic.to_owned(), consumer, positions: BTreeMap::new() })
    }

    /// The topic's name.
    pub fn topic(&self) -> &str {
        &self.topic
    }

    /// Reads a partition from its beginning.
    pub fn begin(&mut self, partition: i32) -> KafkaResult<()> {
        let mut list = TopicPartitionList::new();
        list.add_partition_offset(&self.topic, partition, Offset::Beginning)?;
        self.positions.insert(partition, None);
        self.consumer.incremental_assign(&list)
    }

    /// Reads a partition no longer.
    pub fn leave(&mut self, partition: i32) -> KafkaResult<()> {
        if self.positions.remove(&partition).is_none() {
            return Ok(());
        }
        let mut list = TopicPartitionList::new();
        list.add_partition(&self.topic, partition);
        self.consumer.incremental_unassign(&list)
    }

    /// Whether nothing is read.
    pub fn is_idle(&self) -> bool {
        self.positions.is_empty()
    }

    /// The offset below which everything committed has been read.
    pub fn position(&self, partition: i32) -> Option<i64> {
        self.positions.get(&partition).copied().flatten()
    }

    /// Whether everything below `target` has been read.
    pub fn has_passed(&self, partition: i32, target: i64) -> bool {
        self.position(partition).is_some_and(|position| position >= target)
    }

    /// Reads at most so many records; waits so long for the first.
    pub fn read(
        &mut self,
        most: usize,
        patience: Duration,
        mut take: impl FnMut(Message<'_>) -> Result<(), End>,
    ) -> Result<(), End> {
        let mut patience = patience;
        for _ in 0..most {
            let polled = self.consumer.poll(patience);
            patience = Duration::ZERO;
            // Told before anything of the new topic can be polled.
            if self.consumer.context().changes() > 0 {
                return Err(End::MadeAnew(self.topic.clone()));
            }
            match polled {
                None => return Ok(()),
                Some(Ok(message)) => {
                    let partition = message.partition();
                    // One that was polled before the client had let go of its partition.
                    let Some(position) = self.positions.get_mut(&partition) else { continue };
                    take(Message {
                        partition,
                        offset: message.offset(),
                        key: message.key().unwrap_or_default(),
                        value: message.payload(),
                        timestamp: message.timestamp().to_millis().filter(|ms| *ms >= 0).map(Timestamp),
                    })?;
                    *position = (*position).max(Some(message.offset() + 1));
                }
                Some(Err(KafkaError::PartitionEOF(partition))) => {
                    // Control records and what compaction took are not polled: the end tells that they are passed.
                    let end = self.consumer.context().end();
                    self.positions.entry(partition).and_modify(|position| *position = (*position).max(end));
                }
                Some(Err(error)) => harmless(error)?,
            }
        }
        Ok(())
    }
}
