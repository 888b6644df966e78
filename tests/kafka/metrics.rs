//! Every record is counted at one end, and nobody's name is told.

use serde_json::{Value, json};

use super::clients::Row;
use super::kafka;
use super::people::{consent, event, grant, granted, withdrawn};
use super::proxy::Proxy;
use super::shop::Shop;
use super::wait::{secs, until};

/// Stands in ids, values, keys, headers and consents, and nowhere in what the proxy says of itself.
const PLANTED: &str = "planted";

fn planted(n: u64) -> String {
    format!("{PLANTED}-{n}")
}

/// Records for every end, some hostile, `rounds` times over; and how many there are.
fn write_all_kinds(shop: &Shop, rounds: u64) -> u64 {
    let raw = |value: String| Row {
        value: Some(value.into_bytes()),
        key: Some(planted(0).into()),
        ..Row::default()
    };
    let bad_consent = Row { value: Some(planted(0).into()), ..granted(&planted(5)) };
    shop.consents([
        &granted(&planted(1)),
        &withdrawn(&planted(2)),
        &consent(&planted(3), &[grant("newsletter"), grant("analytics")]),
        &consent(&planted(4), &[json!({"purpose": planted(4), "channel": planted(4), "status": planted(4)})]),
        &bad_consent,
    ]);
    let mut rows = Vec::new();
    for n in 1..=6 {
        let mut row = event(&planted(n), n);
        row.headers = vec![(planted(n), Some(planted(n).into()))];
        rows.push(row);
    }
    rows.extend([
        raw(format!(r#"{{"user":{{"id":"{PLANTED}"#)),
        raw(format!(r#"{{"user":{{"id":["{PLANTED}"]}},"n":8}}"#)),
        raw(format!(r#"{{"user":{{"id":"{PLANTED}","id":"{PLANTED}"}},"n":9}}"#)),
        raw(format!(r#"{{"user":{{"id":"{PLANTED}-1"}},"type":{{"{PLANTED}":1}},"n":10}}"#)),
        raw(format!(r#"{{"user":{{"id":"{PLANTED}-1"}},"type":"{PLANTED}","n":11}}"#)),
        raw(format!(r#"{{"user":{{"id":"{PLANTED}-1"}},"type":"heartbeat","n":12}}"#)),
        Row { key: Some(planted(1).into()), ..Row::default() },
    ]);
    for _ in 0..rounds {
        shop.events(&rows);
    }
    rounds * rows.len() as u64
}

fn three_routes(shop: &mut Shop) {
    for topic in ["newsletter", "heartbeats"] {
        shop.topics.create(&format!("{}-{topic}", shop.sink), 2, &[]);
    }
    let sink = shop.sink.clone();
    let pipeline = shop.pipeline();
    // Fails where `type` is an object, and is false for all but two records.
    let newsletter = json!({
        "name": "newsletter", "when": "!has(value.type) || value.type + \"\" != \"heartbeat\"",
        "require": {"purposes": {"all": ["newsletter", "analytics"]}},
        "to": {"kafka": {"topic": format!("{sink}-newsletter"), "key": "hash"}},
    });
    let heartbeats = json!({
        "name": "heartbeats", "when": "has(value.type) && value.type == \"heartbeat\"",
        "require": "none", "because": "Nobody is measured by these",
        "to": {"kafka": {"topic": format!("{sink}-heartbeats")}},
    });
    pipeline["routes"].as_array_mut().expect("a list").extend([newsletter, heartbeats]);
}

fn check_counts(proxy: &Proxy, total: u64) {
    let metrics = proxy.metrics();
    for route in ["analytics", "newsletter", "heartbeats"] {
        let ends = ["forwarded", "dropped", "quarantined", "not_routed", "held"];
        let counts = ends.map(|end| metrics.records(route, end, ""));
        assert_eq!(counts.iter().sum::<u64>(), total, "`{route}`: {ends:?} = {counts:?}");
        assert!(counts[0] > 0, "`{route}` forwards nothing");
    }
    let samples = metrics.samples("consentry_records_total");
    for (labels, _) in &samples {
        let keys: Vec<&str> = labels.keys().map(String::as_str).collect();
        assert_eq!(keys, ["end", "pipeline", "reason", "route"]);
    }
    let reasons = [
        ("analytics", "dropped", "withdrawn"),
        ("analytics", "dropped", "unknown_subject"),
        ("analytics", "dropped", "invalid_consent"),
        ("analytics", "dropped", "no_consent"),
        ("analytics", "quarantined", "malformed"),
        ("analytics", "quarantined", "ambiguous"),
        ("analytics", "quarantined", "invalid_subject"),
        ("newsletter", "quarantined", "when_failed"),
        ("newsletter", "forwarded", "permitted"),
        ("heartbeats", "forwarded", "exempt"),
        ("heartbeats", "not_routed", ""),
    ];
    for (route, end, reason) in reasons {
        assert!(metrics.records(route, end, reason) > 0, "{route} {end} {reason}: {samples:?}");
    }
    assert!(samples.iter().all(|(_, count)| count.fract() == 0.0));
}

/// How soon a withdrawal is obeyed is told of those that come now, and not of those that were there before.
fn check_withdrawal(shop: &Shop, proxy: &Proxy) {
    let of = |part: &str| proxy.metrics().sum(&format!("consentry_withdrawal_effective_seconds_{part}"), &[]);
    assert!(of("count") < 0.5, "one was there before, and nobody waited for it");
    shop.consents([&granted(&planted(6))]);
    shop.consents([&withdrawn(&planted(1)), &withdrawn(&planted(6))]);
    until(secs(20), || of("count") > 1.5, || "a withdrawal is not told of".into());
    let (count, sum) = (of("count"), of("sum"));
    assert!(count < 2.5 && sum < 10.0, "{count} withdrawals took {sum} s in all");
    println!("withdrawal_effective: {:.1} ms", sum / count * 1000.0);
}

fn play(name: &str, arguments: &[&str]) -> Option<String> {
    let kafka = kafka()?;
    let mut shop = Shop::new(&kafka.address, name, 2, 2);
    three_routes(&mut shop);
    let total = write_all_kinds(&shop, 20);
    let mut proxy = Proxy::start(&shop.config, arguments);
    proxy.wait_ready(secs(60));
    shop.done(secs(60));
    check_counts(&proxy, total);
    check_withdrawal(&shop, &proxy);
    // A key that cannot be read, and then a second life of the group: what is said of trouble counts too.
    let key = format!("{PLANTED}\u{0}");
    let (partition, _) =
        shop.writer.acked(&shop.consent, &Row { key: Some(key.clone().into()), ..granted("x") });
    proxy.wait_unready(secs(30), &[]);
    let pages = ["/metrics", "/ready", "/live", "/"].map(|path| proxy.get(path).map(|(_, body)| body));
    for page in pages.iter().flatten() {
        assert!(!page.contains(PLANTED), "a page tells a name: {page}");
    }
    shop.consents([&Row { key: Some(key.into()), partition: Some(partition), ..Row::default() }]);
    proxy.wait_ready(secs(30));
    proxy.signal("TERM");
    assert_eq!(proxy.wait_end(secs(40)), Some(0));
    let said = proxy.output();
    assert!(!said.contains(PLANTED), "a log tells a name:\n{said}");
    assert!(!said.trim().is_empty(), "it says nothing at all, so this shows nothing");
    Some(said)
}

#[test]
fn in_plain_words() {
    play("metrics-plain", &[]);
}

#[test]
fn in_json() {
    let Some(said) = play("metrics-json", &["--log-format", "json"]) else { return };
    for line in said.lines() {
        assert!(serde_json::from_str::<Value>(line).is_ok(), "no JSON: {line}");
    }
}
