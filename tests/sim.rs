//! The simulator: the real line, follower, hold and assignment over simulated brokers, sinks and clocks.
//!
//! One seed is one run, which is the same every time: a town of people, events and faults (`script`), processes on
//! threads of which one runs at a time (`stage`, `world`), brokers that do what Kafka's do (`broker`, `group`, `log`) and
//! clients that lose, delay and reorder what clients can (`member`, `writer`, `feed`, `cluster`). Each transaction is
//! looked at when it is decided, and what is left at the end (`check`, `end`); what should have become of an event is
//! asked of `oracle`, the second implementation. That the checks check is shown by telling lies (`lies`).
//!
//! `CONSENTRY_SIM_SEEDS` sets how many runs, `CONSENTRY_SEED` where to begin: with `CONSENTRY_SIM_SEEDS=1` it repeats one
//! run alone and prints what happened in it. What fails is shrunk and printed.
//!
//! Not simulated: at least once, a cache in shares, snapshots, what is due, source topics that lose records or are made
//! anew. Real Kafka is asked about these (`tests/kafka`).

mod act;
mod broker;
mod check;
mod cluster;
mod end;
mod expect;
mod feed;
mod gate;
mod group;
mod ledger;
mod lies;
mod log;
mod member;
mod process;
mod script;
mod shrink;
mod stage;
mod town;
mod world;
mod writer;

use std::sync::{
    Mutex,
    atomic::{AtomicU64, Ordering},
};

use crate::generated::number;
use ledger::Seen;
use lies::Lie;
use script::Script;
use world::{Core, World};

/// How many runs without being told.
const SEEDS: u64 = 4_000;
/// A lie that so many runs do not find out is not found out.
const RUNS_FOR_A_LIE: u64 = 1_000;

/// What came of a run.
pub struct Outcome {
    pub failure: Option<String>,
    pub trace: Vec<String>,
    pub digest: u64,
    pub seen: Seen,
    pub steps: u64,
}

/// Plays a script.
pub fn run(seed: u64, script: &Script, lie: Option<Lie>, traced: bool) -> Outcome {
    world::watch_panics();
    let mut core = Core::new(seed, lie, traced);
    core.broker.fences_nobody = core.lies(Lie::NoFence);
    core.broker.takes_any_member = core.lies(Lie::AnyMember);
    script.play(&mut core);
    let world = World::new(core);
    world.run();
    let mut core = world.core();
    Outcome {
        failure: core.failure.take(),
        trace: core.trace.take().unwrap_or_default(),
        digest: core.digest,
        seen: core.ledger.seen,
        steps: core.steps,
    }
}

/// A failure, with its seed and the shortest script that still fails.
fn report(seed: u64, script: Script, failure: &str) -> String {
    let steps = script.steps.len();
    let script = shrink::shrink(seed, script, None, failure);
    let last = run(seed, &script, None, true);
    format!(
        "seed {seed} (CONSENTRY_SEED={seed} CONSENTRY_SIM_SEEDS=1 repeats it): {failure}\n\
         of its {steps} steps these suffice: {:#?}\n{}\n{}",
        script,
        last.trace.join("\n"),
        last.failure.unwrap_or_default(),
    )
}

fn add(sum: &mut Seen, more: &Seen) {
    for (own, more) in [
        (&mut sum.commits, more.commits),
        (&mut sum.forwarded, more.forwarded),
        (&mut sum.dropped, more.dropped),
        (&mut sum.held, more.held),
        (&mut sum.released, more.released),
        (&mut sum.quarantined, more.quarantined),
        (&mut sum.killed, more.killed),
        (&mut sum.frozen, more.frozen),
        (&mut sum.lost_ends, more.lost_ends),
        (&mut sum.fenced, more.fenced),
        (&mut sum.rebalances, more.rebalances),
        (&mut sum.aborted, more.aborted),
        (&mut sum.uncounted, more.uncounted),
    ] {
        *own += more;
    }
}

#[test]
fn the_promises_hold_whatever_happens() {
    let (count, first) = (number("CONSENTRY_SIM_SEEDS", SEEDS), number("CONSENTRY_SEED", 1));
    let next = AtomicU64::new(first);
    let (seen, failures) = (Mutex::new(Seen::default()), Mutex::new(Vec::new()));
    let work = || {
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= first + count || failures.lock().unwrap().len() >= 2 {
                return;
            }
            let script = Script::of(seed);
            let outcome = run(seed, &script, None, count == 1);
            if count == 1 {
                println!("{script:#?}\n{}\n{} steps", outcome.trace.join("\n"), outcome.steps);
            }
            add(&mut seen.lock().unwrap(), &outcome.seen);
            if let Some(failure) = outcome.failure {
                let failure = report(seed, script, &failure);
                failures.lock().unwrap().push(failure);
            }
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().map_or(1, usize::from) {
            scope.spawn(work);
        }
    });
    let (seen, failures) = (seen.into_inner().unwrap(), failures.into_inner().unwrap());
    println!("{seen:?}");
    assert!(failures.is_empty(), "\n{}", failures.join("\n\n"));
    let Seen {
        forwarded, dropped, held, released, quarantined, killed, frozen, lost_ends, rebalances, ..
    } = seen;
    let all = [forwarded, dropped, held, released, quarantined, killed, frozen, lost_ends, rebalances];
    assert!(
        count < 500 || all.iter().all(|often| *often > count / 20),
        "something hardly ever happens: {seen:?}"
    );
}

#[test]
fn a_seed_gives_one_run() {
    for seed in 1..=20 {
        let script = Script::of(seed);
        let (one, other) = (run(seed, &script, None, false), run(seed, &script, None, false));
        assert_eq!((one.digest, one.steps), (other.digest, other.steps), "seed {seed}");
    }
}

#[test]
fn every_lie_is_found_out() {
    let next = Mutex::new(lies::ALL.to_vec());
    let unfound = Mutex::new(Vec::new());
    let work = || {
        while let Some(lie) = { next.lock().unwrap().pop() } {
            let mut seeds = 1..=RUNS_FOR_A_LIE;
            let found =
                seeds.find_map(|seed| Some((seed, run(seed, &Script::of(seed), Some(lie), false).failure?)));
            match found {
                Some((seed, failure)) => println!("{lie:?}: seed {seed}: {failure}"),
                None => unfound.lock().unwrap().push(lie),
            }
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().map_or(1, usize::from) {
            scope.spawn(work);
        }
    });
    let unfound = unfound.into_inner().unwrap();
    assert!(unfound.is_empty(), "not found out in {RUNS_FOR_A_LIE} runs: {unfound:?}");
}
