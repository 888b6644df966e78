//! Where a group begins, what it does when its records are gone, and how an instance ends.

use serde_json::json;

use super::clients::{Row, progress, read_all};
use super::kafka;
use super::people::{event, granted, numbers, numbers_proper};
use super::proxy::Proxy;
use super::shop::Shop;
use super::wait::{secs, until};

fn shop(address: &str, name: &str, partitions: i32) -> Shop {
    let shop = Shop::new(address, name, partitions, 1);
    shop.consents([&granted("yes")]);
    shop
}

fn events(numbers: std::ops::Range<u64>) -> Vec<Row> {
    numbers.map(|n| event("yes", n)).collect()
}

#[test]
fn begins_at_the_end_if_told_so() {
    let Some(kafka) = kafka() else { return };
    let mut shop = shop(&kafka.address, "latest", 1);
    shop.pipeline()["from"]["start"] = "latest".into();
    shop.events(&events(0..10));
    let proxy = Proxy::ready(&shop.config);
    shop.probe();
    shop.events(&events(10..20));
    assert_eq!(numbers_proper(&shop.forwarded()), (10..20).collect::<Vec<u64>>());
    proxy.stop();
    // What comes while nobody is there is not skipped: the group has a place now.
    shop.events(&events(20..30));
    let proxy = Proxy::ready(&shop.config);
    assert_eq!(numbers_proper(&shop.forwarded()), (10..30).collect::<Vec<u64>>());
    proxy.stop();
}

#[test]
fn begins_at_the_start_unless_told_otherwise() {
    let Some(kafka) = kafka() else { return };
    let mut shop = shop(&kafka.address, "earliest", 1);
    shop.pipeline()["from"].as_object_mut().expect("an object").remove("start");
    shop.events(&events(0..10));
    shop.topics.forget(&shop.source, 0, 4);
    let proxy = Proxy::ready(&shop.config);
    assert_eq!(numbers(&shop.forwarded()), (4..10).collect::<Vec<u64>>());
    proxy.stop();
}

#[test]
fn stops_where_records_are_gone() {
    let Some(kafka) = kafka() else { return };
    let shop = shop(&kafka.address, "gap", 1);
    shop.events(&events(0..10));
    let proxy = Proxy::ready(&shop.config);
    shop.done(secs(30));
    proxy.stop();
    shop.events(&events(10..30));
    shop.topics.forget(&shop.source, 0, 17);

    let mut proxy = Proxy::start(&shop.config, &[]);
    let mut sink = shop.reader();
    assert_eq!(numbers(sink.linger(secs(6))), (0..10).collect::<Vec<u64>>(), "it goes on past a gap");
    proxy.wait_unready(secs(20), &[&shop.source, "--accept-gap"]);
    let lost = proxy.metrics().sum("consentry_gap_records_total", &[]);
    assert!((lost - 7.0).abs() < 0.5, "the gap of 7 is counted as {lost}");
    proxy.signal("TERM");
    proxy.wait_end(secs(30));

    let mut proxy = Proxy::start(&shop.config, &["--accept-gap"]);
    proxy.wait_ready(secs(30));
    let expected: Vec<u64> = (0..10).chain(17..30).collect();
    assert_eq!(numbers(&shop.forwarded()), expected);
    proxy.stop();
}

#[test]
fn the_newer_of_two_with_one_name_wins() {
    the_newer_wins("twins", 10);
}

#[test]
fn the_newer_of_two_with_one_name_wins_though_nothing_comes() {
    the_newer_wins("idle-twins", 0);
}

