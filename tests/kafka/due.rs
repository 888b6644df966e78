//! Whom to ask again is told on a topic: once a grant, whoever dies meanwhile, and never of somebody who refused.

use std::time::Duration;

use consentry::time::Clock;
use serde_json::{Value, json};

use super::clients::{Row, Transactions, members, read_all};
use super::kafka;
use super::people::{consent, erased, granted};
use super::proxy::Proxy;
use super::shop::Shop;
use super::wait::{secs, until};

const COMPACT: &[(&str, &str)] = &[("cleanup.policy", "compact"), ("min.compaction.lag.ms", "86400000")];
const DAY_MS: i64 = 86_400_000;

fn now() -> i64 {
    Clock::default().now().0
}

/// An opt-in of a year ago that ends in so many milliseconds.
fn ends_in(ms: i64) -> Value {
    json!({"purpose": "analytics", "status": "given", "given_at": now() - 365 * DAY_MS, "valid_until": now() + ms})
}

fn near(id: &str) -> Row {
    consent(id, &[ends_in(DAY_MS)])
}

struct Office {
    shop: Shop,
    due: String,
    group: String,
}

impl Office {
    /// A shop that tells of consents that end; the topic is not there yet.
    fn new(address: &str, name: &str, partitions: i32) -> Self {
        let mut shop = Shop::new(address, name, 1, partitions);
        let due = format!("{name}-due");
        shop.config["consent"]["due"] = json!({"topic": due, "create": true});
        shop.config["policy"]["ask_again_before"] = "14d".into();
        // Somebody who stays as they are, so that the topic is never empty.
        shop.consents([&granted("control")]);
        Self { shop, group: format!("consentry-due.{due}"), due }
    }

    /// All there is, once nobody writes.
    fn told(&self) -> Vec<Row> {
        read_all(&self.shop.address, &self.due)
    }

    /// Waits until so many are told of; everything that is then there a while later.
    #[track_caller]
    fn until_told(&self, count: usize) -> Vec<Row> {
        let enough = || self.shop.topics.partitions(&self.due) > 0 && self.told().len() >= count;
        until(secs(60), enough, || format!("told: {:?}", ids(&self.told())));
        std::thread::sleep(secs(2));
        self.told()
    }

    /// Waits until everything that was to be told before is told: a newcomer is.
    #[track_caller]
    fn sync(&self, id: &str) -> Vec<Row> {
        self.shop.consents([&near(id)]);
        let wanted = format!("user_id:{id}");
        let there = || self.shop.topics.partitions(&self.due) > 0 && ids(&self.told()).contains(&wanted);
        until(secs(60), there, || format!("`{id}` is not told of: {:?}", ids(&self.told())));
        std::thread::sleep(secs(1));
        self.told()
    }
}

fn ids(rows: &[Row]) -> Vec<String> {
    let mut ids: Vec<String> = rows
        .iter()
        .map(|row| String::from_utf8_lossy(row.key.as_deref().unwrap_or_default()).into())
        .collect();
    ids.sort();
    ids
}

fn asked(proxy: &Proxy) -> f64 {
    proxy.metrics().sum("consentry_due_messages_total", &[("result", "asked")])
}

#[test]
fn a_grant_near_its_end_is_told_once() {
    let Some(kafka) = kafka() else { return };
    let office = Office::new(&kafka.address, "due-once", 3);
    let grant = json!({"purpose": "analytics", "status": "confirmed", "given_at": "2020-01-01T00:00:00Z",
        "confirmed_at": now() - DAY_MS, "valid_until": now() + DAY_MS, "level": "contact"});
    let end = grant["valid_until"].as_i64().expect("a number");
    let mut row = consent("ann", &[grant]);
    let mut body = row.json();
    body["jurisdiction"] = "EU".into();
    row.value = Some(body.to_string().into_bytes());
    office.shop.consents([&row]);
    let proxy = Proxy::ready(&office.shop.config);
    let told = office.until_told(1);
    assert_eq!(ids(&told), ["user_id:ann"]);
    let message = told[0].json();
    assert_eq!(message["subject"], json!({"type": "user_id", "value": "ann"}));
    for (name, value) in [
        ("purpose", "analytics"),
        ("recipient", "first_party"),
        ("why", "expires"),
        ("given_at", "2020-01-01T00:00:00Z"),
        ("level", "contact"),
        ("jurisdiction", "EU"),
    ] {
        assert_eq!(message[name], value, "{message}");
    }
    let at = message["at"].as_str().and_then(consentry::time::Timestamp::parse).expect("a time");
    assert_eq!(
        (at.0, &message["channel"], message["earlier"].as_array().map(Vec::len)),
        (end, &Value::Null, Some(0))
    );
    let policy = message["policy"].as_str().expect("a hash").to_owned();
    assert_eq!(told[0].header("consentry.policy"), Some(policy));
    assert_eq!(told[0].header("consentry.reason").as_deref(), Some("expires"));
    assert_eq!(told[0].header("consentry.purposes").as_deref(), Some("analytics"));
    assert!(told[0].header("consentry.consent_offset").is_some());
    assert_eq!(office.shop.topics.partitions(&office.due), 3);
    assert!((asked(&proxy) - 1.0).abs() < 0.1, "{}", proxy.metrics().0);
    assert!(!proxy.output().contains("ann"), "a log tells a name:\n{}", proxy.output());
    proxy.stop();

    let proxy = Proxy::ready(&office.shop.config);
    assert_eq!(ids(&office.sync("bob")), ["user_id:ann", "user_id:bob"], "a restart tells it again");
    // The same again in a newer record says nothing new; a renewal that ends soon again does.
    office.shop.consents([&row]);
    office.shop.consents([&consent("bob", &[ends_in(2 * DAY_MS)])]);
    assert_eq!(ids(&office.sync("eve")), ["user_id:ann", "user_id:bob", "user_id:bob", "user_id:eve"]);
    proxy.stop();
}

