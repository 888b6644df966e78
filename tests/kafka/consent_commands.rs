//! `consentry consent …` on a real topic: what each command leaves there, and that it is in force when it says so.

use std::process::{Command, Stdio};

use serde_json::{Value, json};
use tempfile::TempDir;

use super::clients::{Row, read_all};
use super::kafka;
use super::people::{consent, event, grant, granted, numbers};
use super::proxy::Proxy;
use super::shop::Shop;
use super::wait::secs;

/// Runs the commands of one configuration.
pub struct Desk {
    dir: TempDir,
}

impl Desk {
    /// With this configuration; the commands wait for the process that listens there.
    pub fn new(config: &Value, proxy: Option<&Proxy>) -> Self {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let mut config = config.clone();
        config["admin"]["listen"] = proxy.map_or("127.0.0.1:0".to_owned(), Proxy::address).into();
        std::fs::write(dir.path().join("consentry.yaml"), config.to_string()).expect("a writable directory");
        Self { dir }
    }

    fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_consentry"));
        command.arg("consent").args(words).arg("--config").arg(self.dir.path().join("consentry.yaml"));
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    /// Exit code, standard output and standard error.
    pub fn run(&self, words: &[&str]) -> (i32, String, String) {
        let out = self.command(words).output().expect("the binary starts");
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        (out.status.code().expect("an exit code"), text(&out.stdout), text(&out.stderr))
    }

    /// The JSON document of a command that must succeed.
    #[track_caller]
    pub fn json(&self, words: &[&str]) -> Value {
        let (code, out, err) = self.run(&[words, &["--output", "json"]].concat());
        assert_eq!(code, 0, "{words:?}: {out}{err}");
        serde_json::from_str(&out).expect("JSON")
    }

    /// Makes a change that must be in force at the one instance there is.
    #[track_caller]
    fn change(&self, words: &[&str]) -> Value {
        let done = self.json(words);
        let acknowledged = done["changes"][0]["acknowledged_ms"].as_f64().expect("a time");
        assert!(done["in_force"][0]["ms"].as_f64().is_some_and(|ms| ms >= acknowledged), "{done}");
        done
    }
}

/// The last record of each key on each partition.
fn last(shop: &Shop, key: &str) -> Vec<Row> {
    let mut rows: Vec<Row> = Vec::new();
    for row in read_all(&shop.address, &shop.consent) {
        if row.key.as_deref() == Some(key.as_bytes()) {
            rows.retain(|old| old.partition != row.partition);
            rows.push(row);
        }
    }
    rows
}

#[test]
fn a_person_goes_out_and_comes_back() {
    let Some(kafka) = kafka() else { return };
    let shop = Shop::new(&kafka.address, "way-out", 2, 3);
    shop.consents([&granted("other")]);
    let proxy = Proxy::ready(&shop.config);
    let desk = Desk::new(&shop.config, Some(&proxy));

    desk.change(&["set", "user_id:ann", "--purpose", "analytics"]);
    shop.events([&event("ann", 1)]);
    shop.done(secs(30));
    let told = desk.json(&["get", "user_id:ann"]);
    assert_eq!(
        (&told["state"], &told["outlook"][0]["end"]),
        (&json!("known"), &json!("forwarded")),
        "{told}"
    );
    let first = told["places"][0]["record"]["grants"][0]["given_at"].clone();

    let done = desk.change(&["withdraw", "user_id:ann"]);
    assert_eq!(done["changes"][0]["written"][0]["version"], 2);
    shop.events([&event("ann", 2)]);
    let told = desk.json(&["get", "user_id:ann"]);
    assert_eq!(told["outlook"][0]["reason"], "withdrawn", "{told}");
    let again = desk.json(&["withdraw", "user_id:ann"]);
    assert_eq!(again["changes"][0]["written"], json!([]), "it was so already");

    desk.change(&["set", "user_id:ann", "--purpose", "analytics"]);
    shop.events([&event("ann", 3), &event("other", 4)]);
    let told = desk.json(&["get", "user_id:ann"]);
    let record = &told["places"][0]["record"];
    assert_eq!(
        (&record["version"], record["grants"].as_array().map(Vec::len)),
        (&json!(3), Some(1)),
        "{told}"
    );
    assert_ne!(record["grants"][0]["given_at"], first, "a new opt-in");
    assert_eq!(numbers(&shop.forwarded()), [1, 3, 4]);

    let (code, _, err) =
        desk.run(&["withdraw", "user_id:ann", "--purpose", "newsletter", "--wait", "http://127.0.0.1:1"]);
    assert!(code == 1 && err.contains("no answer"), "{code} {err}");
    let (_, out, _) = desk.run(&["withdraw", "user_id:ann", "--purpose", "advertising"]);
    assert!(
        out.contains("acknowledged by Kafka after ") && out.contains(" ms, in force at way-out after "),
        "{out}"
    );
    let (_, out, _) = desk.run(&["get", "user_id:ann"]);
    assert!(out.contains("user_id:ann: known\n") && out.contains("shop/analytics"), "{out}");
    let (code, _, err) = desk.run(&["withdraw", "ann"]);
    assert!(code == 2 && err.contains("type:value"), "{code} {err}");
    proxy.stop();
}

