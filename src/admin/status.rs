//! The state of the process as one JSON document: what the page draws and `/ready` answers.

use serde_json::{Value, json};

use crate::telemetry::{Cause, Health, PipelineTotals};

use super::Board;

/// `/api/v1/status`.
pub(super) fn status(board: &Board) -> Value {
    let pipelines: Vec<PipelineTotals> = board.totals.iter().map(|totals| totals.snapshot()).collect();
    json!({
        "about": board.about,
        "ready": board.health.ready().is_ok(),
        "reasons": reasons(&board.health),
        "consent": (board.consent)(),
        "pipelines": pipelines,
    })
}

/// Every cause that stands.
pub(super) fn reasons(health: &Health) -> Vec<Value> {
    let standing = health.ready().err().unwrap_or_default();
    standing.iter().map(|(cause, detail)| reason(cause, detail)).collect()
}

fn reason(cause: &Cause, detail: &str) -> Value {
    match cause.pipeline() {
        Some(pipeline) => json!({"reason": cause.word(), "pipeline": pipeline, "detail": detail}),
        None => json!({"reason": cause.word(), "detail": detail}),
    }
}
