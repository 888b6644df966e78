//! Auditing a running system: what its topics hold is read and handed to [`crate::audit`].
//!
//! **In this order the ends are settled**, so that nothing is missed: first how far the groups have committed, then the
//! ends of sinks, quarantines and hold topics, then those of the sources, then that of the consent topic. Whatever stands
//! in a sink then comes from a record that is read, and was decided by a consent record that is read. Records behind a
//! group's commit are read for that alone; nothing is demanded of them.
//!
//! **Memory**: everything that is read is kept. A million records of half a kilobyte took 1.4 GB, with what it takes to
//! find out where each comes from; `max_records` bounds it, and a window ([`Window`]) makes it less.
//!
//! Encodings: records of events are JSON, the only one that there is. A consent record in Protobuf is made JSON by
//! `wire` before the oracle reads it; a `when` that the oracle does not know by heart is asked of `policy::when`. In
//! these two a fault would be on both sides.

mod reading;

use std::collections::HashMap;

use thiserror::Error;

use crate::audit::{Record, Report, audit, rules};
use crate::config::Ready;
use crate::kafka::extent::ExtentError;
use crate::policy::when::{Seen, When};
use crate::record::Record as Came;
use crate::time::Timestamp;

/// What part of the sources is audited. Everything else is read from its beginning to its end.
#[derive(Clone, Debug, Default)]
pub struct Window {
    /// From this time on, in milliseconds.
    pub since_ms: Option<i64>,
    /// Only what came before this time, in milliseconds.
    pub until_ms: Option<i64>,
    /// Of these partitions of sources from this offset on, and up to that one whatever has been committed.
    pub offsets: Vec<Part>,
}

/// A part of a partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    /// The topic.
    pub topic: String,
    /// The partition.
    pub partition: i32,
    /// The first offset.
    pub from: i64,
    /// The offset behind the last.
    pub to: i64,
}

/// How it is audited.
#[derive(Clone, Debug)]
pub struct Asked {
    /// Which part.
    pub window: Window,
    /// The most records that may be read.
    pub max_records: u64,
    /// How long it may take until what is due is done, in milliseconds.
    pub patience_ms: i64,
}

/// Why there is no audit.
#[derive(Debug, Error)]
pub enum VerifyError {
    /// A topic cannot be read.
    #[error(transparent)]
    Read(#[from] ExtentError),
    /// A topic is not there.
    #[error("topic `{0}` does not exist: there is nothing to audit")]
    Missing(String),
    /// There is too much.
    #[error(
        "{0} records are to be read, more than the {1} of `--max-records`: give `--since`, or a greater limit"
    )]
    TooMany(u64, u64),
    /// The configuration is good and yet cannot be read once more.
    #[error("the second reading of the configuration failed: this is a defect")]
    Configuration,
    /// A partition that no source has.
    #[error("`--offsets`: no pipeline reads topic `{0}` partition {1}")]
    NoSource(String, i32),
    /// Not all of a part is there.
    #[error("`--offsets`: topic `{0}` partition {1} holds {2}..{3}: give a part of that")]
    NotThere(String, i32, i64, i64),
}

/// How far it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// Reading: messages.
    Reading,
    /// Working out: events, once a pipeline.
    Deciding,
}

/// Audits. `progress` is told the stage, how much is done, and how much there is.
///
/// # Errors
/// Why it cannot be done.
pub fn verify(
    ready: &Ready,
    written: &serde_json::Value,
    asked: &Asked,
    progress: &mut dyn FnMut(Stage, u64, u64),
) -> Result<Report, VerifyError> {
    let key = ready.policy.pseudonym_key.as_deref().unwrap_or_default();
    let rules = rules(written, key).ok_or(VerifyError::Configuration)?;
    let expressions = expressions(ready);
    let inputs = reading::read(ready, rules, asked, progress)?;
    let when = |expression: &str, record: &Record| {
        let came = came(record);
        let text = record.value.as_deref().and_then(|value| std::str::from_utf8(value).ok());
        expressions.get(expression)?.holds(&Seen::new(&came, text))
    };
    let total = inputs.events.len() as u64;
    Ok(audit(&inputs, &when, &mut |done| progress(Stage::Deciding, done, total)))
}

/// Every `when`, compiled.
fn expressions(ready: &Ready) -> HashMap<String, When> {
    let routes = ready.pipelines.iter().flat_map(|pipeline| &pipeline.rules.routes);
    let all = routes.filter_map(|route| route.when.as_ref());
    all.filter_map(|source| Some((source.clone(), When::compile(source).ok()?))).collect()
}

fn came(record: &Record) -> Came<'_> {
    let headers = record.headers.iter().map(|(name, value)| (name.as_str(), value.as_deref()));
    Came {
        topic: &record.topic,
        key: record.key.as_deref(),
        value: record.value.as_deref(),
        headers: headers.collect(),
        timestamp: record.timestamp.and_then(|at| i64::try_from(at).ok()).map(Timestamp),
        ..Came::default()
    }
}
