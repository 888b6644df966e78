//! The systems that are measured, and how each is started on its work and ended.

use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::time::Duration;

use clap::ValueEnum;
use consentry::time::Instant;

use crate::proxy::{self, ANY_PORT, Setup};
use crate::{reaper, rivals};

/// How often Flink commits. The others do every 100 ms; but all of a broadcast state is in every checkpoint
/// of every task, and with 194,000 people a checkpoint was seen to take longer than that.
const CHECKPOINT_MS: &str = "1000";

/// How long an end may take: then it is taken away.
const END_WITHIN: Duration = Duration::from_secs(120);

/// Who is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub enum System {
    /// Reads and writes and decides nothing.
    CopyLoop,
    #[value(skip)]
    Consentry,
    /// A stream joined with a global table.
    KafkaStreams,
    /// A stream beside a broadcast one, in one process.
    Flink,
}

/// What a system is to do.
#[derive(Clone, Debug)]
pub struct Job<'a> {
    pub address: &'a str,
    pub consents: &'a str,
    pub events: &'a str,
    pub sink: &'a str,
    /// The consumer group; no other job of this process has it.
    pub group: &'a str,
    pub workers: usize,
    /// Counts instructions too; not of what runs in a virtual machine.
    pub counted: bool,
}

impl System {
    /// Its name for readers.
    pub const fn name(self) -> &'static str {
        match self {
            Self::CopyLoop => "librdkafka copy loop, no decision, transactions",
            Self::Consentry => "Consentry, exactly once, barrier",
            Self::KafkaStreams => "Kafka Streams 4.2, exactly once, global table",
            Self::Flink => "Flink 2.2, exactly once, broadcast state, checkpoint every second",
        }
    }

    /// Whether it is no virtual machine, so that valgrind can count its instructions.
    pub const fn is_native(self) -> bool {
        matches!(self, Self::CopyLoop | Self::Consentry)
    }

    /// Whether it asks for consent at all.
    pub const fn decides(self) -> bool {
        !matches!(self, Self::CopyLoop)
    }

    fn command(self, job: &Job<'_>) -> Command {
        match self {
            Self::CopyLoop => {
                let mut command = job.native(&std::env::current_exe().expect("this program"));
                command.args(["copy-loop", job.address, job.events, job.sink, job.group]);
                command
            }
            Self::Consentry => {
                let setup = Setup {
                    address: job.address,
                    consents: job.consents,
                    group: job.group,
                    source: job.events,
                    sink: job.sink,
                    workers: job.workers,
                    admin: ANY_PORT,
                    snapshot: None,
                };
                let mut command = job.native(Path::new(env!("CARGO_BIN_EXE_consentry")));
                command.arg("run").arg(proxy::configuration(&setup));
                command
            }
            Self::KafkaStreams => job.rival(&rivals::KAFKA_STREAMS),
            Self::Flink => {
                let mut command = job.rival(&rivals::FLINK);
                command.arg(CHECKPOINT_MS);
                command
            }
        }
    }
}

impl Job<'_> {
    /// A file of this job in the temporary directory, by how its name ends.
    pub fn file(&self, end: &str) -> PathBuf {
        std::env::temp_dir().join(format!("consentry-bench-{}-{}.{end}", std::process::id(), self.group))
    }

    /// The instructions that it took, when it has ended.
    pub fn instructions(&self) -> f64 {
        let profile = std::fs::read_to_string(self.file("callgrind")).expect("a profile");
        let totals = profile.lines().filter_map(|line| line.strip_prefix("totals: ")).map(str::trim);
        totals.filter_map(|total| total.parse::<f64>().ok()).sum()
    }

    fn native(&self, program: &Path) -> Command {
        if !self.counted {
            return Command::new(program);
        }
        let mut command = Command::new("valgrind");
        let out = format!("--callgrind-out-file={}", self.file("callgrind").display());
        command.args(["--tool=callgrind", "--fair-sched=yes", &out]).arg(program);
        command
    }

    fn rival(&self, rival: &rivals::Rival) -> Command {
        let mut command = rival.command().unwrap_or_else(|why| panic!("{why}"));
        let state = self.file("state");
        reaper::remove(&state);
        command.args([self.address, self.consents, self.events, self.sink, self.group]);
        command.arg(self.workers.to_string()).arg(state);
        command
    }
}

/// A system at work.
pub struct Running {
    child: Child,
    /// What it says.
    pub log: PathBuf,
}

impl Running {
    /// Starts it.
    pub fn start(system: System, job: &Job<'_>) -> Self {
        let log = job.file("log");
        let child = proxy::spawn(system.command(job), &log);
        reaper::watch(child.id());
        Self { child, log }
    }

    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Whether it has not ended.
    pub fn lives(&mut self) -> bool {
        self.child.try_wait().expect("our child").is_none()
    }

    /// Ends it.
    pub fn stop(mut self) {
        if self.lives() {
            reaper::signal(&self.child, "TERM");
        }
        let began = Instant::now();
        while self.lives() {
            if began.elapsed() > END_WITHIN {
                self.child.kill().expect("it runs");
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        reaper::forget(self.id());
    }
}
