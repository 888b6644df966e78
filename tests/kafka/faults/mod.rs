//! Real faults on a real cluster of three brokers, and what became of every record.
//!
//! As in Kafka's own test of transactional copies, everything flows while the fault goes on: events, changes of
//! consent, a `read_committed` reader of what is forwarded. Afterwards all drains, and `verdict` decides every event
//! anew from the logs: nothing may be missing, twice, out of order, or forwarded to spite a change that was
//! acknowledged before. A fault is one entry of [`all`]: what broker it is about, and what is done.
//!
//! `cargo test` plays a few. `CONSENTRY_FAULTS=all cargo test faults` plays all and writes the table beside this
//! file; `CONSENTRY_FAULTS=WORD,WORD` those with one of the words in their
//! name.

mod brokers;
mod cluster;
mod consents;
mod disk;
mod group;
mod ledger;
mod link;
mod output;
mod partitions;
mod processes;
mod replies;
mod scene;
mod table;
mod verdict;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use consentry::time::Instant;
use serde_json::Value;

use super::topics::CONSENT;
use super::{alone, class_path, say};
use cluster::Cluster;
use scene::{Role, Scene};
use table::Line;

/// Something that goes wrong.
struct Fault {
    name: &'static str,
    /// What the broker it is about is there for.
    role: Role,
    instances: usize,
    /// How often: in every run, and in the long one. What is never played in the short one is left out of it.
    times: (usize, usize),
    /// What is configured otherwise.
    change: fn(&mut Value),
    /// The consent topic's settings.
    consent: &'static [(&'static str, &'static str)],
    /// How old the cache may be; zero: as is promised where nothing else is configured.
    within: Duration,
    /// The broker is the one whose disk can be filled.
    fills_disk: bool,
    strike: fn(&mut Scene<'_>),
}

impl Fault {
    /// With two instances as they are always configured.
    const fn new(name: &'static str, role: Role, times: (usize, usize), strike: fn(&mut Scene<'_>)) -> Self {
        let (within, fills_disk) = (Duration::ZERO, false);
        Self { name, role, instances: 2, times, change: |_| (), consent: CONSENT, within, fills_disk, strike }
    }
}

/// Every fault, by kind.
fn all() -> Vec<Fault> {
    [processes::all(), group::all(), brokers::all(), partitions::all(), replies::all(), consents::all()]
        .into_iter()
        .flatten()
        .collect()
}

/// Plays a fault so many times.
fn play(cluster: &Cluster, fault: &Fault, times: usize) -> Line {
    static COUNT: AtomicUsize = AtomicUsize::new(0);
    let name = format!("fault-{}", COUNT.fetch_add(1, Ordering::Relaxed));
    let played = catch_unwind(AssertUnwindSafe(|| {
        let mut scene = Scene::set(cluster, &name, fault);
        let (mut recovery, mut pause) = (Duration::ZERO, Duration::ZERO);
        for time in 1..=times {
            scene.begin();
            (fault.strike)(&mut scene);
            let (after, longest) = scene.recover();
            (recovery, pause) = (recovery.max(after), pause.max(longest));
            if time < times { scene.settle() } else { scene.mend() }
        }
        let reasons = scene.reasons.iter().cloned().collect();
        (scene.finish(), recovery, pause, reasons)
    }));
    if played.is_err() {
        // What it left broken is no fault of those that come after it.
        cluster.mend();
        cluster.wait_whole();
    }
    let outcome = played.map_err(|panic| {
        let text = panic.downcast_ref::<String>().cloned();
        text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned())).unwrap_or_default()
    });
    Line { fault: fault.name, times, outcome }
}

#[test]
fn nothing_is_lost_repeated_or_leaked() {
    let _alone = alone();
    let Some(class_path) = class_path() else { return };
    let asked = std::env::var("CONSENTRY_FAULTS").ok();
    let is_asked = |fault: &Fault, words: &str| words.split(',').any(|word| fault.name.contains(word));
    let times = |fault: &Fault| match asked.as_deref() {
        None => fault.times.0,
        Some(words) if words == "all" || is_asked(fault, words) => fault.times.1,
        Some(_) => 0,
    };
    let (played, left_out): (Vec<Fault>, Vec<Fault>) = all().into_iter().partition(|fault| times(fault) > 0);
    let cluster = Cluster::start(class_path);
    let mut lines = Vec::new();
    for fault in &played {
        if let (true, Err(why)) = (fault.fills_disk, &cluster.disk) {
            say(&format!("faults: {} DID NOT RUN: {why}", fault.name));
            continue;
        }
        let began = Instant::now();
        let line = play(&cluster, fault, times(fault));
        say(&format!("  {:5.1} s  faults: {}", began.elapsed().as_secs_f64(), line.in_words()));
        lines.push(line);
    }
    say(&table::table(&lines));
    if asked.is_none() {
        let names: Vec<&str> = left_out.iter().map(|fault| fault.name).collect();
        say(&format!("faults: left out, but for CONSENTRY_FAULTS=all: {}", names.join(", ")));
    }
    if asked.as_deref() == Some("all") {
        table::write(&lines);
    }
    let bad: Vec<&str> = lines.iter().filter(|line| !line.is_good()).map(|line| line.fault).collect();
    assert!(bad.is_empty(), "not as it should be: {bad:?}");
}
