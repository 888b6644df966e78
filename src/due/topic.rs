//! Whether the topic is what it must be; and making it.

use super::{End, Parts};
use crate::kafka::topics::Topics;
use crate::source::{TopicError, Topics as _};

/// How a topic is made. Whoever reads it may be a week behind without missing a record to compaction.
const MADE_WITH: &[(&str, &str)] = &[("cleanup.policy", "compact"), ("min.compaction.lag.ms", "604800000")];

/// Looks at both topics, and makes the one that is told on where it may: how many partitions they have.
pub(super) fn fit(parts: &Parts) -> Result<usize, End> {
    let admin = Topics::connect(&parts.cluster)?;
    let wants = admin.partitions(&parts.consent)?;
    let due = parts.settings.topic.name.clone();
    let has = match admin.partitions(&due) {
        Err(TopicError::Missing(_)) if parts.settings.topic.create => {
            tracing::info!(topic = due, partitions = wants, "making a topic");
            admin.create(&due, wants, MADE_WITH)?;
            return Ok(wants);
        }
        Err(TopicError::Missing(name)) => return Err(End::Missing(name)),
        other => other?,
    };
    if has != wants {
        return Err(End::Uneven { due, has, consent: parts.consent.clone(), wants });
    }
    let config = admin.config(&due)?;
    let compacted = config.get("cleanup.policy").is_some_and(|policy| policy == "compact");
    if compacted { Ok(wants) } else { Err(End::NotCompacted(due)) }
}
