//! `kill -9` of either of two instances, six times, under load; and one that stands still until the other
//! has its partitions, and then wakes: a `read_committed` reader of the sink sees every permitted event
//! once, and no other.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use serde_json::Value;

use super::clients::{Row, Writer, progress};
use super::people::{event, granted, numbers, withdrawn};
use super::proxy::Proxy;
use super::shop::Shop;
use super::wait::{secs, until};
use super::{kafka, say};

const KILLS: usize = 6;

/// Every third event is of somebody who has withdrawn.
fn event_of(n: u64) -> Row {
    if n.is_multiple_of(3) { event("no", n) } else { event(&format!("yes-{}", n % 50), n) }
}

/// Two instances of one group, for a subject who has withdrawn and fifty who agree.
fn pair(address: &str, name: &str) -> (Shop, [Value; 2]) {
    let shop = Shop::new(address, name, 4, 2);
    let subjects: Vec<Row> = (0..50).map(|n| granted(&format!("yes-{n}"))).collect();
    shop.consents(subjects.iter().chain([&withdrawn("no")]));
    let configs = ["a", "b"].map(|instance| shop.config_of(&format!("{name}-{instance}")));
    (shop, configs)
}

/// Runs `act` while events flow; how many there were.
fn under_load(shop: &Shop, act: impl FnOnce()) -> u64 {
    let over = AtomicBool::new(false);
    thread::scope(|scope| {
        let load = scope.spawn(|| feed(shop, &over));
        let done = catch_unwind(AssertUnwindSafe(act));
        over.store(true, Ordering::Relaxed);
        let sent = load.join().expect("the load was delivered");
        done.map(|()| sent).unwrap_or_else(|panic| resume_unwind(panic))
    })
}

#[track_caller]
fn check(shop: &Shop, sent: u64) {
    let expected: Vec<u64> = (0..sent).filter(|n| !n.is_multiple_of(3)).collect();
    shop.done(secs(90));
    let got = numbers(&shop.forwarded());
    assert!(got.iter().all(|n| !n.is_multiple_of(3)), "forwarded without a permit");
    assert_eq!(got.len(), expected.len(), "lost or twice");
    assert!(got == expected, "lost and twice");
}

#[test]
fn either_of_two_instances() {
    let Some(kafka) = kafka() else { return };
    let (shop, configs) = pair(&kafka.address, "kill");
    let mut pair = configs.each_ref().map(|config| Some(Proxy::ready(config)));
    let sent = under_load(&shop, || {
        for turn in 0..KILLS {
            kill_one(&shop, &mut pair[turn % 2], &configs[turn % 2]);
        }
    });
    say(&format!("kill: {KILLS} kills among {sent} events"));
    check(&shop, sent);
    pair.into_iter().flatten().for_each(Proxy::stop);
}

#[test]
fn one_that_wakes_when_its_work_is_done_by_the_other() {
    let Some(kafka) = kafka() else { return };
    let (shop, configs) = pair(&kafka.address, "zombie");
    let [sleeper, other] = configs.each_ref().map(Proxy::ready);
    let sent = under_load(&shop, || {
        for _ in 0..2 {
            let forwards = || sleeper.metrics().records("analytics", "forwarded", "") > 0;
            until(secs(40), forwards, || format!("it never got work:\n{}", sleeper.output()));
            sleeper.signal("STOP");
            // Its session is over by then, and all partitions are the other's.
            thread::sleep(secs(5));
            let before = committed(&shop);
            let moves_on = || committed(&shop).iter().zip(&before).all(|(now, before)| now > before);
            until(secs(40), moves_on, || format!("the other does not take over:\n{}", other.output()));
            sleeper.signal("CONT");
            thread::sleep(secs(2));
        }
    });
    say(&format!("kill: one asleep twice among {sent} events"));
    check(&shop, sent);
    [sleeper, other].into_iter().for_each(Proxy::stop);
}

/// About 2,500 events a second until it is over; how many in all.
fn feed(shop: &Shop, over: &AtomicBool) -> u64 {
    let writer = Writer::new(&shop.address);
    let mut sent = 0;
    while !over.load(Ordering::Relaxed) {
        for _ in 0..50 {
            writer.send(&shop.source, &event_of(sent));
            sent += 1;
        }
        thread::sleep(Duration::from_millis(20));
    }
    writer.flush();
    sent
}

/// Kills this one while it has work in hand, leaves its partitions to the other, and has it back.
fn kill_one(shop: &Shop, one: &mut Option<Proxy>, config: &Value) {
    let proxy = one.take().expect("it runs");
    let forwards = || proxy.metrics().records("analytics", "forwarded", "") > 0;
    until(secs(40), forwards, || format!("it never got work:\n{}", proxy.output()));
    thread::sleep(Duration::from_millis(fastrand::u64(0..300)));
    proxy.kill();
    let sum = || committed(shop).into_iter().flatten().sum::<i64>();
    let before = sum();
    until(secs(40), || sum() > before, || "the other one does not carry on".into());
    *one = Some(Proxy::ready(config));
}

/// The group's committed offset on each partition.
fn committed(shop: &Shop) -> Vec<Option<i64>> {
    progress(&shop.address, &shop.group, &shop.source).into_iter().map(|(at, _)| at).collect()
}
