//! A change that Kafka acknowledged governs every event appended after it, however soon.
//!
//! Each round has a subject of its own: half have agreed and take it back, half have refused and agree.
//! The event follows the acknowledgement at once. So the sink must hold the second half's events, each
//! once, and nothing else: a leak and a lost event show in the same comparison.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;

use super::clients::{Row, Transactions, Writer};
use super::people::{event, event_beside_consent, granted, granted_now, numbers, withdrawn};
use super::proxy::Proxy;
use super::shop::Shop;
use super::wait::secs;
use super::{kafka, say};

const THREADS: u64 = 16;
const ROUNDS: u64 = 3000;

fn subject(n: u64) -> String {
    format!("s-{n}")
}

/// Whether the subject of this round ends up agreeing.
const fn agrees(n: u64) -> bool {
    n % 2 == 1
}

fn before(n: u64) -> Row {
    if agrees(n) { withdrawn(&subject(n)) } else { granted(&subject(n)) }
}

fn after(n: u64) -> Row {
    if agrees(n) { granted_now(&subject(n)) } else { withdrawn(&subject(n)) }
}

/// Plays the rounds `0..count` on many threads, each with the way to write consents that `change` makes.
fn play<C: Fn(&Row)>(shop: &Shop, count: u64, threads: u64, change: impl Fn(u64) -> C + Sync) {
    thread::scope(|scope| {
        for thread in 0..threads {
            let change = &change;
            scope.spawn(move || {
                let events = Writer::new(&shop.address);
                let change = change(thread);
                for n in (thread..count).step_by(usize::try_from(threads).expect("few")) {
                    let (change_row, event_row) = (after(n), event_beside_consent(&subject(n), n));
                    change(&change_row);
                    events.send(&shop.source, &event_row);
                }
                events.flush();
            });
        }
    });
}

/// Changes that are acknowledged one by one.
fn plainly(shop: &Shop) -> impl Fn(u64) -> Box<dyn Fn(&Row)> + Sync {
    let (address, topic) = (shop.address.clone(), shop.consent.clone());
    move |_| {
        let (writer, topic) = (Writer::new(&address), topic.clone());
        Box::new(move |row| {
            writer.acked(&topic, row);
        })
    }
}

fn shop(address: &str, name: &str, partitions: i32, rounds: u64) -> Shop {
    let shop = Shop::new(address, name, 4, partitions);
    let rows: Vec<Row> = (0..rounds).map(before).collect();
    shop.consents(&rows);
    shop
}

#[track_caller]
fn check(shop: &Shop, rounds: u64, more: impl Iterator<Item = u64>) {
    let expected: Vec<u64> = (0..rounds).filter(|n| agrees(*n)).chain(more).collect();
    let got = numbers(&shop.forwarded());
    let leaked: Vec<_> = got.iter().filter(|n| **n < rounds && !agrees(**n)).collect();
    assert!(leaked.is_empty(), "{} forwarded after a withdrawal: {leaked:?}", leaked.len());
    let missing: Vec<_> = expected.iter().filter(|n| got.binary_search(n).is_err()).collect();
    assert!(missing.is_empty(), "{} not forwarded after a grant: {missing:?}", missing.len());
    assert_eq!(got, expected, "something came twice");
}

#[test]
fn one_consent_partition() {
    let Some(kafka) = kafka() else { return };
    let shop = shop(&kafka.address, "barrier-one", 1, ROUNDS);
    let proxy = Proxy::ready(&shop.config);
    play(&shop, ROUNDS, THREADS, plainly(&shop));
    check(&shop, ROUNDS, std::iter::empty());
    proxy.stop();
}

#[test]
fn fifty_consent_partitions() {
    let Some(kafka) = kafka() else { return };
    let shop = shop(&kafka.address, "barrier-fifty", 50, ROUNDS);
    let proxy = Proxy::ready(&shop.config);
    play(&shop, ROUNDS, THREADS, plainly(&shop));
    check(&shop, ROUNDS, std::iter::empty());
    proxy.stop();
}

