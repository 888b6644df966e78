//! What a pipeline has done since it started: the sum of its committed batches.
//!
//! Shared by the pipeline's workers and read by the status page and the demonstration. The counters of
//! Prometheus are fed here, so that the two cannot disagree. Every series that may come is there from the start, at 0, because a
//! rate cannot see the first step of one that begins at 1.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};

use metrics::Counter;
use serde::{Serialize, Serializer};

use crate::consent::{End, Reason};

use super::cells::{Outcome, outcomes};
use super::metric::Metric;

/// A pipeline's running totals.
pub struct Totals {
    pipeline: String,
    read: AtomicU64,
    read_metric: Counter,
    routes: Vec<Route>,
}

struct Route {
    name: String,
    cells: Vec<Cell>,
    released: AtomicU64,
    /// By the reason that was waited for.
    released_metric: Vec<Counter>,
}

struct Cell {
    outcome: Outcome,
    count: AtomicU64,
    metric: Counter,
}

/// A reading of a pipeline's totals.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PipelineTotals {
    /// The pipeline's name.
    pub pipeline: String,
    /// Records read and committed.
    pub read: u64,
    /// Its routes, in the order of the configuration.
    pub routes: Vec<RouteTotals>,
}

/// A reading of a route's totals.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RouteTotals {
    /// The route's name.
    pub route: String,
    /// How many records ended how; only what is not 0, `not_routed` first.
    pub counts: Vec<(Outcome, u64)>,
    /// Records that waited and do no longer.
    pub released: u64,
}

impl Totals {
    /// Zero for each of the pipeline's routes, named in the order of the configuration.
    pub fn new(pipeline: &str, routes: &[String]) -> Self {
        let cell = |route: &str, outcome| {
            let (end, reason) = words(outcome);
            let metric = match is_possible(outcome) {
                true => Metric::Records.counter(&[pipeline, route, end, reason]),
                false => Counter::noop(),
            };
            Cell { outcome, count: AtomicU64::new(0), metric }
        };
        let cells = |route: &str| outcomes().map(|outcome| cell(route, outcome)).collect();
        let released = |route: &str, reason: &Reason| match reason.ends().contains(&End::Held) {
            true => Metric::Released.counter(&[pipeline, route, reason.word()]),
            false => Counter::noop(),
        };
        let route = |name: &String| Route {
            name: name.clone(),
            cells: cells(name),
            released: AtomicU64::new(0),
            released_metric: Reason::ALL.iter().map(|reason| released(name, reason)).collect(),
        };
        Self {
            pipeline: pipeline.to_owned(),
            read: AtomicU64::new(0),
            read_metric: Metric::Read.counter(&[pipeline]),
            routes: routes.iter().map(route).collect(),
        }
    }

    /// Adds records that were read and committed.
    pub(super) fn read(&self, count: u64) {
        self.read.fetch_add(count, Ordering::Relaxed);
        self.read_metric.increment(count);
    }

    /// Adds a record that waited at a route for this reason and does no longer.
    pub(super) fn released(&self, route: usize, reason: Reason) {
        let Some(route) = self.routes.get(route) else { return };
        route.released.fetch_add(1, Ordering::Relaxed);
        route.released_metric.get(reason as usize).into_iter().for_each(|metric| metric.increment(1));
    }

    /// Adds to one cell of one route.
    pub(super) fn add(&self, route: usize, cell: usize, count: u64) {
        let Some(route) = self.routes.get(route) else { return };
        let Some(cell) = route.cells.get(cell) else { return };
        cell.count.fetch_add(count, Ordering::Relaxed);
        cell.metric.increment(count);
    }

    /// Reads them. While workers commit, a batch may be counted in part; once they have stopped, it is
    /// exact.
    pub fn snapshot(&self) -> PipelineTotals {
        let count = |cell: &Cell| match cell.count.load(Ordering::Relaxed) {
            0 => None,
            count => Some((cell.outcome, count)),
        };
        let route = |route: &Route| RouteTotals {
            route: route.name.clone(),
            counts: route.cells.iter().filter_map(count).collect(),
            released: route.released.load(Ordering::Relaxed),
        };
        PipelineTotals {
            pipeline: self.pipeline.clone(),
            read: self.read.load(Ordering::Relaxed),
            routes: self.routes.iter().map(route).collect(),
        }
    }
}

impl std::fmt::Debug for Totals {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.snapshot().fmt(f)
    }
}

impl RouteTotals {
    /// Records that ended in `end`, for whatever reason; `None`: not routed.
    pub fn ended(&self, end: Option<End>) -> u64 {
        let here = |(outcome, _): &&(Outcome, u64)| outcome.map(|(end, _)| end) == end;
        self.counts.iter().filter(here).map(|(_, count)| count).sum()
    }

    /// All ends that records have come to: those that were released have come to two.
    pub fn counted(&self) -> u64 {
        self.counts.iter().map(|(_, count)| count).sum()
    }
}

/// `{"route":…,"forwarded":{reason:n},"dropped":{…},"held":{…},"quarantined":{…},"not_routed":n,"released":n}`.
impl Serialize for RouteTotals {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct Shape<'a> {
            route: &'a str,
            forwarded: BTreeMap<&'a str, u64>,
            dropped: BTreeMap<&'a str, u64>,
            held: BTreeMap<&'a str, u64>,
            quarantined: BTreeMap<&'a str, u64>,
            not_routed: u64,
            released: u64,
        }
        let because = |end: End| {
            let here = |(outcome, count): &(Outcome, u64)| match outcome {
                Some((there, reason)) if *there == end => Some((reason.word(), *count)),
                _ => None,
            };
            self.counts.iter().filter_map(here).collect()
        };
        Shape {
            route: &self.route,
            forwarded: because(End::Forwarded),
            dropped: because(End::Dropped),
            held: because(End::Held),
            quarantined: because(End::Quarantined),
            not_routed: self.ended(None),
            released: self.released,
        }
        .serialize(to)
    }
}

/// Whether a record may come to this.
fn is_possible(outcome: Outcome) -> bool {
    outcome.is_none_or(|(end, reason)| reason.ends().contains(&end))
}

/// The labels of an outcome: its end and its reason.
fn words(outcome: Outcome) -> (&'static str, &'static str) {
    outcome.map_or(("not_routed", ""), |(end, reason)| (end.word(), reason.word()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::consent::Reason;
    use crate::telemetry::Tally;

    #[test]
    fn says_what_happened_and_why() {
        let totals = Totals::new("totals-test", &["a".to_owned(), "b".to_owned()]);
        let mut tally = Tally::new(2);
        tally.add_all(Some((End::Quarantined, Reason::Malformed)));
        tally.add(0, None);
        tally.add(1, Some((End::Dropped, Reason::Withdrawn)));
        tally.flush(&totals, 2);
        let route = &totals.snapshot().routes[1];
        assert_eq!((route.counted(), route.ended(Some(End::Dropped)), route.ended(None)), (2, 1, 0));
        assert_eq!(
            serde_json::to_string(&totals.snapshot().routes[0]).unwrap(),
            r#"{"route":"a","forwarded":{},"dropped":{},"held":{},"quarantined":{"malformed":1},"not_routed":1,"released":0}"#
        );
    }
}
