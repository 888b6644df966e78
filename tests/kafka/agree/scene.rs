//! A town in topics: what is configured, who has said what, and what happens, for both.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use consentry::time::{Clock, Timestamp};
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value, json};

use super::super::clients::{Row, Writer, read_all};
use super::super::topics::{CONSENT, Topics, Wanted};
use crate::generated::steady::{Size, town};

/// Partitions of a consent topic: as many as the generator names.
const CONSENTS: i32 = 11;
/// Partitions of each source.
const SOURCES: i32 = 2;
/// The header that tells one event from another.
pub const NUMBER: &str = "x-event";

/// A town in topics of its own.
pub struct Scene {
    name: String,
    /// When this was: what now is for `explain`.
    pub at: Timestamp,
    pub config: Value,
    /// The lines of `--consents`.
    pub consents: Vec<String>,
    pub pipelines: Vec<Pipeline>,
}

/// A pipeline, and what happens to the people it is about.
pub struct Pipeline {
    pub name: String,
    pub sources: [String; 2],
    pub events: Vec<Event>,
}

/// One event, for both.
pub struct Event {
    /// Its number, over all pipelines.
    pub number: usize,
    /// The line of `--events`.
    pub line: String,
    pub topic: String,
    pub row: Row,
}

impl Scene {
    /// Makes a town up. Nothing is in Kafka yet.
    pub fn new(address: &str, seed: u64, size: &Size) -> Self {
        let (name, at) = (format!("agree-{seed}"), Clock::default().now());
        let town = town(seed, at.0.into(), size);
        let mut config = town.config;
        let mut pipelines = Vec::new();
        for (number, events) in town.events.iter().enumerate() {
            let own = format!("{name}-{number}");
            rename(&mut config["pipelines"][number], &name, &own);
            let events = (number * size.events..).zip(events);
            pipelines.push(Pipeline {
                sources: ["shop-events", "web-events"].map(|topic| format!("{own}-{topic}")),
                events: events.map(|(number, line)| Event::new(number, line, &own, at)).collect(),
                name: own,
            });
        }
        config["instance"] = json!(name);
        config["workers"] = json!(1);
        config["commit_interval"] = json!("20ms");
        config["kafka"] = json!({"brokers": [address]});
        config["consent"] = json!({"topic": format!("{name}-consents")});
        let key = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/cases/pseudonym.key");
        config["policy"]["pseudonym_key"] = json!({"file": key});
        Self { name, at, config, consents: town.consents, pipelines }
    }

    /// Where all that is forwarded goes.
    pub fn sink(&self) -> String {
        format!("{}-sink", self.name)
    }

    /// Where all that is quarantined goes.
    pub fn quarantine(&self) -> String {
        format!("{}-quarantine", self.name)
    }

    fn consent_topic(&self) -> String {
        format!("{}-consents", self.name)
    }

    /// What goes into the consent topic.
    fn messages(&self) -> Vec<Row> {
        self.consents.iter().map(|line| consent(line)).collect()
    }

    /// Whether the consent topic holds just that, each partition in order.
    pub fn is_written(&self, address: &str) -> bool {
        let by_partition = |rows: Vec<Row>| {
            let mut all: BTreeMap<Option<i32>, Vec<_>> = BTreeMap::new();
            rows.into_iter().for_each(|row| all.entry(row.partition).or_default().push((row.key, row.value)));
            all
        };
        by_partition(read_all(address, &self.consent_topic())) == by_partition(self.messages())
    }

    /// What all pipelines read.
    pub fn sources(&self) -> impl Iterator<Item = &str> {
        self.pipelines.iter().flat_map(|pipeline| &pipeline.sources).map(String::as_str)
    }

    /// Makes the topics and writes everything, and notes where each event has come to stand.
    pub fn write(&mut self, address: &str) {
        self.write_with(address, &[]);
    }

    /// The same, with more settings of the sources and of the consent topic.
    pub fn write_with(&mut self, address: &str, settings: &[(&str, &str)]) {
        let (topics, writer) = (Topics::new(address), Writer::new(address));
        let consents = self.consent_topic();
        let (sink, quarantine) = (self.sink(), self.quarantine());
        let consent = [CONSENT, settings].concat();
        let mut all: Vec<Wanted<'_>> =
            vec![(&consents, CONSENTS, &consent), (&sink, 1, &[]), (&quarantine, 1, &[])];
        all.extend(self.sources().map(|source| (source, SOURCES, settings)));
        topics.create_all(&all);
        writer.all(&consents, &self.messages());
        let mut ends = BTreeMap::new();
        for event in self.pipelines.iter_mut().flat_map(|pipeline| &mut pipeline.events) {
            let end: &mut i64 = ends.entry((event.topic.clone(), event.row.partition)).or_default();
            event.row.offset = *end;
            *end += 1;
            writer.send(&event.topic, &event.row);
        }
        writer.flush();
    }
}