#[test]
fn at_full_load() {
    let Some(kafka) = kafka() else { return };
    let shop = shop(&kafka.address, "barrier-load", 4, ROUNDS);
    shop.consents([&granted("load")]);
    let proxy = Proxy::ready(&shop.config);
    let (over, sent) = (AtomicBool::new(false), AtomicU64::new(ROUNDS));
    thread::scope(|scope| {
        scope.spawn(|| {
            while !over.load(Ordering::Relaxed) && sent.load(Ordering::Relaxed) < 100_000 + ROUNDS {
                let n = sent.fetch_add(1, Ordering::Relaxed);
                // Without a key: these go to every partition, among the rounds' own.
                shop.writer.send(&shop.source, &Row { key: None, ..event("load", n) });
            }
            shop.writer.flush();
        });
        play(&shop, ROUNDS, THREADS, plainly(&shop));
        over.store(true, Ordering::Relaxed);
    });
    let sent = sent.into_inner();
    assert!(sent > 6000, "too little load to mean anything: {sent}");
    say(&format!("barrier: {ROUNDS} rounds among {} other events", sent - ROUNDS));
    check(&shop, ROUNDS, ROUNDS..sent);
    proxy.stop();
}

#[test]
fn transactional_writers_of_consent() {
    let Some(kafka) = kafka() else { return };
    let shop = shop(&kafka.address, "barrier-transactions", 4, ROUNDS);
    let proxy = Proxy::ready(&shop.config);
    let change = |thread: u64| {
        let writer = Transactions::new(&shop.address, &format!("barrier-consents-{thread}"));
        let topic = &shop.consent;
        move |row: &Row| {
            writer.begin(topic, std::slice::from_ref(row));
            writer.commit();
        }
    };
    play(&shop, ROUNDS, THREADS, change);
    check(&shop, ROUNDS, std::iter::empty());
    proxy.stop();
}

/// Each process holds a part of the consents, and parts change hands all the while.
#[test]
fn parts_that_change_hands() {
    let Some(kafka) = kafka() else { return };
    let rounds = 4 * ROUNDS;
    let mut shop = shop(&kafka.address, "barrier-parts", 4, rounds);
    shop.config["consent"]["cache"] = "sharded".into();
    let first = Proxy::ready(&shop.config_of("barrier-parts"));
    let worked = thread::scope(|scope| {
        let played = scope.spawn(|| play(&shop, rounds, 1, plainly(&shop)));
        let mut worked = 0;
        while !played.is_finished() {
            let other = Proxy::start(&shop.config_of("barrier-parts-other"), &[]);
            let works = || other.metrics().records("analytics", "forwarded", "") > 0;
            for _ in 0..400 {
                if played.is_finished() || works() {
                    break;
                }
                thread::sleep(std::time::Duration::from_millis(20));
            }
            worked += u64::from(works());
            other.kill();
        }
        worked
    });
    say(&format!("barrier: {rounds} rounds, and {worked} times another process had a part"));
    assert!(worked > 0, "nothing changed hands");
    check(&shop, rounds, std::iter::empty());
    first.stop();
}

#[test]
fn the_last_of_a_burst() {
    let Some(kafka) = kafka() else { return };
    let (rounds, others) = (6, 40_000);
    let shop = shop(&kafka.address, "barrier-burst", 1, rounds);
    let proxy = Proxy::ready(&shop.config);
    for n in 0..rounds {
        for other in 0..others {
            let id = format!("other-{other}");
            shop.writer.send(&shop.consent, &if n % 2 == 0 { granted(&id) } else { withdrawn(&id) });
        }
        shop.writer.acked(&shop.consent, &after(n));
        shop.writer.acked(&shop.source, &event(&subject(n), n));
        shop.done(secs(60));
    }
    check(&shop, rounds, std::iter::empty());
    proxy.stop();
}
