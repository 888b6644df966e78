//! Privacy strings on the consent topic: what they refuse, and that one that does not decode is counted.

use serde_json::{Value, json};

use super::clients::Row;
use super::kafka;
use super::people::{event, granted, numbers};
use super::proxy::Proxy;
use super::shop::Shop;

/// One who allows `analytics`, with a GPP string in the same record.
fn with_gpp(id: &str, gpp: &str) -> Row {
    let row = granted(id);
    let mut record: Value = row.json();
    record["signals"] = json!({"gpp": gpp});
    Row { value: Some(record.to_string().into_bytes()), ..row }
}

#[test]
fn a_privacy_string_refuses_and_one_that_does_not_decode_is_counted() {
    let Some(kafka) = kafka() else { return };
    let mut shop = Shop::new(&kafka.address, "signals", 1, 2);
    shop.config["policy"]["signals"] =
        json!({"gpp": {"usnat": {"targeted_advertising": {"purposes": ["analytics"]}}}});
    shop.consents([
        // Did not opt out, opted out, no string of the standard.
        &with_gpp("stayed", "DBABLA~CVVqAAAAAACA"),
        &with_gpp("left", "DBABLA~CVVpAAAAAACA"),
        &with_gpp("garbled", "planted"),
        &granted("silent"),
    ]);
    let proxy = Proxy::ready(&shop.config);
    let people = ["stayed", "left", "garbled", "silent"];
    let events: Vec<Row> = people.iter().zip(0..).map(|(id, n)| event(id, n)).collect();
    shop.events(&events);
    assert_eq!(numbers(&shop.forwarded()), [0, 3]);
    let metrics = proxy.metrics();
    assert_eq!(metrics.records("analytics", "dropped", "refused"), 2);
    let count = |signal: &str| metrics.sum("consentry_consent_signals_invalid_total", &[("signal", signal)]);
    assert!((count("gpp") - 1.0).abs() < f64::EPSILON && count("tcf") < f64::EPSILON);

    // A string that decodes again governs at once.
    shop.consents([&with_gpp("garbled", "DBABLA~CVVqAAAAAACA"), &with_gpp("stayed", "DBABLA~CVVpAAAAAACA")]);
    shop.events(&events);
    assert_eq!(numbers(&shop.forwarded()), [0, 2, 3, 3]);
    proxy.stop();
}
