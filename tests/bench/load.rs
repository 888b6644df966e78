//! Events and consents to measure with: many people, each with one consent record, and what they do.

use consentry::time::Clock;
use rdkafka::ClientConfig;
use rdkafka::producer::{BaseRecord, DefaultProducerContext, Producer, ThreadedProducer};
use std::time::Duration;

/// An event with all its fields has no fewer bytes than this.
const SHORT: usize = 450;

/// What is generated.
#[derive(Clone, Copy, Debug)]
pub struct Load {
    /// Events.
    pub records: u64,
    /// People.
    pub subjects: u64,
    /// How many of a hundred of them permit.
    pub permitted: u64,
    /// Bytes of an event, about.
    pub bytes: usize,
}

/// Writes as fast as it can; keys choose partitions as with Java's clients.
pub struct Bulk {
    producer: ThreadedProducer<DefaultProducerContext>,
}

impl Bulk {
    /// A producer for this broker, of large batches.
    pub fn new(address: &str) -> Self {
        Self::with(address, 20)
    }

    /// As [`Bulk::new`], for those who mind when a record is sent.
    pub fn prompt(address: &str) -> Self {
        Self::with(address, 5)
    }

    /// As [`Bulk::new`], without gathering.
    pub fn at_once(address: &str) -> Self {
        Self::with(address, 0)
    }

    fn with(address: &str, linger_ms: u32) -> Self {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", address).set("broker.address.family", "v4");
        config
            .set("acks", "all")
            .set("partitioner", "murmur2_random")
            .set("linger.ms", linger_ms.to_string());
        config.set("batch.size", "1000000").set("queue.buffering.max.messages", "200000");
        Self { producer: config.create().expect("a producer") }
    }

    /// Takes a record.
    pub fn send(&self, topic: &str, key: &str, value: &[u8]) {
        let mut record = BaseRecord::to(topic).key(key).payload(value);
        while let Err((_, back)) = self.producer.send(record) {
            std::thread::sleep(Duration::from_millis(2));
            record = back;
        }
    }

    /// Waits until everything is acknowledged.
    pub fn flush(&self) {
        self.producer.flush(Duration::from_secs(300)).expect("everything is acknowledged");
    }
}

impl Load {
    /// Whether the n-th person permits.
    pub const fn permits(&self, subject: u64) -> bool {
        subject % 100 < self.permitted
    }

    /// The n-th person's key and consent record, an opt-in of two years ago or its withdrawal.
    pub fn consent(&self, subject: u64) -> (String, String) {
        Self::consent_saying(subject, if self.permits(subject) { "given" } else { "withdrawn" })
    }

    /// The n-th person's key and consent record, with this status.
    pub fn consent_saying(subject: u64, status: &str) -> (String, String) {
        let record = format!(
            r#"{{"subject":{{"type":"user_id","value":"u-{subject}"}},"version":1,"updated_at":"2024-11-01T10:00:00Z","jurisdiction":"EU","grants":[{{"purpose":"analytics","status":"{status}","basis":"consent","given_at":"2024-11-01T09:58:00Z","level":"contact","notice":"privacy-notice-v12","source":"web-form"}}]}}"#
        );
        (format!("user_id:u-{subject}"), record)
    }

    /// The n-th person's key and a consent record of so many grants, for `purpose-0` and on, all permitted.
    pub fn consent_with(&self, subject: u64, grants: usize) -> (String, String) {
        let grants: Vec<String> = (0..grants)
            .map(|n| {
                format!(
                    r#"{{"purpose":"purpose-{n}","status":"given","given_at":"2024-11-01T09:58:00Z","level":"contact"}}"#
                )
            })
            .collect();
        let record = format!(
            r#"{{"subject":{{"type":"user_id","value":"u-{subject}"}},"version":1,"grants":[{}]}}"#,
            grants.join(",")
        );
        (format!("user_id:u-{subject}"), record)
    }

    /// Whose the n-th event is.
    const fn subject(&self, number: u64) -> u64 {
        number.wrapping_mul(0x9e37_79b9_7f4a_7c15) % self.subjects
    }

    /// How many events are of people who permit.
    pub fn permitted_events(&self) -> u64 {
        (0..self.records).map(|number| u64::from(self.permits(self.subject(number)))).sum()
    }

    /// The n-th event: its person's id, and its value.
    pub fn event(&self, number: u64, now_ms: i64) -> (String, String) {
        self.event_of(self.subject(number), number, now_ms)
    }

    /// An event of this person: its key and value. The three fields that are read stand early, in the middle
    /// and late; where less than [`SHORT`] bytes are asked for there is little else.
    pub fn event_of(&self, subject: u64, number: u64, now_ms: i64) -> (String, String) {
        if self.bytes < SHORT {
            let value = format!(
                r#"{{"user":{{"id":"u-{subject}","email":"u{subject}@example.org"}},"type":"page_view","occurred_at":{now_ms}}}"#
            );
            return (format!("u-{subject}"), value);
        }
        let head = format!(
            r#"{{"event_id":"e-{number:012}","type":"page_view","user":{{"id":"u-{subject}","email":"u{subject}@example.org","segment":"returning"}},"session":{{"id":"s-{:08x}","device":"mobile","os":"android 15"}},"page":{{"url":"https://shop.example/p/{}","title":"Blue running shoes, size 42","referrer":"https://search.example/?q=shoes"}},"items":["#,
            number.wrapping_mul(2_654_435_761) % 0xffff_ffff,
            number % 5000,
        );
        let tail = format!(r#"],"total":{}.95,"currency":"EUR","occurred_at":{now_ms}}}"#, number % 300);
        let mut value = head;
        let mut item = number;
        while value.len() + tail.len() + 40 < self.bytes {
            if !value.ends_with('[') {
                value.push(',');
            }
            item = item.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            value.push_str(&format!(r#"{{"sku":"{:07}","n":{}}}"#, item % 10_000_000, item % 9 + 1));
        }
        value.push_str(&tail);
        (format!("u-{subject}"), value)
    }

    /// Writes everybody's consent.
    pub fn write_consents(&self, bulk: &Bulk, topic: &str) {
        for subject in 0..self.subjects {
            let (key, value) = self.consent(subject);
            bulk.send(topic, &key, value.as_bytes());
        }
        bulk.flush();
    }

    /// Writes everybody's consent, as [`Load::consent_with`] has it.
    pub fn write_consents_with(&self, bulk: &Bulk, topic: &str, grants: usize) {
        for subject in 0..self.subjects {
            let (key, value) = self.consent_with(subject, grants);
            bulk.send(topic, &key, value.as_bytes());
        }
        bulk.flush();
    }

    /// Writes every event.
    pub fn write_events(&self, bulk: &Bulk, topic: &str) {
        let now = Clock::default().now().0;
        for number in 0..self.records {
            let (key, value) = self.event(number, now);
            bulk.send(topic, &key, value.as_bytes());
        }
        bulk.flush();
    }
}
