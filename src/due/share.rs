//! One consent partition that is ours: how far it is read, and what that says.

use super::reading::Message;
use super::{End, Parts};
use crate::consent::split_key;
use crate::kafka::partition::of_subject;
use crate::renewal::{Index, Said};
use crate::time::{Instant, Timestamp};
use crate::wire::change::{Change, ConsentFormat, Reading, Undecodable, decode};
use crate::wire::jurisdiction;
use crate::wire::signals::Signals;

/// A longer key is nobody's name: whoever it is, they are not asked.
const MAX_KEY_BYTES: usize = 4096;

/// How a consent record is read.
#[derive(Clone, Debug)]
pub struct Decode {
    /// How it is encoded.
    pub format: ConsentFormat,
    /// Grants that it may list.
    pub max_grants: usize,
    /// What the policy maps privacy strings to: who opted out by one is not asked.
    pub signals: Signals,
}

impl Decode {
    fn change(&self, value: &[u8], key: (&str, &str)) -> Result<Change, Undecodable> {
        let reading = Reading { max_grants: self.max_grants, signals: &self.signals };
        decode(self.format, value, key, reading)
    }

    /// The jurisdiction, of records that may be asked about.
    fn jurisdiction(&self, value: &[u8], change: &Change) -> String {
        match self.format {
            _ if change.grants.is_empty() => String::new(),
            ConsentFormat::Json => jurisdiction::of_json(value),
            ConsentFormat::Protobuf => jurisdiction::of_protobuf(value),
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    ReadingBack,
    Loading,
    Following,
}

/// One consent partition that is ours.
pub(super) struct Share {
    stage: Stage,
    target: i64,
    /// When it was last said how far it is read.
    pub said: Instant,
    pub index: Index,
    /// Keys that nobody can read: whom they protect is not known, so nobody is asked until each is taken back.
    unreadable: Unreadable,
}

#[derive(Default)]
struct Unreadable {
    keys: std::collections::HashSet<Box<[u8]>>,
    overflowed: bool,
}

impl Unreadable {
    const MOST: usize = 10_000;

    fn see(&mut self, key: &[u8], is_taken_back: bool) {
        if is_taken_back {
            self.keys.remove(key);
        } else if self.keys.len() < Self::MOST || self.keys.contains(key) {
            self.keys.insert(key.into());
        } else {
            self.overflowed = true;
        }
    }

    fn is_empty(&self) -> bool {
        self.keys.is_empty() && !self.overflowed
    }
}

impl Share {
    /// What was told of it is to be read back up to `target`.
    pub fn new(target: i64) -> Self {
        let (index, unreadable) = (Index::default(), Unreadable::default());
        Self { stage: Stage::ReadingBack, target, said: Instant::now(), index, unreadable }
    }

    /// Its consents are to be read up to `target`.
    pub const fn loads(&mut self, target: i64) {
        self.stage = Stage::Loading;
        self.target = target;
    }

    /// Its consents are read.
    pub fn is_loaded(&mut self) {
        self.stage = Stage::Following;
        self.index.complete();
    }

    /// Up to where it is being read.
    pub const fn target(&self) -> i64 {
        self.target
    }

    pub fn is_reading_back(&self) -> bool {
        self.stage == Stage::ReadingBack
    }

    pub fn is_loading(&self) -> bool {
        self.stage == Stage::Loading
    }

    pub fn is_following(&self) -> bool {
        self.stage == Stage::Following
    }

    /// Whether there is anything to tell, and it may be told.
    pub fn has_work(&self, now: Timestamp) -> bool {
        self.is_following() && self.unreadable.is_empty() && self.index.has_work(now)
    }

    pub fn waiting(&self, now: Timestamp) -> usize {
        if self.is_following() { self.index.waiting(now) } else { 0 }
    }

    pub fn people(&self) -> usize {
        self.index.len()
    }

    /// A record of what was told.
    pub fn was_told(&mut self, message: &Message<'_>) -> Result<(), End> {
        let (partition, offset) = (message.partition, message.offset);
        let Ok(key) = std::str::from_utf8(message.key) else { return Ok(()) };
        if let Err(error) = self.index.was_told(key, message.value) {
            tracing::warn!(partition, offset, %error, "the person it is about is not asked again");
        }
        Ok(())
    }

    /// A message of the consent topic, which has so many partitions.
    pub fn apply(
        &mut self,
        parts: &Parts,
        message: &Message<'_>,
        count: usize,
        now: Timestamp,
    ) -> Result<(), End> {
        let Some((kind, value)) = split_key(message.key) else {
            self.unreadable.see(message.key, message.value.is_none());
            return Ok(());
        };
        let Ok(key) = std::str::from_utf8(message.key) else { return Ok(()) };
        let is_misplaced = !parts.knows_all && of_subject(kind, value, count) != message.partition;
        if key.len() > MAX_KEY_BYTES || is_misplaced {
            return Ok(());
        }
        let change = message.value.map(|body| (body, parts.decode.change(body, (kind, value))));
        let jurisdiction = match &change {
            Some((body, Ok(change))) => parts.decode.jurisdiction(body, change),
            Some((_, Err(_))) | None => String::new(),
        };
        let said = match &change {
            None => Said::Erased,
            Some((_, Ok(change))) => Said::State(change, &jurisdiction),
            Some((_, Err(_))) => Said::Invalid,
        };
        let came = (message.offset, message.timestamp.unwrap_or(now));
        if self.index.apply(&parts.asking, key, said, came, now).is_err() {
            let (partition, offset) = (message.partition, message.offset);
            tracing::warn!(
                partition,
                offset,
                "too many different words in consent records; the person is not asked"
            );
        }
        Ok(())
    }
}
