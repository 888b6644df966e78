//! Topics that change while they are read: consents that never stop coming, many partitions, and topics that
//! are deleted and made anew with other records or another configuration.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use super::clients::{Row, Writer};
use super::people::{event, granted, numbers, withdrawn};
use super::proxy::Proxy;
use super::shop::Shop;
use super::topics::CONSENT;
use super::wait::secs;
use super::{kafka, say};

fn people(count: u64) -> Vec<Row> {
    (0..count).map(|n| granted(&format!("s-{n}"))).collect()
}

#[test]
fn consents_that_never_stop_coming() {
    let Some(kafka) = kafka() else { return };
    let shop = Shop::new(&kafka.address, "steady", 2, 2);
    shop.consents(&people(20_000));
    let proxy = Proxy::ready(&shop.config);
    let enough = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            let writer = Writer::new(&shop.address);
            while !enough.load(Ordering::Relaxed) {
                writer.all(&shop.consent, &people(1000));
            }
        });
        for n in 0..60 {
            shop.events(&(n * 100..n * 100 + 100).map(|n| event("s-7", n)).collect::<Vec<_>>());
            assert!(proxy.is_ready(), "not ready, and nothing is wrong:\n{}", proxy.output());
            thread::sleep(std::time::Duration::from_millis(50));
        }
        enough.store(true, Ordering::Relaxed);
    });
    assert_eq!(numbers(&shop.forwarded()), (0..6000).collect::<Vec<u64>>());
    let loads = proxy.output().matches("reading the consent topic from its beginning").count();
    assert_eq!(loads, 1, "the cache was discarded:\n{}", proxy.output());
    proxy.stop();
}

#[test]
fn many_consent_partitions() {
    let Some(kafka) = kafka() else { return };
    let shop = Shop::new(&kafka.address, "wide", 1, 64);
    shop.consents(&people(1000));
    let proxy = Proxy::ready(&shop.config);
    let waited = || {
        let metrics = proxy.metrics();
        let of = |part: &str| metrics.sum(&format!("consentry_barrier_wait_seconds_{part}"), &[]);
        (of("sum"), of("count"))
    };
    let mean_of_a_while = |from: u64| {
        let before = waited();
        // One by one, so that each has a reading of its own.
        for n in from..from + 400 {
            shop.writer.send(&shop.source, &event("s-7", n));
            thread::sleep(std::time::Duration::from_millis(2));
        }
        shop.writer.flush();
        shop.done(secs(30));
        let after = waited();
        (after.0 - before.0) / (after.1 - before.1)
    };
    let first = mean_of_a_while(0);
    let later: Vec<f64> = (1..6).map(|n| mean_of_a_while(n * 400)).collect();
    say(&format!("barrier wait with 64 consent partitions: {first:.4} s, later {later:.4?} s"));
    let last = later.iter().copied().fold(f64::INFINITY, f64::min);
    assert!(last < 0.03 && last < first * 3.0 + 0.005, "the wait grows: {first} s, then {later:?} s");
    proxy.stop();
}

#[test]
fn a_source_topic_made_anew_is_read_from_its_beginning() {
    let Some(kafka) = kafka() else { return };
    let shop = Shop::new(&kafka.address, "source-anew", 1, 1);
    shop.consents([&granted("yes")]);
    let events = |range: std::ops::Range<u64>| range.map(|n| event("yes", n)).collect::<Vec<_>>();
    shop.events(&events(0..1000));
    let proxy = Proxy::ready(&shop.config);
    shop.done(secs(30));
    shop.topics.delete(&shop.source);
    shop.topics.create(&shop.source, 1, &[]);
    // Past where the old one was read to: who reads on there misses the first thousand.
    shop.events(&events(1000..4000));
    let mut sink = shop.reader();
    let all = |rows: &[Row]| rows.len() >= 4000;
    assert!(sink.until(secs(60), all), "{} of 4000 came; it said:\n{}", sink.rows.len(), proxy.output());
    assert_eq!(numbers(&sink.rows), (0..4000).collect::<Vec<u64>>());
    proxy.stop();
}

#[test]
fn a_consent_topic_made_anew_without_compaction_is_refused() {
    let Some(kafka) = kafka() else { return };
    let shop = Shop::new(&kafka.address, "policy-anew", 1, 1);
    shop.consents([&granted("yes")]);
    shop.events([&event("yes", 0)]);
    let mut proxy = Proxy::ready(&shop.config);
    shop.done(secs(30));
    shop.topics.delete(&shop.consent);
    shop.topics.create(&shop.consent, 1, &[]);
    shop.consents([&granted("yes")]);
    proxy.wait_unready(secs(30), &["consent_topic_unsuitable", "compact"]);
    shop.events([&event("yes", 1)]);
    assert_eq!(numbers(shop.reader().linger(secs(2))), [0], "forwarded on a topic that forgets");
    shop.topics.delete(&shop.consent);
    shop.topics.create(&shop.consent, 1, CONSENT);
    shop.consents([&granted("yes"), &withdrawn("no")]);
    proxy.wait_ready(secs(60));
    assert_eq!(numbers(&shop.forwarded()), [0, 1]);
    proxy.stop();
}

#[test]
fn a_sink_made_anew_with_fewer_partitions() {
    let Some(kafka) = kafka() else { return };
    let shop = Shop::new(&kafka.address, "sink-anew", 4, 1);
    let people: Vec<String> = (0..20).map(|n| format!("p-{n}")).collect();
    shop.consents(&people.iter().map(|id| granted(id)).collect::<Vec<_>>());
    let events = |range: std::ops::Range<u64>| {
        let who = |n: u64| &people[usize::try_from(n % 20).expect("few")];
        range.map(|n| event(who(n), n)).collect::<Vec<_>>()
    };
    shop.events(&events(0..200));
    let proxy = Proxy::ready(&shop.config);
    shop.done(secs(30));
    shop.topics.delete(&shop.sink);
    shop.topics.create(&shop.sink, 2, &[]);
    shop.events(&events(200..400));
    assert_eq!(numbers(&shop.forwarded()), (200..400).collect::<Vec<u64>>(), "{}", proxy.output());
    proxy.stop();
}
