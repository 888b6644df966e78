//! A consent record in Protobuf as its JSON form, and back, so that one editor serves both encodings.
//!
//! Times keep their nanoseconds on the way. What JSON can say and Protobuf cannot is refused, never dropped:
//! a name that the schema does not have, a list of days that is there and empty. Fields of a Protobuf message
//! that this version's schema does not have are not kept: the decoder has forgotten them.

use std::str::FromStr;

use prost::Message;
use prost_types::Timestamp as Written;
use serde_json::{Map, Value, json};
use thiserror::Error;

use super::change_proto::v1;

/// Why a record's JSON form has no Protobuf form. Names only keys and what was expected there.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum NoProtobuf {
    /// A name that the schema lacks.
    #[error("`{0}` has no field in the Protobuf schema: leave it out (`consentry schema --proto`)")]
    Unknown(String),
    /// Something of another type.
    #[error("`{0}` is not {1}")]
    Type(String, &'static str),
    /// `days: []`.
    #[error("an empty list of `days` cannot be written in Protobuf: let `from` equal `to` for never")]
    NoDays,
}

/// The JSON form of a message; `None` where it does not decode.
pub fn to_json(message: &[u8]) -> Option<Map<String, Value>> {
    let record = v1::ConsentRecord::decode(message).ok()?;
    let mut out = Map::new();
    if let Some(subject) = record.subject {
        put(&mut out, "subject", json!({"type": subject.r#type, "value": subject.value}));
    }
    if let Some(version) = record.version {
        put(&mut out, "version", version.into());
    }
    time(&mut out, "updated_at", record.updated_at.as_ref())?;
    text(&mut out, "jurisdiction", &record.jurisdiction);
    let grants = record.grants.iter().map(grant_json).collect::<Option<Vec<_>>>()?;
    put(&mut out, "grants", Value::Array(grants));
    if let Some(contact) = record.contact {
        let mut inner = Map::new();
        text(&mut inner, "time_zone", &contact.time_zone);
        let windows: Vec<_> = contact.windows.iter().map(window_json).collect();
        put(&mut inner, "windows", Value::Array(windows));
        put(&mut out, "contact", Value::Object(inner));
    }
    if let Some(signals) = record.signals {
        let mut inner = Map::new();
        put(&mut inner, "gpc", signals.gpc.into());
        text(&mut inner, "gpp", &signals.gpp);
        text(&mut inner, "tcf", &signals.tcf);
        put(&mut out, "signals", Value::Object(inner));
    }
    if record.restricted {
        put(&mut out, "restricted", true.into());
    }
    Some(out)
}

fn grant_json(grant: &v1::Grant) -> Option<Value> {
    let mut out = Map::new();
    for (name, word) in [
        ("purpose", &grant.purpose),
        ("channel", &grant.channel),
        ("recipient", &grant.recipient),
        ("status", &grant.status),
        ("basis", &grant.basis),
    ] {
        text(&mut out, name, word);
    }
    time(&mut out, "given_at", grant.given_at.as_ref())?;
    time(&mut out, "confirmed_at", grant.confirmed_at.as_ref())?;
    time(&mut out, "valid_until", grant.valid_until.as_ref())?;
    for (name, word) in [("level", &grant.level), ("notice", &grant.notice), ("source", &grant.source)] {
        text(&mut out, name, word);
    }
    Some(Value::Object(out))
}

fn window_json(window: &v1::Window) -> Value {
    let mut out = Map::new();
    text(&mut out, "channel", &window.channel);
    if !window.days.is_empty() {
        put(&mut out, "days", window.days.clone().into());
    }
    text(&mut out, "from", &window.from);
    text(&mut out, "to", &window.to);
    Value::Object(out)
}

fn put(out: &mut Map<String, Value>, name: &str, value: Value) {
    out.insert(name.to_owned(), value);
}

fn text(out: &mut Map<String, Value>, name: &str, word: &str) {
    if !word.is_empty() {
        put(out, name, word.into());
    }
}

/// RFC 3339 with every digit; milliseconds where the year cannot be written so. `None`: it cannot be read.
fn time(out: &mut Map<String, Value>, name: &str, written: Option<&Written>) -> Option<()> {
    let Some(Written { seconds, nanos }) = written else { return Some(()) };
    let within = (0..1_000_000_000).contains(nanos).then_some(*nanos)?;
    let value = match jiff::Timestamp::new(*seconds, within) {
        Ok(instant) => instant.to_string().into(),
        Err(_) => seconds.checked_mul(1000)?.checked_add(i64::from(within / 1_000_000))?.into(),
    };
    put(out, name, value);
    Some(())
}

/// The message that says what this JSON form says.
///
/// # Errors
/// What Protobuf cannot say.
pub fn from_json(record: &Map<String, Value>) -> Result<Vec<u8>, NoProtobuf> {
    const KNOWN: [&str; 8] =
        ["subject", "version", "updated_at", "jurisdiction", "grants", "contact", "signals", "restricted"];
    let record = Members::of(record, &KNOWN)?;
    let subject = record.object("subject", &["type", "value"])?;
    let subject = subject.map(|subject| -> Result<_, NoProtobuf> {
        Ok(v1::Subject { r#type: subject.text("type")?, value: subject.text("value")? })
    });
    let contact = record.object("contact", &["time_zone", "windows"])?;
    let contact = contact.map(|contact| -> Result<_, NoProtobuf> {
        let windows = contact.objects("windows", &["channel", "days", "from", "to"])?;
        let windows = windows.iter().map(window).collect::<Result<_, _>>()?;
        Ok(v1::Contact { time_zone: contact.text("time_zone")?, windows })
    });
    let signals = record.object("signals", &["gpc", "gpp", "tcf"])?;
    let signals = signals.map(|signals| -> Result<_, NoProtobuf> {
        Ok(v1::Signals { gpc: signals.flag("gpc")?, gpp: signals.text("gpp")?, tcf: signals.text("tcf")? })
    });
    const GRANT: [&str; 11] = [
        "purpose",
        "channel",
        "recipient",
        "status",
        "basis",
        "given_at",
        "confirmed_at",
        "valid_until",
        "level",
        "notice",
        "source",
    ];
    let message = v1::ConsentRecord {
        subject: subject.transpose()?,
        version: record.integer("version")?,
        updated_at: record.time("updated_at")?,
        jurisdiction: record.text("jurisdiction")?,
        grants: record.objects("grants", &GRANT)?.iter().map(grant).collect::<Result<_, _>>()?,
        contact: contact.transpose()?,
        signals: signals.transpose()?,
        restricted: record.flag("restricted")?,
    };
    Ok(message.encode_to_vec())
}

fn grant(grant: &Members<'_>) -> Result<v1::Grant, NoProtobuf> {
    Ok(v1::Grant {
        purpose: grant.text("purpose")?,
        channel: grant.text("channel")?,
        recipient: grant.text("recipient")?,
        status: grant.text("status")?,
        basis: grant.text("basis")?,
        given_at: grant.time("given_at")?,
        confirmed_at: grant.time("confirmed_at")?,
        valid_until: grant.time("valid_until")?,
        level: grant.text("level")?,
        notice: grant.text("notice")?,
        source: grant.text("source")?,
    })
}

fn window(window: &Members<'_>) -> Result<v1::Window, NoProtobuf> {
    let days = match window.find("days") {
        None => Vec::new(),
        Some(days) => {
            let wrong = || NoProtobuf::Type("days".to_owned(), "a list of words");
            let word = |day: &Value| day.as_str().map(str::to_owned);
            let days: Option<Vec<_>> = days.as_array().ok_or_else(wrong)?.iter().map(word).collect();
            days.filter(|days| !days.is_empty()).ok_or(NoProtobuf::NoDays)?
        }
    };
    Ok(v1::Window {
        channel: window.text("channel")?,
        days,
        from: window.text("from")?,
        to: window.text("to")?,
    })
}

/// The members of an object, all of them known.
struct Members<'a>(&'a Map<String, Value>);

impl<'a> Members<'a> {
    fn of(map: &'a Map<String, Value>, known: &[&str]) -> Result<Self, NoProtobuf> {
        let stranger = map.keys().find(|name| !known.contains(&name.as_str()));
        stranger.map_or(Ok(Self(map)), |name| Err(NoProtobuf::Unknown(name.clone())))
    }

    /// What stands there; null is nothing.
    fn find(&self, name: &str) -> Option<&'a Value> {
        self.0.get(name).filter(|value| !value.is_null())
    }

    fn read<T>(
        &self,
        name: &str,
        expected: &'static str,
        read: impl FnOnce(&'a Value) -> Option<T>,
    ) -> Result<Option<T>, NoProtobuf> {
        let wrong = || NoProtobuf::Type(name.to_owned(), expected);
        self.find(name).map(|value| read(value).ok_or_else(wrong)).transpose()
    }

    fn text(&self, name: &str) -> Result<String, NoProtobuf> {
        Ok(self.read(name, "text", Value::as_str)?.unwrap_or_default().to_owned())
    }

    fn flag(&self, name: &str) -> Result<bool, NoProtobuf> {
        Ok(self.read(name, "true or false", Value::as_bool)?.unwrap_or_default())
    }

    fn integer(&self, name: &str) -> Result<Option<i64>, NoProtobuf> {
        self.read(name, "a whole number", Value::as_i64)
    }

    fn time(&self, name: &str) -> Result<Option<Written>, NoProtobuf> {
        self.read(name, "an RFC 3339 time or milliseconds", |value| match value {
            Value::String(text) => Written::from_str(text).ok().or_else(|| at(text)),
            _ => value.as_i64().map(milliseconds),
        })
    }

    fn object(&self, name: &str, known: &[&str]) -> Result<Option<Self>, NoProtobuf> {
        let object = self.read(name, "an object", Value::as_object)?;
        object.map(|object| Self::of(object, known)).transpose()
    }

    fn objects(&self, name: &str, known: &[&str]) -> Result<Vec<Self>, NoProtobuf> {
        let wrong = || NoProtobuf::Type(name.to_owned(), "a list of objects");
        let list = self.read(name, "a list of objects", Value::as_array)?;
        let member = |one: &'a Value| one.as_object().ok_or_else(wrong).and_then(|one| Self::of(one, known));
        list.into_iter().flatten().map(member).collect()
    }
}

/// A time that only the consent record's own rules read (a leap second).
fn at(text: &str) -> Option<Written> {
    crate::time::Timestamp::parse(text).map(|at| milliseconds(at.0))
}

fn milliseconds(ms: i64) -> Written {
    let nanos = i32::try_from(ms.rem_euclid(1000) * 1_000_000).unwrap_or_default();
    Written { seconds: ms.div_euclid(1000), nanos }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_and_back_nothing_is_lost() {
        let at = |seconds, nanos| Some(Written { seconds, nanos });
        let record = v1::ConsentRecord {
            subject: Some(v1::Subject { r#type: "user_id".into(), value: "u-17".into() }),
            version: Some(7),
            updated_at: at(-1, 999_999_999),
            jurisdiction: "EU".into(),
            grants: vec![v1::Grant {
                purpose: "newsletter".into(),
                given_at: at(1_777_629_600, 123_456_789),
                confirmed_at: at(900_000_000_000, 5_000_000),
                notice: "v12".into(),
                ..v1::Grant::default()
            }],
            contact: Some(v1::Contact {
                time_zone: "Europe/Amsterdam".into(),
                windows: vec![v1::Window {
                    days: vec!["tue".into()],
                    from: "09:00".into(),
                    ..v1::Window::default()
                }],
            }),
            signals: Some(v1::Signals { gpc: true, gpp: "x".into(), tcf: String::new() }),
            restricted: true,
        };
        let json = to_json(&record.encode_to_vec()).unwrap();
        assert_eq!(v1::ConsentRecord::decode(&*from_json(&json).unwrap()).unwrap(), record);
        assert_eq!(json["grants"][0]["given_at"], "2026-05-01T10:00:00.123456789Z");
        assert_eq!(to_json(b"\xff"), None);
    }

    #[test]
    fn what_protobuf_cannot_say_is_refused() {
        let from = |json: Value| from_json(json.as_object().unwrap());
        assert_eq!(from(json!({"loyalty": 1})), Err(NoProtobuf::Unknown("loyalty".into())));
        assert_eq!(
            from(json!({"grants": [{"purpose": 1}]})),
            Err(NoProtobuf::Type("purpose".into(), "text"))
        );
        assert_eq!(from(json!({"contact": {"windows": [{"days": []}]}})), Err(NoProtobuf::NoDays));
        assert!(from(json!({"grants": [{"given_at": "2016-12-31T23:59:60Z"}, {"given_at": -1}]})).is_ok());
        assert!(from(json!({"grants": null, "signals": {"gpc": null}})).is_ok());
    }
}
