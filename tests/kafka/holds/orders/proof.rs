//! What may have become of each record, and whether what did is among that.
//!
//! What is known: when each event was appended (by the broker), when each state was sent and acknowledged, when each
//! forwarded record was appended to its sink, and every message of the hold topic, none of which is compacted away so
//! soon: when a record was held, with which deadlines, and when it was let go. From that:
//!
//! - A decision made between two moments was made by a state that was *current* then: of those acknowledged before
//!   the first the last (the barrier promises it), or a later one that was sent before the second. For a record that
//!   has just come the first moment is its own append; for one that waits, when it was last written as waiting,
//!   because it is claimed anew after that.
//! - The state that a forwarded record names must be one of these, and the decision from scratch under it a permit.
//! - One that was dropped must be dropped from scratch under one of them; or wait, and its deadline be over.
//! - In one partition decisions come one after the other, whoever makes them: what they name never goes back.

use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::rc::Rc;

use consentry::time::Timestamp;
use prost::Message;
use serde_json::json;

use super::super::super::clients::{Row, read_all};
use super::super::super::held_record::HeldRecord;
use super::said::Person;
use super::{ROUTES, Town, sink};
use crate::oracle;

const MINUTE_MS: i64 = 60_000;

/// A record at a route: partition, offset, and the route's index.
pub type Key = (i32, i64, usize);

/// An event.
#[derive(Debug)]
struct Event {
    n: u64,
    person: usize,
    appended_ms: i64,
}

/// One message about a record that waits.
#[derive(Debug)]
struct Written {
    at_ms: i64,
    /// Why it waits, and every deadline; none: it is let go.
    waits: Option<(String, BTreeMap<String, i64>)>,
}

/// A record in a sink.
#[derive(Debug)]
struct Forwarded {
    offset: i64,
    appended_ms: i64,
    place: (i32, i64),
}

/// How a state decides about each event of its subject at each route: end and reason.
type Verdicts = HashMap<(u64, usize), (String, String)>;

/// Everything that is known.
pub struct Proof<'t> {
    town: &'t Town,
    /// By partition and offset.
    events: BTreeMap<(i32, i64), Event>,
    held: BTreeMap<Key, Vec<Written>>,
    forwarded: BTreeMap<Key, Vec<Forwarded>>,
    verdicts: RefCell<HashMap<(usize, usize, i64), Rc<Verdicts>>>,
}

/// How often what happened.
#[derive(Debug, Default)]
pub struct Found {
    at_once: u32,
    pub released: u32,
    dropped: u32,
    /// Dropped after it had waited.
    pub ended: u32,
    /// Of these, those for which nothing but their time can be the reason.
    pub expired: u32,
}

impl fmt::Display for Found {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { at_once, released, dropped, ended, expired } = self;
        write!(
            f,
            "{at_once} forwarded at once and {released} released, {dropped} dropped at once and {ended} after they had waited ({expired} for their time alone)"
        )
    }
}

/// The keys of what waits by the hold topic.
pub fn waits(town: &Town) -> Vec<Key> {
    held(town).into_iter().filter(|(_, all)| is_waiting(all)).map(|(key, _)| key).collect()
}

fn is_waiting(all: &[Written]) -> bool {
    all.last().is_some_and(|last| last.waits.is_some())
}

fn route(name: &str) -> usize {
    ROUTES.iter().position(|waits| waits.route == name).expect("a route of ours")
}

fn held(town: &Town) -> BTreeMap<Key, Vec<Written>> {
    let mut all: BTreeMap<Key, Vec<Written>> = BTreeMap::new();
    if town.shop.topics.partitions(&town.hold) == 0 {
        return all;
    }
    for row in read_all(&town.shop.address, &town.hold) {
        let key = String::from_utf8(row.key.expect("a key")).expect("text");
        let parts: Vec<&str> = key.split('/').collect();
        let [source, partition, offset, name] = parts[..] else { panic!("no key: {key}") };
        let partition: i32 = partition.parse().expect("a number");
        assert_eq!((source, Some(partition)), (town.shop.source.as_str(), row.partition), "{key}");
        let waits = row.value.as_deref().map(waiting);
        let key = (partition, offset.parse().expect("a number"), route(name));
        all.entry(key).or_default().push(Written { at_ms: row.timestamp.expect("a time"), waits });
    }
    all
}

