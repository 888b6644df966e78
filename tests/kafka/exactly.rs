//! 200,000 events through three routes: each sink holds exactly what an independent reading of the
//! rules expects, byte for byte, once.
//!
//! One route reduces fields, one leaves every byte as it was, one asks for another purpose and channel.
//! Among the events: two alike to the last byte, no key, binary keys and headers, a header that claims
//! to be ours, odd spelling of JSON. Records are compared as a multiset of key, value, timestamp and
//! headers; only the value of a reduced record is compared as JSON.

mod expected;

use serde_json::{Value, json};

use super::clients::{Row, read_all};
use super::people::consent;
use super::proxy::Proxy;
use super::shop::Shop;
use super::wait::secs;
use super::{kafka, say};

const EVENTS: usize = 200_000;
const SUBJECTS: usize = 1000;

/// The first event's time; each is a millisecond later than the one before.
const EPOCH_MS: i64 = 1_700_000_000_000;

/// What a subject has said, by the last digit of its number: the first seven have agreed to all.
fn consent_of(n: usize) -> Option<Row> {
    let grant = |purpose: &str, more: Value| {
        let mut grant = json!({"purpose": purpose, "status": "given", "given_at": "2020-01-01T00:00:00Z"});
        grant.as_object_mut()?.extend(more.as_object()?.clone());
        Some(grant)
    };
    let all = |more: Value| {
        let mut mail = more.clone();
        mail["channel"] = json!("email");
        [grant("analytics", more.clone()), grant("service", more), grant("newsletter", mail)]
    };
    let grants = match n % 10 {
        0..=6 => all(json!({})),
        7 => all(json!({"status": "withdrawn"})),
        8 => return None,
        _ => all(json!({"valid_until": "2024-01-01T00:00:00Z"})),
    };
    Some(consent(&subject(n), &grants.into_iter().flatten().collect::<Vec<_>>()))
}

fn subject(n: usize) -> String {
    format!("user-{n}")
}

/// The event of this number; every fiftieth is that of the number before, to the last byte.
fn event(n: usize) -> Row {
    let n = if n % 50 == 49 { n - 1 } else { n };
    let id = subject(n * 7 % SUBJECTS);
    let value = match n % 4 {
        0 => format!(
            r#"{{"n":{n},"user":{{"id":"{id}","email":"{id}@example.org","phone":"+31612345678"}},"price":1.50}}"#
        ),
        1 => format!(
            r#"{{ "user" : {{"id" : "{id}", "phone":"é€😀zß"}}, "n" : {n}, "x": 1E5, "\u0061": "\/" }}"#
        ),
        2 => format!(
            r#"{{"n":{n},"user":{{"id":"{id}"}},"items":[{{"note":"gift","sku":1}},{{"sku":2}},{{"note":null}}]}}"#
        ),
        _ => format!(
            "{{\"n\":{n},\"user\":{{\"id\":\"{id}\",\"email\":null}},\n\t\"big\":12345678901234567890123}}"
        ),
    };
    let key = match n % 3 {
        0 => None,
        1 => Some(id.into_bytes()),
        _ => Some(vec![0, 0xff, u8::try_from(n % 256).unwrap_or_default()]),
    };
    let header = |name: &str, value: Option<&[u8]>| (name.to_owned(), value.map(<[u8]>::to_vec));
    let mut headers =
        vec![header("bin", Some(b"\x00\xfe\xff")), header("none", None), header("bin", Some(b""))];
    if n % 5 == 0 {
        headers.push(header("x-client-ip", Some(b"203.0.113.77")));
        headers.push(header("consentry.reason", Some(b"forged")));
    }
    let timestamp = Some(EPOCH_MS + i64::try_from(n).unwrap_or_default());
    Row { key, value: Some(value.into_bytes()), headers, timestamp, ..Row::default() }
}

fn config(shop: &mut Shop) -> Vec<(&'static str, String)> {
    shop.config["policy"]["purposes"]["analytics"]["level"] = json!("pseudonymous");
    shop.config["policy"]["purposes"]["service"] = json!({"description": "Serve", "level": "sensitive"});
    shop.config["policy"]["purposes"]["newsletter"]["level"] = json!("sensitive");
    shop.config["commit_interval"] = json!("100ms");
    let sinks: Vec<(&str, String)> =
        ["analytics", "service", "newsletter"].map(|route| (route, format!("exactly-{route}"))).into();
    let pipeline = shop.pipeline();
    pipeline["fields"] = json!([
        {"path": "/user/email", "level": "contact", "action": "hash"},
        {"path": "/user/phone", "level": "contact", "action": {"truncate": 4}},
        {"path": "/items/*/note", "level": "sensitive", "action": "remove"},
        {"header": "x-client-ip", "level": "contact", "action": {"generalize": "ip"}},
    ]);
    let mut routes = Vec::new();
    for (name, topic) in &sinks {
        let mut require = json!({"purposes": {"all": [name]}});
        if *name == "newsletter" {
            require["channel"] = json!("email");
        }
        routes.push(json!({"name": name, "require": require, "to": {"kafka": {"topic": topic}}}));
    }
    pipeline["routes"] = json!(routes);
    sinks
}

