//! The commands: one file each.
//!
//! Data goes to stdout, everything else to stderr. Exit codes: 0 fine, 1 failed at run time, 2 usage, 3 a
//! check or test found something, 78 bad configuration (`EX_CONFIG` of sysexits).

mod check;
mod consent;
mod demo;
mod explain;
mod run;
mod schema;
mod verify;

use std::io::Write;
use std::process::ExitCode;

use clap::{CommandFactory, Parser, Subcommand};

use crate::config;

/// A bad configuration, as sysexits has it.
const BAD_CONFIGURATION: u8 = 78;
/// A check or test found something.
const FOUND: u8 = 3;
/// Something asked for cannot be understood.
const USAGE: u8 = 2;

/// Forwards from Kafka to Kafka only what the person permits.
#[derive(Debug, Parser)]
#[command(name = "consentry", version, about, max_term_width = 100, after_help = EXAMPLES)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

/// For people or for programs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Output {
    /// Lines.
    Text,
    /// One JSON document on standard output.
    Json,
}

const EXAMPLES: &str = "Examples:
  consentry demo                       see it work, with nothing but this program
  consentry check consentry.yaml       find every problem of a configuration
  consentry run consentry.yaml         forward what is permitted
  consentry explain --config consentry.yaml --consents consents.jsonl --events events.jsonl --why
  consentry verify consentry.yaml      audit what was done, from what stands in the topics
  consentry consent withdraw user_id:u-17 --config consentry.yaml";

#[derive(Debug, Subcommand)]
enum Command {
    Run(run::Args),
    Check(check::Args),
    Explain(explain::Args),
    Consent(Box<consent::Args>),
    Verify(verify::Args),
    Demo(demo::Args),
    Schema(schema::Args),
    Completions(Completions),
}

/// Print a completion script for a shell.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  consentry completions bash > /etc/bash_completion.d/consentry")]
struct Completions {
    /// The shell.
    shell: clap_complete::Shell,
}

/// Reads the command line and does what it says.
pub fn main() -> ExitCode {
    let done = match Cli::parse().command {
        Command::Run(args) => run::run(&args),
        Command::Check(args) => check::run(&args),
        Command::Verify(args) => verify::run(&args),
        Command::Demo(args) => demo::run(&args),
        Command::Schema(args) => schema::run(&args),
        Command::Explain(args) => explain::run(&args),
        Command::Consent(args) => consent::run(&args),
        Command::Completions(args) => {
            let mut script = Vec::new();
            clap_complete::generate(args.shell, &mut Cli::command(), "consentry", &mut script);
            say(&String::from_utf8_lossy(&script)).map(|()| ExitCode::SUCCESS)
        }
    };
    done.unwrap_or_else(|error| {
        note(&format!("consentry: {error:#}\n"));
        ExitCode::FAILURE
    })
}

/// Writes to standard error. Whoever closed it, or let its disk fill up, does not want to know: what is
/// printed is no reason to end, and the exit code says how it went. Control characters are written as escapes.
fn note(text: &str) {
    let lines: Vec<_> = text.split('\n').map(config::visible).collect();
    drop(std::io::stderr().lock().write_all(lines.join("\n").as_bytes()));
}

/// Writes to standard output. A reader that has seen enough (`| head`) is no failure.
fn say(text: &str) -> anyhow::Result<()> {
    match std::io::stdout().lock().write_all(text.as_bytes()) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => Err(error.into()),
        Ok(()) | Err(_) => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_sound() {
        Cli::command().debug_assert();
    }
}
