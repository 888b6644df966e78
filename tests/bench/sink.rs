//! What a reader of the sink sees, and when: committed records only, each at the moment it is handed out.
//!
//! The source topics of these measurements have `message.timestamp.type=LogAppendTime`. The broker stamps an
//! event when it appends it, Consentry and the copy loop keep the timestamp, and so a record in the sink
//! says when it was appended to the source. Broker and reader are on one machine and read one clock, in
//! milliseconds.

use std::time::Duration;

use consentry::time::Clock;
use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::message::Message;
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};

const CALL_WITHIN: Duration = Duration::from_secs(30);
/// After so long without a record there are no more, once all are committed.
const QUIET_MS: i64 = 2000;

/// The setting of a source topic whose events say when they were appended.
pub const STAMPED: &[(&str, &str)] = &[("message.timestamp.type", "LogAppendTime")];

/// A record in the sink.
#[derive(Clone, Copy, Debug)]
pub struct Arrival<'a> {
    /// Its key: the person.
    pub key: &'a [u8],
    /// When it was appended to the source.
    pub appended_ms: i64,
    /// When it was seen here.
    pub seen_ms: i64,
}

/// A reader of all partitions of a topic.
pub struct Sink {
    consumer: BaseConsumer,
}

impl Sink {
    /// Reads what is written from now on.
    pub fn from_end(address: &str, topic: &str, partitions: i32) -> Self {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", address).set("broker.address.family", "v4");
        config.set("group.id", "bench-sink").set("enable.auto.commit", "false");
        config.set("isolation.level", "read_committed");
        let consumer: BaseConsumer = config.create().expect("a consumer");
        let mut places = TopicPartitionList::new();
        for partition in 0..partitions {
            let (_, end) = consumer.fetch_watermarks(topic, partition, CALL_WITHIN).expect("an end");
            places.add_partition_offset(topic, partition, Offset::Offset(end)).expect("an offset");
        }
        consumer.assign(&places).expect("an assignment");
        Self { consumer }
    }

    /// Shows each record, while it `goes_on` and then until no more come.
    pub fn read(&self, goes_on: impl Fn() -> bool, mut each: impl FnMut(Arrival<'_>)) {
        let clock = Clock::default();
        let mut last_ms = clock.now().0;
        loop {
            let polled = self.consumer.poll(Duration::from_millis(50));
            let seen_ms = clock.now().0;
            match polled {
                Some(Ok(message)) => {
                    let appended_ms = message.timestamp().to_millis().expect("a timestamp");
                    each(Arrival { key: message.key().unwrap_or_default(), appended_ms, seen_ms });
                    last_ms = seen_ms;
                }
                Some(Err(error)) => eprintln!("reader of the sink: {error}"),
                None if goes_on() => last_ms = seen_ms,
                None if seen_ms - last_ms >= QUIET_MS => return,
                None => {}
            }
        }
    }
}
