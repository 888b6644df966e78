//! One event, one person, one route: what is found when one thing is wrong, and what cannot be decided.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use serde_json::{Value, json};

use super::*;

const NOW_MS: i64 = 1_777_000_000_000;
/// When the event was appended.
const CAME_MS: i64 = NOW_MS - 60_000;
/// When the person agreed.
const SAID_MS: i64 = NOW_MS - 600_000;

fn config() -> Value {
    json!({
        "policy": {"purposes": {"stats": {}, "news": {"confirmation": "double"}}},
        "pipelines": [{
            "name": "shop",
            "subject": [{"type": "user", "path": "/id"}],
            "fields": [{"path": "/mail", "level": "contact", "action": "mask"}],
            "routes": [
                {"name": "stats", "require": {"purposes": {"all": ["stats"]}}, "to": {"kafka": {"topic": "stats"}}},
                {"name": "news", "require": {"purposes": {"all": ["news"]}}, "hold": ["pending"],
                 "to": {"kafka": {"topic": "news"}}},
            ],
        }],
    })
}

fn state(grants: &Value) -> Vec<u8> {
    json!({"subject": {"type": "user", "value": "u"}, "grants": grants}).to_string().into_bytes()
}

fn given() -> Value {
    json!([{"purpose": "stats", "status": "given", "given_at": 1}])
}

fn record(topic: &str, value: &str) -> Record {
    Record {
        key: Some(b"k".to_vec()),
        value: Some(value.into()),
        headers: vec![("own".into(), None)],
        timestamp: Some(CAME_MS.into()),
        topic: topic.into(),
    }
}

/// Of the source as the broker dates it, of all else as its producer did.
fn message(topic: &str, offset: i64, value: &str) -> Message {
    let place = Place { topic: Arc::from(topic), partition: 0, offset };
    let appended = Some(Appended { ms: CAME_MS, by_broker: topic == "events" });
    Message { place, record: record(topic, value), appended }
}

