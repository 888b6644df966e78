//! The second implementation of the decision: slow, obvious, and written from the semantics page alone.
//!
//! It exists to disagree. It takes the configuration as JSON, consents and events as the lines that
//! `consentry explain` reads, and answers the lines that `explain` must print; the suite then holds the
//! crate to them, case by case (`cases`) and by the million (`generated`). Therefore it uses no type, no
//! function and no table of the crate, keeps words as words, and follows the page's order even where
//! another order would be shorter. Of `when` it knows a handful of expressions by heart.

pub mod consent;
pub mod decide;
mod elements;
pub mod fields;
pub mod json;
pub mod rules;
pub mod signals;
pub mod stamp;
pub mod time;
mod when;
pub use when::KNOWN as KNOWN_WHEN;
pub mod window;

use consent::{Part, Topic, normal};
use decide::{Ask, Verdict};
use fields::{Headers, Reduced, hash, reduce};
use json::Node;
use rules::{Label, Pipeline, Route, Rules, Source};
use serde_json::{Value, json};
use time::Millis;

/// The lines that `consentry explain` prints for a configuration (in the YAML's shape).
pub fn lines(
    config: &Value,
    consents: &[String],
    events: &[String],
    pipeline: Option<&str>,
    at: &str,
) -> Vec<Value> {
    let rules = rules::read(config);
    let topic = Topic::read(consents, rules.max_grants, &config["policy"]);
    let now = time::rfc3339(at).unwrap();
    let mut lines = Vec::new();
    for (number, event) in events.iter().enumerate() {
        let event = Event::read(event, now);
        for pipeline in rules.pipelines.iter().filter(|p| pipeline.is_none_or(|name| name == p.name)) {
            for mut line in judge(&rules, pipeline, &topic, &event, now) {
                line["event"] = number.into();
                line["pipeline"] = pipeline.name.clone().into();
                lines.push(line);
            }
        }
    }
    lines
}

/// What becomes of one event at the first pipeline: a line for each route.
pub fn one(rules: &Rules, policy: &Value, consents: &[String], event: &str, now: Millis) -> Vec<Value> {
    let topic = Topic::read(consents, rules.max_grants, policy);
    judge(rules, &rules.pipelines[0], &topic, &Event::read(event, now), now)
}

/// A record as it came.
struct Event {
    key: Option<String>,
    /// `None` is Kafka's null.
    value: Option<String>,
    headers: Headers,
    timestamp: Millis,
    topic: Option<String>,
}

impl Event {
    fn read(line: &str, now: Millis) -> Self {
        let line = json::parse(line).unwrap();
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
                    (
                        m.name.clone(),
                        if let Node::Text(_, chars) = &m.node { Some(chars.clone()) } else { None },
                    )
                })
                .collect(),
            _ => Vec::new(),
        };
        let timestamp = match line.member("timestamp") {
            Some(Node::Number(source)) => time::integer(source).unwrap(),
            _ => now,
        };
        Self { key: chars("key"), value, headers, timestamp, topic: chars("topic") }
    }

    fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(header, _)| header == name).and_then(|(_, value)| value.as_deref())
    }

    /// Without those that only we may write.
    fn own_headers(&self) -> Headers {
        self.headers.iter().filter(|(name, _)| !name.starts_with("consentry.")).cloned().collect()
    }

    fn bytes(&self) -> usize {
        let text = |text: &Option<String>| text.as_ref().map_or(0, String::len);
        let headers: usize = self.headers.iter().map(|(name, value)| name.len() + text(value)).sum();
        text(&self.key) + text(&self.value) + headers
    }
}

/// What all routes of one record share.
struct Judging<'t> {
    rules: &'t Rules,
    pipeline: &'t Pipeline,
    event: &'t Event,
    body: Option<Node>,
    now: Millis,
    /// The identities and the time of the event, or why the record cannot be decided.
    facts: Result<Facts<'t>, &'static str>,
}

struct Facts<'t> {
    /// Each person's identities; one person, unless the pipeline has `elements`.
    people: Vec<Vec<Vec<Part<'t>>>>,
    occurred: Option<Millis>,
}

