//! One record at one pipeline: "before deciding", the decision, and what the sink gets.

use super::{
    When,
    consent::{Part, Subject, normal},
    decide::{self, Ask, Verdict},
    elements,
    fields::{Out, hash, reduce},
    json::{self, Node},
    record::Record,
    rules::{Label, Pipeline, Route, Rules, Source},
    stamp,
    time::{self, Millis},
    when,
};

/// What becomes of a record at a route.
#[derive(Clone, Debug, PartialEq)]
pub struct Ending {
    /// `forwarded`, `dropped`, `held`, `quarantined` or `not_routed`.
    pub end: &'static str,
    /// Why; empty for `not_routed`.
    pub reason: &'static str,
    /// Until when it is held.
    pub until: Option<Millis>,
    /// The permitted level, as a word.
    pub level: Option<String>,
    /// The purposes that permitted; `None` where nobody was asked.
    pub purposes: Option<Vec<String>>,
    /// What the sink gets, where it is forwarded.
    pub out: Option<Out>,
}

/// What there is to ask about, besides the record.
#[derive(Clone, Copy)]
pub struct Asking<'t> {
    /// The configuration.
    pub rules: &'t Rules,
    /// One of its pipelines.
    pub pipeline: &'t Pipeline,
    /// What is known of a subject.
    pub known: &'t dyn Fn(&Subject) -> Vec<Part<'t>>,
    /// Who answers a `when` that is not known by heart.
    pub when: When<'t>,
    /// What now is.
    pub now: Millis,
}

/// What all routes of one record share.
pub(super) struct Judging<'t> {
    pub rules: &'t Rules,
    pub pipeline: &'t Pipeline,
    pub record: &'t Record,
    pub body: Option<Node>,
    pub now: Millis,
    pub when: When<'t>,
    /// The identities and the time of the event, or why the record cannot be decided.
    facts: Result<Facts<'t>, &'static str>,
}

struct Facts<'t> {
    /// Each person's identities; one person, unless the pipeline has `elements`.
    people: Vec<Vec<Vec<Part<'t>>>>,
    occurred: Option<Millis>,
}

/// What becomes of a record at each route, in the configuration's order.
pub fn judge(asking: Asking<'_>, record: &Record) -> Vec<Ending> {
    let Asking { rules, pipeline, known, when, now } = asking;
    let body = match readable(rules, pipeline, record) {
        Ok(body) => body,
        Err(reason) => return pipeline.routes.iter().map(|_| denied("quarantined", reason)).collect(),
    };
    let facts = facts(pipeline, known, record, body.as_ref());
    let judging = Judging { rules, pipeline, record, body, now, when, facts };
    pipeline.routes.iter().map(|route| on_route(&judging, route)).collect()
}

/// What a sink of a route could get of a record at each level, whoever permitted it: the level's word, or nothing
/// where fields stay untouched. None where the record cannot be read, or holds several people.
pub fn outputs(
    rules: &Rules,
    pipeline: &Pipeline,
    record: &Record,
    route: &Route,
) -> Vec<(Option<String>, Out)> {
    let Ok(body) = readable(rules, pipeline, record) else { return Vec::new() };
    if pipeline.elements.is_some() && route.require.is_some() && body.is_some() {
        return Vec::new();
    }
    let facts = Err("missing_subject");
    let judging = Judging { rules, pipeline, record, body, now: 0, when: &|_, _| None, facts };
    let levels = (0..rules.policy.levels.len()).map(Some);
    let at = |level: Option<usize>| {
        let word = level.and_then(|level| rules.policy.levels.get(level).cloned());
        forward(&judging, route, level, "permitted", None).out.map(|out| (word, out))
    };
    levels.chain([None]).filter_map(at).collect()
}

pub(super) const fn denied(end: &'static str, reason: &'static str) -> Ending {
    Ending { end, reason, until: None, level: None, purposes: None, out: None }
}

/// "Before deciding", for the record: the body (`None` for a deletion), or why not.
fn readable(rules: &Rules, pipeline: &Pipeline, record: &Record) -> Result<Option<Node>, &'static str> {
    if record.bytes() > rules.max_record_bytes {
        return Err("too_large");
    }
    let body = match &record.value {
        None if record.is_deletion() => None,
        None => return Err("malformed"),
        Some(bytes) => {
            let text = std::str::from_utf8(bytes).map_err(|_| "malformed")?;
            Some(json::parse(text).ok_or("malformed")?)
        }
    };
    if let Some(body) = &body {
        if body.depth() > rules.max_depth {
            return Err("too_deep");
        }
        if paths(pipeline).iter().any(|path| ambiguous(body, path)) {
            return Err("ambiguous");
        }
    }
    let header = |source: &Source| if let Source::Header(name) = source { Some(name.clone()) } else { None };
    let mut selectors = pipeline.subjects.iter().map(|(_, source)| source).chain(&pipeline.occurred_at);
    if selectors.any(|source| header(source).is_some_and(|name| record.disagrees(&name))) {
        return Err("ambiguous");
    }
    Ok(body)
}

