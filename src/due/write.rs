//! Telling who is due: a batch, a transaction.

use std::sync::Arc;
use std::time::Duration;

use rdkafka::message::OwnedHeaders;

use super::{BATCH_BYTES, End, Parts, TRANSACTION_TIMEOUT, Worker};
use crate::cache::View;
use crate::consent::{Found, Identities, split_key};
use crate::kafka::topics::{self, ASK_WITHIN};
use crate::kafka::writer::Writer;
use crate::renewal::Ask;
use crate::sink::kafka::batch_size;
use crate::source::{Fault, HeaderList, Offsets, Write, WriteError, Writer as _};

/// Records in one transaction.
const BATCH: usize = 500;
/// How long the follower's barrier is waited for in one go.
const LOOK_EVERY: Duration = Duration::from_millis(10);
/// Somebody who is known from several keys is looked at again after so long, in milliseconds.
const SPLIT_AGAIN_MS: i64 = 60_000;

/// What became of a batch, counted once it is committed.
#[derive(Debug, Default)]
struct Tally {
    asked: u64,
    missed: u64,
    split: u64,
    too_large: u64,
    taken_back: u64,
}

impl Worker<'_> {
    /// Reads everything acknowledged by now, then tells a batch of those who are due.
    pub(super) fn tell(&mut self) -> Result<(), End> {
        let barrier = &*self.parts.barrier;
        let mut claim = barrier.claim(0);
        let ends = topics::ends(&self.ends, &self.parts.consent, self.count, ASK_WITHIN)?;
        let view = loop {
            // What is due may be somebody else's now, or not be read yet.
            if self.parts.is_stopping() || self.follow_group(Duration::ZERO)? {
                return Ok(());
            }
            self.read(LOOK_EVERY)?;
            self.report();
            let read = |partition: &i32| {
                let end = usize::try_from(*partition).ok().and_then(|at| ends.get(at));
                end.is_some_and(|end| self.consents.has_passed(*partition, *end))
            };
            if self
                .shares
                .iter()
                .filter(|(_, share)| share.is_following())
                .all(|(partition, _)| read(partition))
                && let Some(view) = claim.wait(LOOK_EVERY)
            {
                break view;
            }
        };
        let told = self.batch(&view);
        drop(view);
        let committed = told.and_then(|(tally, offsets)| {
            if !offsets.places.is_empty() {
                self.writer.commit(&self.member, &offsets)?;
            }
            Ok(tally)
        });
        self.count_in(&committed.map_err(|error| self.end_of(error))?);
        Ok(())
    }

    /// Sends a batch: what it came to, and the places to commit with it.
    fn batch(&mut self, view: &View<'_>) -> Result<(Tally, Offsets), WriteError> {
        let (parts, now) = (self.parts, self.parts.clock.now());
        let (mut tally, mut offsets) = (Tally::default(), Offsets::default());
        let mut records = 0;
        for (partition, share) in self.shares.iter_mut().filter(|(_, share)| share.has_work(now)) {
            let before = records;
            let mut to = To { parts, writer: &mut self.writer, partition: *partition };
            while records < BATCH
                && let Some(key) = share.index.next_gone()
            {
                to.send(&key, None, OwnedHeaders::new(), &mut records)?;
                tally.taken_back += 1;
            }
            while records < BATCH
                && let Some(key) = share.index.next(now)
            {
                if parts.knows_all && !is_one(view, &key) {
                    share.index.postpone(&key, now.plus(SPLIT_AGAIN_MS));
                    tally.split += 1;
                    continue;
                }
                let asked = share.index.ask(&parts.asking, &key, &parts.policy_hash, now);
                tally.missed += asked.missed;
                for ask in &asked.asks {
                    match to.ask(&key, ask, &mut records)? {
                        true => tally.asked += 1,
                        false => tally.too_large += 1,
                    }
                }
            }
            if let Some(position) = self.consents.position(*partition).filter(|_| records > before) {
                offsets.places.push(((parts.consent.clone(), *partition), position));
            }
        }
        Ok((tally, offsets))
    }

    fn count_in(&self, tally: &Tally) {
        self.counts.asked.increment(tally.asked);
        self.counts.missed.increment(tally.missed);
        self.counts.split.increment(tally.split);
        self.counts.too_large.increment(tally.too_large);
        self.counts.taken_back.increment(tally.taken_back);
    }

    /// A transaction that was open for longer than its time-out was ended by the coordinator, which looks as if
    /// somebody had taken over.
    fn end_of(&self, error: WriteError) -> End {
        let timed_out = self.writer.age().is_some_and(|age| age >= TRANSACTION_TIMEOUT);
        match error.fault() {
            Fault::Fenced if !timed_out => End::Fenced,
            Fault::Fenced | Fault::Again | Fault::Abort | Fault::Replace => error.into(),
        }
    }
}

/// Where it is told.
struct To<'t> {
    parts: &'t Parts,
    writer: &'t mut Writer,
    partition: i32,
}

impl To<'_> {
    /// Tells of one grant. False: no broker would take a record so long.
    fn ask(&mut self, key: &str, ask: &Ask, records: &mut usize) -> Result<bool, WriteError> {
        let place = format!("{}:{}", self.partition, ask.offset);
        let own = [
            ("consentry.reason", ask.why),
            ("consentry.policy", &self.parts.policy_hash),
            ("consentry.purposes", &ask.purpose),
            ("consentry.consent_offset", &place),
        ];
        let bytes = own.iter().map(|(name, value)| (*name, Some(value.as_bytes())));
        if batch_size(Some(key.as_bytes()), Some(&ask.value), bytes) > BATCH_BYTES {
            return Ok(false);
        }
        let headers = own.iter().fold(OwnedHeaders::with_capacity(own.len()), |headers, (name, value)| {
            headers.and(name, Some(value.as_bytes()))
        });
        self.send(key, Some(&ask.value), headers, records).map(|()| true)
    }

    fn send(
        &mut self,
        key: &str,
        value: Option<&[u8]>,
        headers: OwnedHeaders,
        records: &mut usize,
    ) -> Result<(), WriteError> {
        let size = key.len() + value.map_or(0, <[u8]>::len) + 256;
        self.writer.send(Write {
            topic: &self.parts.settings.topic.name,
            partition: self.partition,
            key: Some(key.as_bytes()),
            value,
            timestamp: None,
            headers,
            size,
            number: *records,
        })?;
        *records += 1;
        Ok(())
    }
}

/// Whether a person is known from one key on one partition, and nothing stands against asking there.
fn is_one(view: &View<'_>, key: &Arc<str>) -> bool {
    let Some((kind, value)) = split_key(key.as_bytes()) else { return false };
    let mut known = Identities::default();
    view.find(view.cache().subject(kind, value), &mut known);
    match known.found().first() {
        Some(found @ Found::Voices(_)) => match known.voices(found) {
            [voice] => !voice.invalid && !voice.restricted,
            _several => false,
        },
        Some(Found::Conflicted | Found::Unknown) | None => false,
    }
}
