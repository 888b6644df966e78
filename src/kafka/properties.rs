//! Which librdkafka properties a configuration may set.
//!
//! Most may: security, buffers, time-outs, logs. A few carry what is promised of delivery and freshness,
//! and those are ours. Names and values are then tried on librdkafka itself, which knows them all, so that
//! a misspelt one is found by `consentry check` rather than by the first start.

use rdkafka::ClientConfig;
use rdkafka::error::KafkaError;

/// Properties that carry a promise, and what says it instead.
const OURS: &[(&str, &str)] = &[
    ("bootstrap.servers", "write `kafka.brokers`"),
    ("metadata.broker.list", "write `kafka.brokers`"),
    ("group.id", "write the pipeline's `group`"),
    ("group.instance.id", "workers join and leave by themselves"),
    ("group.protocol", "the line follows the classic protocol's assignments"),
    ("group.remote.assignor", "the line follows the classic protocol's assignments"),
    ("partition.assignment.strategy", "the line follows this protocol's assignments alone"),
    ("enable.auto.commit", "offsets are committed with the records"),
    ("auto.commit.enable", "offsets are committed with the records"),
    ("enable.auto.offset.store", "offsets are committed with the records"),
    ("offset.store.method", "offsets are committed with the records"),
    ("auto.offset.reset", "write `from.start`; a gap is never skipped unasked"),
    ("isolation.level", "only what is committed is read"),
    ("enable.partition.eof", "the consent cache knows the end of each partition by it"),
    ("check.crcs", "a damaged record must not be decided"),
    ("transactional.id", "write `instance`"),
    ("transaction.timeout.ms", "it follows from `commit_interval`"),
    ("enable.idempotence", "write `delivery`"),
    ("enable.gapless.guarantee", "write `delivery`"),
    ("acks", "every write waits for all replicas"),
    ("request.required.acks", "every write waits for all replicas"),
    ("delivery.report.only.error", "offsets wait for each acknowledgement"),
    ("partitioner", "records keep their order by key"),
    ("partitioner_cb", "records keep their order by key"),
    ("allow.auto.create.topics", "write `create: true` where a topic is to be made"),
];

/// Why a property may not be set.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum PropertyRefusal {
    /// It carries a promise.
    #[error("`{name}` is not yours to set")]
    Ours {
        /// The property.
        name: String,
        /// What says it instead.
        instead: &'static str,
    },
    /// librdkafka does not take it.
    #[error("librdkafka refuses `{name}`: {why}")]
    Unfit {
        /// The property.
        name: String,
        /// What librdkafka says; never the value.
        why: String,
    },
}

impl PropertyRefusal {
    /// What to do about it.
    pub fn help(&self) -> String {
        match self {
            Self::Ours { instead, .. } => format!("take it out: {instead}"),
            Self::Unfit { .. } => "see CONFIGURATION.md of librdkafka for names and values".to_owned(),
        }
    }
}

/// Whether a property's value is a secret, by its name.
pub fn is_secret(name: &str) -> bool {
    name.contains("password") || name.contains("secret") || name == "ssl.key.pem"
}

/// Refuses a property that carries a promise, whatever its value.
///
/// # Errors
/// Where it does.
pub fn promise(name: &str) -> Result<(), PropertyRefusal> {
    if let Some((_, instead)) = OURS.iter().find(|(ours, _)| *ours == name) {
        return Err(PropertyRefusal::Ours { name: name.to_owned(), instead });
    }
    if name.starts_with("test.") {
        let instead = "it makes up a cluster for tests";
        return Err(PropertyRefusal::Ours { name: name.to_owned(), instead });
    }
    Ok(())
}

/// Checks one property.
///
/// # Errors
/// Where it carries a promise, or librdkafka does not know it or its value.
pub fn check(name: &str, value: &str) -> Result<(), PropertyRefusal> {
    promise(name)?;
    let mut config = ClientConfig::new();
    match config.set(name, value).create_native_config() {
        Err(KafkaError::ClientConfig(_, why, _, _)) => {
            // librdkafka repeats the value in quotes, and it may be a password.
            let why = if value.is_empty() { why } else { why.replace(value, "…") };
            Err(PropertyRefusal::Unfit { name: name.to_owned(), why })
        }
        Ok(_) | Err(_) => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn promises_are_not_for_sale() {
        for (name, _) in OURS {
            assert!(matches!(check(name, "x"), Err(PropertyRefusal::Ours { .. })), "{name}");
        }
        assert!(matches!(check("test.mock.num.brokers", "3"), Err(PropertyRefusal::Ours { .. })));
    }

    #[test]
    fn librdkafka_is_asked_about_the_others() {
        assert_eq!(check("security.protocol", "ssl"), Ok(()));
        assert_eq!(check("linger.ms", "5"), Ok(()));
        assert!(matches!(check("linger.mss", "5"), Err(PropertyRefusal::Unfit { .. })));
        let refusal = check("security.protocol", "hunter2").unwrap_err();
        assert!(!refusal.to_string().contains("hunter2"), "{refusal}");
    }
}
