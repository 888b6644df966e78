//! Clients of one cluster: the properties that carry a promise, and what librdkafka says.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use rdkafka::ClientContext;
use rdkafka::config::{ClientConfig, RDKafkaLogLevel};
use rdkafka::consumer::ConsumerContext;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};

use super::settings::ClusterSettings;
use crate::source::Failure;

/// A configuration for any client of the cluster: the brokers, then the user's properties, then ours.
pub fn config(cluster: &ClusterSettings, ours: &[(&str, &str)]) -> ClientConfig {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", cluster.brokers.join(","));
    config.set("client.id", "consentry");
    // By default ten seconds: so long nobody knocks again at a broker that has come back.
    config.set("reconnect.backoff.max.ms", "1000");
    for (name, value) in &cluster.properties {
        config.set(name, value);
    }
    for (name, value) in ours {
        config.set(*name, *value);
    }
    config
}

/// A configuration for a consumer that is assigned partitions by hand and reads what is committed of them: never
/// joined, never committed to. librdkafka wants a name for that all the same.
pub fn by_hand(cluster: &ClusterSettings, name: &str) -> ClientConfig {
    config(
        cluster,
        &[
            ("group.id", name),
            ("enable.auto.commit", "false"),
            ("enable.auto.offset.store", "false"),
            ("auto.offset.reset", "error"),
            ("isolation.level", "read_committed"),
            ("enable.partition.eof", "true"),
            ("check.crcs", "true"),
            // From the leader alone: the end that a follower tells may lag.
            ("client.rack", ""),
        ],
    )
}

/// Of an error of a call nothing is known: what a poll says is sorted by whoever polls.
impl From<KafkaError> for Failure {
    fn from(error: KafkaError) -> Self {
        Self::unknown(error)
    }
}

/// Whether this is what the brokers' absence looks like: it is over by itself, and nothing is skipped by waiting.
pub fn is_absence(error: &KafkaError) -> bool {
    matches!(
        error.rdkafka_error_code(),
        Some(
            RDKafkaErrorCode::BrokerTransportFailure
                | RDKafkaErrorCode::AllBrokersDown
                | RDKafkaErrorCode::OperationTimedOut
                | RDKafkaErrorCode::RequestTimedOut
                | RDKafkaErrorCode::Resolve
                | RDKafkaErrorCode::NotCoordinator
                | RDKafkaErrorCode::CoordinatorNotAvailable
                | RDKafkaErrorCode::CoordinatorLoadInProgress
        )
    )
}

/// The same for a consumer that reads by hand: it needs no group, and may be told that it has no right to one.
pub fn is_absence_by_hand(error: &KafkaError) -> bool {
    is_absence(error) || error.rdkafka_error_code() == Some(RDKafkaErrorCode::GroupAuthorizationFailed)
}

/// Whether the user's properties say anything about `name`.
pub fn is_set(cluster: &ClusterSettings, name: &str) -> bool {
    cluster.properties.iter().any(|(own, _)| own == name)
}

/// The context of a consumer that must know which topic it reads.
///
/// librdkafka's API does not tell a topic's id, but its log does, whenever a topic that is assigned is looked
/// up with `debug=topic` and `set_log_level(Debug)`. That line is how a topic that was deleted and made anew,
/// with as many records as before, is told from the one that was there. It is written before anything of the
/// new topic can be fetched. (A test on a real broker guards the wording.)
#[derive(Debug, Default)]
pub struct Asking {
    topic_id: Mutex<Option<String>>,
    changes: AtomicU64,
    heard: AtomicU64,
    end: Mutex<Option<i64>>,
}

impl Asking {
    /// It is to be the topic of this id: another one under its name is a change.
    pub fn expect(&self, topic_id: &str) {
        *self.topic_id.lock().unwrap_or_else(PoisonError::into_inner) = Some(topic_id.to_owned());
    }

