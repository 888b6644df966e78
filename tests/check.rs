//! `consentry check` and `consentry schema` as a user runs them.

use std::path::Path;
use std::process::{Command, Output};

use consentry::broker::Broker;
use serde_json::Value as Json;

fn consentry(folder: &Path, args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_consentry")).current_dir(folder).args(args).output().unwrap()
}

fn stdout(output: &Output) -> &str {
    std::str::from_utf8(&output.stdout).unwrap()
}

fn stderr(output: &Output) -> &str {
    std::str::from_utf8(&output.stderr).unwrap()
}

/// A small configuration for brokers at `brokers`.
fn written(folder: &Path, name: &str, brokers: &str, more: &str) {
    let text = format!(
        "version: 1\ninstance: gate-1\nkafka: {{brokers: [\"{brokers}\"]}}\nconsent: {{topic: consents}}\n\
         policy: {{purposes: {{analytics: {{}}}}}}\n{more}\
         pipelines:\n  - name: shop\n    from: {{topics: [events]}}\n    subject: [{{type: user_id, key: true}}]\n    \
         quarantine: {{topic: aside, create: true}}\n    routes:\n      - name: analytics\n        \
         require: {{purposes: {{all: [analytics]}}}}\n        to: {{kafka: {{topic: out}}}}\n"
    );
    std::fs::write(folder.join(name), text).unwrap();
}

