//! How far the cache has come, and whether anything may be decided: the barrier's arithmetic.
//!
//! Pure: it is told what was read and when, and answers. For each consent partition, `passed` is the
//! offset below which everything committed has been applied: one past the last record, or the end of the
//! partition where it was polled. A reading of the high watermarks is met when every partition has passed
//! its own.

use std::sync::Arc;
use std::time::Duration;

use crate::time::Instant;

/// What stops every decision until it is over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Stop {
    /// The topic is not there.
    Missing,
    /// The topic cannot be followed as it is configured.
    Unsuitable(String),
    /// The brokers do not answer, with what they say.
    Unreachable(String),
    /// A message could not be fetched.
    Broken(String),
}

/// A reading of the high watermarks.
#[derive(Clone, Debug)]
pub struct Reading {
    /// Readings are numbered from 1.
    pub number: u64,
    /// When it began.
    pub began: Instant,
    /// One high watermark a partition.
    pub targets: Arc<[i64]>,
}

/// What the reader of the topic is to do next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// Discard the cache and read so many partitions from their beginning.
    Reset(usize),
    /// Read new partitions, from the first number on, from their beginning; so many are there now.
    Extend(usize, usize),
}

/// How far the cache had come at some moment.
#[derive(Clone, Debug)]
pub struct Mark {
    resets: u64,
    passed: Vec<i64>,
}

/// The state of following one topic.
#[derive(Debug, Default)]
pub struct State {
    /// One entry a partition: the offset below which everything is applied.
    /// Empty while a reset is under way.
    passed: Vec<i64>,
    /// How many partitions are followed.
    count: usize,
    /// The last reading wanted, begun, and complete.
    wanted: u64,
    begun: u64,
    reading: Option<Reading>,
    /// The beginning of the last reading that was met.
    fresh_at: Option<Instant>,
    /// When the last reset was, how many there were, and how long the topic keeps a tombstone.
    reset_at: Option<Instant>,
    resets: u64,
    tombstones_kept: Option<Duration>,
    /// Why the topic must be read from the start.
    reset: Option<String>,
    /// Everything has been applied once since the last reset.
    loaded: bool,
    topic_id: Option<String>,
    stop: Option<Stop>,
    commands: Vec<Command>,
}

impl State {
    /// Of a topic that has not been looked at.
    pub fn new() -> Self {
        Self { reset: Some("the start".to_owned()), ..Self::default() }
    }

    /// The number of the next reading to begin, which is now wanted.
    pub fn want(&mut self) -> u64 {
        self.wanted = self.begun + 1;
        self.wanted
    }

    /// Whether a reading is wanted that has not begun.
    pub const fn is_wanted(&self) -> bool {
        self.wanted > self.begun
    }

    /// Begins a reading.
    pub const fn begin(&mut self) -> u64 {
        self.begun += 1;
        self.begun
    }

    /// A reading failed.
    pub fn fail(&mut self, stop: Stop) {
        if stop == Stop::Missing {
            self.reset.get_or_insert_with(|| "the topic was missing".to_owned());
            self.loaded = false;
        }
        self.stop = Some(stop);
    }

    /// What is applied now: ends that are asked for after this cannot be below it.
    pub fn mark(&self) -> Mark {
        Mark { resets: self.resets, passed: self.passed.clone() }
    }

    /// Why this look at the topic, whose ends were asked for after `mark`, shows that it is no longer the one
    /// that was followed.
    pub fn went_back(&self, mark: &Mark, ends: &[i64], topic_id: Option<&str>) -> Option<String> {
        if let Some(why) = &self.reset {
            return Some(why.clone());
        }
        if self.may_have_missed_a_tombstone() {
            return Some("tombstones may be gone that were never read".to_owned());
        }
        let other = self.topic_id.as_deref().zip(topic_id).is_some_and(|(old, new)| old != new);
        let comparable = mark.resets == self.resets;
        let behind = mark.passed.iter().zip(ends).position(|(passed, end)| comparable && end < passed);
        if other {
            Some("the topic was made anew".to_owned())
        } else if ends.len() < self.count {
            Some("the topic has fewer partitions".to_owned())
        } else {
            behind.map(|partition| format!("the end of partition {partition} went back"))
        }
    }

    /// How long the topic keeps a tombstone (`delete.retention.ms`).
    pub const fn keeps_tombstones(&mut self, kept: Duration) {
        self.tombstones_kept = Some(kept);
    }

