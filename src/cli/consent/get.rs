//! `consentry consent get`: what stands of one person, and what would happen now.

use std::fmt::Write as _;
use std::process::ExitCode;

use serde_json::Value;

use super::{Common, Ended, Output, READ_WITHIN, subject};
use crate::app::steward_settings;
use crate::policy::outlook::Outlook;
use crate::policy::rules::Rules;
use crate::steward::{Standing, Steward, sheet};

/// Show what stands of a person, when it ends, and what each route would do about an event that occurs now.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  consentry consent get email:ann@example.org --config consentry.yaml
  consentry consent get user_id:u-17 --config consentry.yaml --output json | jq '.outlook[]'

The event is made up: it names this person alone and meets whatever `when` asks. A person of
whom nothing is known is an answer too (exit 0).")]
pub struct Args {
    /// `type:value`.
    subject: String,
    #[command(flatten)]
    common: Common,
}

/// Shows it.
pub fn run(args: &Args) -> Ended {
    let (subject, ready) = (subject(&args.subject)?, args.common.load()?);
    let mut rules = Vec::new();
    for pipeline in &ready.pipelines {
        rules.push(Rules::compile(&ready.policy, &pipeline.rules)?);
    }
    let steward = Steward::new(steward_settings(&ready));
    let found = steward.find(&subject, None, READ_WITHIN)?;
    let rules: Vec<&Rules> = rules.iter().collect();
    let policy = (ready.policy.purposes.as_slice(), rules.as_slice());
    let standing = sheet(steward.settings(), &subject, &found.stored, policy, steward.now());
    match args.common.output {
        Output::Text => super::super::say(&text(&standing))?,
        Output::Json => super::super::say(&(serde_json::to_string_pretty(&standing)? + "\n"))?,
    }
    Ok(ExitCode::SUCCESS)
}

fn text(standing: &Standing) -> String {
    let mut text = format!("{}: {}\n", standing.subject, standing.state);
    for place in &standing.places {
        let _ = write!(text, "\npartition {} offset {}: {}", place.partition, place.offset, place.holds);
        if let Some(why) = &place.why {
            let _ = write!(text, " ({why}): denied");
        }
        let record = place.record.as_ref();
        for name in ["version", "updated_at", "restricted"] {
            if let Some(value) = record.and_then(|record| record.get(name)).filter(|value| !value.is_null()) {
                let _ = write!(text, ", {name} {}", word(value));
            }
        }
        text.push('\n');
        let grants = record.and_then(|record| record.get("grants")).and_then(Value::as_array);
        grants.into_iter().flatten().for_each(|grant| text.push_str(&line(grant)));
    }
    if !standing.expiries.is_empty() {
        text.push_str("\nends\n");
    }
    for expiry in &standing.expiries {
        let over = if expiry.over { ", over" } else { "" };
        let (purpose, because) = (&expiry.purpose, expiry.because);
        let _ =
            writeln!(text, "  {purpose:<18} {:<10} {} ({because}{over})", dash(&expiry.channel), expiry.at);
    }
    text.push_str("\nan event that occurs now\n");
    standing.outlook.iter().for_each(|outlook| text.push_str(&outlook_line(outlook)));
    text
}

fn line(grant: &Value) -> String {
    let of = |name: &str| grant.get(name).map(word).filter(|word| !word.is_empty());
    let shown = |name: &str| of(name).unwrap_or_else(|| "-".to_owned());
    let mut line = format!(
        "  {:<18} {:<10} {:<22} {}",
        shown("purpose"),
        shown("channel"),
        shown("recipient"),
        shown("status")
    );
    for name in ["basis", "level", "given_at", "confirmed_at", "valid_until"] {
        if let Some(word) = of(name) {
            let _ = write!(line, ", {name} {word}");
        }
    }
    line + "\n"
}

fn outlook_line(outlook: &Outlook) -> String {
    let route = format!("{}/{}", outlook.pipeline, outlook.route);
    let mut line = format!("  {route:<30} {:<10}", outlook.end);
    if let Some(reason) = outlook.reason {
        let _ = write!(line, " {}", reason.word());
    }
    let _ = write!(line, ": {}", outlook.why);
    if let Some(until) = &outlook.until {
        let _ = write!(line, " (until {until})");
    }
    if !outlook.reduces.is_empty() {
        let _ = write!(line, "; reduces {}", outlook.reduces.join(", "));
    }
    line + "\n"
}

fn word(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

fn dash(text: &str) -> &str {
    if text.is_empty() { "-" } else { text }
}
