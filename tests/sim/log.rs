//! A partition: records, control records, and what of it a `read_committed` reader may see.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use super::ledger::By;

/// A record as it stands in a log.
#[derive(Debug)]
pub struct Stored {
    pub key: Option<Vec<u8>>,
    pub value: Option<Vec<u8>>,
    pub timestamp: i64,
    pub headers: Vec<(String, Option<Vec<u8>>)>,
    /// Which worker wrote it, and by which batch; not a part of the record.
    pub by: Option<By>,
}

impl Stored {
    pub fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(own, _)| own == name)?;
        std::str::from_utf8(found.1.as_deref()?).ok()
    }

    pub fn bytes(&self) -> usize {
        let length = |bytes: &Option<Vec<u8>>| bytes.as_ref().map_or(0, Vec::len);
        length(&self.key) + length(&self.value)
    }
}

struct Entry {
    /// `None`: a control record.
    record: Option<Arc<Stored>>,
    /// The transaction it belongs to.
    of: Option<u64>,
    aborted: bool,
}

/// What a reader finds from an offset on.
#[derive(Debug)]
pub enum Found {
    Record(i64, Arc<Stored>),
    /// Nothing more, up to here.
    End(i64),
}

#[derive(Default)]
pub struct Log {
    entries: BTreeMap<i64, Entry>,
    low: i64,
    end: i64,
    /// Transactions that have not ended here, and where each began.
    open: BTreeMap<u64, i64>,
}

impl Log {
    pub const fn low(&self) -> i64 {
        self.low
    }

    /// The high watermark: what is appended here is acknowledged by all.
    pub const fn end(&self) -> i64 {
        self.end
    }

    /// The last stable offset.
    pub fn stable(&self) -> i64 {
        self.open.values().copied().min().unwrap_or(self.end)
    }

    pub fn append(&mut self, record: Arc<Stored>, of: Option<u64>) -> i64 {
        if let Some(of) = of {
            self.open.entry(of).or_insert(self.end);
        }
        self.put(Entry { record: Some(record), of, aborted: false })
    }

    /// A transaction's control record: it has ended here.
    pub fn mark(&mut self, of: u64, committed: bool) {
        let Some(first) = self.open.remove(&of) else { return };
        if !committed {
            let own = self.entries.range_mut(first..).filter(|(_, entry)| entry.of == Some(of));
            own.for_each(|(_, entry)| entry.aborted = true);
        }
        self.put(Entry { record: None, of: None, aborted: false });
    }

    fn put(&mut self, entry: Entry) -> i64 {
        self.entries.insert(self.end, entry);
        self.end += 1;
        self.end - 1
    }

    /// The first committed record from an offset on.
    pub fn read(&self, from: i64) -> Found {
        let stable = self.stable();
        if from >= stable {
            return Found::End(from);
        }
        let mut seen = self.entries.range(from..stable).filter(|(_, entry)| !entry.aborted);
        let found = seen.find_map(|(at, entry)| Some((*at, Arc::clone(entry.record.as_ref()?))));
        found.map_or(Found::End(stable), |(at, record)| Found::Record(at, record))
    }

    /// The first record from an offset on, committed or not: what a reader sees that does not ask.
    pub fn peek(&self, from: i64) -> Found {
        let mut seen = self.entries.range(from..);
        let found = seen.find_map(|(at, entry)| Some((*at, Arc::clone(entry.record.as_ref()?))));
        found.map_or(Found::End(from.max(self.end)), |(at, record)| Found::Record(at, record))
    }

    /// Every committed record.
    pub fn committed(&self) -> impl Iterator<Item = (i64, &Arc<Stored>)> {
        let stable = self.stable();
        let seen = self.entries.range(..stable).filter(|(_, entry)| !entry.aborted);
        seen.filter_map(|(at, entry)| Some((*at, entry.record.as_ref()?)))
    }

    /// Takes what a later committed record of the same key makes superfluous, what is aborted, and control records; the
    /// last entry stays, as the active segment does. Tombstones stay: they are kept for longer than any run takes.
    pub fn compact(&mut self) {
        let below = self.stable().min(self.end - 1);
        let mut last: HashMap<&[u8], i64> = HashMap::new();
        for (at, record) in self.committed().filter(|(at, _)| *at < below) {
            last.insert(record.key.as_deref().unwrap_or_default(), at);
        }
        let last: Vec<i64> = last.into_values().collect();
        self.entries.retain(|at, _| *at >= below || last.contains(at));
    }

    /// Records below are gone.
    pub fn truncate(&mut self, low: i64) {
        self.low = low.clamp(self.low, self.end);
        self.entries = self.entries.split_off(&self.low);
    }
}

#[cfg(test)]
fn record(key: &str) -> Arc<Stored> {
    let key = Some(key.as_bytes().to_vec());
    Arc::new(Stored { value: key.clone(), key, timestamp: 0, headers: Vec::new(), by: None })
}

#[cfg(test)]
fn keys(log: &Log) -> Vec<(i64, String)> {
    let text = |record: &Stored| String::from_utf8(record.key.clone().unwrap()).unwrap();
    log.committed().map(|(at, record)| (at, text(record))).collect()
}

#[test]
fn what_is_open_or_aborted_is_not_seen_and_hides_what_comes_after() {
    let mut log = Log::default();
    log.append(record("a"), None);
    log.append(record("b"), Some(7));
    log.append(record("c"), None);
    log.append(record("d"), Some(8));
    assert_eq!((log.stable(), log.end(), keys(&log).len()), (1, 4, 1));
    assert!(matches!(log.read(1), Found::End(1)));
    assert!(matches!(log.peek(1), Found::Record(1, _)));
    log.mark(7, false);
    assert_eq!((log.stable(), keys(&log)), (3, vec![(0, "a".to_owned()), (2, "c".to_owned())]));
    log.mark(8, true);
    assert_eq!((log.stable(), log.end(), keys(&log).len()), (6, 6, 3));
    assert!(matches!(log.read(4), Found::End(6)), "control records are passed");
    log.mark(8, false);
    assert_eq!(log.end(), 6, "it had ended");
}

#[test]
fn compaction_keeps_the_last_word_and_the_offsets() {
    let mut log = Log::default();
    for key in ["a", "b", "a", "c"] {
        log.append(record(key), None);
    }
    log.append(record("a"), Some(1));
    log.compact();
    let kept = [(1, "b"), (2, "a"), (3, "c")].map(|(at, key)| (at, key.to_owned()));
    assert_eq!((keys(&log), log.end()), (kept.to_vec(), 5), "what is open takes nothing away");
    log.truncate(3);
    assert_eq!((log.low(), keys(&log).len()), (3, 1));
}
