//! The checks of a commit: that everything in it may be out, that nothing is missing, and what it counts.
//!
//! A transaction is looked at when it is decided, in the order in which they are: what it reads, what it releases, what
//! it writes. Everything must have an event that is its cause, and every event an end that the second implementation
//! gives it for something that may have been known when its batch was claimed. The first thing that does not fit is told.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use consentry::{source::Place, wire::held};

use super::{
    broker::Txn,
    expect::{Verdict, Verdicts, verdicts},
    ledger::{Batch, Counted, Event, Fate, Ledger, Version, Waits, Worker},
    log::Stored,
    town::{HOLD, LETTER_BYTES, QUARANTINE, ROUTES, SINKS, SOURCE},
};

type Written = (Place, i64, Arc<Stored>);

/// Something that may have been known.
#[derive(Debug)]
struct Possible {
    /// Where it stands, by partition and offset.
    known: Vec<(i32, i64)>,
    /// What is to become of an event then.
    verdicts: Verdicts,
    /// The same if each of several states were the only one: where one of them only waits, the time that runs out may
    /// be that of any.
    alone: Vec<Verdicts>,
}

/// What a transaction writes, by the number of the event it is about.
#[derive(Default)]
struct Content {
    forwards: BTreeMap<(usize, usize), Vec<Written>>,
    quarantined: BTreeMap<usize, Vec<Written>>,
    /// What is written under the key of a record that waits, in order.
    holds: BTreeMap<(usize, usize), Vec<Written>>,
}

impl Content {
    /// What is quarantined of an event for a route.
    fn set_aside(&self, number: usize, route: usize) -> impl Iterator<Item = &Written> {
        let is_own = move |(_, _, record): &&Written| {
            let routes = record.headers.iter().filter(|(header, _)| header == "consentry.route");
            let words = routes.filter_map(|(_, value)| std::str::from_utf8(value.as_deref()?).ok());
            words.flat_map(|routes| routes.split(',')).any(|word| word == NAMES[route])
        };
        self.quarantined.get(&number).into_iter().flatten().filter(is_own)
    }
}

/// Names of the routes, in order.
const NAMES: [&str; ROUTES] = ["analytics", "letters", "texts", "everything"];

/// Looks at a transaction that is committed, and keeps what it changes. What it counts comes back.
pub fn commit(ledger: &mut Ledger, worker: Worker, txn: &Txn) -> Result<Counted, String> {
    let batches = ledger.sealed.remove(&txn.number).unwrap_or_default();
    if txn.written.iter().any(|(_, _, record)| record.by.is_some_and(|by| by.worker != worker)) {
        return Err("a transaction with records of another worker".to_owned());
    }
    let mut content = sort(ledger, txn)?;
    let mut counted = Counted::default();
    for (number, route) in released_before(ledger, &content) {
        release(ledger, &mut content, (number, route), &mut counted)?;
    }
    for (place, at) in &txn.offsets.places {
        let stood = ledger.stands.get(place).copied().unwrap_or(0);
        if *at < stood {
            return Err(format!("the group goes back in {place:?} from {stood} to {at}"));
        }
        let own = ledger.events.get(place).into_iter().flat_map(|events| events.range(stood..*at));
        let read: Vec<i64> =
            own.filter(|(_, event)| event.committed == Some(true)).map(|(at, _)| *at).collect();
        for offset in read {
            counted.read += 1;
            for route in 0..ROUTES {
                first(ledger, &mut content, (place, offset), route, (worker, &batches), &mut counted)?;
            }
        }
        ledger.stands.insert(place.clone(), *at);
    }
    let left = |what: &str, number: usize| format!("{what} of event {number} comes from nowhere, or twice");
    if let Some((number, _)) = content.forwards.keys().next() {
        return Err(left("a record", *number));
    }
    if let Some((number, _)) = content.holds.keys().next() {
        return Err(left("a held record", *number));
    }
    order(ledger, txn)?;
    Ok(counted)
}

/// The number of the event that a record is about.
fn number(record: &Stored) -> Result<usize, String> {
    let number = record.header("x-id").and_then(|number| number.parse().ok());
    number.ok_or_else(|| "a record is about no event".to_owned())
}

