//! Keeping a pipeline's workers at work.

use std::collections::BTreeSet;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::Sender;
use std::thread::JoinHandle;
use std::time::Duration;

use super::Error;
use crate::pipeline::duty::{Duty, Errand, Leave};
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
/// seen not to keep one, where the group's coordinator had gone (confluentinc/librdkafka#5456, #5511), and a consumer to
/// lock itself up, where a broker had gone that it had asked about an offset (#5476).
const HUNG_AFTER: Duration = Duration::from_secs(40);
/// With so many threads that hang for each of a pipeline's workers, something is wrong that only a new process can mend.
const MOST_LEFT_ALONE: usize = 4;
/// A commit that takes longer is said to; it takes some milliseconds where all brokers are well.
const SLOW_AFTER: Duration = Duration::from_secs(3);
/// And for so long none must, until it is over: one that was given up is tried again at once.
const CALM_AFTER: Duration = Duration::from_secs(4);
/// A worker that worked for so long has got over what ended it before.
pub(super) const STEADY: Duration = Duration::from_secs(60);

/// Builds a pipeline as soon as its topics can be seen, and runs its workers until the process stops.
pub fn pipeline<C: Cluster + 'static>(parts: Parts<C>, tell: &Sender<Error>, left: &AtomicUsize) {
    let (health, name) = (parts.health.clone(), parts.rules.name.clone());
    let line = match build(parts) {
        Ok(Some(line)) => line,
        Ok(None) => return,
        Err(error) => return drop(tell.send(Error::Line(name, error))),
    };
    if left.fetch_sub(1, Ordering::AcqRel) == 1 {
        health.clear(&Cause::Starting);
    }
    let line = Arc::new(line);
    let mut crew = Crew { line, tell, left_alone: Vec::new(), turns: 0 };
    let mut posts = Vec::new();
    for number in 0..crew.line.workers() {
        match crew.man(number) {
            Ok(post) => posts.push(post),
            Err(error) => drop(tell.send(error)),
        }
    }
    while posts.iter().any(Post::is_manned) {
        for post in posts.iter_mut().filter(|post| post.is_manned()) {
            post.look(&crew.line);
            if post.duty.waits_longer(HUNG_AFTER).is_some()
                && let Err(error) = crew.relieve(post)
            {
                return drop(tell.send(error));
            }
        }
        std::thread::sleep(LOOK_EVERY);
    }
}

/// Who works for a pipeline, and who has.
struct Crew<'t, C: Cluster> {
    line: Arc<Line<C>>,
    tell: &'t Sender<Error>,
    /// Threads that hang, or did.
    left_alone: Vec<JoinHandle<()>>,
    /// How many turns there were.
    turns: usize,
}

/// A worker at its post.
struct Post {
    number: usize,
    duty: Arc<Duty>,
    thread: JoinHandle<()>,
    /// Since when no commit was slow, where one was.
    slow: Option<Instant>,
}

impl<C: Cluster + 'static> Crew<'_, C> {
    /// Somebody begins to work there.
    fn man(&mut self, number: usize) -> Result<Post, Error> {
        let duty = Arc::new(Duty::new(self.turns));
        self.turns += 1;
        let (line, own, tell) = (Arc::clone(&self.line), Arc::clone(&duty), self.tell.clone());
        let named = std::thread::Builder::new().name(format!("{}-{number}", self.line.name()));
        let thread = named.spawn(move || work(&line, number, &own, &tell))?;
        Ok(Post { number, duty, thread, slow: None })
    }

    /// A call of the worker there hangs: it is left alone, and somebody else takes over, unless all are to stop anyway.
    fn relieve(&mut self, post: &mut Post) -> Result<(), Error> {
        let name = self.line.name().to_owned();
        let leave = post.duty.relieve();
        if self.line.is_stopping() {
            return Ok(());
        }
        let worker = Cause::Worker(name.clone(), post.number);
        self.line.block(worker, "a call to the brokers hangs".to_owned());
        self.left_alone.retain(|thread| !thread.is_finished());
        if self.left_alone.len() >= MOST_LEFT_ALONE * self.line.workers() {
            return Err(Error::Hung(name));
        }
        tracing::error!(
            pipeline = name,
            worker = post.number,
            "a call to the brokers hangs: another worker takes over"
        );
        Metric::WorkerRestarts.counter(&[&name]).increment(1);
        leave.into_iter().for_each(run_apart);
        self.line.barrier().holds(post.duty.holder(), BTreeSet::new());
        for cause in left_by(&name, post.number) {
            self.line.clear(&cause);
        }
        let next = self.man(post.number)?;
        self.left_alone.push(std::mem::replace(post, next).thread);
        Ok(())
    }
}

