//! What a cluster says about the topics a configuration names.
//!
//! Asks and returns; it changes nothing and prints nothing. It never joins a group, so it may run beside
//! a process that forwards. What it cannot find out is a finding too: a check that is blind is no check.

use std::time::Duration;

use rdkafka::consumer::{BaseConsumer, Consumer};

use super::client;
use super::settings::ClusterSettings;
use super::topics::{self, Topics};
use crate::source::{TopicError, Topics as _};

/// The least time tombstones must be kept, in milliseconds: an hour.
pub const MIN_DELETE_RETENTION_MS: u64 = 3_600_000;

/// What a topic is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Role {
    /// Consent comes from it.
    Consent,
    /// Events come from it.
    Source,
    /// Permitted events go to it.
    Sink,
    /// What cannot be decided goes to it.
    Quarantine,
    /// Records of this source wait in it.
    Hold(String),
    /// It is told there whose consent ends.
    Due,
}

impl Role {
    /// For reports.
    pub const fn word(&self) -> &'static str {
        match self {
            Self::Consent => "consent",
            Self::Source => "source",
            Self::Sink => "sink",
            Self::Quarantine => "quarantine",
            Self::Hold(_) => "hold",
            Self::Due => "due",
        }
    }
}

/// A topic to look at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// Its name.
    pub topic: String,
    /// What it is for.
    pub role: Role,
    /// Whether it is made where it is missing.
    pub create: bool,
}

/// What was seen of a topic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    /// Which.
    pub wanted: Wanted,
    /// Its partitions; `None`: it is not there.
    pub partitions: Option<usize>,
}

/// Something that keeps the configuration from running as it should.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// What is wrong.
    pub message: String,
    /// What to do about it.
    pub help: String,
}

/// What was found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// Each topic, in the order asked.
    pub topics: Vec<Seen>,
    /// What is wrong; empty: nothing.
    pub findings: Vec<Finding>,
}

/// Looks at every topic; each question waits for `patience` at most.
pub fn inspect(cluster: &ClusterSettings, wanted: &[Wanted], patience: Duration) -> Report {
    let mut report = Report::default();
    if let Err(error) = look(cluster, wanted, patience, &mut report) {
        let help = "see that the brokers of `kafka.brokers` run, and that `kafka.properties` opens them";
        report.add(format!("the cluster cannot be asked: {error}"), help);
    }
    report
}

fn look(
    cluster: &ClusterSettings,
    wanted: &[Wanted],
    patience: Duration,
    report: &mut Report,
) -> Result<(), TopicError> {
    let consumer: BaseConsumer = client::config(cluster, &[]).create()?;
    for one in wanted {
        let partitions = match topics::partitions(consumer.client(), &one.topic, patience) {
            Ok(count) => Some(count),
            Err(TopicError::Missing(_)) => {
                report.missing(one);
                None
            }
            Err(TopicError::Refused(_, why)) => {
                let help = "see the rights that are needed";
                report.add(format!("topic `{}` cannot be described: {why}", one.topic), help);
                None
            }
            Err(error @ TopicError::Failed(_)) => return Err(error),
        };
        report.topics.push(Seen { wanted: one.clone(), partitions });
        match (&one.role, partitions) {
            (Role::Consent, Some(_)) => consent_topic(cluster, &one.topic, report),
            (Role::Due, Some(_)) => due_topic(cluster, &one.topic, report),
            (Role::Hold(source), Some(own)) => hold_topic(cluster, (&one.topic, own), source, report),
            (Role::Source | Role::Sink | Role::Quarantine, _) | (_, None) => {}
        }
    }
    Ok(())
}

impl Report {
    /// Adds what is wrong where the source topics must have as many partitions as the consent topic.
    pub fn match_partitions(&mut self) {
        let of = |role: Role| self.topics.iter().filter(move |seen| seen.wanted.role == role);
        let counted = |seen: &'_ Seen| Some((seen.wanted.topic.clone(), seen.partitions?));
        let sources: Vec<_> = of(Role::Source).filter_map(counted).collect();
        let sources: Vec<_> = sources.iter().map(|(topic, count)| (topic.as_str(), *count)).collect();
        let consent = of(Role::Consent).find_map(counted);
        let found = consent.and_then(|(topic, count)| uneven((&topic, count), &sources));
        self.findings.extend(found);
    }

