//! The names of all metrics, with kind, unit, labels and help: one enum, one table.
//!
//! A handle is asked for once, where a worker or a follower is made, and kept; recording through it is an
//! atomic addition and formats nothing. Names follow Prometheus's conventions
//! (<https://prometheus.io/docs/practices/naming/>): base units, `_total` on counters, and all begin with
//! `consentry_`.

mod lines;

use metrics::{Counter, Gauge, Histogram, Key, Label, Level, Metadata, Unit, with_recorder};

/// A metric of this process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Metric {
    /// Where records ended, per route: the central one.
    Records,
    /// Records taken in.
    Read,
    /// Records that wait no longer, by what they waited for.
    Released,
    /// Records that wait.
    HeldNow,
    /// Since when the oldest record waits.
    HeldOldest,
    /// Batches committed.
    Batches,
    /// Transactions ended.
    Transactions,
    /// How long a commit took.
    Commit,
    /// How long a batch waited for the barrier.
    BarrierWait,
    /// From Kafka's timestamp to the commit.
    EndToEnd,
    /// Source records that were gone before they were read.
    GapRecords,
    /// Rebalances of a pipeline's group.
    Rebalances,
    /// Producers given up after an indefinite outcome.
    ProducerReplaced,
    /// Workers started anew.
    WorkerRestarts,
    /// Consent records applied to the cache.
    ConsentApplied,
    /// Subjects in the cache.
    ConsentSubjects,
    /// Subjects whose consent record does not decode.
    ConsentInvalid,
    /// Subjects with a state on more than one partition.
    ConsentSplits,
    /// Subjects erased on one partition and known on another.
    ConsentConflicted,
    /// Consent records whose version went back.
    ConsentVersionRegressed,
    /// How long a withdrawal took to be obeyed.
    WithdrawalEffective,
    /// Privacy strings in consent records that do not decode.
    ConsentSignalsInvalid,
    /// How far the cache is behind, in records.
    ConsentLag,
    /// How long ago the cache was last at the end.
    ConsentStaleness,
    /// Consent keys that cannot be read.
    ConsentUnreadableKeys,
    /// Consent keys on the wrong partition.
    ConsentMisplacedKeys,
    /// Consent partitions that are followed.
    ConsentPartitions,
    /// When a snapshot of the cache was last written.
    SnapshotTime,
    /// Snapshots that could not be written.
    SnapshotFailures,
    /// The memory that subjects take.
    ConsentBytes,
    /// Messages about grants that come to their end.
    DueMessages,
    /// People whose time to be asked has come and of whom nothing is written yet.
    DueWaiting,
    /// People kept by whoever looks for grants that come to their end.
    DuePeople,
    /// Consent partitions whose ends are looked for here.
    DuePartitions,
    /// Consent records that are not read yet by whoever looks for ends.
    DueLag,
    /// Starts anew of whoever looks for ends.
    DueRestarts,
    /// Whether everything needed to forward is there.
    Ready,
    /// Which build, and which policy.
    BuildInfo,
}

/// What is done with a metric's values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// It only grows.
    Counter,
    /// It goes up and down.
    Gauge,
    /// A distribution over fixed buckets.
    Histogram,
}

/// One line of the table.
#[derive(Clone, Copy, Debug)]
pub struct Spec {
    /// The name in the exposition.
    pub name: &'static str,
    /// What is done with its values.
    pub kind: Kind,
    /// What it counts or measures.
    pub unit: Unit,
    /// Label names, in the order in which handles take the values.
    pub labels: &'static [&'static str],
    /// What it says, for people.
    pub help: &'static str,
}

const METADATA: Metadata<'static> = Metadata::new("consentry", Level::INFO, None);

