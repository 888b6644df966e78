//! The part of the listener that is about persons: behind a bearer token, and there only where one is configured.
//!
//! Bounded in the size of a request and in how many are served at once. Nothing of a request is logged.

use std::sync::{Arc, OnceLock};

use axum::Router;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, Path, State};
use axum::http::header::{ALLOW, AUTHORIZATION};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use serde::Deserialize;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::answers::{JSON, typed};
use super::office::Office;
use super::problem::Problem;
use super::settings::{AdminSettings, Bearer};
use super::unsubscribe;
use crate::steward::{Edit, Record, Scope, Subject, UnsubscribeKey};

/// Requests about persons that are served at once.
const AT_ONCE: usize = 8;
/// The longest request, in bytes: what a broker takes of a message by default.
const MAX_BODY_BYTES: usize = 1 << 20;

/// What persons are served with.
pub(super) struct Persons {
    token: Option<Bearer>,
    pub unsubscribe_key: Option<UnsubscribeKey>,
    office: Arc<OnceLock<Office>>,
    places: Arc<Semaphore>,
}

type Asked = State<Arc<Persons>>;

/// The paths that are about persons, as far as they are opened.
pub(super) fn router(settings: &AdminSettings, office: Arc<OnceLock<Office>>) -> Router {
    let persons = Persons {
        token: settings.token.clone(),
        unsubscribe_key: settings.unsubscribe_key.clone(),
        office,
        places: Arc::new(Semaphore::new(AT_ONCE)),
    };
    let mut router = Router::new();
    if persons.token.is_some() {
        let one = get(tell).put(write).delete(erase).fallback(|| other("GET, HEAD, PUT, DELETE"));
        let withdraw = post(withdraw).fallback(|| other("POST"));
        router = router
            .route("/api/v1/subjects/{subject}/consent", one)
            .route("/api/v1/subjects/{subject}/consent/withdraw", withdraw);
    }
    if persons.unsubscribe_key.is_some() {
        let one = get(unsubscribe::page).post(unsubscribe::withdraw).fallback(|| other("GET, HEAD, POST"));
        router = router.route("/api/v1/unsubscribe/{token}", one);
    }
    router.layer(DefaultBodyLimit::max(MAX_BODY_BYTES)).with_state(Arc::new(persons))
}

async fn other(allowed: &'static str) -> Response {
    let problem = Problem::new(StatusCode::METHOD_NOT_ALLOWED, format!("only {allowed} are answered here"));
    ([(ALLOW, allowed)], problem).into_response()
}

async fn tell(
    State(persons): Asked,
    Path(subject): Path<String>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let subject = persons.admit(&headers, &subject)?;
    let told = persons.serve(move |office| office.tell(&subject)).await?;
    match told {
        Ok(standing) => Ok(json(StatusCode::OK, &standing)),
        Err(Ok(elsewhere)) => Err(Problem::new(StatusCode::MISDIRECTED_REQUEST, elsewhere.to_string())),
        Err(Err(error)) => Err(error.into()),
    }
}

async fn write(
    State(persons): Asked,
    Path(subject): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, Problem> {
    let subject = persons.admit(&headers, &subject)?;
    let max_grants = persons.office()?.steward.settings().max_grants;
    let record = Record::given(&body, &subject, max_grants).map_err(|why| {
        let detail = format!("the body is no consent record of this subject, in JSON: {why}");
        Problem::new(StatusCode::UNPROCESSABLE_ENTITY, detail)
    })?;
    persons.change(subject, Edit::Replace(record)).await
}

async fn erase(
    State(persons): Asked,
    Path(subject): Path<String>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let subject = persons.admit(&headers, &subject)?;
    persons.change(subject, Edit::Erase).await
}

/// What a withdrawal may be restricted to.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Restricted {
    purpose: Option<String>,
    channel: Option<String>,
    recipient: Option<String>,
}

async fn withdraw(
    State(persons): Asked,
    Path(subject): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, Problem> {
    let subject = persons.admit(&headers, &subject)?;
    let restricted: Restricted = if body.iter().all(u8::is_ascii_whitespace) {
        Restricted::default()
    } else {
        serde_json::from_slice(&body).map_err(|_| {
            let detail = "the body is a JSON object with `purpose`, `channel` and `recipient`, each as text or left \
                          out; without any of them, or without a body, everything is withdrawn";
            Problem::new(StatusCode::BAD_REQUEST, detail)
        })?
    };
    let scope = Scope {
        purpose: restricted.purpose.unwrap_or_default(),
        channel: restricted.channel.unwrap_or_default(),
        recipient: restricted.recipient.unwrap_or_default(),
    };
    persons.change(subject, Edit::Withdraw(scope)).await
}

impl Persons {
    /// Lets in who has the token, and reads whom it is about.
    fn admit(&self, headers: &HeaderMap, subject: &str) -> Result<Subject, Problem> {
        let given = headers.get(AUTHORIZATION).map(|value| value.as_bytes());
        let given = given.and_then(|value| value.split_at_checked(7));
        let given =
            given.filter(|(scheme, _)| scheme.eq_ignore_ascii_case(b"bearer ")).map(|(_, token)| token);
        let is_let_in =
            self.token.as_ref().zip(given).is_some_and(|(token, given)| token.is(given.trim_ascii()));
        if !is_let_in {
            return Err(Problem::new(
                StatusCode::UNAUTHORIZED,
                "send `Authorization: Bearer` with the token of `admin.token`",
            ));
        }
        let unread = || {
            Problem::new(
                StatusCode::BAD_REQUEST,
                "the path names no subject: write `type:value`, percent-encoded",
            )
        };
        Subject::parse(subject).ok_or_else(unread)
    }

    fn office(&self) -> Result<&Office, Problem> {
        let starting = || Problem::new(StatusCode::SERVICE_UNAVAILABLE, "the process is starting");
        self.office.get().ok_or_else(starting)
    }

    /// Makes a change and says what became of it: 200 where it is in force here, 202 where that is not known yet.
    async fn change(self: &Arc<Self>, subject: Subject, edit: Edit) -> Result<Response, Problem> {
        let changed = self.serve(move |office| office.change(&subject, &edit)).await??;
        let status = if changed.is_in_force() { StatusCode::OK } else { StatusCode::ACCEPTED };
        Ok(json(status, &changed))
    }

    /// Does what blocks beside the listener's thread, a bounded number at once.
    pub async fn serve<T: Send + 'static>(
        self: &Arc<Self>,
        act: impl FnOnce(&Office) -> T + Send + 'static,
    ) -> Result<T, Problem> {
        let full =
            |_| Problem::new(StatusCode::SERVICE_UNAVAILABLE, "too many requests at once: send it again");
        let place: OwnedSemaphorePermit = Arc::clone(&self.places).try_acquire_owned().map_err(full)?;
        let persons = Arc::clone(self);
        let served = tokio::task::spawn_blocking(move || {
            let done = persons.office().map(act);
            drop(place);
            done
        });
        let failed = |_| Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "the request failed: see the log");
        served.await.map_err(failed)?
    }
}

fn json(status: StatusCode, body: &impl serde::Serialize) -> Response {
    (status, typed(JSON, serde_json::to_string(body).unwrap_or_default())).into_response()
}
