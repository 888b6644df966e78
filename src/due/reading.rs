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
use crate::source::pace;
use crate::time::{Instant, Timestamp};

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

/// A client that has given nothing for so long, not even an end, is replaced: it may have locked itself up
/// (confluentinc/librdkafka#5476), and an idle topic looks no different.
const SILENT_FOR: Duration = Duration::from_secs(300);

/// A topic that is read. Its client is never told to read something else, but replaced: one that is dead inside would
/// not come back from being told.
pub(super) struct Reading {
    cluster: ClusterSettings,
    topic: String,
    /// `None`: it is to be made.
    consumer: Option<BaseConsumer<Asking>>,
    /// When it last gave anything.
    heard: Instant,
    topic_id: Option<String>,
    /// What is read: the offset below which everything committed has been.
    positions: BTreeMap<i32, Option<i64>>,
}

impl Reading {
    /// Nothing is read yet.
    pub fn new(cluster: &ClusterSettings, topic: &str) -> Self {
        Self {
            cluster: cluster.clone(),
            topic: topic.to_owned(),
            consumer: None,
            heard: Instant::now(),
            topic_id: None,
            positions: BTreeMap::new(),
        }
    }

    /// The topic's name.
    pub fn topic(&self) -> &str {
        &self.topic
    }

    /// Reads a partition from its beginning.
    pub fn begin(&mut self, partition: i32) {
        self.positions.insert(partition, None);
        self.stop_reading();
    }

    /// Reads a partition no longer: what still comes of it is passed over.
    pub fn leave(&mut self, partition: i32) {
        self.positions.remove(&partition);
        if self.is_idle() {
            self.stop_reading();
        }
    }

    fn stop_reading(&mut self) {
        if let Some(consumer) = self.consumer.take() {
            self.topic_id = consumer.context().topic_id().or(self.topic_id.take());
            pace::let_go(consumer);
        }
    }

    /// A client that reads from where each partition stands.
    fn connect(&self) -> KafkaResult<BaseConsumer<Asking>> {
        let mut config = client::by_hand(&self.cluster, "consentry-due-reader");
        config.set("fetch.queue.backoff.ms", "5").set("debug", "topic");
        config.set("queued.max.messages.kbytes", QUEUED_KIB.to_string());
        let consumer: BaseConsumer<Asking> =
            config.set_log_level(RDKafkaLogLevel::Debug).create_with_context(Asking::default())?;
        if let Some(topic_id) = &self.topic_id {
            consumer.context().expect(topic_id);
        }
        let mut list = TopicPartitionList::new();
        for (partition, position) in &self.positions {
            let from = position.filter(|next| *next > 0).map_or(Offset::Beginning, Offset::Offset);
            list.add_partition_offset(&self.topic, *partition, from)?;
        }
        consumer.assign(&list)?;
        Ok(consumer)
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
        if self.is_idle() {
            pace::sleep(patience);
            return Ok(());
        }
        if self.heard.elapsed() > SILENT_FOR {
            self.stop_reading();
        }
        let (mut patience, mut heard) = (patience, self.consumer.is_none());
        let consumer = match self.consumer.take() {
            Some(consumer) => consumer,
            None => self.connect()?,
        };
        let consumer = self.consumer.insert(consumer);
        for _ in 0..most {
            let polled = consumer.poll(patience);
            patience = Duration::ZERO;
            // Told before anything of the new topic can be polled.
            if consumer.context().changes() > 0 {
                return Err(End::MadeAnew(self.topic.clone()));
            }
            match polled {
                None => break,
                Some(Ok(message)) => {
                    heard = true;
                    let partition = message.partition();
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
                    heard = true;
                    let end = consumer.context().end();
                    self.positions.entry(partition).and_modify(|position| *position = (*position).max(end));
                }
                Some(Err(error)) => harmless(error)?,
            }
        }
        if heard {
            self.heard = Instant::now();
        }
        Ok(())
    }
}

impl Drop for Reading {
    fn drop(&mut self) {
        self.stop_reading();
    }
}