#[test]
fn nothing_is_lost_and_nobody_is_forgotten_by_halves() {
    let Some(kafka) = kafka() else { return };
    let shop = Shop::new(&kafka.address, "way-kept", 1, 4);
    let desk = Desk::new(&shop.config, None);
    let raw = |key: &str, body: &str, partition| Row {
        key: Some(key.into()),
        value: Some(body.into()),
        partition,
        ..Row::default()
    };
    // Of another producer, with fields that are its own, on a partition of its own choice, oddly spelled.
    let theirs = r#"{"loyalty":{"tier":3},"subject":{"value":"Ann@example.org","type":"email"},"version":41,
        "grants":[{"purpose":"analytics","status":"given","given_at":5,"shop":"x"},{"purpose":"newsletter","status":"given"}]}"#;
    shop.consents([&raw("email:Ann@example.org", theirs, Some(3))]);
    let done = desk.json(&["withdraw", "email:ann@EXAMPLE.org", "--purpose", "newsletter"]);
    let written = &done["changes"][0]["written"];
    assert_eq!(
        (&written[0]["partition"], &written[0]["version"], written.as_array().map(Vec::len)),
        (&json!(3), &json!(42), Some(1))
    );
    let mut record = last(&shop, "email:Ann@example.org")[0].json();
    assert!(record["updated_at"].take().is_string());
    assert_eq!(
        record,
        json!({"loyalty": {"tier": 3}, "subject": {"value": "Ann@example.org", "type": "email"},
        "version": 42, "updated_at": null, "grants": [{"purpose": "analytics", "status": "given", "given_at": 5, "shop": "x"},
        {"purpose": "newsletter", "status": "withdrawn"}]})
    );

    // On two partitions both states count, and both are erased.
    let on = |at| Row { partition: Some(at), ..granted("two") };
    shop.consents([&on(0), &on(2)]);
    desk.json(&["set", "user_id:two", "--purpose", "newsletter"]);
    assert_eq!(last(&shop, "user_id:two").iter().filter(|row| row.json()["version"] == 1).count(), 2);
    desk.json(&["erase", "user_id:two"]);
    let rows = last(&shop, "user_id:two");
    assert!(rows.len() == 2 && rows.iter().all(|row| row.value.is_none()), "{rows:?}");
    assert_eq!(desk.json(&["get", "user_id:two"])["state"], "erased");
    desk.json(&["set", "user_id:two", "--purpose", "newsletter"]);
    assert_eq!(desk.json(&["get", "user_id:two"])["state"], "known", "beside a tombstone it would be denied");

    // What cannot be read can be withdrawn from, and added to only if that is meant.
    shop.consents([&raw("user_id:bad", "{", None)]);
    let (code, _, err) = desk.run(&["set", "user_id:bad", "--purpose", "newsletter"]);
    assert!(code == 1 && err.contains("--replace") && !err.contains("bad:"), "{code} {err}");
    desk.json(&["withdraw", "user_id:bad", "--purpose", "newsletter"]);
    assert_eq!(
        last(&shop, "user_id:bad")[0].json()["grants"],
        json!([{"purpose": "*", "status": "withdrawn"}])
    );

    // Two names of one person.
    let no = json!({"purpose": "analytics", "status": "refused"});
    shop.consents([&consent("from", &[no, grant("advertising")]), &consent("into", &[grant("analytics")])]);
    desk.json(&["merge", "user_id:from", "user_id:into"]);
    let record = last(&shop, "user_id:into")[0].json();
    let said: Vec<_> =
        record["grants"].as_array().unwrap().iter().map(|g| (&g["purpose"], &g["status"])).collect();
    assert_eq!(said, [(&json!("analytics"), &json!("refused")), (&json!("advertising"), &json!("given"))]);
    assert_eq!(last(&shop, "user_id:from")[0].value, None);
    let (code, _, err) = desk.run(&["merge", "user_id:from", "user_id:into"]);
    assert!(code == 1 && err.contains("nothing is known"), "{code} {err}");
}