    /// Adds what is wrong where the topic on which it is told whose consent ends has not as many partitions as the
    /// consent topic.
    pub fn match_due(&mut self) {
        let of = |role| self.topics.iter().find(move |seen| seen.wanted.role == role);
        let counted = |seen: &'_ Seen| Some((seen.wanted.topic.clone(), seen.partitions?));
        let both = of(Role::Consent).and_then(counted).zip(of(Role::Due).and_then(counted));
        let Some(((consent, wants), (due, has))) = both.filter(|((_, wants), (_, has))| wants != has) else {
            return;
        };
        let message = format!(
            "topic `{due}` of `consent.due` has {has} partition(s), the consent topic `{consent}` {wants}"
        );
        self.add(message, "they must have as many: give the one that has fewer as many more");
    }

    fn add(&mut self, message: String, help: &str) {
        self.findings.push(Finding { message, help: help.to_owned() });
    }

    /// Notes a topic that is not there and will not be made.
    fn missing(&mut self, one: &Wanted) {
        let help = match &one.role {
            Role::Hold(_) => return,
            Role::Sink | Role::Quarantine | Role::Due if one.create => return,
            Role::Sink | Role::Quarantine | Role::Due => "make it, or write `create: true` beside it",
            Role::Consent | Role::Source => "make it, or correct its name",
        };
        self.add(format!("{} topic `{}` is not there", one.role.word(), one.topic), help);
    }
}

/// Asks for the consent topic's settings.
fn consent_topic(cluster: &ClusterSettings, topic: &str, report: &mut Report) {
    match Topics::connect(cluster).and_then(|topics| topics.config(topic)) {
        Ok(config) => {
            let value = |name: &str| config.get(name).map(String::as_str);
            let faults = consent_faults(topic, value("cleanup.policy"), value("delete.retention.ms"));
            report.findings.extend(faults);
        }
        Err(_) => {
            let help = "allow DescribeConfigs on it: whether it is compacted must be known";
            report.add(format!("the settings of the consent topic `{topic}` cannot be read"), help);
        }
    }
}

/// Asks for the settings of a hold topic with so many partitions; its source was asked about before.
fn hold_topic(cluster: &ClusterSettings, (topic, own): (&str, usize), source: &str, report: &mut Report) {
    let is_source = |seen: &&Seen| seen.wanted.role == Role::Source && seen.wanted.topic == source;
    let of_source = report.topics.iter().find(is_source).and_then(|seen| seen.partitions);
    match Topics::connect(cluster).and_then(|topics| topics.config(topic)) {
        Ok(config) => {
            let cleanup = config.get("cleanup.policy").map_or("", String::as_str);
            report.findings.extend(hold_faults(topic, (own, of_source.unwrap_or(own)), Some(cleanup)));
        }
        Err(_) => {
            let help = "allow DescribeConfigs on it: whether it is compacted must be known";
            report.add(format!("the settings of the hold topic `{topic}` cannot be read"), help);
        }
    }
}

/// Asks for the settings of the topic on which it is told whose consent ends.
fn due_topic(cluster: &ClusterSettings, topic: &str, report: &mut Report) {
    match Topics::connect(cluster).and_then(|topics| topics.config(topic)) {
        Ok(config) if config.get("cleanup.policy").is_some_and(|policy| policy == "compact") => {}
        Ok(_) => {
            let help = "set `cleanup.policy=compact` on it, without `delete`";
            report.add(format!("topic `{topic}` of `consent.due` would forget who was asked"), help);
        }
        Err(_) => {
            let help = "allow DescribeConfigs on it: whether it is compacted must be known";
            report.add(format!("the settings of topic `{topic}` of `consent.due` cannot be read"), help);
        }
    }
}

/// What is wrong with a consent topic that has these settings.
pub fn consent_faults(topic: &str, cleanup: Option<&str>, delete_retention_ms: Option<&str>) -> Vec<Finding> {
    let mut faults = Vec::new();
    if cleanup != Some("compact") {
        faults.push(Finding {
            message: format!("the consent topic `{topic}` is not only compacted: Kafka would forget consent"),
            help: "set `cleanup.policy=compact` on it, without `delete`".to_owned(),
        });
    }
    let kept_ms = delete_retention_ms.and_then(|text| text.parse::<u64>().ok());
    if kept_ms.is_none_or(|kept_ms| kept_ms < MIN_DELETE_RETENTION_MS) {
        faults.push(Finding {
            message: format!("the consent topic `{topic}` keeps tombstones for less than an hour: an erasure could be missed"),
            help: format!("set `delete.retention.ms` to {MIN_DELETE_RETENTION_MS} at least; Kafka's own default is a day"),
        });
    }
    faults
}