/// Runs what may never return.
fn run_apart(leave: Leave) {
    // Without a thread the group puts the member out when it has not polled for long enough.
    drop(std::thread::Builder::new().name("leave".to_owned()).spawn(leave));
}

/// Causes that a worker has raised and will not take away itself.
fn left_by(name: &str, number: usize) -> [Cause; 5] {
    let name = || name.to_owned();
    [
        Cause::CommitWaiting(name(), number),
        Cause::SourceUnreachable(name(), number),
        Cause::Gap(name(), number),
        Cause::HoldFull(name(), number),
        Cause::HoldLoading(name(), number),
    ]
}

impl Post {
    /// Whether somebody works there who has not been left alone.
    fn is_manned(&self) -> bool {
        !self.thread.is_finished() && !self.duty.is_relieved()
    }

    /// Says in readiness whether the worker waits for an acknowledgement that does not come.
    fn look<C: Cluster>(&mut self, line: &Line<C>) {
        let cause = || Cause::CommitWaiting(line.name().to_owned(), self.number);
        if self.duty.waits_longer(SLOW_AFTER) == Some(Errand::Commit) {
            if self.slow.replace(Instant::now()).is_none() {
                let detail = "the leaders of its sinks, or the coordinators of its group and transactions, have \
                              acknowledged nothing for some seconds";
                line.block(cause(), detail.to_owned());
            }
        } else if self.slow.is_some_and(|slow| slow.elapsed() > CALM_AFTER) {
            self.slow = None;
            line.clear(&cause());
        }
    }
}

/// Looks at the topics until they can be used. `None`: stopped before.
fn build<C: Cluster>(parts: Parts<C>) -> Result<Option<Line<C>>, LineError> {
    let (health, stopping) = (parts.health.clone(), Arc::clone(&parts.stopping));
    let parts = Arc::new(parts);
    let mut pause = FIRST_PAUSE;
    while !stopping.load(Ordering::Relaxed) {
        match Line::build(Arc::clone(&parts)) {
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
pub fn work<C: Cluster>(line: &Line<C>, number: usize, duty: &Duty, tell: &Sender<Error>) {
    let cause = Cause::Worker(line.name().to_owned(), number);
    let restarts = Metric::WorkerRestarts.counter(&[line.name()]);
    let mut pause = FIRST_PAUSE;
    let is_over = || line.is_stopping() || duty.is_relieved();
    while !is_over() {
        let began = Instant::now();
        let work = || {
            let mut worker = Worker::start(line, number, duty)?;
            line.clear(&cause);
            let ended = worker.run();
            // Its clients are closed.
            let _call = duty.call(Errand::Question);
            drop(worker);
            ended
        };
        // Nothing of a worker outlives it: what it had begun is read again.
        let ended = catch_unwind(AssertUnwindSafe(work)).unwrap_or(Err(End::Panicked));
        let Err(end) = ended else { return };
        if duty.is_relieved() {
            return tracing::warn!(pipeline = line.name(), worker = number, error = %end, "a call came back at last");
        }
        line.block(cause.clone(), end.to_string());
        line.clear(&Cause::SourceUnreachable(line.name().to_owned(), number));
        line.clear(&Cause::Gap(line.name().to_owned(), number));
        if !end.is_passing() {
            return drop(tell.send(Error::Worker(line.name().to_owned(), end)));
        }
        tracing::error!(pipeline = line.name(), worker = number, error = %end, "a worker ended and starts anew");
        restarts.increment(1);
        pause = if began.elapsed() > STEADY { FIRST_PAUSE } else { pause };
        rest(pause, &is_over);
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

pub(super) fn rest(pause: Duration, is_over: &dyn Fn() -> bool) {
    let began = Instant::now();
    while began.elapsed() < pause && !is_over() {
        pace::sleep(Duration::from_millis(20));
    }
}
