//! How a pipeline takes its records in and where they go.

use std::time::Duration;

use crate::kafka::settings::TopicSettings;
use crate::policy::settings::RulesSettings;

/// One pipeline: topics in, routes out.
#[derive(Clone, Debug)]
pub struct PipelineSettings {
    /// What is decided, and how.
    pub rules: RulesSettings,
    /// The consumer group.
    pub group: String,
    /// The topics it reads.
    pub topics: Vec<String>,
    /// Where a group without offsets begins.
    pub start: Start,
    /// Where records go that cannot be decided or delivered.
    pub quarantine: TopicSettings,
    /// What the names of the topics begin with in which records wait: `HOLD.SOURCE`. `None`: nothing waits.
    pub hold: Option<String>,
    /// The sink of each route, in the order of `rules.routes`.
    pub sinks: Vec<TopicSettings>,
}

impl PipelineSettings {
    /// Each source topic, and the topic in which its records wait; none where nothing waits.
    pub fn holds(&self) -> impl Iterator<Item = (&str, String)> {
        let hold = self.hold.as_ref();
        self.topics.iter().filter_map(move |source| Some((source.as_str(), format!("{}.{source}", hold?))))
    }
}

/// Where a group without offsets begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Start {
    /// With the oldest record there is.
    Earliest,
    /// With the next record that comes.
    Latest,
}

/// How the line of every pipeline runs.
#[derive(Clone, Copy, Debug)]
pub struct LineSettings {
    /// Threads a pipeline, each a member of its group. Default: the number of cores.
    pub workers: usize,
    /// Transactions, or an idempotent producer with offsets after the acknowledgement.
    pub delivery: Delivery,
    /// How soon a reader is to have a record: a commit begins so much earlier as commits take. Default 100 ms.
    pub commit_interval: Duration,
    /// How long a stop may take. Default 30 s.
    pub shutdown_timeout: Duration,
    /// What a batch may hold.
    pub limits: LineLimits,
    /// Go on past records that are gone from the source topic.
    pub accept_gap: bool,
}

/// What is promised of delivery.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Delivery {
    /// One transaction for records and offsets.
    ExactlyOnce,
    /// Offsets are committed after the acknowledgement.
    AtLeastOnce,
}

/// Bounds on what a worker takes in at once.
#[derive(Clone, Copy, Debug)]
pub struct LineLimits {
    /// Key, value and headers of a record, in bytes; above: `too_large`. Default 1 MiB.
    pub max_record_bytes: usize,
    /// Levels of nesting in a value; deeper: `too_deep`. Default 64.
    pub max_depth: usize,
    /// Records in a batch. Default 5,000.
    pub batch_records: usize,
    /// Bytes in a batch. Default 8 MiB.
    pub batch_bytes: usize,
    /// Bytes of held records that a worker keeps in memory; above, it takes nothing new in. Default 256 MiB.
    pub held_bytes: usize,
    /// Bytes that wait in the producer and the consumer of a worker. Default 64 MiB.
    pub in_flight_bytes: usize,
}
