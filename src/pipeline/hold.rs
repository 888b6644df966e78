//! Holding records back, and deciding about them again.
//!
//! A held record is a message of the hold topic, in the transaction that commits its source offset. What becomes of
//! it later is a transaction too: the outcome, a null value for its key, and the source offset where the group
//! stands, so that whoever has lost the partition cannot release it a second time.
//!
//! A record is due when one of its subjects has said something, when its time runs out or a contact window opens,
//! and once after it was loaded. Whoever it names is waited for *before* it is decided: a change is either seen by
//! that decision or told afterwards. What is due is claimed at the barrier like what is fetched, and decided first.

use std::hash::{BuildHasher, BuildHasherDefault, DefaultHasher};

use smallvec::SmallVec;

use super::Worker;
use super::judge::{Judge, Outcome, Read};
use super::open::Origin;
use super::refusal::Undone;
use crate::cache::{SubjectId, View};
use crate::consent::{Batch, Deadlines, End, Reason};
use crate::hold::{Id, Waiting};
use crate::record::Record;
use crate::sink::kafka::{Target, batch_size};
use crate::sink::quarantine::Note;
use crate::source::{Cluster, HeaderList, Write, WriteError, Writer};
use crate::time::Timestamp;
use crate::wire::held;

/// A record that is to wait.
struct Wait<'a> {
    id: Id,
    reason: Reason,
    until: Timestamp,
    deadlines: Deadlines,
    held_at: Timestamp,
    subjects: &'a [SubjectId],
}

