//! Decision tables: what an analyst can read and correct.
//!
//! Each file under `tests/cases` holds one configuration and its cases; each expectation was derived from
//! the semantics page by hand. Every case is held against both implementations, so a wrong expectation
//! and a wrong program are told apart. An expectation names the keys of `explain` it cares about;
//! `null` there means null or absent.

mod stamps;

use crate::oracle;
use serde_json::{Value, json};
use std::{collections::BTreeSet, fs, path::PathBuf};

/// Section 6 as far as it exists; what needs another format or sink comes with it.
pub const REASONS: [&str; 40] = [
    "forwarded permitted",
    "forwarded reduced",
    "forwarded exempt",
    "dropped unknown_subject",
    "dropped invalid_consent",
    "dropped conflicted",
    "dropped restricted",
    "dropped opted_out_signal",
    "dropped revoked",
    "dropped withdrawn",
    "dropped objected",
    "dropped refused",
    "dropped invalidated",
    "dropped expired",
    "dropped needs_renewal",
    "dropped unconfirmed",
    "dropped before_consent",
    "dropped unanswered",
    "dropped channel_not_permitted",
    "dropped recipient_not_permitted",
    "dropped no_consent",
    "dropped outside_contact_window",
    "dropped unknown_time_zone",
    "dropped stamp_missing",
    "dropped stamp_invalid",
    "dropped stamp_refused",
    "held unconfirmed",
    "held unanswered",
    "held unknown_subject",
    "held no_consent",
    "held outside_contact_window",
    "quarantined too_large",
    "quarantined malformed",
    "quarantined too_deep",
    "quarantined ambiguous",
    "quarantined when_failed",
    "quarantined invalid_subject",
    "quarantined missing_subject",
    "quarantined invalid_time",
    "quarantined transform_failed",
];

struct Case {
    file: String,
    name: String,
    config: Value,
    consents: Vec<String>,
    event: String,
    at: String,
    expect: Vec<Value>,
}

fn read() -> Vec<Case> {
    let mut files: Vec<PathBuf> = fs::read_dir("tests/cases").unwrap().map(|e| e.unwrap().path()).collect();
    files.retain(|path| path.extension().is_some_and(|ext| ext == "yaml"));
    files.sort();
    files.iter().flat_map(read_file).collect()
}

fn read_file(path: &PathBuf) -> Vec<Case> {
    let file = path.file_stem().unwrap().to_string_lossy().into_owned();
    let text = fs::read_to_string(path).unwrap();
    let table: Value = serde_saphyr::from_str(&text).unwrap_or_else(|e| panic!("{file}: {e}"));
    let list = |case: &Value, key: &str| case[key].as_array().cloned().unwrap_or_default();
    let cases = table["cases"].as_array().unwrap_or_else(|| panic!("{file}: no `cases`")).iter();
    cases
        .map(|case| Case {
            file: file.clone(),
            name: case["name"].as_str().unwrap_or_else(|| panic!("{file}: a case without `name`")).to_owned(),
            config: table["config"].clone(),
            consents: list(case, "consents").iter().map(Value::to_string).collect(),
            event: case["event"].to_string(),
            at: case["at"].as_str().unwrap().to_owned(),
            expect: list(case, "expect"),
        })
        .collect()
}

/// What is wrong with the lines, as a text; empty where nothing is.
fn compare(case: &Case, who: &str, lines: &[Value]) -> String {
    let mut wrong = String::new();
    for expected in &case.expect {
        let Some(line) = lines.iter().find(|line| line["route"] == expected["route"]) else {
            wrong += &format!("{} / {}: {who} has no line for {expected}\n", case.file, case.name);
            continue;
        };
        for (key, value) in expected.as_object().unwrap() {
            if line[key] != *value {
                wrong += &format!(
                    "{} / {}: `{}`: `{key}` should be {value}, {who} says {} in {line}\n",
                    case.file, case.name, expected["route"], line[key]
                );
            }
        }
    }
    wrong
}

#[test]
fn each_case_holds_in_the_oracle() {
    let mut wrong = String::new();
    for case in read() {
        let lines =
            oracle::lines(&case.config, &case.consents, std::slice::from_ref(&case.event), None, &case.at);
        assert!(!case.expect.is_empty(), "{} / {} expects nothing", case.file, case.name);
        wrong += &compare(&case, "the oracle", &lines);
    }
    assert!(wrong.is_empty(), "\n{wrong}");
}

#[test]
fn each_case_holds_in_the_crate() {
    let mut wrong = String::new();
    for case in read() {
        let (config, consents) = (case.config.to_string(), case.consents.join("\n"));
        match consentry::app::explain::lines(&config, &consents, &case.event, None, &case.at) {
            Ok(lines) => {
                let lines: Vec<Value> =
                    lines.iter().map(|line| serde_json::from_str(line).unwrap()).collect();
                wrong += &compare(&case, "the crate", &lines);
            }
            Err(error) => wrong += &format!("{} / {}: refused: {error}\n", case.file, case.name),
        }
    }
    assert!(wrong.is_empty(), "\n{wrong}");
}

#[test]
fn names_are_unique_in_their_file() {
    let mut seen = BTreeSet::new();
    for case in read() {
        assert!(
            seen.insert((case.file.clone(), case.name.clone())),
            "{} / {} is there twice",
            case.file,
            case.name
        );
    }
    assert!(seen.len() >= 150, "{} cases", seen.len());
}

#[test]
fn each_reason_has_a_case() {
    let mut missing: BTreeSet<&str> = REASONS.into_iter().collect();
    for expected in read().into_iter().flat_map(|case| case.expect) {
        let word = |key: &str| expected.get(key).unwrap_or(&json!("")).as_str().unwrap_or("").to_owned();
        missing.remove(format!("{} {}", word("end"), word("reason")).as_str());
    }
    assert!(missing.is_empty(), "no case for {missing:?}");
}
