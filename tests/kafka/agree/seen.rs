//! What `consentry run` did with a scene: its counts, and what is in its topics.

use std::collections::{BTreeMap, BTreeSet};
use std::thread;

use prost::Message;
use serde_json::Value;

use super::super::clients::{Row, read_all};
use super::super::held_record::HeldRecord;
use super::super::proxy::Metrics;
use super::explained::one_line;
use super::facts::{Case, Facts, forwarded, held, quarantined, released};
use super::scene::{Event, NUMBER, Scene};

/// Everything that can be seen of what was done; a value as `explain` shows it, unless it has to be untouched.
pub fn seen(address: &str, scene: &Scene, metrics: &Metrics, untouched: &BTreeSet<Case>) -> Facts {
    let mut facts = Facts::default();
    for (labels, count) in metrics.samples("consentry_records_total") {
        if count > 0.5 {
            let cell = ["pipeline", "route", "end", "reason"].map(|name| labels[name].clone());
            #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a small count")]
            facts.counts.insert(cell, count as u64);
        }
    }
    let events = scene.pipelines.iter().flat_map(|pipeline| &pipeline.events);
    let by_number: BTreeMap<usize, &Event> = events.clone().map(|event| (event.number, event)).collect();
    let place = |event: &Event| (event.topic.clone(), event.row.partition.unwrap(), event.row.offset);
    let by_place: BTreeMap<_, &Event> = events.map(|event| (place(event), event)).collect();
    let (sink, quarantine) = (scene.sink(), scene.quarantine());
    let holds = scene.sources().map(|source| format!("hold.{source}"));
    let topics: Vec<String> = [sink, quarantine].into_iter().chain(holds).collect();
    // Each reader waits for the broker more than for anything else.
    let mut read = thread::scope(|scope| {
        let read: Vec<_> = topics.iter().map(|topic| scope.spawn(|| read_all(address, topic))).collect();
        read.into_iter().map(|rows| rows.join().expect("it is read")).collect::<Vec<_>>().into_iter()
    });
    for row in read.next().unwrap() {
        let number = row.header(NUMBER).expect("every event has a number").parse().expect("a number");
        add_forwarded(&mut facts, by_number[&number], row, untouched);
    }
    for row in read.next().unwrap() {
        let said =
            |name: &str| row.header(&format!("__connect.errors.{name}")).expect("it says where it stood");
        let place = (said("topic"), said("partition").parse().unwrap(), said("offset").parse().unwrap());
        add_quarantined(&mut facts, by_place[&place], row);
    }
    for row in read.flatten() {
        let key = String::from_utf8(row.key.clone().expect("a key")).expect("text");
        let [topic, partition, offset, route] = key.split('/').collect::<Vec<_>>()[..] else {
            panic!("{key}")
        };
        let place = (topic.to_owned(), partition.parse().unwrap(), offset.parse().unwrap());
        facts.add((by_place[&place].number, route.to_owned()), of_held(route, &row));
    }
    facts
}

/// The timestamp of a row; one that was none before is whatever it is.
fn timed(mut row: Row, event: &Event) -> Row {
    if event.row.timestamp < Some(0) {
        row.timestamp = event.row.timestamp;
    }
    row
}

fn add_forwarded(facts: &mut Facts, event: &Event, row: Row, untouched: &BTreeSet<Case>) {
    let mut row = timed(row, event);
    let [route, reason] = ["consentry.route", "consentry.reason"].map(|name| row.header(name).expect(name));
    let case = (event.number, route);
    if !untouched.contains(&case) {
        row.value = row.value.map(|value| one_line(&value));
    }
    facts.add(case, forwarded(&reason, row.header("consentry.purposes"), &row));
}

/// A record is quarantined once for all its routes, with a pair of headers for each reason.
fn add_quarantined(facts: &mut Facts, event: &Event, row: Row) {
    let row = timed(row, event);
    let all = |name: &str| {
        let own = row.headers.iter().filter(|header| header.0 == name);
        own.map(|header| String::from_utf8(header.1.clone().unwrap()).unwrap()).collect::<Vec<_>>()
    };
    for (routes, reason) in all("consentry.route").iter().zip(all("consentry.reason")) {
        for route in routes.split(',') {
            facts.add((event.number, route.to_owned()), quarantined(&reason, &row));
        }
    }
}

/// A message of a hold topic. The only reason that it has had has the only deadline.
fn of_held(route: &str, row: &Row) -> Value {
    let Some(value) = &row.value else { return released() };
    let held_record = HeldRecord::decode(&value[..]).expect("a held record");
    assert_eq!(held_record.route, route);
    let deadlines: Vec<_> =
        held_record.deadlines.iter().map(|one| (one.reason.as_str(), one.until_ms)).collect();
    let waits = match deadlines[..] {
        [] => None,
        [(reason, until_ms)] if reason == held_record.reason => Some(until_ms - held_record.held_at_ms),
        _ => panic!("deadlines of other reasons: {deadlines:?}"),
    };
    let was = Row {
        key: held_record.key,
        value: held_record.value,
        headers: held_record.headers.into_iter().map(|header| (header.name, header.value)).collect(),
        timestamp: held_record.timestamp_ms.or(Some(-1)),
        ..Row::default()
    };
    held(&held_record.reason, waits, &was)
}
