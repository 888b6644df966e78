//! Several pipelines and routes in one process, routes that ask for nothing, and deletions.

use hmac::{Hmac, KeyInit, Mac};
use serde_json::json;

use super::clients::{Row, caught_up, read_all};
use super::kafka;
use super::people::{consent, erased, event, grant, granted, numbers};
use super::proxy::Proxy;
use super::shop::{PSEUDONYM_KEY, Shop};
use super::wait::secs;

fn pseudonym(text: &[u8]) -> Vec<u8> {
    let mut mac = Hmac::<sha2::Sha256>::new_from_slice(PSEUDONYM_KEY).expect("a key of any length");
    mac.update(text);
    hex::encode(mac.finalize().into_bytes()).into_bytes()
}

/// Two pipelines over one source, and a third over two other topics, each with its own group.
#[test]
fn side_by_side() {
    let Some(kafka) = kafka() else { return };
    let mut shop = Shop::new(&kafka.address, "several", 2, 2);
    let more = ["several-b", "several-c"];
    for topic in ["several-b-sink", "several-c-sink", "several-c-one", "several-c-two"] {
        shop.topics.create(topic, 3, &[]);
    }
    for name in more {
        let mut pipeline = shop.config["pipelines"][0].clone();
        pipeline["name"] = json!(name);
        pipeline["group"] = json!(format!("{name}-group"));
        pipeline["routes"][0]["require"]["purposes"] = json!({"any": ["newsletter", "advertising"]});
        pipeline["routes"][0]["to"]["kafka"]["topic"] = json!(format!("{name}-sink"));
        shop.config["pipelines"].as_array_mut().expect("a list").push(pipeline);
    }
    shop.config["pipelines"][2]["from"]["topics"] = json!(["several-c-one", "several-c-two"]);
    shop.consents([&granted("first"), &consent("second", &[grant("advertising")])]);
    shop.events([&event("first", 1), &event("second", 2)]);
    shop.writer.all("several-c-one", [&event("second", 3), &event("first", 4)]);
    shop.writer.all("several-c-two", [&event("second", 5), &event("first", 6)]);

    let proxy = Proxy::ready(&shop.config);
    assert_eq!(numbers(&shop.forwarded()), [1]);
    caught_up(&shop.address, "several-b-group", &shop.source, secs(30));
    assert_eq!(numbers(&read_all(&shop.address, "several-b-sink")), [2]);
    for topic in ["several-c-one", "several-c-two"] {
        caught_up(&shop.address, "several-c-group", topic, secs(30));
    }
    let third = read_all(&shop.address, "several-c-sink");
    assert_eq!(numbers(&third), [3, 5]);
    assert_eq!(third[0].header("consentry.purposes").as_deref(), Some("advertising"));
    let counted =
        |name| proxy.metrics().sum("consentry_records_total", &[("pipeline", name), ("end", "forwarded")]);
    assert_eq!(["shop", "several-b", "several-c"].map(counted), [1.0, 1.0, 2.0]);
    proxy.stop();
}

/// A route that asks for nothing gets all, reduced to its own level; a pipeline of such routes alone
/// needs no subject.
#[test]
fn exempt() {
    let Some(kafka) = kafka() else { return };
    let mut shop = Shop::new(&kafka.address, "exempt", 1, 1);
    shop.consents([&granted("somebody-else")]);
    let pipeline = shop.pipeline();
    pipeline["fields"] = json!([{"path": "/user/id", "level": "contact", "action": "mask"}]);
    pipeline["routes"][0] = json!({
        "name": "security", "require": "none", "because": "Fraud detection", "level": "pseudonymous",
        "to": {"kafka": {"topic": "exempt-analytics"}},
    });
    shop.events([&event("unknown", 1)]);
    let proxy = Proxy::ready(&shop.config);
    let got = shop.forwarded();
    assert_eq!(got[0].json(), json!({"user": {"id": "***"}, "n": 1}));
    assert_eq!(got[0].header("consentry.reason").as_deref(), Some("exempt"));
    assert_eq!(got[0].header("consentry.route").as_deref(), Some("security"));
    proxy.stop();
}

/// A deletion passes without being asked about, its key as every other record's of that sink.
#[test]
fn deletions() {
    let Some(kafka) = kafka() else { return };
    let mut shop = Shop::new(&kafka.address, "deletions", 1, 1);
    shop.topics.create("deletions-hashed", 1, &[]);
    shop.topics.create("deletions-decided", 1, &[]);
    let mut hashed = shop.pipeline()["routes"][0].clone();
    hashed["name"] = json!("hashed");
    hashed["to"]["kafka"] = json!({"topic": "deletions-hashed", "key": "hash"});
    let mut decided = hashed.clone();
    decided["name"] = json!("decided");
    decided["tombstones"] = json!("decide");
    decided["to"]["kafka"] = json!({"topic": "deletions-decided"});
    let routes = shop.pipeline()["routes"].as_array_mut().expect("a list");
    routes.extend([hashed, decided]);
    shop.consents([&granted("yes"), &granted("gone"), &erased("gone")]);
    let deletion = Row { key: Some(b"gone".to_vec()), timestamp: Some(1_700_000_000_123), ..Row::default() };
    shop.events([&event("yes", 1), &deletion, &event("gone", 2)]);

    let proxy = Proxy::ready(&shop.config);
    let kept = shop.forwarded();
    let keys =
        |rows: &[Row]| rows.iter().map(|row| (row.key.clone(), row.value.is_none())).collect::<Vec<_>>();
    assert_eq!(keys(&kept), [(Some(b"yes".to_vec()), false), (Some(b"gone".to_vec()), true)]);
    assert_eq!(kept[1].timestamp, deletion.timestamp);
    assert_eq!(kept[1].header("consentry.reason").as_deref(), Some("exempt"));
    let hashed = read_all(&shop.address, "deletions-hashed");
    assert_eq!(keys(&hashed), [(Some(pseudonym(b"yes")), false), (Some(pseudonym(b"gone")), true)]);
    let decided = read_all(&shop.address, "deletions-decided");
    assert_eq!(keys(&decided), [(Some(b"yes".to_vec()), false)], "the subject cannot be read from a null");
    // For that route alone it is set aside: nobody knows whom it is about.
    let quarantined = shop.quarantined();
    assert_eq!(keys(&quarantined), [(Some(b"gone".to_vec()), true)]);
    assert_eq!(quarantined[0].header("consentry.reason").as_deref(), Some("missing_subject"));
    proxy.stop();
}