#[test]
fn whom_nobody_may_ask() {
    let Some(kafka) = kafka() else { return };
    let office = Office::new(&kafka.address, "due-none", 2);
    let refusal = |status: &str, purpose: &str| json!({"purpose": purpose, "status": status});
    let with = |more: Value| consent("x", &[ends_in(DAY_MS), more]).json()["grants"].clone();
    let of = |id: &str, grants: Value| consent(id, grants.as_array().expect("a list"));
    let mut restricted = near("restricted");
    let mut body = restricted.json();
    body["restricted"] = true.into();
    restricted.value = Some(body.to_string().into_bytes());
    let rows = [
        of("refused", with(refusal("refused", "analytics"))),
        of("general", with(refusal("withdrawn", "*"))),
        of("objected", with(refusal("objected", " Analytics "))),
        consent("far", &[ends_in(30 * DAY_MS)]),
        consent("over", &[ends_in(-1000)]),
        restricted,
        Row { value: Some(b"{".to_vec()), ..near("broken") },
        near("renewed"),
        near("withdrawn"),
        near("erased"),
        near("again"),
    ];
    office.shop.consents(&rows);
    // Each of these takes back what came before; nobody has looked yet.
    let withdrawn = json!({"purpose": "analytics", "status": "withdrawn", "given_at": now() - 9 * DAY_MS});
    office.shop.consents([
        &consent("renewed", &[ends_in(300 * DAY_MS)]),
        &consent("withdrawn", std::slice::from_ref(&withdrawn)),
        &consent("again", &[withdrawn]),
        &erased("erased"),
    ]);
    // A new opt-in after a withdrawal that is still on the topic.
    office.shop.consents([&near("again")]);
    // A key on two partitions.
    let twice = [0, 1].map(|partition| Row { partition: Some(partition), ..near("split") });
    office.shop.consents(&twice);
    let proxy = Proxy::ready(&office.shop.config);
    assert_eq!(ids(&office.sync("control-1")), ["user_id:control-1"]);
    let split = proxy.metrics().sum("consentry_due_messages_total", &[("result", "split")]);
    assert!(split >= 1.0, "{}", proxy.metrics().0);
    proxy.stop();
}

#[test]
fn a_withdrawal_that_is_acknowledged_before_is_honoured() {
    let Some(kafka) = kafka() else { return };
    let office = Office::new(&kafka.address, "due-barrier", 1);
    let proxy = Proxy::ready(&office.shop.config);
    office.sync("first");
    // Due in eight seconds; until then a transaction is open in front of the withdrawal, which is acknowledged.
    let soon = json!({"purpose": "analytics", "status": "given", "given_at": now() - DAY_MS,
        "valid_until": now() + 14 * DAY_MS + 8000});
    office.shop.consents([&consent("ann", std::slice::from_ref(&soon)), &consent("bob", &[soon])]);
    let transaction = Transactions::new(&kafka.address, "due-barrier");
    transaction.begin(&office.shop.consent, &[near("third")]);
    office.shop.consents([&erased("ann")]);
    std::thread::sleep(secs(12));
    assert_eq!(ids(&office.told()), ["user_id:first"], "told without knowing what is acknowledged");
    transaction.commit();
    let told = office.until_told(3);
    assert_eq!(ids(&told), ["user_id:bob", "user_id:first", "user_id:third"]);
    proxy.stop();
}

