//! How long a start takes: from the start of the process until `/ready` answers 200, with so many people in
//! the consent topic. Nothing is decided before the whole topic is in the cache, so this is how long
//! records wait after a restart. With a snapshot that the process before left, only what came since is read of
//! the topic.

use std::path::Path;
use std::time::Duration;

use clap::Args;
use consentry::time::Instant;
use serde_json::json;

use crate::broker::Broker;
use crate::jars;
use crate::load::{Bulk, Load};
use crate::machine::Used;
use crate::proxy::{Setup, snapshot_file};
use crate::running::Running;
use crate::systems::System;
use crate::table::{Series, Table};
use crate::topics::Topics;

/// Compacted; the cleaner, which would run at the same time, finds nothing to do.
const CONSENTS: &[(&str, &str)] = &[("cleanup.policy", "compact"), ("delete.retention.ms", "86400000")];

/// What is measured.
#[derive(Debug, Args)]
pub struct Options {
    /// People with a consent record.
    #[arg(long, default_value_t = 1_000_000)]
    subjects: u64,
    /// Grants of each.
    #[arg(long, default_value_t = 1)]
    grants: usize,
    /// Partitions of the consent topic.
    #[arg(long, default_value_t = 4)]
    partitions: i32,
    /// Threads of Consentry.
    #[arg(long, default_value_t = 1)]
    workers: usize,
    /// How often it is started.
    #[arg(long, default_value_t = 3)]
    rounds: usize,
}

/// One start.
struct Start {
    took: Duration,
    used: Used,
}

/// A broker with everybody's consents, and where there is nothing to do for the pipeline.
struct Scene<'o> {
    broker: Broker,
    options: &'o Options,
}

impl<'o> Scene<'o> {
    fn set(options: &'o Options) -> Self {
        let class_path = jars::class_path().expect("a Kafka, which needs Java 17 and Maven");
        let broker = Broker::start(&class_path);
        let topics = Topics::new(&broker.address);
        topics.create("consents", options.partitions, CONSENTS);
        topics.create("events", 1, &[]);
        topics.create("sink", 1, &[]);
        let load = Load { records: 0, subjects: options.subjects, permitted: 100, bytes: 0 };
        load.write_consents_with(&Bulk::new(&broker.address), "consents", options.grants);
        Self { broker, options }
    }

    /// Starts Consentry, waits until it is ready, and stops it, which writes the snapshot where there is to be
    /// one. What it finds there when it starts is the caller's matter.
    fn start(&self, what: &str, round: usize, snapshot: Option<&Path>) -> Start {
        let group = format!("{what}-{round}");
        let between = Setup::between(&self.broker.address, "events", "sink", &group);
        let setup = Setup { workers: self.options.workers, snapshot, ..between };
        let began = Instant::now();
        let mut running = Running::start(System::Consentry, &setup);
        running.wait_ready();
        let start = Start { took: began.elapsed(), used: running.used() };
        let began = Instant::now();
        running.stop();
        let (took, stopped) = (start.took.as_secs_f64(), began.elapsed().as_secs_f64());
        eprintln!("round {round}: {what}: {took:.2} s, stopped within {stopped:.2} s");
        start
    }

    fn table(&self) -> Table {
        let Options { subjects, grants, partitions, rounds, .. } = self.options;
        Table::new(format!(
            "from the start of the process to `/ready`, {subjects} people of {grants} grants, {partitions} \
             consent partitions, {rounds} rounds: median (minimum–maximum)",
        ))
    }
}

/// Starts it several times on the same topic, each time with nothing but the topic.
pub fn run(options: &Options) -> Table {
    let scene = Scene::set(options);
    let cold: Vec<Start> = (0..options.rounds).map(|round| scene.start("cold", round, None)).collect();
    let mut table = scene.table();
    row(&mut table, "cold: from the consent topic", options.subjects, &cold);
    table
}

/// Starts it twice a round: with nothing but the topic, and from the snapshot that the first one left.
pub fn run_warm(options: &Options) -> Table {
    let scene = Scene::set(options);
    let (mut cold, mut warm) = (Vec::new(), Vec::new());
    for round in 0..options.rounds {
        let folder = tempfile::tempdir().expect("a temporary directory");
        let file = snapshot_file(folder.path());
        cold.push(scene.start("cold", round, Some(folder.path())));
        let bytes = file.metadata().expect("the first left a snapshot").len();
        eprintln!("round {round}: a snapshot of {:.1} MB", bytes as f64 / 1e6);
        warm.push(scene.start("warm", round, Some(folder.path())));
        assert!(!file.with_extension("set-aside").exists(), "the second did not use the snapshot");
    }
    let mut table = scene.table();
    row(&mut table, "cold: from the consent topic", options.subjects, &cold);
    row(&mut table, "warm: from a snapshot", options.subjects, &warm);
    table
}

fn row(table: &mut Table, what: &str, subjects: u64, starts: &[Start]) {
    let series = |figure: fn(&Start) -> f64| Series(starts.iter().map(figure).collect());
    let seconds = series(|start| start.took.as_secs_f64());
    let peak = series(|start| start.used.peak_bytes as f64 / 1e6);
    let thousand = Series(seconds.0.iter().map(|took| subjects as f64 / took / 1e3).collect());
    table.row(json!({
        "start": what,
        "s to ready": seconds.text(2),
        "thousand people/s": thousand.text(0),
        "CPU s": series(|start| start.used.cpu.as_secs_f64()).text(2),
        "peak RSS MB": peak.text(0),
        "bytes a person": (peak.median() * 1e6 / subjects as f64).round(),
    }));
}
