//! A topic's partitions, read from their beginning to their end as it is when that is begun: what a compacted
//! topic says.
//!
//! By hand and without a group. Only committed messages are told, and the end is the high watermark: where a
//! transaction is still open before it, the reading waits until that has ended.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use crate::source::{Begin, Cluster, Failure, Feed, Message, Polled, Purpose, Survey, Trouble, pace};
use crate::time::Instant;

/// How long the brokers may take to know of a partition that was just added.
const KNOWN_WITHIN: Duration = Duration::from_secs(10);
const PAUSE: Duration = Duration::from_millis(50);

/// Reads one topic.
pub struct Replay<C: Cluster> {
    topic: String,
    feed: Arc<C::Feed>,
    survey: C::Survey,
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

impl<C: Cluster> Replay<C> {
    /// Reads nothing yet.
    pub fn new(cluster: &C, topic: &str) -> Result<Self, Failure> {
        Ok(Self {
            topic: topic.to_owned(),
            feed: Arc::new(cluster.feed(Purpose::Held)?),
            survey: cluster.survey(Purpose::Held)?,
            ends: BTreeMap::new(),
        })
    }

    /// Begins to read a partition.
    pub fn begin(&mut self, partition: i32) -> Result<(), Failure> {
        let end = self.end(partition)?;
        self.feed.add(&self.topic, &[(partition, Begin::First)])?;
        self.ends.insert(partition, end);
        Ok(())
    }

    /// Reads a partition no longer.
    pub fn leave(&mut self, partition: i32) -> Result<(), Failure> {
        if self.ends.remove(&partition).is_none() {
            return Ok(());
        }
        self.feed.remove(&self.topic, &[partition])
    }

    /// Whether anything is being read.
    pub fn is_reading(&self) -> bool {
        !self.ends.is_empty()
    }

    /// Reads what is there, so many messages at most; `each` is told the partition of each.
    pub fn read(&mut self, most: usize, mut each: impl FnMut(i32, Replayed<'_>)) -> Result<(), Failure> {
        let feed = Arc::clone(&self.feed);
        for _ in 0..most {
            let (partition, next) = match feed.poll(Duration::ZERO) {
                None => break,
                Some(Ok(Polled::Message(message))) => {
                    let partition = message.partition();
                    if self.ends.contains_key(&partition) {
                        each(partition, Replayed::Message(message.key(), message.value()));
                    }
                    (partition, message.offset() + 1)
                }
                // Control records and what compaction took are not told: the end tells that they are passed.
                Some(Ok(Polled::End(partition, end))) => (partition, end.unwrap_or(0)),
                Some(Err(error)) if error.trouble == Trouble::Passing => {
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
    fn end(&self, partition: i32) -> Result<i64, Failure> {
        let began = Instant::now();
        loop {
            match self.survey.end(&self.topic, partition) {
                Err(_) if began.elapsed() < KNOWN_WITHIN => pace::sleep(PAUSE),
                end => return end,
            }
        }
    }
}
