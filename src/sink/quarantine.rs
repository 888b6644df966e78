//! The quarantine: what could not be decided or delivered, whole, with the reason.
//!
//! A record keeps its bytes and headers (but for `consentry.*`, which are ours to say) and carries the error
//! headers of Kafka Connect's dead letter queue (KIP-298). One that would not fit keeps its coordinates and
//! the SHA-256 of its value. A quarantine topic is as sensitive as its source.

use sha2::{Digest, Sha256};

use super::kafka::{Source, Target, batch_size};
use crate::consent::Reason;
use crate::kafka::partition;
use crate::record::Record;
use crate::source::{HeaderList, Write, WriteError, Writer};

/// Why a record is set aside, and for which routes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Note {
    /// Why.
    pub reason: Reason,
    /// The routes, joined by commas.
    pub routes: String,
}

/// Who sets it aside.
#[derive(Clone, Copy, Debug)]
pub struct By<'a> {
    /// The pipeline.
    pub pipeline: &'a str,
    /// The worker's number.
    pub worker: usize,
    /// The policy's hash.
    pub policy: &'a str,
}

/// Writes a record to the quarantine, once, with a note for each reason.
pub fn quarantine<W: Writer>(
    writer: &mut W,
    target: &Target,
    record: &Record<'_>,
    notes: &[Note],
    by: By<'_>,
    source: Source,
) -> Result<(), WriteError> {
    let explained = notes.first().map_or("", |note| note.reason.explanation());
    let class = notes.first().map_or("", |note| note.reason.word());
    let mut own: Vec<(&str, String)> = vec![
        ("__connect.errors.topic", record.topic.to_owned()),
        ("__connect.errors.partition", record.partition.to_string()),
        ("__connect.errors.offset", record.offset.to_string()),
        ("__connect.errors.connector.name", by.pipeline.to_owned()),
        ("__connect.errors.task.id", by.worker.to_string()),
        ("__connect.errors.stage", "TRANSFORMATION".to_owned()),
        ("__connect.errors.class.name", "consentry".to_owned()),
        ("__connect.errors.exception.class.name", class.to_owned()),
        ("__connect.errors.exception.message", explained.to_owned()),
        ("consentry.policy", by.policy.to_owned()),
    ];
    for note in notes {
        own.push(("consentry.route", note.routes.clone()));
        own.push(("consentry.reason", note.reason.word().to_owned()));
    }
    let kept: Vec<_> =
        record.headers.iter().filter(|(name, _)| !name.starts_with("consentry.")).copied().collect();
    let (mut key, mut value, mut headers) = (record.key, record.value, &*kept);
    let fits = |key: Option<&[u8]>, value: Option<&[u8]>, headers: &[_], own: &[(&str, String)]| {
        let own = own.iter().map(|(name, value)| (*name, Some(value.as_bytes())));
        batch_size(key, value, headers.iter().copied().chain(own)) <= target.max_bytes
    };
    if !fits(key, value, headers, &own) {
        own.push(("consentry.value_sha256", hex::encode(Sha256::digest(value.unwrap_or_default()))));
        value = None;
        // Key and headers go only where they are what does not fit.
        headers = if fits(key, value, headers, &own) { headers } else { &[] };
        key = key.filter(|_| fits(key, value, headers, &own));
    }
    let all = headers.iter().copied().chain(own.iter().map(|(name, value)| (*name, Some(value.as_bytes()))));
    let size = batch_size(key, value, all.clone());
    let list = W::Headers::with_capacity(headers.len() + own.len());
    writer.send(Write {
        topic: &target.topic,
        partition: partition::choose(record.key, record.partition, source.partitions, target.partitions),
        key,
        value,
        timestamp: record.timestamp.map(|at| at.0).filter(|ms| *ms >= 0),
        headers: all.fold(list, |headers, (name, value)| headers.and(name, value)),
        size,
        number: source.number,
    })
}
