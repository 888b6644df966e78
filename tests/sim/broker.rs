//! The brokers: topics, groups, and the coordinator of transactions.
//!
//! A state machine without time: whoever calls it says when something that takes time is done. A transaction is
//! decided at once, and each partition hears of it by itself (`Coming`), in whatever order and as late as it happens.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use consentry::source::{Offsets, Place};

use super::{
    group::Group,
    log::{Log, Stored},
};

pub struct Topic {
    /// Another one for each making.
    pub id: u64,
    pub logs: Vec<Log>,
    pub config: BTreeMap<String, String>,
}

impl Topic {
    pub fn max_bytes(&self) -> usize {
        self.config.get("max.message.bytes").and_then(|bytes| bytes.parse().ok()).unwrap_or(1_048_588)
    }
}

/// A transaction: what it has written and which offsets it commits.
#[derive(Clone, Debug, Default)]
pub struct Txn {
    pub number: u64,
    pub group: Option<String>,
    pub offsets: Offsets,
    pub written: Vec<(Place, i64, Arc<Stored>)>,
}

/// A transactional id.
#[derive(Default)]
pub struct Producer {
    pub epoch: u32,
    pub ongoing: Option<Txn>,
    /// The transaction before, until every partition has heard how it ended: its number, and who has not heard.
    pub ending: Option<(u64, BTreeSet<Ending>)>,
}

/// Where a transaction is to end.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Ending {
    Log(Place),
    Group(String),
}

/// Somebody has yet to hear that a transaction has ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Coming {
    pub id: String,
    pub number: u64,
    pub at: Ending,
    pub committed: bool,
}

/// Why something is not done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum No {
    /// A newer producer has this id.
    Fenced,
    /// The transaction before has not ended everywhere.
    Busy,
    /// There is no such partition.
    Nowhere,
    TooLarge,
    /// The member is none, or not of this generation.
    Stale,
}

/// Whoever writes: id and epoch.
pub type Writes<'i> = (&'i str, u32);

#[derive(Default)]
pub struct Broker {
    pub topics: BTreeMap<String, Topic>,
    pub groups: BTreeMap<String, Group>,
    pub producers: BTreeMap<String, Producer>,
    counter: u64,
    /// A lie: epochs are not looked at.
    pub fences_nobody: bool,
    /// A lie: offsets are taken from whoever sends them.
    pub takes_any_member: bool,
}

impl Broker {
    /// A number that does not come again.
    pub const fn number(&mut self) -> u64 {
        self.counter += 1;
        self.counter
    }

    pub fn create(&mut self, topic: &str, partitions: usize, settings: &[(&str, &str)]) {
        if self.topics.contains_key(topic) {
            return;
        }
        let config = settings.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let made = Topic { id: self.number(), logs: Vec::new(), config };
        self.topics.insert(topic.to_owned(), made);
        self.widen(topic, partitions);
    }

    /// Deletes a topic and makes it anew.
    pub fn make_anew(&mut self, topic: &str) {
        let id = self.number();
        let Some(topic) = self.topics.get_mut(topic) else { return };
        topic.id = id;
        topic.logs.iter_mut().for_each(|log| *log = Log::default());
    }

    pub fn widen(&mut self, topic: &str, partitions: usize) {
        let Some(topic) = self.topics.get_mut(topic) else { return };
        topic.logs.resize_with(partitions.max(topic.logs.len()), Log::default);
    }

    pub fn log(&self, (topic, partition): &Place) -> Option<&Log> {
        self.topics.get(topic)?.logs.get(usize::try_from(*partition).ok()?)
    }

    pub fn log_mut(&mut self, (topic, partition): &Place) -> Option<&mut Log> {
        self.topics.get_mut(topic)?.logs.get_mut(usize::try_from(*partition).ok()?)
    }

    /// Every partition of these topics.
    pub fn places(&self, topics: &[String]) -> BTreeSet<Place> {
        let mut places = BTreeSet::new();
        for topic in topics {
            let count = self.topics.get(topic).map_or(0, |topic| topic.logs.len());
            places.extend((0..count).map(|partition| (topic.clone(), i32::try_from(partition).unwrap())));
        }
        places
    }

