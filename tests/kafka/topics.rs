//! Topics, made and changed as an administrator would.

use std::future::Future;
use std::time::Duration;

use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions, NewPartitions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::error::RDKafkaErrorCode;
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};

use super::wait::{secs, until};

/// What a consent topic must be: compacted, and slow to forget tombstones. Compaction may come at once.
pub const CONSENT: &[(&str, &str)] = &[
    ("cleanup.policy", "compact"),
    ("delete.retention.ms", "86400000"),
    ("min.cleanable.dirty.ratio", "0.01"),
    ("segment.ms", "600000"),
];

/// As many replicas as the cluster gives a topic of which nothing is said.
const REPLICAS: TopicReplication<'_> = TopicReplication::Fixed(-1);

/// A topic that is to be: its name, partitions and settings.
pub type Wanted<'t> = (&'t str, i32, &'t [(&'t str, &'t str)]);

/// An administrator's connection.
pub struct Topics {
    admin: AdminClient<DefaultClientContext>,
}

impl Topics {
    pub fn new(address: &str) -> Self {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", address).set("broker.address.family", "v4").set("log_level", "0");
        Self { admin: config.create().expect("an admin client") }
    }

    /// Makes a topic; waits out a deletion of the same name.
    pub fn create(&self, name: &str, partitions: i32, settings: &[(&str, &str)]) {
        let mut topic = NewTopic::new(name, partitions, REPLICAS);
        for (key, value) in settings {
            topic = topic.set(key, value);
        }
        let made = || match &wait(self.admin.create_topics([&topic], &options()))[0] {
            Ok(_) => true,
            Err((_, RDKafkaErrorCode::TopicAlreadyExists)) => false,
            Err((_, error)) => panic!("cannot make `{name}`: {error}"),
        };
        until(secs(30), made, || format!("`{name}` is there already"));
        self.wait_for(name, partitions);
    }

    /// Makes a topic with these replicas of each partition; the first is the leader.
    pub fn place(&self, name: &str, replicas: &[&[i32]], settings: &[(&str, &str)]) {
        let count = i32::try_from(replicas.len()).expect("few");
        let topic = NewTopic::new(name, count, TopicReplication::Variable(replicas));
        let topic = settings.iter().fold(topic, |topic, (key, value)| topic.set(key, value));
        let made = wait(self.admin.create_topics([&topic], &options()));
        assert!(made[0].is_ok(), "cannot make `{name}`: {made:?}");
        self.wait_for(name, count);
    }

    /// Makes several topics at once, none of which was ever there.
    pub fn create_all(&self, all: &[Wanted<'_>]) {
        let new = all.iter().map(|(name, partitions, settings)| {
            let topic = NewTopic::new(name, *partitions, REPLICAS);
            settings.iter().fold(topic, |topic, (key, value)| topic.set(key, value))
        });
        let made = wait(self.admin.create_topics(&new.collect::<Vec<_>>(), &options()));
        assert!(made.iter().all(Result::is_ok), "cannot make topics: {made:?}");
        all.iter().for_each(|(name, partitions, _)| self.wait_for(name, *partitions));
    }

    pub fn delete(&self, name: &str) {
        let done = wait(self.admin.delete_topics(&[name], &options()));
        assert!(done[0].is_ok(), "cannot delete `{name}`: {done:?}");
        until(secs(30), || self.partitions(name) == 0, || format!("`{name}` is still there"));
    }

    /// Deletes several topics at once, and does not wait until they are gone.
    pub fn delete_all(&self, names: &[&str]) {
        let done = wait(self.admin.delete_topics(names, &options()));
        assert!(done.iter().all(Result::is_ok), "cannot delete {names:?}: {done:?}");
    }

    /// Adds partitions up to this many.
    pub fn grow(&self, name: &str, partitions: usize) {
        let done = wait(self.admin.create_partitions([&NewPartitions::new(name, partitions)], &options()));
        assert!(done[0].is_ok(), "cannot add partitions to `{name}`: {done:?}");
        self.wait_for(name, i32::try_from(partitions).expect("few"));
    }

    /// Deletes all records of a partition below this offset.
    pub fn forget(&self, name: &str, partition: i32, below: i64) {
        let mut list = TopicPartitionList::new();
        list.add_partition_offset(name, partition, Offset::Offset(below)).expect("a valid offset");
        wait(self.admin.delete_records(&list, &options()));
    }

    /// How many partitions the topic has; 0 if there is no such topic.
    pub fn partitions(&self, name: &str) -> usize {
        let metadata = self.admin.inner().fetch_metadata(Some(name), secs(30)).expect("metadata");
        metadata.topics().first().filter(|t| t.error().is_none()).map_or(0, |t| t.partitions().len())
    }

    fn wait_for(&self, name: &str, partitions: i32) {
        let want = usize::try_from(partitions).expect("some");
        until(secs(30), || self.partitions(name) == want, || format!("`{name}` does not appear"));
    }
}

fn options() -> AdminOptions {
    AdminOptions::new().request_timeout(Some(secs(30))).operation_timeout(Some(Duration::from_secs(30)))
}

fn wait<T>(asked: impl Future<Output = rdkafka::error::KafkaResult<T>>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(asked).expect("the broker answers")
}
