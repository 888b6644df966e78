//! A topic that is followed by hand, by consumers that know which topic it is ([`Asking`]).

use std::time::Duration;

use rdkafka::TopicPartitionList;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, KafkaResult, RDKafkaErrorCode};
use rdkafka::message::BorrowedMessage;
use rdkafka::topic_partition_list::Offset;

use super::client::{self, Asking};
use super::settings::ClusterSettings;
use super::topics::{self, ASK_WITHIN};
use crate::source::{Begin, Failure, Feed, Polled, Purpose, Survey, TopicError, Trouble};
use crate::time::Instant;

/// A consumer that reads what is committed.
pub(super) fn feed(cluster: &ClusterSettings, purpose: Purpose) -> KafkaResult<BaseConsumer<Asking>> {
    let name = match purpose {
        Purpose::Consent => "consentry-consent-reader",
        Purpose::Events | Purpose::Held => "consentry-replay",
    };
    let mut config = client::by_hand(cluster, name);
    // The backoff is a second by default: a queue that was full is emptied long before.
    config.set("fetch.wait.max.ms", "20").set("fetch.queue.backoff.ms", "2");
    if purpose == Purpose::Consent {
        config.set("debug", "topic").set_log_level(RDKafkaLogLevel::Debug);
    }
    config.create_with_context(Asking::default())
}

impl Feed for BaseConsumer<Asking> {
    type Message<'m> = BorrowedMessage<'m>;

    fn poll(&self, patience: Duration) -> Option<Result<Polled<BorrowedMessage<'_>>, Failure>> {
        Some(match Self::poll(self, patience)? {
            Ok(message) => Ok(Polled::Message(message)),
            Err(KafkaError::PartitionEOF(partition)) => Ok(Polled::End(partition, self.context().end())),
            Err(error) => {
                let passing = client::is_absence_by_hand(&error);
                let trouble = if passing { Trouble::Passing } else { Trouble::Unknown };
                Err(Failure { trouble, said: error.to_string() })
            }
        })
    }

    fn expect(&self, topic_id: &str) {
        self.context().expect(topic_id);
    }

    fn changes(&self) -> u64 {
        self.context().changes()
    }

    fn assign(&self, topic: &str, from: &[(i32, Begin)]) -> Result<(), Failure> {
        let mut list = TopicPartitionList::new();
        for (partition, begin) in from {
            let offset = match begin {
                Begin::First => Offset::Beginning,
                Begin::At(offset) => Offset::Offset(*offset),
            };
            list.add_partition_offset(topic, *partition, offset)?;
        }
        Ok(Consumer::assign(self, &list)?)
    }

    fn ends(&self, topic: &str, partitions: usize) -> Result<Vec<i64>, TopicError> {
        topics::ends(self, topic, partitions, ASK_WITHIN)
    }
}

/// A consumer that sees what is acknowledged. One partition of the topic that it keeps in mind is assigned to it, and
/// paused: so it knows the topic's id.
pub struct Surveyor {
    client: BaseConsumer<Asking>,
    is_assigned: bool,
}

impl Surveyor {
    pub(super) fn new(cluster: &ClusterSettings, purpose: Purpose) -> KafkaResult<Self> {
        let mut config = client::config(cluster, &[("isolation.level", "read_uncommitted")]);
        if purpose == Purpose::Consent {
            // Never joined, never committed to: librdkafka wants a name to assign partitions by hand.
            config.set("group.id", "consentry-consent-watch").set("enable.auto.commit", "false");
            config.set("debug", "topic").set_log_level(RDKafkaLogLevel::Debug);
        }
        Ok(Self { client: config.create_with_context(Asking::default())?, is_assigned: false })
    }
}

impl Survey for Surveyor {
    fn partitions(&self, topic: &str, within: Duration) -> Result<usize, TopicError> {
        topics::partitions(self.client.client(), topic, within)
    }

    fn ends(&self, topic: &str, partitions: usize, within: Duration) -> Result<Vec<i64>, TopicError> {
        topics::ends(&self.client, topic, partitions, within)
    }

    fn end(&self, topic: &str, partition: i32) -> Result<i64, Failure> {
        let mut list = TopicPartitionList::new();
        list.add_partition_offset(topic, partition, Offset::End)?;
        let answers = self.client.offsets_for_times(list, ASK_WITHIN)?;
        let elements = answers.elements();
        let element = elements.first().ok_or(KafkaError::NoMessageReceived)?;
        element.error()?;
        match element.offset() {
            Offset::Offset(end) => Ok(end),
            _none => Err(KafkaError::OffsetFetch(RDKafkaErrorCode::LeaderNotAvailable).into()),
        }
    }

    fn hold_on(&mut self, topic: &str, within: Duration) -> Result<(), Failure> {
        if !self.is_assigned {
            let mut list = TopicPartitionList::new();
            // At an offset as it stands, nothing is asked about it. A client that has asked a partition's leader about
            // an offset while that goes away may lock itself up for good (confluentinc/librdkafka#5476).
            list.add_partition_offset(topic, 0, Offset::Offset(0))?;
            Consumer::assign(&self.client, &list)?;
            self.client.pause(&list)?;
            self.is_assigned = true;
        }
        // What is heard is consumed without being returned: it is over when a poll heard nothing. The client
        // says something of every partition at every look.
        let began = Instant::now();
        let mut heard = None;
        while heard != Some(self.client.context().heard()) && began.elapsed() < within {
            heard = Some(self.client.context().heard());
            drop(self.client.poll(Duration::ZERO));
        }
        Ok(())
    }

    fn topic_id(&self) -> Option<String> {
        self.client.context().topic_id()
    }
}
