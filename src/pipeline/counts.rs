//! What a pipeline counts beside the four ends.

use std::time::Duration;

use metrics::{Counter, Histogram};

use super::line::Line;
use crate::source::Cluster;
use crate::telemetry::{Metric, Tally};
use crate::time::Timestamp;

/// The metrics of one pipeline, as handles made once.
pub(super) struct Counts {
    barrier_wait: Histogram,
    commit: Histogram,
    end_to_end: Histogram,
    batches: Counter,
    committed: Counter,
    aborted: Counter,
    replaced: Counter,
    gap: Counter,
    assigned: Counter,
    revoked: Counter,
}

impl Counts {
    pub fn new(pipeline: &str) -> Self {
        Self {
            barrier_wait: Metric::BarrierWait.histogram(&[pipeline]),
            commit: Metric::Commit.histogram(&[]),
            end_to_end: Metric::EndToEnd.histogram(&[pipeline]),
            batches: Metric::Batches.counter(&[pipeline]),
            committed: Metric::Transactions.counter(&[pipeline, "committed"]),
            aborted: Metric::Transactions.counter(&[pipeline, "aborted"]),
            replaced: Metric::ProducerReplaced.counter(&[pipeline]),
            gap: Metric::GapRecords.counter(&[pipeline]),
            assigned: Metric::Rebalances.counter(&[pipeline, "assigned"]),
            revoked: Metric::Rebalances.counter(&[pipeline, "revoked"]),
        }
    }
}

impl<C: Cluster> Line<C> {
    /// A worker tells what waits at each route.
    pub(super) fn held(&self, worker: usize, standing: Vec<(usize, Option<Timestamp>)>) {
        self.held.tell(worker, standing);
    }

    /// A commit took so long; the oldest of its records is from then.
    pub(super) fn committed(&self, took: Duration, oldest_ms: Option<i64>) {
        self.counts.commit.record(took.as_secs_f64());
        self.counts.committed.increment(1);
        self.counts.batches.increment(1);
        if let Some(age) = oldest_ms.and_then(|ms| u64::try_from(self.now().0 - ms).ok()) {
            self.counts.end_to_end.record(Duration::from_millis(age).as_secs_f64());
        }
    }

    /// Counts the records of a commit.
    pub(super) fn count(&self, tally: &mut Tally, read: u64) {
        tally.flush(&self.parts.totals, read);
    }

    /// A batch waited so long for the barrier.
    pub(super) fn waited(&self, took: Duration) {
        self.counts.barrier_wait.record(took.as_secs_f64());
    }

    pub(super) fn aborted(&self) {
        self.counts.aborted.increment(1);
    }

    pub(super) fn replaced(&self) {
        self.counts.replaced.increment(1);
    }

    pub(super) fn missed(&self, records: u64) {
        self.counts.gap.increment(records);
    }

    pub(super) fn rebalanced(&self, event: &str) {
        let count = if event == "assigned" { &self.counts.assigned } else { &self.counts.revoked };
        count.increment(1);
    }
}
