//! `limits`.

use super::super::problem::Problems;
use super::super::raw;
use super::super::spot::Spot;
use crate::cache::settings::CacheSettings;
use crate::pipeline::settings::{LineLimits, PipelineSettings};

/// The deepest value that may be allowed: reading one takes stack, and serde_json refuses 128 levels.
const MAX_DEPTH: u64 = 127;

/// What librdkafka can count of a queue, for the two queues of a worker.
const MAX_IN_FLIGHT: usize = 4 << 30;

/// Routes over all pipelines where nothing else is said: each is a label of every metric.
const MAX_ROUTES: u64 = 1000;

/// `limits`, shared out.
pub(super) fn limits(
    raw: Option<&raw::Limits>,
    spot: Spot<'_>,
    problems: &mut Problems,
) -> (CacheSettings, LineLimits) {
    let absent = raw::Limits::default();
    let raw = raw.unwrap_or(&absent);
    let mut least = |name: &str, value: usize| {
        if value == 0 {
            let help = "leave the key out for its default";
            problems.add(spot.key(name).at(), format!("`{name}` may not be zero"), help);
        }
        value
    };
    let bytes = |size: Option<raw::Size>, default: usize| size.map_or(default, |size| size.0);
    let count =
        |number: Option<u64>, default: u64| usize::try_from(number.unwrap_or(default)).unwrap_or(usize::MAX);
    let cache = CacheSettings {
        max_subjects: least("max_subjects", count(raw.max_subjects, 100_000_000)),
        max_grants: least("max_grants", count(raw.max_grants, 256)),
    };
    let line = LineLimits {
        max_record_bytes: least("max_record_bytes", bytes(raw.max_record_bytes, 1 << 20)),
        max_depth: least("max_depth", count(raw.max_depth, 64)),
        batch_records: least("batch_records", count(raw.batch_records, 5000)),
        batch_bytes: least("batch_bytes", bytes(raw.batch_bytes, 8 << 20)),
        held_bytes: least("held_bytes", bytes(raw.held_bytes, 256 << 20)),
        in_flight_bytes: least("in_flight_bytes", bytes(raw.in_flight_bytes, 64 << 20)),
    };
    least("max_routes", count(raw.max_routes, MAX_ROUTES));
    if line.in_flight_bytes < 2 * line.max_record_bytes || line.in_flight_bytes > MAX_IN_FLIGHT {
        let help = "a record waits in the consumer and in the producer; 4GiB at most";
        let message = "`in_flight_bytes` must hold two records of `max_record_bytes`";
        problems.add(spot.key("in_flight_bytes").at(), message, help);
    }
    if raw.max_depth.is_some_and(|depth| depth > MAX_DEPTH) {
        let help = "reading a value takes stack at each level";
        problems.add(spot.key("max_depth").at(), format!("`max_depth` is {MAX_DEPTH} at most"), help);
    }
    (cache, line)
}

/// Checks how many routes there are.
pub(super) fn routes(
    raw: Option<&raw::Limits>,
    root: Spot<'_>,
    pipelines: &[PipelineSettings],
    problems: &mut Problems,
) {
    let most = raw.and_then(|limits| limits.max_routes).unwrap_or(MAX_ROUTES);
    let count: usize = pipelines.iter().map(|pipeline| pipeline.rules.routes.len()).sum();
    if most > 0 && u64::try_from(count).is_ok_and(|count| count > most) {
        let message = format!("{count} routes are more than `limits.max_routes`, which is {most}");
        problems.add(root.key("pipelines").key_at(), message, "raise it, or split the process");
    }
}
