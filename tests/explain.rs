//! `consentry explain` and its neighbours as a user runs them: exit codes, streams, and lines that cannot be
//! what they seem.

use std::io::Write;
use std::path::Path;
use std::process::{Command, Output, Stdio};

const CONFIG: &str = "
version: 1
kafka: {brokers: [localhost:9092]}
consent: {topic: consent-changes}
policy: {purposes: {analytics: {description: a}}}
pipelines:
  - name: shop
    from: {topics: [shop-events]}
    subject: [{type: user_id, path: /user/id}]
    hold: {topic: shop-hold}
    routes:
      - name: analytics
        require: {purposes: {all: [analytics]}}
        hold: [unknown]
        to: {kafka: {topic: analytics-events}}
";
const CONSENT: &str = r#"{"subject":{"type":"user_id","value":"u-1"},"grants":[{"purpose":"analytics","status":"given","given_at":"2020-01-01T00:00:00Z"}]}"#;
const EVENT: &str = r#"{"value":{"user":{"id":"u-1"}}}"#;

fn consentry(arguments: &[&str], folder: &Path) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_consentry"));
    command.args(arguments).current_dir(folder).env_remove("RUST_LOG").output().unwrap()
}

fn folder(config: &str, consents: &[u8], events: &[u8]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("c.yaml"), config).unwrap();
    std::fs::write(folder.path().join("consents"), consents).unwrap();
    std::fs::write(folder.path().join("events"), events).unwrap();
    folder
}

const EXPLAIN: [&str; 7] = ["explain", "--config", "c.yaml", "--consents", "consents", "--events", "events"];

/// What these lines come to: exit code, standard output and standard error.
fn explain(consents: &str, events: &str) -> (Option<i32>, String, String) {
    let folder = folder(CONFIG, consents.as_bytes(), events.as_bytes());
    let output = consentry(&EXPLAIN, folder.path());
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.code(), text(&output.stdout), text(&output.stderr))
}

#[test]
fn a_verdict_is_a_line_on_standard_output() {
    let (code, out, err) = explain(CONSENT, &format!("{EVENT}\n\n{{\"raw\":\"nonsense\"}}\n"));
    assert_eq!((code, out.lines().count(), err.as_str()), (Some(0), 2, ""));
    let first: serde_json::Value = serde_json::from_str(out.lines().next().unwrap()).unwrap();
    let names: Vec<_> = first.as_object().unwrap().keys().map(String::as_str).collect();
    let fixed = ["event", "pipeline", "route", "end", "reason", "until", "level", "fields", "value"];
    assert_eq!(names, [&fixed[..], &["purposes"]].concat());
    assert_eq!((first["end"].as_str(), first["reason"].as_str()), (Some("forwarded"), Some("permitted")));
}

