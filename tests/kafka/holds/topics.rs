//! The hold topic itself: made, widened, refused where it would lose what waits; and what is in it that nobody
//! can read.

use serde_json::json;

use super::super::clients::{Row, Writer, read_all};
use super::super::kafka;
use super::super::people::{event, numbers};
use super::super::proxy::Proxy;
use super::super::wait::{secs, until};
use super::{Letters, asked, balances, confirmed, wait_held};

#[test]
fn one_that_would_lose_what_waits_is_refused() {
    let Some(kafka) = kafka() else { return };
    for (name, partitions, policy, words) in [
        ("hold-wide", 3, "compact", ["3 partitions", "2", "Name another"]),
        ("hold-deleting", 2, "delete", ["compacted", "forget", "cleanup.policy=compact"]),
        ("hold-both", 2, "compact,delete", ["compacted", "forget", "cleanup.policy=compact"]),
    ] {
        let letters = Letters::new(&kafka.address, name, 2);
        letters.shop.consents([&asked("somebody")]);
        letters.shop.topics.create(&letters.hold, partitions, &[("cleanup.policy", policy)]);
        let mut proxy = Proxy::start(&letters.shop.config, &[]);
        let code = proxy.wait_end(secs(40));
        let said = proxy.output();
        assert_eq!(code, Some(1), "{name}: {said}");
        assert!(words.iter().all(|word| said.contains(word)) && said.contains(&letters.hold), "{said}");
    }
}

/// Partitions that are added to the source while records wait: the hold topic gets them too, before anything of
/// them is read.
#[test]
fn one_that_is_too_narrow_is_widened() {
    let Some(kafka) = kafka() else { return };
    let letters = Letters::new(&kafka.address, "hold-narrow", 3);
    let shop = &letters.shop;
    shop.consents([&asked("p")]);
    shop.topics.create(&letters.hold, 1, &[("cleanup.policy", "compact")]);
    let on = |partition, n| Row { partition: Some(partition), ..event("p", n) };
    shop.events(&[on(0, 0), on(1, 1), on(2, 2)]);
    let proxy = Proxy::ready(&shop.config);
    wait_held(&[&proxy], 3);
    assert_eq!(shop.topics.partitions(&letters.hold), 3);
    shop.topics.grow(&shop.source, 5);
    // Another writer: this one does not know the new partitions yet.
    Writer::new(&shop.address).all(&shop.source, &[on(3, 3), on(4, 4)]);
    wait_held(&[&proxy], 5);
    assert_eq!(shop.topics.partitions(&letters.hold), 5);
    shop.consents([&confirmed("p")]);
    wait_held(&[&proxy], 0);
    assert_eq!(numbers(&shop.forwarded()), [0, 1, 2, 3, 4]);
    balances(&proxy);
    proxy.stop();
}

/// What waits and cannot be read is quarantined; what is there for nobody is left where it is.
#[test]
fn what_cannot_be_read_is_quarantined() {
    let Some(kafka) = kafka() else { return };
    let letters = Letters::new(&kafka.address, "hold-damaged", 1);
    let shop = &letters.shop;
    shop.consents([&asked("p")]);
    shop.events(&[event("p", 0), event("p", 1)]);
    let proxy = Proxy::ready(&shop.config);
    wait_held(&[&proxy], 2);
    proxy.stop();
    let damaged =
        |key: String| Row { key: Some(key.into_bytes()), value: Some(b"\xff".to_vec()), ..Row::default() };
    let key = |offset: u8, route: &str| format!("{}/0/{offset}/{route}", shop.source);
    let others = [key(0, "gone"), "nonsense".to_owned()];
    shop.writer.all(
        &letters.hold,
        &[damaged(key(0, "letters")), damaged(others[0].clone()), damaged(others[1].clone())],
    );
    let proxy = Proxy::ready(&shop.config);
    wait_held(&[&proxy], 1);
    until(secs(20), || shop.quarantined().len() == 1, || "nothing is quarantined".into());
    let aside = &shop.quarantined()[0];
    assert_eq!(aside.value.as_deref(), Some(&b"\xff"[..]));
    assert_eq!(aside.header("consentry.reason").as_deref(), Some("malformed"));
    assert_eq!(aside.header("__connect.errors.offset").as_deref(), Some("0"));
    shop.consents([&confirmed("p")]);
    wait_held(&[&proxy], 0);
    assert_eq!(numbers(&shop.forwarded()), [1]);
    let left = read_all(&shop.address, &letters.hold);
    let stands = |own: &String| {
        let mut rows = left.iter().filter(|row| row.key.as_deref() == Some(own.as_bytes()));
        rows.next_back().is_some_and(|row| row.value.is_some())
    };
    assert!(others.iter().all(stands), "what is there for nobody is gone");
    balances(&proxy);
    proxy.stop();
}

/// Where more waits than may be kept in memory, nothing new is taken in; nothing is lost, and it goes on by itself.
#[test]
fn more_than_may_wait_is_not_taken_in() {
    let Some(kafka) = kafka() else { return };
    let mut letters = Letters::new(&kafka.address, "hold-full", 1);
    letters.shop.config["limits"] = json!({"held_bytes": "20KiB", "batch_records": 10});
    letters.shop.config["workers"] = json!(1);
    let shop = &letters.shop;
    shop.consents([&asked("p")]);
    shop.events(&(0..500).map(|n| event("p", n)).collect::<Vec<_>>());
    let mut proxy = Proxy::start(&shop.config, &[]);
    proxy.wait_unready(secs(40), &["hold_full", "limits.held_bytes"]);
    std::thread::sleep(secs(1));
    let held = proxy.metrics().sum("consentry_held_now", &[]);
    assert!((20.0..200.0).contains(&held), "{held} of 500 wait");
    shop.consents([&confirmed("p")]);
    assert_eq!(numbers(&shop.forwarded()), (0..500).collect::<Vec<_>>());
    proxy.wait_ready(secs(20));
    balances(&proxy);
    proxy.stop();
}

/// A source that is made anew gives its offsets out again: no record takes the place of one that waits.
#[test]
fn one_whose_source_is_made_anew() {
    let Some(kafka) = kafka() else { return };
    let letters = Letters::new(&kafka.address, "hold-anew", 1);
    let shop = &letters.shop;
    shop.consents([&asked("p"), &asked("q")]);
    shop.events(&[event("p", 0), event("p", 1)]);
    let proxy = Proxy::ready(&shop.config);
    wait_held(&[&proxy], 2);
    shop.topics.delete(&shop.source);
    shop.topics.create(&shop.source, 1, &[]);
    let anew = [event("q", 10), event("q", 11), event("q", 12)];
    Writer::new(&shop.address).all(&shop.source, &anew);
    wait_held(&[&proxy], 3);
    let aside = shop.quarantined();
    assert_eq!(numbers(&aside), [10, 11]);
    assert_eq!(aside[0].header("consentry.reason").as_deref(), Some("rejected"));
    shop.consents([&confirmed("p"), &confirmed("q")]);
    wait_held(&[&proxy], 0);
    assert_eq!(numbers(&read_all(&shop.address, &shop.sink)), [0, 1, 12]);
    balances(&proxy);
    proxy.stop();
}
