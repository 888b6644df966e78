//! A thousand people who change their minds while four workers decide about them: no state is ever seen
//! half changed.
//!
//! Each has agreed to exactly one of two purposes at any time. A route that asks for both may never get a
//! record, one that asks for either must get all: whoever saw a mix of two states would break one of them.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;

use serde_json::json;

use super::clients::{Row, read_all};
use super::people::{consent, event, grant, numbers};
use super::proxy::Proxy;
use super::shop::Shop;
use super::wait::secs;
use super::{kafka, say};

const PEOPLE: u64 = 1000;
const EVENTS: u64 = 60_000;

/// Agrees to one purpose and takes back the other.
fn state(person: u64, first: bool) -> Row {
    let no = |purpose| json!({"purpose": purpose, "status": "withdrawn"});
    let grants =
        if first { [grant("analytics"), no("newsletter")] } else { [no("analytics"), grant("newsletter")] };
    consent(&format!("hot-{person}"), &grants)
}

#[test]
fn no_state_is_seen_half_changed() {
    let Some(kafka) = kafka() else { return };
    let mut shop = Shop::new(&kafka.address, "hot", 4, 4);
    let both = format!("{}-both", shop.sink);
    shop.topics.create(&both, 4, &[]);
    shop.config["workers"] = json!(4);
    let either = shop.sink.clone();
    shop.pipeline()["routes"] = json!([
        {"name": "both", "require": {"purposes": {"all": ["analytics", "newsletter"]}},
         "to": {"kafka": {"topic": both}}},
        {"name": "either", "require": {"purposes": {"any": ["analytics", "newsletter"]}},
         "to": {"kafka": {"topic": either}}},
    ]);
    let first: Vec<Row> = (0..PEOPLE).map(|person| state(person, true)).collect();
    shop.consents(&first);
    let proxy = Proxy::ready(&shop.config);
    let (over, changes) = (AtomicBool::new(false), AtomicU64::new(0));
    thread::scope(|scope| {
        scope.spawn(|| {
            while !over.load(Ordering::Relaxed) {
                let change = changes.fetch_add(1, Ordering::Relaxed);
                shop.writer.send(&shop.consent, &state(change % PEOPLE, change / PEOPLE % 2 == 1));
            }
            shop.writer.flush();
        });
        for n in 0..EVENTS {
            shop.writer.send(&shop.source, &Row { key: None, ..event(&format!("hot-{}", n % PEOPLE), n) });
        }
        shop.done(secs(120));
        over.store(true, Ordering::Relaxed);
    });
    let changes = changes.into_inner();
    say(&format!("hot: {EVENTS} events of {PEOPLE} people during {changes} changes"));
    assert!(changes > PEOPLE * 4, "too few changes to mean anything: {changes}");
    assert!(numbers(&read_all(&shop.address, &both)).is_empty(), "seen half changed");
    assert_eq!(numbers(&shop.forwarded()), (0..EVENTS).collect::<Vec<_>>());
    proxy.stop();
}
