//! What an audit is given: everything that was read, as it was read.

use std::collections::{BTreeMap, HashMap};
use std::ops::Range;
use std::sync::Arc;

use super::consents::Consents;
use crate::oracle::time::Millis;
use crate::oracle::{Pipeline, Record, Route, Rules};

/// Where a record stands.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Place {
    /// The topic.
    pub topic: Arc<str>,
    /// The partition.
    pub partition: i32,
    /// The offset.
    pub offset: i64,
}

/// Kafka's timestamp of a message, in milliseconds, and whose it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Appended {
    /// Milliseconds since the epoch.
    pub ms: i64,
    /// The broker set it when it appended the message; otherwise its producer did.
    pub by_broker: bool,
}

/// A message of any topic but the consent topic.
#[derive(Clone, Debug)]
pub struct Message {
    /// Where it stands.
    pub place: Place,
    /// What it holds.
    pub record: Record,
    /// When; `None`: it does not say.
    pub appended: Option<Appended>,
}

/// A pipeline's topics, in the configuration's order.
#[derive(Clone, Debug)]
pub struct Line {
    /// What it reads.
    pub sources: Vec<String>,
    /// The sink of each route.
    pub sinks: Vec<String>,
    /// Its quarantine.
    pub quarantine: String,
    /// What its hold topics begin with: `HOLD.SOURCE`.
    pub hold: Option<String>,
    /// Up to where its group has committed, by source and partition.
    pub committed: HashMap<(String, i32), i64>,
}

/// Everything that was read.
pub struct Inputs {
    /// The configuration.
    pub rules: Rules,
    /// The hash that this configuration's records carry.
    pub policy: String,
    /// Nothing is repeated, and order is kept.
    pub exactly_once: bool,
    /// Consent is as fresh as the barrier has it, not as old as `within` lets it be.
    pub barrier: bool,
    /// Of a subject only what is said on the partition counts that its event stands on.
    pub sharded: bool,
    /// How far clocks may differ, in milliseconds.
    pub skew_ms: i64,
    /// How long it may take until what is due is done, in milliseconds.
    pub patience_ms: i64,
    /// Now: when reading began, in milliseconds.
    pub now_ms: i64,
    /// The topics of each pipeline.
    pub lines: Vec<Line>,
    /// What people said.
    pub consents: Consents,
    /// What was read of the sources; sorted by topic, partition and offset.
    pub events: Vec<Message>,
    /// Sources that were not read from their first record on: topics and partitions.
    pub truncated: Vec<(String, i32)>,
    /// Where what is audited of a source ends, by topic and partition. What stands behind is read for what comes from
    /// it, and nothing is said of it.
    pub until: HashMap<(String, i32), i64>,
    /// What was read of the sinks, each partition in order.
    pub outputs: Vec<Message>,
    /// What was read of the quarantines.
    pub aside: Vec<Message>,
    /// What was read of the hold topics, each partition in order; a value that is null: it waits no longer.
    pub waiting: Vec<Message>,
    /// Messages that were left out, because the client cannot show their headers.
    pub unreadable: u64,
    /// How many partitions each topic has.
    pub partitions: BTreeMap<String, usize>,
    /// The partition that a record with this key goes to that stood on one of so many: key, from, of, of the sink.
    pub partition: fn(Option<&[u8]>, i32, usize, usize) -> i32,
    /// What a message of a hold topic says: key and value.
    pub held: fn(&[u8], &[u8]) -> Option<HeldAs>,
}

/// A record that waits, as a hold topic keeps it.
#[derive(Clone, Debug, Default)]
pub struct HeldAs {
    /// Why.
    pub reason: String,
    /// Until when for which reason.
    pub deadlines: Vec<(String, i64)>,
    /// The record as it came.
    pub record: Record,
}

