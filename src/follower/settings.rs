//! Where consent comes from, and how fresh it must be.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

pub use crate::wire::change::ConsentFormat;
use crate::wire::signals::Signals;

/// The consent topic and the freshness asked of it.
#[derive(Clone, Debug)]
pub struct FollowerSettings {
    /// The compacted topic.
    pub topic: String,
    /// How its messages are encoded.
    pub format: ConsentFormat,
    /// What the policy maps privacy strings to.
    pub signals: Signals,
    /// What names that mapping: a hash, and nothing where nothing is mapped. A snapshot is good under the
    /// mapping that it was made under.
    pub signals_hash: String,
    /// When a batch may be decided.
    pub freshness: Freshness,
    /// How long decisions may wait for a barrier before readiness goes. Default 10 s.
    pub barrier_alert: Duration,
    /// Whether a consent topic without any subject is fine.
    pub allow_empty: bool,
    /// What is held of the topic.
    pub share: ShareSettings,
    /// Where the cache is kept from start to start.
    pub snapshot: Option<SnapshotSettings>,
}

/// Where the cache is kept from start to start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SnapshotSettings {
    /// The file; with a cache a partition, followed by a dot and the partition.
    pub path: PathBuf,
    /// How often it is written.
    pub every: Duration,
    /// The key that the cache hashes subjects under.
    pub key: CacheKey,
}

/// A secret that is not shown.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct CacheKey(pub [u8; 16]);

impl fmt::Debug for CacheKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("CacheKey")
    }
}

/// What a process holds of the consent topic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ShareSettings {
    /// Every partition.
    Whole,
    /// Those with the numbers of its event partitions. These topics hold the events, and must have as many
    /// partitions as the consent topic.
    OfEvents(Vec<String>),
}

impl ShareSettings {
    /// Whether only a part of the topic is held.
    pub const fn is_part(&self) -> bool {
        matches!(self, Self::OfEvents(_))
    }
}

/// When a batch may be decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Freshness {
    /// When the cache has passed the high watermark of every consent partition, read after the fetch.
    Barrier,
    /// When the cache has been at the end within this long.
    Within(Duration),
}
