//! Whatever happens to the consent topic: nothing is forwarded that it might forbid, `/ready` says why,
//! and what was wrong need only be put right.

use super::clients::Row;
use super::kafka;
use super::people::{event, granted, numbers, withdrawn};
use super::proxy::Proxy;
use super::shop::Shop;
use super::topics::CONSENT;
use super::wait::secs;

/// Events of somebody who agrees wait, and none comes through for a while.
fn nothing_comes(shop: &Shop, so_far: &[u64]) {
    assert_eq!(numbers(shop.reader().linger(secs(3))), so_far, "forwarded without knowing");
}

#[test]
fn no_consent_topic() {
    let Some(kafka) = kafka() else { return };
    let shop = Shop::without_topics(&kafka.address, "no-topic");
    for topic in [&shop.source, &shop.sink, &shop.quarantine] {
        shop.topics.create(topic, 1, &[]);
    }
    shop.events([&event("yes", 1)]);
    let mut proxy = Proxy::start(&shop.config, &[]);
    proxy.wait_unready(secs(30), &[&shop.consent]);
    nothing_comes(&shop, &[]);
    shop.topics.create(&shop.consent, 1, CONSENT);
    shop.consents([&granted("yes")]);
    proxy.wait_ready(secs(60));
    assert_eq!(numbers(&shop.forwarded()), [1]);
    proxy.stop();
}

#[test]
fn a_consent_topic_that_is_not_compacted() {
    let Some(kafka) = kafka() else { return };
    let shop = Shop::without_topics(&kafka.address, "not-compacted");
    for topic in [&shop.source, &shop.sink, &shop.quarantine, &shop.consent] {
        shop.topics.create(topic, 1, &[]);
    }
    shop.consents([&granted("yes")]);
    shop.events([&event("yes", 1)]);
    let mut proxy = Proxy::start(&shop.config, &[]);
    nothing_comes(&shop, &[]);
    assert!(!proxy.is_ready(), "ready on a consent topic that forgets");
    if let Some((status, why)) = proxy.get("/ready") {
        assert!(status == 503 && why.contains("compact"), "{status}: {why}");
    } else {
        assert_ne!(proxy.wait_end(secs(10)), Some(0));
        assert!(proxy.output().contains("compact"), "it said:\n{}", proxy.output());
    }
}

#[test]
fn an_empty_consent_topic() {
    let Some(kafka) = kafka() else { return };
    let shop = Shop::new(&kafka.address, "empty", 1, 2);
    shop.events([&event("yes", 1)]);
    let mut proxy = Proxy::start(&shop.config, &[]);
    proxy.wait_unready(secs(30), &["allow_empty"]);
    nothing_comes(&shop, &[]);
    shop.consents([&granted("yes")]);
    proxy.wait_ready(secs(30));
    // The event came before the first consent was known: it is decided now, or was never lost.
    shop.events([&event("yes", 2)]);
    assert_eq!(numbers(&shop.forwarded()), [1, 2]);
    proxy.stop();
}

#[test]
fn an_empty_consent_topic_that_may_be_empty() {
    let Some(kafka) = kafka() else { return };
    let mut shop = Shop::new(&kafka.address, "may-be-empty", 1, 2);
    shop.config["consent"]["allow_empty"] = true.into();
    shop.events([&event("yes", 1)]);
    let proxy = Proxy::ready(&shop.config);
    shop.done(secs(30));
    shop.consents([&granted("yes")]);
    shop.events([&event("yes", 2)]);
    assert_eq!(numbers(&shop.forwarded()), [2]);
    assert_eq!(proxy.metrics().records("analytics", "dropped", "unknown_subject"), 1);
    proxy.stop();
}

