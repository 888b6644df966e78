//! What is no event, or none that can be decided: set aside as it came, with the reason, and the next
//! good record passes.

use std::collections::BTreeMap;

use serde_json::json;

use super::clients::Row;
use super::kafka;
use super::people::{event, granted, numbers};
use super::proxy::Proxy;
use super::shop::Shop;
use super::wait::secs;

/// Stands in every bad record, and must stand in no header.
const PLANTED: &str = "planted-4711";

fn raw(value: impl Into<Vec<u8>>) -> Row {
    let headers = vec![("trace".into(), Some(b"\x00\xff".to_vec())), ("nothing".into(), None)];
    Row { key: Some(b"k".to_vec()), value: Some(value.into()), headers, ..Row::default() }
}

/// A good event of this many bytes.
fn sized(n: u64, bytes: usize) -> Row {
    let empty = json!({"user": {"id": "yes"}, "n": n, "pad": ""}).to_string().len();
    raw(json!({"user": {"id": "yes"}, "n": n, "pad": "x".repeat(bytes - empty)}).to_string())
}

/// A good event but for an array this deep; the outermost object is the first level.
fn deep(levels: usize) -> Row {
    let (open, close) = ("[".repeat(levels - 1), "]".repeat(levels - 1));
    raw(format!(r#"{{"user":{{"id":"yes"}},"n":7,"{PLANTED}":{open}{close}}}"#))
}

fn bad_records() -> Vec<(&'static str, Row)> {
    let text = |text: &str| raw(text.replace("PLANTED", PLANTED));
    vec![
        ("malformed", raw("")),
        ("malformed", raw(" ")),
        ("malformed", text(r#"{"user":{"id":"PLANTED"#)),
        ("malformed", text(r#"{"user":{"id":"yes"},"n":1"#)),
        ("malformed", raw(b"{\"user\":{\"id\":\"planted-4711\xff\"}}")),
        ("malformed", raw(b"{\"user\":{\"id\":\"yes\"},\"x\":\"\xff\"}")),
        ("malformed", text(r#"{"user":{"id":"yes"}} PLANTED"#)),
        ("malformed", text(r#"{"user":{"id":"yes"}}{"user":{"id":"yes"}}"#)),
        ("malformed", text(r#"{"user":{"id":"yes"},}"#)),
        ("malformed", text(r#"{"user":{"id":"yes"},"n":01}"#)),
        ("malformed", text(r#"{"user":{"id":"yes"},"n":NaN}"#)),
        ("malformed", text("{\"user\":{\"id\":\"yes\"},\"x\":\"a\nb\"}")),
        ("malformed", text("PLANTED")),
        ("too_deep", deep(65)),
        ("too_deep", deep(5000)),
        ("ambiguous", text(r#"{"user":{"id":"yes","id":"PLANTED"},"n":1}"#)),
        ("ambiguous", text(r#"{"user":{"id":"yes","\u0069d":"yes"},"n":1}"#)),
        ("ambiguous", text(r#"{"user":{"id":"yes"},"user":{"id":"no"},"n":1}"#)),
        ("ambiguous", text(r#"{"user":{"id":"yes"},"x":1,"x":2,"n":1}"#)),
        ("missing_subject", raw("[]")),
        ("missing_subject", raw("17")),
        ("missing_subject", raw("null")),
        ("missing_subject", raw("\"planted-4711\"")),
        ("missing_subject", raw("{}")),
        ("missing_subject", text(r#"{"user":{"id":null}}"#)),
        ("missing_subject", text(r#"{"user":"PLANTED"}"#)),
        ("missing_subject", text(r#"{"user":[{"id":"yes"}]}"#)),
        ("invalid_subject", text(r#"{"user":{"id":""}}"#)),
        ("invalid_subject", text(r#"{"user":{"id":" \u2003 "}}"#)),
        ("invalid_subject", text(r#"{"user":{"id":true}}"#)),
        ("invalid_subject", text(r#"{"user":{"id":1.5}}"#)),
        ("invalid_subject", text(r#"{"user":{"id":1e3}}"#)),
        ("invalid_subject", text(r#"{"user":{"id":["PLANTED"]}}"#)),
        ("invalid_subject", text(r#"{"user":{"id":{"PLANTED":1}}}"#)),
        ("invalid_subject", raw(json!({"user": {"id": "x".repeat(513)}}).to_string())),
        ("too_large", sized(1, 1_060_000)),
        ("too_large", sized(1, 10_000_000)),
        ("too_large", raw(vec![b'x'; 1_100_000])),
    ]
}

/// Odd, and good.
fn good_records() -> Vec<Row> {
    vec![
        deep(64),
        raw(r#"{"user":{"id":"yes"},"n":7,"other":{"a":1,"a":2}}"#),
        raw(r#" {"user" : {"id":" yes\n"}, "n":7, "x": 1e999, "y": -0.0, "z": "\ud83d\ude00"} "#),
        raw(r#"{"u\u0073er":{"id":"y\u0065s"},"n":7}"#),
        sized(7, 1_010_000),
    ]
}

const LARGE: &[(&str, &str)] = &[("max.message.bytes", "12000000")];

fn large_shop(address: &str, name: &str) -> Shop {
    let shop = Shop::without_topics(address, name);
    shop.topics.create(&shop.consent, 1, super::topics::CONSENT);
    shop.topics.create(&shop.source, 1, LARGE);
    shop.topics.create(&shop.quarantine, 1, LARGE);
    shop
}

/// Each bad record stands in the quarantine topic, in order.
#[track_caller]
fn check(shop: &Shop, bad: &[(&str, Row)], offsets: &[i64]) {
    let quarantined = shop.quarantined();
    let reasons: Vec<_> = quarantined.iter().map(|row| row.header("consentry.reason")).collect();
    let expected: Vec<_> = bad.iter().map(|(reason, _)| Some((*reason).to_owned())).collect();
    assert_eq!(reasons, expected, "wrong reasons, or wrong order");
    for ((row, (reason, was)), offset) in quarantined.iter().zip(bad).zip(offsets) {
        let about = format!("{reason} from offset {offset}");
        assert_eq!(row.key, was.key, "{about}");
        assert!(row.value == was.value || kept_apart(row, was), "{about}: other bytes");
        assert!(was.headers.iter().all(|header| row.headers.contains(header)), "{about}: headers lost");
        assert_eq!(row.header("__connect.errors.topic").as_deref(), Some(&*shop.source), "{about}");
        assert_eq!(row.header("__connect.errors.partition").as_deref(), Some("0"), "{about}");
        assert_eq!(row.header("__connect.errors.offset"), Some(offset.to_string()), "{about}");
        let text =
            format!("{:?}", row.headers.iter().map(|(_, v)| v.as_deref().map(String::from_utf8_lossy)));
        assert!(!text.contains(PLANTED), "{about}: the payload is quoted: {text}");
        let added = row.headers.iter().filter(|(name, _)| name.contains("exception"));
        for (name, value) in added {
            let value = String::from_utf8_lossy(value.as_deref().unwrap_or_default()).into_owned();
            assert!(!value.contains(PLANTED), "{about}: `{name}` quotes the payload: {value}");
        }
    }
}

/// Of a record that is too large for the quarantine topic only its SHA-256 is kept.
fn kept_apart(row: &Row, was: &Row) -> bool {
    use sha2::{Digest, Sha256};
    let digest = hex::encode(Sha256::digest(was.value.as_deref().unwrap_or_default()));
    let is_digest = |value: &Option<Vec<u8>>| value.as_deref() == Some(digest.as_bytes());
    row.value.is_none() && row.headers.iter().any(|(_, value)| is_digest(value))
}

#[test]
fn is_set_aside_with_its_reason() {
    let Some(kafka) = kafka() else { return };
    let shop = large_shop(&kafka.address, "bad-input");
    shop.topics.create(&shop.sink, 1, &[]);
    shop.consents([&granted("yes")]);
    let bad = bad_records();
    let offsets: Vec<i64> = (0..).step_by(2).take(bad.len()).collect();
    for (n, (_, row)) in (100..).zip(&bad) {
        shop.events([row, &event("yes", n)]);
    }
    shop.events(&good_records());
    let proxy = Proxy::ready(&shop.config);
    let forwarded = shop.forwarded();
    let (odd, plain): (Vec<Row>, Vec<Row>) =
        forwarded.into_iter().partition(|row| row.key == Some(b"k".to_vec()));
    let expected: Vec<u64> = (100..100 + bad.len() as u64).collect();
    assert_eq!(numbers(&plain), expected, "the next good record does not pass");
    check(&shop, &bad, &offsets);
    let bytes = |rows: Vec<Row>| rows.into_iter().map(|row| row.value).collect::<Vec<_>>();
    assert!(bytes(odd) == bytes(good_records()), "an odd but good record does not pass as it came");

    let metrics = proxy.metrics();
    let mut count: BTreeMap<&str, u64> = BTreeMap::new();
    for (reason, _) in &bad {
        *count.entry(reason).or_default() += 1;
    }
    for (reason, count) in count {
        assert_eq!(metrics.records("analytics", "quarantined", reason), count, "{reason}");
    }
    proxy.stop();
}

/// A record that may be read and does not fit its sink: an abort and a rewind for ever, without a rule.
#[test]
fn that_does_not_fit_the_sink() {
    let Some(kafka) = kafka() else { return };
    let shop = large_shop(&kafka.address, "small-sink");
    shop.topics.create(&shop.sink, 1, &[("max.message.bytes", "20000")]);
    shop.consents([&granted("yes")]);
    let large = sized(1, 100_000);
    shop.events([&event("yes", 0), &large, &event("yes", 2)]);
    let proxy = Proxy::ready(&shop.config);
    shop.done(secs(60));
    assert_eq!(numbers(&shop.forwarded()), [0, 2]);
    let quarantined = shop.quarantined();
    assert_eq!(quarantined.len(), 1, "it is not set aside");
    let reason = quarantined[0].header("consentry.reason").unwrap_or_default();
    assert!(["too_large", "rejected"].contains(&reason.as_str()), "{reason}");
    assert_eq!(quarantined[0].value, large.value);
    proxy.stop();
}

/// One that fits neither its sink nor the quarantine: its coordinates and digest are kept.
#[test]
fn that_does_not_fit_the_quarantine() {
    let Some(kafka) = kafka() else { return };
    let shop = Shop::without_topics(&kafka.address, "small-quarantine");
    shop.topics.create(&shop.consent, 1, super::topics::CONSENT);
    shop.topics.create(&shop.source, 1, LARGE);
    for topic in [&shop.sink, &shop.quarantine] {
        shop.topics.create(topic, 1, &[("max.message.bytes", "20000")]);
    }
    shop.consents([&granted("yes")]);
    let bad = vec![("too_large", sized(1, 2_000_000)), ("malformed", raw(vec![b'x'; 100_000]))];
    shop.events([&bad[0].1, &bad[1].1, &event("yes", 2)]);
    let proxy = Proxy::ready(&shop.config);
    assert_eq!(numbers(&shop.forwarded()), [2]);
    let quarantined = shop.quarantined();
    assert_eq!(quarantined.len(), 2, "not set aside");
    assert!(quarantined.iter().zip(&bad).all(|(row, (_, was))| kept_apart(row, was)), "no digest");
    check(&shop, &bad, &[0, 1]);
    proxy.stop();
}
