//! The topics of a cluster.

use std::collections::BTreeMap;

use thiserror::Error;

use super::Failure;

/// Why a topic cannot be asked about.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum TopicError {
    /// There is no such topic.
    #[error("topic `{0}` does not exist")]
    Missing(String),
    /// The brokers do not answer, or not as they should.
    #[error(transparent)]
    Failed(#[from] Failure),
    /// The brokers refuse: the topic, and what they say.
    #[error("topic `{0}`: {1}")]
    Refused(String, String),
}

/// Administration of topics.
pub trait Topics {
    /// How many partitions a topic has.
    fn partitions(&self, topic: &str) -> Result<usize, TopicError>;

    /// A topic's configuration, every value in force.
    fn config(&self, topic: &str) -> Result<BTreeMap<String, String>, TopicError>;

    /// Makes a topic with so many partitions, the cluster's own replication and these settings. One that is there
    /// already is fine.
    fn create(&self, topic: &str, partitions: usize, settings: &[(&str, &str)]) -> Result<(), TopicError>;

    /// Gives a topic so many partitions. One that has as many, or more, is fine.
    fn widen(&self, topic: &str, partitions: usize) -> Result<(), TopicError>;
}
