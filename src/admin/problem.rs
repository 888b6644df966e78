//! What is answered where something is wrong: problem details (RFC 9457). They never quote what was sent.

use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use serde_json::json;

use crate::steward::{Refused, StewardError};

/// A problem.
#[derive(Clone, Debug)]
pub(super) struct Problem {
    pub status: StatusCode,
    pub detail: String,
}

impl Problem {
    pub fn new(status: StatusCode, detail: impl Into<String>) -> Self {
        Self { status, detail: detail.into() }
    }
}

impl From<StewardError> for Problem {
    fn from(error: StewardError) -> Self {
        let status = match &error {
            StewardError::Refused(Refused::Unwritable(_)) => StatusCode::UNPROCESSABLE_ENTITY,
            StewardError::Refused(Refused::Unreadable(_) | Refused::Conflicted | Refused::Stands(_))
            | StewardError::Contended
            | StewardError::Nothing
            | StewardError::Unmergeable(_) => StatusCode::CONFLICT,
            StewardError::Topic(_)
            | StewardError::Kafka(_)
            | StewardError::Slow(_)
            | StewardError::Unacknowledged => StatusCode::SERVICE_UNAVAILABLE,
        };
        Self::new(status, error.to_string())
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let title = self.status.canonical_reason().unwrap_or("Problem");
        let body = json!({"type": "about:blank", "title": title, "status": self.status.as_u16(), "detail": self.detail});
        let mut answer = (
            self.status,
            [(CONTENT_TYPE, "application/problem+json"), (CACHE_CONTROL, "no-store")],
            body.to_string(),
        )
            .into_response();
        if self.status == StatusCode::UNAUTHORIZED {
            answer.headers_mut().insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        if self.status == StatusCode::SERVICE_UNAVAILABLE {
            answer.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static("1"));
        }
        answer
    }
}
