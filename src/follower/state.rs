//! How far the cache has come, and whether anything may be decided: the barrier's arithmetic.
//!
//! Pure: it is told what was read and when, and answers. For each consent partition that is followed, `passed`
//! is the offset below which everything committed has been applied: one past the last record, or the end of
//! the partition where it was polled. A reading of the high watermarks is met when every partition that is
//! waited for has passed its own.
//!
//! Each time that a partition begins to be followed has a number of its own, so that nothing that was said of
//! an earlier time counts for a later one.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use super::plan::{Mark, Plan, Point};
use super::share::{Holder, Share};
use crate::time::Instant;

/// What stops every decision until it is over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Stop {
    /// The topic is not there.
    Missing,
    /// The topic cannot be followed as it is configured.
    Unsuitable(String),
    /// It has not as many partitions as the source topics, and must have.
    Uneven(String),
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

/// How far a partition that is followed has come.
#[derive(Debug)]
struct Progress {
    /// The number of this time of following it.
    follow: u64,
    /// When that began, and how long before that what it began with was last at the end.
    since: Instant,
    age: Duration,
    /// The offset below which everything is applied; `None` until the reader has begun.
    passed: Option<i64>,
    /// The beginning of the last reading that it has met.
    fresh_at: Option<Instant>,
}

/// The state of following one topic.
#[derive(Debug)]
pub struct State {
    share: Share,
    followed: BTreeMap<usize, Progress>,
    /// How many partitions there are.
    count: usize,
    /// How often anything began to be followed, and how often it was decided anew what to follow.
    follows: u64,
    plans: u64,
    /// The last reading wanted, begun, and complete.
    wanted: u64,
    begun: u64,
    reading: Option<Reading>,
    /// How often the topic was read from its beginning, and how long it keeps a tombstone.
    resets: u64,
    tombstones_kept: Option<Duration>,
    /// Why the topic must be read from the start.
    reset: Option<String>,
    topic_id: Option<String>,
    stop: Option<Stop>,
}

impl State {
    /// Of a topic that has not been looked at.
    pub fn new(share: Share) -> Self {
        Self {
            share,
            followed: BTreeMap::new(),
            count: 0,
            follows: 0,
            plans: 0,
            wanted: 0,
            begun: 0,
            reading: None,
            resets: 0,
            tombstones_kept: None,
            reset: Some("the start".to_owned()),
            topic_id: None,
            stop: None,
        }
    }

