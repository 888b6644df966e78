//! Keeping a pipeline's workers at work.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::Sender;
use std::time::Duration;

use super::Error;
use crate::pipeline::line::{Line, LineError, Parts};
use crate::pipeline::{End, Worker};
use crate::source::{Cluster, pace};
use crate::telemetry::{Cause, Metric};
use crate::time::Instant;

/// How often it is looked whether a worker hangs, or all have ended.
const LOOK_EVERY: Duration = Duration::from_millis(20);
pub(super) const FIRST_PAUSE: Duration = Duration::from_millis(500);
pub(super) const LONGEST_PAUSE: Duration = Duration::from_secs(30);
/// Each call about a transaction has a time-out of its own, and all of them together take less: 32 s. librdkafka has been
/// seen not to keep one, where the group's coordinator had gone (confluentinc/librdkafka#5456, #5511).
const HUNG_AFTER: Duration = Duration::from_secs(40);
/// A commit that takes longer is said to; it takes some milliseconds where all brokers are well.
const SLOW_AFTER: Duration = Duration::from_secs(3);
/// And for so long none must, until it is over: one that was given up is tried again at once.
const CALM_AFTER: Duration = Duration::from_secs(4);
/// A worker that worked for so long has got over what ended it before.
pub(super) const STEADY: Duration = Duration::from_secs(60);

/// Builds a pipeline as soon as its topics can be seen, and runs its workers until the process stops.
pub fn pipeline<C: Cluster>(parts: Parts<C>, tell: &Sender<Error>, left: &AtomicUsize) {
    let (health, name) = (parts.health.clone(), parts.rules.name.clone());
    let line = match build(parts) {
        Ok(Some(line)) => line,
        Ok(None) => return,
        Err(error) => return drop(tell.send(Error::Line(name, error))),
    };
    if left.fetch_sub(1, Ordering::AcqRel) == 1 {
        health.clear(&Cause::Starting);
    }
    std::thread::scope(|scope| {
        let mut workers = Vec::new();
        for number in 0..line.workers() {
            let worker = std::thread::Builder::new().name(format!("{name}-{number}"));
            let (line, own) = (&line, tell.clone());
            match worker.spawn_scoped(scope, move || work(line, number, &own)) {
                Ok(worker) => workers.push(worker),
                Err(error) => drop(tell.send(Error::Thread(error))),
            }
        }
        let mut slow = Slow(vec![None; line.workers()]);
        while workers.iter().any(|worker| !worker.is_finished()) {
            slow.look(&line);
            if let Some(number) = (0..line.workers()).find(|number| line.waits_longer(*number, HUNG_AFTER)) {
                line.block(Cause::Worker(name.clone(), number), "a call to the brokers hangs".to_owned());
                return drop(tell.send(Error::Hung(name)));
            }
            std::thread::sleep(LOOK_EVERY);
        }
    });
}

/// Since when no commit of each worker was slow, where one was.
struct Slow(Vec<Option<Instant>>);

impl Slow {
    /// Says in readiness which workers wait for an acknowledgement that does not come.
    fn look<C: Cluster>(&mut self, line: &Line<C>) {
        for (number, seen) in self.0.iter_mut().enumerate() {
            let cause = || Cause::CommitWaiting(line.name().to_owned(), number);
            if line.waits_longer(number, SLOW_AFTER) {
                if seen.replace(Instant::now()).is_none() {
                    let detail = "the leaders of its sinks, or the coordinators of its group and transactions, have \
                                  acknowledged nothing for some seconds";
                    line.block(cause(), detail.to_owned());
                }
            } else if seen.is_some_and(|seen| seen.elapsed() > CALM_AFTER) {
                *seen = None;
                line.clear(&cause());
            }
        }
    }
}

/// Looks at the topics until they can be used. `None`: stopped before.
fn build<C: Cluster>(parts: Parts<C>) -> Result<Option<Line<C>>, LineError> {
    let (health, stopping) = (parts.health.clone(), std::sync::Arc::clone(&parts.stopping));
    let parts = std::sync::Arc::new(parts);
    let mut pause = FIRST_PAUSE;
    while !stopping.load(Ordering::Relaxed) {
        match Line::build(std::sync::Arc::clone(&parts)) {
            Ok(line) => return Ok(Some(line)),
            Err(error @ (LineError::MissingSinks(_) | LineError::Uneven(..) | LineError::Unsuitable(..))) => {
                return Err(error);
            }
            Err(error @ LineError::Topic(_)) => {
                tracing::warn!(pipeline = parts.rules.name, %error, "the topics cannot be used yet");
                health.block(Cause::Starting, format!("pipeline `{}`: {error}", parts.rules.name));
            }
        }
        rest(pause, &|| stopping.load(Ordering::Relaxed));
        pause = (pause * 2).min(LONGEST_PAUSE / 6);
    }
    Ok(None)
}

/// Runs one worker on this thread, and again after a pause where it ends for a passing reason, until the process
/// stops. Where it ends for good, `tell` is told.
pub fn work<C: Cluster>(line: &Line<C>, number: usize, tell: &Sender<Error>) {
    let cause = Cause::Worker(line.name().to_owned(), number);
    let restarts = Metric::WorkerRestarts.counter(&[line.name()]);
    let mut pause = FIRST_PAUSE;
    while !line.is_stopping() {
        let began = Instant::now();
        let work = || {
            Worker::start(line, number).and_then(|mut worker| {
                line.clear(&cause);
                worker.run()
            })
        };
        // Nothing of a worker outlives it: what it had begun is read again.
        let ended = catch_unwind(AssertUnwindSafe(work)).unwrap_or(Err(End::Panicked));
        let Err(end) = ended else { return };
        line.block(cause.clone(), end.to_string());
        line.clear(&Cause::SourceUnreachable(line.name().to_owned(), number));
        line.clear(&Cause::Gap(line.name().to_owned(), number));
        if !end.is_passing() {
            return drop(tell.send(Error::Worker(line.name().to_owned(), end)));
        }
        tracing::error!(pipeline = line.name(), worker = number, error = %end, "a worker ended and starts anew");
        restarts.increment(1);
        pause = if began.elapsed() > STEADY { FIRST_PAUSE } else { pause };
        rest(pause, &|| line.is_stopping());
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

pub(super) fn rest(pause: Duration, is_over: &dyn Fn() -> bool) {
    let began = Instant::now();
    while began.elapsed() < pause && !is_over() {
        pace::sleep(Duration::from_millis(20));
    }
}
