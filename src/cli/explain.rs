//! `consentry explain`: decide without Kafka, and say why.

use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context;

use crate::app::explain::{ExplainError, explain};
use crate::config::{self, Given};
use crate::time::{Clock, Timestamp};

/// Decide without Kafka, with the code that `run` uses, and print one line of JSON per event and route.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// The configuration. `-` reads standard input.
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
    /// Consent records, JSON Lines: a record each, or `{"key":"type:value","value":null}` for a deletion,
    /// or `{"key":"type:value","raw":"…"}` for a message as it came; each may carry `"partition": N`.
    /// `-` reads standard input.
    #[arg(long, value_name = "FILE")]
    consents: PathBuf,
    /// Events, JSON Lines: `{"value": …}` or `{"raw": "…"}`, with optional `key`, `headers`,
    /// `timestamp` (milliseconds) and `topic`. `-` reads standard input.
    #[arg(long, value_name = "FILE")]
    events: PathBuf,
    /// Only this pipeline.
    #[arg(long, value_name = "NAME")]
    pipeline: Option<String>,
    /// What now is, as RFC 3339; also the timestamp of an event that has none. Default: the clock.
    #[arg(long, value_name = "TIME")]
    at: Option<String>,
    /// Say why on standard error, in words.
    #[arg(long)]
    why: bool,
}

const EXAMPLES: &str = r#"Example:
  s='{"subject":{"type":"user_id","value":"u-1"},"grants":[]}'
  e='{"value":{"user":{"id":"u-1"}}}'
  printf '%s\n' "$s" > consents.jsonl
  printf '%s\n' "$e" > events.jsonl
  consentry explain --config consentry.yaml --why \
    --consents consents.jsonl --events events.jsonl"#;

/// Explains.
pub fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let inputs = [&args.config, &args.consents, &args.events];
    if inputs.iter().filter(|path| path.as_path() == Path::new("-")).count() > 1 {
        let help = "give all but one of `--config`, `--consents` and `--events` a file";
        super::note(&format!("consentry: standard input can be read once: {help}\n"));
        return Ok(ExitCode::from(super::USAGE));
    }
    let ready = match config::load(&args.config, Given::default()) {
        Ok(ready) => ready,
        Err(problems) => {
            super::note(&format!("{problems}\n"));
            return Ok(ExitCode::from(super::BAD_CONFIGURATION));
        }
    };
    let at = match &args.at {
        None => Clock::default().now(),
        Some(text) => match Timestamp::parse(text) {
            Some(at) => at,
            None => return Ok(usage(&ExplainError::At(text.clone()))),
        },
    };
    let (Some(consents), Some(events)) = (text_of(&args.consents)?, text_of(&args.events)?) else {
        return Ok(ExitCode::from(super::USAGE));
    };
    let verdicts = match explain(&ready, &consents, &events, args.pipeline.as_deref(), at) {
        Ok(verdicts) => verdicts,
        Err(error @ (ExplainError::Config(_) | ExplainError::Rules(_))) => {
            super::note(&format!("{error}\n"));
            return Ok(ExitCode::from(super::BAD_CONFIGURATION));
        }
        Err(error) => return Ok(usage(&error)),
    };
    let lines: String = verdicts.iter().map(|verdict| verdict.to_json() + "\n").collect();
    super::say(&lines)?;
    if args.why {
        verdicts.iter().for_each(|verdict| super::note(&(verdict.why() + "\n")));
    }
    Ok(ExitCode::SUCCESS)
}

fn usage(error: &ExplainError) -> ExitCode {
    super::note(&format!("consentry: {error}\n"));
    ExitCode::from(super::USAGE)
}

/// A file's text; `None`, and said, where it is none.
fn text_of(path: &Path) -> anyhow::Result<Option<String>> {
    let mut bytes = Vec::new();
    if path == Path::new("-") {
        std::io::stdin().lock().read_to_end(&mut bytes).context("cannot read standard input")?;
    } else {
        bytes = std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
    }
    let text = String::from_utf8(bytes);
    if let Err(error) = &text {
        let before = error.as_bytes().get(..error.utf8_error().valid_up_to()).unwrap_or_default();
        let line = before.iter().filter(|byte| **byte == b'\n').count() + 1;
        super::note(&format!("consentry: {} line {line} is not UTF-8\n", path.display()));
    }
    Ok(text.ok())
}
