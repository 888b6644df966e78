//! What a worker has done since its last commit, and where that began.

use std::collections::BTreeMap;

use rdkafka::TopicPartitionList;
use rdkafka::error::KafkaResult;
use rdkafka::topic_partition_list::Offset;

use crate::kafka::member::Place;

/// One record, and the sink it went to: a route's index, or past the last the quarantine.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Origin {
    /// The place's index in this worker's list.
    pub place: usize,
    /// The record's offset.
    pub offset: i64,
    /// The sink.
    pub sink: usize,
}

/// How far one partition has come.
#[derive(Clone, Debug)]
struct Progress {
    place: Place,
    /// The first offset fetched since the last commit.
    first: Option<i64>,
    /// One past the last offset judged since the last commit.
    next: Option<i64>,
    /// One past the last offset fetched, while the partition is ours: nothing before it may come again.
    passed: Option<i64>,
    /// Where the group stands, while the partition is ours.
    stands: Option<i64>,
}

/// Everything since the last commit.
#[derive(Debug, Default)]
pub struct Open {
    progress: Vec<Progress>,
    last: usize,
    /// Records judged.
    pub read: u64,
    /// What was written, in the order of the numbers it is reported by.
    pub origins: Vec<Origin>,
    /// The earliest Kafka timestamp judged, in milliseconds.
    pub oldest_ms: Option<i64>,
}

impl Open {
    /// The index of a place, which stays as it is.
    pub fn place(&mut self, topic: &str, partition: i32) -> usize {
        let is = |progress: &Progress| progress.place.1 == partition && progress.place.0 == topic;
        if !self.progress.get(self.last).is_some_and(is) {
            self.last = self.progress.iter().position(is).unwrap_or_else(|| {
                let place = (topic.to_owned(), partition);
                self.progress.push(Progress { place, first: None, next: None, passed: None, stands: None });
                self.progress.len() - 1
            });
        }
        self.last
    }

    /// A partition is ours, from this offset on.
    pub fn begins(&mut self, place: &Place, from: i64) {
        let at = self.place(&place.0, place.1);
        if let Some(progress) = self.progress.get_mut(at) {
            progress.stands = Some(from);
            progress.passed = None;
        }
    }

    /// A record was fetched. False: it had been fetched before, and everything after it is to be read again.
    ///
    /// The client stops a partition while its group rebalances, at the record that it handed out last; one that
    /// is being handed out at that very moment comes again.
    pub fn fetched(&mut self, topic: &str, partition: i32, offset: i64) -> bool {
        let at = self.place(topic, partition);
        let Some(progress) = self.progress.get_mut(at) else { return false };
        if let Some(passed) = progress.passed.filter(|passed| offset < *passed) {
            progress.first.get_or_insert(passed);
            return false;
        }
        progress.first.get_or_insert(offset);
        progress.passed = Some(offset + 1);
        true
    }

    /// A record that was fetched waits beyond a commit.
    pub fn waits(&mut self, topic: &str, partition: i32, offset: i64) {
        let at = self.place(topic, partition);
        if let Some(progress) = self.progress.get_mut(at) {
            progress.first.get_or_insert(offset);
        }
    }

    /// A record was judged.
    pub fn judged(&mut self, place: usize, offset: i64, timestamp_ms: Option<i64>) {
        self.read += 1;
        if let Some(progress) = self.progress.get_mut(place) {
            progress.next = Some(offset + 1);
        }
        if let Some(ms) = timestamp_ms.filter(|ms| *ms >= 0) {
            self.oldest_ms = Some(self.oldest_ms.map_or(ms, |oldest| oldest.min(ms)));
        }
    }

    /// Whether anything of this place was fetched since the last commit.
    pub fn has(&self, place: &Place) -> bool {
        self.progress.iter().any(|progress| progress.place == *place && progress.first.is_some())
    }

    /// Whether anything was judged since the last commit.
    pub const fn is_empty(&self) -> bool {
        self.read == 0
    }

    /// The offsets to commit.
    pub fn offsets(&self) -> KafkaResult<TopicPartitionList> {
        self.list(|progress| progress.next)
    }

    /// Where the group stands in what is ours.
    pub fn standing(&self) -> KafkaResult<TopicPartitionList> {
        self.list(|progress| progress.stands)
    }

    /// Where to read again.
    pub fn firsts(&self) -> KafkaResult<TopicPartitionList> {
        self.list(|progress| progress.first)
    }

    fn list(&self, which: impl Fn(&Progress) -> Option<i64>) -> KafkaResult<TopicPartitionList> {
        let mut list = TopicPartitionList::new();
        for progress in &self.progress {
            if let Some(offset) = which(progress) {
                list.add_partition_offset(&progress.place.0, progress.place.1, Offset::Offset(offset))?;
            }
        }
        Ok(list)
    }

    /// The places judged since the last commit.
    pub fn judged_places(&self) -> Vec<Place> {
        let judged = self.progress.iter().filter(|progress| progress.next.is_some());
        judged.map(|progress| progress.place.clone()).collect()
    }