fn sort(ledger: &Ledger, txn: &Txn) -> Result<Content, String> {
    let mut content = Content::default();
    for written in &txn.written {
        let ((topic, _), _, record) = written;
        if topic == HOLD {
            let key = record.key.as_deref().and_then(held::read_key).ok_or("a held record without a key")?;
            let route = NAMES.iter().position(|name| *name == key.3).ok_or("a held record of no route")?;
            let events = ledger.events.get(&(key.0.to_owned(), key.1));
            let event = events.and_then(|events| events.get(&key.2)).ok_or("a held record of no event")?;
            content.holds.entry((event.number, route)).or_default().push(written.clone());
        } else if topic == QUARANTINE {
            content.quarantined.entry(number(record)?).or_default().push(written.clone());
        } else {
            let route = SINKS.iter().position(|(sink, _)| sink == topic).ok_or("a record in no sink")?;
            content.forwards.entry((number(record)?, route)).or_default().push(written.clone());
        }
    }
    Ok(content)
}

/// What waited before and is written to now.
fn released_before(ledger: &Ledger, content: &Content) -> Vec<(usize, usize)> {
    let waited = |(number, route): &&(usize, usize)| {
        event(ledger, *number).is_some_and(|event| matches!(event.fates[*route], Fate::Held(_)))
    };
    content.holds.keys().filter(waited).copied().collect()
}

fn event(ledger: &Ledger, number: usize) -> Option<&Event> {
    let (place, offset) = ledger.numbers.get(&number)?;
    ledger.events.get(place)?.get(offset)
}

fn set(ledger: &mut Ledger, number: usize, route: usize, fate: Fate) {
    let (place, offset) = ledger.numbers[&number].clone();
    ledger.events.get_mut(&place).unwrap().get_mut(&offset).unwrap().fates[route] = fate;
}

/// All that the second implementation says of an event, for all that may have been known to a batch.
fn possible(ledger: &mut Ledger, event: &Event, batch: Batch) -> Vec<Possible> {
    let all = ledger.possible(event.subject.as_deref(), batch.claim).into_iter();
    let all: Vec<Vec<Version>> = all.map(|known| known.into_iter().cloned().collect()).collect();
    let mut ask = |known: &[Version]| verdicts(ledger, event, known, batch.now);
    let of = |all: Vec<Version>| Possible {
        known: all.iter().map(|version| (version.partition, version.offset)).collect(),
        verdicts: ask(&all),
        alone: all.chunks(1).map(&mut ask).collect(),
    };
    all.into_iter().map(of).collect()
}

/// A record that waited: what becomes of it.
fn release(
    ledger: &mut Ledger,
    content: &mut Content,
    (number, route): (usize, usize),
    counted: &mut Counted,
) -> Result<(), String> {
    let event = event(ledger, number).cloned().ok_or("no such event")?;
    let name = format!("event {number} at `{}`", NAMES[route]);
    let Fate::Held(mut waits) = event.fates[route].clone() else {
        return Err(format!("{name}: released, and did not wait"));
    };
    let writes = content.holds.remove(&(number, route)).unwrap_or_default();
    for (at, (_, _, write)) in writes.iter().enumerate() {
        let batch = write.by.and_then(|by| by.batch).ok_or_else(|| format!("{name}: held by no batch"))?;
        let possible = possible(ledger, &event, batch);
        if let Some(body) = &write.value {
            wait(&name, &event, route, body, &possible, &mut waits)?;
            (waits.claim, waits.decided) = (batch.claim, batch.now);
            continue;
        }
        if at + 1 != writes.len() {
            return Err(format!("{name}: released, and then written again"));
        }
        counted.routes[route].released += 1;
        let fate = ended(content, &event, route, &possible, batch)?;
        let is_over = |verdict: &Verdict, now: i64| match verdict {
            Verdict::Hold(reason, _) => waits.deadlines.get(reason).is_some_and(|until| *until <= now),
            _ => false,
        };
        let passed = deletion(ledger, content, &event, route);
        let fits = possible.iter().any(|one| match (&fate, &one.verdicts[route]) {
            (Fate::Dropped, Verdict::Drop) => true,
            (Fate::Dropped, verdict) => {
                let mut all = one.alone.iter().map(|verdicts| &verdicts[route]).chain([verdict]);
                all.any(|verdict| is_over(verdict, batch.now)) || passed
            }
            (fate, verdict) => fits(fate, verdict, &event),
        });
        if !fits {
            return Err(format!("{name}: it waited and is {fate:?} now, but {possible:?} with {waits:?}"));
        }
        count(counted, route, &fate);
        set(ledger, number, route, fate);
        return Ok(());
    }
    set(ledger, number, route, Fate::Held(waits));
    Ok(())
}