/// What is wrong with a hold topic that has so many partitions where its source has so many, and this cleanup
/// policy (`None`: it cannot be asked for).
pub fn hold_faults(topic: &str, (own, source): (usize, usize), cleanup: Option<&str>) -> Vec<Finding> {
    let mut faults = Vec::new();
    if own > source {
        faults.push(Finding {
            message: format!("the hold topic `{topic}` has {own} partitions and its source {source}"),
            help: "records wait on the partition of their source: nobody would look at those that are over. \
                   Name another `hold` topic; it is made with the partitions of its source"
                .to_owned(),
        });
    }
    if cleanup.is_some_and(|cleanup| cleanup != "compact") {
        faults.push(Finding {
            message: format!("the hold topic `{topic}` is not only compacted: Kafka would forget what waits"),
            help: "set `cleanup.policy=compact` on it, without `delete`".to_owned(),
        });
    }
    faults
}

/// What is wrong where these topics, each with its partitions, must have as many as the consent topic.
pub fn uneven(consent: (&str, usize), sources: &[(&str, usize)]) -> Option<Finding> {
    let (topic, partitions) = consent;
    let (source, others) = sources.iter().find(|(_, count)| *count != partitions)?;
    Some(Finding {
        message: format!(
            "the consent topic `{topic}` has {partitions} partition(s) and the source topic `{source}` {others}: \
             with `consent.cache: sharded` they must have as many"
        ),
        help:
            "make topics with as many partitions and write to them anew, because partitions that are added \
               leave older keys where they were; or write `consent.cache: replicated`"
                .to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn where_partitions_must_match_the_first_topic_that_differs_is_named() {
        assert_eq!(uneven(("c", 6), &[("a", 6), ("b", 6)]), None);
        let found = uneven(("c", 6), &[("a", 6), ("b", 12)]).unwrap();
        assert!(found.message.contains("`c` has 6") && found.message.contains("`b` 12"), "{}", found.message);
        assert!(found.help.contains("replicated"));
    }

    #[test]
    fn a_hold_topic_is_compacted_and_no_wider_than_its_source() {
        let faults = |own, cleanup| hold_faults("h", (own, 4), cleanup).len();
        assert_eq!((faults(4, Some("compact")), faults(3, None)), (0, 0), "a narrower one is widened");
        assert_eq!((faults(5, Some("compact")), faults(5, Some("delete")), faults(4, Some(""))), (1, 2, 1));
    }

    #[test]
    fn a_consent_topic_is_compacted_and_keeps_tombstones() {
        let faults = |cleanup, kept| consent_faults("c", cleanup, kept).len();
        assert_eq!(faults(Some("compact"), Some("86400000")), 0);
        assert_eq!(faults(Some("compact"), Some("3600000")), 0);
        assert_eq!(faults(Some("compact,delete"), Some("86400000")), 1);
        assert_eq!(faults(Some("compact"), Some("3599999")), 1);
        assert_eq!(faults(None, None), 2);
    }

    #[test]
    fn only_a_sink_or_quarantine_may_be_made() {
        let missing = |role, create| {
            let mut report = Report::default();
            report.missing(&Wanted { topic: "t".to_owned(), role, create });
            report.findings.len()
        };
        assert_eq!(missing(Role::Sink, true), 0);
        assert_eq!(missing(Role::Sink, false), 1);
        assert_eq!(missing(Role::Source, true), 1);
        assert_eq!(missing(Role::Consent, true), 1);
    }

    #[test]
    fn a_cluster_that_is_not_there_is_a_finding() {
        let cluster = ClusterSettings { brokers: vec!["127.0.0.1:1".to_owned()], properties: vec![] };
        let wanted = [Wanted { topic: "t".to_owned(), role: Role::Source, create: false }];
        let report = inspect(&cluster, &wanted, Duration::from_millis(100));
        assert_eq!(report.findings.len(), 1, "{report:?}");
        assert!(report.findings[0].message.starts_with("the cluster cannot be asked"));
    }
}
