//! What `explain` is given: consent records and events, one a line.
//!
//! A line is read as it is written, and what stands in it is never quoted where it is wrong. What is a fault
//! of the line ends the explanation; what is a fault of the consent record in it denies, as in a topic.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;
use smallvec::SmallVec;

use super::ExplainError;
use crate::cache::settings::CacheSettings;
use crate::cache::{Cache, Said};
use crate::consent::split_key;
use crate::record::Record;
use crate::time::Timestamp;
use crate::wire::change::{Reading, decode_json};
use crate::wire::json::Name;
use crate::wire::signals::Signals;

/// The lines that are not blank, with their numbers.
pub(super) fn numbered(text: &str) -> impl Iterator<Item = (usize, &str)> {
    (1..).zip(text.lines()).filter(|(_, line)| !line.trim().is_empty())
}

/// What is wrong with a line, without what stands in it.
fn unquoted(error: &serde_json::Error) -> String {
    let text = error.to_string();
    let kept = text.split(':').next().unwrap_or_default();
    match error.classify() {
        serde_json::error::Category::Data if text.starts_with("unknown field") => text,
        serde_json::error::Category::Data => format!("{kept} at column {}", error.column()),
        serde_json::error::Category::Syntax
        | serde_json::error::Category::Eof
        | serde_json::error::Category::Io => text,
    }
}

pub(super) fn bad(input: &'static str, number: usize, why: &dyn std::fmt::Display) -> ExplainError {
    ExplainError::Line { input, number, why: why.to_string() }
}

/// A cache that holds what these lines say; a line's number is its offset.
pub(super) fn load(
    consents: &str,
    settings: CacheSettings,
    signals: &Signals,
) -> Result<Cache, ExplainError> {
    let cache = Cache::new(settings, &[0; 16]);
    let reading = Reading { max_grants: settings.max_grants, signals };
    for (number, line) in numbered(consents) {
        let members: Members<'_> =
            serde_json::from_str(line).map_err(|error| bad("consents", number, &unquoted(&error)))?;
        let (key, body) = message(line, &members).map_err(|why| bad("consents", number, &why))?;
        let unreadable = "the key is not `type:value`; in a topic it would stop all forwarding";
        let key = split_key(key.as_bytes()).ok_or_else(|| bad("consents", number, &unreadable))?;
        let partition = members.find("partition").map_or(Some(0), |raw| raw.get().parse::<i32>().ok());
        let partition = partition.filter(|at| *at >= 0);
        let partition =
            partition.ok_or_else(|| bad("consents", number, &"`partition` is no partition's number"))?;
        let change = body.map(|body| decode_json(body.as_bytes(), key, reading));
        let said = match &change {
            None => Said::Erased,
            Some(Ok(change)) => Said::State(change),
            Some(Err(_)) => Said::Invalid,
        };
        cache.apply(key, partition, i64::try_from(number).unwrap_or(i64::MAX), &said);
    }
    Ok(cache)
}

/// A line's key and body as they would stand in the topic; `None` as the body is Kafka's null.
fn message<'a>(line: &'a str, members: &Members<'a>) -> Result<(String, Option<Cow<'a, str>>), &'static str> {
    let own = ["key", "value", "raw", "partition"];
    let Some(key) = members.find("key") else {
        let named = members.find("subject").and_then(|subject| serde_json::from_str(subject.get()).ok());
        let Named { kind, value } =
            named.ok_or("names no subject: give `subject`, or `key` with `value` or `raw`")?;
        return Ok((format!("{kind}:{value}"), Some(line.into())));
    };
    if !members.0.iter().all(|(name, _)| own.contains(&&**name)) {
        return Err("with `key` there can be `value`, `raw` and `partition`, and nothing else");
    }
    if members.0.len() > own.iter().filter(|name| members.find(name).is_some()).count() {
        return Err("one of `key`, `value`, `raw` and `partition` is there twice");
    }
    let text = |raw: &RawValue| serde_json::from_str::<String>(raw.get());
    let key = text(key).map_err(|_| "`key` is no string")?;
    match (members.find("raw"), members.find("value")) {
        (Some(_), Some(_)) => Err("it has both `value` and `raw`"),
        (None, None) => Err("it has neither `value` nor `raw`; a tombstone is `\"value\": null`"),
        (Some(raw), None) => Ok((key, Some(text(raw).map_err(|_| "`raw` is no string")?.into()))),
        (None, Some(value)) if value.get() == "null" => Ok((key, None)),
        (None, Some(value)) => Ok((key, Some(value.get().into()))),
    }
}