impl Scene {
    /// Keeps it in files, as `explain` takes it, with what a process counted and said, and what differs.
    pub fn keep(&self, counted: &str, said: &str, differences: &[String]) -> PathBuf {
        let dir = Path::new(env!("CARGO_TARGET_TMPDIR")).join(&self.name);
        fs::create_dir_all(&dir).expect("a writable target directory");
        let keep = |name: &str, text: &str| fs::write(dir.join(name), text).expect("a writable directory");
        keep("config.yaml", &self.config.to_string());
        keep("consents.jsonl", &self.consents.join("\n"));
        for (number, pipeline) in self.pipelines.iter().enumerate() {
            let lines: Vec<&str> = pipeline.events.iter().map(|event| event.line.as_str()).collect();
            keep(&format!("events-{number}.jsonl"), &lines.join("\n"));
        }
        keep("at", &self.at.to_string());
        keep("metrics", counted);
        keep("log", said);
        keep("differences", &differences.join("\n"));
        dir
    }
}

/// Gives a pipeline topics, and its routes names, that no other has.
fn rename(pipeline: &mut Value, scene: &str, own: &str) {
    // The sources wherever they are named: an expression may ask for the topic.
    let mut text = pipeline.to_string();
    for topic in ["shop-events", "web-events"] {
        text = text.replace(topic, &format!("{own}-{topic}"));
    }
    *pipeline = serde_json::from_str(&text).unwrap();
    pipeline["name"] = json!(own);
    pipeline["group"] = json!(format!("{own}-group"));
    pipeline["hold"] = json!({"topic": "hold"});
    pipeline["quarantine"] = json!({"topic": format!("{scene}-quarantine")});
    for (number, route) in pipeline["routes"].as_array_mut().unwrap().iter_mut().enumerate() {
        route["name"] = json!(format!("{own}-{number}"));
        route["to"]["kafka"]["topic"] = json!(format!("{scene}-sink"));
    }
}

/// A line of `--events`, as far as a record is made of it.
#[derive(Deserialize)]
struct Written {
    topic: String,
    key: Option<String>,
    value: Option<Box<RawValue>>,
    raw: Option<String>,
    headers: Map<String, Value>,
    timestamp: i64,
}

impl Event {
    fn new(number: usize, line: &str, pipeline: &str, at: Timestamp) -> Self {
        let mut event: Value = serde_json::from_str(line).unwrap();
        event["topic"] = json!(format!("{pipeline}-{}", event["topic"].as_str().unwrap()));
        event["headers"][NUMBER] = json!(number.to_string());
        if event["timestamp"].is_null() {
            event["timestamp"] = json!(at.0);
        }
        let line = event.to_string();
        let written: Written = serde_json::from_str(&line).unwrap();
        // The value as it is written, which is how `explain` takes it.
        let value = written.raw.or(written.value.map(|raw| raw.get().to_owned()));
        let header =
            |(name, value): (String, Value)| (name, value.as_str().map(|text| text.as_bytes().to_vec()));
        let row = Row {
            key: written.key.map(String::into_bytes),
            value: value.map(String::into_bytes),
            headers: written.headers.into_iter().map(header).collect(),
            timestamp: Some(written.timestamp),
            partition: Some(i32::try_from(number).unwrap() % SOURCES),
            offset: 0,
        };
        Self { number, line, topic: written.topic, row }
    }
}

/// A line of `--consents` as the message that it stands for.
fn consent(line: &str) -> Row {
    let written: Value = serde_json::from_str(line).unwrap();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let (key, value) = match (&written["key"], &written["raw"]) {
        (Value::Null, _) => {
            let subject = &written["subject"];
            (format!("{}:{}", text(&subject["type"]), text(&subject["value"])), Some(line.to_owned()))
        }
        (key, Value::Null) => (text(key), None),
        (key, raw) => (text(key), Some(text(raw))),
    };
    Row {
        key: Some(key.into_bytes()),
        value: value.map(String::into_bytes),
        partition: Some(written["partition"].as_i64().map_or(0, |at| i32::try_from(at).unwrap())),
        ..Row::default()
    }
}