    /// The id of the topic that was looked up last.
    pub fn topic_id(&self) -> Option<String> {
        self.topic_id.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Where the partition ends whose end was polled last: below it everything committed has been polled. The
    /// client's API gives an end of partition without its offset; what it says beside it has it.
    pub fn end(&self) -> Option<i64> {
        *self.end.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How often the client has said anything. Unless that is polled, it piles up.
    pub fn heard(&self) -> u64 {
        self.heard.load(Ordering::Acquire)
    }

    /// How often a topic was found to be another one under the same name.
    pub fn changes(&self) -> u64 {
        self.changes.load(Ordering::Acquire)
    }
}

impl ClientContext for Asking {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        self.heard.fetch_add(1, Ordering::AcqRel);
        if !matches!(level, RDKafkaLogLevel::Debug) {
            return log(level, facility, message);
        }
        if let Some((_, old, new)) = changed_id(message) {
            let before = self.topic_id.lock().unwrap_or_else(PoisonError::into_inner).replace(new.to_owned());
            if old != NO_ID || before.is_some_and(|before| before != new) {
                self.changes.fetch_add(1, Ordering::AcqRel);
            }
        }
    }

    fn error(&self, error: KafkaError, reason: &str) {
        self.heard.fetch_add(1, Ordering::AcqRel);
        if error.rdkafka_error_code() == Some(RDKafkaErrorCode::PartitionEOF) {
            *self.end.lock().unwrap_or_else(PoisonError::into_inner) = end_in(reason);
        } else {
            tracing::debug!(%error, reason, "client");
        }
    }
}

impl ConsumerContext for Asking {}

/// A topic that was not looked up before: sixteen zero bytes in base64.
pub const NO_ID: &str = "AAAAAAAAAAAAAAAAAAAAAA";

/// Name and ids in `Topic NAME changed id from OLD to NEW`.
pub fn changed_id(message: &str) -> Option<(&str, &str, &str)> {
    let (said, ids) = message.split_once(" changed id from ")?;
    let (_, name) = said.rsplit_once("Topic ")?;
    let (old, new) = ids.split_once(" to ")?;
    Some((name.trim(), old.trim(), new.trim()))
}

/// The offset in `Fetch from broker N reached end of partition at offset M (HighwaterMark H)`.
fn end_in(reason: &str) -> Option<i64> {
    let (_, rest) = reason.split_once("reached end of partition at offset ")?;
    rest.split(|character: char| !character.is_ascii_digit()).next()?.parse().ok()
}

/// Hands a line of librdkafka's log on. Its lines name brokers, topics, partitions and offsets, never
/// what a record holds.
pub fn log(level: RDKafkaLogLevel, facility: &str, message: &str) {
    // One set of properties serves consumers and producers; that each ignores the other's is as it should be.
    let harmless = facility == "CONFWARN" && message.contains("will be ignored by this");
    match level {
        _ if harmless => tracing::debug!(facility, "{message}"),
        RDKafkaLogLevel::Emerg
        | RDKafkaLogLevel::Alert
        | RDKafkaLogLevel::Critical
        | RDKafkaLogLevel::Error => tracing::error!(facility, "{message}"),
        RDKafkaLogLevel::Warning => tracing::warn!(facility, "{message}"),
        RDKafkaLogLevel::Notice | RDKafkaLogLevel::Info => tracing::info!(facility, "{message}"),
        RDKafkaLogLevel::Debug => tracing::debug!(facility, "{message}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_the_topic_id_in_the_log() {
        let line =
            "[thrd:main]: Topic consents changed id from AAAAAAAAAAAAAAAAAAAAAA to 3qYV1v5uQ5y_x4s0f1nHcA";
        assert_eq!(changed_id(line), Some(("consents", NO_ID, "3qYV1v5uQ5y_x4s0f1nHcA")));
        assert_eq!(changed_id("Topic consents partition count changed from 1 to 2"), None);
    }

    #[test]
    fn finds_the_end_in_what_is_said_of_it() {
        let reason = "Fetch from broker 1 reached end of partition at offset 502 (HighwaterMark 503)";
        assert_eq!((end_in(reason), end_in("no more messages")), (Some(502), None));
    }

    #[test]
    fn our_properties_are_laid_over_the_users() {
        let cluster = ClusterSettings {
            brokers: vec!["a:1".to_owned(), "b:2".to_owned()],
            properties: vec![("check.crcs".to_owned(), "false".to_owned())],
        };
        let config = config(&cluster, &[("check.crcs", "true")]);
        assert_eq!(
            (config.get("bootstrap.servers"), config.get("check.crcs")),
            (Some("a:1,b:2"), Some("true"))
        );
    }
}
