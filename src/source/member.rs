//! A member of a pipeline's consumer group.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use smallvec::SmallVec;

use super::Failure;
use crate::record::Header;
use crate::time::Timestamp;

/// A topic and partition.
pub type Place = (String, i32);

/// How a member reads.
#[derive(Clone, Copy, Debug)]
pub struct Reading {
    /// It goes on past records that are gone.
    pub accept_gap: bool,
    /// What is assigned is paused until somebody says otherwise.
    pub waits: bool,
    /// What may wait in the client, in KiB.
    pub queued_kib: usize,
}

/// Records that are gone before they were read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Gap {
    /// Where the group stood.
    pub committed: i64,
    /// The first offset there is.
    pub low: i64,
    /// The end.
    pub high: i64,
}

impl Gap {
    /// How many records are known to be missing.
    pub fn records(&self) -> u64 {
        u64::try_from(self.low - self.committed).unwrap_or(0)
    }
}

/// Where a group begins a partition, which holds what is from the first of these offsets up to the other: where it
/// stands, without an offset at the first record there is. An offset outside of that is a gap, and what there is of
/// records is read from the first on.
pub fn begins(committed: Option<i64>, (low, high): (i64, i64)) -> (i64, Option<Gap>) {
    match committed {
        Some(committed) if (low..=high).contains(&committed) => (committed, None),
        Some(committed) => (low, Some(Gap { committed, low, high })),
        None => (low, None),
    }
}

/// What happened to the assignment.
#[derive(Debug)]
pub enum Event {
    /// This partition is now ours, from this offset on.
    Assigned(Place, i64, Option<Gap>),
    /// This partition is no longer ours.
    Revoked(Place),
    /// This topic is another one under the same name: where we stood in it means nothing.
    MadeAnew(String),
    /// The assignment could not be taken.
    Failed(Failure),
}

/// Offsets to commit.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Offsets {
    /// One past the last record that is done, of each place.
    pub places: Vec<(Place, i64)>,
    /// Written beside each of them; empty: nothing is.
    pub mark: String,
}

/// A message that was polled. It borrows from the client.
pub trait Message {
    /// Its topic.
    fn topic(&self) -> &str;
    /// Its partition.
    fn partition(&self) -> i32;
    /// Its offset.
    fn offset(&self) -> i64;
    /// Its key; `None` is Kafka's null.
    fn key(&self) -> Option<&[u8]>;
    /// Its value; `None` is Kafka's null.
    fn value(&self) -> Option<&[u8]>;
    /// Its Kafka timestamp, if it has one.
    fn timestamp(&self) -> Option<Timestamp>;
    /// The bytes of its headers, zero where they cannot be read; `None` where it has none.
    fn header_bytes(&self) -> Option<usize>;
    /// Its headers, in order. `None`: one of them cannot be read, as its name is not UTF-8.
    fn headers(&self) -> Option<SmallVec<[Header<'_>; 8]>>;
    /// Whether it has a header of this name, as far as they can be read.
    fn has_header(&self, name: &str) -> bool;
}

/// A member of a group, which reads what is committed of the partitions that it is assigned.
///
/// Where a partition begins is decided by [`begins`], never by the brokers' defaults. One with a gap is assigned but
/// paused, unless gaps are accepted.
pub trait Member: Send + Sync + 'static {
    /// A message of its partitions.
    type Message<'m>: Message
    where
        Self: 'm;

    /// The next message, in order by partition; waits for it for at most `patience`. Whatever happens to the
    /// assignment happens within this, and is told by [`Member::take_events`] right after.
    fn poll(&self, patience: Duration) -> Option<Result<Self::Message<'_>, Failure>>;

    /// What happened since this was last asked. Asked after every poll.
    fn take_events(&self) -> Vec<Event>;

    /// The partitions that are its own.
    fn assignment(&self) -> Result<BTreeSet<Place>, Failure>;

    /// Where each of its own is read on, as far as that is known: after the last message that was polled, or where
    /// it began.
    fn positions(&self) -> Result<BTreeMap<Place, i64>, Failure>;

    /// Polls nothing of these any more, nor what of them is fetched already.
    fn pause<'p>(&self, places: impl IntoIterator<Item = &'p Place>) -> Result<(), Failure>;

    /// Polls of these again, from where they were paused.
    fn resume<'p>(&self, places: impl IntoIterator<Item = &'p Place>) -> Result<(), Failure>;

    /// Goes to these offsets; nothing that was fetched before is polled of these places any more.
    fn seek(&self, to: &[(Place, i64)]) -> Result<(), Failure>;

    /// The group's committed offsets in those of these that have one, each with what was written beside it.
    fn committed(&self, places: &[Place]) -> Result<BTreeMap<Place, (i64, String)>, Failure>;

    /// The first offset and the end of each of these; where one does not answer, an error.
    fn bounds(&self, places: &[Place]) -> Result<BTreeMap<Place, (i64, i64)>, Failure>;

    /// Whether the brokers say that this topic is there.
    fn answers(&self, topic: &str) -> bool;

    /// Begins nothing any more: what the group still gives is given back when the member is dropped, which leaves
    /// the group.
    fn leave(&self);

    /// Leaves the group for somebody who holds the member and will not come back. May itself never return.
    fn dismiss(&self);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_group_begins_where_it_stands_unless_that_is_gone() {
        assert_eq!(begins(Some(5), (3, 7)), (5, None));
        assert_eq!(begins(Some(7), (3, 7)), (7, None), "at the end nothing is missing");
        assert_eq!(begins(None, (3, 7)), (3, None));
        let (from, gap) = begins(Some(1), (3, 7));
        assert_eq!((from, gap.map(|gap| gap.records())), (3, Some(2)));
        let (from, gap) = begins(Some(9), (3, 7));
        assert_eq!((from, gap.map(|gap| gap.records())), (3, Some(0)), "nobody knows how many");
    }
}
