//! `consentry verify` on a real Kafka: it finds nothing where the real proxy has been at work, and each violation that
//! is planted there.
//!
//! The clean runs are generated towns, as `agree` plays them, once with the producers' timestamps and once with the
//! broker's: then the order of topics is known to the millisecond, and nearly nothing may be undecidable; and a shop where
//! people change their minds while they are looked at, and the proxy is killed (`moving`). What is planted
//! is planted into one shop that the proxy has done (`planted`): its topics are made anew with records altered, added,
//! moved and taken away. Exactly what was planted must be found, at exactly the records where it was; of a part of the
//! sources (`windows`) exactly what is in it. Consents in Protobuf and a cache that is shared out have a shop each
//! (`encodings`).
//!
//! `CONSENTRY_VERIFY_SEED` and `CONSENTRY_VERIFY_TOWNS` set which towns are played.

mod encodings;
mod moving;
mod planted;
mod windows;

use std::process::Command;
use std::thread;
use std::time::Duration;

use consentry::time::Instant;
use serde_json::Value;

use super::agree::scene::Scene;
use super::proxy::Proxy;
use super::shop::Shop;
use super::wait::secs;
use super::{kafka, say};
use crate::generated::{number, steady::Size};

/// When a message is appended the broker says, not its producer.
const BY_BROKER: &[(&str, &str)] = &[("message.timestamp.type", "LogAppendTime")];
const SIZE: Size = Size { pipelines: 3, routes: 8, events: 100 };
/// The first of the seeds, which no other test plays: topics are named after them.
const SEED: u64 = 7_000_001;
/// So many towns.
const TOWNS: u64 = 6;

/// What `consentry verify` says: its exit code, its report, and all that it wrote.
pub struct Verified {
    pub code: Option<i32>,
    pub report: Value,
    pub text: String,
}

/// Audits a configuration.
pub fn verify(config: &Value, arguments: &[&str]) -> Verified {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let path = dir.path().join("consentry.yaml");
    std::fs::write(&path, config.to_string()).expect("a writable temporary directory");
    let mut command = Command::new(env!("CARGO_BIN_EXE_consentry"));
    let output = command.arg("verify").arg(&path).args(arguments).output().expect("the binary starts");
    let [out, err] =
        [&output.stdout, &output.stderr].map(|bytes| String::from_utf8_lossy(bytes).into_owned());
    let report = serde_json::from_str(&out).unwrap_or_default();
    Verified { code: output.status.code(), report, text: out + &err }
}

/// Lets the proxy decide so many cases, and stops it.
fn run(config: &Value, cases: u64) {
    let proxy = Proxy::ready(config);
    let total = || proxy.metrics().sum("consentry_records_total", &[]);
    let begin = Instant::now();
    #[allow(clippy::cast_precision_loss, reason = "a small count")]
    while total() < cases as f64 - 0.5 {
        assert!(begin.elapsed() < secs(60), "{} of {cases} cases; it said:\n{}", total(), proxy.output());
        thread::sleep(Duration::from_millis(50));
    }
    proxy.stop();
}

#[test]
fn nothing_is_wrong_where_the_proxy_has_been_at_work() {
    let Some(kafka) = kafka() else { return };
    let first = number("CONSENTRY_VERIFY_SEED", SEED);
    for seed in first..first + number("CONSENTRY_VERIFY_TOWNS", TOWNS) {
        let mut scene = Scene::new(&kafka.address, seed, &SIZE);
        let by_broker = seed % 2 == 0;
        let settings = if by_broker { BY_BROKER } else { &[] };
        scene.write_with(&kafka.address, settings);
        run(&scene.config, SIZE.cases());
        let Verified { code, report, text } = verify(&scene.config, &["--output", "json"]);
        assert_eq!((code, &report["found"]), (Some(0), &0.into()), "seed {seed}:\n{text}");
        let count = |of: &str, what: &str| report[of][what].as_u64().unwrap_or(0);
        say(&format!(
            "verify: seed {seed}: {} agreed {}, undecidable {}",
            report["decisions"], report["agreed"], report["undecidable"]
        ));
        assert_eq!(report["decisions"].as_u64(), Some(SIZE.cases()), "seed {seed}");
        for end in ["forwarded", "dropped", "quarantined", "held"] {
            assert!(count("agreed", end) > 0, "seed {seed}: nothing {end} was seen");
        }
        let open: u64 = report["undecidable"].as_object().unwrap().values().filter_map(Value::as_u64).sum();
        assert!(!by_broker || open * 100 < SIZE.cases(), "seed {seed}: {open} undecidable");
    }
}

#[test]
fn what_is_asked_for_wrongly_is_refused() {
    let config = serde_json::json!({"version": 1});
    assert_eq!(verify(&config, &[]).code, Some(78));
    assert_eq!(verify(&config, &["--patience", "soon"]).code, Some(2));
}

#[test]
fn brokers_that_do_not_answer_are_named_once_with_the_remedy() {
    let shop = Shop::without_topics("127.0.0.1:1", "verify-nowhere");
    let Verified { code, text, .. } = verify(&shop.config, &[]);
    assert_eq!(code, Some(1), "{text}");
    let last = text.lines().last().unwrap_or_default();
    assert!(last.contains("`kafka.brokers` must answer"), "{text}");
    assert_eq!(last.matches("ransport failure").count(), 1, "{text}");
}
