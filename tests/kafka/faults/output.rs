//! A reader beside the faults: `read_committed`, at work from the first record to the last, and noting when each
//! came.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use consentry::time::Instant;
use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};

use crate::kafka::clients::Row;

/// What came, and when.
type Came = Arc<Mutex<Vec<(Row, Instant)>>>;

/// A reader at work.
pub struct Output {
    came: Came,
    over: Arc<AtomicBool>,
    thread: JoinHandle<()>,
    partitions: i32,
}

impl Output {
    /// Reads these partitions of a topic from their start.
    pub fn read(address: &str, topic: &str, partitions: i32) -> Self {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", address).set("broker.address.family", "v4").set("log_level", "0");
        config.set("group.id", "tests").set("isolation.level", "read_committed");
        config.set("enable.auto.commit", "false").set("auto.offset.reset", "error");
        config.set("fetch.wait.max.ms", "20").set("reconnect.backoff.max.ms", "200");
        config.set("topic.metadata.refresh.fast.interval.ms", "50");
        let consumer: BaseConsumer = config.create().expect("a consumer");
        let mut places = TopicPartitionList::new();
        for partition in 0..partitions {
            places.add_partition_offset(topic, partition, Offset::Beginning).expect("a valid offset");
        }
        consumer.assign(&places).expect("an assignment");
        let (came, over) = (Came::default(), Arc::new(AtomicBool::new(false)));
        let (own, stop) = (Arc::clone(&came), Arc::clone(&over));
        let thread = thread::spawn(move || read(&consumer, &own, &stop));
        Self { came, over, thread, partitions }
    }

    fn came(&self) -> MutexGuard<'_, Vec<(Row, Instant)>> {
        self.came.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How many records came so far.
    pub fn count(&self) -> usize {
        self.came().len()
    }

    /// The last offset that came of each partition.
    pub fn last_offsets(&self) -> Vec<Option<i64>> {
        let came = self.came();
        let last = |partition| {
            let mut rows = came.iter().rev().filter(|(row, _)| row.partition == Some(partition));
            rows.next().map(|(row, _)| row.offset)
        };
        (0..self.partitions).map(last).collect()
    }

    /// When the first record came more than `grace` after this moment, if one did on every partition: of the partition
    /// that was the last to get one.
    pub fn first_since(&self, moment: Instant, grace: Duration) -> Option<Instant> {
        let came = self.came();
        let first = |partition| {
            let mut rows = came.iter().filter(|(row, _)| row.partition == Some(partition));
            rows.find(|(_, at)| at.since(moment) > grace).map(|(_, at)| *at)
        };
        (0..self.partitions).map(first).collect::<Option<Vec<_>>>()?.into_iter().max()
    }

    /// The longest time between two records of each partition, from this moment on.
    pub fn pauses(&self, from: Instant) -> Vec<Duration> {
        let came = self.came();
        let pause = |partition| {
            let mut before = from;
            let mut longest = Duration::ZERO;
            for (_, at) in came.iter().filter(|(row, at)| row.partition == Some(partition) && *at >= from) {
                longest = longest.max(at.since(before));
                before = *at;
            }
            longest
        };
        (0..self.partitions).map(pause).collect()
    }

    /// How many records came more than `grace` after this moment.
    pub fn later_than(&self, moment: Instant, grace: Duration) -> usize {
        self.came().iter().filter(|(_, at)| at.since(moment) > grace).count()
    }

    /// Ends, with all that came.
    pub fn finish(self) -> Vec<Row> {
        self.over.store(true, Ordering::Relaxed);
        self.thread.join().expect("the reader could read");
        let mut came = self.came.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::take(&mut *came).into_iter().map(|(row, _)| row).collect()
    }
}

fn read(consumer: &BaseConsumer, came: &Came, over: &AtomicBool) {
    while !over.load(Ordering::Relaxed) {
        match consumer.poll(Duration::from_millis(50)) {
            Some(Ok(message)) => {
                let row = Row::from(&message);
                came.lock().unwrap_or_else(PoisonError::into_inner).push((row, Instant::now()));
            }
            // Nothing may be skipped; whatever else there is, passes.
            Some(Err(KafkaError::MessageConsumption(RDKafkaErrorCode::AutoOffsetReset))) => {
                panic!("the reader lost its place");
            }
            Some(Err(_)) | None => {}
        }
    }
}
