//! Who comes due when, of one partition of the consent topic.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use super::ends::{Asking, Due, Refused};
use super::message::{self, Message, Subject, Told, Topic, Unreadable};
use crate::consent::{Full, split_key};
use crate::time::Timestamp;
use crate::wire::change::Change;

/// What one message of the consent topic says of its subject.
#[derive(Clone, Copy, Debug)]
pub enum Said<'a> {
    /// The whole state, and the jurisdiction beside it.
    State(&'a Change, &'a str),
    /// Something that does not decode.
    Invalid,
    /// That the subject is erased.
    Erased,
}

/// Everything about one person whom somebody may ask, has asked, or must not.
#[derive(Debug, Default)]
struct Entry {
    /// The consent record's offset.
    offset: i64,
    jurisdiction: Box<str>,
    dues: Vec<Due>,
    refused: Vec<Refused>,
    /// `None`: nothing was ever told.
    told: Option<Box<Memory>>,
    /// Where it stands in the queue.
    queued: Option<Timestamp>,
}

/// What was told of somebody.
#[derive(Debug, Default)]
struct Memory {
    told: Vec<Told>,
    /// What was told cannot be read: nothing more is told, because nobody knows what was.
    is_unreadable: bool,
    /// The consent topic has a record of them.
    is_known: bool,
    /// The offset of the consent record that was last told of.
    offset: i64,
}

/// A message to be written.
#[derive(Debug, PartialEq, Eq)]
pub struct Ask {
    /// The purpose's name.
    pub purpose: String,
    /// The word for why.
    pub why: &'static str,
    /// The offset of the consent record.
    pub offset: i64,
    /// The value.
    pub value: Vec<u8>,
}

/// What became of a person's turn.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Asked {
    /// What is to be told, in this order.
    pub asks: Vec<Ask>,
    /// How many grants had ended before anybody could be told.
    pub missed: u64,
}

/// The index of one partition.
#[derive(Debug, Default)]
pub struct Index {
    people: HashMap<Arc<str>, Box<Entry>>,
    queue: BTreeSet<(Timestamp, Arc<str>)>,
    /// Those who were told of and are erased.
    gone: BTreeSet<Arc<str>>,
    /// The partition was read to its end once.
    is_complete: bool,
}

impl Index {
    /// A record of what was told: read back before any message of the consent topic is.
    ///
    /// # Errors
    /// One that cannot be read; of that person nothing more is told.
    pub fn was_told(&mut self, key: &str, value: Option<&[u8]>) -> Result<(), Unreadable> {
        let Some(value) = value else {
            self.people.remove(key);
            return Ok(());
        };
        let read = message::told(value);
        let is_unreadable = read.is_err();
        let (told, offset, result) = match read {
            Ok((told, offset)) => (told, offset, Ok(())),
            Err(unreadable) => (Vec::new(), 0, Err(unreadable)),
        };
        let entry = self.people.entry(key.into()).or_default();
        entry.told = Some(Box::new(Memory { told, is_unreadable, is_known: false, offset }));
        result
    }

    /// A message of the consent topic with this key, which came `at`.
    ///
    /// # Errors
    /// More different words than can be kept: the person is not asked.
    pub fn apply(
        &mut self,
        asking: &Asking,
        key: &str,
        said: Said<'_>,
        (offset, at): (i64, Timestamp),
        now: Timestamp,
    ) -> Result<(), Full> {
        let key = self.people.get_key_value(key).map_or_else(|| Arc::from(key), |(key, _)| Arc::clone(key));
        let mut entry = self.people.remove(&key).unwrap_or_default();
        entry.queued.take().map(|at| self.queue.remove(&(at, Arc::clone(&key))));
        entry.dues = Vec::new();
        if let Some(memory) = &mut entry.told {
            memory.is_known = true;
        }
        let understood = match said {
            Said::Erased => {
                self.erase(key, entry.told.take(), offset);
                return Ok(());
            }
            Said::Invalid => Ok(()),
            Said::State(change, jurisdiction) => {
                entry.offset = offset;
                entry.learn(asking, change, at, now).inspect(|()| {
                    entry.jurisdiction = if entry.dues.is_empty() { "" } else { jurisdiction }.into();
                })
            }
        };
        self.put(asking, key, entry);
        understood
    }

    /// Somebody is erased, by the message with this offset.
    fn erase(&mut self, key: Arc<str>, told: Option<Box<Memory>>, offset: i64) {
        let Some(mut memory) = told else { return };
        if !self.is_complete && offset < memory.offset {
            // Read again: they came back since, and what is remembered was told of them then.
            memory.is_known = false;
            self.people.insert(key, Box::new(Entry { told: Some(memory), ..Entry::default() }));
        } else {
            self.gone.insert(key);
        }
    }

    /// The partition was read to its end. Those who were told of and of whom it holds nothing are erased: Kafka
    /// forgets tombstones in time.
    pub fn complete(&mut self) {
        self.is_complete = true;
        let unknown = |entry: &Entry| entry.told.as_ref().is_some_and(|memory| !memory.is_known);
        let gone = self.people.extract_if(|_, entry| unknown(entry)).map(|(key, _)| key);
        self.gone.extend(gone);
    }

    /// One who was told of and is erased, each once.
    pub fn next_gone(&mut self) -> Option<Arc<str>> {
        self.gone.pop_first()
    }

    /// The person who is due first, if anybody is by `now`.
    pub fn next(&self, now: Timestamp) -> Option<Arc<str>> {
        self.queue.first().filter(|(at, _)| *at <= now).map(|(_, key)| Arc::clone(key))
    }