/// The subject of a record that is a line by itself.
#[derive(Deserialize)]
struct Named {
    #[serde(rename = "type")]
    kind: String,
    value: String,
}

/// The members of an object, each value as it is written.
struct Members<'a>(Vec<(Cow<'a, str>, &'a RawValue)>);

impl<'a> Members<'a> {
    /// The last of this name.
    fn find(&self, name: &str) -> Option<&'a RawValue> {
        self.0.iter().rev().find(|(own, _)| own == name).map(|(_, value)| *value)
    }
}

impl<'de> Deserialize<'de> for Members<'de> {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Read;
        impl<'de> serde::de::Visitor<'de> for Read {
            type Value = Members<'de>;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("an object")
            }
            fn visit_map<A: serde::de::MapAccess<'de>>(self, mut all: A) -> Result<Self::Value, A::Error> {
                let mut members = Vec::new();
                while let Some(name) = all.next_key_seed(Name)? {
                    members.push((name, all.next_value()?));
                }
                Ok(Members(members))
            }
        }
        from.deserialize_map(Read)
    }
}

/// One event, as a line gives it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Event<'a> {
    #[serde(borrow, default, deserialize_with = "present")]
    value: Option<Option<&'a RawValue>>,
    raw: Option<String>,
    key: Option<String>,
    #[serde(default)]
    headers: Headers,
    timestamp: Option<i64>,
    topic: Option<String>,
}

/// What is there, though it may be null.
fn present<'de: 'a, 'a, D: serde::Deserializer<'de>>(
    from: D,
) -> Result<Option<Option<&'a RawValue>>, D::Error> {
    Option::deserialize(from).map(Some)
}

impl<'a> Event<'a> {
    /// Reads a line. What it holds is not quoted where it is wrong.
    pub(super) fn read(line: &'a str) -> Result<Self, String> {
        if !line.trim_start().starts_with('{') {
            return Err("it is no JSON object".to_owned());
        }
        let event: Self = serde_json::from_str(line).map_err(|error| unquoted(&error))?;
        match (&event.value, &event.raw) {
            (Some(_), Some(_)) => Err("it has both `value` and `raw`".to_owned()),
            (None, None) => {
                Err("it has neither `value` nor `raw`; a deletion is `\"value\": null`".to_owned())
            }
            (Some(_), None) | (None, Some(_)) => Ok(event),
        }
    }

    pub(super) fn record<'m>(&'m self, topic: &'m str, at: Timestamp) -> Record<'m> {
        let headers = self.headers.0.iter();
        Record {
            topic: self.topic.as_deref().unwrap_or(topic),
            partition: 0,
            offset: 0,
            key: self.key.as_deref().map(str::as_bytes),
            value: self.raw.as_deref().or(self.value.flatten().map(RawValue::get)).map(str::as_bytes),
            headers: headers
                .map(|(name, value)| (name.as_str(), value.as_deref().map(str::as_bytes)))
                .collect::<SmallVec<_>>(),
            timestamp: Some(self.timestamp.map_or(at, Timestamp)),
        }
    }
}

/// Headers in order; a name may be there twice, as in Kafka.
#[derive(Default)]
struct Headers(Vec<(String, Option<String>)>);

impl<'de> Deserialize<'de> for Headers {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Read;
        impl<'de> serde::de::Visitor<'de> for Read {
            type Value = Headers;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("an object of strings")
            }
            fn visit_map<A: serde::de::MapAccess<'de>>(self, mut all: A) -> Result<Headers, A::Error> {
                let mut headers = Vec::new();
                while let Some(header) = all.next_entry()? {
                    headers.push(header);
                }
                Ok(Headers(headers))
            }
            fn visit_unit<E>(self) -> Result<Headers, E> {
                Ok(Headers::default())
            }
        }
        from.deserialize_any(Read)
    }
}