/// Whether a deletion that comes after an event under its key is forwarded in this transaction.
fn deletion(ledger: &Ledger, content: &Content, older: &Event, route: usize) -> bool {
    content.forwards.keys().filter(|(_, at)| *at == route).any(|(number, _)| {
        let Some(event) = event(ledger, *number) else { return false };
        let (own, other) = (&ledger.numbers[&older.number], &ledger.numbers[number]);
        event.is_deletion && event.key == older.key && own.0 == other.0 && own.1 < other.1
    })
}

/// It is to wait, or to wait on: whether it may, and until when.
fn wait(
    name: &str,
    event: &Event,
    route: usize,
    body: &[u8],
    possible: &[Possible],
    waits: &mut Waits,
) -> Result<(), String> {
    let decoded = held::decode(body, (SOURCE, event.partition, event.offset, NAMES[route]))
        .map_err(|_| format!("{name}: what is held does not decode"))?;
    let kept: BTreeMap<String, i64> =
        decoded.deadlines.iter().map(|(reason, until)| (reason.word().to_owned(), until.0)).collect();
    for (reason, until) in &waits.deadlines {
        if kept.get(reason) != Some(until) {
            return Err(format!(
                "{name}: its deadline for {reason} was {until} and is {:?}",
                kept.get(reason)
            ));
        }
    }
    let reason = decoded.reason.word();
    let is_known = waits.deadlines.contains_key(reason);
    let until = possible.iter().find_map(|one| match &one.verdicts[route] {
        Verdict::Hold(own, until)
            if own == reason && (is_known || kept.get(own).is_none_or(|kept| kept == until)) =>
        {
            Some(*until)
        }
        _ => None,
    });
    let Some(until) = until else {
        return Err(format!("{name}: it waits for {reason} until {kept:?}, but {possible:?}"));
    };
    (waits.until, waits.deadlines) = (until, kept);
    Ok(())
}

/// What the transaction says became of an event at a route, unless it waits. A record that is forwarded must be so by
/// what was known to its batch, and by the very message that it names.
fn ended(
    content: &mut Content,
    event: &Event,
    route: usize,
    possible: &[Possible],
    batch: Batch,
) -> Result<Fate, String> {
    let name = format!("event {} at `{}`", event.number, NAMES[route]);
    if let Some(written) = content.forwards.remove(&(event.number, route)) {
        let [(_, _, record)] = written.as_slice() else {
            return Err(format!("{name}: forwarded {} times", written.len()));
        };
        if record.by.and_then(|by| by.batch) != Some(batch) {
            return Err(format!("{name}: forwarded by another batch"));
        }
        if let Some(named) = record.header("consentry.consent_offset") {
            let own = |at: &(i32, i64)| format!("{}:{}", at.0, at.1) == named;
            let mut by = possible.iter().filter(|one| one.known.iter().any(own));
            if !by.any(|one| one.verdicts[route] == Verdict::Forward) {
                return Err(format!("{name}: forwarded by consent {named}, but {possible:?}"));
            }
        }
        return Ok(Fate::Forwarded);
    }
    match content.set_aside(event.number, route).count() {
        0 => Ok(Fate::Dropped),
        1 => Ok(Fate::Quarantined),
        more => Err(format!("{name}: quarantined {more} times")),
    }
}

/// Whether an end is what was to be.
fn fits(fate: &Fate, verdict: &Verdict, event: &Event) -> bool {
    let is_large = event.line.len() > LETTER_BYTES / 2;
    match (fate, verdict) {
        (Fate::Forwarded, Verdict::Forward)
        | (Fate::Dropped, Verdict::Drop | Verdict::NotRouted)
        | (Fate::Quarantined, Verdict::Quarantine)
        | (Fate::Held(_), Verdict::Hold(..)) => true,
        (Fate::Quarantined, Verdict::Forward) => is_large,
        _ => false,
    }
}