impl Metric {
    /// Every metric there is.
    pub const ALL: &'static [Self] = &[
        Self::Records,
        Self::Read,
        Self::Released,
        Self::HeldNow,
        Self::HeldOldest,
        Self::Batches,
        Self::Transactions,
        Self::Commit,
        Self::BarrierWait,
        Self::EndToEnd,
        Self::GapRecords,
        Self::Rebalances,
        Self::ProducerReplaced,
        Self::WorkerRestarts,
        Self::ConsentApplied,
        Self::ConsentSubjects,
        Self::ConsentInvalid,
        Self::ConsentSplits,
        Self::ConsentConflicted,
        Self::ConsentVersionRegressed,
        Self::WithdrawalEffective,
        Self::ConsentSignalsInvalid,
        Self::ConsentLag,
        Self::ConsentStaleness,
        Self::ConsentUnreadableKeys,
        Self::ConsentMisplacedKeys,
        Self::ConsentPartitions,
        Self::SnapshotTime,
        Self::SnapshotFailures,
        Self::ConsentBytes,
        Self::DueMessages,
        Self::DueWaiting,
        Self::DuePeople,
        Self::DuePartitions,
        Self::DueLag,
        Self::DueRestarts,
        Self::Ready,
        Self::BuildInfo,
    ];

    /// This metric's line of the table.
    pub const fn spec(self) -> Spec {
        match self {
            Self::Records => counter(
                "consentry_records_total",
                &["pipeline", "route", "end", "reason"],
                "Records by route, by where they ended, and why",
            ),
            Self::Read => counter("consentry_read_total", PIPELINE, "Records read and committed"),
            Self::Batches => counter("consentry_batches_total", PIPELINE, "Batches committed"),
            Self::Transactions => counter(
                "consentry_transactions_total",
                &["pipeline", "outcome"],
                "Kafka transactions by outcome: committed or aborted",
            ),
            Self::Commit => seconds("consentry_commit_seconds", &[], "How long a commit took"),
            Self::BarrierWait => seconds(
                "consentry_barrier_wait_seconds",
                PIPELINE,
                "How long a batch waited until the consent cache was fresh enough to decide it",
            ),
            Self::EndToEnd => seconds(
                "consentry_end_to_end_seconds",
                PIPELINE,
                "From a record's Kafka timestamp to the commit of what became of it",
            ),
            Self::GapRecords => counter(
                "consentry_gap_records_total",
                PIPELINE,
                "Source records that were gone before they were read",
            ),
            Self::Rebalances => counter(
                "consentry_rebalances_total",
                &["pipeline", "event"],
                "Rebalances of the consumer group, by event",
            ),
            Self::ProducerReplaced => counter(
                "consentry_producer_replaced_total",
                PIPELINE,
                "Producers given up and made anew because an outcome was not known",
            ),
            Self::WorkerRestarts => {
                counter("consentry_worker_restarts_total", PIPELINE, "Workers started anew after a fault")
            }
            Self::Released | Self::HeldNow | Self::HeldOldest => self.hold_spec(),
            _ => self.consent_spec(),
        }
    }

    /// A counter's handle. `values` stand in the order of the spec's `labels`.
    pub fn counter(self, values: &[&str]) -> Counter {
        let key = self.key(values);
        with_recorder(|recorder| recorder.register_counter(&key, &METADATA))
    }

    /// A gauge's handle. `values` stand in the order of the spec's `labels`.
    pub fn gauge(self, values: &[&str]) -> Gauge {
        let key = self.key(values);
        with_recorder(|recorder| recorder.register_gauge(&key, &METADATA))
    }

    /// A histogram's handle. `values` stand in the order of the spec's `labels`.
    pub fn histogram(self, values: &[&str]) -> Histogram {
        let key = self.key(values);
        with_recorder(|recorder| recorder.register_histogram(&key, &METADATA))
    }

    /// Tells the recorder what this metric means.
    pub(super) fn describe(self) {
        let Spec { name, kind, unit, help, .. } = self.spec();
        with_recorder(|recorder| match kind {
            Kind::Counter => recorder.describe_counter(name.into(), Some(unit), help.into()),
            Kind::Gauge => recorder.describe_gauge(name.into(), Some(unit), help.into()),
            Kind::Histogram => recorder.describe_histogram(name.into(), Some(unit), help.into()),
        });
    }

    fn key(self, values: &[&str]) -> Key {
        let Spec { name, labels, .. } = self.spec();
        debug_assert_eq!(labels.len(), values.len(), "{name}");
        let labels: Vec<Label> =
            labels.iter().zip(values).map(|(label, value)| Label::new(*label, (*value).to_owned())).collect();
        Key::from_parts(name, labels)
    }
}

const PIPELINE: &[&str] = &["pipeline"];

const fn counter(name: &'static str, labels: &'static [&'static str], help: &'static str) -> Spec {
    Spec { name, kind: Kind::Counter, unit: Unit::Count, labels, help }
}

const fn gauge(name: &'static str, labels: &'static [&'static str], help: &'static str) -> Spec {
    Spec { name, kind: Kind::Gauge, unit: Unit::Count, labels, help }
}

const fn seconds(name: &'static str, labels: &'static [&'static str], help: &'static str) -> Spec {
    Spec { name, kind: Kind::Histogram, unit: Unit::Seconds, labels, help }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn names_follow_the_conventions() {
        let mut seen = HashSet::new();
        for metric in Metric::ALL {
            let spec = metric.spec();
            assert!(seen.insert(spec.name), "{} twice", spec.name);
            assert!(spec.name.starts_with("consentry_"), "{}", spec.name);
            assert_eq!(spec.name.ends_with("_total"), spec.kind == Kind::Counter, "{}", spec.name);
            assert_eq!(spec.name.ends_with("_seconds"), spec.unit == Unit::Seconds, "{}", spec.name);
            assert!(!spec.help.is_empty() && !spec.help.ends_with('.'), "{}", spec.name);
        }
        assert_eq!(seen.len(), Metric::BuildInfo as usize + 1, "a metric is missing in ALL");
    }
}
