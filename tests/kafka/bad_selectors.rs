//! What a subject or a time is read from may hold anything: every selector against every wrong type.

use serde_json::json;

use super::clients::Row;
use super::kafka;
use super::people::{event, granted, numbers};
use super::proxy::Proxy;
use super::shop::Shop;

/// A record of two routes: one asks for consent, the other does not. What is wrong for the first alone
/// leaves the second be, and the quarantine holds it once.
fn with_exempt_route(shop: &mut Shop, subject: serde_json::Value) -> String {
    let exempt = format!("{}-exempt", shop.sink);
    shop.topics.create(&exempt, 1, &[]);
    let pipeline = shop.pipeline();
    pipeline["subject"] = subject;
    let route = json!({
        "name": "security", "require": "none", "because": "Fraud detection",
        "to": {"kafka": {"topic": exempt}},
    });
    pipeline["routes"].as_array_mut().expect("a list").push(route);
    exempt
}

/// Plays these records, each before a good one, and expects these reasons in the quarantine.
fn play(shop: &Shop, exempt: &str, bad: &[(&str, Row)], good: impl Fn(u64) -> Row) {
    shop.consents([&granted("yes")]);
    for (n, (_, row)) in (0..).zip(bad) {
        shop.events([row, &good(n)]);
    }
    let proxy = Proxy::ready(&shop.config);
    let forwarded = numbers(&shop.forwarded());
    let quarantined = shop.quarantined();
    let reasons: Vec<_> = quarantined.iter().filter_map(|row| row.header("consentry.reason")).collect();
    let expected: Vec<_> = bad.iter().map(|(reason, _)| *reason).collect();
    assert_eq!(reasons, expected);
    let all: Vec<u64> = (0..bad.len() as u64).collect();
    assert_eq!(forwarded, all, "the next good record does not pass");
    for (row, (reason, was)) in quarantined.iter().zip(bad) {
        assert_eq!((&row.key, &row.value), (&was.key, &was.value), "{reason}");
        let routes = row.header("consentry.route");
        assert_eq!(routes.as_deref(), Some("analytics"), "{reason}: the routes it is kept from");
    }
    let untouched = super::clients::read_all(&shop.address, exempt);
    assert_eq!(untouched.len(), 2 * bad.len(), "a route that asks for nothing");
    let metrics = proxy.metrics();
    assert_eq!(metrics.records("security", "forwarded", "exempt"), 2 * bad.len() as u64);
    proxy.stop();
}

fn with_header(n: u64, name: &str, value: Option<&[u8]>) -> Row {
    let headers = vec![(name.to_owned(), value.map(<[u8]>::to_vec))];
    Row { key: None, headers, ..event("ignored", n) }
}

#[test]
fn a_subject_in_a_header() {
    let Some(kafka) = kafka() else { return };
    let mut shop = Shop::new(&kafka.address, "bad-header", 1, 1);
    let exempt = with_exempt_route(&mut shop, json!([{"type": "user_id", "header": "user"}]));
    let long = "x".repeat(513);
    let bad = [
        ("missing_subject", with_header(0, "other", Some(b"yes"))),
        ("missing_subject", with_header(0, "user", None)),
        ("invalid_subject", with_header(0, "user", Some(b""))),
        ("invalid_subject", with_header(0, "user", Some(b" \t"))),
        ("invalid_subject", with_header(0, "user", Some(b"yes\xff"))),
        ("invalid_subject", with_header(0, "user", Some(long.as_bytes()))),
    ];
    play(&shop, &exempt, &bad, |n| with_header(n, "user", Some(b" yes ")));
}

#[test]
fn a_subject_in_the_key() {
    let Some(kafka) = kafka() else { return };
    let mut shop = Shop::new(&kafka.address, "bad-key", 1, 1);
    let exempt = with_exempt_route(&mut shop, json!([{"type": "user_id", "key": true}]));
    let with_key = |key: Option<&[u8]>| Row { key: key.map(<[u8]>::to_vec), ..event("ignored", 0) };
    let bad = [
        ("missing_subject", with_key(None)),
        ("invalid_subject", with_key(Some(b""))),
        ("invalid_subject", with_key(Some(b"\xc3\x28"))),
        ("invalid_subject", with_key(Some(&[b'x'; 513]))),
    ];
    play(&shop, &exempt, &bad, |n| event("yes", n));
}

/// The later identity is looked at too: one that is there and wrong is not taken for absent.
#[test]
fn a_second_subject() {
    let Some(kafka) = kafka() else { return };
    let mut shop = Shop::new(&kafka.address, "bad-second", 1, 1);
    let subject = json!([{"type": "user_id", "path": "/user/id"}, {"type": "user_id", "path": "/parent"}]);
    let exempt = with_exempt_route(&mut shop, subject);
    let parent = |value: serde_json::Value| {
        let body = json!({"user": {"id": "yes"}, "parent": value});
        Row { value: Some(body.to_string().into_bytes()), ..Row::default() }
    };
    let bad = [
        ("invalid_subject", parent(json!({}))),
        ("invalid_subject", parent(json!([]))),
        ("invalid_subject", parent(json!(false))),
        ("invalid_subject", parent(json!(0.5))),
        ("invalid_subject", parent(json!(""))),
    ];
    play(&shop, &exempt, &bad, |n| event("yes", n));
}

#[test]
fn a_time() {
    let Some(kafka) = kafka() else { return };
    let mut shop = Shop::new(&kafka.address, "bad-time", 1, 1);
    shop.pipeline()["occurred_at"] = json!({"path": "/at"});
    let exempt = with_exempt_route(&mut shop, json!([{"type": "user_id", "path": "/user/id"}]));
    let at = |n: u64, at: serde_json::Value| {
        let body = json!({"user": {"id": "yes"}, "n": n, "at": at});
        Row { value: Some(body.to_string().into_bytes()), ..Row::default() }
    };
    let wrong = [
        json!(""),
        json!("yesterday"),
        json!("2026-05-01"),
        json!("2026-05-01T10:00:00"),
        json!(1.5),
        json!(true),
        json!([]),
        json!({}),
        json!("2026-02-30T10:00:00Z"),
    ];
    let bad: Vec<_> = wrong.into_iter().map(|value| ("invalid_time", at(0, value))).collect();
    let times = [json!("2026-05-01T10:00:00+02:00"), json!(1_777_629_600_000_i64), json!(null)];
    play(&shop, &exempt, &bad, |n| at(n, times[usize::try_from(n).expect("few") % 3].clone()));
}

#[test]
fn a_header_that_is_there_twice() {
    let Some(kafka) = kafka() else { return };
    let mut shop = Shop::new(&kafka.address, "bad-twice", 1, 1);
    shop.pipeline()["subject"] = json!([{"type": "user_id", "header": "user"}]);
    shop.consents([&granted("yes")]);
    let twice = |n: u64, second: &[u8]| {
        let mut row = with_header(n, "user", Some(b"yes"));
        row.headers.push(("user".into(), Some(second.to_vec())));
        row
    };
    shop.events([&twice(0, b"no"), &twice(1, b"yes"), &with_header(2, "user", Some(b"yes"))]);
    let proxy = Proxy::ready(&shop.config);
    assert_eq!(numbers(&shop.forwarded()), [1, 2]);
    let quarantined = shop.quarantined();
    assert_eq!(quarantined.len(), 1);
    assert_eq!(quarantined[0].header("consentry.reason").as_deref(), Some("ambiguous"));
    proxy.stop();
}
