//! Consents that cannot be read: one whose key is readable denies its subject alone; one whose key is
//! not stops everything, because nobody knows whom it protects.

use super::clients::Row;
use super::kafka;
use super::people::{event, granted, numbers};
use super::proxy::Proxy;
use super::shop::Shop;
use super::wait::secs;

#[test]
fn a_value_that_does_not_decode_denies_its_subject() {
    let Some(kafka) = kafka() else { return };
    let shop = Shop::new(&kafka.address, "bad-value", 1, 2);
    let bad: [(&str, &[u8]); 4] = [
        ("not-json", b"{\"subject\":"),
        ("not-utf8", b"\xff\xfe"),
        ("nobody", b"{\"grants\":[]}"),
        ("another", br#"{"subject":{"type":"user_id","value":"yes"},"grants":[]}"#),
    ];
    shop.consents([&granted("yes")]);
    for (id, value) in bad {
        shop.consents([&granted(id), &Row { value: Some(value.to_vec()), ..granted(id) }]);
    }
    let proxy = Proxy::ready(&shop.config);
    let events: Vec<Row> =
        bad.iter().map(|(id, _)| *id).chain(["yes"]).zip(0..).map(|(id, n)| event(id, n)).collect();
    shop.events(&events);
    assert_eq!(numbers(&shop.forwarded()), [4]);
    assert_eq!(proxy.metrics().records("analytics", "dropped", "invalid_consent"), 4);
    assert!(proxy.is_ready(), "one subject's consent must not stop the others");

    let good: Vec<Row> = bad.iter().map(|(id, _)| granted(id)).collect();
    shop.consents(&good);
    shop.events(&events);
    assert_eq!(numbers(&shop.forwarded()), [0, 1, 2, 3, 4, 4]);
    proxy.stop();
}

fn unreadable(name: &str, key: &[u8], while_running: bool) {
    let Some(kafka) = kafka() else { return };
    let shop = Shop::new(&kafka.address, name, 1, 2);
    let fillers: Vec<Row> = (0..1234).map(|n| granted(&format!("filler-{n}"))).collect();
    shop.consents(fillers.iter().chain([&granted("yes")]));
    let row = Row { key: Some(key.to_vec()), ..granted("somebody") };
    let (mut proxy, (partition, offset)) = if while_running {
        let proxy = Proxy::ready(&shop.config);
        (proxy, shop.writer.acked(&shop.consent, &row))
    } else {
        let place = shop.writer.acked(&shop.consent, &row);
        (Proxy::start(&shop.config, &[]), place)
    };
    shop.events([&event("yes", 0)]);
    let why = proxy.wait_unready(secs(30), &["tombstone"]);
    let numbers_in: Vec<&str> = why.split(|c: char| !c.is_ascii_digit()).collect();
    let named = [partition.to_string(), offset.to_string()];
    assert!(
        named.iter().all(|number| numbers_in.contains(&number.as_str())),
        "`/ready` does not name partition {partition}, offset {offset}: {why}"
    );
    let mut sink = shop.reader();
    assert!(sink.linger(secs(2)).is_empty(), "forwarded without knowing whom a consent protects");

    let tombstone = Row { key: Some(key.to_vec()), partition: Some(partition), ..Row::default() };
    shop.consents([&tombstone]);
    proxy.wait_ready(secs(30));
    assert_eq!(numbers(&shop.forwarded()), [0]);
    proxy.stop();
}

#[test]
fn a_key_that_is_not_utf8_stops_all() {
    unreadable("key-utf8", b"user_id:\xff\xfe", true);
}

#[test]
fn a_key_without_a_colon_stops_all() {
    unreadable("key-colon", b"somebody", true);
}

#[test]
fn a_key_that_was_there_before_the_start_stops_all() {
    unreadable("key-before", b"user_id:\xff\xfe", false);
}