#[test]
fn a_line_that_cannot_be_used_is_named_and_not_guessed_at() {
    for (event, why) in [
        ("nonsense", "line 2"),
        ("[1]", "no JSON object"),
        ("{}", "neither `value` nor `raw`"),
        (r#"{"vlaue":1,"key":"k"}"#, "unknown field `vlaue`"),
        (r#"{"value":1,"raw":"1"}"#, "both `value` and `raw`"),
    ] {
        let (code, out, err) = explain(CONSENT, &format!("{EVENT}\n{event}\n"));
        assert_eq!((code, out.as_str()), (Some(2), ""), "{event}");
        assert!(err.contains("events line 2") && err.contains(why), "{event}: {err}");
    }
    for (consent, why) in [
        ("nonsense", "line 2"),
        ("{}", "names no subject"),
        (r#"{"key":"user_id:u-1"}"#, "neither `value` nor `raw`"),
        (r#"{"key":"user_id:u-1","vlaue":{}}"#, "nothing else"),
        (r#"{"key":"user_id:u-1","value":null,"raw":""}"#, "both `value` and `raw`"),
        (r#"{"key":"user_id:u-1","value":null,"partition":"1"}"#, "partition"),
        (r#"{"key":"user_id:u-1","value":null,"partition":-1}"#, "partition"),
        (r#"{"key":"no colon","value":null}"#, "type:value"),
    ] {
        let (code, out, err) = explain(&format!("{CONSENT}\n{consent}\n"), EVENT);
        assert_eq!((code, out.as_str()), (Some(2), ""), "{consent}");
        assert!(err.contains("consents line 2") && err.contains(why), "{consent}: {err}");
    }
}

#[test]
fn what_is_wrong_with_a_line_is_said_without_quoting_it() {
    let (code, _, err) = explain(CONSENT, r#"{"value":1,"headers":"ann@example.org"}"#);
    assert_eq!(code, Some(2));
    assert!(err.contains("line 1") && !err.contains("ann@example.org"), "{err}");
    let folder = folder(CONFIG, CONSENT.as_bytes(), b"{\"value\":1}\n\xff\n");
    let output = consentry(&EXPLAIN, folder.path());
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("line 2 is not UTF-8"));
}

#[test]
fn exit_codes_tell_usage_from_configuration() {
    let folder = folder("version: 2\n", CONSENT.as_bytes(), EVENT.as_bytes());
    assert_eq!(consentry(&EXPLAIN, folder.path()).status.code(), Some(78));
    assert_eq!(consentry(&["run", "c.yaml"], folder.path()).status.code(), Some(78));
    assert_eq!(consentry(&["check", "c.yaml"], folder.path()).status.code(), Some(78));
    assert_eq!(consentry(&["explain"], folder.path()).status.code(), Some(2));
    let bogus = consentry(&["run", "c.yaml", "--log-level", "inof"], folder.path());
    assert_eq!(bogus.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&bogus.stderr).contains("`inof` is no log level"));
    let twice = ["explain", "--config", "c.yaml", "--consents", "-", "--events", "-"];
    std::fs::write(folder.path().join("c.yaml"), CONFIG).unwrap();
    assert_eq!(consentry(&twice, folder.path()).status.code(), Some(2));
}

#[test]
fn holding_is_explained() {
    let (_, out, _) = explain(CONSENT, r#"{"value":{"user":{"id":"nobody"}}}"#);
    assert!(out.contains(r#""end":"held","reason":"unknown_subject""#), "{out}");
}

#[test]
fn a_reader_that_has_seen_enough_is_no_failure() {
    for arguments in [&["completions", "bash"][..], &["schema"], &["--help"]] {
        let mut command = Command::new(env!("CARGO_BIN_EXE_consentry"));
        let mut child = command.args(arguments).stdout(Stdio::piped()).spawn().unwrap();
        drop(child.stdout.take());
        assert!(child.wait().unwrap().success(), "{arguments:?}");
    }
}

/// A standard error that takes nothing.
fn full() -> Stdio {
    std::fs::File::options().write(true).open("/dev/full").unwrap().into()
}

#[test]
fn a_standard_error_that_takes_nothing_changes_no_exit_code() {
    let folder = folder(CONFIG, b"", EVENT.as_bytes());
    std::fs::write(folder.path().join("bad.yaml"), "wrokers: 2\n").unwrap();
    for (arguments, code) in [
        (&["check", "bad.yaml"][..], 78),
        (&["run", "bad.yaml"], 78),
        (&["run", "c.yaml", "--log-level", "inof"], 2),
        (&["check", "c.yaml"], 0),
        (&[&EXPLAIN[..], &["--why"]].concat(), 0),
    ] {
        let mut command = Command::new(env!("CARGO_BIN_EXE_consentry"));
        let command = command.args(arguments).current_dir(folder.path()).stdout(Stdio::null());
        assert_eq!(command.stderr(full()).status().unwrap().code(), Some(code), "{arguments:?}");
    }
}

#[test]
fn a_log_that_nobody_takes_does_not_end_what_runs() {
    let config = CONFIG.to_owned() + "admin: {listen: \"127.0.0.1:0\"}\n";
    let folder = folder(&config.replace("localhost:9092", "127.0.0.1:1"), b"", b"");
    let mut command = Command::new(env!("CARGO_BIN_EXE_consentry"));
    let mut child =
        command.args(["run", "c.yaml"]).current_dir(folder.path()).stderr(full()).spawn().unwrap();
    std::thread::sleep(std::time::Duration::from_secs(1));
    assert_eq!(child.try_wait().unwrap(), None, "it still runs");
    assert!(Command::new("kill").arg(child.id().to_string()).status().unwrap().success());
    assert_eq!(child.wait().unwrap().code(), Some(0));
}

#[test]
fn the_example_in_the_help_runs_as_it_is_printed() {
    let folder = folder(&CONFIG.replace("c.yaml", "consentry.yaml"), b"", b"");
    std::fs::rename(folder.path().join("c.yaml"), folder.path().join("consentry.yaml")).unwrap();
    let help = consentry(&["explain", "--help"], folder.path());
    let help = String::from_utf8(help.stdout).unwrap();
    let (_, example) = help.split_once("Example:\n").unwrap();
    let bin = Path::new(env!("CARGO_BIN_EXE_consentry")).parent().unwrap();
    let path = format!("{}:{}", bin.display(), std::env::var("PATH").unwrap_or_default());
    let mut shell = Command::new("sh");
    let mut shell = shell.arg("-e").current_dir(folder.path()).env("PATH", path).stdin(Stdio::piped());
    shell = shell.stdout(Stdio::piped());
    let mut child = shell.spawn().unwrap();
    child.stdin.take().unwrap().write_all(example.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{example}");
    assert!(String::from_utf8_lossy(&output.stdout).contains(r#""reason":"no_consent""#), "{output:?}");
}
