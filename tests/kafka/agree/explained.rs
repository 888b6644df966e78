//! What `consentry explain` says of a scene, and which of its events time does not change meanwhile.
//!
//! `explain` looks at one event at a time. What one does to another is added here: a deletion that passes ends what
//! waits under its key.

use std::collections::BTreeSet;
use std::process::Command;

use consentry::time::Timestamp;
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use super::super::clients::Row;
use super::facts::{Case, Facts, forwarded, held, quarantined, released};
use super::scene::{Event, Pipeline, Scene};
use crate::oracle::time::rfc3339;

/// A line that `explain` prints.
#[derive(Clone, Deserialize)]
struct Verdict {
    event: usize,
    pipeline: String,
    route: String,
    end: String,
    reason: Option<String>,
    until: Option<String>,
    fields: Vec<String>,
    value: Option<Box<RawValue>>,
    purposes: Option<Vec<String>>,
    #[serde(default, deserialize_with = "present")]
    key: Option<Option<String>>,
    headers: Option<Map<String, Value>>,
}

fn present<'de, D: serde::Deserializer<'de>>(from: D) -> Result<Option<Option<String>>, D::Error> {
    Option::deserialize(from).map(Some)
}

/// Leaves out the events of which `explain` says something else so many milliseconds later, and gives their number.
pub fn leave_out_what_changes(scene: &mut Scene, after_ms: i64) -> u64 {
    let (now, later) = (scene.at, scene.at.plus(after_ms));
    let mut changing = 0;
    for number in 0..scene.pipelines.len() {
        let pipeline = &scene.pipelines[number];
        let [one, other] = [now, later].map(|at| verdicts(scene, &scene.config, pipeline, at));
        let mut changes = vec![false; pipeline.events.len()];
        for (one, other) in one.iter().zip(&other) {
            changes[one.event] |= !is_same(one, other, after_ms);
        }
        changing += changes.iter().map(|changes| u64::from(*changes)).sum::<u64>();
        let mut changes = changes.into_iter();
        scene.pipelines[number].events.retain(|_| !changes.next().unwrap());
    }
    changing
}

/// Whether two verdicts say the same; a wait may end so much later.
fn is_same(one: &Verdict, other: &Verdict, after_ms: i64) -> bool {
    let said = |verdict: &Verdict| {
        let value = verdict.value.as_ref().map(|value| value.get().to_owned());
        let Verdict { end, reason, purposes, key, headers, .. } = verdict.clone();
        (end, reason, purposes, key, headers, value)
    };
    let [from, to] =
        [one, other].map(|verdict| verdict.until.as_deref().map(|until| rfc3339(until).unwrap()));
    let waits = from == to || from.map(|from| from + i128::from(after_ms)) == to;
    said(one) == said(other) && waits
}

/// What `explain` says of a scene.
#[derive(Default)]
pub struct Explained {
    pub facts: Facts,
    /// What is to be forwarded with the very bytes that came: nothing in it was acted on. Of any other value
    /// `explain` does not show the white space around it.
    pub untouched: BTreeSet<Case>,
    /// How many cases waited, and then a deletion ended that.
    pub deleted: u64,
}

impl Explained {
    /// A deletion has passed at a route: what came before under its key, and waits there, is dropped.
    fn delete(&mut self, pipeline: &str, deletion: &Event, route: &str, waiting: &mut Vec<(&Event, String)>) {
        let place = |event: &Event| (event.topic.clone(), event.row.partition, event.row.key.clone());
        let is_ended = |(event, own): &(&Event, String)| own == route && place(event) == place(deletion);
        for (event, _) in waiting.extract_if(.., |one| is_ended(one)) {
            self.facts.add((event.number, route.to_owned()), released());
            let cell = [pipeline, route, "dropped", "hold_expired"].map(str::to_owned);
            *self.facts.counts.entry(cell).or_insert(0) += 1;
            self.deleted += 1;
        }
    }
}

