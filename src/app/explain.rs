//! Deciding without Kafka: consent records and events from text, verdicts as text.
//!
//! The decisions are made by the judge that `run` uses, over the cache that `run` uses; only the reading
//! and writing of lines is here. What a line may hold is documented at `consentry explain --help`.

use std::fmt::Write as _;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use smallvec::SmallVec;
use thiserror::Error;

use crate::cache::settings::CacheSettings;
use crate::cache::{Cache, Said};
use crate::config::{self, Given, Problems, Ready};
use crate::consent::{Batch, End, Grounds, Reason, split_key};
use crate::pipeline::judge::{Judge, Outcome};
use crate::policy::rules::{Rules, RulesError};
use crate::record::Record;
use crate::time::Timestamp;
use crate::transform::Outgoing;
use crate::wire::change::decode_json;

/// Why nothing can be explained.
#[derive(Debug, Error)]
pub enum ExplainError {
    /// The configuration has problems.
    #[error("{0}")]
    Config(#[from] Problems),
    /// The configuration cannot be compiled.
    #[error(transparent)]
    Rules(#[from] RulesError),
    /// There is no pipeline of that name.
    #[error("no pipeline `{0}` in the configuration; it has {1}")]
    NoPipeline(String, String),
    /// `at` is no time.
    #[error("`{0}` is no RFC 3339 time: write it like 2026-05-01T10:00:00Z")]
    At(String),
    /// A line cannot be used.
    #[error("{input} line {number}: {why}")]
    Line {
        /// `consents` or `events`.
        input: &'static str,
        /// From 1.
        number: usize,
        /// What is wrong with it.
        why: String,
    },
}

/// The verdicts, one line of JSON for each event and route, for a configuration given as text.
pub fn lines(
    config: &str,
    consents: &str,
    events: &str,
    pipeline: Option<&str>,
    at: &str,
) -> Result<Vec<String>, ExplainError> {
    let ready = config::parse("config", config, Given::default())?;
    let at = Timestamp::parse(at).ok_or_else(|| ExplainError::At(at.to_owned()))?;
    let verdicts = explain(&ready, consents, events, pipeline, at)?;
    Ok(verdicts.iter().map(Verdict::to_json).collect())
}

/// The verdicts for each event, in order, and each route, in order.
pub fn explain(
    ready: &Ready,
    consents: &str,
    events: &str,
    pipeline: Option<&str>,
    at: Timestamp,
) -> Result<Vec<Verdict>, ExplainError> {
    let cache = load(consents, ready.cache)?;
    let mut judges = Vec::new();
    for settings in &ready.pipelines {
        if pipeline.is_none_or(|name| name == settings.rules.name) {
            let rules = Arc::new(Rules::compile(&ready.policy, &settings.rules)?);
            let topic = settings.topics.first().cloned().unwrap_or_default();
            let limits = &ready.line.limits;
            judges.push((Judge::new(rules, limits.max_record_bytes, limits.max_depth), topic));
        }
    }
    if let Some(name) = pipeline.filter(|_| judges.is_empty()) {
        let known = ready.pipelines.iter().map(|known| format!("`{}`", known.rules.name));
        return Err(ExplainError::NoPipeline(name.to_owned(), known.collect::<Vec<_>>().join(", ")));
    }
    let (batch, view) = (Batch::open(at), cache.view());
    let mut verdicts = Vec::new();
    for (event, (number, line)) in numbered(events).enumerate() {
        let given = Event::read(line).map_err(|why| bad("events", number, &why))?;
        for (judge, topic) in &mut judges {
            let record = given.record(topic, at);
            let rules = Arc::clone(judge.rules());
            judge.record(&batch, &view, &record, |route, outcome, _| {
                verdicts.push(Verdict::new(event, &rules, route, &record, &outcome));
            });
        }
    }
    Ok(verdicts)
}

/// The lines that are not blank, with their numbers.
fn numbered(text: &str) -> impl Iterator<Item = (usize, &str)> {
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

fn bad(input: &'static str, number: usize, why: &dyn std::fmt::Display) -> ExplainError {
    ExplainError::Line { input, number, why: why.to_string() }
}

/// A cache that holds what these lines say; a line's number is its offset.
fn load(consents: &str, settings: CacheSettings) -> Result<Cache, ExplainError> {
    let cache = Cache::new(settings, &[0; 16]);
    for (number, line) in numbered(consents) {
        let whole: serde_json::Value =
            serde_json::from_str(line).map_err(|error| bad("consents", number, &error))?;
        let (key, body) = message(line, &whole).map_err(|why| bad("consents", number, &why))?;
        let unreadable = "the key is not `type:value`; in a topic it would stop all forwarding";
        let key = split_key(key.as_bytes()).ok_or_else(|| bad("consents", number, &unreadable))?;
        let partition = whole.get("partition").map_or(Some(0), serde_json::Value::as_i64);
        let partition = partition.and_then(|partition| i32::try_from(partition).ok()).filter(|at| *at >= 0);
        let partition =
            partition.ok_or_else(|| bad("consents", number, &"`partition` is no partition's number"))?;
        let change = body.map(|body| decode_json(body.as_bytes(), key, settings.max_grants));
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
fn message(line: &str, whole: &serde_json::Value) -> Result<(String, Option<String>), &'static str> {
    /// The value as it is written, whatever it is.
    #[derive(Deserialize)]
    struct Written<'a> {
        #[serde(borrow)]
        value: &'a RawValue,
    }
    let text = |value: &serde_json::Value, name: &str| {
        value.get(name).and_then(serde_json::Value::as_str).map(str::to_owned)
    };
    let Some(key) = text(whole, "key") else {
        let subject =
            whole.get("subject").and_then(|subject| Some((text(subject, "type")?, text(subject, "value")?)));
        let (kind, value) =
            subject.ok_or("names no subject: give `subject`, or `key` with `value` or `raw`")?;
        return Ok((format!("{kind}:{value}"), Some(line.to_owned())));
    };
    let strange = |name: &String| !["key", "value", "raw", "partition"].contains(&name.as_str());
    if whole.as_object().is_some_and(|members| members.keys().any(strange)) {
        return Err("with `key` there can be `value`, `raw` and `partition`, and nothing else");
    }
    match (whole.get("raw"), whole.get("value")) {
        (Some(_), Some(_)) => Err("it has both `value` and `raw`"),
        (None, None) => Err("it has neither `value` nor `raw`; a tombstone is `\"value\": null`"),
        (Some(raw), None) => match raw.as_str() {
            Some(raw) => Ok((key, Some(raw.to_owned()))),
            None => Err("`raw` is no string"),
        },
        (None, Some(serde_json::Value::Null)) => Ok((key, None)),
        (None, Some(_)) => match serde_json::from_str::<Written<'_>>(line) {
            Ok(written) => Ok((key, Some(written.value.get().to_owned()))),
            Err(_) => Err("`value` is there twice"),
        },
    }
}

/// One event, as a line gives it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Event<'a> {
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
    fn read(line: &'a str) -> Result<Self, String> {
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

    fn record<'m>(&'m self, topic: &'m str, at: Timestamp) -> Record<'m> {
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

/// What is decided of one event at one route.
#[derive(Clone, Debug, Serialize)]
pub struct Verdict {
    /// From 0, in the order of the input.
    pub event: usize,
    /// The pipeline.
    pub pipeline: String,
    /// The route.
    pub route: String,
    /// `forwarded`, `dropped`, `held`, `quarantined` or `not_routed`.
    pub end: &'static str,
    /// Why; `None` for `not_routed`.
    pub reason: Option<Reason>,
    /// When it opens or runs out.
    pub until: Option<String>,
    /// The permitted level.
    pub level: Option<String>,
    /// The labels acted on.
    pub fields: Vec<String>,
    /// What the sink would get.
    pub value: Option<Box<RawValue>>,
    /// The purposes that permitted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub purposes: Option<Vec<String>>,
    /// The key, if it changed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key: Option<Option<String>>,
    /// The headers, if they changed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub headers: Option<serde_json::Map<String, serde_json::Value>>,
}

impl Verdict {
    fn new(
        event: usize,
        rules: &Rules,
        route: usize,
        record: &Record<'_>,
        outcome: &Outcome<'_, '_>,
    ) -> Self {
        let name = rules.routes.get(route).map(|route| route.name.clone()).unwrap_or_default();
        let (end, reason, until) = match outcome {
            Outcome::Forwarded { reason, .. } => (End::Forwarded.word(), Some(*reason), None),
            Outcome::Dropped(reason) => (End::Dropped.word(), Some(*reason), None),
            Outcome::Held { reason, until } => (End::Held.word(), Some(*reason), Some(until.to_string())),
            Outcome::Quarantined(reason) => (End::Quarantined.word(), Some(*reason), None),
            Outcome::NotRouted => ("not_routed", None, None),
        };
        let mut verdict = Self {
            event,
            pipeline: rules.name.clone(),
            route: name,
            end,
            reason,
            until,
            level: None,
            fields: Vec::new(),
            value: None,
            purposes: None,
            key: None,
            headers: None,
        };
        if let Outcome::Forwarded { cleared, .. } = outcome {
            verdict.forwarded(rules, route, record, cleared.grounds(), cleared.record());
        }
        verdict
    }

    fn forwarded(
        &mut self,
        rules: &Rules,
        route: usize,
        record: &Record<'_>,
        grounds: Grounds,
        out: &Outgoing<'_>,
    ) {
        let level = |level: u8| rules.levels.get(usize::from(level)).cloned();
        match grounds {
            Grounds::Consent { level: permitted, purposes } => {
                self.level = level(permitted);
                self.purposes = Some(rules.purposes(route, purposes));
            }
            Grounds::Exempt { level: own } => self.level = own.and_then(level),
            Grounds::Deletion => {}
        }
        let labels = out.acted.iter().filter_map(|number| rules.labels.get(*number));
        self.fields = labels.map(|label| label.written.clone()).collect();
        self.value = out.value.as_deref().and_then(one_line);
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        self.key = (out.key.as_deref() != record.key).then(|| out.key.as_deref().map(text));
        let before = record.headers.iter().filter(|(name, _)| !name.starts_with("consentry."));
        let changed = !before.copied().eq(out.headers.iter().map(|(name, value)| (*name, value.as_deref())));
        self.headers = changed.then(|| {
            let json =
                |value: Option<&[u8]>| value.map_or(serde_json::Value::Null, |value| text(value).into());
            out.headers.iter().map(|(name, value)| ((*name).to_owned(), json(value.as_deref()))).collect()
        });
    }

    /// As one line of JSON.
    pub fn to_json(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }

    /// For people: what happened and why.
    pub fn why(&self) -> String {
        let mut text = format!("event {} → {}/{}: {}", self.event, self.pipeline, self.route, self.end);
        let explanation = self.reason.map_or("it does not concern this route", Reason::explanation);
        let _ = write!(text, ", {explanation}");
        if let Some(until) = &self.until {
            let _ = write!(text, " (until {until})");
        }
        if !self.fields.is_empty() {
            let _ = write!(text, "; reduced {}", self.fields.join(", "));
        }
        text
    }
}

/// JSON without line breaks, which can only stand between its parts.
fn one_line(value: &[u8]) -> Option<Box<RawValue>> {
    let text = std::str::from_utf8(value).ok()?.trim().replace(['\n', '\r'], " ");
    RawValue::from_string(text).ok()
}