    /// Kafka forgets tombstones: a cache may be continued only if it was last at the end less than half that
    /// time ago, and must be loaded within it.
    fn may_have_missed_a_tombstone(&self) -> bool {
        let Some(kept) = self.tombstones_kept else { return false };
        match self.fresh_at {
            Some(at) => at.elapsed_at_most() > kept / 2,
            None => self.reset_at.is_some_and(|at| at.elapsed_at_most() > kept),
        }
    }

    /// The topic is to be read from its beginning.
    pub fn reset(&mut self, partitions: usize, topic_id: Option<String>) {
        self.passed.clear();
        self.count = partitions;
        self.reset_at = Some(Instant::now());
        self.resets += 1;
        self.commands = vec![Command::Reset(partitions)];
        self.reset = None;
        self.loaded = false;
        self.reading = None;
        self.fresh_at = None;
        self.topic_id = topic_id;
    }

    /// Which topic it is, once that is known.
    pub fn identify(&mut self, topic_id: Option<String>) {
        if self.topic_id.is_none() {
            self.topic_id = topic_id;
        }
    }

    /// The topic is another one under the same name: nothing that was read of it counts.
    pub fn made_anew(&mut self) {
        self.reset.get_or_insert_with(|| "the topic was made anew".to_owned());
        self.loaded = false;
    }

    /// The reader has begun from the start: nothing is passed.
    pub fn restarted(&mut self) {
        self.passed = vec![0; self.count];
    }

    /// A message could not be fetched: everything is read again.
    pub fn broken(&mut self, why: String) {
        self.stop = Some(Stop::Broken(why.clone()));
        self.reset = Some(why);
        self.loaded = false;
    }

    /// Partitions were added: so many are there now.
    pub fn extend(&mut self, partitions: usize) {
        let from = std::mem::replace(&mut self.count, partitions);
        if self.passed.len() == from {
            self.passed.resize(partitions, 0);
        }
        self.commands.push(Command::Extend(from, partitions));
    }

    /// How often the topic has been read from its beginning.
    pub const fn resets(&self) -> u64 {
        self.resets
    }

    /// How many partitions are followed.
    pub const fn partitions(&self) -> usize {
        self.count
    }

    /// A reading is complete.
    pub fn complete(&mut self, reading: Reading) {
        match self.stop {
            Some(Stop::Missing | Stop::Unsuitable(_) | Stop::Unreachable(_)) => self.stop = None,
            Some(Stop::Broken(_)) | None => {}
        }
        self.reading = Some(reading);
        self.meet();
    }

    /// A partition has been applied up to this offset.
    pub fn pass(&mut self, partition: usize, offset: i64) {
        if let Some(passed) = self.passed.get_mut(partition) {
            *passed = offset.max(*passed);
        }
        self.meet();
    }

    fn meet(&mut self) {
        let Some(reading) = &self.reading else { return };
        if !self.has_passed(&reading.targets) {
            return;
        }
        self.fresh_at = self.fresh_at.max(Some(reading.began));
        if self.reset.is_none() {
            self.loaded = true;
            if matches!(self.stop, Some(Stop::Broken(_))) {
                self.stop = None;
            }
        }
    }

    /// Whether every partition has passed its target.
    pub fn has_passed(&self, targets: &[i64]) -> bool {
        self.passed.len() >= targets.len()
            && targets.iter().zip(&self.passed).all(|(target, passed)| passed >= target)
    }

    /// The last complete reading.
    pub const fn reading(&self) -> Option<&Reading> {
        self.reading.as_ref()
    }

    /// The partitions that have not passed the last reading, and where they stand.
    pub fn behind(&self) -> Vec<(usize, i64, i64)> {
        let Some(reading) = &self.reading else { return Vec::new() };
        let both = self.passed.iter().zip(reading.targets.iter()).enumerate();
        both.filter(|(_, (passed, target))| passed < target)
            .map(|(partition, (passed, target))| (partition, *passed, *target))
            .collect()
    }

    /// What the reader is to do.
    pub fn take_commands(&mut self) -> Vec<Command> {
        std::mem::take(&mut self.commands)
    }

    /// The beginning of the last reading that was met: the cache holds all that was acknowledged by then.
    pub const fn fresh_at(&self) -> Option<Instant> {
        self.fresh_at
    }

    /// Whether everything has been applied once, and nothing stops decisions.
    pub const fn is_going(&self) -> bool {
        self.loaded && self.stop.is_none() && self.reset.is_none()
    }

    /// Whether everything has been applied once.
    pub const fn is_loaded(&self) -> bool {
        self.loaded
    }

    /// What stops decisions.
    pub const fn stop(&self) -> Option<&Stop> {
        self.stop.as_ref()
    }

