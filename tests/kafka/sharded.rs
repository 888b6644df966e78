//! `consent.cache: sharded`: each process holds the consents of its own event partitions, and what does not
//! stand where it must stops everything.
//!
//! Events are keyed by `type:value` here, as a consent record is, so that both are on one partition.

use serde_json::json;

use super::clients::{Row, Transactions, Writer, read_all};
use super::people::{erased, event, event_beside_consent as own, granted, numbers, withdrawn};
use super::proxy::Proxy;
use super::shop::Shop;
use super::wait::{secs, until};
use super::{kafka, say};

const PARTITIONS: i32 = 12;
const PEOPLE: u64 = 3000;

fn shop(address: &str, name: &str, source: i32, consent: i32) -> Shop {
    let mut shop = Shop::new(address, name, source, consent);
    shop.config["consent"]["cache"] = "sharded".into();
    shop
}

/// Somebody, and whether they agree: every third has withdrawn.
fn person(n: u64) -> (String, bool) {
    (format!("p-{n}"), !n.is_multiple_of(3))
}

fn said(n: u64) -> Row {
    let (id, agrees) = person(n);
    if agrees { granted(&id) } else { withdrawn(&id) }
}

/// One event of each, numbered from there on.
fn events(from: u64) -> Vec<Row> {
    (0..PEOPLE).map(|n| own(&person(n).0, from + n)).collect()
}

/// The numbers of those events that may be forwarded.
fn permitted(from: u64) -> impl Iterator<Item = u64> {
    (0..PEOPLE).filter(|n| person(*n).1).map(move |n| from + n)
}

fn subjects(proxy: &Proxy) -> u64 {
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a small count")]
    let count = proxy.metrics().sum("consentry_consent_subjects", &[]) as u64;
    count
}

/// Waits until these processes hold every subject once, and no one more than it must.
#[track_caller]
fn shared_out(proxies: &[Proxy], most: u64) -> Vec<u64> {
    let all = || proxies.iter().map(subjects).collect::<Vec<u64>>();
    let done = || {
        let all = all();
        all.iter().sum::<u64>() == PEOPLE && all.iter().all(|one| *one <= most)
    };
    until(secs(60), done, || format!("{:?} of {PEOPLE} subjects are held", all()));
    all()
}

#[test]
fn three_processes_hold_a_third_each_and_take_over_from_each_other() {
    let Some(kafka) = kafka() else { return };
    let shop = shop(&kafka.address, "sharded", PARTITIONS, PARTITIONS);
    shop.consents(&(0..PEOPLE).map(said).collect::<Vec<_>>());
    shop.events(&events(0));
    let mut proxies = vec![Proxy::ready(&shop.config_of("sharded-0"))];
    shop.done(secs(60));
    assert_eq!(shared_out(&proxies, PEOPLE), [PEOPLE], "the only one holds all");
    proxies.extend(["sharded-1", "sharded-2"].map(|instance| Proxy::ready(&shop.config_of(instance))));
    let held = shared_out(&proxies, PEOPLE / 2);
    say(&format!("sharded: three processes hold {held:?} of {PEOPLE} subjects"));
    assert!(held.iter().all(|one| *one >= PEOPLE / 6), "one holds hardly anything: {held:?}");
    shop.events(&events(PEOPLE));
    let mut expected: Vec<u64> = permitted(0).chain(permitted(PEOPLE)).collect();
    assert_eq!(numbers(&shop.forwarded()), expected);

    // While nobody has the partitions of the one that is killed, people change their minds.
    proxies.remove(1).kill();
    let changed: Vec<Row> = (0..PEOPLE)
        .map(|n| if person(n).1 { withdrawn(&person(n).0) } else { granted(&person(n).0) })
        .collect();
    shop.consents(&changed);
    shop.events(&events(2 * PEOPLE));
    expected.extend((0..PEOPLE).filter(|n| !person(*n).1).map(|n| 2 * PEOPLE + n));
    assert_eq!(numbers(&shop.forwarded()), expected);
    let held = shared_out(&proxies, PEOPLE);
    say(&format!("sharded: the two that are left hold {held:?}"));
    for proxy in &mut proxies {
        proxy.wait_ready(secs(30));
        let unknown = proxy.metrics().records("analytics", "dropped", "unknown_subject");
        assert_eq!(unknown, 0, "somebody was not found where their events are");
    }
    proxies.into_iter().for_each(Proxy::stop);
}

