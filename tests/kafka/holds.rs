//! Records that wait: for a confirmation, for consent that comes a moment later, for the hour at which a person
//! may be reached. What comes of each is seen in the sink, in the counts, and in the hold topic, where nothing
//! may be left of what waits no longer.

mod orders;
mod owners;
mod topics;

use std::collections::BTreeMap;
use std::time::Duration;

use consentry::time::{Clock, Instant, Timestamp};
use serde_json::{Value, json};

use super::clients::{Row, read_all};
use super::people::{consent, erased, event, grant, numbers};
use super::proxy::Proxy;
use super::shop::Shop;
use super::wait::{secs, until};
use super::{kafka, say};

/// A shop with one route, `letters`, to which records wait for all that there is to wait for.
pub(super) struct Letters {
    pub shop: Shop,
    /// The hold topic of the only source.
    pub hold: String,
}

impl Letters {
    pub fn new(address: &str, name: &str, partitions: i32) -> Self {
        let mut shop = Shop::new(address, name, partitions, 2);
        let (sink, hold) = (shop.sink.clone(), format!("{name}-hold"));
        shop.config["policy"]["purposes"]["newsletter"]["confirmation"] = json!("double");
        let pipeline = shop.pipeline();
        pipeline["hold"] = json!({"topic": hold});
        pipeline["routes"] = json!([{
            "name": "letters",
            "require": {"purposes": {"all": ["newsletter"]}, "channel": "email"},
            "hold": ["pending", "contact_window", "unknown"],
            "grace": "30s",
            "to": {"kafka": {"topic": sink}},
        }]);
        let hold = format!("{hold}.{}", shop.source);
        Self { shop, hold }
    }

    /// The only route, to be changed.
    pub fn route(&mut self) -> &mut Value {
        &mut self.shop.pipeline()["routes"][0]
    }

    /// The keys of what waits by the hold topic.
    pub fn waits(&self) -> Vec<String> {
        let mut last = BTreeMap::new();
        for row in read_all(&self.shop.address, &self.hold) {
            let key = String::from_utf8(row.key.expect("a key")).expect("text");
            let partition: i32 = key.split('/').nth(1).expect("a partition").parse().expect("a number");
            assert_eq!(Some(partition), row.partition, "{key} stands on the partition of its source");
            last.insert(key, row.value.is_some());
        }
        last.into_iter().filter(|(_, waits)| *waits).map(|(key, _)| key).collect()
    }
}

/// A first opt-in to the newsletter by email, with this status.
pub(super) fn letters(status: &str) -> Value {
    let mut line = grant("newsletter");
    line["status"] = json!(status);
    line["channel"] = json!("email");
    line
}

pub(super) fn asked(id: &str) -> Row {
    consent(id, &[letters("given")])
}

pub(super) fn confirmed(id: &str) -> Row {
    let mut line = letters("confirmed");
    line["confirmed_at"] = json!(Clock::default().now().0);
    consent(id, &[line])
}

/// Waits until so many records wait.
#[track_caller]
pub(super) fn wait_held(proxies: &[&Proxy], count: u64) {
    let held = || proxies.iter().map(|proxy| proxy.metrics().sum("consentry_held_now", &[])).sum::<f64>();
    let is_so = || (held() - f64::from(u32::try_from(count).expect("few"))).abs() < 0.5;
    let why = || format!("{} wait, not {count}; it said:\n{}", held(), proxies[0].output());
    until(secs(60), is_so, why);
}

/// Every count balances: what was read, at each route, or released has ended somewhere.
#[track_caller]
pub(super) fn balances(proxy: &Proxy) {
    let metrics = proxy.metrics();
    let sum = |name: &str| metrics.sum(name, &[]);
    let routes = f64::from(u32::try_from(metrics.samples("consentry_held_now").len()).expect("few"));
    let taken = sum("consentry_read_total") * routes + sum("consentry_released_total");
    assert!(routes > 0.5 && (taken - sum("consentry_records_total")).abs() < 0.5, "{}", metrics.0);
}