    /// Whether the group's committed offsets are exactly what was to be committed.
    pub fn is_what_stands(&self, committed: &BTreeMap<Place, i64>) -> bool {
        self.progress
            .iter()
            .filter_map(|progress| Some((&progress.place, progress.next?)))
            .all(|(place, next)| committed.get(place) == Some(&next))
    }

    /// What was judged is committed: that is where the group stands now.
    pub fn committed(&mut self) {
        for progress in &mut self.progress {
            progress.stands = progress.next.or(progress.stands);
        }
        self.close();
    }

    /// Everything since the last commit is undone, and read again from where it began.
    pub fn undone(&mut self) {
        for progress in &mut self.progress {
            progress.passed = progress.first.or(progress.passed);
        }
        self.close();
    }

    /// What was judged is committed after all, and what was fetched beyond it is read again.
    pub fn settled(&mut self) {
        for progress in &mut self.progress {
            progress.passed = progress.next.or(progress.first).or(progress.passed);
        }
    }

    /// Everything since the last commit is committed, or undone and read again: either way nothing is open.
    /// A fetched batch that still waits says so itself.
    fn close(&mut self) {
        for progress in &mut self.progress {
            progress.first = None;
            progress.next = None;
        }
        self.read = 0;
        self.origins.clear();
        self.oldest_ms = None;
    }

    /// This place is somebody else's now.
    pub fn drop_place(&mut self, place: &Place) {
        for progress in self.progress.iter_mut().filter(|progress| progress.place == *place) {
            progress.first = None;
            progress.next = None;
            progress.passed = None;
            progress.stands = None;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn offsets(list: &TopicPartitionList) -> BTreeMap<Place, Offset> {
        list.to_topic_map().into_iter().collect()
    }

    #[test]
    fn knows_what_to_commit_and_where_to_go_back_to() {
        let mut open = Open::default();
        for offset in [7, 8, 9] {
            open.fetched("a", 0, offset);
        }
        open.fetched("b", 0, 3);
        let place = open.place("a", 0);
        open.judged(place, 7, Some(50));
        open.judged(place, 8, Some(40));
        let (a, b) = (("a".to_owned(), 0), ("b".to_owned(), 0));
        assert_eq!(offsets(&open.offsets().unwrap()), BTreeMap::from([(a.clone(), Offset::Offset(9))]));
        let firsts = BTreeMap::from([(a.clone(), Offset::Offset(7)), (b.clone(), Offset::Offset(3))]);
        assert_eq!(offsets(&open.firsts().unwrap()), firsts);
        assert_eq!((open.read, open.oldest_ms, open.has(&b)), (2, Some(40), true));
        assert!(open.is_what_stands(&BTreeMap::from([(a.clone(), 9)])));
        assert!(!open.is_what_stands(&BTreeMap::from([(a, 7)])));
        open.drop_place(&b);
        assert!(!open.has(&b));
        open.undone();
        assert!(open.is_empty() && open.offsets().unwrap().count() == 0);
    }

    #[test]
    fn what_comes_again_is_read_again_from_where_it_was() {
        let mut open = Open::default();
        let a = ("a".to_owned(), 0);
        open.begins(&a, 7);
        assert!(open.fetched("a", 0, 7) && open.fetched("a", 0, 9), "offsets have holes");
        let place = open.place("a", 0);
        open.judged(place, 7, None);
        open.judged(place, 9, None);
        open.committed();
        assert!(!open.fetched("a", 0, 9), "it is committed already");
        assert_eq!(offsets(&open.firsts().unwrap()), BTreeMap::from([(a.clone(), Offset::Offset(10))]));
        open.undone();
        assert!(open.fetched("a", 0, 10) && open.fetched("a", 0, 11) && !open.fetched("a", 0, 11));
        assert_eq!(offsets(&open.firsts().unwrap()), BTreeMap::from([(a.clone(), Offset::Offset(10))]));
        open.undone();
        assert!(open.fetched("a", 0, 10), "it was gone back to");
        open.judged(place, 10, None);
        assert!(open.fetched("a", 0, 11));
        open.settled();
        open.committed();
        assert!(open.fetched("a", 0, 11), "it was fetched, and not judged");
        open.drop_place(&a);
        open.begins(&a, 3);
        assert!(open.fetched("a", 0, 3), "somebody else had it meanwhile");
    }

    #[test]
    fn knows_where_the_group_stands() {
        let mut open = Open::default();
        let (a, b) = (("a".to_owned(), 0), ("b".to_owned(), 0));
        open.begins(&a, 7);
        open.begins(&b, 3);
        let place = open.place("a", 0);
        open.fetched("a", 0, 7);
        open.judged(place, 7, None);
        let stands = |open: &Open| offsets(&open.standing().unwrap());
        let at = |a_at, b_at| {
            BTreeMap::from([(a.clone(), Offset::Offset(a_at)), (b.clone(), Offset::Offset(b_at))])
        };
        assert_eq!(stands(&open), at(7, 3), "nothing is committed yet");
        open.committed();
        assert_eq!(stands(&open), at(8, 3));
        open.drop_place(&b);
        assert_eq!(stands(&open), BTreeMap::from([(a, Offset::Offset(8))]));
    }
}
