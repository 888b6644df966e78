//! What should become of an event: asked of the second implementation (`consentry::oracle`), never of the crate's own.

use std::sync::OnceLock;

use serde_json::{Value, json};

use super::{
    ledger::{Event, Ledger, Version},
    town::{self, ROUTES},
};
use crate::oracle::{self, Rules};

/// What should become of an event at one route.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    Forward,
    Drop,
    /// Why it is to wait, and until when.
    Hold(String, i64),
    Quarantine,
    NotRouted,
}

pub type Verdicts = [Verdict; ROUTES];

fn rules() -> &'static Rules {
    static RULES: OnceLock<Rules> = OnceLock::new();
    RULES.get_or_init(|| consentry::oracle::rules(town::config(), &[]).expect("a good configuration"))
}

/// What should become of an event if this is what is known of its subject, at that time.
pub fn verdicts(ledger: &mut Ledger, event: &Event, known: &[Version], now: i64) -> Verdicts {
    let places = known.iter().map(|version| (version.topic, version.partition, version.offset)).collect();
    let memo = (event.number, places, now);
    if let Some(verdicts) = ledger.verdicts.get(&memo) {
        return verdicts.clone();
    }
    let verdicts = ask(event, known, now);
    ledger.verdicts.insert(memo, verdicts.clone());
    verdicts
}

fn ask(event: &Event, known: &[Version], now: i64) -> Verdicts {
    let message = |version: &Version| {
        let key = event.subject.as_deref().unwrap();
        match &version.body {
            None => json!({"key": key, "value": null, "partition": version.partition}).to_string(),
            Some(body) => json!({"key": key, "raw": body, "partition": version.partition}).to_string(),
        }
    };
    let consents: Vec<String> = known.iter().map(message).collect();
    let lines = oracle::one(rules(), &consents, &event.line, now.into());
    assert_eq!(lines.len(), ROUTES);
    std::array::from_fn(|route| verdict(&lines[route]))
}

fn verdict(line: &Value) -> Verdict {
    let reason = || line["reason"].as_str().unwrap().to_owned();
    match line["end"].as_str().unwrap() {
        "forwarded" => Verdict::Forward,
        "dropped" => Verdict::Drop,
        "held" => {
            let until = oracle::time::rfc3339(line["until"].as_str().unwrap()).unwrap();
            Verdict::Hold(reason(), i64::try_from(until).unwrap())
        }
        "quarantined" => Verdict::Quarantine,
        "not_routed" => Verdict::NotRouted,
        other => panic!("{other}"),
    }
}
