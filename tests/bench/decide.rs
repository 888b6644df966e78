//! What one decision costs: a record read, its subject looked up, every route decided and reduced, without
//! Kafka.
//!
//! Counted in instructions, by running the same loop under `valgrind --tool=callgrind` once and twice as
//! long and taking the difference: a count that is the same on a busy machine and a quiet one. Without
//! valgrind only the time is given.

use std::hint::black_box;
use std::process::Command;

use clap::Args;
use consentry::cache::{Cache, Said};
use consentry::config::{self, Given};
use consentry::consent::{Batch, split_key};
use consentry::pipeline::judge::Judge;
use consentry::pipeline::settings::LineLimits;
use consentry::policy::rules::Rules;
use consentry::record::Record;
use consentry::time::{Instant, Timestamp};
use consentry::wire::change::{Reading, decode_json};
use consentry::wire::signals::Signals;
use serde_json::{Value, json};

use crate::load::Load;
use crate::table::{Series, Table};

/// Bytes of the events that are decided between two looks at the clock.
const TURN_BYTES: usize = 1_000_000;
/// When every event occurred.
const OCCURRED_MS: i64 = 1_780_000_000_000;

/// What is decided.
#[derive(Clone, Debug, Args)]
pub struct Options {
    /// Bytes of an event.
    #[arg(long, default_value_t = 600)]
    pub bytes: usize,
    /// Routes, each with a purpose of its own.
    #[arg(long, default_value_t = 1)]
    pub routes: usize,
    /// Grants of a subject.
    #[arg(long, default_value_t = 1)]
    pub grants: usize,
    /// Subjects.
    #[arg(long, default_value_t = 1000)]
    pub subjects: u64,
    /// Decisions, each of one record at every route.
    #[arg(long, default_value_t = 2000)]
    pub decisions: usize,
}

/// Measures over policies of several sizes.
pub fn run(options: &Options) -> Table {
    let mut table = Table::new(format!(
        "one record of JSON at every route, {} bytes, {} grants a subject",
        options.bytes, options.grants
    ));
    for routes in [1, 2, 5, 10, 50] {
        let options = Options { routes, ..options.clone() };
        table.row(json!({
            "encoding": "json",
            "routes": routes,
            "grants": options.grants,
            "instructions a record": instructions(&options),
            "ns a record": nanoseconds(&options).round(),
        }));
    }
    table
}

/// How long one record takes: the median of many short turns, few of which another process interrupts.
pub fn nanoseconds(options: &Options) -> f64 {
    let stage = Stage::new(options);
    let mut judge = stage.judge();
    let mut events = stage.events.clone();
    events.truncate((TURN_BYTES / options.bytes).max(1));
    let turns = (options.decisions * 50).div_ceil(events.len());
    let time = |turn: usize| {
        // Off the clock: events of other people, so that all of the cache is asked in the end.
        for (number, event) in (turn * events.len()..).zip(&mut events) {
            *event = stage.load.event(number as u64, OCCURRED_MS);
        }
        let began = Instant::now();
        stage.decide(&mut judge, events.iter());
        began.elapsed().as_secs_f64() * 1e9 / events.len() as f64
    };
    Series((0..turns).map(time).collect()).median()
}

/// How many instructions one record takes; `None` without valgrind.
pub fn instructions(options: &Options) -> Option<u64> {
    let once = total(options, options.decisions)?;
    Some((total(options, options.decisions * 2)? - once) / options.decisions as u64)
}

fn total(options: &Options, decisions: usize) -> Option<u64> {
    let out = Command::new("valgrind")
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
        .arg(std::env::current_exe().expect("this program"))
        .arg("decide-loop")
        .args(["--bytes".to_owned(), options.bytes.to_string()])
        .args(["--routes".to_owned(), options.routes.to_string()])
        .args(["--grants".to_owned(), options.grants.to_string()])
        .args(["--subjects".to_owned(), options.subjects.to_string()])
        .args(["--decisions".to_owned(), decisions.to_string()])
        .output()
        .ok()?;
    let said = String::from_utf8_lossy(&out.stderr).into_owned();
    said.lines().find_map(|line| line.split_once("Collected :")?.1.trim().parse().ok())
}

/// The loop that is counted.
pub fn run_loop(options: &Options) {
    let stage = Stage::new(options);
    stage.decide(&mut stage.judge(), stage.events.iter().cycle().take(options.decisions));
}

/// A cache, rules and events.
struct Stage {
    cache: Cache,
    rules: Rules,
    limits: LineLimits,
    load: Load,
    events: Vec<(String, String)>,
}

impl Stage {
    fn new(options: &Options) -> Self {
        let written = configuration(options.routes);
        let ready = config::parse("bench", &written.to_string(), Given::default()).expect("a good one");
        let pipeline = ready.pipelines.first().expect("one");
        let rules = Rules::compile(&ready.policy, &pipeline.rules).expect("they compile");
        let load = Load { records: 256, subjects: options.subjects, permitted: 100, bytes: options.bytes };
        let cache = Cache::new(ready.cache, &[7; 16]);
        for subject in 0..options.subjects {
            let (key, record) = load.consent_with(subject, options.grants);
            let key = split_key(key.as_bytes()).expect("a subject");
            let reading = Reading { max_grants: 256, signals: &Signals::default() };
            let change = decode_json(record.as_bytes(), key, reading).expect("it decodes");
            cache.apply(key, 0, i64::try_from(subject).expect("few"), &Said::State(&change));
        }
        let events = (0..load.records).map(|number| load.event(number, OCCURRED_MS)).collect();
        Self { cache, rules, limits: ready.line.limits, load, events }
    }

    fn judge(&self) -> Judge<'_> {
        Judge::new(&self.rules, self.limits.max_record_bytes, self.limits.max_depth)
    }

    fn decide<'a>(&self, judge: &mut Judge<'_>, events: impl Iterator<Item = &'a (String, String)>) {
        let batch = Batch::open(Timestamp(1_780_000_001_000));
        let view = self.cache.view();
        for (key, value) in events {
            let record = Record {
                topic: "events",
                key: Some(key.as_bytes()),
                value: Some(value.as_bytes()),
                timestamp: Some(Timestamp(1_780_000_000_500)),
                ..Record::default()
            };
            let judged = judge.record(&batch, &view, &record, |route, outcome, offset| {
                black_box((route, outcome, offset));
            });
            judged.expect("one cache has every partition");
        }
    }
}

/// A pipeline of so many routes, three fields of which are read.
fn configuration(routes: usize) -> Value {
    let purpose = |n: usize| format!("purpose-{n}");
    let purposes: serde_json::Map<_, _> =
        (0..routes).map(|n| (purpose(n), json!({"description": "One of many"}))).collect();
    let routes: Vec<Value> = (0..routes)
        .map(|n| {
            json!({
                "name": format!("route-{n}"),
                "require": {"purposes": {"all": [purpose(n)]}},
                "to": {"kafka": {"topic": format!("sink-{n}")}},
            })
        })
        .collect();
    json!({
        "version": 1,
        "kafka": {"brokers": ["localhost:9092"]},
        "consent": {"topic": "consents"},
        "policy": {"purposes": purposes, "levels": ["anonymous", "pseudonymous", "contact"]},
        "pipelines": [{
            "name": "bench",
            "from": {"topics": ["events"]},
            "subject": [{"type": "user_id", "path": "/user/id"}],
            "occurred_at": {"path": "/occurred_at"},
            "fields": [{"path": "/user/email", "level": "contact", "action": "remove"}],
            "routes": routes,
        }],
    })
}
