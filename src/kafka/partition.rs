//! Which partition a record goes to.

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
    let chosen = match key {
        _ if of == sink && from < count => from,
        Some(key) => (murmur2(key) & 0x7fff_ffff) % count,
        None => from % count,
    };
    i32::try_from(chosen).unwrap_or(0)
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
}