fn count(counted: &mut Counted, route: usize, fate: &Fate) {
    let ends = &mut counted.routes[route];
    match fate {
        Fate::New => {}
        Fate::Held(_) => ends.held += 1,
        Fate::Forwarded => ends.forwarded += 1,
        Fate::Dropped => ends.dropped += 1,
        Fate::Quarantined => ends.quarantined += 1,
        Fate::NotRouted => ends.not_routed += 1,
    }
}

/// An event that is read for the first time: what becomes of it at a route.
fn first(
    ledger: &mut Ledger,
    content: &mut Content,
    (place, offset): (&Place, i64),
    route: usize,
    (worker, batches): (Worker, &[Batch]),
    counted: &mut Counted,
) -> Result<(), String> {
    let event = ledger.events[place][&offset].clone();
    let (number, name) = (event.number, format!("event {} at `{}`", event.number, NAMES[route]));
    if event.fates[route] != Fate::New {
        return Err(format!("{name}: read again, and was {:?} already", event.fates[route]));
    }
    let fetched =
        *event.fetched.get(&worker).ok_or_else(|| format!("{name}: committed, and never fetched"))?;
    let by = |written: Option<&Vec<Written>>| written.and_then(|written| written.first()?.2.by?.batch);
    let own = by(content.holds.get(&(number, route)))
        .or_else(|| by(content.forwards.get(&(number, route))))
        .or_else(|| content.set_aside(number, route).next()?.2.by?.batch);
    let judged: Vec<Batch> = match own {
        Some(batch) => vec![batch],
        None => batches.iter().filter(|batch| batch.claim > fetched).copied().collect(),
    };
    let mut said = Vec::new();
    for batch in judged {
        if batch.claim < fetched {
            return Err(format!("{name}: decided by a claim older than its fetch"));
        }
        let possible = possible(ledger, &event, batch);
        if content.holds.contains_key(&(number, route)) {
            if content.holds[&(number, route)][0].2.value.is_none() {
                return Err(format!("{name}: released, and never waited"));
            }
            set(ledger, number, route, Fate::Held(Waits::default()));
            counted.routes[route].held += 1;
            return release(ledger, content, (number, route), counted);
        }
        let fate = ended(content, &event, route, &possible, batch)?;
        if let Some(one) = possible.iter().find(|one| fits(&fate, &one.verdicts[route], &event)) {
            let fate = if one.verdicts[route] == Verdict::NotRouted { Fate::NotRouted } else { fate };
            count(counted, route, &fate);
            set(ledger, number, route, fate);
            return Ok(());
        }
        said.push(format!(
            "{fate:?}, but {:?}",
            possible.iter().map(|one| (&one.known, &one.verdicts[route])).collect::<Vec<_>>()
        ));
    }
    Err(format!("{name}: {said:?}"))
}

/// Order: what did not wait as it came, what waited as it came of one person, and nothing that waited after the
/// deletion of its key.
fn order(ledger: &mut Ledger, txn: &Txn) -> Result<(), String> {
    let holds = txn.written.iter().filter(|((topic, _), _, _)| topic == HOLD);
    let released: BTreeSet<Vec<u8>> = holds.filter_map(|(_, _, record)| record.key.clone()).collect();
    for (sink, _, record) in &txn.written {
        let Some(route) = SINKS.iter().position(|(name, _)| *name == sink.0) else { continue };
        let number = number(record)?;
        let (place, offset) = ledger.numbers[&number].clone();
        let event = ledger.events[&place][&offset].clone();
        let own = format!("{}/{}/{offset}/{}", place.0, place.1, NAMES[route]);
        let name = format!("event {number} at `{}`", NAMES[route]);
        if released.contains(own.as_bytes()) {
            let key = ((route, place.clone(), sink.clone()), event.subject.clone().unwrap_or_default());
            if ledger.last_released.insert(key, offset).is_some_and(|last| last > offset) {
                return Err(format!("{name}: released after a later one of the same person"));
            }
            let key = (route, place.clone(), event.key.clone().unwrap_or_default());
            if ledger.deleted.get(&key).is_some_and(|deleted| *deleted > offset) {
                return Err(format!("{name}: released after the deletion of its key"));
            }
        } else if ledger
            .last
            .insert((route, place.clone(), sink.clone()), offset)
            .is_some_and(|last| last >= offset)
        {
            return Err(format!("{name}: out of order"));
        }
        if event.is_deletion {
            ledger.deleted.insert((route, place, event.key.unwrap_or_default()), offset);
        }
    }
    Ok(())
}