/// What a process takes over is loaded before it is decided by, however long that takes: here as long as a
/// transaction is open on it, with the withdrawal behind it.
#[test]
fn what_is_taken_over_is_loaded_first() {
    let Some(kafka) = kafka() else { return };
    let mut shop = shop(&kafka.address, "takes-over", 2, 2);
    shop.config["workers"] = 1.into();
    let people: Vec<String> = (0..40).map(|n| format!("p-{n}")).collect();
    shop.consents(&people.iter().map(|id| granted(id)).collect::<Vec<_>>());
    let first = Proxy::ready(&shop.config_of("takes-over-a"));
    let second = Proxy::ready(&shop.config_of("takes-over-b"));
    let all = |from: u64| people.iter().zip(from..).map(|(id, n)| own(id, n)).collect::<Vec<_>>();
    let halves = || [&first, &second].map(subjects).iter().all(|half| (1..40).contains(half));
    until(secs(60), halves, || format!("{} and {} are held", subjects(&first), subjects(&second)));
    shop.events(&all(0));
    assert_eq!(numbers(&shop.forwarded()), (0..40).collect::<Vec<u64>>());

    let foreign = Transactions::new(&shop.address, "takes-over");
    foreign.begin(&shop.consent, &[0, 1].map(|at| Row { partition: Some(at), ..settled() }));
    shop.consents(&people.iter().map(|id| withdrawn(id)).collect::<Vec<_>>());
    shop.events(&all(40));
    second.kill();
    first.wait_unready(secs(40), &["consent_loading"]);
    assert_eq!(shop.reader().linger(secs(4)).len(), 40, "decided before it was loaded");
    foreign.commit();
    assert_eq!(numbers(&shop.forwarded()), (0..40).collect::<Vec<u64>>(), "withdrawn, and forwarded");
    shop.consents(&people.iter().map(|id| granted(id)).collect::<Vec<_>>());
    shop.events(&all(80));
    assert_eq!(numbers(&shop.forwarded()), (0..40).chain(80..120).collect::<Vec<u64>>());
    first.stop();
}

#[test]
fn partitions_that_do_not_match_are_refused() {
    let Some(kafka) = kafka() else { return };
    let shop = shop(&kafka.address, "uneven", 3, 2);
    shop.consents([&granted("yes")]);
    let mut proxy = Proxy::start(&shop.config, &[]);
    assert_eq!(proxy.wait_end(secs(60)), Some(1), "it said:\n{}", proxy.output());
    let said = proxy.output();
    for word in [&shop.consent, &shop.source, "has 2 partition", "replicated"] {
        assert!(said.contains(word), "it does not say `{word}`:\n{said}");
    }
}

#[test]
fn partitions_that_are_added_stop_decisions_until_they_match() {
    let Some(kafka) = kafka() else { return };
    let mut shop = shop(&kafka.address, "grows-apart", 1, 1);
    shop.config["kafka"]["properties"]["topic.metadata.refresh.interval.ms"] = "1000".into();
    let people: Vec<String> = (0..20).map(|n| format!("p-{n}")).collect();
    let consents: Vec<Row> = people.iter().map(|id| granted(id)).collect();
    shop.consents(&consents);
    let all = |from: u64| people.iter().zip(from..).map(|(id, n)| own(id, n)).collect::<Vec<_>>();
    shop.events(&all(0));
    let proxy = Proxy::ready(&shop.config);
    shop.done(secs(30));
    shop.topics.grow(&shop.consent, 2);
    proxy.wait_unready(secs(30), &["partitions_differ", &shop.consent, &shop.source]);
    shop.events(&all(20));
    assert_eq!(numbers(shop.reader().linger(secs(2))), (0..20).collect::<Vec<u64>>());
    // Now they match, and half of the people are not where they are looked for any more.
    shop.topics.grow(&shop.source, 2);
    proxy.wait_unready(secs(30), &["consent_key_misplaced", "consentry.settled"]);
    let matches = || !proxy.wait_unready(secs(10), &[]).contains("partitions_differ");
    until(secs(30), matches, || "they match, and it does not say so".into());
    assert_eq!(numbers(shop.reader().linger(secs(2))), (0..20).collect::<Vec<u64>>());
    // All anew, as the remedy has it: those who moved, and then what says that they did.
    shop.writer = Writer::new(&shop.address);
    let moved = consents.iter().filter(|row| shop.writer.acked(&shop.consent, row).0 == 1);
    let settled: Vec<Row> =
        moved.map(|row| Row { key: row.key.clone(), partition: Some(0), ..settled() }).collect();
    assert!((1..20).contains(&settled.len()), "all are on one partition");
    shop.consents(&settled);
    // What was written before is on the first partition still: it cannot be decided, and says so.
    proxy.wait_unready(secs(30), &["event_misplaced", "replicated"]);
    assert_eq!(numbers(shop.reader().linger(secs(1))), (0..20).collect::<Vec<u64>>());
    proxy.stop();
}

/// What settles a key on the wrong partition; of no subject yet.
fn settled() -> Row {
    let headers = vec![("consentry.settled".to_owned(), Some(b"true".to_vec()))];
    Row { key: Some(b"user_id:nobody".to_vec()), headers, ..Row::default() }
}

/// The first partition that is not the subject's own, of two.
fn wrong(shop: &Shop, id: &str) -> i32 {
    1 - shop.writer.acked(&shop.consent, &granted(id)).0
}