/// The topic is deleted and comes back with other records. The new ones stand at offsets that the old
/// topic had too: whoever reads on where it stood, or keeps what it knew, forwards for `changed`.
fn made_anew(name: &str, fillers_before: usize, fillers_after: usize) {
    let Some(kafka) = kafka() else { return };
    let shop = Shop::new(&kafka.address, name, 1, 1);
    let fillers = |count| (0..count).map(|n| granted(&format!("filler-{n}"))).collect::<Vec<Row>>();
    shop.consents(&[granted("changed"), granted("gone"), granted("yes")]);
    shop.consents(&fillers(fillers_before));
    shop.events([&event("changed", 0), &event("gone", 1), &event("yes", 2)]);
    let mut proxy = Proxy::ready(&shop.config);
    shop.done(secs(30));

    shop.topics.delete(&shop.consent);
    shop.events([&event("changed", 3), &event("gone", 4), &event("yes", 5)]);
    proxy.wait_unready(secs(30), &[&shop.consent]);
    nothing_comes(&shop, &[0, 1, 2]);
    shop.topics.create(&shop.consent, 1, CONSENT);
    shop.consents(&[withdrawn("changed"), granted("yes")]);
    shop.consents(&fillers(fillers_after));
    proxy.wait_ready(secs(60));
    shop.events([&event("changed", 6), &event("gone", 7), &event("yes", 8)]);
    assert_eq!(numbers(&shop.forwarded()), [0, 1, 2, 5, 8]);
    proxy.stop();
}

#[test]
fn made_anew_with_fewer_records() {
    made_anew("anew-fewer", 200, 10);
}

#[test]
fn made_anew_with_more_records() {
    made_anew("anew-more", 20, 2000);
}

/// As fast as an administrator can: the proxy may never see the topic missing.
#[test]
fn made_anew_in_a_moment() {
    let Some(kafka) = kafka() else { return };
    let shop = Shop::new(&kafka.address, "anew-moment", 1, 1);
    let fillers: Vec<Row> = (0..500).map(|n| granted(&format!("filler-{n}"))).collect();
    shop.consents([&granted("changed"), &granted("yes")]);
    shop.events([&event("changed", 0), &event("yes", 1)]);
    let mut proxy = Proxy::ready(&shop.config);
    shop.done(secs(30));
    shop.topics.delete(&shop.consent);
    shop.topics.create(&shop.consent, 1, CONSENT);
    shop.consents([withdrawn("changed"), granted("yes")].iter().chain(&fillers));
    shop.events([&event("changed", 2), &event("yes", 3)]);
    let got = numbers(&shop.forwarded());
    assert_eq!(got, [0, 1, 3]);
    proxy.wait_ready(secs(30));
    proxy.stop();
}

#[test]
fn the_broker_is_gone_for_a_while() {
    let Some(kafka) = kafka() else { return };
    let broker = kafka.spare();
    let shop = Shop::new(&broker.address, "gone", 2, 2);
    shop.consents([&granted("yes"), &granted("leaves")]);
    shop.events([&event("yes", 0), &event("leaves", 1)]);
    let mut proxy = Proxy::ready(&shop.config);
    shop.done(secs(30));
    broker.stop();
    let why = proxy.wait_unready(secs(30), &[]);
    assert!(!why.trim().is_empty(), "`/ready` gives no reason");
    broker.resume();
    shop.consents([&withdrawn("leaves")]);
    shop.events([&event("leaves", 2), &event("yes", 3)]);
    proxy.wait_ready(secs(60));
    assert_eq!(numbers(&shop.forwarded()), [0, 1, 3]);
    proxy.stop();
}

/// A broker that hangs: nothing is refused and nothing comes. What was appended before is decided with
/// what was acknowledged before, afterwards.
#[test]
fn the_broker_hangs_for_a_while() {
    let Some(kafka) = kafka() else { return };
    let broker = kafka.spare();
    let shop = Shop::new(&broker.address, "hangs", 1, 1);
    shop.consents([&granted("yes"), &granted("leaves")]);
    let mut proxy = Proxy::ready(&shop.config);
    shop.events([&event("yes", 0)]);
    shop.done(secs(30));
    broker.pause();
    proxy.wait_unready(secs(30), &[]);
    broker.carry_on();
    shop.consents([&withdrawn("leaves")]);
    shop.events([&event("leaves", 1), &event("yes", 2)]);
    proxy.wait_ready(secs(60));
    assert_eq!(numbers(&shop.forwarded()), [0, 2]);
    proxy.stop();
}
