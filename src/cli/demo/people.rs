//! The people of the demonstration: who they are, and what each has said about the use of their data.
//!
//! They are made up, their addresses are from ranges set aside for examples (RFC 2606, RFC 5737), and
//! what they say covers the ways in which consent is given, half given, refused and taken back.

use fastrand::Rng;
use serde::Serialize;

use crate::time::Timestamp;

const DAY_MS: i64 = 86_400_000;
const NAMES: &[&str] =
    &["ann", "bo", "chi", "dana", "eli", "femi", "gus", "hana", "ines", "jo", "kai", "lou"];
const COUNTRIES: &[&str] = &["NL", "DE", "FR", "IE", "PT", "SE", "US"];

/// A person and what they have said.
#[derive(Clone, Debug)]
pub struct Person {
    /// The user id, as events carry it.
    pub id: String,
    /// The e-mail address.
    pub email: String,
    /// The telephone number.
    pub phone: String,
    /// ISO 3166.
    pub country: &'static str,
    /// The address that events come from.
    pub ip: String,
    said: Said,
    version: u64,
}

/// What the consent topic holds of a person.
#[derive(Clone, Debug)]
enum Said {
    /// No message at all, or a tombstone.
    Nothing,
    /// A message that no one can read.
    Gibberish,
    /// A state.
    State(State),
}

#[derive(Clone, Debug, Default)]
struct State {
    grants: Vec<Grant>,
    contact: Option<Contact>,
    gpc: bool,
    restricted: bool,
}

#[derive(Clone, Debug, Serialize)]
struct Grant {
    purpose: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    channel: Option<&'static str>,
    recipient: &'static str,
    status: &'static str,
    given_at: Option<i64>,
    confirmed_at: Option<i64>,
    valid_until: Option<i64>,
    level: Option<&'static str>,
    notice: &'static str,
    source: &'static str,
}

#[derive(Clone, Debug, Serialize)]
struct Contact {
    time_zone: Option<&'static str>,
    windows: [Window; 1],
}

#[derive(Clone, Debug, Serialize)]
struct Window {
    channel: &'static str,
    from: &'static str,
    to: &'static str,
}

/// A message for the consent topic; no value is a tombstone.
pub struct Message {
    /// `user_id:…`.
    pub key: String,
    /// The whole state.
    pub value: Option<String>,
}

impl Person {
    /// Person number `number` of the demonstration, who says something typical. Number 0 permits all; number 1
    /// has asked for the newsletter and not confirmed.
    pub fn new(number: usize, rng: &mut Rng, now: Timestamp) -> Self {
        let name = NAMES.get(number % NAMES.len()).copied().unwrap_or("ann");
        let country = COUNTRIES.get(rng.usize(..COUNTRIES.len())).copied().unwrap_or("NL");
        Self {
            id: format!("u-{number:04}"),
            email: format!("{name}.{number}@example.org"),
            phone: format!("+3165550{number:04}"),
            country,
            ip: format!("203.0.113.{}", number % 254 + 1),
            said: match number {
                0 => Said::State(open(now, 30)),
                1 => Said::State(halfway(now)),
                _others => typical(rng, now),
            },
            version: 1,
        }
    }

    /// What the consent topic is to hold of them; `None` if nothing was ever said.
    pub fn first_message(&self, now: Timestamp) -> Option<Message> {
        (!matches!(self.said, Said::Nothing)).then(|| self.message(now))
    }

    /// Changes their mind about something, and says so.
    pub fn change(&mut self, rng: &mut Rng, now: Timestamp) -> Message {
        self.said = match (std::mem::replace(&mut self.said, Said::Nothing), rng.u8(..10)) {
            (Said::State(_), 0) => Said::Nothing,
            (Said::State(state), 1) => Said::State(State { gpc: !state.gpc, ..state }),
            (Said::State(state), 2..5) => Said::State(state.withdraw(rng)),
            (Said::State(state), 5..7) => Said::State(state.confirm(now)),
            (Said::Gibberish | Said::Nothing | Said::State(_), 7) => Said::State(halfway(now)),
            (Said::Gibberish | Said::Nothing | Said::State(_), _) => Said::State(open(now, 0)),
        };
        self.version += 1;
        self.message(now)
    }

    /// Takes the second step of every opt-in that lacks it.
    pub fn confirm(&mut self, now: Timestamp) -> Message {
        self.said = match std::mem::replace(&mut self.said, Said::Nothing) {
            Said::State(state) => Said::State(state.confirm(now)),
            other @ (Said::Nothing | Said::Gibberish) => other,
        };
        self.version += 1;
        self.message(now)
    }

