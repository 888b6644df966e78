//! What waits in a pipeline now: how many records at each route, and since when the oldest does.
//!
//! Each worker tells of its own after a commit; the gauges are sums, and the earliest, over all of them.

use std::sync::{Mutex, PoisonError};

use metrics::Gauge;

use super::metric::Metric;
use crate::time::Timestamp;

/// How many records wait at a route, and since when the oldest does.
pub type Standing = (usize, Option<Timestamp>);

/// What waits in a pipeline.
pub struct HeldNow {
    routes: Vec<Gauges>,
    /// By worker, then by route.
    told: Mutex<Vec<Vec<Standing>>>,
}

struct Gauges {
    count: Gauge,
    oldest: Gauge,
}

impl HeldNow {
    /// Nothing waits at these routes of a pipeline yet; so many workers will tell.
    pub fn new(pipeline: &str, routes: &[&str], workers: usize) -> Self {
        let gauges = |route: &&str| {
            let count = Metric::HeldNow.gauge(&[pipeline, route]);
            let oldest = Metric::HeldOldest.gauge(&[pipeline, route]);
            count.set(0.0);
            oldest.set(0.0);
            Gauges { count, oldest }
        };
        let told = Mutex::new(vec![vec![(0, None); routes.len()]; workers]);
        Self { routes: routes.iter().map(gauges).collect(), told }
    }

    /// A worker tells what waits at each route.
    #[allow(clippy::cast_precision_loss, reason = "a gauge is a float")]
    pub fn tell(&self, worker: usize, standing: Vec<Standing>) {
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(own) = told.get_mut(worker) else { return };
        *own = standing;
        for (route, gauges) in self.routes.iter().enumerate() {
            let all = || told.iter().filter_map(|own| own.get(route));
            let count: usize = all().map(|(count, _)| count).sum();
            let oldest = all().filter_map(|(_, since)| *since).min();
            gauges.count.set(count as f64);
            gauges.oldest.set(oldest.map_or(0.0, |since| since.0 as f64 / 1000.0));
        }
    }
}

impl std::fmt::Debug for HeldNow {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.told.fmt(f)
    }
}