/// One record at one pipeline: a line for each route.
fn judge(rules: &Rules, pipeline: &Pipeline, topic: &Topic, event: &Event, now: Millis) -> Vec<Value> {
    let body = match readable(rules, pipeline, event) {
        Ok(body) => body,
        Err(reason) => {
            let all = pipeline.routes.iter();
            return all.map(|route| named(route, denied("quarantined", reason))).collect();
        }
    };
    let facts = facts(pipeline, topic, event, body.as_ref());
    let judging = Judging { rules, pipeline, event, body, now, facts };
    pipeline.routes.iter().map(|route| named(route, on_route(&judging, route))).collect()
}

fn named(route: &Route, mut line: Value) -> Value {
    line["route"] = route.name.clone().into();
    line
}

fn denied(end: &str, reason: &str) -> Value {
    json!({"end": end, "reason": reason, "level": null, "fields": [], "value": null})
}

/// "Before deciding", for the record: the body (`None` for a deletion), or why not.
fn readable(rules: &Rules, pipeline: &Pipeline, event: &Event) -> Result<Option<Node>, &'static str> {
    if event.bytes() > rules.max_record_bytes {
        return Err("too_large");
    }
    let Some(text) = &event.value else {
        return if event.key.is_some() { Ok(None) } else { Err("malformed") };
    };
    let body = json::parse(text).ok_or("malformed")?;
    if body.depth() > 64 {
        return Err("too_deep");
    }
    let path = |source: &Source| if let Source::Path(path) = source { Some(path.clone()) } else { None };
    let subjects = pipeline.subjects.iter().filter_map(|(_, source)| path(source));
    let mut paths: Vec<Vec<String>> = subjects.map(|path| pipeline.whole_path(&path)).collect();
    paths.extend(pipeline.labels_with_whole_paths().iter().filter_map(|label| path(&label.source)));
    paths.extend(pipeline.occurred_at.as_ref().and_then(path));
    paths.extend(pipeline.elements.clone());
    if paths.iter().any(|path| ambiguous(&body, path)) {
        return Err("ambiguous");
    }
    for require in pipeline.routes.iter().filter_map(|route| route.require.as_ref()) {
        if require.stamp.as_ref().is_some_and(|stamp| ambiguous(&body, &stamp.path)) {
            return Err("ambiguous");
        }
    }
    Ok(Some(body))
}

/// Whether an object that the path passes through or ends at has two equal names.
fn ambiguous(node: &Node, path: &[String]) -> bool {
    if node.repeats_a_name() {
        return true;
    }
    let Some((segment, rest)) = path.split_first() else { return false };
    match node {
        Node::Array(items) if segment == "*" => items.iter().any(|item| ambiguous(item, rest)),
        Node::Object(members) if segment == "*" => members.iter().any(|m| ambiguous(&m.node, rest)),
        _ => node.step(segment).is_some_and(|next| ambiguous(next, rest)),
    }
}

/// "Before deciding", for a route that asks for consent: who it is about, and when it happened.
fn facts<'t>(
    pipeline: &Pipeline,
    topic: &'t Topic,
    event: &Event,
    body: Option<&Node>,
) -> Result<Facts<'t>, &'static str> {
    let bodies: Vec<Option<&Node>> = match &pipeline.elements {
        None => vec![body],
        Some(path) => elements::people(body, path)?.iter().map(Some).collect(),
    };
    let mut people = Vec::new();
    for body in bodies {
        let mut identities = Vec::new();
        for (kind, source) in &pipeline.subjects {
            let Some(value) = subject(source, event, body)? else { continue };
            identities.push(topic.parts(&normal(kind, &value)));
        }
        if identities.is_empty() {
            return Err("missing_subject");
        }
        people.push(identities);
    }
    let own = match &pipeline.occurred_at {
        Some(Source::Path(path)) => {
            body.and_then(|body| body.find(path)).map_or(Ok(None), time::read).map_err(|()| "invalid_time")?
        }
        Some(Source::Header(name)) => match event.header(name) {
            None => None,
            Some(text) => Some(time::integer(text).or_else(|| time::rfc3339(text)).ok_or("invalid_time")?),
        },
        Some(Source::Key) | None => None,
    };
    let kafka = Some(event.timestamp).filter(|at| *at >= 0);
    Ok(Facts { people, occurred: own.into_iter().chain(kafka).min() })
}

