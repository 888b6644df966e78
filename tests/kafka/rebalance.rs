//! Members come and go and partitions are added, under load: nothing is lost, nothing comes twice.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use consentry::time::Instant;

use super::clients::{Row, Transactions, Writer, members, progress, read_all};
use super::people::{event, granted, numbers, numbers_proper, withdrawn};
use super::proxy::Proxy;
use super::shop::Shop;
use super::wait::{secs, until};
use super::{kafka, say};

/// Runs `act` while events flow; how many there were.
fn under_load(shop: &Shop, act: impl FnOnce()) -> u64 {
    let (over, sent) = (AtomicBool::new(false), AtomicU64::new(0));
    thread::scope(|scope| {
        scope.spawn(|| {
            let writer = Writer::with(&shop.address, &[("topic.metadata.refresh.interval.ms", "500")]);
            while !over.load(Ordering::Relaxed) {
                for _ in 0..40 {
                    let n = sent.fetch_add(1, Ordering::Relaxed);
                    let id = if n % 4 == 0 { "no" } else { "yes" };
                    writer.send(&shop.source, &Row { key: None, ..event(id, n) });
                }
                thread::sleep(Duration::from_millis(20));
            }
            writer.flush();
        });
        let stop = StopLoad(&over);
        act();
        drop(stop);
    });
    sent.into_inner()
}

/// Ends the load even where `act` fails.
struct StopLoad<'a>(&'a AtomicBool);

impl Drop for StopLoad<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

fn shop(address: &str, name: &str, partitions: i32) -> Shop {
    let mut shop = Shop::new(address, name, partitions, 1);
    shop.config["kafka"]["properties"]["topic.metadata.refresh.interval.ms"] = "1000".into();
    shop.consents([&granted("yes"), &withdrawn("no")]);
    shop
}

/// Waits until the group has committed this much more.
#[track_caller]
fn moves_on(shop: &Shop, by: i64) {
    let committed = || -> i64 {
        progress(&shop.address, &shop.group, &shop.source).iter().filter_map(|(at, _)| *at).sum()
    };
    let before = committed();
    until(secs(40), || committed() >= before + by, || format!("the group stands still at {before}"));
}

#[track_caller]
fn check(shop: &Shop, sent: u64) {
    let expected: Vec<u64> = (0..sent).filter(|n| n % 4 != 0).collect();
    let got = numbers(&shop.forwarded());
    assert_eq!(
        got.len(),
        expected.len(),
        "lost or twice, among {sent}: {}",
        differing(shop, &expected, &got)
    );
    assert!(got == expected, "lost and twice: {}", differing(shop, &expected, &got));
}

/// Which numbers are missing, with where each stands in the source, and which are there again.
fn differing(shop: &Shop, expected: &[u64], got: &[u64]) -> String {
    let again: Vec<&u64> = got.windows(2).filter(|pair| pair[0] == pair[1]).map(|pair| &pair[0]).collect();
    let missing: Vec<&u64> = expected.iter().filter(|n| !got.contains(n)).collect();
    let source = read_all(&shop.address, &shop.source);
    let stands = |row: &&Row| missing.iter().any(|n| numbers(std::slice::from_ref(*row)).contains(n));
    let places: Vec<_> = source.iter().filter(stands).map(|row| (row.partition, row.offset)).collect();
    format!("missing {missing:?}, in the source at {places:?}, again {again:?}")
}

#[test]
fn an_instance_joins_and_leaves() {
    let Some(kafka) = kafka() else { return };
    let shop = shop(&kafka.address, "joins", 6);
    let first = Proxy::ready(&shop.config_of("joins-a"));
    let mut worked = 0;
    let sent = under_load(&shop, || {
        moves_on(&shop, 1000);
        for turn in 0..3 {
            let second = Proxy::ready(&shop.config_of(&format!("joins-{turn}")));
            let works = || second.metrics().records("analytics", "forwarded", "") > 0;
            until(secs(30), works, || format!("it gets no partition:\n{}", second.output()));
            moves_on(&shop, 1000);
            worked += second.metrics().records("analytics", "forwarded", "");
            second.stop();
        }
        moves_on(&shop, 1000);
    });
    check(&shop, sent);
    say(&format!("rebalance: {sent} events, {worked} of them by those who came and went"));
    first.stop();
}