/// Reason and deadlines of what waits.
fn waiting(bytes: &[u8]) -> (String, BTreeMap<String, i64>) {
    let held = HeldRecord::decode(bytes).expect("a held record");
    (held.reason, held.deadlines.into_iter().map(|one| (one.reason, one.until_ms)).collect())
}

impl<'t> Proof<'t> {
    /// Reads what there is, once nothing is open.
    pub fn read(town: &'t Town) -> Self {
        let number: HashMap<&str, usize> =
            town.people.iter().enumerate().map(|(at, person)| (person.id.as_str(), at)).collect();
        let mut events = BTreeMap::new();
        let mut places = HashMap::new();
        for row in read_all(&town.shop.address, &town.shop.source) {
            let (body, place) = (row.json(), (row.partition.expect("it was read"), row.offset));
            let n = body["n"].as_u64().expect("a number");
            let person = number[body["user"]["id"].as_str().expect("an id")];
            places.insert(n, place);
            events.insert(place, Event { n, person, appended_ms: row.timestamp.expect("a time") });
        }
        let mut forwarded: BTreeMap<Key, Vec<Forwarded>> = BTreeMap::new();
        for (index, waits) in ROUTES.iter().enumerate() {
            for row in read_all(&town.shop.address, &sink(&town.shop, waits.route)) {
                let (partition, offset) = places[&row.json()["n"].as_u64().expect("a number")];
                assert_eq!(row.partition, Some(partition), "a sink keeps the partition");
                let entry = forwarded.entry((partition, offset, index)).or_default();
                entry.push(Forwarded {
                    offset: row.offset,
                    appended_ms: row.timestamp.expect("a time"),
                    place: named(&row),
                });
            }
        }
        Self { town, events, held: held(town), forwarded, verdicts: RefCell::default() }
    }

    /// The keys of what waits.
    pub fn waits(&self) -> Vec<Key> {
        self.held.iter().filter(|(_, all)| is_waiting(all)).map(|(key, _)| *key).collect()
    }

    /// Whether a record may wait now, when all that its subject has said is known.
    pub fn may_wait(&self, key: &Key, now_ms: i64) -> bool {
        let event = &self.events[&(key.0, key.1)];
        let last = self.person(event).said.len() - 1;
        let (end, reason) = self.verdict(event, key.2, last, now_ms / MINUTE_MS);
        let (_, deadlines) = self.held[key].last().and_then(|last| last.waits.as_ref()).expect("it waits");
        let is_over = deadlines.get(&reason).is_some_and(|until| *until <= now_ms);
        end == "held" && !is_over && (deadlines.contains_key(&reason) || reason == "outside_contact_window")
    }

    /// Checks every record at every route. `left` still waited when the unrest was over, and was released then.
    pub fn check(&self, left: &[Key]) -> Found {
        let mut found = Found::default();
        let until = self.known_to_be_decided_by();
        for (place, event) in &self.events {
            for (index, waits) in ROUTES.iter().enumerate() {
                let key = (place.0, place.1, index);
                let history = self.held.get(&key).map_or(&[][..], Vec::as_slice);
                let forwarded = self.forwarded.get(&key).map_or(&[][..], Vec::as_slice);
                assert!(forwarded.len() <= 1, "forwarded twice: {}", self.tell(&key));
                match (history, forwarded.first()) {
                    ([], Some(out)) => {
                        self.permits(&key, event, out, event.appended_ms, out.appended_ms);
                        found.at_once += 1;
                    }
                    ([], None) => {
                        let is_dropped = |end: &str, _: &str| end == "dropped";
                        let may = self.may(event, index, event.appended_ms, until[&key], is_dropped);
                        assert!(may, "lost: {}", self.tell(&key));
                        found.dropped += 1;
                    }
                    (_, out) => self.waited(&key, event, history, out, &mut found),
                }
                let is_for_ever = waits.hold_for_ms == super::FOR_EVER_MS;
                let is_out = !forwarded.is_empty();
                assert!(is_out || !is_for_ever || !left.contains(&key), "forgotten: {}", self.tell(&key));
            }
        }
        self.in_order();
        found
    }

