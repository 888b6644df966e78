//! A topic followed by hand, over the simulated brokers.

use std::{
    collections::BTreeMap,
    sync::{
        Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use consentry::source::{Begin, Failure, Feed, Place, Polled, Purpose, TopicError, Topics};

use super::{
    cluster::{SimCluster, SimMessage, passing},
    lies::Lie,
    log::{Found, Log, Stored},
    world::{Core, LOGS},
};

/// Where a partition is read on, and the end that was told last.
struct Position {
    next: i64,
    told: Option<i64>,
    /// The topic, among those of the same name.
    topic: u64,
    slow_until: Duration,
}

pub struct SimFeed {
    cluster: SimCluster,
    purpose: Purpose,
    reads: Mutex<BTreeMap<Place, Position>>,
    /// How often a topic was found to be another one.
    changes: AtomicU64,
    /// The id of the topic that it is to be, if that was said.
    expected: AtomicU64,
    /// Which of the feeds of its process it is.
    number: u64,
}

impl SimFeed {
    pub fn new(cluster: SimCluster, purpose: Purpose) -> Self {
        let number = {
            let own = &mut cluster.world.core().processes[cluster.process].feeds;
            *own += 1;
            *own
        };
        let (changes, expected) = (AtomicU64::new(0), AtomicU64::new(u64::MAX));
        Self { cluster, purpose, reads: Mutex::default(), changes, expected, number }
    }

    /// It locked itself up: it gives nothing any more.
    fn is_dead(&self, core: &Core) -> bool {
        self.number <= core.processes[self.cluster.process].dead_feeds
    }

    /// What a partition has at an offset. Lies: what is not committed is seen too, or some of it is not.
    fn find(&self, core: &mut Core, place: &Place, from: i64) -> Option<Found> {
        let uncommitted = core.lies(Lie::UncommittedConsents) && self.purpose == Purpose::Consent;
        let log = core.broker.log(place)?;
        let mut found = if uncommitted { log.peek(from) } else { log.read(from) };
        while let Found::Record(at, record) = &found {
            if !self.is_kept_from(core.lie, (place.1, *at), record) {
                break;
            }
            let log = core.broker.log(place)?;
            found = if uncommitted { log.peek(at + 1) } else { log.read(at + 1) };
        }
        Some(found)
    }

    fn is_kept_from(&self, lie: Option<Lie>, (partition, at): (i32, i64), record: &Stored) -> bool {
        match (lie, self.purpose) {
            (Some(Lie::LostTombstones), Purpose::Consent) => record.value.is_none(),
            (Some(Lie::InvalidIsNothing), Purpose::Consent) => {
                record.value.as_ref().is_some_and(|value| !value.starts_with(b"{"))
            }
            (Some(Lie::LostStrays), Purpose::Consent) => {
                // The key ends with the person's number.
                record.key.as_ref().and_then(|key| key.last()).is_some_and(|n| i32::from(n % 2) != partition)
            }
            (Some(Lie::ForgottenHolds), Purpose::Held) => record.value.is_some() && at % 2 == 0,
            _ => false,
        }
    }

    /// The next message or end that there is now.
    fn next(&self, core: &mut Core) -> Option<Polled<SimMessage>> {
        let now = core.now();
        let mut reads = self.reads.lock().unwrap();
        let is_other = |(place, position): (&Place, &Position)| {
            core.broker.topics.get(&place.0).is_some_and(|topic| topic.id != position.topic)
        };
        if reads.iter().any(is_other) {
            reads.clear();
            self.changes.fetch_add(1, Ordering::Relaxed);
            return None;
        }
        let mut places: Vec<Place> = reads.keys().cloned().collect();
        core.stage.dice.shuffle(&mut places);
        for place in places {
            let found = self.find(core, &place, reads[&place].next);
            let position = reads.get_mut(&place)?;
            if position.slow_until > now {
                continue;
            }
            if core.stage.dice.u32(0..40) == 0 {
                position.slow_until = now + Duration::from_micros(core.stage.dice.u64(0..30_000));
            }
            match found {
                None => {}
                Some(Found::Record(offset, record)) => {
                    (position.next, position.told) = (offset + 1, None);
                    let topic = place.0.as_str().into();
                    return Some(Polled::Message(SimMessage {
                        topic,
                        partition: place.1,
                        offset,
                        record,
                        _out: None,
                    }));
                }
                Some(Found::End(end)) => {
                    let end = end.max(position.next);
                    position.next = end;
                    if position.told != Some(end) {
                        position.told = Some(end);
                        let far = if core.lies(Lie::EarlyEnd) { end + 2 } else { end };
                        return Some(Polled::End(place.1, Some(far)));
                    }
                }
            }
        }
        None
    }
}

impl Feed for SimFeed {
    type Message<'m> = SimMessage;

    fn poll(&self, patience: Duration) -> Option<Result<Polled<SimMessage>, Failure>> {
        let SimCluster { world, process } = &self.cluster;
        if !world.step(*process, false) {
            return None;
        }
        // Whoever waits for nothing may as well be late: fewer turns, and no other order.
        let longest = patience * 8;
        let deadline = world.core().now() + longest;
        loop {
            let mut core = world.core();
            let topic = self.reads.lock().unwrap().keys().next().map(|place| place.0.clone());
            let is_dead = self.is_dead(&core);
            let reached = topic.is_none_or(|topic| self.cluster.reaches(&core, &topic)) && !is_dead;
            if let Some(polled) = if reached { self.next(&mut core) } else { None } {
                return Some(Ok(polled));
            }
            if core.now() >= deadline {
                return (!reached && !is_dead && core.stage.dice.bool())
                    .then(|| Err(passing("no broker answers")));
            }
            let left = deadline - core.now();
            let slow = self
                .reads
                .lock()
                .unwrap()
                .values()
                .map(|one| one.slow_until)
                .filter(|at| *at > core.now())
                .min();
            let left = slow.map_or(left, |at| left.min(at - core.now()));
            drop(core);
            world.wait(*process, LOGS, left);
        }
    }

    fn expect(&self, topic_id: &str) {
        self.expected.store(topic_id.parse().unwrap(), Ordering::Relaxed);
    }

    fn changes(&self) -> u64 {
        self.changes.load(Ordering::Relaxed)
    }

    fn assign(&self, topic: &str, from: &[(i32, Begin)]) -> Result<(), Failure> {
        self.cluster.world.step(self.cluster.process, false);
        let core = self.cluster.world.core();
        let expected = self.expected.load(Ordering::Relaxed);
        let id = core.broker.topics.get(topic).map_or(0, |topic| topic.id);
        let id = if expected == u64::MAX { id } else { expected };
        for (partition, begin) in from {
            let place = (topic.to_owned(), *partition);
            let next = match begin {
                Begin::First => core.broker.log(&place).map_or(0, Log::low),
                Begin::At(at) => *at,
            };
            let position = Position { next, told: None, topic: id, slow_until: Duration::ZERO };
            self.reads.lock().unwrap().insert(place, position);
        }
        Ok(())
    }

    fn ends(&self, topic: &str, _: usize) -> Result<Vec<i64>, TopicError> {
        self.cluster.partitions(topic)?;
        let core = self.cluster.world.core();
        Ok(core.broker.topics[topic].logs.iter().map(Log::stable).collect())
    }
}
