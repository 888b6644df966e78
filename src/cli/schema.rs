//! `consentry schema`: what a configuration or a consent record looks like.

use std::process::ExitCode;

use crate::config;

/// The Protobuf form of a consent record, as it is compiled in.
const CONSENT_PROTO: &str = include_str!("../../proto/consentry/v1/consent.proto");

/// Print the JSON Schema of the configuration, or the Protobuf schema of a consent record.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// The Protobuf schema of a consent record instead.
    #[arg(long)]
    proto: bool,
}

const EXAMPLES: &str = "Examples:
  consentry schema > consentry.schema.json
  consentry schema --proto > consent.proto

An editor that reads `# yaml-language-server: $schema=consentry.schema.json` completes and checks.";

/// Prints.
pub fn run(args: &Args) -> anyhow::Result<ExitCode> {
    match args.proto {
        true => super::say(CONSENT_PROTO)?,
        false => super::say(&format!("{:#}\n", config::schema()))?,
    }
    Ok(ExitCode::SUCCESS)
}
