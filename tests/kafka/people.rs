//! Records about people: what they said, and what they did.

use consentry::time::Clock;
use serde_json::{Value, json};

use super::clients::Row;
use super::shop::PROBE;

/// An opt-in long ago, for one purpose, without a channel.
pub fn grant(purpose: &str) -> Value {
    json!({"purpose": purpose, "status": "given", "given_at": "2020-01-01T00:00:00Z"})
}

/// The whole state of a subject, as a message on the consent topic.
pub fn consent(id: &str, grants: &[Value]) -> Row {
    let body = json!({"subject": {"type": "user_id", "value": id}, "grants": grants});
    Row { key: Some(key(id)), value: Some(body.to_string().into_bytes()), ..Row::default() }
}

/// Allows `analytics`, since long ago.
pub fn granted(id: &str) -> Row {
    consent(id, &[grant("analytics")])
}

/// Allows `analytics` from this moment on.
pub fn granted_now(id: &str) -> Row {
    consent(id, &[json!({"purpose": "analytics", "status": "given", "given_at": Clock::default().now().0})])
}

/// Has taken back `analytics`.
pub fn withdrawn(id: &str) -> Row {
    let grant = json!({"purpose": "analytics", "status": "withdrawn", "given_at": "2020-01-01T00:00:00Z"});
    consent(id, &[grant])
}

/// Is erased.
pub fn erased(id: &str) -> Row {
    Row { key: Some(key(id)), ..Row::default() }
}

fn key(id: &str) -> Vec<u8> {
    format!("user_id:{id}").into_bytes()
}

/// Something the subject did; `n` tells one event from another.
pub fn event(id: &str, n: u64) -> Row {
    let body = json!({"user": {"id": id}, "n": n});
    Row { key: Some(id.into()), value: Some(body.to_string().into_bytes()), ..Row::default() }
}

/// The same, keyed as its subject's consent is: on the partition of the same number.
pub fn event_beside_consent(id: &str, n: u64) -> Row {
    Row { key: Some(key(id)), ..event(id, n) }
}

/// The events' numbers, sorted; one that is there twice is here twice.
pub fn numbers(rows: &[Row]) -> Vec<u64> {
    let mut all: Vec<u64> = rows.iter().map(|row| row.json()["n"].as_u64().expect("an event")).collect();
    all.sort_unstable();
    all
}

/// As [`numbers`], without [`PROBE`]s.
pub fn numbers_proper(rows: &[Row]) -> Vec<u64> {
    numbers(rows).into_iter().filter(|n| *n < PROBE).collect()
}
