//! What people say, at random, and when that was acknowledged.

use consentry::time::Clock;
use fastrand::Rng;
use serde_json::{Value, json};

use super::super::super::clients::Row;
use super::super::super::shop::Shop;

const DAY_MIN: i64 = 24 * 60;

/// Now, in milliseconds since the epoch.
pub fn now() -> i64 {
    Clock::default().now().0
}

/// A whole state, as it stands on the consent topic.
#[derive(Clone, Debug)]
pub enum State {
    /// Nothing was ever said.
    Never,
    Body(Value),
    Erased,
    /// Nobody can read it.
    Garbled,
}

/// One state, and when it was written.
#[derive(Debug)]
pub struct Said {
    pub state: State,
    /// It was not known to anybody before.
    pub sent_ms: i64,
    /// It had been acknowledged by then.
    pub acked_ms: i64,
    /// Partition and offset.
    pub place: (i32, i64),
}

/// Somebody, and everything they said: at first nothing.
#[derive(Debug)]
pub struct Person {
    pub id: String,
    pub said: Vec<Said>,
}

impl Person {
    pub fn new(id: String) -> Self {
        let never = Said { state: State::Never, sent_ms: i64::MIN, acked_ms: i64::MIN, place: (-1, -1) };
        Self { id, said: vec![never] }
    }

    /// Says it, and waits for the acknowledgement.
    pub fn says(&mut self, shop: &Shop, state: State) {
        let value = match &state {
            State::Body(body) => Some(body.to_string().into_bytes()),
            State::Garbled => Some(b"{".to_vec()),
            State::Erased | State::Never => None,
        };
        let row = Row { key: Some(self.key().into_bytes()), value, ..Row::default() };
        let sent_ms = now();
        let place = shop.writer.acked(&shop.consent, &row);
        self.said.push(Said { state, sent_ms, acked_ms: now(), place });
    }

    /// The states that may have decided between these two moments: of those that were acknowledged before the
    /// first the last, and whatever was said until the second.
    pub fn current(&self, from_ms: i64, to_ms: i64) -> std::ops::RangeInclusive<usize> {
        let first = self.said.iter().rposition(|said| said.acked_ms < from_ms).unwrap_or(0);
        let last = self.said.iter().rposition(|said| said.sent_ms <= to_ms).unwrap_or(0);
        first..=last
    }

    fn key(&self) -> String {
        format!("user_id:{}", self.id)
    }

    /// A state as `consentry explain` reads it.
    pub fn lines(&self, state: usize) -> Vec<String> {
        match &self.said[state].state {
            State::Never => vec![],
            State::Body(body) => vec![body.to_string()],
            State::Erased => vec![json!({"key": self.key(), "value": null}).to_string()],
            State::Garbled => vec![json!({"key": self.key(), "raw": "{"}).to_string()],
        }
    }
}

/// Anything that anybody might say now.
pub fn any(id: &str, rng: &mut Rng) -> State {
    match rng.u8(0..100) {
        0..6 => return State::Erased,
        6..11 => return State::Garbled,
        _ => {}
    }
    let mut grants = Vec::new();
    let letters =
        [None, Some("requested"), Some("given"), Some("confirmed"), Some("refused"), Some("withdrawn")];
    let weights = [15, 15, 25, 33, 6, 6];
    let mut dice = rng.u8(0..100);
    let chosen = letters.iter().zip(weights).find(|(_, weight)| {
        let hit = dice < *weight;
        dice = dice.saturating_sub(*weight);
        hit
    });
    if let Some(status) = chosen.and_then(|(status, _)| *status) {
        grants.push(json!({"purpose": "newsletter", "channel": "email", "status": status,
                           "given_at": opted_in(rng), "confirmed_at": (status == "confirmed").then(now)}));
    }
    if let Some(status) = *rng.choice(&[None, Some("given"), Some("given"), Some("withdrawn")]).expect("four")
    {
        grants.push(json!({"purpose": "analytics", "status": status, "given_at": opted_in(rng)}));
    }
    let mut body = json!({"subject": {"type": "user_id", "value": id}, "grants": grants});
    if rng.u8(0..20) == 0 {
        body["restricted"] = json!(true);
    }
    if rng.u8(0..3) == 0 {
        body["contact"] = contact(rng);
    }
    State::Body(body)
}

/// Agrees to everything, since long ago, at any hour.
pub fn agrees(id: &str) -> State {
    let grants = json!([
        {"purpose": "newsletter", "channel": "email", "status": "confirmed", "given_at": 1_600_000_000_000_i64,
         "confirmed_at": now()},
        {"purpose": "analytics", "status": "given", "given_at": 1_600_000_000_000_i64},
    ]);
    State::Body(json!({"subject": {"type": "user_id", "value": id}, "grants": grants}))
}

/// Long ago, or now: too late for what has happened already.
fn opted_in(rng: &mut Rng) -> i64 {
    if rng.bool() { 1_600_000_000_000 } else { now() }
}

/// A window that is open, or closed, or about to open or to close with the next full minute.
fn contact(rng: &mut Rng) -> Value {
    let minute = now() / 60_000 % DAY_MIN;
    let (from, to) = *rng.choice(&[(-60, 60), (120, 180), (1, 90), (1, 90), (-60, 1)]).expect("five");
    let at = |ahead: i64| {
        let minute = (minute + ahead).rem_euclid(DAY_MIN);
        format!("{:02}:{:02}", minute / 60, minute % 60)
    };
    let zone = (rng.u8(0..8) > 0).then_some("UTC");
    json!({"time_zone": zone, "windows": [{"channel": "email", "from": at(from), "to": at(to)}]})
}