    /// A producer begins under this id: whoever had it before is fenced, and what that left open is aborted. Busy until
    /// that has ended everywhere.
    pub fn init(&mut self, id: &str) -> (u32, Vec<Coming>) {
        let producer = self.producers.entry(id.to_owned()).or_default();
        producer.epoch += 1;
        let epoch = producer.epoch;
        (epoch, self.decide(id, false).map(|(_, coming)| coming).unwrap_or_default())
    }

    pub fn is_busy(&self, id: &str) -> bool {
        self.producers.get(id).is_some_and(|producer| producer.ending.is_some())
    }

    /// The transaction that this writer may write to.
    fn txn(&mut self, (id, epoch): Writes<'_>) -> Result<&mut Txn, No> {
        let number = self.number();
        let lenient = self.fences_nobody;
        let producer = self.producers.get_mut(id).ok_or(No::Fenced)?;
        if producer.epoch != epoch && !lenient {
            return Err(No::Fenced);
        }
        if producer.ending.is_some() {
            return Err(No::Busy);
        }
        Ok(producer.ongoing.get_or_insert_with(|| Txn { number, ..Txn::default() }))
    }

    /// Appends a record.
    pub fn produce(
        &mut self,
        by: Option<Writes<'_>>,
        place: &Place,
        record: &Arc<Stored>,
    ) -> Result<i64, No> {
        let most = self.topics.get(&place.0).map_or(0, Topic::max_bytes);
        self.log(place).ok_or(No::Nowhere)?;
        if record.bytes() > most {
            return Err(No::TooLarge);
        }
        let of = by.map(|by| self.txn(by).map(|txn| txn.number)).transpose()?;
        let at = self.log_mut(place).ok_or(No::Nowhere)?.append(Arc::clone(record), of);
        if let Some(by) = by {
            self.txn(by)?.written.push((place.clone(), at, Arc::clone(record)));
        }
        Ok(at)
    }

    /// A transaction is to commit these offsets of a group (KIP-447).
    pub fn send_offsets(
        &mut self,
        by: Writes<'_>,
        (group, member, generation): (&str, u64, u32),
        offsets: &Offsets,
    ) -> Result<(), No> {
        let any = self.takes_any_member;
        let txn = self.txn(by)?;
        txn.group = Some(group.to_owned());
        txn.offsets = offsets.clone();
        let number = txn.number;
        let group = self.groups.get_mut(group).ok_or(No::Stale)?;
        if !any && !group.takes(member, generation) {
            self.txn(by)?.offsets = Offsets::default();
            return Err(No::Stale);
        }
        let each = offsets.places.iter().map(|(place, at)| (place.clone(), *at, offsets.mark.clone()));
        group.pending.insert(number, each.collect());
        Ok(())
    }

    /// Ends the transaction that is open, if one is: what it was, and where that has to be heard.
    pub fn end(&mut self, by: Writes<'_>, committed: bool) -> Result<Option<(Txn, Vec<Coming>)>, No> {
        match self.txn(by) {
            Err(No::Busy) => Ok(None),
            Err(no) => Err(no),
            Ok(_) => Ok(self.decide(by.0, committed)),
        }
    }

    /// A transaction was open for too long: it is aborted, and its producer fenced.
    pub fn time_out(&mut self, id: &str, number: u64) -> Vec<Coming> {
        let Some(producer) = self.producers.get_mut(id) else { return Vec::new() };
        if producer.ongoing.as_ref().is_none_or(|txn| txn.number != number) {
            return Vec::new();
        }
        producer.epoch += 1;
        self.decide(id, false).map(|(_, coming)| coming).unwrap_or_default()
    }

    fn decide(&mut self, id: &str, committed: bool) -> Option<(Txn, Vec<Coming>)> {
        let producer = self.producers.get_mut(id)?;
        let txn = producer.ongoing.take()?;
        let mut ends: BTreeSet<Ending> =
            txn.written.iter().map(|(place, _, _)| Ending::Log(place.clone())).collect();
        ends.extend(txn.group.clone().map(Ending::Group));
        let coming =
            |at: &Ending| Coming { id: id.to_owned(), number: txn.number, at: at.clone(), committed };
        let coming = ends.iter().map(coming).collect();
        producer.ending = (!ends.is_empty()).then_some((txn.number, ends));
        Some((txn, coming))
    }

