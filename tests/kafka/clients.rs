//! Clients of the tests' own: what producers and readers around the proxy do, and no more.
//!
//! A reader is always `read_committed`, as whoever relies on exactly-once must be. Consents are written
//! with `murmur2_random`, the partitioner of Java's clients.

use std::sync::Mutex;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::time::Duration;

use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{BorrowedMessage, Header, Headers, Message, OwnedHeaders};
use rdkafka::producer::{
    BaseProducer, BaseRecord, DeliveryResult, Producer, ProducerContext, ThreadedProducer,
};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};

use super::wait::{secs, until};

const PATIENCE: Duration = secs(60);

/// A record to write, or one that was read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Row {
    pub key: Option<Vec<u8>>,
    pub value: Option<Vec<u8>>,
    pub headers: Vec<(String, Option<Vec<u8>>)>,
    /// Milliseconds; absent: when it is sent.
    pub timestamp: Option<i64>,
    /// Absent: the producer's partitioner chooses.
    pub partition: Option<i32>,
    /// Of what was read.
    pub offset: i64,
}

impl Row {
    /// The text of a header, the first of that name.
    pub fn header(&self, name: &str) -> Option<String> {
        let value = self.headers.iter().find(|header| header.0 == name)?.1.as_ref()?;
        Some(String::from_utf8_lossy(value).into_owned())
    }

    /// The value as JSON; null where it is none.
    pub fn json(&self) -> serde_json::Value {
        self.value.as_deref().and_then(|value| serde_json::from_slice(value).ok()).unwrap_or_default()
    }

    fn owned_headers(&self) -> OwnedHeaders {
        self.headers.iter().fold(OwnedHeaders::new(), |all, (key, value)| {
            all.insert(Header { key, value: value.as_deref() })
        })
    }
}

impl From<&BorrowedMessage<'_>> for Row {
    fn from(message: &BorrowedMessage<'_>) -> Self {
        let headers = message
            .headers()
            .map(|headers| headers.iter().map(|h| (h.key.to_owned(), h.value.map(<[u8]>::to_vec))).collect());
        Self {
            key: message.key().map(<[u8]>::to_vec),
            value: message.payload().map(<[u8]>::to_vec),
            headers: headers.unwrap_or_default(),
            timestamp: message.timestamp().to_millis(),
            partition: Some(message.partition()),
            offset: message.offset(),
        }
    }
}

fn config(address: &str, more: &[(&str, &str)]) -> ClientConfig {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", address).set("broker.address.family", "v4");
    config.set("log_level", "0");
    for (key, value) in more {
        config.set(*key, *value);
    }
    config
}

/// Whether a broker is there and ready.
pub fn answers(address: &str) -> bool {
    let client: Result<BaseConsumer, _> = config(address, &[]).create();
    client.is_ok_and(|client| client.fetch_metadata(None, secs(2)).is_ok_and(|m| !m.brokers().is_empty()))
}

type Place = Result<(i32, i64), KafkaError>;

/// Notes what became of each record.
#[derive(Default)]
struct Deliveries {
    first_error: Mutex<Option<String>>,
}

impl rdkafka::ClientContext for Deliveries {}

impl ProducerContext for Deliveries {
    type DeliveryOpaque = Box<Option<SyncSender<Place>>>;

    fn delivery(&self, result: &DeliveryResult<'_>, waits: Self::DeliveryOpaque) {
        let place = match result {
            Ok(message) => Ok((message.partition(), message.offset())),
            Err((error, _)) => Err(error.clone()),
        };
        if let Some(waits) = *waits {
            let _ = waits.send(place);
        } else if let Err(error) = place {
            self.first_error.lock().expect("no panic under the lock").get_or_insert(error.to_string());
        }
    }
}

/// Writes records, `acks=all`.
pub struct Writer {
    producer: ThreadedProducer<Deliveries>,
}

impl Writer {
    /// Partitions as Java's clients do; sends at once.
    pub fn new(address: &str) -> Self {
        Self::with(address, &[])
    }

    /// As [`Writer::new`], with more properties.
    pub fn with(address: &str, more: &[(&str, &str)]) -> Self {
        let mut config = config(address, &[("acks", "all"), ("partitioner", "murmur2_random")]);
        config.set("linger.ms", "0").set("message.max.bytes", "20000000");
        config.set("queue.buffering.max.messages", "1000000").set("message.timeout.ms", "60000");
        config.set("enable.idempotence", "true");
        for (key, value) in more {
            config.set(*key, *value);
        }
        Self { producer: config.create_with_context(Deliveries::default()).expect("a producer") }
    }

