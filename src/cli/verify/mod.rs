//! `consentry verify`: audit what a running system has done, from what stands in its topics.

mod report;

use std::collections::HashSet;
use std::io::IsTerminal;
use std::path::PathBuf;
use std::process::ExitCode;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::Output;
use crate::app::verify::{Asked, Part, Stage, VerifyError, Window, verify};
use crate::config::{self, Given, Ready};
use crate::time::Timestamp;

/// Audit what was done: decide every record of the sources once more, by a second and independent implementation, and
/// hold what stands in sinks, quarantines and hold topics to that.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// The configuration that the system runs with; `-` is standard input.
    #[arg(value_name = "CONFIG")]
    config: PathBuf,
    /// Only records that Kafka dates from this time on, as RFC 3339.
    #[arg(long, value_name = "TIME")]
    since: Option<String>,
    /// Only records before the first that Kafka dates from this time on.
    #[arg(long, value_name = "TIME")]
    until: Option<String>,
    /// Of a partition of a source only this part, the last offset not included, whether or not the group has committed it;
    /// may be given once a partition. Partitions that are not named are audited whole.
    #[arg(long, value_name = "TOPIC/PARTITION=FROM..TO")]
    offsets: Vec<String>,
    /// The most records to read, of all topics; they are kept in memory: about 1.4 GB a
    /// million of half a kilobyte each.
    #[arg(long, value_name = "COUNT", default_value_t = 2_000_000)]
    max_records: u64,
    /// How many seconds what is due may take until it is done.
    #[arg(long, value_name = "SECONDS", default_value_t = 60, value_parser = clap::value_parser!(u32))]
    patience: u32,
    /// Name the subject that a finding is about. Otherwise no person is named.
    #[arg(long)]
    show_subjects: bool,
    /// How to tell.
    #[arg(long, value_enum, default_value_t = Output::Text)]
    output: Output,
}

const EXAMPLES: &str = "Examples:
  consentry verify consentry.yaml
  consentry verify consentry.yaml --since 2026-05-01T00:00:00Z --until 2026-05-02T00:00:00Z
  consentry verify consentry.yaml --offsets shop-events/3=1200..1300 --show-subjects
  consentry verify consentry.yaml --output json | jq '.findings[]'

It writes nothing, joins no group, and may run beside the system. Audited is what the group of each
pipeline has committed. When a record was decided nobody wrote down: where the states that may have
been in force disagree about a record that left no trace, it is counted as undecidable, not guessed.
A finding names places, routes and reasons; never what a record holds. Of a part of the sources only
what comes from there is told; what in a sink may come from elsewhere is counted as undecidable.

Exit: 0 nothing is wrong, 1 it could not be read, 2 wrong usage, 3 something is wrong, 78 bad
configuration.";

/// What helps where the brokers do not answer, or refuse.
const UNREAD: &str = "the topics cannot be read: `kafka.brokers` must answer, and whoever it logs in as must be allowed \
to describe and read every topic and to describe the groups";

/// Audits.
pub fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let (ready, written) = match config::load_written(&args.config, Given::default()) {
        Ok(both) => both,
        Err(problems) => {
            super::note(&format!("{problems}\n"));
            return Ok(ExitCode::from(super::BAD_CONFIGURATION));
        }
    };
    let asked = match asked(args) {
        Ok(asked) => asked,
        Err(why) => return Ok(usage(&why)),
    };
    let report = match audited(&ready, &written, &asked) {
        Ok(report) => report,
        Err(error @ (VerifyError::TooMany(..) | VerifyError::NoSource(..) | VerifyError::NotThere(..))) => {
            return Ok(usage(&error.to_string()));
        }
        Err(error @ VerifyError::Read(_)) => return Err(anyhow::Error::from(error).context(UNREAD)),
        Err(error) => return Err(error.into()),
    };
    match args.output {
        Output::Text => super::say(&report::text(&report, args.show_subjects))?,
        Output::Json => super::say(&format!("{:#}\n", report::document(&report, args.show_subjects)))?,
    }
    Ok(if report.found() > 0 { ExitCode::from(super::FOUND) } else { ExitCode::SUCCESS })
}

fn usage(why: &str) -> ExitCode {
    super::note(&format!("consentry: {why}\n"));
    ExitCode::from(super::USAGE)
}

/// Audits behind a bar on standard error, where that is a terminal.
fn audited(
    ready: &Ready,
    written: &serde_json::Value,
    asked: &Asked,
) -> Result<crate::audit::Report, VerifyError> {
    let target = ProgressDrawTarget::stderr();
    let bar = std::io::stderr().is_terminal().then(|| ProgressBar::with_draw_target(Some(0), target));
    if let Some(bar) = &bar {
        let style = ProgressStyle::with_template("{msg:<10} {wide_bar} {human_pos} of {human_len}");
        bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
    }
    let report = verify(ready, written, asked, &mut |stage, done, total| {
        if let Some(bar) = &bar {
            bar.set_message(match stage {
                Stage::Reading => "reading",
                Stage::Deciding => "deciding",
            });
            bar.set_length(total);
            bar.set_position(done);
        }
    });
    bar.iter().for_each(ProgressBar::finish_and_clear);
    report
}

fn asked(args: &Args) -> Result<Asked, String> {
    let time = |text: &Option<String>| match text {
        None => Ok(None),
        Some(text) => match Timestamp::parse(text) {
            Some(at) => Ok(Some(at.0)),
            None => Err(format!("`{text}` is no RFC 3339 time: write it like 2026-05-01T10:00:00Z")),
        },
    };
    let part = |text: &String| {
        part(text)
            .ok_or_else(|| format!("`{text}` is no part of a topic: write it like shop-events/3=1200..1300"))
    };
    let window = Window {
        since_ms: time(&args.since)?,
        until_ms: time(&args.until)?,
        offsets: args.offsets.iter().map(part).collect::<Result<_, _>>()?,
    };
    if window.since_ms.zip(window.until_ms).is_some_and(|(since, until)| since >= until) {
        return Err("`--since` is not before `--until`: there is nothing between them".to_owned());
    }
    let mut places = HashSet::new();
    if let Some(twice) = window.offsets.iter().find(|part| !places.insert((&part.topic, part.partition))) {
        let Part { topic, partition, .. } = twice;
        return Err(format!(
            "`--offsets`: `{topic}/{partition}` is there twice: give one part of a partition"
        ));
    }
    Ok(Asked { window, max_records: args.max_records, patience_ms: i64::from(args.patience) * 1000 })
}

/// `TOPIC/PARTITION=FROM..TO`.
fn part(text: &str) -> Option<Part> {
    let (place, offsets) = text.split_once('=')?;
    let ((topic, partition), (from, to)) = (place.rsplit_once('/')?, offsets.split_once("..")?);
    let (from, to): (i64, i64) = (from.parse().ok()?, to.parse().ok()?);
    let (topic, partition) = (topic.to_owned(), partition.parse().ok()?);
    (0 <= from && from <= to).then_some(Part { topic, partition, from, to })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_of_a_topic_is_read() {
        let expected = Part { topic: "shop-events".to_owned(), partition: 3, from: 1200, to: 1300 };
        assert_eq!(part("shop-events/3=1200..1300"), Some(expected));
        for bad in ["shop/3", "shop/3=1", "shop/x=1..2", "shop=1..2", "shop/3=2..1", "shop/3=-1..2", ""] {
            assert_eq!(part(bad), None, "{bad}");
        }
    }
}