/// First opt-in: held. Then: a confirmation releases, a refusal, a withdrawal and an erasure end it, and so does
/// time.
#[test]
fn a_double_opt_in_has_every_end() {
    let Some(kafka) = kafka() else { return };
    let mut letters_shop = Letters::new(&kafka.address, "optin", 2);
    letters_shop.route()["hold_for"] = json!("8s");
    letters_shop.route()["hold"] = json!(["pending"]);
    let Letters { shop, .. } = &letters_shop;
    let people = ["confirms", "refuses", "withdraws", "erased", "silent"];
    shop.consents(&people.map(asked));
    let proxy = Proxy::ready(&shop.config);
    let events: Vec<Row> = (0..).zip(people).map(|(n, id)| event(id, n)).collect();
    shop.events(&events);
    wait_held(&[&proxy], 5);
    assert_eq!(letters_shop.waits().len(), 5);
    let held = |reason| proxy.metrics().records("letters", "held", reason);
    assert_eq!((held("unconfirmed"), held("")), (5, 5));

    let mut sink = shop.reader();
    let began = Instant::now();
    shop.consents([&confirmed("confirms")]);
    assert!(sink.until(secs(20), |rows| !rows.is_empty()), "it said:\n{}", proxy.output());
    let took = began.elapsed();
    say(&format!("holds: released {} ms after the confirmation", took.as_millis()));
    assert!(took < Duration::from_millis(1000), "a confirmation takes {took:?}");
    assert_eq!(sink.rows[0].header("consentry.reason").as_deref(), Some("permitted"));
    assert_eq!(sink.rows[0].header("consentry.purposes").as_deref(), Some("newsletter"));

    shop.consents(&[
        consent("refuses", &[letters("refused")]),
        consent("withdraws", &[letters("withdrawn")]),
        erased("erased"),
    ]);
    let dropped = |reason| proxy.metrics().records("letters", "dropped", reason);
    for reason in ["refused", "withdrawn", "unknown_subject", "hold_expired"] {
        until(secs(20), || dropped(reason) == 1, || format!("no {reason}:\n{}", proxy.metrics().0));
    }
    wait_held(&[&proxy], 0);
    balances(&proxy);
    assert_eq!(numbers(&shop.forwarded()), [0]);
    assert_eq!(letters_shop.waits(), [""; 0]);
    let released = proxy.metrics().sum("consentry_released_total", &[("reason", "unconfirmed")]);
    assert!((released - 5.0).abs() < 0.5);
    proxy.stop();
}

/// Consent that comes a moment after its event is in time; consent that does not come drops it.
#[test]
fn consent_may_come_a_moment_later() {
    let Some(kafka) = kafka() else { return };
    let mut letters_shop = Letters::new(&kafka.address, "later", 1);
    letters_shop.route()["grace"] = json!("3s");
    let Letters { shop, .. } = &letters_shop;
    shop.consents([&asked("somebody")]);
    let proxy = Proxy::ready(&shop.config);
    shop.events(&[event("new", 1), event("never", 2), Row { value: Some(b"{".to_vec()), ..event("bad", 3) }]);
    wait_held(&[&proxy], 2);
    // First the opt-in, then the second step: another reason to wait, with a time of its own.
    shop.consents([&asked("new")]);
    let expired = || proxy.metrics().records("letters", "dropped", "hold_expired");
    until(secs(20), || expired() == 1, || "the grace never ends".into());
    wait_held(&[&proxy], 1);
    shop.consents([&confirmed("new")]);
    wait_held(&[&proxy], 0);
    assert_eq!(numbers(&shop.forwarded()), [1]);
    assert_eq!(shop.quarantined().len(), 1);
    assert_eq!(letters_shop.waits(), [""; 0]);
    balances(&proxy);
    proxy.stop();
}

/// A subject who may be reached from two seconds on is reached then: not before, and not a second later.
#[test]
fn a_window_opens() {
    let Some(kafka) = kafka() else { return };
    let letters_shop = Letters::new(&kafka.address, "window", 2);
    let Letters { shop, .. } = &letters_shop;
    shop.consents([&confirmed("somebody")]);
    let proxy = Proxy::ready(&shop.config);
    // A zone in which it is now two seconds and a bit before a full minute.
    let now = Clock::default().now();
    let opens = Timestamp((now.0 + 4_000) / 60_000 * 60_000 + 60_000);
    let wait = u64::try_from(opens.0 - now.0).expect("later").saturating_sub(2_200);
    let minute = |at: Timestamp| at.to_string()[11..16].to_owned();
    let windows = json!([{"channel": "email", "from": minute(opens), "to": minute(opens.plus(3_600_000))}]);
    let mut row = confirmed("reader");
    let mut body = row.json();
    body["contact"] = json!({"time_zone": "UTC", "windows": windows});
    row.value = Some(body.to_string().into_bytes());
    shop.consents([&row]);
    std::thread::sleep(Duration::from_millis(wait));
    shop.events(&(0..20).map(|n| event("reader", n)).collect::<Vec<_>>());
    wait_held(&[&proxy], 20);
    assert!(Clock::default().now() < opens, "it took too long to hold");
    let mut sink = shop.reader();
    assert!(sink.until(secs(30), |rows| rows.len() == 20), "it said:\n{}", proxy.output());
    let late = Clock::default().now().0 - opens.0;
    say(&format!("holds: twenty records within {late} ms of the opening"));
    assert!((0..1000).contains(&late), "{late} ms after the opening");
    let order: Vec<u64> = sink.rows.iter().filter_map(|row| row.json()["n"].as_u64()).collect();
    assert_eq!(order, (0..20).collect::<Vec<_>>(), "in the order they came");
    wait_held(&[&proxy], 0);
    balances(&proxy);
    proxy.stop();
}