    fn enqueue(&self, topic: &str, row: &Row, waits: Option<SyncSender<Place>>) {
        let mut record = BaseRecord::<[u8], [u8], _>::with_opaque_to(topic, Box::new(waits));
        record.key = row.key.as_deref();
        record.payload = row.value.as_deref();
        record.partition = row.partition;
        record.timestamp = row.timestamp;
        if !row.headers.is_empty() {
            record.headers = Some(row.owned_headers());
        }
        loop {
            match self.producer.send(record) {
                Ok(()) => return,
                Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), back)) => {
                    record = back;
                    std::thread::sleep(Duration::from_millis(5));
                }
                Err((error, _)) => panic!("cannot produce to `{topic}`: {error}"),
            }
        }
    }

    /// Puts the record into the queue; see [`Writer::flush`].
    pub fn send(&self, topic: &str, row: &Row) {
        self.enqueue(topic, row, None);
    }

    /// Writes the record and waits for the acknowledgement: its partition and offset.
    pub fn acked(&self, topic: &str, row: &Row) -> (i32, i64) {
        self.begin(topic, row)()
    }

    /// Puts the record into the queue; the answer waits for its acknowledgement.
    pub fn begin(&self, topic: &str, row: &Row) -> impl FnOnce() -> (i32, i64) + use<> {
        let (sender, receiver) = sync_channel(1);
        self.enqueue(topic, row, Some(sender));
        move || receiver.recv_timeout(PATIENCE).expect("a delivery report").expect("an acknowledgement")
    }

    /// Waits until all that was sent is acknowledged.
    pub fn flush(&self) {
        self.producer.flush(secs(120)).expect("all is delivered");
        let failed = self.producer.context().first_error.lock().expect("no panic under the lock").take();
        assert_eq!(failed, None, "a record was not acknowledged");
    }

    /// Sends all and waits until all are acknowledged.
    pub fn all<'a>(&self, topic: &str, rows: impl IntoIterator<Item = &'a Row>) {
        for row in rows {
            self.send(topic, row);
        }
        self.flush();
    }
}

/// A producer that writes in transactions, one after the other.
pub struct Transactions {
    producer: BaseProducer,
}

impl Transactions {
    pub fn new(address: &str, id: &str) -> Self {
        let config = config(address, &[("transactional.id", id), ("partitioner", "murmur2_random")]);
        let producer: BaseProducer = config.create().expect("a producer");
        producer.init_transactions(PATIENCE).expect("a producer id");
        Self { producer }
    }

    /// Begins a transaction and writes these records; they are in the log, undecided, when this returns.
    pub fn begin(&self, topic: &str, rows: &[Row]) {
        self.producer.begin_transaction().expect("none was open");
        for row in rows {
            self.add(topic, row);
        }
    }

    /// Writes one more record into the open transaction; it is in the log when this returns.
    pub fn add(&self, topic: &str, row: &Row) {
        let mut record = BaseRecord::<[u8], [u8]>::to(topic).headers(row.owned_headers());
        record.key = row.key.as_deref();
        record.payload = row.value.as_deref();
        record.partition = row.partition;
        self.producer.send(record).map_err(|(error, _)| error).expect("room in the queue");
        self.producer.flush(PATIENCE).expect("it is in the log");
    }

    pub fn commit(&self) {
        self.producer.commit_transaction(PATIENCE).expect("committed");
    }

    pub fn abort(&self) {
        self.producer.abort_transaction(PATIENCE).expect("aborted");
    }
}

/// Reads a topic from its start, committed records only.
pub struct Reader {
    consumer: BaseConsumer,
    partitions: usize,
    pub rows: Vec<Row>,
}

impl Reader {
    pub fn new(address: &str, topic: &str) -> Self {
        let consumer = consumer(address, "tests", "read_committed");
        let places = places(&consumer, topic);
        consumer.assign(&places).expect("an assignment");
        Self { consumer, partitions: places.count(), rows: Vec::new() }
    }

    /// Reads on until `done` says so of all rows read so far, or the time is up; says which.
    pub fn until(&mut self, limit: Duration, mut done: impl FnMut(&[Row]) -> bool) -> bool {
        let start = consentry::time::Instant::now();
        while !done(&self.rows) {
            if start.elapsed() > limit {
                return false;
            }
            self.step();
        }
        true
    }

    /// Reads for this long.
    pub fn linger(&mut self, long: Duration) -> &[Row] {
        self.until(long, |_| false);
        &self.rows
    }

