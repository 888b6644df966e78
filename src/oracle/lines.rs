//! What `consentry explain` reads and must print, line by line.

use serde_json::{Map, Value};

use super::{
    When,
    consent::Topic,
    json::{self, Node},
    judge::{Asking, Ending, judge},
    record::Record,
    rules::{self, Rules},
    time::{self, Millis},
};

/// The lines that `consentry explain` prints for a configuration (in the YAML's shape) with this pseudonym key.
/// `None`: the configuration, a consent, an event or the time is none that `explain` would take.
pub fn lines(
    (config, pseudonym_key): (&Value, &[u8]),
    consents: &[String],
    events: &[String],
    pipeline: Option<&str>,
    at: &str,
    when: When<'_>,
) -> Option<Vec<Value>> {
    lines_by(&rules::read(config, pseudonym_key)?, consents, events, pipeline, time::rfc3339(at)?, when)
}

/// As [`lines`], by rules that were read before.
pub fn lines_by(
    rules: &Rules,
    consents: &[String],
    events: &[String],
    pipeline: Option<&str>,
    now: Millis,
    when: When<'_>,
) -> Option<Vec<Value>> {
    let topic = Topic::read(consents, rules)?;
    let mut lines = Vec::new();
    for (number, event) in events.iter().enumerate() {
        let record = record(event, now)?;
        for pipeline in rules.pipelines.iter().filter(|p| pipeline.is_none_or(|name| name == p.name)) {
            let known = |subject: &_| topic.parts(subject);
            let asking = Asking { rules, pipeline, known: &known, when, now };
            for (route, ending) in pipeline.routes.iter().zip(judge(asking, &record)) {
                let mut line = line(&record, ending)?;
                line.insert("route".to_owned(), route.name.clone().into());
                line.insert("event".to_owned(), number.into());
                line.insert("pipeline".to_owned(), pipeline.name.clone().into());
                lines.push(Value::Object(line));
            }
        }
    }
    Some(lines)
}

/// A line of `--events`.
fn record(line: &str, now: Millis) -> Option<Record> {
    let line = json::parse(line)?;
    let chars = |name: &str| match line.member(name) {
        Some(Node::Text(_, chars)) => Some(chars.clone()),
        _ => None,
    };
    let value = match line.member("value") {
        None | Some(Node::Null) => chars("raw"),
        Some(node) => Some(node.compact()),
    };
    let headers = match line.member("headers") {
        Some(Node::Object(members)) => members
            .iter()
            .map(|m| {
                let text = if let Node::Text(_, chars) = &m.node { Some(chars.clone()) } else { None };
                (m.name.clone(), text.map(String::into_bytes))
            })
            .collect(),
        _ => Vec::new(),
    };
    let timestamp = match line.member("timestamp") {
        Some(Node::Number(source)) => time::integer(source)?,
        _ => now,
    };
    let [key, value] = [chars("key"), value].map(|text| text.map(String::into_bytes));
    let topic = chars("topic").unwrap_or_default();
    Some(Record { key, value, headers, timestamp: Some(timestamp), topic })
}

/// The line of a verdict. `None`: it holds a number that no reader takes.
fn line(record: &Record, ending: Ending) -> Option<Map<String, Value>> {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let mut line = Map::new();
    let mut say = |name: &str, value: Value| drop(line.insert(name.to_owned(), value));
    say("end", ending.end.into());
    say("reason", Some(ending.reason).filter(|reason| !reason.is_empty()).into());
    say("until", ending.until.map(time::write).into());
    let fields = ending.out.as_ref().map_or(Vec::new(), |out| out.fields.clone());
    say("fields", fields.into());
    let Some(out) = ending.out else { return Some(line) };
    say("level", ending.level.into());
    if out.headers != record.own_headers() {
        let json = |value: Option<Vec<u8>>| value.map_or(Value::Null, |value| text(&value).into());
        say("headers", Value::Object(out.headers.iter().cloned().map(|(n, v)| (n, json(v))).collect()));
    }
    if out.key != record.key {
        say("key", out.key.map(|key| text(&key)).into());
    }
    say("purposes", ending.purposes.into());
    let value = match out.value {
        None => Value::Null,
        Some(value) => value.to_value()?,
    };
    say("value", value);
    Some(line)
}
