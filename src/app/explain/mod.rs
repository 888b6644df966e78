//! Deciding without Kafka: consent records and events from text, verdicts as text.
//!
//! The decisions are made by the judge that `run` uses, over the cache that `run` uses; only the reading
//! and writing of lines is here. What a line may hold is documented at `consentry explain --help`.

mod input;
mod verdict;

use thiserror::Error;

use crate::config::{self, Given, Problems, Ready};
use crate::consent::Batch;
use crate::pipeline::judge::Judge;
use crate::policy::rules::{Rules, RulesError};
use crate::time::Timestamp;
use input::{Event, bad, load, numbered};
pub use verdict::Verdict;

/// Why nothing can be explained.
#[derive(Debug, Error)]
pub enum ExplainError {
    /// The configuration has problems.
    #[error("{0}")]
    Config(#[from] Problems),
    /// The configuration cannot be compiled.
    #[error(transparent)]
    Rules(#[from] RulesError),
    /// There is no pipeline of that name.
    #[error("no pipeline `{0}` in the configuration; it has {1}")]
    NoPipeline(String, String),
    /// `at` is no time.
    #[error("`{0}` is no RFC 3339 time: write it like 2026-05-01T10:00:00Z")]
    At(String),
    /// A line cannot be used.
    #[error("{input} line {number}: {why}")]
    Line {
        /// `consents` or `events`.
        input: &'static str,
        /// From 1.
        number: usize,
        /// What is wrong with it.
        why: String,
    },
}

/// The verdicts, one line of JSON for each event and route, for a configuration given as text.
pub fn lines(
    config: &str,
    consents: &str,
    events: &str,
    pipeline: Option<&str>,
    at: &str,
) -> Result<Vec<String>, ExplainError> {
    let ready = config::parse("config", config, Given::default())?;
    let at = Timestamp::parse(at).ok_or_else(|| ExplainError::At(at.to_owned()))?;
    let verdicts = explain(&ready, consents, events, pipeline, at)?;
    Ok(verdicts.iter().map(Verdict::to_json).collect())
}

/// The verdicts for each event, in order, and each route, in order.
pub fn explain(
    ready: &Ready,
    consents: &str,
    events: &str,
    pipeline: Option<&str>,
    at: Timestamp,
) -> Result<Vec<Verdict>, ExplainError> {
    let cache = load(consents, ready.cache, &ready.follower.signals)?;
    let mut chosen = Vec::new();
    for settings in &ready.pipelines {
        if pipeline.is_none_or(|name| name == settings.rules.name) {
            let topic = settings.topics.first().cloned().unwrap_or_default();
            chosen.push((Rules::compile(&ready.policy, &settings.rules)?, topic));
        }
    }
    if let Some(name) = pipeline.filter(|_| chosen.is_empty()) {
        let known = ready.pipelines.iter().map(|known| format!("`{}`", known.rules.name));
        return Err(ExplainError::NoPipeline(name.to_owned(), known.collect::<Vec<_>>().join(", ")));
    }
    let limits = &ready.line.limits;
    let judge = |rules| Judge::new(rules, limits.max_record_bytes, limits.max_depth);
    let mut judges: Vec<_> = chosen.iter().map(|(rules, topic)| (judge(rules), topic)).collect();
    let (batch, view) = (Batch::open(at), cache.view());
    let mut verdicts = Vec::new();
    for (event, (number, line)) in numbered(events).enumerate() {
        let given = Event::read(line).map_err(|why| bad("events", number, &why))?;
        for (judge, topic) in &mut judges {
            let record = given.record(topic, at);
            let rules = judge.rules();
            let judged = judge.record(&batch, &view, &record, |route, outcome, _| {
                verdicts.push(Verdict::new(event, rules, route, &record, &outcome));
            });
            judged.map_err(|misplaced| bad("events", number, &misplaced.to_string()))?;
        }
    }
    Ok(verdicts)
}