impl Inputs {
    /// The numbers of a pipeline's routes among all.
    pub(super) fn routes_of(&self, line: usize) -> Range<usize> {
        let count = |pipelines: &[Pipeline]| pipelines.iter().map(|pipeline| pipeline.routes.len()).sum();
        let pipelines = &self.rules.pipelines;
        let from: usize = count(pipelines.get(..line).unwrap_or_default());
        let own = pipelines.get(line).map_or(0, |pipeline| pipeline.routes.len());
        from..from + own
    }

    /// Every route: its number, its pipeline's number, and its place there.
    pub(super) fn routes(&self) -> impl Iterator<Item = (usize, usize, usize)> {
        let each =
            |(line, pipeline): (usize, &Pipeline)| (0..pipeline.routes.len()).map(move |own| (line, own));
        let all = self.rules.pipelines.iter().enumerate().flat_map(each);
        all.enumerate().map(|(number, (line, own))| (number, line, own))
    }

    /// A route by its number, with its pipeline and its sink.
    pub(super) fn route(&self, number: usize) -> Option<(&Pipeline, &Route, &str)> {
        let mut first = 0;
        for (line, pipeline) in self.rules.pipelines.iter().enumerate() {
            let count = pipeline.routes.len();
            if number < first + count {
                return self.route_at(line, number - first);
            }
            first += count;
        }
        None
    }

    /// The same, by its pipeline's number and its place there.
    pub(super) fn route_at(&self, line: usize, own: usize) -> Option<(&Pipeline, &Route, &str)> {
        let pipeline = self.rules.pipelines.get(line)?;
        Some((pipeline, pipeline.routes.get(own)?, self.lines.get(line)?.sinks.get(own)?))
    }

    /// Pipeline and route, as they are called.
    pub(super) fn names(&self, number: usize) -> (String, String) {
        let named =
            self.route(number).map(|(pipeline, route, _)| (pipeline.name.clone(), route.name.clone()));
        named.unwrap_or_default()
    }

    /// The partition of its sink that a record of a route belongs to, with the key that this one has there, if it comes
    /// from this partition of a source.
    pub(super) fn home(
        &self,
        route: usize,
        (topic, partition): (&str, i32),
        output: &Message,
    ) -> Option<i32> {
        let (.., sink) = self.route(route)?;
        let (of, to) = (self.partitions.get(topic)?, self.partitions.get(sink)?);
        Some((self.partition)(output.record.key.as_deref(), partition, *of, *to))
    }

    pub(super) fn is_truncated(&self, topic: &str, partition: i32) -> bool {
        self.truncated.iter().any(|(own, at)| own == topic && *at == partition)
    }

    /// The partitions that this pipeline reads and that were not read from their beginning.
    pub(super) fn missed(&self, line: usize) -> impl Iterator<Item = &(String, i32)> {
        let sources = self.lines.get(line).map_or(&[][..], |line| &line.sources);
        self.truncated.iter().filter(|(topic, _)| sources.contains(topic))
    }
}

/// The events, and when each had been appended at the latest.
pub(super) struct Events<'i> {
    inputs: &'i Inputs,
    appended: Vec<Option<Appended>>,
    by_place: HashMap<(&'i str, i32, i64), usize>,
    /// The deletions of a key on a partition, in order.
    deletions: HashMap<(&'i str, i32, &'i [u8]), Vec<usize>>,
}