/// What `explain` says of a scene with this configuration.
pub fn explained(scene: &Scene, config: &Value) -> Explained {
    let mut all = Explained::default();
    for pipeline in &scene.pipelines {
        let mut waiting = Vec::new();
        for verdict in verdicts(scene, config, pipeline, scene.at) {
            let event = &pipeline.events[verdict.event];
            let reason = verdict.reason.clone().unwrap_or_default();
            let cell = [&verdict.pipeline, &verdict.route, &verdict.end, &reason].map(Clone::clone);
            *all.facts.counts.entry(cell).or_insert(0) += 1;
            let trace = match verdict.end.as_str() {
                "forwarded" => {
                    if event.row.key.is_some() && event.row.value.is_none() {
                        all.delete(&pipeline.name, event, &verdict.route, &mut waiting);
                    }
                    let mut row = sent(&verdict, &event.row);
                    if verdict.fields.is_empty() && row.value == event.row.value.as_deref().map(one_line) {
                        row.value.clone_from(&event.row.value);
                        all.untouched.insert((event.number, verdict.route.clone()));
                    }
                    let purposes = verdict.purposes.as_ref().map(|all| all.join(","));
                    forwarded(&reason, purposes.filter(|all| !all.is_empty()), &row)
                }
                "quarantined" => quarantined(&reason, &event.row),
                "held" => {
                    waiting.push((event, verdict.route.clone()));
                    held(&reason, waits(&verdict, scene.at), &event.row)
                }
                _ => continue,
            };
            all.facts.add((event.number, verdict.route), trace);
        }
    }
    all
}

/// For how many milliseconds a record may wait; none where it waits for a window to open.
fn waits(verdict: &Verdict, at: Timestamp) -> Option<i64> {
    let until = rfc3339(verdict.until.as_deref().unwrap()).unwrap();
    let waits = i64::try_from(until).unwrap() - at.0;
    (verdict.reason.as_deref() != Some("outside_contact_window")).then_some(waits)
}

/// The record that a sink would get.
fn sent(verdict: &Verdict, was: &Row) -> Row {
    let mut row = was.clone();
    row.headers.retain(|(name, _)| !name.starts_with("consentry."));
    if let Some(key) = &verdict.key {
        row.key = key.clone().map(String::into_bytes);
    }
    if let Some(headers) = &verdict.headers {
        let header = |(name, value): (&String, &Value)| {
            (name.clone(), value.as_str().map(|text| text.as_bytes().to_vec()))
        };
        row.headers = headers.iter().map(header).collect();
    }
    // `null` is also what `explain` says where there is no value.
    let value = verdict.value.as_ref().map_or("null", |value| value.get());
    row.value = row.value.map(|_| value.as_bytes().to_vec());
    row
}

/// A value as `explain` shows it: on one line.
pub fn one_line(value: &[u8]) -> Vec<u8> {
    String::from_utf8_lossy(value).trim().replace(['\n', '\r'], " ").into_bytes()
}

/// The verdicts of the binary.
fn verdicts(scene: &Scene, config: &Value, pipeline: &Pipeline, at: Timestamp) -> Vec<Verdict> {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let lines = |events: &[Event]| events.iter().map(|event| event.line.clone() + "\n").collect::<String>();
    for (name, text) in [
        ("config", config.to_string()),
        ("consents", scene.consents.join("\n")),
        ("events", lines(&pipeline.events)),
    ] {
        std::fs::write(dir.path().join(name), text).expect("a writable temporary directory");
    }
    let output = Command::new(env!("CARGO_BIN_EXE_consentry"))
        .current_dir(dir.path())
        .args(["explain", "--config", "config", "--consents", "consents", "--events", "events"])
        .args(["--pipeline", &pipeline.name, "--at", &at.to_string()])
        .output()
        .expect("the binary starts");
    assert!(output.status.success(), "{}: {}", pipeline.name, String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).expect("JSON is text");
    text.lines().map(|line| serde_json::from_str(line).expect("a verdict")).collect()
}
