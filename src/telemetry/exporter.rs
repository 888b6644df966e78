//! The one recorder of the process, and the Prometheus text made from it.
//!
//! Counters are process-wide and never go back, as Prometheus expects; what must be told per instance is
//! read from `Totals`. There is no listener here: `admin` serves the text.

use std::sync::OnceLock;
use std::thread;
use std::time::Duration;

use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};

use super::metric::Metric;

/// The upper bounds of every histogram, in seconds.
const BUCKETS_S: &[f64] =
    &[0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0];

/// How often samples of histograms are folded into their buckets; between two times they are kept one by
/// one, so this bounds memory where nobody scrapes.
const UPKEEP: Duration = Duration::from_secs(5);

/// Renders the process's metrics. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Exporter {
    handle: Option<PrometheusHandle>,
}

impl Exporter {
    /// The metrics in Prometheus's text format, version 0.0.4, in the same order every time.
    pub fn render(&self) -> String {
        self.handle.as_ref().map(|handle| sorted(&handle.render())).unwrap_or_default()
    }
}

/// The text with its metrics by name, and the samples of each in order. A histogram's stay as they are:
/// those of one label set belong together, their bounds in order.
fn sorted(text: &str) -> String {
    let mut metrics: Vec<Vec<&str>> = text.split("\n\n").map(|metric| metric.lines().collect()).collect();
    metrics.retain(|lines| !lines.is_empty());
    for lines in &mut metrics {
        if !lines.iter().any(|line| line.starts_with("# TYPE") && line.ends_with("histogram")) {
            // Comments stay on top.
            lines.sort_by_key(|line| (!line.starts_with('#')).then_some(*line));
        }
    }
    metrics.sort_by_key(|lines| lines.iter().find(|line| line.starts_with("# TYPE")).copied());
    metrics.iter().map(|lines| lines.join("\n") + "\n\n").collect()
}

/// Installs the recorder, describes every metric and keeps it up; later calls return the same exporter.
/// Handles made before the first call record nothing. Where the process already has another recorder,
/// that one stays and the exporter renders nothing.
pub fn install() -> Exporter {
    static EXPORTER: OnceLock<Exporter> = OnceLock::new();
    EXPORTER
        .get_or_init(|| {
            let builder = PrometheusBuilder::new().set_buckets(BUCKETS_S).unwrap_or_default();
            let handle = builder.install_recorder().ok();
            Metric::ALL.iter().for_each(|metric| metric.describe());
            if let Some(handle) = handle.clone() {
                keep_up(handle);
            }
            Exporter { handle }
        })
        .clone()
}

/// Folds samples as long as the process lives. Without this thread the text is still right, since
/// rendering folds too.
fn keep_up(handle: PrometheusHandle) {
    let turn = move || loop {
        thread::sleep(UPKEEP);
        handle.run_upkeep();
    };
    if let Err(error) = thread::Builder::new().name("metrics".to_owned()).spawn(turn) {
        tracing::warn!(%error, "metrics are folded only when they are read");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_order_is_the_same_every_time() {
        let one = "# HELP b x\n# TYPE b counter\nb{r=\"2\"} 1\nb{r=\"1\"} 5\n\n# TYPE a gauge\na 1\n\n";
        let other = "# TYPE a gauge\na 1\n\n# HELP b x\n# TYPE b counter\nb{r=\"1\"} 5\nb{r=\"2\"} 1\n\n";
        assert_eq!(sorted(one), other);
        assert_eq!(sorted(other), other);
        let histogram =
            "# TYPE h histogram\nh_bucket{le=\"5\"} 1\nh_bucket{le=\"10\"} 1\nh_sum 2\nh_count 1\n\n";
        assert_eq!(sorted(histogram), histogram);
    }
}