/// Starts a second process under the first one's name while events come, so many at a time.
#[track_caller]
fn the_newer_wins(name: &str, at_a_time: u64) {
    let Some(kafka) = kafka() else { return };
    let shop = shop(&kafka.address, name, 2);
    shop.events(&events(0..100));
    let mut older = Proxy::ready(&shop.config);
    shop.done(secs(30));
    let newer = Proxy::start(&shop.config, &[]);
    let mut sent = 100;
    until(
        secs(60),
        || {
            shop.events(&events(sent..sent + at_a_time));
            sent += at_a_time;
            older.has_ended().is_some()
        },
        || format!("the older one stays; the newer one said:\n{}", newer.output()),
    );
    assert_eq!(older.wait_end(secs(1)), Some(1), "the older one said:\n{}", older.output());
    let said = older.output();
    assert!(said.contains("instance"), "it does not say why:\n{said}");
    assert_eq!(numbers(&shop.forwarded()), (0..sent).collect::<Vec<u64>>());
    newer.stop();
}

#[test]
fn ends_in_order_on_sigterm() {
    let Some(kafka) = kafka() else { return };
    let mut shop = shop(&kafka.address, "sigterm", 4);
    shop.config["commit_interval"] = "200ms".into();
    shop.events(&events(0..60_000));
    let mut config = shop.config.clone();
    config["limits"] = json!({"batch_records": 500});
    let proxy = Proxy::ready(&config);
    let mut sink = shop.reader();
    assert!(sink.until(secs(60), |rows| rows.len() > 2000), "no event comes");
    proxy.stop();
    let committed: i64 =
        progress(&shop.address, &shop.group, &shop.source).iter().filter_map(|(at, _)| *at).sum();
    let there = read_all(&shop.address, &shop.sink).len();
    assert_eq!(i64::try_from(there).expect("few"), committed, "written and committed are not the same");
    let proxy = Proxy::ready(&shop.config);
    assert_eq!(numbers(&shop.forwarded()), (0..60_000).collect::<Vec<u64>>());
    proxy.stop();
}

#[test]
fn at_least_once() {
    let Some(kafka) = kafka() else { return };
    let mut shop = shop(&kafka.address, "alo", 4);
    shop.config["delivery"] = "at_least_once".into();
    let rows: Vec<Row> = (0..20_000).map(|n| event(if n % 2 == 0 { "yes" } else { "unknown" }, n)).collect();
    shop.events(&rows[..10_000]);
    let proxy = Proxy::ready(&shop.config);
    let mut sink = shop.reader();
    assert!(sink.until(secs(60), |rows| rows.len() > 1000), "no event comes");
    proxy.kill();
    shop.events(&rows[10_000..]);
    let proxy = Proxy::ready(&shop.config);
    let mut got = numbers(&shop.forwarded());
    got.dedup();
    assert_eq!(got, (0..20_000).step_by(2).collect::<Vec<u64>>());
    assert!(proxy.metrics().records("analytics", "dropped", "unknown_subject") > 0);
    proxy.stop();
}

#[test]
fn a_sink_that_is_missing() {
    let Some(kafka) = kafka() else { return };
    let shop = Shop::without_topics(&kafka.address, "no-sink");
    shop.topics.create(&shop.consent, 1, super::topics::CONSENT);
    shop.topics.create(&shop.source, 5, &[]);
    shop.consents([&granted("yes")]);
    shop.events(&events(0..10));
    let mut proxy = Proxy::start(&shop.config, &[]);
    let code = proxy.wait_end(secs(60));
    let said = proxy.output();
    assert!(code.is_some_and(|code| code == 1 || code == 78), "exit {code:?}:\n{said}");
    assert!(said.contains(&shop.sink), "it is not named:\n{said}");
    assert!(said.contains("create"), "no remedy is named:\n{said}");
    assert_eq!(shop.topics.partitions(&shop.sink), 0);

    let mut config = shop.config.clone();
    config["pipelines"][0]["routes"][0]["to"]["kafka"]["create"] = true.into();
    config["pipelines"][0]["quarantine"]["create"] = true.into();
    let proxy = Proxy::ready(&config);
    assert_eq!(numbers(&shop.forwarded()), (0..10).collect::<Vec<u64>>());
    for topic in [&shop.sink, &shop.quarantine] {
        assert_eq!(shop.topics.partitions(topic), 5, "`{topic}` has another partition count than its source");
    }
    proxy.stop();
}