/// A thousand people confirm at once, each with three records that wait.
#[test]
fn a_thousand_confirm_at_once() {
    let Some(kafka) = kafka() else { return };
    let letters_shop = Letters::new(&kafka.address, "thousand", 4);
    let Letters { shop, .. } = &letters_shop;
    let people: Vec<String> = (0..1000).map(|n| format!("p-{n}")).collect();
    shop.consents(&people.iter().map(|id| asked(id)).collect::<Vec<_>>());
    let proxy = Proxy::ready(&shop.config);
    let events = (0..3).flat_map(|turn| (0..1000).map(move |person| turn * 1000 + person));
    let events: Vec<Row> =
        events.map(|n: u64| event(&people[usize::try_from(n % 1000).expect("small")], n)).collect();
    shop.events(&events);
    wait_held(&[&proxy], 3000);
    let began = Instant::now();
    shop.consents(&people.iter().map(|id| confirmed(id)).collect::<Vec<_>>());
    wait_held(&[&proxy], 0);
    say(&format!("holds: 3,000 records of 1,000 people released within {} ms", began.elapsed().as_millis()));
    let got = shop.forwarded();
    assert_eq!(numbers(&got), (0..3000).collect::<Vec<_>>());
    let mut seen: BTreeMap<u64, Vec<u64>> = BTreeMap::new();
    for row in &got {
        let n = row.json()["n"].as_u64().expect("an event");
        seen.entry(n % 1000).or_default().push(n / 1000);
    }
    assert!(seen.values().all(|turns| *turns == [0, 1, 2]), "out of order: {seen:?}");
    assert_eq!(letters_shop.waits(), [""; 0]);
    balances(&proxy);
    proxy.stop();
}

/// Whatever is promised of freshness and delivery, and wherever the cache is: what waits is released once its
/// subject confirms, and started anew it is still there.
#[test]
fn however_it_is_configured() {
    let Some(kafka) = kafka() else { return };
    for (name, path, value) in [
        ("hold-sharded", "/consent/cache", json!("sharded")),
        ("hold-least", "/delivery", json!("at_least_once")),
        ("hold-within", "/consent/freshness", json!({"within": "1s"})),
    ] {
        let mut waits = Letters::new(&kafka.address, name, 2);
        let (parent, key) = path.rsplit_once('/').expect("a pointer");
        waits.shop.config.pointer_mut(parent).expect("a mapping")[key] = value;
        let shop = &waits.shop;
        let people: Vec<String> = (0..20).map(|n| format!("p-{n}")).collect();
        shop.consents(&people.iter().map(|id| asked(id)).collect::<Vec<_>>());
        let events = (0..).zip(&people).map(|(n, id)| super::people::event_beside_consent(id, n));
        shop.events(&events.collect::<Vec<_>>());
        let proxy = Proxy::ready(&shop.config);
        wait_held(&[&proxy], 20);
        shop.consents(&people[..10].iter().map(|id| confirmed(id)).collect::<Vec<_>>());
        wait_held(&[&proxy], 10);
        balances(&proxy);
        proxy.stop();
        let proxy = Proxy::ready(&shop.config);
        wait_held(&[&proxy], 10);
        shop.consents(&people[10..].iter().map(|id| confirmed(id)).collect::<Vec<_>>());
        wait_held(&[&proxy], 0);
        balances(&proxy);
        assert_eq!(numbers(&shop.forwarded()), (0..20).collect::<Vec<_>>(), "{name}");
        assert_eq!(waits.waits(), [""; 0], "{name}");
        proxy.stop();
    }
}

/// A deletion passes at once; what waits under its key must not come after it.
#[test]
fn a_deletion_ends_what_waits_under_its_key() {
    let Some(kafka) = kafka() else { return };
    let waits = Letters::new(&kafka.address, "hold-deleted", 1);
    let shop = &waits.shop;
    shop.consents([&asked("p"), &asked("q")]);
    shop.events(&[event("p", 0), event("q", 1), Row { key: Some(b"other".to_vec()), ..event("p", 2) }]);
    let proxy = Proxy::ready(&shop.config);
    wait_held(&[&proxy], 3);
    proxy.stop();
    // What is loaded is found by its key too.
    let proxy = Proxy::ready(&shop.config);
    wait_held(&[&proxy], 3);
    shop.events(&[Row { key: Some(b"p".to_vec()), ..Row::default() }, event("p", 4)]);
    let ended = || proxy.metrics().records("letters", "dropped", "hold_expired");
    until(secs(20), || ended() == 1, || "what waited under the key of the deletion waits on".into());
    wait_held(&[&proxy], 3);
    shop.consents([&confirmed("p"), &confirmed("q")]);
    wait_held(&[&proxy], 0);
    let got = shop.forwarded();
    let kept: Vec<Row> = got.iter().filter(|row| row.value.is_some()).cloned().collect();
    assert_eq!((got.len(), numbers(&kept)), (4, vec![1, 2, 4]));
    assert!(got[0].value.is_none(), "the deletion came first");
    balances(&proxy);
    proxy.stop();
}
