//! The answers: one function a path.

use axum::Router;
use axum::extract::State;
use axum::http::header::{
    ALLOW, CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, X_CONTENT_TYPE_OPTIONS,
};
use axum::http::{HeaderName, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodRouter, get};
use serde_json::{Value, json};

use super::{Board, status};

const HTML: &str = "text/html; charset=utf-8";
const JSON: &str = "application/json";
/// The version of the text format that Prometheus asks for.
const PROMETHEUS: &str = "text/plain; version=0.0.4; charset=utf-8";
const TEXT: &str = "text/plain; charset=utf-8";

/// The page loads nothing from anywhere and cannot be framed.
const PAGE_POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; \
     connect-src 'self'; img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// Every path there is.
pub(super) fn router(board: Board) -> Router {
    Router::new()
        .route("/", only(get(page)))
        .route("/live", only(get(live)))
        .route("/ready", only(get(ready)))
        .route("/metrics", only(get(metrics)))
        .route("/api/v1/status", only(get(state)))
        .fallback(nothing)
        .with_state(board)
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

async fn nothing() -> Response {
    let body = "not found; there are / /live /ready /metrics /api/v1/status\n";
    (StatusCode::NOT_FOUND, typed(TEXT, body)).into_response()
}

/// A body of this type that is neither sniffed nor kept.
fn typed(kind: &'static str, body: impl IntoResponse) -> Response {
    const SAFE: [(HeaderName, &str); 2] = [(X_CONTENT_TYPE_OPTIONS, "nosniff"), (CACHE_CONTROL, "no-store")];
    (SAFE, [(CONTENT_TYPE, kind)], body).into_response()
}