#[test]
fn an_erased_person_is_taken_back() {
    let Some(kafka) = kafka() else { return };
    let office = Office::new(&kafka.address, "due-erased", 1);
    office.shop.consents([&near("ann"), &near("bob")]);
    let proxy = Proxy::ready(&office.shop.config);
    assert_eq!(office.until_told(2).len(), 2);
    office.shop.consents([&erased("ann")]);
    let told = office.until_told(3);
    let last = told.last().expect("three");
    assert_eq!((last.key.as_deref(), &last.value), (Some(&b"user_id:ann"[..]), &None));
    proxy.stop();
    // While nobody looked, too.
    office.shop.consents([&erased("bob")]);
    let proxy = Proxy::ready(&office.shop.config);
    let told = office.until_told(4);
    let last = told.last().expect("four");
    assert_eq!((last.key.as_deref(), &last.value, told.len()), (Some(&b"user_id:bob"[..]), &None, 4));
    // Who comes back is told of, once.
    office.shop.consents([&near("bob")]);
    assert_eq!(office.until_told(5).len(), 5);
    proxy.stop();
    let proxy = Proxy::ready(&office.shop.config);
    assert_eq!(office.sync("eve").len(), 6);
    proxy.stop();
}

#[test]
fn two_instances_and_kill_9_tell_nobody_twice() {
    let Some(kafka) = kafka() else { return };
    let office = Office::new(&kafka.address, "due-kill", 4);
    let config = |name: &str| office.shop.config_of(&format!("due-kill-{name}"));
    let mut pair = ["a", "b"].map(|name| Some(Proxy::ready(&config(name))));
    until(secs(40), || members(&kafka.address, &office.group) == 2, || "they do not share".into());
    let mut sent = 0;
    for turn in 0..4 {
        let rows: Vec<Row> = (sent..sent + 3000).map(|n| near(&format!("u-{n}"))).collect();
        sent += 3000;
        office.shop.consents(&rows);
        std::thread::sleep(Duration::from_millis(fastrand::u64(50..900)));
        let name = ["a", "b"][turn % 2];
        pair[turn % 2].take().expect("it runs").kill();
        pair[turn % 2] = Some(Proxy::ready(&config(name)));
    }
    until(secs(120), || office.told().len() >= sent, || format!("{} of {sent}", office.told().len()));
    std::thread::sleep(secs(3));
    let told = ids(&office.told());
    let mut once = told.clone();
    once.dedup();
    assert_eq!((told.len(), once.len()), (sent, sent), "lost or twice");
    // One that sleeps through its session, and wakes when the other has told of everything.
    let sleeper = pair[0].take().expect("it runs");
    sleeper.signal("STOP");
    std::thread::sleep(secs(5));
    let rows: Vec<Row> = (sent..sent + 200).map(|n| near(&format!("u-{n}"))).collect();
    sent += 200;
    office.shop.consents(&rows);
    until(secs(60), || office.told().len() >= sent, || "the other does not take over".into());
    sleeper.signal("CONT");
    std::thread::sleep(secs(5));
    assert_eq!(office.told().len(), sent, "told again by one that had lost its partitions");
    pair[0] = Some(sleeper);
    pair.into_iter().flatten().for_each(Proxy::stop);
}

#[test]
fn with_a_sharded_cache() {
    let Some(kafka) = kafka() else { return };
    let mut office = Office::new(&kafka.address, "due-sharded", 1);
    office.shop.config["consent"]["cache"] = "sharded".into();
    office.shop.consents([&near("ann")]);
    let config = |name: &str| office.shop.config_of(&format!("due-sharded-{name}"));
    // One of them has the events' only partition, and one the consents'; which, nobody knows.
    let pair = ["a", "b"].map(|name| Proxy::ready(&config(name)));
    assert_eq!(ids(&office.sync("bob")), ["user_id:ann", "user_id:bob"]);
    pair.into_iter().for_each(Proxy::stop);
}

#[test]
fn a_topic_that_does_not_fit_is_refused() {
    let Some(kafka) = kafka() else { return };
    let office = Office::new(&kafka.address, "due-unfit", 2);
    let mut config = office.shop.config.clone();
    config["consent"]["due"]["create"] = false.into();
    let refused = |words: &[&str]| {
        let mut proxy = Proxy::start(&config, &[]);
        assert_eq!(proxy.wait_end(secs(60)), Some(1), "{}", proxy.output());
        let said = proxy.output();
        assert!(words.iter().all(|word| said.contains(word)), "{words:?} in:\n{said}");
    };
    refused(&[&office.due, "create: true"]);
    office.shop.topics.create(&office.due, 2, &[]);
    refused(&[&office.due, "cleanup.policy=compact"]);
    office.shop.topics.delete(&office.due);
    office.shop.topics.create(&office.due, 3, COMPACT);
    refused(&[&office.due, &office.shop.consent, "3 partition(s)", "as many"]);
}