impl<'i> Events<'i> {
    /// A producer's timestamp may lie ahead. But nothing was appended after what stands behind it, nor after now.
    pub fn new(inputs: &'i Inputs) -> Self {
        let mut appended = vec![None; inputs.events.len()];
        let mut least: Option<(&str, i32, i64)> = None;
        for (number, event) in inputs.events.iter().enumerate().rev() {
            let place = &event.place;
            let behind = least
                .filter(|(topic, partition, _)| (*topic, *partition) == (&*place.topic, place.partition));
            let own = event.appended.filter(|appended| appended.ms >= 0);
            let all =
                own.map(|own| own.ms).into_iter().chain(behind.map(|(.., ms)| ms)).chain([inputs.now_ms]);
            let ms = all.min().unwrap_or(inputs.now_ms);
            least = Some((&place.topic, place.partition, ms));
            if let Some(slot) = appended.get_mut(number) {
                *slot = own.map(|own| Appended { ms, ..own });
            }
        }
        let place = |place: &'i Place| (&*place.topic, place.partition, place.offset);
        let by_place = inputs.events.iter().enumerate().map(|(number, event)| (place(&event.place), number));
        let mut deletions: HashMap<_, Vec<usize>> = HashMap::new();
        for (number, event) in inputs.events.iter().enumerate() {
            if let (Some(key), None) = (&event.record.key, &event.record.value) {
                let key = (&*event.place.topic, event.place.partition, key.as_slice());
                deletions.entry(key).or_default().push(number);
            }
        }
        Self { inputs, appended, by_place: by_place.collect(), deletions }
    }

    pub fn get(&self, number: usize) -> Option<&'i Message> {
        self.inputs.events.get(number)
    }

    pub fn at(&self, topic: &str, partition: i32, offset: i64) -> Option<usize> {
        self.by_place.get(&(topic, partition, offset)).copied()
    }

    /// The deletions of an event's key behind it on its partition.
    pub fn deletions_after(&self, number: usize) -> &[usize] {
        let key = self.get(number).and_then(|event| {
            Some((&*event.place.topic, event.place.partition, event.record.key.as_deref()?))
        });
        let all = key.and_then(|key| self.deletions.get(&key)).map_or(&[][..], Vec::as_slice);
        all.get(all.partition_point(|deletion| *deletion <= number)..).unwrap_or_default()
    }

    pub fn appended(&self, number: usize) -> Option<Appended> {
        self.appended.get(number).copied().flatten()
    }

    /// The numbers of those that a pipeline reads, in order.
    pub fn of_line(&self, line: usize) -> Vec<usize> {
        let sources = self.inputs.lines.get(line).map_or(&[][..], |line| &line.sources);
        let is_read = |event: &Message| sources.iter().any(|source| **source == *event.place.topic);
        let all = self.inputs.events.iter().enumerate();
        all.filter(|(_, event)| is_read(event)).map(|(number, _)| number).collect()
    }

    /// Whether it is audited, and not only read.
    pub fn is_audited(&self, number: usize) -> bool {
        let place = self.get(number).map(|event| &event.place);
        let end = |place: &Place| self.inputs.until.get(&(place.topic.to_string(), place.partition));
        place.is_some_and(|place| end(place).is_none_or(|end| place.offset < *end))
    }

    /// Whether what was written at this time may come from it: not what stood there before it came.
    pub fn may_precede(&self, number: usize, written: Option<Appended>) -> bool {
        let own = self.appended(number).map(|own| own.ms);
        let written = written.filter(|written| written.by_broker).map(|written| written.ms);
        own.zip(written).is_none_or(|(own, written)| own <= written + self.inputs.skew_ms)
    }

    /// Whether the group of a pipeline has done with it.
    pub fn is_due(&self, number: usize, line: usize) -> bool {
        let (Some(event), Some(line)) = (self.get(number), self.inputs.lines.get(line)) else { return false };
        let committed = line.committed.get(&(event.place.topic.to_string(), event.place.partition));
        committed.is_some_and(|committed| event.place.offset < *committed)
    }

    /// The earliest at which it may have been decided, and the latest.
    pub fn decided_within(&self, number: usize) -> (Millis, Millis) {
        /// Where nothing says when a record came, as much of the past is looked at.
        const UNKNOWN_MS: i64 = 400 * 86_400_000;
        let now = self.inputs.now_ms;
        let from =
            self.appended(number).map_or(now - UNKNOWN_MS, |appended| appended.ms - self.inputs.skew_ms);
        (from.into(), now.into())
    }
}