    fn step(&mut self) -> Option<i32> {
        match self.consumer.poll(Duration::from_millis(50))? {
            Ok(message) => self.rows.push(Row::from(&message)),
            Err(KafkaError::PartitionEOF(partition)) => return Some(partition),
            Err(KafkaError::MessageConsumption(RDKafkaErrorCode::BrokerTransportFailure))
            | Err(KafkaError::MessageConsumption(RDKafkaErrorCode::AllBrokersDown)) => {}
            Err(error) => panic!("cannot read: {error}"),
        }
        None
    }
}

fn consumer(address: &str, group: &str, isolation: &str) -> BaseConsumer {
    let config = config(
        address,
        &[
            ("group.id", group),
            ("isolation.level", isolation),
            ("enable.auto.commit", "false"),
            ("enable.partition.eof", "true"),
            ("auto.offset.reset", "error"),
            ("fetch.message.max.bytes", "20000000"),
            ("fetch.wait.max.ms", "20"),
        ],
    );
    config.create().expect("a consumer")
}

fn places(consumer: &BaseConsumer, topic: &str) -> TopicPartitionList {
    let mut list = TopicPartitionList::new();
    for partition in 0..partitions(consumer, topic) {
        list.add_partition_offset(topic, partition, Offset::Beginning).expect("a valid offset");
    }
    list
}

/// How many partitions the topic has; 0 if there is no such topic.
fn partitions(consumer: &BaseConsumer, topic: &str) -> i32 {
    let metadata = consumer.fetch_metadata(Some(topic), PATIENCE).expect("metadata");
    metadata.topics().first().map_or(0, |topic| i32::try_from(topic.partitions().len()).expect("few"))
}

/// The end of a partition as this client may see it. One that was just made may not have a leader yet.
fn end(client: &BaseConsumer, topic: &str, partition: i32) -> i64 {
    let mut answer = client.fetch_watermarks(topic, partition, PATIENCE);
    let known = || {
        if answer.is_err() {
            answer = client.fetch_watermarks(topic, partition, PATIENCE);
        }
        answer.is_ok()
    };
    until(PATIENCE, known, || format!("`{topic}` {partition} has no end"));
    answer.expect("it is known").1
}

/// All there is in a topic, once no transaction is open on it: call it when nobody writes any more.
pub fn read_all(address: &str, topic: &str) -> Vec<Row> {
    let stable = consumer(address, "tests", "read_committed");
    let written = consumer(address, "tests", "read_uncommitted");
    for partition in 0..partitions(&stable, topic) {
        let closed = || end(&stable, topic, partition) >= end(&written, topic, partition);
        until(PATIENCE, closed, || format!("`{topic}` {partition} stays open"));
    }
    let mut reader = Reader::new(address, topic);
    let mut ended = std::collections::BTreeSet::new();
    while ended.len() < reader.partitions {
        ended.extend(reader.step());
    }
    reader.rows
}

/// The group's committed offset and the end of each partition of the topic.
pub fn progress(address: &str, group: &str, topic: &str) -> Vec<(Option<i64>, i64)> {
    let client = consumer(address, group, "read_committed");
    let ends = consumer(address, "tests", "read_uncommitted");
    let committed = client.committed_offsets(places(&client, topic), secs(30)).expect("offsets");
    let end = |partition| end(&ends, topic, partition);
    let mut all = Vec::new();
    for place in committed.elements() {
        let Offset::Offset(offset) = place.offset() else {
            all.push((None, end(place.partition())));
            continue;
        };
        all.push((Some(offset), end(place.partition())));
    }
    all
}

/// The end of what is decided and the end of what is written, of each partition of the topic.
pub fn ends(address: &str, topic: &str) -> Vec<(i64, i64)> {
    let stable = consumer(address, "tests", "read_committed");
    let written = consumer(address, "tests", "read_uncommitted");
    let both = |partition| (end(&stable, topic, partition), end(&written, topic, partition));
    (0..partitions(&stable, topic)).map(both).collect()
}

/// Waits until the group has committed all there is in the topic.
#[track_caller]
pub fn caught_up(address: &str, group: &str, topic: &str, limit: Duration) {
    let done = || progress(address, group, topic).iter().all(|(at, end)| *end == 0 || *at >= Some(*end));
    until(limit, done, || format!("`{group}` is behind on `{topic}`: {:?}", progress(address, group, topic)));
}

/// How many members the group has; 0 while they are not agreed.
pub fn members(address: &str, group: &str) -> usize {
    let client = consumer(address, "tests", "read_committed");
    let groups = client.fetch_group_list(Some(group), PATIENCE).expect("the group's state");
    groups.groups().iter().filter(|group| group.state() == "Stable").map(|group| group.members().len()).sum()
}
