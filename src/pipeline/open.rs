//! What a worker has done since its last commit, and where that began.

use std::collections::BTreeMap;

use crate::source::{Offsets, Place, pace};

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
    /// What waited of it was written to since the last commit.
    is_touched: bool,
}

/// Everything since the last commit.
#[derive(Debug, Default)]
pub struct Open {
    progress: Vec<Progress>,
    last: usize,
    /// Records judged.
    pub read: u64,
    /// Written beside the offsets that are to be committed, so that it can be told whether they were: the same offsets
    /// may stand already, or be committed by who has the partition next.
    mark: Option<String>,
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
                self.progress.push(Progress {
                    place,
                    first: None,
                    next: None,
                    passed: None,
                    stands: None,
                    is_touched: false,
                });
                self.progress.len() - 1
            });
        }
        self.last
    }

    /// The place with this index.
    pub fn at(&self, index: usize) -> Option<&Place> {
        self.progress.get(index).map(|progress| &progress.place)
    }

    /// What waited of a place is written to in what is to be committed. So is where the group stands in it, for
    /// whoever has lost the place may not commit that.
    pub fn touch(&mut self, place: usize) {
        if let Some(progress) = self.progress.get_mut(place) {
            progress.is_touched = true;
        }
        self.marked();
    }

    fn marked(&mut self) {
        self.mark.get_or_insert_with(|| format!("{:016x}", pace::random()));
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
        self.marked();
        if let Some(progress) = self.progress.get_mut(place) {
            progress.next = Some(offset + 1);
        }
        if let Some(ms) = timestamp_ms.filter(|ms| *ms >= 0) {
            self.oldest_ms = Some(self.oldest_ms.map_or(ms, |oldest| oldest.min(ms)));
        }
    }

    /// Whether anything of this place was fetched, or touched, since the last commit.
    pub fn has(&self, place: &Place) -> bool {
        let begun = |progress: &Progress| progress.first.is_some() || progress.is_touched;
        self.progress.iter().any(|progress| progress.place == *place && begun(progress))
    }

    /// Whether nothing was judged or touched since the last commit.
    pub const fn is_empty(&self) -> bool {
        self.mark.is_none()
    }

    /// The offsets to commit.
    pub fn offsets(&self) -> Offsets {
        Offsets { places: self.list(Progress::commits), mark: self.mark.clone().unwrap_or_default() }
    }

    /// Where the group stands in what is ours.
    pub fn standing(&self) -> Offsets {
        Offsets { places: self.list(|progress| progress.stands), mark: String::new() }
    }

    /// Where to read again.
    pub fn firsts(&self) -> Vec<(Place, i64)> {
        self.list(|progress| progress.first)
    }

    fn list(&self, which: impl Fn(&Progress) -> Option<i64>) -> Vec<(Place, i64)> {
        self.progress.iter().filter_map(|own| Some((own.place.clone(), which(own)?))).collect()
    }

    /// The places judged or touched since the last commit.
    pub fn judged_places(&self) -> Vec<Place> {
        let judged = self.progress.iter().filter(|progress| progress.commits().is_some());
        judged.map(|progress| progress.place.clone()).collect()
    }

    /// Whether the group's committed offsets are exactly what was to be committed, and by this commit.
    pub fn is_what_stands(&self, committed: &BTreeMap<Place, (i64, String)>) -> bool {
        let is_marked = |own: &str| self.mark.as_deref() == Some(own);
        let mut all = self.progress.iter().filter_map(|own| Some((&own.place, own.commits()?)));
        all.all(|(place, next)| {
            committed.get(place).is_some_and(|(offset, own)| *offset == next && is_marked(own))
        })
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
            progress.is_touched = false;
        }
        self.mark = None;
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
            progress.is_touched = false;
        }
    }
}

impl Progress {
    /// The offset to commit: one past the last judged; where the place is only touched, where the group stands.
    fn commits(&self) -> Option<i64> {
        self.next.or(self.stands.filter(|_| self.is_touched))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
        let Offsets { places, mark } = open.offsets();
        assert_eq!((places, mark.len()), (vec![(a.clone(), 9)], 16));
        assert_eq!(open.firsts(), [(a.clone(), 7), (b.clone(), 3)]);
        assert_eq!((open.read, open.oldest_ms, open.has(&b)), (2, Some(40), true));
        let stands = |at: i64, mark: &str| BTreeMap::from([(a.clone(), (at, mark.to_owned()))]);
        assert!(open.is_what_stands(&stands(9, &mark)));
        assert!(!open.is_what_stands(&stands(7, &mark)));
        let others = ["", "0123456789abcdef"];
        assert!(others.iter().all(|other| !open.is_what_stands(&stands(9, other))), "somebody else's");
        open.drop_place(&b);
        assert!(!open.has(&b));
        open.undone();
        assert!(open.is_empty() && open.offsets().places.is_empty());
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
        assert_eq!(open.firsts(), [(a.clone(), 10)]);
        open.undone();
        assert!(open.fetched("a", 0, 10) && open.fetched("a", 0, 11) && !open.fetched("a", 0, 11));
        assert_eq!(open.firsts(), [(a.clone(), 10)]);
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
    fn what_is_only_touched_commits_where_the_group_stands() {
        let mut open = Open::default();
        let (a, b) = (("a".to_owned(), 0), ("b".to_owned(), 0));
        open.begins(&a, 7);
        open.begins(&b, 3);
        let (own, other) = (open.place("a", 0), open.place("b", 0));
        open.touch(own);
        assert!(!open.is_empty() && open.has(&a) && !open.has(&b));
        let Offsets { places, mark } = open.offsets();
        assert_eq!((places, mark.len()), (vec![(a.clone(), 7)], 16));
        let stands = |mark: &str| BTreeMap::from([(a.clone(), (7, mark.to_owned()))]);
        assert!(open.is_what_stands(&stands(&mark)) && !open.is_what_stands(&stands("")));
        open.fetched("b", 0, 3);
        open.judged(other, 3, None);
        open.committed();
        assert_eq!(open.standing().places[1], (b, 4));
        open.touch(own);
        let next = open.offsets();
        assert_ne!(next.mark, mark, "another one for each commit");
        assert_eq!(next.places.len(), 1);
        open.drop_place(&a);
        assert!(open.offsets().places.is_empty());
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
        let stands = |open: &Open| open.standing().places;
        let at = |a_at, b_at| vec![(a.clone(), a_at), (b.clone(), b_at)];
        assert_eq!(stands(&open), at(7, 3), "nothing is committed yet");
        open.committed();
        assert_eq!(stands(&open), at(8, 3));
        open.drop_place(&b);
        assert_eq!(stands(&open), [(a, 8)]);
    }
}