    /// Whether there is anything to write by `now`.
    pub fn has_work(&self, now: Timestamp) -> bool {
        !self.gone.is_empty() || self.queue.first().is_some_and(|(at, _)| *at <= now)
    }

    /// How many people are due by `now`.
    pub fn waiting(&self, now: Timestamp) -> usize {
        self.queue.iter().take_while(|(at, _)| *at <= now).count()
    }

    /// How many people are kept.
    pub fn len(&self) -> usize {
        self.people.len()
    }

    /// Whether nobody is.
    pub fn is_empty(&self) -> bool {
        self.people.is_empty()
    }

    /// It is not this person's turn before `until`.
    pub fn postpone(&mut self, key: &Arc<str>, until: Timestamp) {
        let Some(entry) = self.people.get_mut(key) else { return };
        let old = entry.queued.replace(until);
        old.map(|old| self.queue.remove(&(old, Arc::clone(key))));
        self.queue.insert((until, Arc::clone(key)));
    }

    /// It is this person's turn: what is to be told by `now` counts as told from here on.
    pub fn ask(&mut self, asking: &Asking, key: &Arc<str>, policy: &str, now: Timestamp) -> Asked {
        let mut asked = Asked::default();
        let Some(mut entry) = self.people.remove(key) else { return asked };
        entry.queued.take().map(|at| self.queue.remove(&(at, Arc::clone(key))));
        let (turn, later): (Vec<Due>, Vec<Due>) = entry.dues.iter().partition(|due| due.ask_at <= now);
        entry.dues = later;
        for due in turn {
            let Some(told) = told(asking, &due).filter(|told| !entry.was_told(told)) else { continue };
            if due.at <= now {
                asked.missed += 1;
                continue;
            }
            let memory =
                entry.told.get_or_insert_with(|| Box::new(Memory { is_known: true, ..Memory::default() }));
            memory.told.retain(|told| told.at > now);
            memory.offset = entry.offset;
            let beside = Beside {
                jurisdiction: &entry.jurisdiction,
                earlier: &memory.told,
                offset: entry.offset,
                policy,
            };
            if let Some(value) = value(asking, key, &due, &told, &beside) {
                let (why, offset) = (due.why.word(), entry.offset);
                asked.asks.push(Ask { purpose: told.purpose.to_string(), why, offset, value });
            }
            memory.told.push(told);
        }
        self.put(asking, Arc::clone(key), entry);
        asked
    }

    /// Keeps an entry, if there is anything to keep, and queues it where something is to be told.
    fn put(&mut self, asking: &Asking, key: Arc<str>, mut entry: Box<Entry>) {
        entry.dues.shrink_to_fit();
        let open =
            entry.dues.iter().filter(|due| told(asking, due).is_some_and(|told| !entry.was_told(&told)));
        entry.queued = open.map(|due| due.ask_at).min();
        if let Some(at) = entry.queued {
            self.queue.insert((at, Arc::clone(&key)));
        }
        if !entry.dues.is_empty() || !entry.refused.is_empty() || entry.told.is_some() {
            self.people.insert(key, entry);
        }
    }
}

impl Entry {
    /// Takes a state in.
    fn learn(&mut self, asking: &Asking, change: &Change, at: Timestamp, now: Timestamp) -> Result<(), Full> {
        let standing = asking.refusals(change, at)?;
        self.refused.retain(|(shape, _)| standing.iter().all(|(other, _)| other != shape));
        self.refused.extend(&standing);
        self.refused.retain(|(_, said)| said.plus(asking.quiet_ms()) > now);
        self.refused.shrink_to_fit();
        self.dues = asking.dues(change, &standing, &self.refused)?;
        // What has ended before anybody looked is not missed.
        self.dues.retain(|due| due.at > now);
        Ok(())
    }

    fn was_told(&self, told: &Told) -> bool {
        let Some(memory) = &self.told else { return false };
        memory.is_unreadable || memory.told.contains(told)
    }
}

/// What a due is remembered as.
fn told(asking: &Asking, due: &Due) -> Option<Told> {
    let shape = asking.shape(due.shape)?;
    let recipient = if shape.recipient.is_empty() { "first_party".into() } else { shape.recipient.clone() };
    let purpose = asking.purpose(due.purpose).into();
    Some(Told { purpose, channel: shape.channel.clone(), recipient, at: due.at })
}

/// What a message says beside the grant.
struct Beside<'a> {
    jurisdiction: &'a str,
    earlier: &'a [Told],
    offset: i64,
    policy: &'a str,
}

/// The value of a message.
fn value(asking: &Asking, key: &str, due: &Due, told: &Told, beside: &Beside<'_>) -> Option<Vec<u8>> {
    let (kind, value) = split_key(key.as_bytes())?;
    let shape = asking.shape(due.shape)?;
    let time = |at: Option<Timestamp>| at.map(|at| at.to_string());
    let message = Message {
        subject: Subject { kind: kind.into(), value: value.into() },
        topic: Topic::from(told),
        why: due.why.word().into(),
        given_at: time(due.given_at),
        confirmed_at: time(due.confirmed_at),
        level: asking.level(due.purpose, shape).into(),
        basis: shape.basis.word().into(),
        jurisdiction: (!beside.jurisdiction.is_empty()).then(|| beside.jurisdiction.into()),
        policy: beside.policy.into(),
        offset: beside.offset,
        earlier: beside.earlier.iter().map(Topic::from).collect(),
    };
    Some(message.bytes())
}
