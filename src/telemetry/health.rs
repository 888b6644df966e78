//! Whether everything needed to forward is there, and if not, why.
//!
//! A cause stands until what raised it clears it; ready means that none stands. Each change is logged
//! once, when it happens, and the gauge follows. A process begins not ready (`Cause::Starting`): whoever
//! builds it clears that last.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use metrics::Gauge;

use super::metric::Metric;

/// Why nothing, or not everything, is forwarded.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Cause {
    /// The process is being built.
    Starting,
    /// The consent topic has not been read to its end yet.
    ConsentLoading,
    /// There is no such topic.
    ConsentTopicMissing,
    /// The topic is not compacted, or forgets tombstones too soon.
    ConsentTopicUnsuitable,
    /// The topic holds no subject at all.
    ConsentEmpty,
    /// The brokers of the consent topic do not answer.
    ConsentUnreachable,
    /// A key on the consent topic cannot be read.
    ConsentKeyUnreadable,
    /// A key on the consent topic is on another partition than its own.
    ConsentKeyMisplaced,
    /// The consent topic and the topics of the events have not as many partitions, and must have.
    PartitionsDiffer,
    /// The consent topic cannot be followed for another reason.
    ConsentError,
    /// Decisions have waited for fresh consent for longer than `barrier_alert`.
    BarrierWaiting,
    /// More subjects than `max_subjects`.
    CacheFull,
    /// The brokers of this pipeline's topics do not answer.
    SourceUnreachable(String, usize),
    /// An event of this pipeline is on another partition than its subject's.
    EventMisplaced(String),
    /// Records of this pipeline's topics are gone.
    Gap(String, usize),
    /// So much waits at this worker of this pipeline that nothing new is taken in.
    HoldFull(String, usize),
    /// What waits at this worker of this pipeline is not loaded yet, and should be.
    HoldLoading(String, usize),
    /// A commit of this worker of this pipeline is not acknowledged.
    CommitWaiting(String, usize),
    /// This worker of this pipeline is not running.
    Worker(String, usize),
    /// The process is stopping.
    Draining,
}

impl Cause {
    /// The word in the readiness answer and the log.
    pub const fn word(&self) -> &'static str {
        match self {
            Self::Starting => "starting",
            Self::ConsentLoading => "consent_loading",
            Self::ConsentTopicMissing => "consent_topic_missing",
            Self::ConsentTopicUnsuitable => "consent_topic_unsuitable",
            Self::ConsentEmpty => "consent_empty",
            Self::ConsentUnreachable => "consent_unreachable",
            Self::ConsentKeyUnreadable => "consent_key_unreadable",
            Self::ConsentKeyMisplaced => "consent_key_misplaced",
            Self::PartitionsDiffer => "partitions_differ",
            Self::ConsentError => "consent_error",
            Self::BarrierWaiting => "barrier_waiting",
            Self::CacheFull => "cache_full",
            Self::SourceUnreachable(..) => "source_unreachable",
            Self::EventMisplaced(_) => "event_misplaced",
            Self::Gap(..) => "gap",
            Self::HoldFull(..) => "hold_full",
            Self::HoldLoading(..) => "hold_loading",
            Self::CommitWaiting(..) => "commit_waiting",
            Self::Worker(..) => "worker",
            Self::Draining => "draining",
        }
    }

    /// The pipeline it concerns, where it is one.
    pub fn pipeline(&self) -> Option<&str> {
        match self {
            Self::SourceUnreachable(pipeline, _)
            | Self::EventMisplaced(pipeline)
            | Self::Gap(pipeline, _)
            | Self::HoldFull(pipeline, _)
            | Self::HoldLoading(pipeline, _)
            | Self::CommitWaiting(pipeline, _)
            | Self::Worker(pipeline, _) => Some(pipeline),
            Self::Starting
            | Self::ConsentLoading
            | Self::ConsentTopicMissing
            | Self::ConsentTopicUnsuitable
            | Self::ConsentEmpty
            | Self::ConsentUnreachable
            | Self::ConsentKeyUnreadable
            | Self::ConsentKeyMisplaced
            | Self::PartitionsDiffer
            | Self::ConsentError
            | Self::BarrierWaiting
            | Self::CacheFull
            | Self::Draining => None,
        }
    }
}