#[test]
fn a_good_file_is_one_line() {
    let folder = tempfile::tempdir().unwrap();
    written(folder.path(), "good.yaml", "b:9092", "");
    let output = consentry(folder.path(), &["check", "good.yaml"]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert!(
        stdout(&output).starts_with("ok: good.yaml: 1 pipeline, 1 route, policy "),
        "{}",
        stdout(&output)
    );
    assert_eq!(stderr(&output), "");
}

#[test]
fn problems_go_to_stderr_and_exit_78() {
    let folder = tempfile::tempdir().unwrap();
    written(folder.path(), "good.yaml", "b:9092", "");
    written(folder.path(), "bad.yaml", "b:9092", "wrokers: 2\n");
    let output = consentry(folder.path(), &["check", "bad.yaml", "good.yaml"]);
    assert_eq!(output.status.code(), Some(78));
    assert!(stderr(&output).contains("--> bad.yaml:6:1"), "{}", stderr(&output));
    assert!(stderr(&output).contains("did you mean `workers`?"));
    assert!(stdout(&output).starts_with("ok: good.yaml"));
}

#[test]
fn a_snapshot_whose_key_is_kept_elsewhere_is_a_warning_until_it_runs() {
    let folder = tempfile::tempdir().unwrap();
    written(folder.path(), "c.yaml", "b:9092", "");
    let path = folder.path().join("c.yaml");
    let text = std::fs::read_to_string(&path).unwrap();
    let snapshot = "{topic: consents, snapshot: {path: kept, key: {file: secret}}}";
    std::fs::write(&path, text.replace("{topic: consents}", snapshot)).unwrap();
    let output = consentry(folder.path(), &["check", "c.yaml"]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert!(stderr(&output).contains("cannot read `secret`"), "{}", stderr(&output));
    let output = consentry(folder.path(), &["run", "c.yaml"]);
    assert_eq!(output.status.code(), Some(78), "{}", stderr(&output));
    std::fs::write(folder.path().join("secret"), "short").unwrap();
    let output = consentry(folder.path(), &["check", "c.yaml"]);
    assert_eq!(output.status.code(), Some(78), "{}", stderr(&output));
    assert!(stderr(&output).contains("the snapshot's key has 5 bytes: too few"), "{}", stderr(&output));
}

#[test]
fn programs_read_json() {
    let folder = tempfile::tempdir().unwrap();
    written(folder.path(), "bad.yaml", "b:9092", "wrokers: 2\n");
    let output = consentry(folder.path(), &["check", "--output", "json", "bad.yaml", "missing.yaml"]);
    assert_eq!(output.status.code(), Some(78));
    let json: Json = serde_json::from_str(stdout(&output)).unwrap();
    assert_eq!(json["ok"], false);
    let problem = &json["files"][0]["problems"][0];
    assert_eq!((&problem["line"], &problem["column"]), (&Json::from(6), &Json::from(1)));
    assert_eq!(problem["message"], "unknown key `wrokers`");
    assert_eq!(json["files"][1]["problems"][0]["line"], Json::Null);
}

#[test]
fn online_asks_the_cluster() {
    let broker = Broker::start().unwrap();
    broker.create("events", 3).unwrap();
    broker.create("consents", 1).unwrap();
    let folder = tempfile::tempdir().unwrap();
    written(folder.path(), "c.yaml", &broker.bootstrap(), "");
    let output = consentry(folder.path(), &["check", "--online", "--output", "json", "c.yaml"]);
    assert_eq!(output.status.code(), Some(3), "{}", stderr(&output));
    let json: Json = serde_json::from_str(stdout(&output)).unwrap();
    let online = &json["files"][0]["online"];
    let partitions = |index: usize| online["topics"][index]["partitions"].clone();
    assert_eq!((partitions(0), partitions(1), partitions(2)), (Json::from(1), Json::from(3), Json::Null));
    let messages: Vec<&str> =
        online["findings"].as_array().unwrap().iter().filter_map(|found| found["message"].as_str()).collect();
    // The embedded broker tells no topic's settings, and a check that is blind says so.
    let blind = "the settings of the consent topic `consents` cannot be read";
    assert_eq!(messages, [blind, "sink topic `out` is not there"]);
    let acls = online["acls"].as_array().unwrap();
    assert!(acls.iter().any(|acl| acl["name"] == "consentry/gate-1/" && acl["pattern"] == "prefixed"));
}

#[test]
fn online_compares_partitions_where_they_must_match() {
    let broker = Broker::start().unwrap();
    broker.create("events", 3).unwrap();
    broker.create("consents", 2).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let uneven = |name: &str| {
        let output = consentry(folder.path(), &["check", "--online", name]);
        assert_eq!(output.status.code(), Some(3), "{}", stderr(&output));
        let said = stderr(&output);
        let differ = "`consents` has 2 partition(s) and the source topic `events` 3";
        said.contains(differ) && said.contains("or write `consent.cache: replicated`")
    };
    written(folder.path(), "whole.yaml", &broker.bootstrap(), "");
    assert!(!uneven("whole.yaml"));
    let text = std::fs::read_to_string(folder.path().join("whole.yaml")).unwrap();
    let text = text.replace("{topic: consents}", "{topic: consents, cache: sharded}");
    std::fs::write(folder.path().join("part.yaml"), text).unwrap();
    assert!(uneven("part.yaml"));
}

#[test]
fn standard_input_is_read_where_it_is_asked_for() {
    let folder = tempfile::tempdir().unwrap();
    written(folder.path(), "good.yaml", "b:9092", "");
    let piped = |args: &[&str], name: &str| {
        let input = std::fs::File::open(folder.path().join(name)).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_consentry"));
        command.current_dir(folder.path()).args(args).stdin(input).output().unwrap()
    };
    let output = piped(&["check", "-"], "good.yaml");
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    written(folder.path(), "bad.yaml", "b:9092", "wrokers: 2\n");
    for args in [&["check", "-"][..], &["run", "-"]] {
        let output = piped(args, "bad.yaml");
        assert_eq!(output.status.code(), Some(78));
        assert!(stderr(&output).contains("--> <stdin>:6:1"), "{}", stderr(&output));
    }
    let output =
        piped(&["explain", "--config", "-", "--consents", "-", "--events", "good.yaml"], "good.yaml");
    assert_eq!(output.status.code(), Some(2), "{}", stderr(&output));
}

#[test]
fn a_file_cannot_write_to_the_terminal() {
    let folder = tempfile::tempdir().unwrap();
    written(folder.path(), "bad\u{1b}[2J.yaml", "b:9092", "\"\\e[2J\": 2\n");
    let output = consentry(folder.path(), &["check", "bad\u{1b}[2J.yaml"]);
    assert_eq!(output.status.code(), Some(78));
    assert!(stderr(&output).contains("unknown key `\\u{1b}[2J`"), "{}", stderr(&output));
    assert!(!stderr(&output).contains('\u{1b}'), "{:?}", stderr(&output));
}

#[test]
fn schemas_are_printed() {
    let folder = tempfile::tempdir().unwrap();
    let json: Json = serde_json::from_str(stdout(&consentry(folder.path(), &["schema"]))).unwrap();
    assert_eq!(json["title"], "Consentry configuration");
    let proto = consentry(folder.path(), &["schema", "--proto"]);
    assert!(stdout(&proto).contains("message ConsentRecord"), "{}", stdout(&proto));
}

#[test]
fn run_ends_at_once_when_it_is_told_twice() {
    let folder = tempfile::tempdir().unwrap();
    // Nobody listens there: a stop waits for what the brokers would say.
    written(folder.path(), "run.yaml", "127.0.0.1:1", "admin: {listen: \"127.0.0.1:0\"}\n");
    let log = std::fs::File::create(folder.path().join("log")).unwrap();
    let mut run = Command::new(env!("CARGO_BIN_EXE_consentry"));
    let mut run = run.current_dir(folder.path()).args(["run", "run.yaml"]).stderr(log).spawn().unwrap();
    let said = |word: &str| std::fs::read_to_string(folder.path().join("log")).unwrap().contains(word);
    let wait_for = |word: &str| {
        (0..200).any(|_| {
            std::thread::sleep(std::time::Duration::from_millis(25));
            said(word)
        })
    };
    for word in ["are served", "told again, it ends at once"] {
        assert!(wait_for(word), "it does not say `{word}`");
        let kill = Command::new("kill").args(["-TERM", &run.id().to_string()]).status().unwrap();
        assert!(kill.success());
    }
    assert_eq!(run.wait().unwrap().code(), Some(1));
    assert!(said("what is not committed is read again"));
}
