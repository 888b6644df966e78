//! What of the topic is followed, and how far that has come: plain values that the state hands out.

use std::collections::BTreeMap;
use std::time::Duration;

/// What the reader of the topic is to follow.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// With another number than before, everything is forgotten first.
    pub resets: u64,
    /// How many partitions the topic has.
    pub count: usize,
    /// The partitions to follow, each with the number of this time of following it, which no other has: with another
    /// number than before it begins anew. What is not here ends.
    pub follows: BTreeMap<usize, u64>,
}

/// How far the cache had come at some moment.
pub type Mark = BTreeMap<usize, (u64, i64)>;

/// Of what a cache is, at some moment.
#[derive(Clone, Debug)]
pub struct Point {
    /// How often everything had been forgotten.
    pub resets: u64,
    /// The topic's id.
    pub topic_id: String,
    /// How many partitions it has.
    pub partitions: usize,
    /// How long ago all of it was last at the end.
    pub age: Duration,
    /// How far each partition has come.
    pub passed: Mark,
}