/// What a sink has of the event.
fn output(offset: i64) -> Message {
    let mut message = message("stats", offset, r#"{"id":"u","mail":"***"}"#);
    for (name, value) in [
        ("consentry.route", "stats"),
        ("consentry.reason", "reduced"),
        ("consentry.policy", "p"),
        ("consentry.purposes", "stats"),
        ("consentry.consent_offset", "0:7"),
    ] {
        message.record.headers.push((name.into(), Some(value.into())));
    }
    message
}

/// What a quarantine would have of it.
fn aside(route: &str, reason: &str) -> Message {
    let mut message = message("aside", 0, r#"{"id":"u","mail":"a@b"}"#);
    for (name, value) in [
        ("__connect.errors.topic", "events"),
        ("__connect.errors.partition", "0"),
        ("__connect.errors.offset", "0"),
        ("__connect.errors.connector.name", "shop"),
        ("consentry.policy", "p"),
        ("consentry.route", route),
        ("consentry.reason", reason),
    ] {
        message.record.headers.push((name.into(), Some(value.into())));
    }
    message
}

fn waiting(reason: &str) -> Message {
    let mut message = message("hold.events", 0, reason);
    message.record.key = Some(b"events/0/0/news".to_vec());
    message
}

fn held(_key: &[u8], value: &[u8]) -> Option<HeldAs> {
    let reason = String::from_utf8(value.to_vec()).ok()?;
    Some(HeldAs { reason, deadlines: Vec::new(), record: record("events", r#"{"id":"u","mail":"a@b"}"#) })
}

/// The consent topic: offset, when, and what was said.
type Said = Vec<(i64, i64, Value)>;

/// The person agreed, the event came and was forwarded; then something is done to what was read.
fn inputs(config: &Value, said: &Said, change: impl FnOnce(&mut Inputs)) -> Inputs {
    let rules = rules(config, b"").unwrap();
    let mut consents = Consents::default();
    for (offset, ms, grants) in said {
        let appended = Some(Appended { ms: *ms, by_broker: true });
        consents.add((0, *offset), (b"user:u", Some(&state(grants))), appended, &rules);
    }
    let mut inputs = Inputs {
        rules,
        policy: "p".into(),
        exactly_once: true,
        barrier: true,
        sharded: false,
        skew_ms: 5000,
        patience_ms: 1000,
        now_ms: NOW_MS,
        lines: vec![Line {
            sources: vec!["events".into()],
            sinks: vec!["stats".into(), "news".into()],
            quarantine: "aside".into(),
            hold: Some("hold".into()),
            committed: HashMap::from([(("events".into(), 0), 9)]),
        }],
        consents,
        events: vec![message("events", 0, r#"{"id":"u","mail":"a@b"}"#)],
        truncated: Vec::new(),
        until: HashMap::new(),
        outputs: vec![output(0)],
        aside: Vec::new(),
        waiting: Vec::new(),
        unreadable: 0,
        partitions: BTreeMap::from(["events", "stats", "news"].map(|topic| (topic.to_owned(), 1))),
        partition: |_, from, _, _| from,
        held,
    };
    change(&mut inputs);
    inputs
}

fn agreed() -> Said {
    // Offsets below are gone: a topic of consents is compacted.
    vec![(7, SAID_MS, given())]
}

fn report(said: &Said, change: impl FnOnce(&mut Inputs)) -> Report {
    audit(&inputs(&config(), said, change), &|_, _| None, &mut |_| {})
}

/// Everything that is found, by its word.
fn found(said: &Said, change: impl FnOnce(&mut Inputs)) -> Vec<String> {
    report(said, change).findings.iter().map(|finding| finding.kind.word()).collect()
}

fn set(message: &mut Message, name: &str, value: Option<&str>) {
    message.record.headers.retain(|(own, _)| own != name);
    message.record.headers.extend(value.map(|value| (name.to_owned(), Some(value.into()))));
}

#[test]
fn nothing_is_found_where_nothing_is_wrong() {
    let report = report(&agreed(), |_| {});
    assert_eq!((report.found(), report.decisions, report.undecidable.len()), (0, 2, 0), "{report:?}");
    assert_eq!(report.agreed, BTreeMap::from([("dropped", 1), ("forwarded", 1)]));
}

#[test]
fn what_is_wrong_in_a_sink_is_found() {
    type Change = (&'static str, fn(&mut Inputs));
    let changes: [Change; 17] = [
        ("missing", |all| all.outputs.clear()),
        ("twice", |all| all.outputs.push(output(1))),
        ("bytes", |all| all.outputs[0].record.value = Some(b"{}".to_vec())),
        ("key", |all| all.outputs[0].record.key = None),
        ("headers", |all| all.outputs[0].record.headers.push(("more".into(), None))),
        ("timestamp", |all| all.outputs[0].appended = Some(Appended { ms: 5, by_broker: false })),
        ("unreduced", |all| all.outputs[0].record.value.clone_from(&all.events[0].record.value)),
        ("reason", |all| set(&mut all.outputs[0], "consentry.reason", Some("permitted"))),
        ("purposes", |all| set(&mut all.outputs[0], "consentry.purposes", None)),
        ("policy", |all| set(&mut all.outputs[0], "consentry.policy", None)),
        ("consent_offset", |all| set(&mut all.outputs[0], "consentry.consent_offset", None)),
        ("consent_offset", |all| set(&mut all.outputs[0], "consentry.consent_offset", Some("0:8"))),
        ("consent_offset", |all| set(&mut all.outputs[0], "consentry.consent_offset", Some("seven"))),
        ("from_nowhere", |all| {
            all.events[0].record = Record { key: None, ..record("events", r#"{"id":"v","n":1}"#) };
        }),
        ("from_nowhere", |all| {
            let mut stray = output(1);
            set(&mut stray, "consentry.route", None);
            all.outputs.push(stray);
        }),
        ("wrong_sink", |all| {
            let mut stray = output(1);
            set(&mut stray, "consentry.route", Some("news"));
            all.outputs.push(stray);
        }),
        ("partition", |all| all.partition = |_, from, _, _| from + 1),
    ];
    for (kind, change) in changes {
        assert_eq!(found(&agreed(), change), [kind], "{kind}");
    }
}

#[test]
fn a_withdrawal_that_was_heard_too_late_is_found() {
    let withdrawn = || json!([{"purpose": "stats", "status": "withdrawn"}]);
    let mut said = agreed();
    said.push((8, SAID_MS + 1, withdrawn()));
    assert_eq!(found(&said, |_| {}), ["stale"], "named by its offset");
    let unnamed = |all: &mut Inputs| set(&mut all.outputs[0], "consentry.consent_offset", None);
    assert_eq!(found(&said, unnamed), ["stale"], "and without one");
    let always = vec![(7, SAID_MS, withdrawn())];
    assert_eq!(found(&always, |_| {}), ["no_permit"]);
    // Said after the event came: either is right, and of a record that left no trace it is not known.
    said[1].1 = CAME_MS + 1;
    assert_eq!(found(&said, |_| {}), Vec::<String>::new());
    let report = report(&said, |all| all.outputs.clear());
    assert_eq!((report.found(), report.undecidable[&Undecidable::SeveralStates]), (0, 1));
    // Where one of the clocks is a producer's, a moment is not enough.
    said[1].1 = CAME_MS - 1000;
    let produced = |all: &mut Inputs| {
        all.events[0].appended = Some(Appended { ms: CAME_MS, by_broker: false });
    };
    assert_eq!(found(&said, produced), Vec::<String>::new());
    assert_eq!(found(&said, |_| {}), ["stale"]);
}

#[test]
fn what_one_record_names_the_next_must_heed() {
    let mut said = agreed();
    said.push((8, CAME_MS + 1, json!([{"purpose": "stats", "status": "given", "given_at": 2}])));
    let two = |all: &mut Inputs| {
        for (event, named) in [(0, "0:8"), (1, "0:7")] {
            let value = format!(r#"{{"id":"u","n":{event}}}"#);
            let mut out = output(event);
            out.record.value = Some(value.clone().into());
            set(&mut out, "consentry.consent_offset", Some(named));
            set(&mut out, "consentry.reason", Some("permitted"));
            all.outputs.push(out);
            all.events.push(message("events", event, &value));
        }
        all.events.remove(0);
        all.outputs.remove(0);
    };
    assert_eq!(found(&said, two), ["stale"]);
    let swapped = |all: &mut Inputs| {
        two(all);
        all.outputs.swap(0, 1);
        for (offset, out) in (0..).zip(&mut all.outputs) {
            out.place.offset = offset;
            set(out, "consentry.consent_offset", Some("0:8"));
        }
    };
    assert_eq!(found(&said, swapped), ["order"]);
}

#[test]
fn what_is_set_aside_or_waits_is_held_to_its_reason() {
    let unconfirmed = vec![(7, SAID_MS, json!([{"purpose": "news", "status": "given", "given_at": 1}]))];
    let nothing = |all: &mut Inputs| all.outputs.clear();
    assert_eq!(found(&unconfirmed, nothing), ["missing"], "it should wait");
    let waits = |reason: &'static str| {
        move |all: &mut Inputs| {
            all.outputs.clear();
            all.waiting.push(waiting(reason));
        }
    };
    assert_eq!(found(&unconfirmed, waits("unconfirmed")), Vec::<String>::new());
    assert_eq!(found(&unconfirmed, waits("no_consent")), ["held_without_reason"]);
    let changed = |all: &mut Inputs| {
        waits("unconfirmed")(all);
        all.events[0].record.headers.clear();
    };
    assert_eq!(found(&unconfirmed, changed), ["held_bytes"]);
    let mut confirmed = unconfirmed.clone();
    confirmed.push((8, CAME_MS + 1, json!([{"purpose": "news", "status": "confirmed", "given_at": 1}])));
    assert_eq!(found(&confirmed, waits("unconfirmed")), ["held_too_long"]);

    // A deletion that passes ends what waits under its key.
    let deleted = |all: &mut Inputs| {
        let mut deletion = message("events", 1, "");
        deletion.record.value = None;
        let mut passed = message("news", 0, "");
        passed.record.value = None;
        for (name, value) in [("route", "news"), ("reason", "exempt"), ("policy", "p")] {
            set(&mut passed, &format!("consentry.{name}"), Some(value));
        }
        let mut other = passed.clone();
        other.place.topic = Arc::from("stats");
        set(&mut other, "consentry.route", Some("stats"));
        all.events.push(deletion);
        all.outputs = vec![passed, other];
    };
    assert_eq!(found(&unconfirmed, deleted), Vec::<String>::new());
    let left = |all: &mut Inputs| {
        deleted(all);
        all.waiting.push(waiting("unconfirmed"));
    };
    assert_eq!(found(&unconfirmed, left), ["held_too_long"]);

    let set_aside = |route: &'static str, reason: &'static str| {
        move |all: &mut Inputs| {
            all.outputs.clear();
            all.aside.push(aside(route, reason));
        }
    };
    assert_eq!(found(&agreed(), set_aside("stats", "malformed")), ["quarantined_without_reason"]);
    assert_eq!(
        found(&agreed(), set_aside("stats", "too_large")),
        Vec::<String>::new(),
        "the sink's own limit"
    );
    let broken = |all: &mut Inputs| {
        set_aside("stats,news", "malformed")(all);
        all.events[0].record.value = Some(b"{".to_vec());
        all.aside[0].record.value = Some(b"{".to_vec());
    };
    assert_eq!(found(&agreed(), broken), Vec::<String>::new());
    let twice = |all: &mut Inputs| {
        broken(all);
        all.aside.push(all.aside[0].clone());
    };
    assert_eq!(found(&agreed(), twice), ["quarantined_twice", "quarantined_twice"]);
    let nowhere = |all: &mut Inputs| {
        broken(all);
        all.aside.clear();
    };
    assert_eq!(found(&agreed(), nowhere), ["not_quarantined", "not_quarantined"]);
    let another = |all: &mut Inputs| {
        broken(all);
        set(&mut all.aside[0], "consentry.reason", Some("too_deep"));
    };
    assert_eq!(found(&agreed(), another), ["quarantine_reason", "quarantine_reason"]);
}

#[test]
fn what_cannot_be_known_is_said_to_be_so() {
    let why = |said: &Said, change: fn(&mut Inputs)| {
        let report = report(said, change);
        assert_eq!(report.found(), 0, "{report:?}");
        report.undecidable.into_keys().collect::<Vec<_>>()
    };
    let other = |all: &mut Inputs| set(&mut all.outputs[0], "consentry.policy", Some("before"));
    assert_eq!(why(&agreed(), other), [Undecidable::OtherPolicy]);
    let gone = |all: &mut Inputs| set(&mut all.outputs[0], "consentry.consent_offset", Some("0:3"));
    assert_eq!(why(&agreed(), gone), [Undecidable::Compacted]);
    let before = |all: &mut Inputs| {
        all.events.clear();
        all.truncated.push(("events".into(), 0));
    };
    assert_eq!(why(&agreed(), before), [Undecidable::BeforeWindow]);
    // What the group has not committed need not be anywhere yet.
    let ahead = |all: &mut Inputs| {
        all.lines[0].committed.clear();
        all.outputs.clear();
    };
    assert_eq!(why(&agreed(), ahead), []);
}
