//! A clean run in which nothing stands still: people give, take back and confirm while their events come, records wait and
//! are released, and the proxy is killed in the middle of it.

use serde_json::{Value, json};

use super::super::clients::{Row, read_all};
use super::super::people::{consent, grant};
use super::super::proxy::Proxy;
use super::super::shop::Shop;
use super::super::topics::CONSENT;
use super::super::wait::secs;
use super::super::{kafka, say};
use super::{BY_BROKER, Verified, verify};

const PEOPLE: u64 = 12;
const STEPS: u64 = 900;
/// After so many steps (five of each who says something) the proxy may catch up. One person has just asked for the
/// newsletter then and not confirmed, so at each such moment a record waits whose fate comes later, on however slow
/// a machine.
const ROUND: u64 = 60;

fn shop(address: &str) -> Shop {
    let mut shop = Shop::without_topics(address, "moving");
    shop.topics.create(&shop.consent, 3, &[CONSENT, BY_BROKER].concat());
    shop.topics.create(&shop.source, 4, BY_BROKER);
    for topic in ["moving-analytics", "moving-newsletter", "moving-ads", "moving-quarantine"] {
        shop.topics.create(topic, 4, &[]);
    }
    shop.config["policy"]["purposes"]["newsletter"]["confirmation"] = json!("double");
    let pipeline = shop.pipeline();
    pipeline["fields"] = json!([{"path": "/user/email", "level": "contact", "action": "hash"}]);
    pipeline["hold"] = json!({"topic": "moving-hold"});
    pipeline["routes"] = json!([
        {"name": "analytics", "require": {"purposes": {"all": ["analytics"]}},
         "to": {"kafka": {"topic": "moving-analytics", "key": "hash"}}},
        {"name": "newsletter", "require": {"purposes": {"all": ["newsletter"]}, "evaluate": "now"}, "hold": ["pending"],
         "to": {"kafka": {"topic": "moving-newsletter"}}},
        {"name": "ads", "to": {"kafka": {"topic": "moving-ads"}},
         "require": {"purposes": {"any": ["advertising", "analytics"]}, "recipient": "third_party:adco"}},
    ]);
    shop
}

/// What a person says next.
fn said(person: u64, step: u64) -> Row {
    let ads =
        json!({"purpose": "advertising", "recipient": "third_party:*", "status": "given", "given_at": 1_000});
    let newsletter = |status: &str| json!({"purpose": "newsletter", "status": status, "given_at": 1_000});
    let withdrawn = json!({"purpose": "analytics", "status": "withdrawn"});
    let grants: Vec<Value> = match step % 5 {
        0 => vec![grant("analytics"), newsletter("given")],
        1 => vec![withdrawn, ads, newsletter("given")],
        2 => vec![grant("analytics"), ads, newsletter("confirmed")],
        3 => vec![json!({"purpose": "*", "status": "withdrawn"})],
        _ => return Row { value: None, ..consent(&name(person), &[]) },
    };
    consent(&name(person), &grants)
}

fn name(person: u64) -> String {
    format!("mover-{person}")
}

fn event(person: u64, step: u64) -> Row {
    let body = json!({"user": {"id": name(person), "email": "a@example.org"}, "n": step});
    Row { key: Some(name(person).into()), value: Some(body.to_string().into_bytes()), ..Row::default() }
}

#[test]
fn nothing_is_wrong_while_people_change_their_minds_and_the_proxy_is_killed() {
    let Some(kafka) = kafka() else { return };
    let shop = shop(&kafka.address);
    let first: Vec<Row> = (0..PEOPLE).map(|person| said(person, person)).collect();
    shop.consents(&first);
    let mut proxy = Proxy::ready(&shop.config);
    for step in 0..STEPS {
        let person = step * 7 % PEOPLE;
        if step % 3 == 0 {
            shop.writer.acked(&shop.consent, &said(person, step / 12 + person));
        }
        shop.writer.acked(&shop.source, &event(person, step));
        if step == STEPS / 2 {
            proxy.kill();
            proxy = Proxy::ready(&shop.config);
        }
        if step % ROUND == ROUND - 1 {
            shop.done(secs(60));
        }
    }
    shop.done(secs(60));
    proxy.stop();
    let hold = read_all(&kafka.address, &format!("moving-hold.{}", shop.source));
    let released = hold.iter().filter(|row| row.value.is_none()).count();
    // What waits at the end of a round is released, or refused, in the next.
    assert!(released as u64 >= STEPS / ROUND - 1, "only {released} of what waited came out again");
    let Verified { code, report, text } = verify(&shop.config, &["--output", "json"]);
    assert_eq!((code, &report["found"]), (Some(0), &json!(0)), "{text}");
    let forwarded: usize = ["analytics", "newsletter", "ads"]
        .map(|route| read_all(&kafka.address, &format!("moving-{route}")).len())
        .iter()
        .sum();
    assert_eq!(report["agreed"]["forwarded"].as_u64(), Some(forwarded as u64), "{text}");
    assert_eq!(report["events"].as_u64(), Some(STEPS), "{text}");
    assert!(forwarded > 300, "only {forwarded} were forwarded");
    let (agreed, open) = (&report["agreed"], &report["undecidable"]);
    say(&format!("verify: moving: {released} waited and came out, agreed {agreed}, undecidable {open}"));
}
