//! The yardstick: what it costs to read records from Kafka and write them to Kafka in transactions, with
//! librdkafka, and do nothing else.
//!
//! One thread, one consumer, one transactional producer, a commit every 100 ms; key, value, headers,
//! timestamp and partition are kept. Its clients are tuned as Consentry's are, but for how long a record waits
//! for others of its batch, unless that is said, and for how the last acknowledgements of a transaction are waited
//! for: in the client's own poll, as its examples do.

use std::time::Duration;

use clap::Args;
use consentry::time::Instant;
use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{BorrowedHeaders, BorrowedMessage, Header, Message, OwnedHeaders};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};
use serde::de::IgnoredAny;

const COMMIT_EVERY: Duration = Duration::from_millis(100);
const CALL_WITHIN: Duration = Duration::from_secs(30);

/// What to copy.
#[derive(Debug, Args)]
pub struct Options {
    /// The broker.
    address: String,
    /// The topic to read.
    source: String,
    /// The topic to write, with as many partitions.
    sink: String,
    /// The consumer group.
    group: String,
    /// How long a record waits for others of its batch.
    #[arg(long, default_value = "5")]
    linger_ms: String,
    /// Each value is parsed as JSON too, and the headers that Consentry would write are written: what a permitted
    /// record costs at least.
    #[arg(long)]
    stamp: bool,
}

/// Headers as Consentry writes them.
const STAMP: [(&str, &str); 5] = [
    ("consentry.route", "permitted"),
    ("consentry.reason", "permitted"),
    ("consentry.policy", "0123456789abcdef"),
    ("consentry.purposes", "analytics"),
    ("consentry.consent_offset", "3:123456"),
];

/// Copies until the process is ended.
pub fn run(options: &Options) {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", &options.address).set("broker.address.family", "v4");
    let mut own = config.clone();
    own.set("group.id", &options.group).set("enable.auto.commit", "false");
    own.set("enable.auto.offset.store", "false").set("auto.offset.reset", "earliest");
    own.set("isolation.level", "read_committed").set("check.crcs", "true");
    own.set("queued.max.messages.kbytes", "32768").set("fetch.queue.backoff.ms", "5");
    let consumer: BaseConsumer = own.create().expect("a consumer");
    consumer.subscribe(&[&options.source]).expect("a subscription");
    config.set("transactional.id", format!("copy/{}", options.group)).set("linger.ms", &options.linger_ms);
    config.set("batch.size", "1000000").set("queue.buffering.max.kbytes", "32768");
    config.set("queue.buffering.max.messages", "0");
    let producer: BaseProducer = config.create().expect("a producer");
    producer.init_transactions(CALL_WITHIN).expect("a producer id");
    let (mut begun, mut next): (Option<Instant>, Vec<i64>) = (None, Vec::new());
    loop {
        match consumer.poll(Duration::from_millis(50)) {
            None => {}
            Some(Err(error)) => eprintln!("copy loop: {error}"),
            Some(Ok(message)) => {
                if begun.is_none() {
                    producer.begin_transaction().expect("none is open");
                    begun = Some(Instant::now());
                }
                copy(&producer, options, &message);
                let at = usize::try_from(message.partition()).expect("a partition");
                next.resize(next.len().max(at + 1), -1);
                next[at] = message.offset() + 1;
            }
        }
        if begun.is_some_and(|begun| begun.elapsed() >= COMMIT_EVERY) {
            commit(&producer, &consumer, &options.source, &mut next);
            begun = None;
        }
    }
}

fn copy(producer: &BaseProducer, options: &Options, message: &BorrowedMessage<'_>) {
    let mut record: BaseRecord<'_, [u8], [u8]> = BaseRecord::to(&options.sink).partition(message.partition());
    record.key = message.key();
    record.payload = message.payload();
    record.timestamp = message.timestamp().to_millis();
    record.headers = message.headers().map(BorrowedHeaders::detach);
    if options.stamp {
        let value = message.payload().unwrap_or_default();
        serde_json::from_slice::<IgnoredAny>(value).expect("a JSON value");
        let headers = record.headers.take().unwrap_or_else(|| OwnedHeaders::new_with_capacity(STAMP.len()));
        let each = |headers: OwnedHeaders, (key, value)| headers.insert(Header { key, value: Some(value) });
        record.headers = Some(STAMP.into_iter().fold(headers, each));
    }
    while let Err((error, back)) = producer.send(record) {
        let full = KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull);
        assert_eq!(error, full, "the record is taken");
        producer.poll(Duration::from_millis(1));
        record = back;
    }
}

fn commit(producer: &BaseProducer, consumer: &BaseConsumer, source: &str, next: &mut [i64]) {
    while producer.in_flight_count() > 0 {
        producer.poll(Duration::from_millis(1));
    }
    let mut offsets = TopicPartitionList::new();
    for (partition, next) in (0..).zip(next) {
        if *next >= 0 {
            offsets.add_partition_offset(source, partition, Offset::Offset(*next)).expect("an offset");
            *next = -1;
        }
    }
    let group = consumer.group_metadata().expect("a member of the group");
    producer.send_offsets_to_transaction(&offsets, &group, CALL_WITHIN).expect("offsets");
    producer.commit_transaction(CALL_WITHIN).expect("a commit");
}