#[test]
fn a_consent_on_the_wrong_partition_stops_all() {
    let Some(kafka) = kafka() else { return };
    let shop = shop(&kafka.address, "consent-misplaced", 2, 2);
    shop.consents([&granted("yes")]);
    let wrong = wrong(&shop, "leaves");
    let mut proxy = Proxy::ready(&shop.config);
    shop.events([&own("yes", 0), &own("leaves", 1)]);
    assert_eq!(numbers(&shop.forwarded()), [0, 1]);
    // An erasure is no better there than anything else.
    for (n, row) in [withdrawn("leaves"), erased("leaves")].into_iter().enumerate() {
        let (partition, offset) = shop.writer.acked(&shop.consent, &Row { partition: Some(wrong), ..row });
        shop.events([&own("yes", 2 + n as u64)]);
        let place = format!("partition {partition} offset {offset}");
        proxy.wait_unready(secs(30), &["consent_key_misplaced", &place, "consentry.settled"]);
        let misplaced = proxy.metrics().sum("consentry_consent_misplaced_keys", &[]);
        assert!((misplaced - 1.0).abs() < 0.5, "{misplaced} keys are misplaced");
        assert_eq!(shop.reader().linger(secs(2)).len(), 2 + n, "decided all the same");
        shop.consents([&withdrawn("leaves")]);
        shop.consents([&Row { key: granted("leaves").key, partition: Some(wrong), ..settled() }]);
        proxy.wait_ready(secs(30));
        shop.done(secs(30));
    }
    shop.events([&own("leaves", 4)]);
    assert_eq!(numbers(&shop.forwarded()), [0, 1, 2, 3]);
    proxy.stop();
    // What settled it is read again at the next start, with what it settled.
    let proxy = Proxy::ready(&shop.config);
    proxy.stop();
}

#[test]
fn an_event_on_the_wrong_partition_stops_its_pipeline() {
    let Some(kafka) = kafka() else { return };
    let mut shop = shop(&kafka.address, "event-misplaced", 2, 2);
    shop.consents([&granted("yes"), &withdrawn("no")]);
    let wrong = wrong(&shop, "stray");
    let heartbeats = format!("{}-heartbeats", shop.sink);
    let exempt = json!({
        "name": "heartbeats", "when": "has(value.type)", "require": "none", "because": "Nobody is measured",
        "to": {"kafka": {"topic": heartbeats, "create": true}},
    });
    let routes = shop.pipeline()["routes"].as_array_mut().expect("a list");
    routes[0]["when"] = "!has(value.type)".into();
    routes.push(exempt);
    let proxy = Proxy::ready(&shop.config);
    // Where no consent is asked for, it does not matter where the record stands.
    let body = json!({"user": {"id": "stray"}, "n": 9, "type": "heartbeat"}).to_string().into_bytes();
    shop.events([&Row { partition: Some(wrong), value: Some(body), ..event("stray", 9) }]);
    shop.events([&own("yes", 0), &own("no", 1), &own("stray", 2), &own("nobody", 3)]);
    assert_eq!(numbers(&shop.forwarded()), [0, 2]);
    assert_eq!(numbers(&read_all(&shop.address, &heartbeats)), [9]);

    let (partition, offset) =
        shop.writer.acked(&shop.source, &Row { partition: Some(wrong), ..event("stray", 4) });
    let place = format!("`{}` partition {partition} offset {offset}", shop.source);
    proxy.wait_unready(secs(30), &["event_misplaced", &place, "replicated"]);
    shop.events([&own("yes", 5), &own("stray", 6)]);
    assert_eq!(numbers(shop.reader().linger(secs(3))), [0, 2], "it goes on past what it cannot decide");
    let metrics = proxy.metrics();
    assert_eq!(metrics.records("analytics", "dropped", "unknown_subject"), 1, "only `nobody` is unknown");
    proxy.stop();
    // The remedy decides it.
    shop.config["consent"]["cache"] = "replicated".into();
    let proxy = Proxy::ready(&shop.config);
    assert_eq!(numbers(&shop.forwarded()), [0, 2, 4, 5, 6]);
    proxy.stop();
}

/// A process may have partitions on which there is nobody; a topic on which there is nobody is another thing.
#[test]
fn a_part_without_anybody_is_no_empty_topic() {
    let Some(kafka) = kafka() else { return };
    let mut shop = shop(&kafka.address, "empty-part", 2, 2);
    shop.config["workers"] = 1.into();
    let first = Proxy::start(&shop.config_of("empty-part-a"), &[]);
    first.wait_unready(secs(40), &["consent_empty"]);
    shop.consents([&granted("yes")]);
    let mut pair = [first, Proxy::start(&shop.config_of("empty-part-b"), &[])];
    let apart = || {
        let held = [subjects(&pair[0]), subjects(&pair[1])];
        held == [0, 1] || held == [1, 0]
    };
    until(secs(60), apart, || "the group does not share its partitions out".into());
    pair.iter_mut().for_each(|proxy| proxy.wait_ready(secs(30)));
    shop.events([&own("yes", 0), &own("a", 1), &own("b", 2), &own("c", 3), &own("d", 4)]);
    assert_eq!(numbers(&shop.forwarded()), [0]);
    pair.into_iter().for_each(Proxy::stop);
}
