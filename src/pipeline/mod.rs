//! The line: what happens to a record, from top to bottom.
//!
//! One [`Worker`] is one OS thread, one member of the consumer group, one producer, one loop:
//!
//! ```text
//! fetch a batch, and what has waited → wait for the barrier → judge (pure) → write → tally → commit
//! ```
//!
//! More cores are more workers, more machines are more processes of the same group; there is no other
//! mechanism. What a worker has done since its last commit is `Open`: if anything goes wrong, or a partition
//! goes to somebody else, all of it is aborted and the input is read again from where it began. Nothing is
//! counted, and no offset moves, but by a commit. What waits is in `hold`. What a worker needs of Kafka is
//! [`Cluster`]: nothing here knows librdkafka.
//!
//! Where a dropped record's reason comes from: `judge` asks `consent::decide`; the reason it gives is what
//! `tally` counts, what the header says and what `explain` prints.

mod batch;
mod commit;
mod counts;
pub mod duty;
mod end;
mod fetch;
mod held;
mod hold;
mod hold_topics;
pub mod judge;
pub mod line;
mod load;
mod open;
pub mod refusal;
mod replay;
pub mod settings;
pub mod subject;
mod write;

use std::collections::{BTreeSet, HashSet};
use std::sync::Arc;
use std::time::Duration;

use crate::consent::Batch;
use crate::sink::kafka::Target;
use crate::source::{Cluster, Place};
use crate::telemetry::Tally;
use crate::time::Instant;
use batch::{Fetched, Polled};
use commit::Rhythm;
use duty::Duty;
pub use end::End;
use held::Held;
use judge::Judge;
use line::Line;
use open::{Open, Origin};

/// How long a worker waits in one go before it looks whether it is to stop.
const PATIENCE: Duration = Duration::from_millis(50);
/// How often a worker that waits for the barrier looks what the group says.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// One thread of a pipeline.
pub struct Worker<'l, C: Cluster> {
    line: &'l Line<C>,
    number: usize,
    duty: &'l Duty,
    member: Arc<C::Member>,
    writer: C::Writer,
    /// The sink of each route, then the quarantine.
    targets: Arc<[Target]>,
    /// The purposes that permitted last, of each route: as bits, and as a header says them.
    purposes: Vec<(u64, String)>,
    tally: Tally,
    open: Open,
    /// What waits, where the pipeline holds.
    held: Option<Held<C>>,
    /// Partitions that are ours but stand still because records of theirs are gone.
    gaps: BTreeSet<Place>,
    /// Records that a sink has refused as too large, until the commit that sets them aside.
    oversized: HashSet<Origin>,
    /// One record a batch, to find out which is too large.
    cautious: bool,
    /// The brokers of the source did not answer.
    is_cut_off: bool,
    /// Nothing is fetched while a batch waits for the barrier.
    is_paused: bool,
    /// How often in a row it went back without a commit.
    failures: u32,
    /// When the next commit is to begin.
    rhythm: Rhythm,
    /// When it last committed anything.
    kept: Instant,
}

impl<'l, C: Cluster> Worker<'l, C> {
    /// Joins the group and makes the producer, which ends whatever an older one of its id left open.
    pub fn start(line: &'l Line<C>, number: usize, duty: &'l Duty) -> Result<Self, End> {
        let settings = line.settings();
        let writer = duty::open_writer(line, number, duty, false)?;
        let held = settings.hold.as_ref().map(|_| Held::new(line.barrier().listen()));
        let reading = line.reading(held.is_some());
        let topics: Vec<&str> = settings.topics.iter().map(String::as_str).collect();
        let member = Arc::new(line.cluster().join(&settings.group, &topics, reading)?);
        duty.leaves_by(&member);
        let routes = line.rules().routes.len();
        let worker = Self {
            member,
            writer,
            targets: line.targets(),
            purposes: vec![(0, String::new()); routes],
            tally: Tally::new(routes),
            open: Open::default(),
            held,
            gaps: BTreeSet::new(),
            oversized: HashSet::new(),
            cautious: false,
            is_cut_off: false,
            is_paused: false,
            failures: 0,
            rhythm: Rhythm::default(),
            kept: Instant::now(),
            line,
            number,
            duty,
        };
        worker.forget_refusal(None);
        Ok(worker)
    }

    /// Works until it is told to stop, then commits what it has begun.
    pub fn run(&mut self) -> Result<(), End> {
        // The messages of a batch borrow the member, not the worker.
        let member = Arc::clone(&self.member);
        let mut judge = self.line.judge();
        while !self.is_over() {
            if !self.line.refusals().is_empty() {
                self.stand_still(&member)?;
                continue;
            }
            let mut fetched = Fetched::default();
            self.fetch(&member, &mut fetched)?;
            fetched.wake(self.due());
            if !fetched.is_empty() {
                self.decide(&member, &mut judge, fetched)?;
            } else if self.is_due() {
                self.commit()?;
            } else {
                self.keep_place()?;
            }
        }
        if self.duty.is_relieved() { Ok(()) } else { self.commit().map(drop) }
    }

    /// Waits until the cache is fresh enough for a batch, then judges and writes it: first what has waited.
    fn decide<'c>(
        &mut self,
        member: &'c C::Member,
        judge: &mut Judge<'_>,
        mut fetched: Fetched<Polled<'c, C>>,
    ) -> Result<(), End> {
        let line = self.line;
        if self.is_due() {
            self.commit_before(&mut fetched)?;
        }
        let mut claim = line.barrier().claim(self.duty.holder());
        let mut looked = Instant::now();
        let view = loop {
            if !line.refusals().is_empty() {
                return self.abort();
            }
            if fetched.is_empty() {
                return self.read_on();
            }
            if let Some(view) = claim.wait(PATIENCE) {
                break view;
            }
            if self.is_over() {
                return Ok(());
            }
            // What is begun must not wait for the barrier: its transaction would time out.
            if self.is_due() {
                self.commit_before(&mut fetched)?;
            }
            if looked.elapsed() >= LOOK_EVERY {
                looked = Instant::now();
                if self.keep_membership(member, &mut fetched)? {
                    claim = line.barrier().claim(self.duty.holder());
                }
            }
        };
        line.waited(claim.age());
        drop(claim);
        let batch = Batch::open(line.now());
        self.targets = line.targets();
        let written = self
            .release(judge, &batch, &view, fetched.due())
            .and_then(|()| fetched.spend(|group| self.group(judge, &batch, &view, group)));
        drop(view);
        self.read_on()?;
        written.or_else(|undone| self.undo(undone))
    }
}