/// The process's readiness. Cheap to clone; all clones are one.
#[derive(Clone)]
pub struct Health(Arc<Inner>);

struct Inner {
    causes: Mutex<BTreeMap<Cause, String>>,
    ready: Gauge,
}

impl Health {
    /// Not ready yet: `Cause::Starting` stands. Made after `telemetry::install`, so that the gauge is told.
    pub fn new() -> Self {
        let causes = BTreeMap::from([(Cause::Starting, "the process is being built".to_owned())]);
        let ready = Metric::Ready.gauge(&[]);
        ready.set(0.0);
        Self(Arc::new(Inner { causes: Mutex::new(causes), ready }))
    }

    /// Raises a cause, or replaces its detail. The detail names what to look at and what helps: topic,
    /// partition, offset, command; never a subject.
    pub fn block(&self, cause: Cause, detail: String) {
        let mut causes = self.causes();
        let word = cause.word();
        let pipeline = cause.pipeline().map(str::to_owned);
        match causes.entry(cause) {
            Entry::Occupied(mut standing) => {
                standing.insert(detail);
            }
            Entry::Vacant(place) => {
                tracing::warn!(cause = word, pipeline, detail, "not ready");
                place.insert(detail);
            }
        }
        self.0.ready.set(0.0);
    }

    /// Takes a cause away; nothing happens if it does not stand.
    pub fn clear(&self, cause: &Cause) {
        let mut causes = self.causes();
        if causes.remove(cause).is_none() {
            return;
        }
        let left = causes.len();
        tracing::info!(cause = cause.word(), pipeline = cause.pipeline(), left, "cleared");
        if left == 0 {
            tracing::info!("ready");
            self.0.ready.set(1.0);
        }
    }

    /// Whether everything is there.
    ///
    /// # Errors
    /// Every cause that stands, with its detail.
    pub fn ready(&self) -> Result<(), Vec<(Cause, String)>> {
        let causes = self.causes();
        if causes.is_empty() {
            return Ok(());
        }
        Err(causes.iter().map(|(cause, detail)| (cause.clone(), detail.clone())).collect())
    }

    /// A thread that panicked while it held the lock left a whole map behind: every change is one call.
    fn causes(&self) -> MutexGuard<'_, BTreeMap<Cause, String>> {
        self.0.causes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Default for Health {
    fn default() -> Self {
        Self::new()
    }
}

impl std::fmt::Debug for Health {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Health").field(&self.ready()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_ready_only_when_no_cause_stands() {
        let health = Health::new();
        let other = health.clone();
        assert_eq!(words(&health), ["starting"]);
        other.block(Cause::Worker("shop".into(), 0), "lost its producer".into());
        other.block(Cause::Worker("shop".into(), 1), "lost its producer".into());
        health.clear(&Cause::Starting);
        health.clear(&Cause::Worker("shop".into(), 0));
        assert_eq!(words(&health), ["worker"]);
        health.clear(&Cause::Worker("shop".into(), 1));
        assert_eq!(other.ready(), Ok(()));
    }

    #[test]
    fn keeps_the_latest_detail() {
        let health = Health::new();
        health.clear(&Cause::Starting);
        health.block(Cause::ConsentLoading, "1 of 2 partitions".into());
        health.block(Cause::ConsentLoading, "2 of 2 partitions".into());
        assert_eq!(health.ready(), Err(vec![(Cause::ConsentLoading, "2 of 2 partitions".into())]));
    }

    fn words(health: &Health) -> Vec<&'static str> {
        health.ready().err().unwrap_or_default().iter().map(|(cause, _)| cause.word()).collect()
    }
}
