//! Violations, planted one by one into a shop that the proxy has done, and found one by one.

use std::collections::BTreeMap;

use consentry::time::Clock;
use prost::Message;
use serde_json::{Value, json};

use super::super::clients::{Row, read_all};
use super::super::held_record::HeldRecord;
use super::super::people::{consent, grant};
use super::super::shop::Shop;
use super::super::topics::CONSENT;
use super::super::{kafka, say};
use super::{BY_BROKER, Verified, run, verify};

/// Those who permit everything, one event each; the event's number is theirs.
const WILLING: u64 = 30;
/// Those who have withdrawn: their events' numbers.
const WITHDRAWN: [u64; 4] = [100, 101, 102, 103];
/// Those whose newsletter is not confirmed.
const UNCONFIRMED: [u64; 5] = [200, 201, 202, 203, 204];
/// Events that are no JSON.
const BROKEN: [u64; 5] = [300, 301, 302, 303, 304];
/// Kinds of findings, with the event that they are about; none where it comes from nowhere.
type Expected = Vec<(&'static str, Option<u64>)>;

/// The shop, what its topics hold, and where each event stands.
struct Scene {
    shop: Shop,
    hold: String,
    analytics: Vec<Row>,
    newsletter: Vec<Row>,
    ads: Vec<Row>,
    aside: Vec<Row>,
    held: Vec<Row>,
    consents: Vec<Row>,
    events: BTreeMap<u64, Row>,
}

fn person(n: u64) -> String {
    format!("person-{n}")
}

/// The number of the event that a row is about.
fn number(row: &Row) -> u64 {
    let text = String::from_utf8_lossy(row.key.as_deref().unwrap_or_default()).into_owned();
    text.rsplit_once('-').expect("a person").1.parse().expect("a number")
}

fn place(rows: &mut [Row], n: u64) -> &mut Row {
    rows.iter_mut().find(|row| number(row) == n).expect("it is there")
}

fn set(row: &mut Row, header: &str, value: &str) {
    let own = row.headers.iter_mut().find(|own| own.0 == header).expect("it has that header");
    own.1 = Some(value.into());
}

fn shop(address: &str) -> Shop {
    let mut shop = Shop::without_topics(address, "planted");
    shop.topics.create(&shop.consent, 3, &[CONSENT, BY_BROKER].concat());
    shop.topics.create(&shop.source, 2, BY_BROKER);
    for topic in ["planted-analytics", "planted-newsletter", "planted-ads", "planted-quarantine"] {
        shop.topics.create(topic, 2, &[]);
    }
    shop.config["workers"] = json!(1);
    shop.config["policy"]["purposes"] = json!({
        "analytics": {"description": "Measure", "level": "pseudonymous"},
        "newsletter": {"description": "Send", "confirmation": "double", "level": "contact"},
        "advertising": {"description": "Offer", "level": "contact"},
    });
    let pipeline = shop.pipeline();
    pipeline["fields"] = json!([{"path": "/user/email", "level": "contact", "action": "mask"}]);
    pipeline["hold"] = json!({"topic": "planted-hold"});
    pipeline["routes"] = json!([
        {"name": "analytics", "require": {"purposes": {"all": ["analytics"]}},
         "to": {"kafka": {"topic": "planted-analytics"}}},
        {"name": "newsletter", "require": {"purposes": {"all": ["newsletter"]}}, "hold": ["pending"],
         "when": "value.kind == 'view' || value.kind == 'order'",
         "to": {"kafka": {"topic": "planted-newsletter"}}},
        {"name": "ads", "require": {"purposes": {"any": ["advertising"]}, "recipient": "third_party:adco"},
         "to": {"kafka": {"topic": "planted-ads"}}},
    ]);
    shop
}

/// Lets the proxy do a shop, and reads what it did.
fn clean(address: &str) -> Scene {
    let shop = shop(address);
    let newsletter = |status: &str| json!({"purpose": "newsletter", "status": status, "given_at": 1_000, "confirmed_at": 2_000});
    let ads = json!({"purpose": "advertising", "recipient": "third_party:adco", "status": "given", "given_at": 1_000});
    let mut consents: Vec<Row> = (0..WILLING)
        .map(|n| consent(&person(n), &[grant("analytics"), newsletter("confirmed"), ads.clone()]))
        .collect();
    let withdrawn = json!({"purpose": "analytics", "status": "withdrawn", "given_at": 1_000});
    consents.extend(WITHDRAWN.map(|n| consent(&person(n), std::slice::from_ref(&withdrawn))));
    consents.extend(UNCONFIRMED.map(|n| consent(&person(n), &[newsletter("given")])));
    shop.consents(&consents);
    // The broker's clock has milliseconds: what comes now is later than what was said.
    std::thread::sleep(std::time::Duration::from_millis(20));
    let event = |n: u64| {
        let body = json!({"user": {"id": person(n), "email": format!("{n}@example.org")}, "kind": "view"});
        let value = if BROKEN.contains(&n) { "{".to_owned() } else { body.to_string() };
        let partition = Some(i32::try_from(n % 2).expect("small"));
        Row { key: Some(person(n).into()), value: Some(value.into_bytes()), partition, ..Row::default() }
    };
    let all = (0..WILLING).chain(WITHDRAWN).chain(UNCONFIRMED).chain(BROKEN);
    let events: Vec<Row> = all.map(event).collect();
    shop.events(&events);
    run(&shop.config, events.len() as u64 * 3);
    let hold = format!("planted-hold.{}", shop.source);
    let read = |topic: &str| {
        let mut rows = read_all(address, topic);
        rows.sort_by_key(|row| (row.partition, row.offset));
        rows
    };
    let events = read(&shop.source).into_iter().map(|row| (number(&row), row)).collect();
    Scene {
        analytics: read("planted-analytics"),
        newsletter: read("planted-newsletter"),
        ads: read("planted-ads"),
        aside: read("planted-quarantine"),
        held: read(&hold),
        consents: read(&shop.consent),
        hold,
        events,
        shop,
    }
}

impl Scene {
    /// Makes every topic but the source anew.
    fn write(&self) {
        let topics = &self.shop.topics;
        let sinks = [
            ("planted-analytics", &self.analytics),
            ("planted-newsletter", &self.newsletter),
            ("planted-ads", &self.ads),
            ("planted-quarantine", &self.aside),
            (self.hold.as_str(), &self.held),
        ];
        for (topic, rows) in sinks {
            topics.delete(topic);
            let settings: &[_] = if topic == self.hold { &[("cleanup.policy", "compact")] } else { &[] };
            topics.create(topic, 2, settings);
            self.shop.writer.all(topic, rows);
        }
        topics.delete(&self.shop.consent);
        topics.create(&self.shop.consent, 3, CONSENT);
        self.shop.writer.all(&self.shop.consent, &self.consents);
    }

    /// Where an event stands, as a finding says it.
    fn source(&self, n: u64) -> String {
        let row = &self.events[&n];
        format!("{}/{}/{}", self.shop.source, row.partition.expect("it was read"), row.offset)
    }

    fn sink_violations(&mut self) -> Expected {
        let events = self.events.clone();
        let rows = &mut self.analytics;
        rows.retain(|row| number(row) != 0);
        let twice = place(rows, 1).clone();
        rows.insert(rows.iter().position(|row| number(row) == 1).expect("it is there"), twice);
        let mut body = place(rows, 2).json();
        body["kind"] = json!("forged");
        place(rows, 2).value = Some(body.to_string().into_bytes());
        set(place(rows, 3), "consentry.reason", "permitted");
        set(place(rows, 4), "consentry.purposes", "newsletter");
        place(rows, 5).headers.push(("x-extra".into(), None));
        place(rows, 6).timestamp = place(rows, 6).timestamp.map(|ms| ms + 1000);
        place(rows, 8).value.clone_from(&events[&8].value);
        let another = place(rows, 10).header("consentry.consent_offset").expect("it is stamped");
        set(place(rows, 9), "consentry.consent_offset", &another);
        place(rows, 11).headers.retain(|(name, _)| name != "consentry.policy");
        place(rows, 13).partition = Some(0);
        let at = rows.iter().position(|row| number(row) == 14).expect("it is there");
        rows.swap(at, at + 1);
        let mut nowhere = place(rows, 15).clone();
        (nowhere.key, nowhere.value) = (Some(b"person-999".to_vec()), Some(b"{\"kind\":\"view\"}".to_vec()));
        let mut forged = place(rows, 16).clone();
        let mut body: Value =
            serde_json::from_slice(events[&100].value.as_deref().expect("a value")).expect("JSON");
        body["user"]["email"] = json!("***");
        forged.value = Some(body.to_string().into_bytes());
        (forged.key, forged.timestamp) = (events[&100].key.clone(), events[&100].timestamp);
        forged.headers.retain(|(name, _)| name != "consentry.consent_offset");
        let mut moved = place(rows, 17).clone();
        moved.partition = Some(1);
        rows.retain(|row| number(row) != 17);
        place(rows, 18).headers.retain(|(name, _)| name != "consentry.consent_offset");
        place(rows, 7).key = Some(b"person-7-7".to_vec());
        rows.extend([nowhere, forged]);
        self.ads.push(moved);
        vec![
            ("missing", Some(0)),
            ("twice", Some(1)),
            ("bytes", Some(2)),
            ("reason", Some(3)),
            ("purposes", Some(4)),
            ("headers", Some(5)),
            ("timestamp", Some(6)),
            ("key", Some(7)),
            ("unreduced", Some(8)),
            ("consent_offset", Some(9)),
            ("policy", Some(11)),
            ("partition", Some(13)),
            ("order", Some(14)),
            ("from_nowhere", None),
            ("no_permit", Some(100)),
            ("missing", Some(17)),
            ("wrong_sink", None),
            ("consent_offset", Some(18)),
        ]
    }

    fn other_violations(&mut self) -> Expected {
        let masked = {
            let mut body = place(&mut self.newsletter, 19).json();
            body["user"]["email"] = json!("***");
            body.to_string().into_bytes()
        };
        place(&mut self.newsletter, 19).value = Some(masked);
        // Said in time, and not heeded. Everything else was said long before.
        self.consents.iter_mut().for_each(|row| row.timestamp = row.timestamp.map(|ms| ms - 3_600_000));
        let home = |n: u64| {
            let key = Some(format!("user_id:{}", person(n)).into_bytes());
            self.consents.iter().find(|row| row.key == key).expect("it is there").clone()
        };
        let (first, ads) = (home(20), home(21));
        let withdrawn = json!({"purpose": "*", "status": "withdrawn", "given_at": 1_000});
        for (person_of, was) in [(20, first), (21, ads)] {
            let mut row = consent(&person(person_of), std::slice::from_ref(&withdrawn));
            (row.partition, row.timestamp) = (was.partition, was.timestamp.map(|ms| ms + 1_800_000));
            self.consents.push(row);
        }
        vec![
            ("overreduced", Some(19)),
            ("stale", Some(20)),
            ("stale", Some(20)),
            ("stale", Some(20)),
            ("stale", Some(21)),
            ("stale", Some(21)),
            ("stale", Some(21)),
        ]
    }

    fn aside_violations(&mut self) -> Expected {
        let rows = &mut self.aside;
        let mut unasked = place(rows, 300).clone();
        rows.retain(|row| number(row) != 300);
        set(place(rows, 301), "consentry.reason", "too_deep");
        let twice = place(rows, 302).clone();
        rows.push(twice);
        place(rows, 303).value = Some(b"[".to_vec());
        let event = &self.events[&101];
        (unasked.key, unasked.value) = (event.key.clone(), event.value.clone());
        unasked.partition = event.partition;
        set(&mut unasked, "__connect.errors.partition", &event.partition.expect("it was read").to_string());
        set(&mut unasked, "__connect.errors.offset", &event.offset.to_string());
        set(&mut unasked, "consentry.route", "analytics");
        let mut stray = unasked.clone();
        set(&mut stray, "__connect.errors.offset", "99999");
        rows.extend([unasked, stray]);
        let not_there = ["not_quarantined"; 3].map(|kind| (kind, Some(300)));
        let for_another = ["quarantine_reason"; 3].map(|kind| (kind, Some(301)));
        let twice = ["quarantined_twice"; 3].map(|kind| (kind, Some(302)));
        let mut all = [not_there, for_another, twice].concat();
        all.extend([
            ("quarantine_bytes", Some(303)),
            ("quarantined_without_reason", Some(101)),
            ("from_nowhere", None),
        ]);
        all
    }

    fn held_violations(&mut self) -> Expected {
        let key = |n: u64| {
            let event = &self.events[&n];
            format!(
                "{}/{}/{}/newsletter",
                self.shop.source,
                event.partition.expect("it was read"),
                event.offset
            )
        };
        let now = Clock::default().now().0;
        let of = |rows: &[Row], n: u64| {
            let own =
                rows.iter().find(|row| row.key.as_deref() == Some(key(n).as_bytes())).expect("it waits");
            HeldRecord::decode(own.value.as_deref().expect("it waits")).expect("a held record")
        };
        let mut wrong = vec![of(&self.held, 200), of(&self.held, 201), of(&self.held, 202)];
        wrong[0].value = Some(b"{}".to_vec());
        wrong[1].deadlines[0].until_ms = now - 600_000;
        wrong[2].deadlines[0].until_ms = now + 30 * 86_400_000;
        for n in [102, 22] {
            let (event, mut held) = (&self.events[&n], of(&self.held, 204));
            (held.partition, held.offset) = (event.partition.expect("it was read"), event.offset);
            (held.key, held.value, held.timestamp_ms) =
                (event.key.clone(), event.value.clone(), event.timestamp);
            wrong.push(held);
        }
        let gone = key(203);
        let rows = wrong.iter().zip([200, 201, 202, 102, 22]).map(|(held, n)| Row {
            key: Some(key(n).into_bytes()),
            value: Some(held.encode_to_vec()),
            partition: Some(held.partition),
            ..Row::default()
        });
        let rows: Vec<Row> = rows.collect();
        self.held.retain(|row| row.key.as_deref() != Some(gone.as_bytes()));
        self.held.extend(rows);
        vec![
            ("held_bytes", Some(200)),
            ("held_too_long", Some(201)),
            ("held_deadline", Some(202)),
            ("missing", Some(203)),
            ("held_without_reason", Some(102)),
            ("held_without_reason", Some(22)),
            ("forwarded_and_waits", Some(22)),
        ]
    }
}

#[test]
fn each_planted_violation_is_found_and_nothing_else() {
    let Some(kafka) = kafka() else { return };
    let mut scene = clean(&kafka.address);
    let Verified { code, report, text } = verify(&scene.shop.config, &["--output", "json"]);
    assert_eq!((code, &report["found"], &report["undecidable"]), (Some(0), &json!(0), &json!({})), "{text}");
    let mut expected = scene.sink_violations();
    expected.extend(scene.other_violations());
    expected.extend(scene.aside_violations());
    expected.extend(scene.held_violations());
    scene.write();
    let Verified { code, report, text } = verify(&scene.shop.config, &["--output", "json"]);
    assert_eq!(code, Some(3), "{text}");
    let mut expected: Vec<String> = expected
        .into_iter()
        .map(|(kind, n)| format!("{kind} {}", n.map_or_else(String::new, |n| scene.source(n))))
        .collect();
    let word = |finding: &Value, name: &str| finding[name].as_str().unwrap_or_default().to_owned();
    let findings = report["findings"].as_array().expect("findings");
    let mut found: Vec<String> = findings
        .iter()
        .map(|finding| format!("{} {}", word(finding, "kind"), word(finding, "source")))
        .collect();
    expected.sort();
    found.sort();
    let kinds: std::collections::BTreeSet<&str> =
        expected.iter().filter_map(|line| line.split(' ').next()).collect();
    assert!(kinds.len() >= 20, "{kinds:?}");
    assert_eq!(found, expected, "{text}");
    say(&format!("verify: {} violations of {} kinds found", found.len(), kinds.len()));
    // Nobody is named who was not asked for, and nothing that a record holds is shown.
    let Verified { code, text, .. } = verify(&scene.shop.config, &[]);
    assert!(code == Some(3) && !text.contains("person-") && !text.contains("example.org"), "{text}");
    let Verified { text, .. } = verify(&scene.shop.config, &["--show-subjects"]);
    assert!(text.contains("subject user_id:person-100") && !text.contains("example.org"), "{text}");
}