/// Every path that is read or labelled, from the whole value.
fn paths(pipeline: &Pipeline) -> Vec<Vec<String>> {
    let path = |source: &Source| if let Source::Path(path) = source { Some(path.clone()) } else { None };
    let subjects = pipeline.subjects.iter().filter_map(|(_, source)| path(source));
    let mut paths: Vec<Vec<String>> = subjects.map(|path| pipeline.whole_path(&path)).collect();
    paths.extend(pipeline.labels_with_whole_paths().iter().filter_map(|label| path(&label.source)));
    paths.extend(pipeline.occurred_at.as_ref().and_then(path));
    paths.extend(pipeline.elements.clone());
    let required = pipeline.routes.iter().filter_map(|route| route.require.as_ref());
    paths.extend(required.filter_map(|require| require.stamp.as_ref()).map(|stamp| stamp.path.clone()));
    paths
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
    known: &dyn Fn(&Subject) -> Vec<Part<'t>>,
    record: &Record,
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
            let Some(value) = subject(source, record, body)? else { continue };
            identities.push(known(&normal(kind, &value)));
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
        Some(Source::Header(name)) => match record.header(name) {
            None => None,
            Some(bytes) => {
                let text = std::str::from_utf8(bytes).map_err(|_| "invalid_time")?;
                Some(time::integer(text).or_else(|| time::rfc3339(text)).ok_or("invalid_time")?)
            }
        },
        Some(Source::Key) | None => None,
    };
    let kafka = record.timestamp.filter(|at| *at >= 0);
    Ok(Facts { people, occurred: own.into_iter().chain(kafka).min() })
}

/// What a selector reads: nothing, or the text of a subject.
fn subject(source: &Source, record: &Record, body: Option<&Node>) -> Result<Option<String>, &'static str> {
    let utf8 = |bytes: Option<&[u8]>| {
        let text = bytes.map(|bytes| std::str::from_utf8(bytes).map(ToOwned::to_owned));
        text.transpose().map_err(|_| "invalid_subject")
    };
    let text = match source {
        Source::Key => utf8(record.key.as_deref())?,
        Source::Header(name) => utf8(record.header(name))?,
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

fn on_route(judging: &Judging<'_>, route: &Route) -> Ending {
    let Judging { rules, pipeline, record, body, now, when, facts } = judging;
    if body.is_none() && route.pass_tombstones {
        return forward(judging, route, Some(0), "exempt", None);
    }
    match route.when.as_deref().map_or(Some(true), |text| when::holds(text, record, body.as_ref(), *when)) {
        Some(true) => {}
        Some(false) => return denied("not_routed", ""),
        None => return denied("quarantined", "when_failed"),
    }
    let Some(require) = &route.require else {
        let level = route.own_level.and_then(|level| rules.policy.levels.get(level).cloned());
        return forward(judging, route, route.own_level, "exempt", level);
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
    let Some(person) = facts.people.first() else { return denied("quarantined", "missing_subject") };
    match stamp::also(&ask, person, body.as_ref(), decide::decide(&ask, person)) {
        Verdict::Drop(reason) => denied("dropped", reason),
        Verdict::Hold { reason, until } => Ending { until: Some(until), ..denied("held", reason) },
        Verdict::Permit { level, purposes } => {
            let word = rules.policy.levels.get(level).cloned();
            let mut ending = forward(judging, route, Some(level), "permitted", word);
            ending.purposes = Some(purposes).filter(|_| ending.end == "forwarded");
            ending
        }
    }
}

/// Step 9 and the sink's setting for the key; no level leaves the record untouched.
fn forward(
    judging: &Judging<'_>,
    route: &Route,
    level: Option<usize>,
    reason: &'static str,
    shown: Option<String>,
) -> Ending {
    let Judging { rules, pipeline, record, body, .. } = judging;
    let key = &rules.policy.pseudonym_key;
    let labels = pipeline.labels_with_whole_paths();
    let labels: Vec<&Label> = labels.iter().collect();
    let setting = match level {
        Some(_) => (labels.as_slice(), pipeline.strip_unlabelled),
        None => (&[][..], false),
    };
    match reduce(body.clone(), record.own_headers(), setting, level.unwrap_or(0), key) {
        Ok(out) => forwarded(judging, route, out, reason, shown),
        Err(_) => denied("quarantined", "transform_failed"),
    }
}

pub(super) fn forwarded(
    judging: &Judging<'_>,
    route: &Route,
    mut out: Out,
    reason: &'static str,
    level: Option<String>,
) -> Ending {
    let Judging { rules, record, .. } = judging;
    out.key = match (&record.key, route.key.as_str()) {
        (Some(key), "hash") => Some(hash(&rules.policy.pseudonym_key, key).into_bytes()),
        (None, _) | (Some(_), "remove") => None,
        (Some(key), _) => Some(key.clone()),
    };
    let reason = if out.is_touched() && reason == "permitted" { "reduced" } else { reason };
    Ending { end: "forwarded", reason, until: None, level, purposes: None, out: Some(out) }
}