/// What a selector reads: nothing, or the text of a subject.
fn subject(source: &Source, event: &Event, body: Option<&Node>) -> Result<Option<String>, &'static str> {
    let text = match source {
        Source::Key => event.key.clone(),
        Source::Header(name) => event.header(name).map(ToOwned::to_owned),
        Source::Path(path) => match body.and_then(|body| body.find(path)) {
            None | Some(Node::Null) => None,
            Some(Node::Text(_, chars)) => Some(chars.clone()),
            Some(Node::Number(source)) if source == "-0" => Some("0".to_owned()),
            Some(Node::Number(source)) if !source.contains(['.', 'e', 'E']) => Some(source.clone()),
            Some(_) => return Err("invalid_subject"),
        },
    };
    let Some(text) = text else { return Ok(None) };
    let trimmed = text.trim();
    if trimmed.is_empty() || trimmed.len() > 512 { Err("invalid_subject") } else { Ok(Some(text)) }
}

fn on_route(judging: &Judging<'_>, route: &Route) -> Value {
    let Judging { rules, pipeline, event, body, now, facts } = judging;
    if body.is_none() && route.pass_tombstones {
        return forward(judging, route, Some(0), "exempt", Value::Null);
    }
    match route.when.as_deref().map_or(Some(true), |expression| when::holds(expression, event, body.as_ref()))
    {
        Some(true) => {}
        Some(false) => return json!({"end": "not_routed", "level": null, "fields": [], "value": null}),
        None => return denied("quarantined", "when_failed"),
    }
    let Some(require) = &route.require else {
        let level = route.own_level.map(|level| rules.policy.levels[level].clone());
        return forward(judging, route, route.own_level, "exempt", level.into());
    };
    let facts = match facts {
        Ok(facts) => facts,
        Err(reason) => return denied("quarantined", reason),
    };
    let match_all = pipeline.match_all;
    let ask = Ask { policy: &rules.policy, route, require, match_all, occurred: facts.occurred, now: *now };
    if let Some(path) = &pipeline.elements {
        return elements::on_route(judging, route, &ask, path, &facts.people);
    }
    let stored = decide::decide(&ask, &facts.people[0]);
    match stamp::also(&ask, &facts.people[0], body.as_ref(), stored) {
        Verdict::Drop(reason) => denied("dropped", reason),
        Verdict::Hold { reason, until } => {
            let mut line = denied("held", reason);
            line["until"] = time::write(until).into();
            line
        }
        Verdict::Permit { level, purposes } => {
            let word = rules.policy.levels[level].clone();
            let mut line = forward(judging, route, Some(level), "permitted", word.into());
            if line["end"] == "forwarded" {
                line["purposes"] = purposes.into();
            }
            line
        }
    }
}

/// Step 9 and the sink's setting for the key; no level leaves the record untouched.
fn forward(judging: &Judging<'_>, route: &Route, level: Option<usize>, reason: &str, shown: Value) -> Value {
    let Judging { rules, pipeline, event, body, .. } = judging;
    let key = &rules.policy.pseudonym_key;
    let labels = pipeline.labels_with_whole_paths();
    let labels: Vec<&Label> = labels.iter().collect();
    let setting = match level {
        Some(_) => (labels.as_slice(), pipeline.strip_unlabelled),
        None => (&[][..], false),
    };
    match reduce(body.clone(), event.own_headers(), setting, level.unwrap_or(0), key) {
        Ok(reduced) => forwarded(judging, route, reduced, reason, shown),
        Err(_) => denied("quarantined", "transform_failed"),
    }
}

fn forwarded(judging: &Judging<'_>, route: &Route, reduced: Reduced, reason: &str, shown: Value) -> Value {
    let Judging { rules, event, .. } = judging;
    let key = &rules.policy.pseudonym_key;
    let touched = reduced.stripped || !reduced.fields.is_empty();
    let reason = if touched && reason == "permitted" { "reduced" } else { reason };
    let mut line = json!({"end": "forwarded", "reason": reason, "level": shown, "fields": reduced.fields});
    line["value"] = reduced.value.map_or(Value::Null, |value| value.to_value());
    if reduced.headers != event.own_headers() {
        line["headers"] = Value::Object(reduced.headers.into_iter().map(|(n, v)| (n, v.into())).collect());
    }
    match (&event.key, route.key.as_str()) {
        (Some(name), "hash") => line["key"] = hash(key, name).into(),
        (Some(_), "remove") => line["key"] = Value::Null,
        _ => {}
    }
    line
}
