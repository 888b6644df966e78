//! Several identities of one person, and several people in one record: `run` forwards, drops and sets aside what
//! `explain` says of the same configuration, consents and events, byte for byte.

use std::path::Path;
use std::process::Command;

use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};

use super::clients::{Row, caught_up, read_all};
use super::kafka;
use super::people::grant;
use super::proxy::Proxy;
use super::shop::Shop;
use super::wait::secs;

/// A consent record under a key as its producer spells it.
fn said(kind: &str, id: &str, spelled: &str, more: Value) -> Row {
    let mut body = json!({"subject": {"type": kind, "value": id}});
    body.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
    let key = format!("{kind}:{spelled}").into_bytes();
    Row { key: Some(key), value: Some(body.to_string().into_bytes()), ..Row::default() }
}

fn consents() -> Vec<Row> {
    let analytics = |level: &str| {
        let mut grant = grant("analytics");
        grant["level"] = json!(level);
        json!({ "grants": [grant] })
    };
    let objected = json!({"grants": [{"purpose": "analytics", "status": "objected"}]});
    vec![
        said("user_id", "u-1", "u-1", analytics("contact")),
        said("user_id", "u-2", " u-2 ", analytics("contact")),
        said("user_id", "low", "low", analytics("anonymous")),
        said("user_id", "news", "news", json!({"grants": [grant("newsletter")]})),
        said("email", "ann@example.org", "Ann@Example.ORG", analytics("contact")),
        said("email", "low@example.org", "low@example.org", analytics("anonymous")),
        said("email", "no@example.org", "no@example.org", objected),
        said("email", "stop@example.org", "stop@example.org", json!({"restricted": true, "grants": []})),
    ]
}

/// Events about one person with two identities.
const PERSONS: [&str; 14] = [
    r#"{"user":{"id":"u-1","email":"ann@example.org"},"n":1}"#,
    r#"{"user":{"id":"u-1","email":"unknown@example.org"},"n":2}"#,
    r#"{"user":{"id":null,"email":" ANN@example.ORG "},"n":3}"#,
    r#"{"user":{"email":"no@example.org"},"n":4}"#,
    r#"{"user":{"id":"u-1","email":"NO@example.org"},"n":5}"#,
    r#"{"user":{"id":"nobody","email":"ann@example.org"},"n":6}"#,
    r#"{"user":{"id":" u-2\t"},"n":7}"#,
    r#"{"user":{"id":"U-1"},"n":8}"#,
    r#"{ "user" : {"id":"u-1","email":"low@example.org"} , "n": 9 }"#,
    r#"{"user":{"id":"low","email":"ann@example.org"},"n":10}"#,
    r#"{"user":{"id":"u-1","email":"stop@example.org"},"n":11}"#,
    r#"{"user":{},"n":12}"#,
    r#"{"user":{"id":"u-1","email":["ann@example.org"]},"n":13}"#,
    r#"{"user":{"id":"u-1","email":" "},"n":14}"#,
];

/// Events about several people.
const SEVERAL: [&str; 12] = [
    r#"{"trip":{"by":"van"},"people":[{"id":"u-1"},{"id":" u-2"}],"n":1}"#,
    r#"{ "people" : [ {"id":"u-1", "x":1.0} , {"id":"nobody"}, {"id":"u-2"} ] , "n": 2 }"#,
    r#"{"trip":{"by":"van"},"people":[{"id":"u-1","email":"x@example.org"},{"id":"low","email":"y@example.org"}]}"#,
    r#"{"trip":{"by":"van"},"people":[{"id":"nobody"},{"id":"u-1","email":"ANN@example.org"}]}"#,
    r#"{"people":[{"id":"u-1","email":"No@example.org "},{"id":"u-2"}]}"#,
    r#"{"people":[{"id":"news"},{"id":"u-1"}]}"#,
    r#"{"people":[{"id":"nobody"},{"id":"u-1","email":"no@example.org"}]}"#,
    r#"{"people":[]}"#,
    r#"{"persons":[{"id":"u-1"}]}"#,
    r#"{"people":{"id":"u-1"}}"#,
    r#"{"people":[{"id":"u-1"},{"seat":4}]}"#,
    r#"{"people":[{"id":"u-1"},{"id":true}]}"#,
];

/// A line of `explain`, its value as it is written there.
#[derive(Deserialize)]
struct Line<'a> {
    end: String,
    reason: String,
    #[serde(borrow)]
    value: Option<&'a RawValue>,
    purposes: Option<Vec<String>>,
}

/// What `consentry explain` says of these events at one pipeline.
fn explain(config: &Value, pipeline: &str, events: &[&str]) -> String {
    let folder = tempfile::tempdir().expect("a temporary directory");
    let write = |name: &str, text: String| {
        std::fs::write(folder.path().join(name), text).expect("a writable temporary directory");
    };
    let text = |bytes: &Option<Vec<u8>>| String::from_utf8(bytes.clone().expect("there")).expect("UTF-8");
    let consents = consents();
    let consent = |row: &Row| json!({"key": text(&row.key), "raw": text(&row.value)}).to_string();
    write("c.yaml", config.to_string());
    write("consents", consents.iter().map(consent).collect::<Vec<_>>().join("\n"));
    let event = |text: &&str| json!({"key": "k", "raw": text}).to_string();
    write("events", events.iter().map(event).collect::<Vec<_>>().join("\n"));
    run_explain(folder.path(), pipeline)
}

