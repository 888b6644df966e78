//! The broker and the clients do what the other tests take for granted.

use super::clients::{Reader, Row, Transactions, Writer, progress, read_all};
use super::kafka;
use super::people::{event, numbers};
use super::topics::Topics;
use super::wait::secs;

#[test]
fn what_is_written_is_read_byte_for_byte() {
    let Some(kafka) = kafka() else { return };
    let (topics, writer) = (Topics::new(&kafka.address), Writer::new(&kafka.address));
    topics.create("bytes", 1, &[]);
    let some = |bytes: &[u8]| Some(bytes.to_vec());
    let headers = vec![("a".into(), some(b"\xff\x00")), ("a".into(), None), ("b".into(), some(b""))];
    let rows = [
        Row { key: None, value: None, timestamp: Some(1), ..Row::default() },
        Row { key: some(b""), value: some(b""), timestamp: Some(2), ..Row::default() },
        Row { key: some(b"\xff"), value: some(b"\x00"), headers, timestamp: Some(3), ..Row::default() },
    ];
    let places: Vec<_> = rows.iter().map(|row| writer.acked("bytes", row)).collect();
    assert_eq!(places, [(0, 0), (0, 1), (0, 2)]);
    let got = read_all(&kafka.address, "bytes");
    for (got, was) in got.iter().zip(&rows) {
        assert_eq!((&got.key, &got.value, &got.headers), (&was.key, &was.value, &was.headers));
        assert_eq!(got.timestamp, was.timestamp);
    }
    assert_eq!(progress(&kafka.address, "nobody", "bytes"), [(None, 3)]);
    topics.forget("bytes", 0, 2);
    assert_eq!(read_all(&kafka.address, "bytes").len(), 1);
}

#[test]
fn only_what_is_committed_is_read() {
    let Some(kafka) = kafka() else { return };
    let (topics, writer) = (Topics::new(&kafka.address), Writer::new(&kafka.address));
    topics.create("isolated", 2, &[]);
    let first = Transactions::new(&kafka.address, "harness");
    let on = |n| Row { partition: Some(0), ..event("somebody", n) };
    let mut reader = Reader::new(&kafka.address, "isolated");
    first.begin("isolated", &[on(1)]);
    writer.acked("isolated", &on(2));
    assert!(reader.linger(secs(1)).is_empty(), "an open transaction is seen through");
    first.commit();
    assert!(reader.until(secs(20), |rows| rows.len() == 2));
    first.begin("isolated", &[on(3)]);
    first.abort();
    first.begin("isolated", &[on(4)]);
    let second = Transactions::new(&kafka.address, "harness");
    second.begin("isolated", &[on(5)]);
    second.commit();
    assert_eq!(numbers(&read_all(&kafka.address, "isolated")), [1, 2, 5], "the older one is fenced");
}

#[test]
fn a_broker_that_was_killed_has_its_records() {
    let Some(kafka) = kafka() else { return };
    let broker = kafka.spare();
    let (topics, writer) = (Topics::new(&broker.address), Writer::new(&broker.address));
    topics.create("kept", 1, &[]);
    writer.acked("kept", &event("somebody", 1));
    broker.stop();
    writer.send("kept", &event("somebody", 2));
    broker.resume();
    writer.flush();
    assert_eq!(numbers(&read_all(&broker.address, "kept")), [1, 2]);
    topics.delete("kept");
    topics.create("kept", 3, &[]);
    assert!(read_all(&broker.address, "kept").is_empty());
}