    /// Takes everything back.
    pub fn withdraw_all(&mut self, now: Timestamp) -> Message {
        if let Said::State(state) = &mut self.said {
            state.grants.iter_mut().for_each(|grant| grant.status = "withdrawn");
        }
        self.version += 1;
        self.message(now)
    }

    fn message(&self, now: Timestamp) -> Message {
        let value = match &self.said {
            Said::Nothing => None,
            Said::Gibberish => Some("{\"subject\":".to_owned()),
            Said::State(state) => Some(state.written(&self.id, self.version, now)),
        };
        Message { key: format!("user_id:{}", self.id), value }
    }
}

impl State {
    /// Takes one grant back; `*` if there is none.
    fn withdraw(mut self, rng: &mut Rng) -> Self {
        let chosen = rng.usize(..self.grants.len().max(1));
        match self.grants.get_mut(chosen) {
            Some(grant) => grant.status = "withdrawn",
            None => self.grants.push(Grant { status: "withdrawn", ..grant("*", None) }),
        }
        self
    }

    /// Takes the second step of every opt-in that lacks it.
    fn confirm(mut self, now: Timestamp) -> Self {
        for grant in self.grants.iter_mut().filter(|grant| matches!(grant.status, "given" | "requested")) {
            grant.status = "confirmed";
            grant.given_at = grant.given_at.or(Some(now.0));
            grant.confirmed_at = Some(now.0);
        }
        self
    }

    fn written(&self, id: &str, version: u64, now: Timestamp) -> String {
        serde_json::json!({
            "subject": {"type": "user_id", "value": id},
            "version": version,
            "updated_at": now.to_string(),
            "jurisdiction": "EU",
            "grants": self.grants,
            "contact": self.contact,
            "signals": {"gpc": self.gpc},
            "restricted": self.restricted,
        })
        .to_string()
    }
}

/// One of the usual positions, as often as a shop might meet them.
fn typical(rng: &mut Rng, now: Timestamp) -> Said {
    let usual = open(now, 30);
    let only = |purpose| usual.grants.iter().filter(|grant| grant.purpose == purpose).cloned().collect();
    let state = match rng.u8(..100) {
        0..40 => usual,
        40..52 => State { grants: only("analytics"), ..usual },
        52..62 => halfway(now),
        62..70 => State { grants: vec![Grant { status: "refused", ..grant("*", None) }], ..usual },
        70..77 => State { gpc: true, ..usual },
        77..82 => return Said::Nothing,
        82..85 => open(now, 200),
        85..88 => usual.with(|grant| grant.valid_until = Some(now.plus(-DAY_MS).0)),
        88..90 => usual.with(|grant| grant.recipient = "third_party:other"),
        90..92 => usual.with(|grant| grant.channel = grant.channel.map(|_| "sms")),
        92..94 => usual.with(|grant| grant.status = "objected"),
        94..96 => State { contact: Some(at_night(Some("Europe/Amsterdam"))), ..usual },
        96..97 => State { contact: Some(at_night(None)), ..usual },
        97..99 => State { restricted: true, ..usual },
        _ => return Said::Gibberish,
    };
    Said::State(state)
}

impl State {
    fn with(mut self, change: impl Fn(&mut Grant)) -> Self {
        self.grants.iter_mut().for_each(change);
        self
    }
}

/// Everything is permitted, since so many days.
fn open(now: Timestamp, days: i64) -> State {
    let since = Some(now.plus(-days * DAY_MS).0);
    let given = |purpose, channel| Grant { given_at: since, ..grant(purpose, channel) };
    State {
        grants: vec![
            Grant { level: Some("contact"), ..given("analytics", None) },
            Grant { status: "confirmed", confirmed_at: since, ..given("newsletter", Some("email")) },
            Grant { recipient: "third_party:adco", ..given("advertising", None) },
        ],
        ..State::default()
    }
}

/// Analytics at the usual level, and a newsletter that was asked for and not confirmed.
fn halfway(now: Timestamp) -> State {
    let given = |purpose, channel| Grant { given_at: Some(now.0), ..grant(purpose, channel) };
    State { grants: vec![given("analytics", None), given("newsletter", Some("email"))], ..State::default() }
}

fn at_night(time_zone: Option<&'static str>) -> Contact {
    Contact { time_zone, windows: [Window { channel: "email", from: "03:00", to: "03:10" }] }
}

const fn grant(purpose: &'static str, channel: Option<&'static str>) -> Grant {
    Grant {
        purpose,
        channel,
        recipient: "first_party",
        status: "given",
        given_at: None,
        confirmed_at: None,
        valid_until: None,
        level: None,
        notice: "privacy-notice-v12",
        source: "web-form",
    }
}
