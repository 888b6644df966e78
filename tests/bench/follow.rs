//! Watching how far a consumer group has come, and what a topic holds in the end.

use std::collections::BTreeSet;
use std::time::Duration;

use consentry::time::Instant;
use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaError;
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};

use crate::wait::until;

const CALL_WITHIN: Duration = Duration::from_secs(30);
const CLOSED_WITHIN: Duration = Duration::from_secs(90);

/// A group's progress on a topic.
pub struct Progress {
    client: BaseConsumer,
    topic: String,
    partitions: i32,
}

impl Progress {
    /// Of a group that this process is no member of.
    pub fn of(address: &str, group: &str, topic: &str, partitions: i32) -> Self {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", address).set("broker.address.family", "v4").set("group.id", group);
        config.set("enable.auto.commit", "false");
        let client = config.create().expect("a client");
        Self { client, topic: topic.to_owned(), partitions }
    }

    /// The sum of the committed offsets: how many records are done.
    pub fn records(&self) -> u64 {
        let mut list = TopicPartitionList::new();
        for partition in 0..self.partitions {
            list.add_partition(&self.topic, partition);
        }
        // A group that is being made has no coordinator yet.
        let Ok(committed) = self.client.committed_offsets(list, CALL_WITHIN) else { return 0 };
        let offset =
            |offset| if let Offset::Offset(at) = offset { u64::try_from(at).unwrap_or(0) } else { 0 };
        committed.elements().iter().map(|element| offset(element.offset())).sum()
    }

    /// Waits until so many records are done: how long it took from the first to the last, and how many
    /// were done when the first were seen. The error says what was missing when the time was up, or when
    /// whoever does it was no longer there.
    pub fn wait(
        &self,
        records: u64,
        limit: Duration,
        mut lives: impl FnMut() -> bool,
    ) -> Result<(Duration, u64), String> {
        let began = Instant::now();
        let mut first: Option<(Instant, u64)> = None;
        loop {
            let done = self.records();
            if done > 0 && first.is_none() {
                first = Some((Instant::now(), done));
            }
            if done >= records {
                let (since, at_first) = first.expect("something was done");
                return Ok((since.elapsed(), at_first));
            }
            if !lives() || began.elapsed() >= limit {
                return Err(format!("{done} of {records} records, then no more"));
            }
            std::thread::sleep(Duration::from_millis(100));
        }
    }
}

/// Waits until no transaction is open on a topic that nothing more is written to.
pub fn closed(address: &str, topic: &str, partitions: i32) {
    let (stable, written) = (reader(address, "read_committed"), reader(address, "read_uncommitted"));
    for partition in 0..partitions {
        let end =
            |client: &BaseConsumer| Some(client.fetch_watermarks(topic, partition, CALL_WITHIN).ok()?.1);
        let closed = || end(&stable).is_some_and(|stable| end(&written) == Some(stable));
        until(CLOSED_WITHIN, closed, || format!("a transaction stays open on `{topic}` {partition}"));
    }
}

/// How many committed records a topic holds; see [`closed`].
pub fn held(address: &str, topic: &str, partitions: i32) -> u64 {
    let client = reader(address, "read_committed");
    let mut list = TopicPartitionList::new();
    for partition in 0..partitions {
        list.add_partition_offset(topic, partition, Offset::Beginning).expect("a valid offset");
    }
    client.assign(&list).expect("an assignment");
    let (mut count, mut ended) = (0, BTreeSet::new());
    while ended.len() < list.count() {
        match client.poll(CALL_WITHIN) {
            Some(Ok(_)) => count += 1,
            Some(Err(KafkaError::PartitionEOF(partition))) => drop(ended.insert(partition)),
            Some(Err(error)) => eprintln!("`{topic}`: {error}"),
            None => panic!("`{topic}` has no end"),
        }
    }
    count
}

fn reader(address: &str, isolation: &str) -> BaseConsumer {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", address).set("broker.address.family", "v4").set("group.id", "bench");
    config.set("enable.auto.commit", "false").set("enable.partition.eof", "true");
    config.set("isolation.level", isolation);
    config.create().expect("a client")
}