    /// A record that waited, and does no longer.
    fn waited(&self, key: &Key, event: &Event, all: &[Written], out: Option<&Forwarded>, found: &mut Found) {
        let Some((last, values)) = all.split_last() else { return };
        let is_sound =
            last.waits.is_none() && !values.is_empty() && values.iter().all(|one| one.waits.is_some());
        assert!(is_sound, "let go more than once, or never held: {}", self.tell(key));
        let mut since = event.appended_ms;
        let mut known = BTreeMap::new();
        for one in values {
            let Some((reason, deadlines)) = &one.waits else { continue };
            let is_held = |end: &str, why: &str| end == "held" && why == reason;
            assert!(
                self.may(event, key.2, since, one.at_ms, is_held),
                "held without cause: {}",
                self.tell(key)
            );
            let stand = known.iter().all(|(reason, until)| deadlines.get(reason) == Some(until));
            assert!(stand, "a deadline was changed: {}", self.tell(key));
            for (reason, until) in deadlines.iter().filter(|(reason, _)| !known.contains_key(*reason)) {
                let began = until - self.may_take(key.2, reason);
                assert!((since..=one.at_ms).contains(&began), "a deadline is wrong: {}", self.tell(key));
            }
            known.clone_from(deadlines);
            since = one.at_ms;
        }
        if let Some(out) = out {
            self.permits(key, event, out, since, last.at_ms);
            found.released += 1;
            return;
        }
        found.ended += 1;
        if self.may(event, key.2, since, last.at_ms, |end, _| end == "dropped") {
            return;
        }
        let is_over =
            |end: &str, why: &str| end == "held" && known.get(why).is_some_and(|until| *until <= last.at_ms);
        assert!(self.may(event, key.2, since, last.at_ms, is_over), "lost: {}", self.tell(key));
        found.expired += 1;
    }

    fn may_take(&self, route: usize, reason: &str) -> i64 {
        match reason {
            "unconfirmed" | "unanswered" => ROUTES[route].hold_for_ms,
            "unknown_subject" | "no_consent" => ROUTES[route].grace_ms,
            other => panic!("`{other}` has no deadline"),
        }
    }

    /// The state that a forwarded record names was current, and permits it.
    fn permits(&self, key: &Key, event: &Event, out: &Forwarded, from_ms: i64, to_ms: i64) {
        let person = self.person(event);
        let named = person.said.iter().position(|said| said.place == out.place);
        let named = named.unwrap_or_else(|| panic!("it names nothing its subject said: {}", self.tell(key)));
        let current = person.current(from_ms, to_ms);
        assert!(current.contains(&named), "decided by {named}, not of {current:?}: {}", self.tell(key));
        let mut minutes = from_ms / MINUTE_MS..=to_ms / MINUTE_MS;
        let permits = minutes.any(|minute| self.verdict(event, key.2, named, minute).0 == "forwarded");
        assert!(permits, "forwarded without a permit by {named}: {}", self.tell(key));
    }

    /// Whether any state that was current between these moments decides so.
    fn may(&self, event: &Event, route: usize, from: i64, to: i64, so: impl Fn(&str, &str) -> bool) -> bool {
        let states = self.person(event).current(from, to);
        let minutes = from / MINUTE_MS..=to / MINUTE_MS;
        states.into_iter().any(|state| {
            minutes.clone().any(|minute| {
                let (end, reason) = self.verdict(event, route, state, minute);
                so(&end, &reason)
            })
        })
    }

