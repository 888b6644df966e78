//! The answers: one function a path.

use std::sync::Arc;

use axum::Router;
use axum::extract::{Path, State};
use axum::http::header::{
    ALLOW, CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, X_CONTENT_TYPE_OPTIONS,
};
use axum::http::{HeaderName, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodRouter, get};
use serde_json::{Value, json};

use super::settings::AdminSettings;
use super::{Board, persons, status};

pub(super) const HTML: &str = "text/html; charset=utf-8";
pub(super) const JSON: &str = "application/json";
/// The version of the text format that Prometheus asks for.
const PROMETHEUS: &str = "text/plain; version=0.0.4; charset=utf-8";
const TEXT: &str = "text/plain; charset=utf-8";

/// The page loads nothing from anywhere and cannot be framed.
const PAGE_POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; \
     connect-src 'self'; img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// Every path there is.
pub(super) fn router(settings: &AdminSettings, board: Board) -> Router {
    let persons = persons::router(settings, Arc::clone(&board.office));
    Router::new()
        .route("/", only(get(page)))
        .route("/live", only(get(live)))
        .route("/ready", only(get(ready)))
        .route("/metrics", only(get(metrics)))
        .route("/api/v1/status", only(get(state)))
        .route("/api/v1/applied/{partition}/{offset}", only(get(applied)))
        .fallback(nothing)
        .with_state(board)
        .merge(persons)
}

/// Any other method gets 405.
fn only(methods: MethodRouter<Board>) -> MethodRouter<Board> {
    methods.fallback(|| async {
        let body = "only GET and HEAD are answered here\n";
        (StatusCode::METHOD_NOT_ALLOWED, [(ALLOW, "GET, HEAD")], typed(TEXT, body)).into_response()
    })
}

async fn page() -> Response {
    ([(CONTENT_SECURITY_POLICY, PAGE_POLICY)], typed(HTML, include_str!("page.html"))).into_response()
}

async fn live() -> Response {
    typed(JSON, json!({"live": true}).to_string())
}

async fn ready(State(board): State<Board>) -> Response {
    let reasons = status::reasons(&board.health);
    if reasons.is_empty() {
        return typed(JSON, json!({"ready": true}).to_string());
    }
    let body: Value = json!({"ready": false, "reasons": reasons});
    (StatusCode::SERVICE_UNAVAILABLE, typed(JSON, body.to_string())).into_response()
}

async fn metrics(State(board): State<Board>) -> Response {
    typed(PROMETHEUS, board.exporter.render())
}

async fn state(State(board): State<Board>) -> Response {
    typed(JSON, status::status(&board).to_string())
}

/// Whether what stands at an offset of the consent topic is in force here; null: another instance holds its partition.
async fn applied(State(board): State<Board>, Path((partition, offset)): Path<(i32, i64)>) -> Response {
    let office = board.office.get();
    let applied = office.map_or(Some(false), |office| office.has_applied(partition, offset));
    typed(JSON, json!({"instance": board.about.instance, "applied": applied}).to_string())
}

async fn nothing() -> Response {
    let body = "not found; there are / /live /ready /metrics /api/v1/status\n";
    (StatusCode::NOT_FOUND, typed(TEXT, body)).into_response()
}

/// A body of this type that is neither sniffed nor kept.
pub(super) fn typed(kind: &'static str, body: impl IntoResponse) -> Response {
    const SAFE: [(HeaderName, &str); 2] = [(X_CONTENT_TYPE_OPTIONS, "nosniff"), (CACHE_CONTROL, "no-store")];
    (SAFE, [(CONTENT_TYPE, kind)], body).into_response()
}
