//! What `explain` says is what `run` does: a hundred thousand cases, each one event at one route.
//!
//! A generated town (`generated::steady`) is written to topics and read by a real process on the real broker; the
//! same lines are given to `consentry explain`. Then each record in the sink, the quarantine and the hold topics has
//! to be the one that `explain` names: key, value, headers, timestamp, reason, purposes, and for how long it may
//! wait. As many records as `explain` says must be counted at each end of each route for each reason. What was
//! dropped leaves nothing but a count: had one event of a route been dropped for the reason of another, and the other
//! way round, it would not be seen.
//!
//! Both have a clock of their own. So an event of which `explain` says something else some minutes later is left out,
//! and the process must be done by then.
//!
//! What differs is printed, and kept with everything that it takes to ask `explain` again.
//!
//! `CONSENTRY_CASES` sets how many cases, `CONSENTRY_SEED` where to begin: a seed that is printed on failure, with
//! `CONSENTRY_CASES=1`, makes its town again, though at another time of day.

mod explained;
mod facts;
pub mod scene;
mod seen;

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::thread;
use std::time::Duration;

use consentry::time::{Clock, Instant};

use super::proxy::{Metrics, Proxy};
use super::wait::secs;
use super::{kafka, say};
use crate::cases::REASONS;
use crate::generated::{number, steady::Size};
use explained::{Explained, explained, leave_out_what_changes};
use facts::Facts;
use scene::Scene;
use seen::seen;

const SIZE: Size = Size { pipelines: 4, routes: 10, events: 125 };
/// So many processes start, work and stop at a time: most of that is waiting for the broker.
const LANES: usize = 4;
/// For so long nothing changes: a process has to be done by then.
const STEADY_MS: i64 = 5 * 60 * 1000;

/// What has come of the seeds so far.
#[derive(Default)]
struct Sum {
    /// The next seed.
    seed: u64,
    /// Cases that are decided, or will be.
    cases: u64,
    /// Events that were left out.
    changing: u64,
    ends: BTreeMap<String, u64>,
    failures: Vec<String>,
}

#[test]
fn explain_says_what_run_does() {
    let Some(kafka) = kafka() else { return };
    let (wanted, first) = (number("CONSENTRY_CASES", 100_000), number("CONSENTRY_SEED", 1));
    let sum = Mutex::new(Sum { seed: first, ..Sum::default() });
    let next = || {
        let mut sum = sum.lock().unwrap();
        let is_enough = sum.cases >= wanted || !sum.failures.is_empty();
        sum.seed += u64::from(!is_enough);
        sum.cases += if is_enough { 0 } else { SIZE.cases() };
        (!is_enough).then(|| sum.seed - 1)
    };
    thread::scope(|scope| {
        for _ in 0..LANES {
            scope.spawn(|| {
                while let Some(seed) = next() {
                    play(&kafka.address, seed, seed == first, &sum);
                }
            });
        }
    });
    let Sum { cases, changing, ends, failures, .. } = sum.into_inner().unwrap();
    assert!(failures.is_empty(), "\n{}", failures.join("\n"));
    say(&format!("agree: {cases} cases; {changing} events left out, which time would change"));
    for (end, count) in &ends {
        println!("{count:>9} {end}");
    }
    let missing: Vec<&str> = REASONS.into_iter().filter(|reason| !ends.contains_key(*reason)).collect();
    assert!(missing.len() < 4 || wanted < 100_000, "the generator has gone blind: {missing:?}");
}

/// Plays the town of a seed through both.
fn play(address: &str, seed: u64, is_planted: bool, sum: &Mutex<Sum>) {
    let mut scene = Scene::new(address, seed, &SIZE);
    let changing = leave_out_what_changes(&mut scene, STEADY_MS);
    let Explained { facts: explain, untouched, deleted } = explained(&scene, &scene.config);
    scene.write(address);
    let (metrics, said) = run(&scene, explain.count());
    let now = Clock::default().now();
    assert!(now < scene.at.plus(STEADY_MS), "seed {seed}: the process was not done while nothing changed");
    let run = seen(address, &scene, &metrics, &untouched);
    let mut differences = explain.differences(&run);
    let (applied, consents) = (metrics.sum("consentry_consent_applied_total", &[]), scene.consents.len());
    #[allow(clippy::cast_precision_loss, reason = "a small count")]
    if applied < consents as f64 - 0.5 {
        differences.insert(0, format!("  of {consents} consent records {applied} were applied"));
    }
    if is_planted && differences.is_empty() {
        differences = unnoticed(&scene, &run);
    }
    let mut sum = sum.lock().unwrap();
    sum.cases = sum.cases + explain.count() - deleted - SIZE.cases();
    sum.changing += changing;
    for (end, count) in explain.ends() {
        *sum.ends.entry(end).or_insert(0) += count;
    }
    if !differences.is_empty() {
        if !scene.is_written(address) {
            differences.insert(0, "  the consent topic does not hold what was written to it".to_owned());
        }
        let dir = scene.keep(&metrics.0, &said, &differences);
        let (all, most) = (differences.len(), 12);
        differences.truncate(most);
        let shown = differences.join("\n");
        sum.failures
            .push(format!("seed {seed}: {all} differences, all of them in {}\n{shown}", dir.display()));
    }
}

/// What a process counts that has decided so many cases, and what it said.
fn run(scene: &Scene, cases: u64) -> (Metrics, String) {
    let proxy = Proxy::ready(&scene.config);
    let total = || proxy.metrics().sum("consentry_records_total", &[]);
    let begin = Instant::now();
    #[allow(clippy::cast_precision_loss, reason = "a small count")]
    while total() < cases as f64 - 0.5 && begin.elapsed() < secs(60) {
        thread::sleep(Duration::from_millis(50));
    }
    let told = (proxy.metrics(), proxy.output());
    proxy.stop();
    told
}

/// The planted differences that nobody would notice: this comparison can fail.
fn unnoticed(scene: &Scene, run: &Facts) -> Vec<String> {
    let mut config = scene.config.clone();
    config["policy"]["clock_skew"] = "3d".into();
    let mut planted = run.tampered();
    planted.push(("another clock skew".to_owned(), explained(scene, &config).facts));
    planted.retain(|(_, explain)| explain.differences(run).is_empty());
    planted.iter().map(|(what, _)| format!("  a planted difference goes unnoticed: {what}")).collect()
}
