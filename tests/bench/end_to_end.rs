//! The whole way: from one topic of a real Kafka through consent to another, in transactions, against the
//! bare copy loop on the same input in the same run.

use std::process::{Child, Command, Stdio};
use std::time::Duration;

use clap::Args;
use serde_json::json;

use crate::broker::Broker;
use crate::follow::Progress;
use crate::load::{Bulk, Load};
use crate::machine::{Used, used};
use crate::table::{Series, Table};
use crate::topics::{CONSENT, Topics};
use crate::{jars, reaper};

const LIMIT: Duration = Duration::from_secs(900);

/// What is measured.
#[derive(Debug, Args)]
pub struct Options {
    /// Events.
    #[arg(long, default_value_t = 1_000_000)]
    records: u64,
    /// People with a consent record.
    #[arg(long, default_value_t = 194_000)]
    subjects: u64,
    /// How many of a hundred people permit.
    #[arg(long, default_value_t = 100)]
    permitted: u64,
    /// Bytes of an event.
    #[arg(long, default_value_t = 600)]
    bytes: usize,
    /// Partitions of the event topic.
    #[arg(long, default_value_t = 4)]
    partitions: i32,
    /// Threads of Consentry.
    #[arg(long, default_value_t = 1)]
    workers: usize,
    /// How often each is run, in turn.
    #[arg(long, default_value_t = 3)]
    rounds: usize,
}

/// One run of one of them.
struct Run {
    cpu_us: f64,
    thousand_a_second: f64,
    peak_mb: f64,
}

/// Who is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Who {
    CopyLoop,
    Consentry,
}

impl Who {
    const ALL: [Self; 2] = [Self::CopyLoop, Self::Consentry];

    const fn name(self) -> &'static str {
        match self {
            Self::CopyLoop => "librdkafka copy loop, no decision, transactions",
            Self::Consentry => "Consentry, exactly once, barrier",
        }
    }
}

/// Where it runs.
struct Place<'a> {
    options: &'a Options,
    address: &'a str,
    topics: Topics,
    count: usize,
}

/// Runs each in turn, several times.
pub fn run(options: &Options) -> Table {
    let class_path = jars::class_path().expect("a Kafka, which needs Java 17 and Maven");
    let broker = Broker::start(&class_path);
    let topics = Topics::new(&broker.address);
    topics.create("consents", 4, CONSENT);
    topics.create("events", options.partitions, &[]);
    let load = Load {
        records: options.records,
        subjects: options.subjects,
        permitted: options.permitted,
        bytes: options.bytes,
    };
    let bulk = Bulk::new(&broker.address);
    load.write_consents(&bulk, "consents");
    load.write_events(&bulk, "events");
    let mut place = Place { options, address: &broker.address, topics, count: 0 };
    let mut runs: Vec<Vec<Run>> = Who::ALL.iter().map(|_| Vec::new()).collect();
    for round in 0..options.rounds {
        for (who, runs) in Who::ALL.iter().zip(&mut runs) {
            let run = place.run(*who);
            eprintln!(
                "round {round}: {}: {:.2} µs CPU a record, {:.0} thousand/s",
                who.name(),
                run.cpu_us,
                run.thousand_a_second
            );
            runs.push(run);
        }
    }
    report(options, &runs)
}

fn report(options: &Options, runs: &[Vec<Run>]) -> Table {
    let mut table = Table::new(format!(
        "{} events of {} bytes, {} people, {} % permitted, {} partitions, {} rounds in turn: median (minimum–maximum)",
        options.records,
        options.bytes,
        options.subjects,
        options.permitted,
        options.partitions,
        options.rounds
    ));
    let series = |runs: &[Run], figure: fn(&Run) -> f64| Series(runs.iter().map(figure).collect());
    let yardstick = runs.first().expect("the copy loop");
    for (who, runs) in Who::ALL.iter().zip(runs) {
        let ratios = runs.iter().zip(yardstick).map(|(run, copy)| run.cpu_us / copy.cpu_us).collect();
        table.row(json!({
            "what": who.name(),
            "µs CPU a record": series(runs, |run| run.cpu_us).text(2),
            "× the copy loop": Series(ratios).text(2),
            "thousand records/s": series(runs, |run| run.thousand_a_second).text(0),
            "peak RSS MB": series(runs, |run| run.peak_mb).text(0),
        }));
    }
    table
}

impl Place<'_> {
    fn run(&mut self, who: Who) -> Run {
        self.count += 1;
        let (group, sink) = (format!("group-{}", self.count), format!("sink-{}", self.count));
        self.topics.create(&sink, self.options.partitions, &[]);
        let mut child = self.start(who, &group, &sink);
        reaper::watch(child.id());
        let progress = Progress::of(self.address, &group, "events", self.options.partitions);
        let (took, at_first) = progress.wait(self.options.records, LIMIT);
        let Used { cpu, peak_bytes } = used(child.id());
        child.kill().and_then(|()| child.wait()).expect("it ran");
        reaper::forget(child.id());
        self.topics.delete(&sink);
        let records = self.options.records as f64;
        Run {
            cpu_us: cpu.as_secs_f64() * 1e6 / records,
            thousand_a_second: (self.options.records - at_first) as f64 / took.as_secs_f64() / 1000.0,
            peak_mb: peak_bytes as f64 / 1e6,
        }
    }

    fn start(&self, who: Who, group: &str, sink: &str) -> Child {
        let mut command = match who {
            Who::CopyLoop => {
                let mut command = Command::new(std::env::current_exe().expect("this program"));
                command.args(["copy-loop", self.address, "events", sink, group]);
                command
            }
            Who::Consentry => {
                let mut command = Command::new(env!("CARGO_BIN_EXE_consentry"));
                command.arg("run").arg(self.configuration(group, sink));
                command
            }
        };
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("it starts")
    }

    fn configuration(&self, group: &str, sink: &str) -> std::path::PathBuf {
        let config = json!({
            "version": 1,
            "instance": "bench",
            "workers": self.options.workers,
            "admin": {"listen": "127.0.0.1:0"},
            "kafka": {"brokers": [self.address], "properties": {"broker.address.family": "v4"}},
            "consent": {"topic": "consents"},
            "policy": {
                "purposes": {"analytics": {"description": "Measure how the shop is used"}},
                "levels": ["anonymous", "pseudonymous", "contact"],
            },
            "pipelines": [{
                "name": "bench",
                "group": group,
                "from": {"topics": ["events"]},
                "subject": [{"type": "user_id", "path": "/user/id"}],
                "occurred_at": {"path": "/occurred_at"},
                "fields": [{"path": "/user/email", "level": "contact", "action": "remove"}],
                "quarantine": {"topic": "quarantine", "create": true},
                "routes": [{
                    "name": "analytics",
                    "require": {"purposes": {"all": ["analytics"]}},
                    "to": {"kafka": {"topic": sink}},
                }],
            }],
        });
        let path = std::env::temp_dir().join(format!("consentry-bench-{}-{group}.json", std::process::id()));
        std::fs::write(&path, config.to_string()).expect("a writable temporary directory");
        path
    }
}
