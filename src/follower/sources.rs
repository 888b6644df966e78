//! Whether the topics of the events have as many partitions as the consent topic, where they must.
//!
//! That nothing is decided by the wrong partition does not hang on this: each record is checked against the
//! partition of its subject. It tells what is wrong before all records wait.

use std::time::Duration;

use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaError;

use super::state::Stop;
use super::watch::stop;
use crate::kafka::client;
use crate::kafka::inspect::uneven;
use crate::kafka::settings::ClusterSettings;
use crate::kafka::topics::{self, TopicError};
use crate::time::Instant;

/// So long the answer stands, while it is as it should be.
const GOOD_FOR: Duration = Duration::from_secs(1);

/// The topics of the events.
pub struct Sources {
    /// Of its own: what the watch's client says of topics is all about the consent topic.
    client: BaseConsumer,
    topics: Vec<String>,
    /// How many partitions they were found to have, and when.
    found: Option<(usize, Instant)>,
}

impl Sources {
    /// These, which have not been looked at.
    pub fn new(cluster: &ClusterSettings, topics: &[String]) -> Result<Self, KafkaError> {
        let client = client::config(cluster, &[]).create()?;
        Ok(Self { client, topics: topics.to_vec(), found: None })
    }

    /// Whether each has as many partitions as the consent topic, which has so many. One that is not there has no
    /// events.
    pub fn check(&mut self, consent: &str, count: usize, within: Duration) -> Result<(), Stop> {
        if self.found.is_some_and(|(found, at)| found == count && at.elapsed() < GOOD_FOR) {
            return Ok(());
        }
        let mut counts = Vec::new();
        for topic in &self.topics {
            match topics::partitions(self.client.client(), topic, within) {
                Ok(partitions) => counts.push((topic.as_str(), partitions)),
                Err(TopicError::Missing(_)) => {}
                Err(error) => return Err(stop(error)),
            }
        }
        self.found = None;
        if let Some(finding) = uneven((consent, count), &counts) {
            return Err(Stop::Uneven(format!("{}: {}", finding.message, finding.help)));
        }
        self.found = Some((count, Instant::now()));
        Ok(())
    }
}
