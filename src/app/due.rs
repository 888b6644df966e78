//! Keeping the worker at work that tells whose consent ends. Whatever becomes of it, the pipelines go on.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::mpsc::Sender;

use super::Error;
use super::supervise::{FIRST_PAUSE, LONGEST_PAUSE, STEADY, rest};
use crate::config::Ready;
use crate::due::{Decode, End, Parts, Worker};
use crate::follower::Gate;
use crate::renewal::Asking;
use crate::telemetry::Metric;
use crate::time::{Clock, Instant};

/// What the worker is made of; `None`: nobody wants to be told.
pub fn parts(ready: &Ready, gate: Gate, stopping: &Arc<AtomicBool>) -> Option<Parts> {
    let settings = ready.due.clone()?;
    Some(Parts {
        asking: Asking::new(&ready.policy, settings.ask),
        settings,
        policy_hash: ready.policy_hash.clone(),
        cluster: ready.cluster.clone(),
        instance: ready.instance.clone(),
        consent: ready.follower.topic.clone(),
        decode: Decode {
            format: ready.follower.format,
            max_grants: ready.cache.max_grants,
            signals: ready.follower.signals.clone(),
        },
        max_people: ready.cache.max_subjects,
        barrier: Box::new(gate),
        knows_all: !ready.follower.share.is_part(),
        clock: Clock::default(),
        stopping: Arc::clone(stopping),
    })
}

/// Runs the worker until the process stops, and again after a pause where it ends. What is wrong with its topic ends
/// the process at the start, where somebody looks; later, when others rely on it, only this worker waits.
pub fn keep(parts: &Parts, tell: &Sender<Error>) {
    let restarts = Metric::DueRestarts.counter(&[]);
    let (mut pause, mut has_run) = (FIRST_PAUSE, false);
    while !parts.is_stopping() {
        let began = Instant::now();
        let work = || {
            Worker::start(parts).and_then(|mut worker| {
                has_run = true;
                worker.run()
            })
        };
        // Nothing of a worker outlives it: what it had begun is aborted, and everything is read anew.
        let ended = catch_unwind(AssertUnwindSafe(work)).unwrap_or(Err(End::Panicked));
        let Err(end) = ended else { return };
        if matches!(end, End::Fenced) || (end.is_unfit() && !has_run) {
            return drop(tell.send(Error::Due(end)));
        }
        tracing::error!(error = %end, "nobody is told whose consent ends: starting anew");
        restarts.increment(1);
        pause = if began.elapsed() > STEADY { FIRST_PAUSE } else { pause };
        rest(pause, &|| parts.is_stopping());
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}
