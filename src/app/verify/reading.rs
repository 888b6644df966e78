//! Reading everything that an audit needs.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use super::{Asked, Part, Stage, VerifyError, Window};
use crate::audit::{Appended, Consents, HeldAs, Inputs, Line, Message, Place, Record, Rules};
use crate::config::Ready;
use crate::follower::settings::Freshness;
use crate::kafka::extent::{Extent, Found, Reader, is_by_broker};
use crate::kafka::partition;
use crate::pipeline::settings::{Delivery, PipelineSettings};
use crate::source::Message as _;
use crate::time::{Clock, Timestamp};
use crate::wire::change::ConsentFormat;
use crate::wire::{held, record_proto};

/// Every so many messages it is told how far it is.
const TELL_EVERY: u64 = 1000;

/// What is to be read.
struct Extents {
    lines: Vec<Line>,
    sinks: Vec<Extent>,
    aside: Vec<Extent>,
    waiting: Vec<Extent>,
    events: Vec<Extent>,
    consents: Vec<Extent>,
    truncated: Vec<(String, i32)>,
    until: HashMap<(String, i32), i64>,
    partitions: BTreeMap<String, usize>,
    now: Timestamp,
}

/// Tells how far the reading is.
struct Meter<'p> {
    done: u64,
    total: u64,
    progress: &'p mut dyn FnMut(Stage, u64, u64),
}

impl Meter<'_> {
    fn pass(&mut self) {
        self.done += 1;
        if self.done.is_multiple_of(TELL_EVERY) {
            (self.progress)(Stage::Reading, self.done, self.total.max(self.done));
        }
    }
}

/// Reads it.
pub(super) fn read(
    ready: &Ready,
    rules: Rules,
    asked: &Asked,
    progress: &mut dyn FnMut(Stage, u64, u64),
) -> Result<Inputs, VerifyError> {
    let reader = Reader::new(&ready.cluster)?;
    let extents = settle(&reader, ready, &asked.window)?;
    let all = [&extents.sinks, &extents.aside, &extents.waiting, &extents.events, &extents.consents];
    let total = all.iter().flat_map(|all| all.iter()).map(Extent::len).sum();
    if total > asked.max_records {
        return Err(VerifyError::TooMany(total, asked.max_records));
    }
    let mut meter = Meter { done: 0, total, progress };
    let mut unreadable = 0;
    let mut messages =
        |extents: &[Extent], meter: &mut Meter<'_>| messages(&reader, extents, meter, &mut unreadable);
    let outputs = messages(&extents.sinks, &mut meter)?;
    let aside = messages(&extents.aside, &mut meter)?;
    let waiting = messages(&extents.waiting, &mut meter)?;
    let events = messages(&extents.events, &mut meter)?;
    let consents = consents(&reader, &extents.consents, ready, &rules, &mut meter)?;
    Ok(Inputs {
        rules,
        policy: ready.policy_hash.clone(),
        exactly_once: ready.line.delivery == Delivery::ExactlyOnce,
        barrier: matches!(ready.follower.freshness, Freshness::Barrier),
        sharded: ready.follower.share.is_part(),
        skew_ms: ready.policy.clock_skew_ms,
        patience_ms: asked.patience_ms,
        now_ms: extents.now.0,
        lines: extents.lines,
        consents,
        events,
        truncated: extents.truncated,
        until: extents.until,
        outputs,
        aside,
        waiting,
        unreadable,
        partitions: extents.partitions,
        partition: partition::choose,
        held: held_as,
    })
}

/// Settles the ends, in the order that the module's header argues.
fn settle(reader: &Reader, ready: &Ready, window: &Window) -> Result<Extents, VerifyError> {
    let mut partitions = BTreeMap::new();
    let mut whole = |topics: BTreeSet<String>, needed: bool| {
        let mut all = Vec::new();
        for topic in topics {
            match reader.whole(&topic)? {
                Some(extents) => {
                    partitions.insert(topic, extents.len());
                    all.extend(extents);
                }
                None if needed => return Err(VerifyError::Missing(topic)),
                None => {}
            }
        }
        Ok(all)
    };
    let each = |of: &dyn Fn(&PipelineSettings) -> Vec<String>| -> BTreeSet<String> {
        ready.pipelines.iter().flat_map(of).collect()
    };
    let before = whole(each(&|one| one.topics.clone()), true)?;
    let mut committed = Vec::new();
    for pipeline in &ready.pipelines {
        let own: Vec<Extent> =
            before.iter().filter(|one| pipeline.topics.contains(&one.topic)).cloned().collect();
        committed.push(reader.committed(&pipeline.group, &own)?);
    }
    let sinks = whole(each(&|one| one.sinks.iter().map(|sink| sink.name.clone()).collect()), false)?;
    let aside = whole(each(&|one| vec![one.quarantine.name.clone()]), false)?;
    let waiting = whole(each(&|one| one.holds().map(|(_, hold)| hold).collect()), false)?;
    let now = Clock::default().now();
    let mut events = whole(each(&|one| one.topics.clone()), true)?;
    let consents = whole(BTreeSet::from([ready.follower.topic.clone()]), true)?;
    let mut lines: Vec<Line> = ready
        .pipelines
        .iter()
        .zip(committed)
        .map(|(pipeline, committed)| Line {
            sources: pipeline.topics.clone(),
            sinks: pipeline.sinks.iter().map(|sink| sink.name.clone()).collect(),
            quarantine: pipeline.quarantine.name.clone(),
            hold: pipeline.hold.clone(),
            committed: committed.into_iter().collect(),
        })
        .collect();
    let until = cut(reader, window, &mut events, &mut lines)?;
    let truncated = events.iter().filter(|one| one.from > 0);
    let truncated = truncated.map(|one| (one.topic.clone(), one.partition)).collect();
    Ok(Extents { lines, sinks, aside, waiting, events, consents, truncated, until, partitions, now })
}

