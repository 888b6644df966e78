//! Topics of the same cluster.

use smallvec::SmallVec;

use crate::consent::{Cleared, Reason};
use crate::kafka::partition;
use crate::record::Record;
use crate::source::{HeaderList, Write, WriteError, Writer};
use crate::transform::Outgoing;

/// A topic that is written to.
#[derive(Clone, Debug)]
pub struct Target {
    /// Its name.
    pub topic: String,
    /// How many partitions it has.
    pub partitions: usize,
    /// The largest batch it takes (`max.message.bytes`).
    pub max_bytes: usize,
}

/// What Consentry says of a record it forwards: the headers `consentry.*`.
#[derive(Clone, Debug)]
pub struct Stamp<'a> {
    /// The route.
    pub route: &'a str,
    /// Why it was forwarded.
    pub reason: Reason,
    /// The policy's hash.
    pub policy: &'a str,
    /// The purposes that permitted, joined by commas; empty: none was asked.
    pub purposes: &'a str,
    /// The consent record that decided, for first-party routes.
    pub consent_offset: Option<(i32, i64)>,
}

/// Where a record came from.
#[derive(Clone, Copy, Debug)]
pub struct Source {
    /// How many partitions its topic has.
    pub partitions: usize,
    /// The number it is reported by.
    pub number: usize,
}

/// Why a record was not written.
#[derive(Debug)]
pub enum Refusal {
    /// The sink would not take a record so large.
    TooLarge,
    /// The writer failed.
    Failed(WriteError),
}

/// Writes a cleared record.
pub fn forward<W: Writer>(
    writer: &mut W,
    target: &Target,
    record: &Record<'_>,
    cleared: &Cleared<'_, Outgoing<'_>>,
    stamp: &Stamp<'_>,
    source: Source,
) -> Result<(), Refusal> {
    let out = cleared.record();
    let mut digits = (itoa::Buffer::new(), itoa::Buffer::new());
    let offset = stamp.consent_offset.map(|(partition, offset)| {
        let parts = [digits.0.format(partition), ":", digits.1.format(offset)];
        parts.iter().flat_map(|part| part.bytes()).collect::<SmallVec<[u8; 32]>>()
    });
    let own = [
        ("consentry.route", Some(stamp.route.as_bytes())),
        ("consentry.reason", Some(stamp.reason.word().as_bytes())),
        ("consentry.policy", Some(stamp.policy.as_bytes())),
        ("consentry.purposes", Some(stamp.purposes.as_bytes()).filter(|purposes| !purposes.is_empty())),
        ("consentry.consent_offset", offset.as_deref()),
    ];
    let own = own.into_iter().filter_map(|(name, value)| Some((name, Some(value?))));
    let kept = out.headers.iter().map(|(name, value)| (*name, value.as_deref()));
    let (key, value) = (out.key.as_deref(), out.value.as_deref());
    let size = batch_size(key, value, kept.clone().chain(own.clone()));
    if size > target.max_bytes {
        return Err(Refusal::TooLarge);
    }
    let headers = W::Headers::with_capacity(out.headers.len() + 5);
    let write = Write {
        topic: &target.topic,
        partition: partition::choose(key, record.partition, source.partitions, target.partitions),
        key,
        value,
        timestamp: record.timestamp.map(|at| at.0).filter(|ms| *ms >= 0),
        headers: kept.chain(own).fold(headers, |headers, (name, value)| headers.and(name, value)),
        size,
        number: source.number,
    };
    writer.send(write).map_err(Refusal::Failed)
}

/// The bytes of a batch that holds this one record, uncompressed (record batch format, version 2).
pub fn batch_size<'a>(
    key: Option<&[u8]>,
    value: Option<&[u8]>,
    headers: impl Iterator<Item = (&'a str, Option<&'a [u8]>)>,
) -> usize {
    const BATCH: usize = 61;
    let field = |bytes: Option<&[u8]>| bytes.map_or(1, |bytes| varint(bytes.len()) + bytes.len());
    let (mut count, mut all) = (0, 0);
    for (name, value) in headers {
        count += 1;
        all += varint(name.len()) + name.len() + field(value);
    }
    // Attributes, and the distances of timestamp and offset from the batch's own, which are zero.
    let record = 3 + field(key) + field(value) + varint(count) + all;
    BATCH + varint(record) + record
}

/// The bytes of a length as a zigzag varint.
const fn varint(length: usize) -> usize {
    let bits = (usize::BITS - length.leading_zeros() + 1) as usize;
    bits.div_ceil(7)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_length_takes_as_many_bytes_as_it_must() {
        for (length, bytes) in [(0, 1), (63, 1), (64, 2), (8191, 2), (8192, 3), (1_048_576, 4)] {
            assert_eq!(varint(length), bytes, "{length}");
        }
    }

    #[test]
    fn the_size_of_a_batch_is_exact() {
        // A batch of one record with key `k`, value `v` and no header is 70 bytes on the wire.
        assert_eq!(batch_size(Some(b"k"), Some(b"v"), std::iter::empty()), 61 + 1 + 3 + 2 + 2 + 1);
        assert_eq!(batch_size(None, None, [("h", None)].into_iter()), 61 + 1 + 3 + 1 + 1 + 1 + 3);
    }
}
