//! Where consents are Protobuf, and where each process holds but a part of them: a clean run, and one violation.

use consentry::wire::record_proto;
use serde_json::{Value, json};

use super::super::clients::{Row, read_all};
use super::super::kafka;
use super::super::people::{erased, event_beside_consent as event, granted, withdrawn};
use super::super::proxy::Proxy;
use super::super::shop::Shop;
use super::super::wait::secs;
use super::{Verified, verify};

const PEOPLE: u64 = 24;

/// Every third has withdrawn; of the others every fourth is erased in the end.
fn said(n: u64, encode: fn(Row) -> Row) -> Vec<Row> {
    let id = format!("p-{n}");
    let first = if n.is_multiple_of(3) { withdrawn(&id) } else { granted(&id) };
    let erased = (!n.is_multiple_of(3) && n.is_multiple_of(4)).then(|| erased(&id));
    std::iter::once(encode(first)).chain(erased).collect()
}

fn in_protobuf(row: Row) -> Row {
    let record = row.json().as_object().expect("a record").clone();
    Row { value: Some(record_proto::from_json(&record).expect("a consent record")), ..row }
}

/// Audits what the proxy does, then what it does and a forged record of someone who has withdrawn: how much is found.
fn clean_and_forged(shop: &Shop, encode: fn(Row) -> Row) -> Value {
    shop.consents(&(0..PEOPLE).flat_map(|n| said(n, encode)).collect::<Vec<_>>());
    let proxy = Proxy::ready(&shop.config);
    shop.events(&(0..PEOPLE).map(|n| event(&format!("p-{n}"), n)).collect::<Vec<_>>());
    let forwarded = shop.forwarded();
    proxy.stop();
    assert_eq!(forwarded.len() as u64, PEOPLE / 2);
    let Verified { code, report, text } = verify(&shop.config, &["--output", "json"]);
    assert_eq!((code, &report["found"]), (Some(0), &json!(0)), "{text}");
    let agreed = report["agreed"].clone();
    assert_eq!(agreed["forwarded"].as_u64(), Some(PEOPLE / 2), "{text}");

    let source = read_all(&shop.address, &shop.source);
    let event = source.iter().find(|row| row.json()["n"] == 3).expect("somebody who has withdrawn");
    let mut forged = Row { headers: forwarded[0].headers.clone(), ..event.clone() };
    forged.headers.retain(|(name, _)| name != "consentry.consent_offset");
    shop.writer.all(&shop.sink, [&forged]);
    let Verified { code, report, text } = verify(&shop.config, &["--output", "json"]);
    assert_eq!(code, Some(3), "{text}");
    let place = format!("{}/{}/{}", shop.source, event.partition.expect("it was read"), event.offset);
    let findings = report["findings"].as_array().expect("findings");
    // It stands at the end of its partition: where others came after it, that is told too.
    assert!(findings.iter().all(|finding| finding["source"] == place.as_str()), "{text}");
    let mut permits = findings.iter().filter(|finding| finding["kind"] == "no_permit");
    let expected = permits.next().and_then(|finding| finding["expected"].as_str());
    assert!(expected.is_some_and(|expected| expected.contains("dropped (withdrawn)")), "{text}");
    report["found"].clone()
}

#[test]
fn consents_in_protobuf_are_read() {
    let Some(kafka) = kafka() else { return };
    let mut shop = Shop::new(&kafka.address, "verify-proto", 2, 3);
    shop.config["consent"]["format"] = "protobuf".into();
    let found = clean_and_forged(&shop, in_protobuf);
    // What does not decode denies: who relied on what stood before was right all the same.
    let broken = Row { value: Some(b"{}".to_vec()), ..granted("p-1") };
    shop.consents([&broken]);
    let proxy = Proxy::ready(&shop.config);
    shop.events([&event("p-1", PEOPLE)]);
    shop.done(secs(60));
    proxy.stop();
    let Verified { code, report, text } = verify(&shop.config, &["--output", "json"]);
    assert_eq!((code, &report["found"]), (Some(3), &found), "{text}");
    assert_eq!(report["events"].as_u64(), Some(PEOPLE + 1), "{text}");
}

#[test]
fn a_cache_that_is_shared_out_is_audited_by_partition() {
    let Some(kafka) = kafka() else { return };
    let mut shop = Shop::new(&kafka.address, "verify-sharded", 2, 2);
    shop.config["consent"]["cache"] = "sharded".into();
    clean_and_forged(&shop, |row| row);
}
