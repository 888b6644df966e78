//! A record that waits, as a hold topic keeps it: `consentry.v1.HeldRecord`, and its key.

use prost::Message;
use thiserror::Error;

use super::change_proto::v1;
use crate::consent::{Deadlines, Reason};
use crate::record::Record;
use crate::time::Timestamp;

/// A message of a hold topic says nothing that can be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("no `consentry.v1.HeldRecord`, or one that does not belong to its key")]
pub struct Undecodable;

/// A record that waits.
#[derive(Clone, Debug)]
pub struct Held {
    written: v1::HeldRecord,
    /// Why it waits.
    pub reason: Reason,
    /// When waiting runs out.
    pub deadlines: Deadlines,
}

/// Whom a key of a hold topic names: topic, partition, offset and route.
pub type HeldKey<'k> = (&'k str, i32, i64, &'k str);

/// The key of a record that waits at a route. No topic's or route's name has a slash in it.
pub fn key(record: &Record<'_>, route: &str) -> String {
    format!("{}/{}/{}/{route}", record.topic, record.partition, record.offset)
}

/// Reads a key.
pub fn read_key(key: &[u8]) -> Option<HeldKey<'_>> {
    let mut parts = std::str::from_utf8(key).ok()?.split('/');
    let topic = parts.next()?;
    let (partition, offset) = (parts.next()?.parse().ok()?, parts.next()?.parse().ok()?);
    let route = parts.next()?;
    parts.next().is_none().then_some((topic, partition, offset, route))
}

/// What is written of a record that waits.
#[derive(Clone, Copy, Debug)]
pub struct Wait<'a> {
    /// The route.
    pub route: &'a str,
    /// Since when.
    pub held_at: Timestamp,
    /// Why.
    pub reason: Reason,
    /// When waiting runs out.
    pub deadlines: Deadlines,
    /// The policy's hash.
    pub policy: &'a str,
}

/// Encodes a record that waits.
pub fn encode(record: &Record<'_>, wait: Wait<'_>) -> Vec<u8> {
    let deadline = |(reason, until): (Reason, Timestamp)| v1::Deadline {
        reason: reason.word().to_owned(),
        until_ms: until.0,
    };
    let header = |(name, value): &(&str, Option<&[u8]>)| v1::Header {
        name: (*name).to_owned(),
        value: value.map(<[u8]>::to_vec),
    };
    let written = v1::HeldRecord {
        topic: record.topic.to_owned(),
        partition: record.partition,
        offset: record.offset,
        route: wait.route.to_owned(),
        held_at_ms: wait.held_at.0,
        reason: wait.reason.word().to_owned(),
        deadlines: wait.deadlines.iter().map(deadline).collect(),
        key: record.key.map(<[u8]>::to_vec),
        value: record.value.map(<[u8]>::to_vec),
        headers: record.headers.iter().map(header).collect(),
        timestamp_ms: record.timestamp.map(|at| at.0),
        policy: wait.policy.to_owned(),
    };
    written.encode_to_vec()
}

/// Decodes a message with this key.
pub fn decode(bytes: &[u8], key: HeldKey<'_>) -> Result<Held, Undecodable> {
    let written = v1::HeldRecord::decode(bytes).map_err(|_| Undecodable)?;
    let own = (written.topic.as_str(), written.partition, written.offset, written.route.as_str());
    let word =
        |word: &str| Reason::ALL.iter().copied().find(|reason| reason.word() == word).ok_or(Undecodable);
    if own != key {
        return Err(Undecodable);
    }
    let mut deadlines = Deadlines::default();
    for one in &written.deadlines {
        // A deadline of a reason that has none would be lost.
        if !deadlines.begin(word(&one.reason)?, Timestamp(one.until_ms)) {
            return Err(Undecodable);
        }
    }
    Ok(Held { reason: word(&written.reason)?, deadlines, written })
}

impl Held {
    /// The record as it came.
    pub fn record(&self) -> Record<'_> {
        let v1::HeldRecord { topic, partition, offset, key, value, headers, timestamp_ms, .. } =
            &self.written;
        let headers = headers.iter().map(|own| (own.name.as_str(), own.value.as_deref()));
        Record {
            topic,
            partition: *partition,
            offset: *offset,
            key: key.as_deref(),
            value: value.as_deref(),
            headers: headers.collect(),
            timestamp: timestamp_ms.map(Timestamp),
        }
    }

    /// Since when it waits.
    pub const fn held_at(&self) -> Timestamp {
        Timestamp(self.written.held_at_ms)
    }

    /// The route it waits at.
    pub fn route(&self) -> &str {
        &self.written.route
    }
}

#[cfg(test)]
mod tests {
    use smallvec::smallvec;

    use super::*;

    fn wait(deadlines: Deadlines) -> Wait<'static> {
        Wait { route: "news", held_at: Timestamp(9), reason: Reason::Unconfirmed, deadlines, policy: "p" }
    }

    #[test]
    fn a_record_comes_back_as_it_went() {
        let mut deadlines = Deadlines::default();
        deadlines.begin(Reason::Unconfirmed, Timestamp(70));
        deadlines.begin(Reason::NoConsent, Timestamp(80));
        let record = Record {
            topic: "shop.events",
            partition: 3,
            offset: 17,
            key: None,
            value: Some(b"{}"),
            headers: smallvec![("a", None), ("a", Some(&b"\xff"[..]))],
            timestamp: Some(Timestamp(-1)),
        };
        let (key, bytes) = (key(&record, "news"), encode(&record, wait(deadlines)));
        assert_eq!(key, "shop.events/3/17/news");
        let key = read_key(key.as_bytes()).unwrap();
        let held = decode(&bytes, key).unwrap();
        assert_eq!(format!("{:?}", held.record()), format!("{record:?}"));
        assert_eq!(
            (held.reason, held.deadlines, held.held_at()),
            (Reason::Unconfirmed, deadlines, Timestamp(9))
        );
        assert_eq!(decode(&bytes, ("shop.events", 3, 18, "news")).err(), Some(Undecodable));
        assert_eq!(decode(&bytes[1..], key).err(), Some(Undecodable));
    }

    #[test]
    fn what_waits_may_be_a_deletion() {
        let record = Record { topic: "t", key: Some(b"k"), ..Record::default() };
        let key = key(&record, "news");
        let held = decode(&encode(&record, wait(Deadlines::default())), read_key(key.as_bytes()).unwrap());
        assert!(held.unwrap().record().is_deletion());
    }

    #[test]
    fn a_key_that_is_none_is_said_to_be_so() {
        for bad in ["", "t/0/1", "t/0/1/r/x", "t/x/1/r", "t/0//r"] {
            assert_eq!(read_key(bad.as_bytes()), None, "{bad}");
        }
        assert_eq!(read_key(b"\xff/0/1/r"), None);
    }
}
