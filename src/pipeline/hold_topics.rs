//! The topics in which a pipeline's records wait: one a source topic, partition by partition.

use std::collections::BTreeMap;
use std::sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use super::line::{LineError, Parts};
use crate::kafka::inspect::hold_faults;
use crate::sink::kafka::Target;
use crate::source::{TopicError, Topics};

/// What a hold topic adds to a record: its coordinates, the route, deadlines, and Kafka's own framing.
const FRAME_BYTES: usize = 64 << 10;

/// The hold topics of a pipeline, by source topic; none where it does not hold.
#[derive(Debug, Default)]
pub struct HoldTopics(RwLock<BTreeMap<String, Target>>);

impl HoldTopics {
    /// Looks at the hold topics, and makes those that are missing.
    ///
    /// # Errors
    /// One has more partitions than its source, or is not compacted: what waits there could be lost.
    pub fn build<C>(parts: &Parts<C>, admin: &impl Topics) -> Result<Self, LineError> {
        let mut all = BTreeMap::new();
        for (source, topic) in parts.settings.holds() {
            // The hold topic is asked first: it is widened after its source.
            let found = match admin.partitions(&topic) {
                Ok(count) => Some(count),
                Err(TopicError::Missing(_)) => None,
                Err(error) => return Err(error.into()),
            };
            let wanted = admin.partitions(source)?;
            let max_bytes =
                (parts.line.limits.max_record_bytes + FRAME_BYTES).max(super::line::DEFAULT_MAX_BYTES);
            match found {
                None => {
                    tracing::info!(topic, partitions = wanted, "making a hold topic");
                    admin.create(&topic, wanted, &settings(&max_bytes.to_string()))?;
                }
                Some(count) => {
                    let config = if parts.asks_limits { Some(admin.config(&topic)?) } else { None };
                    let cleanup = config.as_ref().and_then(|config| config.get("cleanup.policy"));
                    let cleanup = config.as_ref().map(|_| cleanup.map_or("", String::as_str));
                    if let Some(fault) = hold_faults(&topic, (count, wanted), cleanup).into_iter().next() {
                        return Err(LineError::Unsuitable(fault.message, fault.help));
                    }
                    if count < wanted {
                        admin.widen(&topic, wanted)?;
                    }
                }
            }
            all.insert(source.to_owned(), Target { topic, partitions: wanted, max_bytes });
        }
        let topics = Self(RwLock::new(all));
        if parts.asks_limits {
            topics.learn_limits(admin);
        }
        Ok(topics)
    }

    /// Asks how large a record each takes. Where that may not be asked, what was known stands.
    pub fn learn_limits(&self, admin: &impl Topics) {
        // Asked without the lock: workers want to write meanwhile.
        let known = self.read().clone();
        for (source, Target { topic, .. }) in known {
            let config = admin.config(&topic).ok();
            let max = config.and_then(|config| config.get("max.message.bytes")?.parse().ok());
            if let (Some(max), Some(target)) = (max, self.write().get_mut(&source)) {
                target.max_bytes = max;
            }
        }
    }

    /// The largest batch that the least of them takes.
    pub fn smallest(&self) -> Option<usize> {
        self.read().values().map(|target| target.max_bytes).min()
    }

    /// The hold topic of a source topic.
    pub fn of(&self, source: &str) -> Option<Target> {
        self.read().get(source).cloned()
    }

    /// Gives the hold topic of a source topic a partition with this number, as its source has.
    pub fn reach<T: Topics>(
        &self,
        admin: impl FnOnce() -> Result<T, TopicError>,
        source: &str,
        partition: i32,
    ) -> Result<(), TopicError> {
        let Some(target) = self.of(source) else { return Ok(()) };
        let needed = usize::try_from(partition).unwrap_or(0) + 1;
        if target.partitions >= needed {
            return Ok(());
        }
        let admin = admin()?;
        let wanted = admin.partitions(source)?.max(needed);
        tracing::info!(topic = target.topic, partitions = wanted, "the source has more partitions: widening");
        admin.widen(&target.topic, wanted)?;
        self.write().entry(source.to_owned()).and_modify(|target| target.partitions = wanted);
        Ok(())
    }

    fn read(&self) -> RwLockReadGuard<'_, BTreeMap<String, Target>> {
        self.0.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, BTreeMap<String, Target>> {
        self.0.write().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How a hold topic is made: what was released is gone within a day.
fn settings(max_bytes: &str) -> [(&str, &str); 4] {
    [
        ("cleanup.policy", "compact"),
        ("segment.ms", "3600000"),
        ("max.compaction.lag.ms", "86400000"),
        ("max.message.bytes", max_bytes),
    ]
}
