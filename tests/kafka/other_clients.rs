//! Clients that others wrote: Kafka's own console tools, in Java, and where it is installed
//! `confluent_kafka`, in Python. They write consents and events and read what came of them.

use std::io::Write;
use std::process::{Command, Stdio};

use serde_json::{Value, json};

use super::people::{event, granted, withdrawn};
use super::proxy::Proxy;
use super::shop::Shop;
use super::{kafka, reaper, say};

/// A record as the console producer reads it.
fn line(row: &super::clients::Row) -> String {
    let text = |bytes: &Option<Vec<u8>>| String::from_utf8(bytes.clone().unwrap_or_default()).expect("text");
    format!("{}|{}\n", text(&row.key), text(&row.value))
}

#[test]
fn console_tools() {
    let Some(kafka) = kafka() else { return };
    let shop = Shop::new(&kafka.address, "console", 3, 3);
    let write = |topic: &str, lines: String| {
        let arguments = ["--topic", topic, "--reader-property", "parse.key=true"];
        let arguments = [&arguments[..], &["--reader-property", "key.separator=|"]].concat();
        kafka.tool("org.apache.kafka.tools.ConsoleProducer", &arguments, lines.as_bytes());
    };
    let consents = (0..50).map(|n| if n % 2 == 0 { granted(&id(n)) } else { withdrawn(&id(n)) });
    write(&shop.consent, consents.map(|row| line(&row)).collect());
    write(&shop.source, (0..50).map(|n| line(&event(&id(n), n))).collect());
    let proxy = Proxy::ready(&shop.config);
    shop.done(super::wait::secs(30));
    let arguments = ["--topic", &shop.sink, "--from-beginning", "--isolation-level", "read_committed"];
    let arguments = [&arguments[..], &["--timeout-ms", "4000"]].concat();
    let seen = kafka.tool("org.apache.kafka.tools.consumer.ConsoleConsumer", &arguments, b"");
    // It says on its standard output, too, that nothing more has come within the time.
    let mut seen: Vec<&str> = seen.lines().filter(|line| line.starts_with('{')).collect();
    let mut expected: Vec<String> = (0..50).step_by(2).map(|n| line(&event(&id(n), n))).collect();
    expected.iter_mut().for_each(|line| *line = line[line.find('|').expect("a key") + 1..].trim().to_owned());
    seen.sort_unstable();
    expected.sort_unstable();
    assert_eq!(seen, expected);
    proxy.stop();
}

fn id(n: u64) -> String {
    format!("someone-{n}")
}

const PYTHON: &str = r#"
import json, sys
from confluent_kafka import Consumer, Producer, TopicPartition, KafkaError
job = json.load(sys.stdin)
producer = Producer({"bootstrap.servers": job["address"], "partitioner": "murmur2_random", "acks": "all"})
for topic, key, value in job["write"]:
    producer.produce(topic, key=key, value=value)
    producer.flush()
consumer = Consumer({"bootstrap.servers": job["address"], "group.id": "python",
                     "isolation.level": "read_committed", "enable.auto.commit": False})
consumer.assign([TopicPartition(job["read"], p, 0) for p in range(job["partitions"])])
seen = []
while len(seen) < job["expect"]:
    message = consumer.poll(30)
    if message is None:
        break
    if message.error() is None:
        headers = {k: v.decode() for k, v in message.headers() or []}
        seen.append([message.key().decode(), message.value().decode(), headers])
late = consumer.poll(2)
print(json.dumps({"seen": seen, "late": late is not None}))
"#;

#[test]
fn confluent_kafka_for_python() {
    let Some(kafka) = kafka() else { return };
    let there = Command::new("python3").args(["-c", "import confluent_kafka"]).stderr(Stdio::null()).status();
    if !there.is_ok_and(|status| status.success()) {
        say("*** NOT RUN: `python3` has no `confluent_kafka`, so no client in Python was tried");
        return;
    }
    let shop = Shop::new(&kafka.address, "python", 2, 3);
    shop.consents([&granted("not-python")]);
    let proxy = Proxy::ready(&shop.config);
    let text = |bytes: Option<Vec<u8>>| String::from_utf8(bytes.expect("some")).expect("text");
    let rows = (0..40).flat_map(|n| {
        let consent = if n % 2 == 0 { granted(&id(n)) } else { withdrawn(&id(n)) };
        [(&shop.consent, consent), (&shop.source, event(&id(n), n))]
    });
    let write: Vec<Value> = rows.map(|(topic, row)| json!([topic, text(row.key), text(row.value)])).collect();
    let job =
        json!({"address": shop.address, "write": write, "read": shop.sink, "partitions": 2, "expect": 20});
    let answer = python(&job);
    assert_eq!(answer["late"], json!(false), "more came than may");
    let seen = answer["seen"].as_array().expect("a list");
    let mut numbers: Vec<u64> = seen
        .iter()
        .map(|row| {
            assert_eq!(row[2]["consentry.reason"], json!("permitted"));
            let value: Value = serde_json::from_str(row[1].as_str().expect("text")).expect("JSON");
            value["n"].as_u64().expect("a number")
        })
        .collect();
    numbers.sort_unstable();
    assert_eq!(numbers, (0..40).step_by(2).collect::<Vec<u64>>());
    proxy.stop();
}

fn python(job: &Value) -> Value {
    let mut child = Command::new("python3")
        .args(["-c", PYTHON])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("it was there a moment ago");
    reaper::watch(child.id());
    let pid = child.id();
    child.stdin.take().expect("piped").write_all(job.to_string().as_bytes()).expect("it reads its job");
    let out = child.wait_with_output().expect("it ran");
    reaper::forget(pid);
    serde_json::from_slice(&out.stdout).expect("it prints what it saw")
}
