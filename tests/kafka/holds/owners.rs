//! Who owns what waits: a process that is killed, or that stands still until another has its partitions and then
//! wakes, with ten thousand records that wait. Each is released exactly once, whoever does it.

use std::thread;

use serde_json::Value;

use super::super::clients::Row;
use super::super::people::{event, numbers};
use super::super::proxy::Proxy;
use super::super::wait::{secs, until};
use super::super::{kafka, say};
use super::{Letters, asked, confirmed, wait_held};

const HELD: u64 = 10_000;
const PEOPLE: u64 = 500;

fn person(n: u64) -> String {
    format!("p-{}", n % PEOPLE)
}

/// Ten thousand records wait, and two instances may run.
fn crowd(address: &str, name: &str) -> (Letters, [Value; 2]) {
    let crowd = Letters::new(address, name, 4);
    let shop = &crowd.shop;
    shop.consents(&(0..PEOPLE).map(|n| asked(&person(n))).collect::<Vec<_>>());
    shop.events(&(0..HELD).map(|n| event(&person(n), n)).collect::<Vec<_>>());
    let configs = ["a", "b"].map(|instance| shop.config_of(&format!("{name}-{instance}")));
    (crowd, configs)
}

/// Half of the people confirm; then the owner is taken away; then the other half does.
fn confirm(crowd: &Letters, half: u64) {
    let people = (0..PEOPLE).filter(|n| n % 2 == half);
    crowd.shop.consents(&people.map(|n| confirmed(&person(n))).collect::<Vec<Row>>());
}

#[track_caller]
fn check(crowd: &Letters, last: &Proxy) {
    let mut sink = crowd.shop.reader();
    let all = usize::try_from(HELD).expect("few");
    assert!(sink.until(secs(60), |rows| rows.len() >= all), "it said:\n{}", last.output());
    wait_held(&[last], 0);
    let got = numbers(&crowd.shop.forwarded());
    assert_eq!(got.len(), all, "lost or twice; it said:\n{}", last.output());
    assert_eq!(got, (0..HELD).collect::<Vec<_>>());
    assert_eq!(crowd.waits(), [""; 0]);
}

#[test]
fn one_that_is_killed() {
    let Some(kafka) = kafka() else { return };
    let (crowd, [first, second]) = crowd(&kafka.address, "killed-owner");
    let owner = Proxy::ready(&first);
    wait_held(&[&owner], HELD);
    confirm(&crowd, 0);
    // In the middle of the release, or soon after.
    thread::sleep(std::time::Duration::from_millis(fastrand::u64(0..200)));
    owner.kill();
    let after = Proxy::ready(&second);
    confirm(&crowd, 1);
    check(&crowd, &after);
    after.stop();
}

#[test]
fn one_that_wakes_when_another_has_its_records() {
    let Some(kafka) = kafka() else { return };
    let (crowd, [first, second]) = crowd(&kafka.address, "sleepy-owner");
    let sleeper = Proxy::ready(&first);
    wait_held(&[&sleeper], HELD);
    confirm(&crowd, 0);
    sleeper.signal("STOP");
    let after = Proxy::ready(&second);
    let takes_over = || after.output().matches("held records loaded").count() >= 4;
    until(secs(60), takes_over, || format!("the other does not take over:\n{}", after.output()));
    confirm(&crowd, 1);
    sleeper.signal("CONT");
    let both = [&sleeper, &after];
    wait_held(&both, 0);
    let released = both.map(|proxy| proxy.metrics().sum("consentry_released_total", &[]));
    say(&format!("holds: the sleeper counts {} released, the other {}", released[0], released[1]));
    check(&crowd, &after);
    [sleeper, after].into_iter().for_each(Proxy::stop);
}

/// A stop in order, and a start: nothing is lost, and what changed meanwhile is seen.
#[test]
fn one_that_is_started_anew() {
    let Some(kafka) = kafka() else { return };
    let (crowd, [first, _]) = crowd(&kafka.address, "new-owner");
    let owner = Proxy::ready(&first);
    wait_held(&[&owner], HELD);
    owner.stop();
    confirm(&crowd, 0);
    let owner = Proxy::ready(&first);
    wait_held(&[&owner], HELD / 2);
    confirm(&crowd, 1);
    check(&crowd, &owner);
    owner.stop();
}