fn run_explain(folder: &Path, pipeline: &str) -> String {
    let mut command = Command::new(env!("CARGO_BIN_EXE_consentry"));
    command.args(["explain", "--config", "c.yaml", "--consents", "consents", "--events", "events"]);
    let output =
        command.args(["--pipeline", pipeline]).current_dir(folder).output().expect("the binary runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("UTF-8")
}

/// What reached a topic: reason, value, purposes.
fn told(row: &Row) -> (String, String, String) {
    let value = String::from_utf8(row.value.clone().expect("a value")).expect("UTF-8");
    let header = |name| row.header(name).unwrap_or_default();
    (header("consentry.reason"), value, header("consentry.purposes"))
}

/// Compares what a pipeline wrote with what `explain` says, and returns how many were forwarded, dropped and set
/// aside there.
fn compare(explained: &str, events: &[&str], sink: &[Row], quarantine: &[Row]) -> [usize; 3] {
    let lines: Vec<Line<'_>> =
        explained.lines().map(|line| serde_json::from_str(line).expect("a line of explain")).collect();
    assert_eq!(lines.len(), events.len());
    let of_end = |end: &'static str| lines.iter().zip(events).filter(move |(line, _)| line.end == end);
    let forwarded: Vec<_> = of_end("forwarded")
        .map(|(line, _)| {
            let value = line.value.map(RawValue::get).unwrap_or_default().to_owned();
            (line.reason.clone(), value, line.purposes.clone().unwrap_or_default().join(","))
        })
        .collect();
    assert_eq!(sink.iter().map(told).collect::<Vec<_>>(), forwarded);
    let set_aside: Vec<_> = of_end("quarantined")
        .map(|(line, event)| (line.reason.clone(), (*event).to_owned(), String::new()))
        .collect();
    assert_eq!(quarantine.iter().map(told).collect::<Vec<_>>(), set_aside, "whole, as they came");
    [forwarded.len(), of_end("dropped").count(), set_aside.len()]
}

#[test]
fn run_decides_as_explain_does() {
    let Some(kafka) = kafka() else { return };
    let mut shop = Shop::new(&kafka.address, "identities", 1, 1);
    for topic in ["all-sink", "all-quarantine", "trips", "several-sink", "several-quarantine"] {
        shop.topics.create(&format!("identities-{topic}"), 1, &[]);
    }
    let first = shop.pipeline();
    first["subject"] =
        json!([{"type": "user_id", "path": "/user/id"}, {"type": "email", "path": "/user/email"}]);
    first["match"] = json!("first");
    first["fields"] = json!([{"path": "/user/email", "level": "contact", "action": "mask"}]);
    let mut all = first.clone();
    all["match"] = json!("all");
    let mut several = first.clone();
    several["elements"] = json!("/people");
    several["subject"] = json!([{"type": "user_id", "path": "/id"}, {"type": "email", "path": "/email"}]);
    several["fields"] = json!([
        {"path": "/email", "level": "contact", "action": "hash"},
        {"path": "/trip/by", "outside": true, "level": "contact", "action": "remove"},
    ]);
    several["from"]["topics"] = json!(["identities-trips"]);
    several["routes"][0]["require"] = json!({"purposes": {"any": ["analytics", "newsletter"]}});
    for (name, mut pipeline) in [("all", all), ("several", several)] {
        pipeline["name"] = json!(name);
        pipeline["group"] = json!(format!("identities-{name}-group"));
        pipeline["quarantine"]["topic"] = json!(format!("identities-{name}-quarantine"));
        pipeline["routes"][0]["to"]["kafka"]["topic"] = json!(format!("identities-{name}-sink"));
        shop.config["pipelines"].as_array_mut().expect("a list").push(pipeline);
    }
    shop.consents(&consents());
    let row = |text: &&str| Row {
        key: Some(b"k".to_vec()),
        value: Some(text.as_bytes().to_vec()),
        ..Row::default()
    };
    let (persons, trips) = (PERSONS.each_ref().map(row), SEVERAL.each_ref().map(row));
    shop.events(&persons);
    shop.writer.all("identities-trips", &trips);

    let proxy = Proxy::ready(&shop.config);
    let sink = shop.forwarded();
    let explained = explain(&shop.config, "shop", &PERSONS);
    assert_eq!(compare(&explained, &PERSONS, &sink, &shop.quarantined()), [6, 5, 3]);
    assert!(sink.iter().all(|row| row.header("consentry.consent_offset").is_some()));

    let of = |name: &str, what: &str| read_all(&shop.address, &format!("identities-{name}-{what}"));
    caught_up(&shop.address, "identities-all-group", &shop.source, secs(60));
    let explained = explain(&shop.config, "all", &PERSONS);
    assert_eq!(compare(&explained, &PERSONS, &of("all", "sink"), &of("all", "quarantine")), [5, 6, 3]);

    caught_up(&shop.address, "identities-several-group", "identities-trips", secs(60));
    let explained = explain(&shop.config, "several", &SEVERAL);
    let sink = of("several", "sink");
    assert_eq!(compare(&explained, &SEVERAL, &sink, &of("several", "quarantine")), [6, 2, 4]);
    let texts: Vec<_> = sink.iter().map(|row| told(row).1).collect();
    assert_eq!(texts[0], SEVERAL[0], "byte for byte where nothing is done");
    assert_eq!(texts[1], r#"{ "people" : [ {"id":"u-1", "x":1.0} , {"id":"u-2"} ] , "n": 2 }"#);
    let gone = |text: &String| ["nobody", "o@example.org"].iter().all(|out| !text.contains(out));
    assert!(texts.iter().all(gone), "{texts:?}");
    assert!(sink.iter().all(|row| row.header("consentry.consent_offset").is_none()), "whose would it be?");
    let purposes: Vec<_> = sink.iter().map(|row| row.header("consentry.purposes")).collect();
    assert_eq!(purposes.last(), Some(&None), "no purpose is common to those two");
    assert_eq!(proxy.metrics().sum("consentry_records_total", &[("pipeline", "several")]), 12.0);
    proxy.stop();
}