    /// The number of the next reading to begin, which is now wanted.
    pub const fn want(&mut self) -> u64 {
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
        }
        self.stop = Some(stop);
    }

    /// What is applied now: ends that are asked for after this cannot be below it.
    pub fn mark(&self) -> Mark {
        let marked = |(at, progress): (&usize, &Progress)| Some((*at, (progress.follow, progress.passed?)));
        self.followed.iter().filter_map(marked).collect()
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
        let is_behind = |(at, (number, passed)): &(&usize, &(u64, i64))| {
            let same = self.followed.get(at).is_some_and(|now| now.follow == *number);
            same && ends.get(**at).is_some_and(|end| end < passed)
        };
        if other {
            Some("the topic was made anew".to_owned())
        } else if ends.len() < self.count {
            Some("the topic has fewer partitions".to_owned())
        } else if ends.len() > self.count && self.share.is_part() {
            // Which partition a key belongs to is another question now, for those applied already too.
            Some("the topic has more partitions".to_owned())
        } else {
            let behind = mark.iter().find(is_behind);
            behind.map(|(partition, _)| format!("the end of partition {partition} went back"))
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
        self.followed.values().any(|progress| match progress.fresh_at {
            Some(at) => at.elapsed_at_most() > kept / 2,
            None => progress.since.elapsed_at_most().saturating_add(progress.age) > kept,
        })
    }

    /// The topic is to be read from its beginning.
    pub fn reset(&mut self, partitions: usize, topic_id: Option<String>) {
        self.followed.clear();
        self.count = partitions;
        self.resets += 1;
        self.plans += 1;
        self.reset = None;
        self.reading = None;
        self.topic_id = topic_id;
        self.follow();
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
    }

    /// A message could not be fetched: everything is read again.
    pub fn broken(&mut self, why: String) {
        self.stop = Some(Stop::Broken(why.clone()));
        self.reset = Some(why);
    }

    /// Partitions were added: so many are there now.
    pub fn extend(&mut self, partitions: usize) {
        self.count = partitions;
        self.follow();
    }

    /// A worker has events of these partitions, and of no other.
    pub fn hold(&mut self, holder: Holder, partitions: BTreeSet<usize>) {
        self.share.hold(holder, partitions);
        self.follow();
    }

    /// Begins to follow what is to be followed from its beginning, and ends what is not.
    pub fn follow(&mut self) {
        let wanted = self.share.followed(self.count);
        let before = (self.followed.len(), self.follows);
        self.followed.retain(|partition, _| wanted.contains(partition));
        let mut changed = self.followed.len() != before.0;
        for partition in wanted {
            self.followed.entry(partition).or_insert_with(|| {
                self.follows += 1;
                Progress {
                    follow: self.follows,
                    since: Instant::now(),
                    age: Duration::ZERO,
                    passed: None,
                    fresh_at: None,
                }
            });
        }
        changed |= self.follows != before.1;
        self.plans += u64::from(changed);
    }

    /// What a partition begins with was last at the end so long ago.
    pub fn restored(&mut self, partition: usize, number: u64, age: Duration) {
        let progress = self.followed.get_mut(&partition);
        if let Some(progress) = progress.filter(|progress| progress.follow == number) {
            progress.age = age;
        }
    }

    /// What may be kept of the cache as it is now: nothing, unless all of it is loaded and nothing stops
    /// decisions.
    pub fn point(&self) -> Option<Point> {
        let topic_id = self.topic_id.clone().filter(|_| self.is_going())?;
        let ages = self.followed.values().map(|progress| progress.fresh_at.map(Instant::elapsed_at_most));
        let age = ages.collect::<Option<Vec<_>>>()?.into_iter().max()?;
        Some(Point { resets: self.resets, topic_id, partitions: self.count, age, passed: self.mark() })
    }

    /// Which topic it is, as far as that is known.
    pub fn topic_id(&self) -> Option<&str> {
        self.topic_id.as_deref()
    }

    /// Which topic it is, how many partitions it has, and how long it keeps a tombstone.
    pub fn topic(&self) -> Option<(&str, usize, Duration)> {
        Some((self.topic_id.as_deref()?, self.count, self.tombstones_kept?))
    }

    /// What is to be followed and the number of that plan, unless it is the one that is known.
    pub fn plan(&self, known: u64) -> Option<(u64, Plan)> {
        let follows = || self.followed.iter().map(|(at, progress)| (*at, progress.follow)).collect();
        (self.plans != known)
            .then(|| (self.plans, Plan { resets: self.resets, count: self.count, follows: follows() }))
    }

    /// How often the topic has been read from its beginning.
    pub const fn resets(&self) -> u64 {
        self.resets
    }

    /// How many partitions there are.
    pub const fn partitions(&self) -> usize {
        self.count
    }

    /// Those that are followed.
    pub fn followed(&self) -> impl Iterator<Item = usize> {
        self.followed.keys().copied()
    }

    /// A reading is complete.
    pub fn complete(&mut self, reading: Reading) {
        match self.stop {
            Some(Stop::Missing | Stop::Unsuitable(_) | Stop::Uneven(_) | Stop::Unreachable(_)) => {
                self.stop = None;
            }
            Some(Stop::Broken(_)) | None => {}
        }
        self.reading = Some(reading);
        self.meet();
    }

    /// Partitions have been applied up to these offsets; what is told of another time of following one is void.
    pub fn pass(&mut self, told: impl IntoIterator<Item = (usize, u64, i64)>) {
        for (partition, number, offset) in told {
            let progress = self.followed.get_mut(&partition);
            if let Some(progress) = progress.filter(|progress| progress.follow == number) {
                progress.passed = progress.passed.max(Some(offset));
            }
        }
        self.meet();
    }

    fn meet(&mut self) {
        let Some(reading) = &self.reading else { return };
        for (partition, progress) in &mut self.followed {
            let target = reading.targets.get(*partition);
            if progress.passed.zip(target).is_some_and(|(passed, target)| passed >= *target) {
                progress.fresh_at = progress.fresh_at.max(Some(reading.began));
            }
        }
        if self.is_loaded() && matches!(self.stop, Some(Stop::Broken(_))) {
            self.stop = None;
        }
    }

    /// Whether every partition that a worker waits for has passed its target.
    pub fn has_passed(&self, targets: &[i64], holder: Holder) -> bool {
        let passed = |partition: usize, target: &i64| {
            self.followed.get(&partition).and_then(|now| now.passed).is_some_and(|passed| passed >= *target)
        };
        match self.share.of(holder) {
            None => targets.iter().enumerate().all(|(partition, target)| passed(partition, target)),
            Some(held) => held.iter().all(|at| targets.get(*at).is_some_and(|target| passed(*at, target))),
        }
    }

    /// Up to where a partition is applied, if anything is; `None` where it is not followed.
    pub fn passed(&self, partition: usize) -> Option<Option<i64>> {
        self.followed.get(&partition).map(|progress| progress.passed.filter(|_| self.reset.is_none()))
    }

    /// The last complete reading.
    pub const fn reading(&self) -> Option<&Reading> {
        self.reading.as_ref()
    }

    /// The partitions that have not passed the last reading, and where they stand.
    pub fn behind(&self) -> Vec<(usize, i64, i64)> {
        let Some(reading) = &self.reading else { return Vec::new() };
        let stands = |(at, progress): (&usize, &Progress)| {
            let (passed, target) = (progress.passed.unwrap_or(0), *reading.targets.get(*at)?);
            (passed < target).then_some((*at, passed, target))
        };
        self.followed.iter().filter_map(stands).collect()
    }

    /// The beginning of the last reading that was met by all that is followed: what is held of them is all that
    /// was acknowledged by then.
    pub fn fresh_at(&self) -> Option<Instant> {
        let reading = self.reading.as_ref().map(|reading| reading.began);
        let all = self.followed.values().map(|progress| progress.fresh_at);
        all.min().unwrap_or(reading)
    }

    /// The same of what a worker waits for.
    pub fn fresh_at_for(&self, holder: Holder) -> Option<Instant> {
        let Some(held) = self.share.of(holder) else { return self.fresh_at() };
        let fresh_at = |at: &usize| self.followed.get(at).and_then(|progress| progress.fresh_at);
        held.iter().map(fresh_at).min().flatten()
    }

    /// Whether nothing stops decisions on what is applied.
    pub const fn is_going(&self) -> bool {
        self.stop.is_none() && self.reset.is_none()
    }

    /// Whether everything that is followed has been applied once.
    pub fn is_loaded(&self) -> bool {
        self.reset.is_none()
            && self.reading.is_some()
            && self.followed.values().all(|progress| progress.fresh_at.is_some())
    }

    /// Whether there is anything on partitions that are not followed.
    pub fn has_elsewhere(&self) -> bool {
        let targets = self.reading.iter().flat_map(|reading| reading.targets.iter().enumerate());
        targets.into_iter().any(|(at, end)| *end > 0 && !self.followed.contains_key(&at))
    }

    /// What stops decisions.
    pub const fn stop(&self) -> Option<&Stop> {
        self.stop.as_ref()
    }

    /// How many records are applied and how many there are, over all that is followed.
    pub fn progress(&self) -> (i64, i64) {
        let target = |at: &usize| self.reading.as_ref().and_then(|reading| reading.targets.get(*at));
        let targets = self.followed.keys().filter_map(target).sum();
        (self.followed.values().filter_map(|progress| progress.passed).sum(), targets)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reading(number: u64, targets: &[i64]) -> Reading {
        Reading { number, began: Instant::now(), targets: targets.into() }
    }

    fn started(targets: &[i64]) -> State {
        let mut state = State::new(Share::Whole);
        assert!(state.went_back(&state.mark(), targets, Some("id")).is_some(), "nothing is followed yet");
        reset(&mut state, targets.len());
        state.begin();
        state.complete(reading(1, targets));
        state
    }

    /// Reads the topic from the start; the reader has begun.
    fn reset(state: &mut State, partitions: usize) {
        state.reset(partitions, Some("id".to_owned()));
        begun(state);
    }

    fn begun(state: &mut State) {
        let (_, plan) = state.plan(0).unwrap();
        state.pass(plan.follows.iter().map(|(at, number)| (*at, *number, 0)));
    }

    /// Something was applied, as the reader tells it that has obeyed the last plan.
    fn pass(state: &mut State, partition: usize, offset: i64) {
        let number = state.plan(0).unwrap().1.follows.get(&partition).copied().unwrap_or(0);
        state.pass([(partition, number, offset)]);
    }

    fn is_open(state: &State, targets: &[i64]) -> bool {
        state.is_going() && state.has_passed(targets, WORKER)
    }

    const WORKER: Holder = (0, 0);

    #[test]
    fn nothing_is_decided_before_every_partition_has_passed_the_end_as_of_the_start() {
        let targets = [2, 0, 5];
        let mut state = started(&targets);
        pass(&mut state, 0, 2);
        assert!(!is_open(&state, &targets) && !state.is_loaded() && state.fresh_at().is_none());
        pass(&mut state, 2, 4);
        assert_eq!((is_open(&state, &targets), state.behind()), (false, vec![(2, 4, 5)]));
        pass(&mut state, 2, 5);
        assert!(is_open(&state, &targets) && state.is_loaded() && state.fresh_at().is_some());
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
        pass(&mut state, 0, 1);
        state.keeps_tombstones(Duration::from_secs(3600));
        assert_eq!(state.went_back(&state.mark(), &[1], Some("id")), None);
        state.keeps_tombstones(Duration::ZERO);
        std::thread::sleep(Duration::from_millis(1));
        assert!(state.went_back(&state.mark(), &[1], Some("id")).is_some());
    }

    #[test]
    fn a_topic_that_went_back_is_read_from_the_start() {
        let mut state = started(&[3, 3]);
        pass(&mut state, 0, 3);
        pass(&mut state, 1, 3);
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
        pass(&mut state, 0, 3);
        let mark = state.mark();
        pass(&mut state, 0, 5);
        assert_eq!(
            state.went_back(&mark, &[4], Some("id")),
            None,
            "the answer is older than the last message"
        );
        assert!(state.went_back(&state.mark(), &[4], Some("id")).is_some());
        reset(&mut state, 1);
        assert_eq!(state.went_back(&mark, &[1], Some("id")), None, "the mark is of the reading before");
    }

    #[test]
    fn what_could_not_be_fetched_stops_until_all_was_read_again() {
        let mut state = started(&[1]);
        pass(&mut state, 0, 1);
        state.broken("bad compression".to_owned());
        state.complete(reading(2, &[1]));
        assert!(!state.is_going());
        assert!(state.went_back(&state.mark(), &[1], Some("id")).is_some());
        reset(&mut state, 1);
        state.complete(reading(3, &[1]));
        assert_eq!((state.is_going(), state.stop().is_some()), (false, true));
        pass(&mut state, 0, 1);
        assert_eq!((state.is_going(), state.stop()), (true, None));
    }

    #[test]
    fn unreachable_brokers_stop_nothing_for_longer_than_they_are_away() {
        let mut state = started(&[1]);
        pass(&mut state, 0, 1);
        state.fail(Stop::Unreachable("timed out".to_owned()));
        assert!(!state.is_going());
        state.complete(reading(2, &[1]));
        assert!(state.is_going());
    }

    #[test]
    fn nothing_counts_before_the_reader_has_begun() {
        let mut state = started(&[0]);
        assert!(state.is_loaded(), "an empty partition is passed at once");
        state.reset(1, Some("id".to_owned()));
        state.complete(reading(2, &[0]));
        assert!(!is_open(&state, &[0]) && !state.is_loaded(), "what was there has not been discarded");
        begun(&mut state);
        assert!(is_open(&state, &[0]) && state.is_loaded());
    }

    fn partly(held: &[usize], targets: &[i64]) -> State {
        let mut state = State::new(Share::Held(super::super::share::Held::default()));
        state.hold(WORKER, held.iter().copied().collect());
        reset(&mut state, targets.len());
        state.complete(reading(1, targets));
        state
    }

    #[test]
    fn a_worker_waits_for_the_partitions_that_it_has() {
        let targets = [1, 2, 3, 4];
        let mut state = partly(&[1], &targets);
        assert_eq!(state.followed().collect::<Vec<_>>(), [1]);
        assert!(state.has_elsewhere(), "there is something on the others");
        pass(&mut state, 1, 2);
        assert!(is_open(&state, &targets) && state.is_loaded());
        let other = (0, 1);
        state.hold(other, BTreeSet::from([3]));
        begun(&mut state);
        assert!(is_open(&state, &targets), "what another worker waits for is no matter");
        assert!(!state.has_passed(&targets, other) && !state.is_loaded());
        assert_eq!((state.fresh_at(), state.fresh_at_for(other)), (None, None));
        assert!(state.fresh_at_for(WORKER).is_some());
        pass(&mut state, 3, 4);
        assert!(state.has_passed(&targets, other) && state.is_loaded());
        state.hold(other, BTreeSet::from([3, 4]));
        assert!(!state.has_passed(&targets, other), "there is no partition 4");
    }

    #[test]
    fn what_was_said_of_an_earlier_time_of_following_is_void() {
        let targets = [1, 2];
        let mut state = partly(&[1], &targets);
        let (known, plan) = state.plan(0).unwrap();
        let old = plan.follows[&1];
        state.pass([(1, old, 2)]);
        assert!(is_open(&state, &targets) && state.plan(known).is_none(), "nothing new to follow");
        // As it is when nobody had it for too long.
        state.followed.clear();
        state.hold(WORKER, BTreeSet::from([1]));
        assert!(state.plan(known).is_some());
        state.pass([(1, old, 2)]);
        assert!(!is_open(&state, &targets), "the reader has not forgotten it yet");
        pass(&mut state, 1, 2);
        assert!(is_open(&state, &targets));
    }

    #[test]
    fn with_another_number_of_partitions_a_part_is_read_anew() {
        let state = partly(&[1], &[1, 2]);
        assert_eq!(state.went_back(&state.mark(), &[1, 2], Some("id")), None);
        assert!(state.went_back(&state.mark(), &[1, 2, 0], Some("id")).is_some());
        assert!(state.went_back(&state.mark(), &[1], Some("id")).is_some());
    }

    #[test]
    fn a_process_without_partitions_waits_for_nothing() {
        let state = partly(&[], &[0, 0]);
        assert!(state.is_loaded() && state.is_going() && state.fresh_at().is_some());
        assert!(!state.has_elsewhere(), "the topic is empty");
    }
}
