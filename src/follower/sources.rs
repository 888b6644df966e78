//! Whether the topics of the events have as many partitions as the consent topic, where they must.
//!
//! That nothing is decided by the wrong partition does not hang on this: each record is checked against the
//! partition of its subject. It tells what is wrong before all records wait.

use std::time::Duration;

use super::state::Stop;
use super::watch::stop;
use crate::kafka::inspect::uneven;
use crate::source::{Cluster, Failure, Purpose, Survey, TopicError};
use crate::time::Instant;

/// So long the answer stands, while it is as it should be.
const GOOD_FOR: Duration = Duration::from_secs(1);

/// The topics of the events.
pub struct Sources<C: Cluster> {
    /// Of its own: what the watch's client says of topics is all about the consent topic.
    survey: C::Survey,
    topics: Vec<String>,
    /// How many partitions they were found to have, and when.
    found: Option<(usize, Instant)>,
}

impl<C: Cluster> Sources<C> {
    /// These, which have not been looked at.
    pub fn new(cluster: &C, topics: &[String]) -> Result<Self, Failure> {
        let survey = cluster.survey(Purpose::Events)?;
        Ok(Self { survey, topics: topics.to_vec(), found: None })
    }

    /// Whether each has as many partitions as the consent topic, which has so many. One that is not there has no
    /// events.
    pub fn check(&mut self, consent: &str, count: usize, within: Duration) -> Result<(), Stop> {
        if self.found.is_some_and(|(found, at)| found == count && at.elapsed() < GOOD_FOR) {
            return Ok(());
        }
        let mut counts = Vec::new();
        for topic in &self.topics {
            match self.survey.partitions(topic, within) {
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
