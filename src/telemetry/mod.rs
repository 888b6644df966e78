//! What the process says about itself: metrics, the tally of the four ends, readiness, logs.
//!
//! Everything here is told once, from values that decisions return. Label sets are closed: pipelines,
//! routes, ends, reasons, partitions, causes. Never a subject's id, never a payload, never a line per
//! record.

mod cells;
pub mod exporter;
pub mod health;
pub mod held;
pub mod logs;
pub mod metric;
pub mod tally;
pub mod totals;

pub use cells::Outcome;
pub use exporter::{Exporter, install};
pub use health::{Cause, Health};
pub use held::HeldNow;
pub use metric::Metric;
pub use tally::{Mismatch, Tally};
pub use totals::{PipelineTotals, RouteTotals, Totals};
