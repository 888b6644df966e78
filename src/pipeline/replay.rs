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
/// A client that has given nothing for so long is replaced: it may have locked itself up (confluentinc/librdkafka#5476).
/// Or a transaction is open, and the next client has as little to give.
const SILENT_FOR: Duration = Duration::from_secs(10);
/// Where one after the other gives nothing, each gets more time: it might be slow.
const SILENT_FOR_AT_MOST: Duration = Duration::from_secs(80);

/// Reads one topic. Its client is never told to read something else, but replaced: one that is dead inside would not
/// come back from being told.
pub struct Replay<C: Cluster> {
    topic: String,
    /// `None`: it is to be made anew.
    feed: Option<Arc<C::Feed>>,
    /// When it last gave anything, and how long it may take until it does again.
    heard: Instant,
    patience: Duration,
    survey: C::Survey,
    parts: BTreeMap<i32, Part>,
}

/// A partition that is being read.
struct Part {
    next: i64,
    end: i64,
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
            feed: None,
            heard: Instant::now(),
            patience: SILENT_FOR,
            survey: cluster.survey(Purpose::Held)?,
            parts: BTreeMap::new(),
        })
    }

    /// Begins to read a partition.
    pub fn begin(&mut self, partition: i32) -> Result<(), Failure> {
        let end = self.end(partition)?;
        self.parts.insert(partition, Part { next: 0, end });
        self.stop_reading();
        Ok(())
    }

    /// Reads a partition no longer: what still comes of it is passed over.
    pub fn leave(&mut self, partition: i32) {
        self.parts.remove(&partition);
    }

    /// Whether anything is being read.
    pub fn is_reading(&self) -> bool {
        !self.parts.is_empty()
    }

    /// Reads what is there, so many messages at most; `each` is told the partition of each.
    pub fn read(
        &mut self,
        cluster: &C,
        most: usize,
        mut each: impl FnMut(i32, Replayed<'_>),
    ) -> Result<(), Failure> {
        if !self.is_reading() {
            return Ok(());
        }
        if self.heard.elapsed() > self.patience {
            self.patience = (self.patience * 2).min(SILENT_FOR_AT_MOST);
            self.stop_reading();
        }
        let feed = self.feed(cluster)?;
        for _ in 0..most {
            let (partition, next) = match feed.poll(Duration::ZERO) {
                None => break,
                Some(Ok(Polled::Message(message))) => {
                    let partition = message.partition();
                    if self.parts.contains_key(&partition) {
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
            (self.heard, self.patience) = (Instant::now(), SILENT_FOR);
            let Some(part) = self.parts.get_mut(&partition) else { continue };
            part.next = next.max(part.next);
            if part.next >= part.end {
                self.leave(partition);
                each(partition, Replayed::End);
            }
        }
        Ok(())
    }

    /// What reads, from where each partition stands.
    fn feed(&mut self, cluster: &C) -> Result<Arc<C::Feed>, Failure> {
        if let Some(feed) = &self.feed {
            return Ok(Arc::clone(feed));
        }
        let feed = Arc::new(cluster.feed(Purpose::Held)?);
        let begin = |part: &Part| if part.next > 0 { Begin::At(part.next) } else { Begin::First };
        let from: Vec<_> = self.parts.iter().map(|(partition, part)| (*partition, begin(part))).collect();
        feed.assign(&self.topic, &from)?;
        self.heard = Instant::now();
        self.feed = Some(Arc::clone(&feed));
        Ok(feed)
    }

    fn stop_reading(&mut self) {
        if let Some(feed) = self.feed.take() {
            pace::let_go(feed);
        }
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

impl<C: Cluster> Drop for Replay<C> {
    fn drop(&mut self) {
        self.stop_reading();
    }
}
