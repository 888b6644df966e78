//! A part of the sources: what is wrong in it is found, what is wrong elsewhere is not, and what waits across its ends is
//! no finding. The sink has fewer partitions than the source, so that what comes before the window from one partition may
//! stand behind what comes from inside it from another.

use consentry::time::{Clock, Timestamp};
use serde_json::{Value, json};

use super::super::clients::{Row, read_all};
use super::super::kafka;
use super::super::people::{consent, grant};
use super::super::proxy::Proxy;
use super::super::shop::Shop;
use super::super::topics::CONSENT;
use super::super::wait::{secs, until};
use super::{Verified, verify};

const EVENTS: i64 = 60;
/// Events of people whose newsletter is not confirmed when they come: two of these people confirm, the last does not.
const HELD: [i64; 3] = [10, 30, 50];
const SOURCE_PARTITIONS: i32 = 3;
/// Kafka's timestamps of two events that follow each other are so far apart.
const STEP_MS: i64 = 60_000;

struct Scene {
    shop: Shop,
    sink: String,
    /// When event 0 came.
    base_ms: i64,
}

fn person(n: i64) -> String {
    if HELD.contains(&n) { format!("later-{n}") } else { format!("p-{}", n % 17) }
}

fn newsletter(status: &str) -> Value {
    json!({"purpose": "newsletter", "status": status, "given_at": 1_000, "confirmed_at": 2_000})
}

fn shop(address: &str) -> Scene {
    let mut shop = Shop::without_topics(address, "windows");
    let sink = shop.sink.clone();
    shop.topics.create(&shop.consent, 2, CONSENT);
    shop.topics.create(&shop.source, SOURCE_PARTITIONS, &[]);
    for topic in [sink.as_str(), "windows-newsletter", &shop.quarantine] {
        shop.topics.create(topic, 2, &[]);
    }
    shop.config["policy"]["purposes"]["newsletter"]["confirmation"] = json!("double");
    let to = json!({"kafka": {"topic": "windows-newsletter"}});
    let pipeline = shop.pipeline();
    pipeline["hold"] = json!({"topic": "windows-hold"});
    pipeline["routes"].as_array_mut().expect("a list").push(json!({
        "name": "newsletter", "require": {"purposes": {"all": ["newsletter"]}, "evaluate": "now"},
        "hold": ["pending"], "to": to,
    }));
    Scene { base_ms: Clock::default().now().0 - 2 * EVENTS * STEP_MS, shop, sink }
}

/// Lets the proxy do all events, and release what waited of two people.
fn clean(address: &str) -> Scene {
    let scene = shop(address);
    let Scene { shop, base_ms, .. } = &scene;
    let said = |id: &str, status: &str| Row {
        timestamp: Some(base_ms - 3_600_000),
        ..consent(id, &[grant("analytics"), newsletter(status)])
    };
    let mut all: Vec<Row> = (0..17).map(|n| said(&format!("p-{n}"), "confirmed")).collect();
    all.extend(HELD.map(|n| said(&person(n), "given")));
    shop.consents(&all);
    let event = |n: i64| Row {
        key: Some(person(n).into()),
        // Nothing but key and timestamp tells what one person did from what they did before.
        value: Some(json!({"user": {"id": person(n)}, "n": 0}).to_string().into_bytes()),
        timestamp: Some(base_ms + n * STEP_MS),
        partition: i32::try_from(n % i64::from(SOURCE_PARTITIONS)).ok(),
        ..Row::default()
    };
    let proxy = Proxy::ready(&shop.config);
    shop.events(&(0..EVENTS).map(event).collect::<Vec<_>>());
    shop.done(secs(60));
    let confirmed = |n: i64| consent(&person(n), &[grant("analytics"), newsletter("confirmed")]);
    shop.consents(&[confirmed(HELD[0]), confirmed(HELD[1])]);
    let released = || read_all(address, "windows-newsletter").len() == 59;
    until(secs(60), released, || "what waited is not released".to_owned());
    proxy.stop();
    scene
}

impl Scene {
    fn time(&self, n: i64) -> String {
        Timestamp(self.base_ms + n * STEP_MS).to_string()
    }

    /// Audits the events from one number to another, by Kafka's timestamps.
    fn between(&self, from: i64, to: i64) -> Verified {
        let (since, until) = (self.time(from), self.time(to));
        verify(&self.shop.config, &["--output", "json", "--since", &since, "--until", &until])
    }

    fn part(&self, partition: i32, from: i64, to: i64) -> String {
        format!("{}/{partition}={from}..{to}", self.shop.source)
    }

    /// Audits the events from one number to another, by offsets.
    fn parts(&self, from: i64, to: i64) -> Verified {
        let parts = (0..SOURCE_PARTITIONS).map(|partition| {
            let all = i64::from(SOURCE_PARTITIONS);
            let offset = |n: i64| (n - i64::from(partition) + all - 1) / all;
            self.part(partition, offset(from), offset(to))
        });
        let parts: Vec<String> = parts.collect();
        let arguments = parts.iter().flat_map(|part| ["--offsets", part.as_str()]);
        verify(&self.shop.config, &["--output", "json"].into_iter().chain(arguments).collect::<Vec<_>>())
    }