impl<C: Cluster> Worker<'_, C> {
    /// What waits and is to be decided now, as it came. Nothing while anything is being loaded: whoever is asked
    /// again must be known whole.
    pub(super) fn due(&mut self) -> Vec<Id> {
        let (now, most) = (self.line.now(), self.line.limits().batch_records);
        let Some(held) = self.held.as_mut().filter(|held| held.loading.is_empty()) else { return Vec::new() };
        held.learn(now);
        held.holding.due(most)
    }

    /// Holds a record back at a route, unless it turns out that it need not wait.
    pub(super) fn hold_back(
        &mut self,
        judge: &mut Judge<'_>,
        batch: &Batch,
        view: &View<'_>,
        (record, read): (&Record<'_>, &Result<Read<'_, '_>, Reason>),
        id: Id,
        notes: &mut Vec<Note>,
    ) -> Result<(), Undone> {
        if self.is_taken(record, id) {
            let outcome = Outcome::Quarantined(Reason::Rejected);
            return Ok(self.end(id.route, id.place, record, outcome, None, notes)?);
        }
        let subjects: SmallVec<[SubjectId; 1]> = subjects_of(read).collect();
        self.wait_for(&subjects);
        let waits = self.hold_if_it_must(judge, batch, view, (record, read), id, &subjects, notes);
        if !matches!(waits, Ok(true)) {
            self.wait_no_more(&subjects);
        }
        waits.map(drop)
    }

    /// Decides once more about a record whose subjects are waited for. True: it is held.
    #[allow(clippy::too_many_arguments, reason = "as of `hold_back`, and whom it names")]
    fn hold_if_it_must(
        &mut self,
        judge: &mut Judge<'_>,
        batch: &Batch,
        view: &View<'_>,
        (record, read): (&Record<'_>, &Result<Read<'_, '_>, Reason>),
        id: Id,
        subjects: &[SubjectId],
        notes: &mut Vec<Note>,
    ) -> Result<bool, Undone> {
        let outcome =
            judge.again(batch, view, read, id.route, Deadlines::default()).map_err(Undone::Refused)?;
        let Outcome::Held { reason, until } = outcome else {
            self.end(id.route, id.place, record, outcome, judge.consent_offset(), notes)?;
            return Ok(false);
        };
        let mut deadlines = Deadlines::default();
        deadlines.begin(reason, until);
        let wait = Wait { id, reason, until, deadlines, held_at: batch.now(), subjects };
        let Some(waiting) = self.keep(record, &wait)? else {
            self.note(notes, id.route, Reason::TooLarge);
            self.tally.add(id.route, Some((End::Quarantined, Reason::TooLarge)));
            return Ok(false);
        };
        if let Some(held) = &mut self.held
            && let Some(before) = held.holding.add(id, waiting)
        {
            before.subjects.iter().for_each(|subject| held.listener.unwatch(*subject));
        }
        self.tally.add(id.route, Some((End::Held, reason)));
        Ok(true)
    }

    /// Whether another record waits under this one's name: its topic was made anew since, and began at the first
    /// offset again. The same record may wait already where it was delivered at least once: it is held anew.
    fn is_taken(&self, record: &Record<'_>, id: Id) -> bool {
        let Some(waiting) = self.held.as_ref().and_then(|held| held.holding.get(id)) else { return false };
        let route = self.line.rules().route_name(id.route);
        let older = held::decode(&waiting.body, (record.topic, record.partition, record.offset, route));
        !older.is_ok_and(|older| {
            let older = older.record();
            (older.key, older.value, older.timestamp) == (record.key, record.value, record.timestamp)
        })
    }

    /// Decides again about what is due, and writes what becomes of it.
    pub(super) fn release(
        &mut self,
        judge: &mut Judge<'_>,
        batch: &Batch,
        view: &View<'_>,
        due: &[Id],
    ) -> Result<(), Undone> {
        for id in due {
            let known = self.held.as_ref().and_then(|held| held.holding.get(*id)).cloned();
            if let Some((waiting, (topic, partition))) = known.zip(self.open.at(id.place).cloned()) {
                self.reconsider(judge, batch, view, *id, &waiting, (&topic, partition))?;
            }
        }
        Ok(())
    }

    fn reconsider(
        &mut self,
        judge: &mut Judge<'_>,
        batch: &Batch,
        view: &View<'_>,
        id: Id,
        waiting: &Waiting<SubjectId>,
        (topic, partition): (&str, i32),
    ) -> Result<(), Undone> {
        let line = self.line;
        let route = line.rules().route_name(id.route);
        let Ok(kept) = held::decode(&waiting.body, (topic, partition, id.offset, route)) else {
            let value = Some(&*waiting.body);
            let record = Record { topic, partition, offset: id.offset, value, ..Record::default() };
            let outcome = Outcome::Quarantined(Reason::Malformed);
            return self.let_go(id, waiting.reason, &record, outcome, None);
        };
        let record = kept.record();
        let read = judge.read(view, &record);
        if waiting.subjects.is_empty() {
            let subjects: SmallVec<[SubjectId; 1]> = subjects_of(&read).collect();
            self.wait_for(&subjects);
            self.held.iter_mut().for_each(|held| held.holding.name(id, &subjects));
        }
        let outcome =
            judge.again(batch, view, &read, id.route, waiting.deadlines).map_err(Undone::Refused)?;
        let Outcome::Held { reason, until } = outcome else {
            // What waits of the same person and came before may have been decided just before they said that: it
            // stays due, and both are decided again, in order.
            if matches!(outcome, Outcome::Forwarded { .. }) && self.have_said_more(&read) {
                return Ok(());
            }
            return self.let_go(id, waiting.reason, &record, outcome, judge.consent_offset());
        };
        let mut now = Waiting { reason, until, ..waiting.clone() };
        if !now.deadlines.begin(reason, until) {
            self.held.iter_mut().for_each(|held| held.holding.wait_on(id, reason, until));
            return Ok(());
        }
        let held_at = waiting.held_at;
        let wait = Wait { id, reason, until, deadlines: now.deadlines, held_at, subjects: &waiting.subjects };
        // It was not too large before, and is hardly larger now. What is not kept begins anew after a restart.
        now = self.keep(&record, &wait)?.unwrap_or(now);
        self.open.touch(id.place);
        self.held.iter_mut().for_each(|held| held.holding.stay(id, now.clone()));
        Ok(())
    }

    /// Whether any of a record's subjects has said something since it was asked what is due.
    fn have_said_more(&self, read: &Result<Read<'_, '_>, Reason>) -> bool {
        self.held.as_ref().is_some_and(|held| held.listener.has_changed(subjects_of(read)))
    }

    /// A deletion has passed at a route: what waits there under its key must not come after it and undo it.
    pub(super) fn let_go_of_deleted(&mut self, id: Id, deletion: &Record<'_>) -> Result<(), Undone> {
        let Some(held) = &self.held else { return Ok(()) };
        let route = self.line.rules().route_name(id.route);
        for older in held.holding.of_key(key_hash(deletion.key), id.place, id.route) {
            let Some(waiting) = self.held.as_ref().and_then(|held| held.holding.get(older)).cloned() else {
                continue;
            };
            let place = (deletion.topic, deletion.partition, older.offset, route);
            let Ok(kept) = held::decode(&waiting.body, place) else { continue };
            let record = kept.record();
            if record.key == deletion.key {
                self.let_go(older, waiting.reason, &record, Outcome::Dropped(Reason::HoldExpired), None)?;
            }
        }
        Ok(())
    }

    /// A record waits no longer: what becomes of it, and that it is gone from the hold topic.
    fn let_go(
        &mut self,
        id: Id,
        waited_for: Reason,
        record: &Record<'_>,
        outcome: Outcome<'_, '_>,
        consent_offset: Option<(i32, i64)>,
    ) -> Result<(), Undone> {
        let mut notes = Vec::new();
        self.end(id.route, id.place, record, outcome, consent_offset, &mut notes)?;
        if !notes.is_empty() {
            self.set_aside(id.place, record, &notes)?;
        }
        self.write_held(record, id, None)?;
        self.open.touch(id.place);
        self.tally.release(id.route, waited_for);
        self.held.iter_mut().for_each(|held| held.holding.leave(id));
        Ok(())
    }

    /// Writes a record to its hold topic. `None`: it is too large for that.
    fn keep(
        &mut self,
        record: &Record<'_>,
        wait: &Wait<'_>,
    ) -> Result<Option<Waiting<SubjectId>>, WriteError> {
        let Wait { id, reason, until, deadlines, held_at, subjects } = *wait;
        let line = self.line;
        let route = line.rules().route_name(id.route);
        let written = held::Wait { route, held_at, reason, deadlines, policy: line.policy_hash() };
        let body = held::encode(record, written);
        if !self.write_held(record, id, Some(&body))? {
            return Ok(None);
        }
        let subjects = SmallVec::from_slice(subjects);
        let key = key_hash(record.key);
        Ok(Some(Waiting { subjects, key, reason, until, deadlines, held_at, body: body.into() }))
    }

    /// Writes what is to stand in the hold topic under a record's key. False: it is too large.
    fn write_held(&mut self, record: &Record<'_>, id: Id, value: Option<&[u8]>) -> Result<bool, WriteError> {
        let line = self.line;
        let (Some(Target { topic, max_bytes, .. }), Some(route)) =
            (line.holds().of(record.topic), line.rules().routes.get(id.route))
        else {
            return Ok(false);
        };
        let key = held::key(record, &route.name);
        let sink = line.rules().routes.len() + 1 + id.route;
        let origin = Origin { place: id.place, offset: id.offset, sink };
        let size = batch_size(Some(key.as_bytes()), value, std::iter::empty());
        if value.is_some() && (size > max_bytes || self.oversized.contains(&origin)) {
            return Ok(false);
        }
        self.open.origins.push(origin);
        self.writer.send(Write {
            topic: &topic,
            partition: record.partition,
            key: Some(key.as_bytes()),
            value,
            timestamp: None,
            headers: <C::Writer as Writer>::Headers::with_capacity(0),
            size,
            number: self.open.origins.len() - 1,
        })?;
        Ok(true)
    }
}

/// Whom a record names, as far as that can be said.
fn subjects_of<'a>(read: &'a Result<Read<'_, '_>, Reason>) -> impl Iterator<Item = SubjectId> + 'a {
    read.iter().flat_map(Read::named).map(|(subject, _)| *subject)
}

/// A hash that keys are found by; it only narrows down, and whoever finds something compares.
pub(super) fn key_hash(key: Option<&[u8]>) -> u64 {
    BuildHasherDefault::<DefaultHasher>::default().hash_one(key)
}