    /// In each partition of a sink what is named never goes back for one person; what did not wait is in the order
    /// of its source, and so is what was released of one person.
    fn in_order(&self) {
        let mut sinks: BTreeMap<(usize, i32), Vec<(&Key, &Forwarded)>> = BTreeMap::new();
        for (key, all) in &self.forwarded {
            sinks.entry((key.2, key.0)).or_default().extend(all.iter().map(|out| (key, out)));
        }
        for rows in sinks.values_mut() {
            rows.sort_by_key(|(_, out)| out.offset);
            let mut named: HashMap<usize, i64> = HashMap::new();
            let mut at_once = -1;
            let mut released: HashMap<usize, i64> = HashMap::new();
            for (key, out) in rows {
                let person = self.events[&(key.0, key.1)].person;
                let before = named.insert(person, out.place.1);
                assert!(
                    before.is_none_or(|before| before <= out.place.1),
                    "decided by an older state than one before it: {}",
                    self.tell(key)
                );
                let last = if self.held.contains_key(*key) {
                    released.entry(person).or_insert(-1)
                } else {
                    &mut at_once
                };
                assert!(*last < key.1, "out of order, after {last}: {}", self.tell(key));
                *last = key.1;
            }
        }
    }

    /// When each record had been decided at the latest: before anything behind it in its partition was.
    fn known_to_be_decided_by(&self) -> HashMap<Key, i64> {
        let mut by = HashMap::new();
        let mut earliest: BTreeMap<i32, i64> = BTreeMap::new();
        for ((partition, offset), _) in self.events.iter().rev() {
            let earliest = earliest.entry(*partition).or_insert(i64::MAX - MINUTE_MS);
            // What comes of the record itself at another route comes no earlier than this may.
            for index in 0..ROUTES.len() {
                by.insert((*partition, *offset, index), (*earliest).min(super::now()));
            }
            for index in 0..ROUTES.len() {
                let key = (*partition, *offset, index);
                let seen = match (self.held.get(&key), self.forwarded.get(&key)) {
                    (Some(all), _) => all.first().map(|first| first.at_ms),
                    (None, Some(all)) => all.first().map(|out| out.appended_ms),
                    (None, None) => None,
                };
                *earliest = seen.map_or(*earliest, |seen| seen.min(*earliest));
            }
        }
        by
    }

    fn person(&self, event: &Event) -> &'t Person {
        &self.town.people[event.person]
    }

    /// What a state decides about an event from scratch, in this minute: no window opens or closes within one.
    fn verdict(&self, event: &Event, route: usize, state: usize, minute: i64) -> (String, String) {
        let asked = (event.person, state, minute);
        let known = self.verdicts.borrow().get(&asked).cloned();
        let all = known.unwrap_or_else(|| {
            let all = Rc::new(self.decide(event.person, state, minute));
            self.verdicts.borrow_mut().insert(asked, Rc::clone(&all));
            all
        });
        all[&(event.n, route)].clone()
    }

    fn decide(&self, person: usize, state: usize, minute: i64) -> Verdicts {
        let own: Vec<&Event> = self.events.values().filter(|event| event.person == person).collect();
        let line = |event: &&Event| {
            let body = json!({"user": {"id": self.town.people[person].id}, "n": event.n});
            json!({"value": body, "timestamp": event.appended_ms}).to_string()
        };
        let events: Vec<String> = own.iter().map(line).collect();
        let consents = self.town.people[person].lines(state);
        let at = Timestamp(minute * MINUTE_MS + MINUTE_MS - 1).to_string();
        let lines = oracle::lines(&self.town.shop.config, &consents, &events, None, &at);
        let word = |line: &serde_json::Value, name: &str| line[name].as_str().unwrap_or("").to_owned();
        lines
            .iter()
            .map(|line| {
                let at = usize::try_from(line["event"].as_u64().expect("a number")).expect("small");
                ((own[at].n, route(&word(line, "route"))), (word(line, "end"), word(line, "reason")))
            })
            .collect()
    }

    /// Everything about one record at one route.
    fn tell(&self, key: &Key) -> String {
        let event = &self.events[&(key.0, key.1)];
        let said: Vec<_> = self.person(event).said.iter().enumerate().collect();
        format!(
            "{key:?} at `{}`: {event:?}\nheld {:#?}\nforwarded {:?}\nits subject said {said:#?}",
            ROUTES[key.2].route,
            self.held.get(key),
            self.forwarded.get(key)
        )
    }
}

/// The consent record that a forwarded one names.
fn named(row: &Row) -> (i32, i64) {
    let named = row.header("consentry.consent_offset").expect("a first-party route");
    let (partition, offset) = named.split_once(':').expect("partition:offset");
    (partition.parse().expect("a number"), offset.parse().expect("a number"))
}