    /// A partition, or a group, hears that a transaction has ended.
    pub fn heard(&mut self, coming: &Coming) {
        match &coming.at {
            Ending::Log(place) => {
                if let Some(log) = self.log_mut(place) {
                    log.mark(coming.number, coming.committed);
                }
            }
            Ending::Group(group) => {
                if let Some(group) = self.groups.get_mut(group) {
                    group.end(coming.number, coming.committed);
                }
            }
        }
        let Some(producer) = self.producers.get_mut(&coming.id) else { return };
        if let Some((_, left)) = producer.ending.as_mut().filter(|(number, _)| *number == coming.number) {
            left.remove(&coming.at);
            if left.is_empty() {
                producer.ending = None;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sim::{group::Joined, log::Found};

    fn record(value: &str) -> Arc<Stored> {
        let value = Some(value.as_bytes().to_vec());
        Arc::new(Stored { key: None, value, timestamp: 0, headers: Vec::new(), by: None })
    }

    fn broker() -> (Broker, Place) {
        let mut broker = Broker::default();
        broker.create("t", 1, &[("max.message.bytes", "10")]);
        broker.groups.entry("g".to_owned()).or_default().members.insert(5, Joined::default());
        (broker, ("t".to_owned(), 0))
    }

    fn offsets(at: i64) -> Offsets {
        Offsets { places: vec![(("s".to_owned(), 0), at)], mark: "m".to_owned() }
    }

    #[test]
    fn a_transaction_is_out_when_its_partition_has_heard() {
        let (mut broker, t) = broker();
        let by = ("id", broker.init("id").0);
        broker.produce(Some(by), &t, &record("a")).unwrap();
        broker.send_offsets(by, ("g", 5, 0), &offsets(3)).unwrap();
        let (txn, coming) = broker.end(by, true).unwrap().unwrap();
        assert_eq!((txn.written.len(), txn.offsets.places[0].1, coming.len()), (1, 3, 2));
        assert!(matches!(broker.log(&t).unwrap().read(0), Found::End(0)));
        assert_eq!(broker.produce(Some(by), &t, &record("b")), Err(No::Busy));
        assert!(broker.groups["g"].is_unstable([&("s".to_owned(), 0)]));
        coming.iter().for_each(|coming| broker.heard(coming));
        assert!(matches!(broker.log(&t).unwrap().read(0), Found::Record(0, _)));
        assert_eq!(broker.groups["g"].committed[&("s".to_owned(), 0)], (3, "m".to_owned()));
        assert!(broker.produce(Some(by), &t, &record("b")).is_ok() && !broker.is_busy("id"));
    }

    #[test]
    fn a_newer_producer_fences_the_older_and_ends_what_it_left() {
        let (mut broker, t) = broker();
        let old = ("id", broker.init("id").0);
        broker.produce(Some(old), &t, &record("a")).unwrap();
        let (epoch, coming) = broker.init("id");
        assert_eq!(broker.produce(Some(old), &t, &record("b")), Err(No::Fenced));
        assert_eq!(broker.end(old, true).map(drop), Err(No::Fenced), "however late that comes");
        coming.iter().for_each(|coming| broker.heard(coming));
        assert!(matches!(broker.log(&t).unwrap().read(0), Found::End(2)));
        broker.produce(Some(("id", epoch)), &t, &record("c")).unwrap();
        let number = broker.producers["id"].ongoing.as_ref().unwrap().number;
        assert!(broker.time_out("id", number + 1).is_empty());
        assert_eq!(broker.time_out("id", number).len(), 1);
        assert_eq!(broker.end(("id", epoch), true).map(drop), Err(No::Fenced));
    }

    #[test]
    fn what_cannot_be_taken_is_refused() {
        let (mut broker, t) = broker();
        let by = ("id", broker.init("id").0);
        assert_eq!(broker.produce(Some(by), &t, &record("much too long")), Err(No::TooLarge));
        assert_eq!(broker.produce(None, &("t".to_owned(), 1), &record("a")), Err(No::Nowhere));
        assert_eq!(broker.send_offsets(by, ("g", 6, 0), &offsets(1)), Err(No::Stale));
        assert_eq!(broker.send_offsets(by, ("g", 5, 1), &offsets(1)), Err(No::Stale));
        let (txn, _) = broker.end(by, true).unwrap().unwrap();
        assert!(txn.offsets.places.is_empty());
        assert!(broker.groups["g"].pending.is_empty());
    }
}