    /// How many records are applied and how many there are, over all partitions.
    pub fn progress(&self) -> (i64, i64) {
        let targets = self.reading.as_ref().map_or(0, |reading| reading.targets.iter().sum());
        (self.passed.iter().sum(), targets)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reading(number: u64, targets: &[i64]) -> Reading {
        Reading { number, began: Instant::now(), targets: targets.into() }
    }

    fn started(targets: &[i64]) -> State {
        let mut state = State::new();
        assert!(state.went_back(&state.mark(), targets, Some("id")).is_some(), "nothing is followed yet");
        state.reset(targets.len(), Some("id".to_owned()));
        assert_eq!(state.take_commands(), [Command::Reset(targets.len())]);
        state.restarted();
        state.begin();
        state.complete(reading(1, targets));
        state
    }

    #[test]
    fn nothing_is_decided_before_every_partition_has_passed_the_end_as_of_the_start() {
        let mut state = started(&[2, 0, 5]);
        state.pass(0, 2);
        assert!(!state.is_going());
        state.pass(2, 4);
        assert_eq!((state.is_going(), state.behind()), (false, vec![(2, 4, 5)]));
        state.pass(2, 5);
        assert!(state.is_going() && state.fresh_at().is_some());
    }

    #[test]
    fn a_reading_serves_only_what_was_fetched_before_it_began() {
        let mut state = started(&[0]);
        let first = state.want();
        assert_eq!((first, state.is_wanted()), (2, true));
        state.begin();
        assert_eq!(state.want(), 3, "one that has begun is too late");
    }

    #[test]
    fn a_cache_that_was_away_for_too_long_is_read_anew() {
        let mut state = started(&[1]);
        state.pass(0, 1);
        state.keeps_tombstones(Duration::from_secs(3600));
        assert_eq!(state.went_back(&state.mark(), &[1], Some("id")), None);
        state.keeps_tombstones(Duration::ZERO);
        std::thread::sleep(Duration::from_millis(1));
        assert!(state.went_back(&state.mark(), &[1], Some("id")).is_some());
    }

    #[test]
    fn a_topic_that_went_back_is_read_from_the_start() {
        let mut state = started(&[3, 3]);
        state.pass(0, 3);
        state.pass(1, 3);
        assert_eq!(state.went_back(&state.mark(), &[3, 3, 1], Some("id")), None);
        assert_eq!(state.went_back(&state.mark(), &[9, 9], None), None);
        assert!(state.went_back(&state.mark(), &[9, 9], Some("other")).is_some());
        assert!(state.went_back(&state.mark(), &[9], Some("id")).is_some());
        assert!(state.went_back(&state.mark(), &[3, 2], Some("id")).is_some());
        state.fail(Stop::Missing);
        assert!(!state.is_going());
        assert!(state.went_back(&state.mark(), &[9, 9], Some("id")).is_some(), "it was seen missing");
    }

    #[test]
    fn what_is_applied_after_the_ends_were_asked_for_is_no_going_back() {
        let mut state = started(&[3]);
        state.pass(0, 3);
        let mark = state.mark();
        state.pass(0, 5);
        assert_eq!(
            state.went_back(&mark, &[4], Some("id")),
            None,
            "the answer is older than the last message"
        );
        assert!(state.went_back(&state.mark(), &[4], Some("id")).is_some());
        state.reset(1, Some("id".to_owned()));
        state.restarted();
        assert_eq!(state.went_back(&mark, &[1], Some("id")), None, "the mark is of the reading before");
    }

    #[test]
    fn what_could_not_be_fetched_stops_until_all_was_read_again() {
        let mut state = started(&[1]);
        state.pass(0, 1);
        state.broken("bad compression".to_owned());
        state.complete(reading(2, &[1]));
        assert!(!state.is_going());
        assert!(state.went_back(&state.mark(), &[1], Some("id")).is_some());
        state.reset(1, Some("id".to_owned()));
        state.restarted();
        state.complete(reading(3, &[1]));
        assert_eq!((state.is_going(), state.stop().is_some()), (false, true));
        state.pass(0, 1);
        assert_eq!((state.is_going(), state.stop()), (true, None));
    }

    #[test]
    fn unreachable_brokers_stop_nothing_for_longer_than_they_are_away() {
        let mut state = started(&[1]);
        state.pass(0, 1);
        state.fail(Stop::Unreachable("timed out".to_owned()));
        assert!(!state.is_going());
        state.complete(reading(2, &[1]));
        assert!(state.is_going());
    }
}