#[test]
fn who_withdraws_at_once_is_not_undone() {
    let Some(kafka) = kafka() else { return };
    let shop = Shop::new(&kafka.address, "way-race", 1, 2);
    let desk = Desk::new(&shop.config, None);
    let purposes = ["p1", "p2", "p3"];
    let grants: Vec<_> = purposes.iter().map(|purpose| grant(purpose)).collect();
    shop.consents([&consent("ann", &grants)]);
    let start =
        |purpose: &&str| desk.command(&["withdraw", "user_id:ann", "--purpose", purpose]).spawn().unwrap();
    let running: Vec<_> = purposes.iter().map(start).collect();
    for command in running {
        let out = command.wait_with_output().unwrap();
        assert!(matches!(out.status.code(), Some(0 | 3)), "{}", String::from_utf8_lossy(&out.stderr));
    }
    let record = last(&shop, "user_id:ann")[0].json();
    let statuses: Vec<_> =
        record["grants"].as_array().unwrap().iter().map(|grant| &grant["status"]).collect();
    assert_eq!(statuses, [&json!("withdrawn"); 3], "{record}");
}

#[test]
fn a_topic_in_protobuf_is_written_in_protobuf() {
    let Some(kafka) = kafka() else { return };
    let mut shop = Shop::new(&kafka.address, "way-proto", 1, 2);
    shop.config["consent"]["format"] = "protobuf".into();
    let before = Desk::new(&shop.config, None);
    before.json(&["set", "user_id:ann", "--purpose", "analytics", "--notice", "v12"]);
    before.json(&["set", "user_id:ann", "--purpose", "newsletter", "--channel", "email"]);
    let row = &last(&shop, "user_id:ann")[0];
    assert!(row.json().is_null() && row.value.is_some(), "no JSON");
    let proxy = Proxy::ready(&shop.config);
    let desk = Desk::new(&shop.config, Some(&proxy));
    shop.events([&event("ann", 1)]);
    shop.done(secs(30));
    desk.change(&["withdraw", "user_id:ann", "--purpose", "analytics"]);
    shop.events([&event("ann", 2)]);
    assert_eq!(numbers(&shop.forwarded()), [1]);
    let grants = desk.json(&["get", "user_id:ann"])["places"][0]["record"]["grants"].clone();
    assert_eq!((&grants[0]["status"], &grants[0]["notice"]), (&json!("withdrawn"), &json!("v12")));
    assert_eq!(grants[1]["status"], "given");
    let record = shop_file(&json!({"subject": {"type": "user_id", "value": "ann"}, "loyalty": 3}));
    let (code, _, err) = desk.run(&["set", "user_id:ann", "--file", record.path().to_str().unwrap()]);
    assert!(code == 1 && err.contains("`loyalty` has no field"), "{code} {err}");
    proxy.stop();
}

fn shop_file(record: &Value) -> tempfile::NamedTempFile {
    let file = tempfile::NamedTempFile::new().expect("a temporary file");
    std::fs::write(file.path(), record.to_string()).expect("a writable file");
    file
}