/// Takes of the sources what is asked for, and says where it ends.
fn cut(
    reader: &Reader,
    window: &Window,
    events: &mut [Extent],
    lines: &mut [Line],
) -> Result<HashMap<(String, i32), i64>, VerifyError> {
    let mut ends = HashMap::new();
    for Part { topic, partition, from, to } in &window.offsets {
        let mut own = events.iter_mut().filter(|one| one.topic == *topic && one.partition == *partition);
        let one = own.next().ok_or_else(|| VerifyError::NoSource(topic.clone(), *partition))?;
        if *from < one.from || *to > one.to {
            return Err(VerifyError::NotThere(topic.clone(), *partition, one.from, one.to));
        }
        one.from = *from;
        let key = (topic.clone(), *partition);
        for line in lines.iter_mut().filter(|line| line.sources.contains(topic)) {
            line.committed.insert(key.clone(), *to);
        }
        ends.insert(key, *to);
    }
    for one in events.iter_mut() {
        if let Some(until) = window.until_ms {
            let until = reader.since(one, until)?;
            let end = ends.entry((one.topic.clone(), one.partition)).or_insert(until);
            *end = until.min(*end);
        }
        if let Some(since) = window.since_ms {
            one.from = reader.since(one, since)?;
        }
    }
    Ok(ends)
}

/// The messages of these parts, sorted by topic, partition and offset.
fn messages(
    reader: &Reader,
    extents: &[Extent],
    meter: &mut Meter<'_>,
    unreadable: &mut u64,
) -> Result<Vec<Message>, VerifyError> {
    let mut all = Vec::new();
    for own in extents.chunk_by(|one, other| one.topic == other.topic) {
        let Some(topic) = own.first().map(|one| Arc::<str>::from(one.topic.as_str())) else { continue };
        reader.read(own, |message| {
            meter.pass();
            match read_one(&topic, message) {
                Some(message) => all.push(message),
                None => *unreadable += 1,
            }
        })?;
    }
    all.sort_by(|one, other| one.place.cmp(&other.place));
    Ok(all)
}

/// `None`: it has a header whose name the client does not show.
fn read_one(topic: &Arc<str>, message: &Found<'_>) -> Option<Message> {
    let own = |(name, value): &(&str, Option<&[u8]>)| ((*name).to_owned(), value.map(<[u8]>::to_vec));
    let headers = message.headers()?.iter().map(own).collect();
    Some(Message {
        place: Place { topic: Arc::clone(topic), partition: message.partition(), offset: message.offset() },
        record: Record {
            key: message.key().map(<[u8]>::to_vec),
            value: message.value().map(<[u8]>::to_vec),
            headers,
            timestamp: message.timestamp().map(|at| at.0.into()),
            topic: topic.to_string(),
        },
        appended: appended(message),
    })
}

/// When a message was appended, as far as anybody says.
fn appended(message: &Found<'_>) -> Option<Appended> {
    message.timestamp().map(|at| Appended { ms: at.0, by_broker: is_by_broker(message) })
}

fn consents(
    reader: &Reader,
    extents: &[Extent],
    ready: &Ready,
    rules: &Rules,
    meter: &mut Meter<'_>,
) -> Result<Consents, VerifyError> {
    /// What no reader takes for JSON: a message that does not decode.
    const NOTHING: &[u8] = b"";
    let mut consents = Consents::default();
    reader.read(extents, |message| {
        meter.pass();
        let made = match (ready.follower.format, message.value()) {
            (ConsentFormat::Protobuf, Some(bytes)) => {
                let json = record_proto::to_json(bytes).and_then(|json| serde_json::to_vec(&json).ok());
                Some(json.unwrap_or_else(|| NOTHING.to_vec()))
            }
            (ConsentFormat::Json, _) | (_, None) => None,
        };
        let value = made.as_deref().or(message.value());
        let place = (message.partition(), message.offset());
        let key = message.key().unwrap_or_default();
        consents.add(place, (key, value), appended(message), rules);
    })?;
    Ok(consents)
}

/// What a message of a hold topic says.
fn held_as(key: &[u8], value: &[u8]) -> Option<HeldAs> {
    let held = held::decode(value, held::read_key(key)?).ok()?;
    let record = held.record();
    let headers = record.headers.iter();
    let headers = headers.map(|(name, value)| ((*name).to_owned(), value.map(<[u8]>::to_vec))).collect();
    Some(HeldAs {
        reason: held.reason.word().to_owned(),
        deadlines: held.deadlines.iter().map(|(reason, until)| (reason.word().to_owned(), until.0)).collect(),
        record: Record {
            key: record.key.map(<[u8]>::to_vec),
            value: record.value.map(<[u8]>::to_vec),
            headers,
            timestamp: record.timestamp.map(|at| at.0.into()),
            topic: record.topic.to_owned(),
        },
    })
}