#[test]
fn partitions_are_added_to_the_source() {
    let Some(kafka) = kafka() else { return };
    let shop = shop(&kafka.address, "grows", 2);
    let pair = ["grows-a", "grows-b"].map(|instance| Proxy::ready(&shop.config_of(instance)));
    let sent = under_load(&shop, || {
        moves_on(&shop, 500);
        shop.topics.grow(&shop.source, 6);
        let all = || {
            let all = progress(&shop.address, &shop.group, &shop.source);
            all.len() == 6 && all.iter().all(|(at, _)| at.is_some_and(|at| at > 20))
        };
        until(secs(60), all, || {
            format!("not all are read: {:?}", progress(&shop.address, &shop.group, &shop.source))
        });
    });
    check(&shop, sent);
    pair.into_iter().for_each(Proxy::stop);
}

/// A group that rebalances lets its members go at once, wherever in that they are: whoever leaves is about to be
/// given partitions, or to give some up.
#[test]
fn a_process_stops_while_the_group_rebalances() {
    let Some(kafka) = kafka() else { return };
    let mut shop = shop(&kafka.address, "leaves-amid", 12);
    shop.config["workers"] = 3.into();
    let stays = Proxy::ready(&shop.config_of("leaves-amid-stays"));
    let mut longest = Duration::ZERO;
    for turn in 0..8 {
        let mut leaves = Proxy::start(&shop.config_of(&format!("leaves-amid-{turn}")), &[]);
        let is_given = || leaves.output().contains("partition assigned");
        until(secs(40), is_given, || format!("it gets no partition:\n{}", leaves.output()));
        thread::sleep(Duration::from_millis(150 * turn));
        leaves.signal("TERM");
        let told = Instant::now();
        assert_eq!(leaves.wait_end(secs(40)), Some(0), "it said:\n{}", leaves.output());
        longest = longest.max(told.elapsed());
    }
    say(&format!("rebalance: the longest stop amid one took {longest:?}"));
    assert!(longest < secs(10), "it took {longest:?}");
    stays.stop();
}

/// What is added while a group begins with the latest record is still read from its start: its records
/// came after the group did.
#[test]
fn partitions_are_added_where_the_group_began_at_the_end() {
    let Some(kafka) = kafka() else { return };
    let mut shop = shop(&kafka.address, "grows-latest", 1);
    shop.pipeline()["from"]["start"] = "latest".into();
    let proxy = Proxy::ready(&shop.config);
    shop.probe();
    shop.topics.grow(&shop.source, 3);
    shop.writer = Writer::new(&shop.address);
    let events: Vec<Row> =
        (0..300).map(|n| Row { key: None, partition: Some(n % 3), ..event("yes", n as u64) }).collect();
    shop.events(&events);
    let got = numbers_proper(&shop.forwarded());
    let expected: Vec<u64> = (0..300).collect();
    assert_eq!(got.len(), 300, "records of new partitions are lost");
    assert_eq!(got, expected);
    proxy.stop();
}

/// A batch that waits for fresh consent holds its partitions back. One that goes to somebody else meanwhile,
/// and comes back, must be read again: nothing may remember that it was held.
#[test]
fn a_partition_leaves_and_comes_back_while_its_batch_waits() {
    let Some(kafka) = kafka() else { return };
    let mut shop = shop(&kafka.address, "returns", 2);
    shop.config["workers"] = 1.into();
    shop.events([&on(0, 0), &on(1, 1)]);
    let first = Proxy::ready(&shop.config_of("returns-a"));
    shop.done(secs(30));
    let foreign = Transactions::new(&shop.address, "returns");
    foreign.begin(&shop.consent, &[granted("somebody")]);
    shop.events([&on(0, 2), &on(1, 3)]);
    thread::sleep(secs(1));
    let second = Proxy::start(&shop.config_of("returns-b"), &[]);
    let members = |count| {
        let have = || members(&shop.address, &shop.group) == count;
        until(secs(40), have, || format!("the group has not {count} members"));
        // A partition changes hands in a second round.
        thread::sleep(secs(3));
    };
    members(2);
    assert_eq!(numbers(&read_all(&shop.address, &shop.sink)), [0, 1], "decided behind an open transaction");
    foreign.commit();
    shop.done(secs(40));
    second.stop();
    members(1);
    shop.events([&on(0, 4), &on(1, 5)]);
    assert_eq!(numbers(&shop.forwarded()), (0..6).collect::<Vec<u64>>());
    first.stop();
}

fn on(partition: i32, n: u64) -> Row {
    Row { partition: Some(partition), ..event("yes", n) }
}
