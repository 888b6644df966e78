//! Which partition a record goes to, and which a subject's consent is on.

use smallvec::SmallVec;

use crate::consent::normalize;

/// The header of a tombstone that settles a consent key on the wrong partition.
pub const SETTLED: &str = "consentry.settled";

/// Java's murmur2, as Kafka's default partitioner uses it (`org.apache.kafka.common.utils.Utils#murmur2`).
pub fn murmur2(key: &[u8]) -> u32 {
    const M: u32 = 0x5bd1_e995;
    let length = u32::try_from(key.len()).unwrap_or(u32::MAX);
    let mut hash = 0x9747_b28c ^ length;
    let mut chunks = key.chunks_exact(4);
    for chunk in &mut chunks {
        let mut word = chunk.iter().rev().fold(0, |word, byte| word << 8 | u32::from(*byte));
        word = word.wrapping_mul(M);
        word ^= word >> 24;
        hash = hash.wrapping_mul(M) ^ word.wrapping_mul(M);
    }
    let rest = chunks.remainder();
    if !rest.is_empty() {
        hash ^= rest.iter().rev().fold(0, |word, byte| word << 8 | u32::from(*byte));
        hash = hash.wrapping_mul(M);
    }
    hash ^= hash >> 13;
    hash = hash.wrapping_mul(M);
    hash ^ hash >> 15
}

/// The partition of a sink for a record with this key that stood on partition `from` of `of`. A sink with
/// as many partitions as the source keeps the partition, so that order and co-partitioning are kept; else
/// the key decides, as Java clients have it, and without one the source partition does.
pub fn choose(key: Option<&[u8]>, from: i32, of: usize, sink: usize) -> i32 {
    let count = u32::try_from(sink).unwrap_or(u32::MAX).max(1);
    let from = from.unsigned_abs();
    match key {
        _ if of == sink && from < count => i32::try_from(from).unwrap_or(0),
        Some(key) => by_key(key, sink),
        None => i32::try_from(from % count).unwrap_or(0),
    }
}

/// The partition of so many that a key decides on, as Java clients have it.
fn by_key(key: &[u8], partitions: usize) -> i32 {
    let count = u32::try_from(partitions).unwrap_or(u32::MAX).max(1);
    i32::try_from((murmur2(key) & 0x7fff_ffff) % count).unwrap_or(0)
}

/// The partition of so many that a subject's consent is on: that of `type:value`, the value in its one form, as
/// Java clients have it.
pub fn of_subject(kind: &str, value: &str, count: usize) -> i32 {
    let mut key: SmallVec<[u8; 128]> = SmallVec::new();
    for part in [kind, ":", &normalize(kind, value)] {
        key.extend_from_slice(part.as_bytes());
    }
    by_key(&key, count)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hashes_as_java_does() {
        // From Kafka's own test of Utils#murmur2.
        for (key, hash) in [
            ("21", -973_932_308),
            ("foobar", -790_332_482),
            ("a-little-bit-long-string", -985_981_536),
            ("a-little-bit-longer-string", -1_486_304_829),
            ("lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58_897_971),
            ("abc", 479_470_107),
        ] {
            assert_eq!(murmur2(key.as_bytes()).cast_signed(), hash, "{key}");
        }
    }

    #[test]
    fn keeps_the_partition_where_it_can() {
        assert_eq!(choose(Some(b"abc"), 3, 4, 4), 3);
        assert_eq!(choose(Some(b"abc"), 3, 4, 7), (479_470_107 % 7));
        assert_eq!(choose(None, 3, 4, 2), 1);
        assert_eq!(choose(None, 0, 1, 0), 0);
    }

    #[test]
    fn a_subject_is_on_the_partition_of_its_consent_key() {
        assert_eq!(of_subject("user_id", "u-17", 6), choose(Some(b"user_id:u-17"), 0, 0, 6));
        assert_eq!(
            of_subject("email", " Ann@Example.ORG", 97),
            choose(Some(b"email:ann@example.org"), 0, 0, 97)
        );
    }
}
