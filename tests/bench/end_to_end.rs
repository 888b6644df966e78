//! The whole way: from one topic of a real Kafka through consent to another, in transactions, against the
//! bare copy loop on the same input in the same run.

use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::time::Duration;

use clap::Args;
use serde_json::json;

use crate::broker::Broker;
use crate::follow::Progress;
use crate::load::{Bulk, Load};
use crate::machine::{Used, used};
use crate::proxy::{self, ANY_PORT, Setup};
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
    /// Counts instructions too, under `valgrind --tool=callgrind`: fifty times as slow, and the same on a busy
    /// machine. Times are void then; the profiles stay in the temporary directory.
    #[arg(long)]
    instructions: bool,
}

/// One run of one of them.
struct Run {
    instructions: Option<f64>,
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
        let counts: Option<Vec<f64>> = runs.iter().map(|run| run.instructions).collect();
        let counts_of_copy: Option<Vec<f64>> = yardstick.iter().map(|run| run.instructions).collect();
        if let Some((counts, of_copy)) = counts.zip(counts_of_copy) {
            let ratios = counts.iter().zip(&of_copy).map(|(own, copy)| own / copy).collect();
            table.row(json!({
                "what": who.name(),
                "instructions a record": Series(counts).text(0),
                "× the copy loop": Series(ratios).text(2),
            }));
            continue;
        }
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
        let lives = || child.try_wait().expect("our child").is_none();
        let waited = progress.wait(self.options.records, LIMIT, lives);
        let (took, at_first) = waited.unwrap_or_else(|why| panic!("{why}; see `{}`", self.log().display()));
        let Used { cpu, peak_bytes } = used(child.id());
        reaper::signal(&child, "TERM");
        child.wait().expect("it ran");
        reaper::forget(child.id());
        let instructions = self.options.instructions.then(|| self.counted());
        self.topics.delete(&sink);
        let records = self.options.records as f64;
        Run {
            instructions: instructions.map(|count| count / records),
            cpu_us: cpu.as_secs_f64() * 1e6 / records,
            thousand_a_second: (self.options.records - at_first) as f64 / took.as_secs_f64() / 1000.0,
            peak_mb: peak_bytes as f64 / 1e6,
        }
    }

    /// What a run says on standard error.
    fn log(&self) -> PathBuf {
        std::env::temp_dir().join(format!("consentry-bench-{}-{}.log", std::process::id(), self.count))
    }

    /// Where a run that is counted leaves its profile.
    fn profile(&self) -> PathBuf {
        std::env::temp_dir().join(format!("consentry-bench-{}-{}.callgrind", std::process::id(), self.count))
    }

    /// The instructions of the run that has just ended.
    fn counted(&self) -> f64 {
        let profile = std::fs::read_to_string(self.profile()).expect("a profile");
        let totals = profile.lines().filter_map(|line| line.strip_prefix("totals: ")).map(str::trim);
        totals.filter_map(|total| total.parse::<f64>().ok()).sum()
    }

    fn command(&self, program: &Path) -> Command {
        if !self.options.instructions {
            return Command::new(program);
        }
        let mut command = Command::new("valgrind");
        let out = format!("--callgrind-out-file={}", self.profile().display());
        command.args(["--tool=callgrind", "--fair-sched=yes", &out]).arg(program);
        command
    }

    fn start(&self, who: Who, group: &str, sink: &str) -> Child {
        let command = match who {
            Who::CopyLoop => {
                let mut command = self.command(&std::env::current_exe().expect("this program"));
                command.args(["copy-loop", self.address, "events", sink, group]);
                command
            }
            Who::Consentry => {
                let mut command = self.command(Path::new(env!("CARGO_BIN_EXE_consentry")));
                let (address, workers) = (self.address, self.options.workers);
                let setup = Setup { address, group, source: "events", sink, workers, admin: ANY_PORT };
                command.arg("run").arg(proxy::configuration(&setup));
                command
            }
        };
        proxy::spawn(command, &self.log())
    }
}
