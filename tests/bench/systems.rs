//! The systems that are measured, and what starts each on its work.

use std::path::{Path, PathBuf};
use std::process::Command;

use clap::ValueEnum;

use crate::proxy::{self, Setup};
use crate::{reaper, rivals};

/// How often Flink commits where that is not said: all of a broadcast state is in every checkpoint of every task, and
/// with 194,000 people a checkpoint was seen to take longer than the 100 ms of the others.
const CHECKPOINT_MS: u32 = 1000;

/// Who is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub enum System {
    /// Reads and writes and decides nothing, with librdkafka's own linger of 5 ms.
    CopyLoop,
    /// The same with Consentry's, of 100 ms.
    LingeringCopyLoop,
    /// The same, which parses each value as JSON too and writes the five headers that Consentry does: the least that a
    /// permitted record costs, whoever decides.
    StampingCopyLoop,
    #[value(skip)]
    Consentry,
    /// A stream joined with a global table.
    KafkaStreams,
    /// A stream beside a broadcast one, in one process.
    Flink,
    /// The same, asked to commit as often as the others.
    FrequentFlink,
}

impl System {
    /// Its name for readers.
    pub const fn name(self) -> &'static str {
        match self {
            Self::CopyLoop => "librdkafka copy loop, no decision, transactions",
            Self::LingeringCopyLoop => "the same, with Consentry's linger of 100 ms",
            Self::StampingCopyLoop => {
                "the same, and it parses each value (serde_json) and writes five headers"
            }
            Self::Consentry => "Consentry, exactly once, barrier",
            Self::KafkaStreams => "Kafka Streams 4.2, exactly once, global table",
            Self::Flink => "Flink 2.2, exactly once, broadcast state, checkpoint every second",
            Self::FrequentFlink => "the same, checkpoint every 100 ms as the others commit",
        }
    }

    /// Whether it is no virtual machine, so that valgrind can count its instructions.
    pub const fn is_native(self) -> bool {
        !self.decides() || matches!(self, Self::Consentry)
    }

    /// Whether it asks for consent at all.
    pub const fn decides(self) -> bool {
        !matches!(self, Self::CopyLoop | Self::LingeringCopyLoop | Self::StampingCopyLoop)
    }

    /// Its name in those of its topics.
    pub const fn word(self) -> &'static str {
        match self {
            Self::CopyLoop => "copy-loop",
            Self::LingeringCopyLoop => "lingering-copy-loop",
            Self::StampingCopyLoop => "stamping-copy-loop",
            Self::Consentry => "consentry",
            Self::KafkaStreams => "kafka-streams",
            Self::Flink => "flink",
            Self::FrequentFlink => "frequent-flink",
        }
    }

    /// Its name where there is little room.
    pub const fn short(self) -> &'static str {
        match self {
            Self::CopyLoop => "copy loop",
            Self::LingeringCopyLoop => "lingering copy loop",
            Self::StampingCopyLoop => "stamping copy loop",
            Self::Consentry => "Consentry",
            Self::KafkaStreams => "Kafka Streams",
            Self::Flink => "Flink",
            Self::FrequentFlink => "frequent Flink",
        }
    }

    /// What starts it on its work.
    pub fn command(self, setup: &Setup<'_>) -> Command {
        match self {
            Self::CopyLoop | Self::LingeringCopyLoop | Self::StampingCopyLoop => {
                let mut command = native(&std::env::current_exe().expect("this program"), setup);
                command.args(["copy-loop", setup.address, setup.source, setup.sink, setup.group]);
                if self != Self::CopyLoop {
                    command.args(["--linger-ms", "100"]);
                }
                if self == Self::StampingCopyLoop {
                    command.arg("--stamp");
                }
                command
            }
            Self::Consentry => {
                let mut command = native(Path::new(env!("CARGO_BIN_EXE_consentry")), setup);
                command.arg("run").arg(proxy::configuration(setup));
                command
            }
            Self::KafkaStreams => rival(&rivals::KAFKA_STREAMS, setup),
            Self::Flink => flink(setup, CHECKPOINT_MS),
            Self::FrequentFlink => flink(setup, proxy::COMMIT_MS),
        }
    }
}

fn flink(setup: &Setup<'_>, checkpoint_ms: u32) -> Command {
    let mut command = rival(&rivals::FLINK, setup);
    command.arg(checkpoint_ms.to_string());
    command
}

fn native(program: &Path, setup: &Setup<'_>) -> Command {
    if !setup.counted {
        return Command::new(program);
    }
    let mut command = Command::new("valgrind");
    let out = format!("--callgrind-out-file={}", profile(setup).display());
    command.args(["--tool=callgrind", "--fair-sched=yes", &out]).arg(program);
    command
}

fn profile(setup: &Setup<'_>) -> PathBuf {
    setup.file("callgrind")
}

/// The instructions that a system took whose instructions were counted, when it has ended.
pub fn instructions(setup: &Setup<'_>) -> f64 {
    let profile = std::fs::read_to_string(profile(setup)).expect("a profile");
    let totals = profile.lines().filter_map(|line| line.strip_prefix("totals: ")).map(str::trim);
    totals.filter_map(|total| total.parse::<f64>().ok()).sum()
}

fn rival(rival: &rivals::Rival, setup: &Setup<'_>) -> Command {
    let mut command = rival.command().unwrap_or_else(|why| panic!("{why}"));
    let state = setup.file("state");
    reaper::remove(&state);
    command.args([setup.address, setup.consents, setup.source, setup.sink, setup.group]);
    command.arg(setup.workers.to_string()).arg(state);
    command
}
