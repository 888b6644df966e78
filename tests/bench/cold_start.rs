//! How long a start takes: from the start of the process until `/ready` answers 200, with so many people in
//! the consent topic. Nothing is decided before the whole topic is in the cache, so this is how long
//! records wait after a restart.

use std::time::Duration;

use clap::Args;
use consentry::time::Instant;
use serde_json::json;

use crate::broker::Broker;
use crate::jars;
use crate::load::{Bulk, Load};
use crate::machine::Used;
use crate::proxy::{ANY_PORT, Setup};
use crate::running::{Program, Running};
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

/// Starts it several times on the same topic, each time with nothing but the topic.
pub fn run(options: &Options) -> Table {
    let class_path = jars::class_path().expect("a Kafka, which needs Java 17 and Maven");
    let broker = Broker::start(&class_path);
    let topics = Topics::new(&broker.address);
    topics.create("consents", options.partitions, CONSENTS);
    topics.create("events", 1, &[]);
    topics.create("sink", 1, &[]);
    let load = Load { records: 0, subjects: options.subjects, permitted: 100, bytes: 0 };
    load.write_consents_with(&Bulk::new(&broker.address), "consents", options.grants);
    let cold = (0..options.rounds).map(|round| {
        let start = start(&broker.address, &format!("cold-{round}"), options.workers);
        eprintln!("round {round}: cold: {:.2} s", start.took.as_secs_f64());
        start
    });
    let mut table = Table::new(format!(
        "from the start of the process to `/ready`, {} people of {} grants, {} consent partitions, \
         {} rounds: median (minimum–maximum)",
        options.subjects, options.grants, options.partitions, options.rounds
    ));
    row(&mut table, "cold: from the consent topic", options.subjects, &cold.collect::<Vec<_>>());
    table
}

/// Starts Consentry, waits until it is ready, and stops it. What it finds on the disk is the caller's matter.
fn start(address: &str, group: &str, workers: usize) -> Start {
    let setup = Setup {
        address,
        consents: "consents",
        group,
        source: "events",
        sink: "sink",
        workers,
        admin: ANY_PORT,
    };
    let began = Instant::now();
    let mut running = Running::start(Program::Consentry, &setup);
    running.wait_ready();
    let start = Start { took: began.elapsed(), used: running.used() };
    running.stop();
    start
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
