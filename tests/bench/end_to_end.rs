//! The whole way: from one topic of a real Kafka through consent to another, in transactions, against the
//! bare copy loop and other systems on the same input in the same run.
//!
//! What a process used is counted from its start until all it forwards is committed: loading the consents
//! is in it, and so is what a virtual machine needs to start and to compile. `--records` says how much of
//! the whole that is.

use clap::Args;
use serde_json::json;

use crate::broker::Broker;
use crate::follow::{Progress, closed, held};
use crate::jars;
use crate::load::{Bulk, Load};
use crate::proxy::Setup;
use crate::running::{Drained, Running};
use crate::systems::{System, instructions};
use crate::table::{Series, Table};
use crate::topics::{CONSENT, Topics};

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
    /// Threads of Consentry, and of the other systems where they have such a number.
    #[arg(long, default_value_t = 1)]
    workers: usize,
    /// How often each is run, in turn.
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    /// What is measured beside Consentry.
    #[arg(long, value_delimiter = ',', default_values = ["copy-loop", "kafka-streams"])]
    beside: Vec<System>,
    /// Counts instructions too, under `valgrind --tool=callgrind`: fifty times as slow, and the same on a busy
    /// machine. Times are void then; the profiles stay in the temporary directory. What runs in a virtual
    /// machine is left out.
    #[arg(long)]
    instructions: bool,
}

/// One run of one of them.
struct Run {
    /// Not a number where they are not counted.
    instructions: f64,
    drained: Drained,
}

/// Where it runs.
struct Place<'a> {
    options: &'a Options,
    address: &'a str,
    topics: Topics,
    /// How many of the events are of people who permit.
    permitted: u64,
    count: usize,
}

/// Runs each in turn, several times.
pub fn run(options: &Options) -> Table {
    let systems = options.systems();
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
    let permitted = load.permitted_events();
    let mut place = Place { options, address: &broker.address, topics, permitted, count: 0 };
    let mut runs: Vec<(System, Vec<Run>)> = systems.iter().map(|system| (*system, Vec::new())).collect();
    for round in 0..options.rounds {
        for (system, runs) in &mut runs {
            let run = place.run(*system);
            eprintln!(
                "round {round}: {}: {:.2} µs CPU a record, {:.0} thousand/s",
                system.name(),
                run.drained.cpu_us,
                run.drained.a_second / 1e3
            );
            runs.push(run);
        }
    }
    report(options, &runs)
}

impl Options {
    /// Consentry and those beside it, in the order of their rows.
    fn systems(&self) -> Vec<System> {
        let beside = self.beside.iter().filter(|system| system.is_native() || !self.instructions);
        let mut systems: Vec<System> = beside.copied().chain([System::Consentry]).collect();
        systems.sort_unstable();
        systems.dedup();
        systems
    }
}

fn report(options: &Options, runs: &[(System, Vec<Run>)]) -> Table {
    let mut table = Table::new(format!(
        "{} events of {} bytes, {} people, {} % permitted, {} partitions, {} rounds in turn: median (minimum–maximum)",
        options.records,
        options.bytes,
        options.subjects,
        options.permitted,
        options.partitions,
        options.rounds
    ));
    for (system, own) in runs {
        let series = |figure: fn(&Run) -> f64| Series(own.iter().map(figure).collect());
        // Of each round for itself: what slows the machine down in a round slows all of them.
        let times = |other: System, figure: fn(&Run) -> f64| {
            let (_, others) = runs.iter().find(|(system, _)| *system == other)?;
            let ratios = own.iter().zip(others).map(|(own, other)| figure(own) / figure(other));
            Some(Series(ratios.collect()).text(2))
        };
        table.row(if options.instructions {
            json!({
                "what": system.name(),
                "instructions a record": series(|run| run.instructions).text(0),
                "× the copy loop": times(System::CopyLoop, |run| run.instructions),
                "× Consentry": times(System::Consentry, |run| run.instructions),
            })
        } else {
            json!({
                "what": system.name(),
                "µs CPU a record": series(|run| run.drained.cpu_us).text(2),
                "× the copy loop": times(System::CopyLoop, |run| run.drained.cpu_us),
                "× Consentry": times(System::Consentry, |run| run.drained.cpu_us),
                "thousand records/s": series(|run| run.drained.a_second / 1e3).text(0),
                "peak RSS MB": series(|run| run.drained.peak_mb).text(0),
            })
        });
    }
    table
}

impl Place<'_> {
    fn run(&mut self, system: System) -> Run {
        self.count += 1;
        let (group, sink) = (format!("group-{}", self.count), format!("sink-{}", self.count));
        self.topics.create(&sink, self.options.partitions, &[]);
        let between = Setup::between(self.address, "events", &sink, &group);
        let Options { workers, instructions: counted, .. } = *self.options;
        let setup = Setup { workers, counted, ..between };
        let mut running = Running::start(system, &setup);
        let progress = Progress::of(self.address, &group, "events", self.options.partitions);
        let drained = running.drain(&progress, self.options.records);
        closed(self.address, &sink, self.options.partitions);
        running.stop();
        self.check(system, &sink);
        self.topics.delete(&sink);
        let records = self.options.records as f64;
        Run { instructions: if counted { instructions(&setup) / records } else { f64::NAN }, drained }
    }

    /// That it has done all of the work, and no more: each of them has read all consents before the first
    /// event.
    fn check(&self, system: System, sink: &str) {
        let due = if system.decides() { self.permitted } else { self.options.records };
        let held = held(self.address, sink, self.options.partitions);
        assert_eq!(held, due, "records in the sink of: {}", system.name());
    }
}