    /// Of the analytics alters, takes and doubles the record of one event each, starting with this one.
    fn plant(&self, rows: &mut Vec<Row>, n: i64) {
        let at = |rows: &[Row], n: i64| {
            let time = Some(self.base_ms + n * STEP_MS);
            rows.iter().position(|row| row.timestamp == time).expect("it is there")
        };
        let altered = at(rows, n);
        rows[altered].value = Some(b"{\"user\":{\"id\":\"forged\"},\"n\":0}".to_vec());
        let gone = at(rows, n + 1);
        rows.remove(gone);
        let twice = at(rows, n + 2);
        rows.insert(twice, rows[twice].clone());
    }

    fn refused(&self, arguments: &[&str], words: &[&str]) {
        let Verified { code, text, .. } = verify(&self.shop.config, arguments);
        assert_eq!(code, Some(2), "{arguments:?}: {text}");
        words.iter().for_each(|word| assert!(text.contains(word), "{arguments:?}: no `{word}` in: {text}"));
    }
}

/// The numbers of the events that findings are about.
fn about(report: &Value) -> Vec<i64> {
    let findings = report["findings"].as_array().expect("findings").iter();
    let mut all: Vec<i64> = findings
        .map(|finding| {
            let place = finding["source"].as_str().expect("each comes from somewhere");
            let mut parts = place.rsplit('/').map(|part| part.parse::<i64>());
            let (offset, partition) = (parts.next(), parts.next());
            let number = |part: Option<Result<i64, _>>| part.expect("a part").expect("a number");
            number(offset) * i64::from(SOURCE_PARTITIONS) + number(partition)
        })
        .collect();
    all.sort_unstable();
    all
}

#[test]
fn of_a_window_everything_is_found_and_of_the_rest_nothing() {
    let Some(kafka) = kafka() else { return };
    let scene = clean(&kafka.address);
    for (from, to) in [(0, EVENTS), (20, 40), (11, 31), (29, 50)] {
        for (how, Verified { code, report, text }) in
            [("times", scene.between(from, to)), ("offsets", scene.parts(from, to))]
        {
            let case = format!("{how} {from}..{to}: {text}");
            assert_eq!((code, &report["found"]), (Some(0), &json!(0)), "{case}");
            assert_eq!(report["events"].as_i64(), Some(to - from), "{case}");
            let forwarded = 2 * (to - from) - i64::from((from..to).contains(&HELD[2]));
            assert_eq!(report["agreed"]["forwarded"].as_i64(), Some(forwarded), "{case}");
        }
    }
    wrong_questions(&scene);

    let mut rows = read_all(&kafka.address, &scene.sink);
    rows.sort_by_key(|row| (row.partition, row.offset));
    for n in [3, 33, 52] {
        scene.plant(&mut rows, n);
    }
    scene.shop.topics.delete(&scene.sink);
    scene.shop.topics.create(&scene.sink, 2, &[]);
    scene.shop.writer.all(&scene.sink, &rows);
    for (from, to, expected) in [
        (0, EVENTS, vec![3, 4, 5, 33, 34, 35, 52, 53, 54]),
        (20, 45, vec![33, 34, 35]),
        (34, 53, vec![34, 35, 52]),
        (36, 52, vec![]),
    ] {
        for (how, Verified { code, report, text }) in
            [("times", scene.between(from, to)), ("offsets", scene.parts(from, to))]
        {
            assert_eq!(about(&report), expected, "{how} {from}..{to}: {text}");
            assert_eq!(code, Some(if expected.is_empty() { 0 } else { 3 }), "{text}");
        }
    }
    scene.shop.topics.forget(&scene.shop.source, 0, 5);
    let below = scene.part(0, 4, 8);
    scene.refused(&["--offsets", &below], &["partition 0 holds 5..20"]);
}

/// Windows in which there is nothing, and those that are none.
fn wrong_questions(scene: &Scene) {
    let Verified { code, text, .. } = verify(&scene.shop.config, &["--since", &scene.time(EVENTS)]);
    assert!(code == Some(0) && text.contains("nothing was audited"), "{text}");
    let part = |partition, from, to| scene.part(partition, from, to);
    let Verified { code, report, text } = scene.parts(30, 30);
    assert_eq!((code, &report["events"]), (Some(0), &json!(0)), "{text}");
    scene.refused(&["--offsets", &part(0, 10, 21)], &["partition 0 holds 0..20"]);
    scene.refused(&["--offsets", &part(3, 0, 1)], &["no pipeline reads", "partition 3"]);
    scene.refused(&["--offsets", "elsewhere/0=0..1"], &["no pipeline reads topic `elsewhere`"]);
    let (one, other) = (part(0, 0, 1), part(0, 5, 6));
    scene.refused(&["--offsets", &one, "--offsets", &other], &["is there twice"]);
    let (since, until) = (scene.time(3), scene.time(2));
    scene.refused(&["--since", &since, "--until", &until], &["is not before `--until`"]);
    scene.refused(&["--since", "yesterday"], &["`yesterday` is no RFC 3339 time"]);
    scene.refused(&["--max-records", "10"], &["more than the 10", "--since"]);
}