#[test]
fn what_is_permitted_and_once() {
    let Some(kafka) = kafka() else { return };
    let mut shop = Shop::new(&kafka.address, "exactly", 4, 4);
    let sinks = config(&mut shop);
    for (_, topic) in sinks.iter().filter(|(_, topic)| *topic != shop.sink) {
        shop.topics.create(topic, 4, &[]);
    }
    let consents: Vec<Row> = (0..SUBJECTS).filter_map(consent_of).collect();
    shop.consents(&consents);
    for n in 0..EVENTS {
        shop.writer.send(&shop.source, &event(n));
    }
    shop.writer.flush();
    let source = read_all(&shop.address, &shop.source);
    assert_eq!(source.len(), EVENTS);

    let start = consentry::time::Instant::now();
    let proxy = Proxy::ready(&shop.config);
    shop.done(secs(180));
    let took = start.elapsed();
    let expected = expected::by_route(&shop.config, &consents, &source);
    let metrics = proxy.metrics();
    for (route, topic) in &sinks {
        let got = read_all(&shop.address, topic);
        assert!(expected[*route].len() > EVENTS / 2, "`{route}`: the control is missing");
        let counted = ["forwarded", "dropped"].map(|end| metrics.records(route, end, ""));
        assert_eq!(counted.iter().sum::<u64>(), EVENTS as u64, "`{route}`: {counted:?}");
        assert_eq!(got.len() as u64, counted[0], "`{route}`: counted as forwarded, and not in the sink");
        check_ours(route, &got, &expected[*route]);
        compare(route, &got, &expected[*route]);
        check_order(route, &source, &got);
    }
    assert_eq!(shop.quarantined().len(), 0);
    say(&format!("exactly: {EVENTS} events, three routes, in {took:.1?} with the start"));
    proxy.stop();
}

/// Key, value (reduced: as JSON, its members sorted), timestamp and headers but ours.
type Comparable = (Option<Vec<u8>>, Vec<u8>, Option<i64>, Vec<(String, Option<Vec<u8>>)>);

fn comparable(row: &Row, reduced: bool) -> Comparable {
    let value = row.value.clone().unwrap_or_default();
    let value = if reduced { expected::canonical(&value) } else { value };
    let headers = row.headers.iter().filter(|(name, _)| !name.starts_with("consentry.")).cloned();
    (row.key.clone(), value, row.timestamp, headers.collect())
}

/// The records, as a multiset.
fn compare(route: &str, got: &[Row], expected: &[(Row, String)]) {
    let is_reduced = |row: &Row| row.header("consentry.reason").as_deref() == Some("reduced");
    let mut got: Vec<_> = got.iter().map(|row| comparable(row, is_reduced(row))).collect();
    let mut want: Vec<_> = expected.iter().map(|(row, why)| comparable(row, why == "reduced")).collect();
    got.sort_unstable();
    want.sort_unstable();
    let differs = got.iter().zip(&want).find(|(got, want)| got != want);
    assert!(differs.is_none(), "`{route}`: the first that differs (got, expected): {differs:?}");
    assert_eq!(got.len(), want.len(), "`{route}`: lost or twice");
}

/// Our headers: each once, with the right words.
fn check_ours(route: &str, got: &[Row], expected: &[(Row, String)]) {
    let count = |reason: &str| expected.iter().filter(|(_, why)| why == reason).count();
    let mut policies = std::collections::BTreeSet::new();
    let mut reasons = [0, 0];
    for row in got {
        let once = |name: &str| {
            assert_eq!(row.headers.iter().filter(|h| h.0 == name).count(), 1, "`{route}`: `{name}`");
            row.header(name).unwrap_or_default()
        };
        assert_eq!(once("consentry.route"), route);
        policies.insert(once("consentry.policy"));
        match once("consentry.reason").as_str() {
            "permitted" => reasons[0] += 1,
            "reduced" => reasons[1] += 1,
            other => panic!("`{route}`: forwarded for `{other}`"),
        }
    }
    assert_eq!(reasons, [count("permitted"), count("reduced")], "`{route}`: permitted, reduced");
    assert!(policies.len() == 1 && policies.iter().all(|p| p.len() >= 8), "`{route}`: {policies:?}");
}

/// What came from one partition of the source keeps its order in each partition of the sink.
fn check_order(route: &str, source: &[Row], got: &[Row]) {
    let place = |row: &Row| (row.partition.unwrap_or(-1), row.offset);
    let places: std::collections::HashMap<i64, (i32, i64)> =
        source.iter().filter_map(|row| Some((row.timestamp?, place(row)))).collect();
    let mut last = std::collections::HashMap::new();
    for row in got {
        let time = row.timestamp.expect("all have one");
        // The two of a pair of equals may lie in different partitions: nobody can tell which is which.
        if (time - EPOCH_MS) % 50 == 48 {
            continue;
        }
        let (from, offset) = places[&time];
        let before = last.insert((from, row.partition), offset);
        assert!(before < Some(offset), "`{route}`: partition {from} is out of order at {offset}");
    }
}
