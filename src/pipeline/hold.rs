//! Holding records back, and deciding about them again.
//!
//! A held record is a message of the hold topic, in the transaction that commits its source offset. What becomes of
//! it later is a transaction too: the outcome, a null value for its key, and the source offset where the group
//! stands, so that whoever has lost the partition cannot release it a second time.
//!
//! A record is due when one of its subjects has said something, when its time runs out or a contact window opens,
//! and once after it was loaded. Whoever it names is waited for *before* it is decided: a change is either seen by
//! that decision or told afterwards. What is due is claimed at the barrier like what is fetched, and decided first.

use std::collections::BTreeMap;
use std::hash::{BuildHasher, BuildHasherDefault, DefaultHasher};
use std::sync::Arc;

use rdkafka::message::OwnedHeaders;
use smallvec::SmallVec;

use super::Worker;
use super::judge::{Judge, Outcome, Read};
use super::open::Origin;
use super::refusal::Undone;
use crate::cache::{Listener, SubjectId, View};
use crate::consent::{Batch, Deadlines, End, Reason};
use crate::hold::{Holding, Id, Waiting};
use crate::kafka::member::Place;
use crate::kafka::replay::Replay;
use crate::kafka::writer::{Write, WriteError};
use crate::record::Record;
use crate::sink::kafka::{Target, batch_size};
use crate::sink::quarantine::Note;
use crate::telemetry::Cause;
use crate::time::{Instant, Timestamp};
use crate::wire::held;

/// What a worker holds back.
pub(super) struct Held {
    pub(super) holding: Holding<SubjectId>,
    pub(super) listener: Arc<Listener>,
    /// The reader of each hold topic, made when it is needed.
    pub(super) replays: BTreeMap<String, Replay>,
    /// Places whose held records are being loaded: nothing of them is fetched yet.
    pub(super) loading: BTreeMap<Place, usize>,
    /// When loading began last, until nothing is being loaded.
    pub(super) loads_since: Option<Instant>,
    /// So much waited at the last commit that nothing new was taken in.
    was_full: bool,
}

/// A record that is to wait.
struct Wait<'a> {
    id: Id,
    reason: Reason,
    until: Timestamp,
    deadlines: Deadlines,
    held_at: Timestamp,
    subjects: &'a [SubjectId],
}

impl Held {
    pub(super) fn new(listener: Arc<Listener>) -> Self {
        Self {
            holding: Holding::default(),
            listener,
            replays: BTreeMap::new(),
            loading: BTreeMap::new(),
            loads_since: None,
            was_full: false,
        }
    }

    /// Learns who has said something, and what time it is.
    fn learn(&mut self, now: Timestamp) {
        let changed = self.listener.take();
        if changed.all {
            self.holding.wake_all();
        }
        changed.subjects.into_iter().for_each(|subject| self.holding.wake(subject));
        self.holding.tick(now);
    }
}

impl Worker<'_> {
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
            headers: OwnedHeaders::new(),
            size,
            number: self.open.origins.len() - 1,
        })?;
        Ok(true)
    }

    fn wait_for(&self, subjects: &[SubjectId]) {
        let Some(held) = &self.held else { return };
        subjects.iter().for_each(|subject| held.listener.watch(*subject));
    }

    fn wait_no_more(&self, subjects: &[SubjectId]) {
        let Some(held) = &self.held else { return };
        subjects.iter().for_each(|subject| held.listener.unwatch(*subject));
    }

    /// What was begun is committed.
    pub(super) fn holds_committed(&mut self) {
        let Some(Held { holding, listener, .. }) = &mut self.held else { return };
        holding.committed(|subject| listener.unwatch(subject));
        self.tell_held();
    }

    /// What was begun is undone.
    pub(super) fn holds_undone(&mut self) {
        let Some(Held { holding, listener, .. }) = &mut self.held else { return };
        holding.undone(|subject| listener.unwatch(subject));
        self.tell_held();
    }

    /// Says how much waits, and whether it is too much to take in more.
    pub(super) fn tell_held(&mut self) {
        let (line, number) = (self.line, self.number);
        let Some(held) = &mut self.held else { return };
        let routes = 0..line.rules().routes.len();
        line.held(number, routes.map(|route| held.holding.standing(route)).collect());
        let most = line.limits().held_bytes;
        let was_full = std::mem::replace(&mut held.was_full, held.holding.bytes() > most);
        let cause = Cause::HoldFull(line.name().to_owned(), number);
        match (was_full, held.was_full) {
            (false, true) => line.block(
                cause,
                format!("what waits takes more than `limits.held_bytes` = {most} bytes: raise it, or wait"),
            ),
            (true, false) => line.clear(&cause),
            (false, false) | (true, true) => {}
        }
    }

    /// It ends: nothing waits at it any more, whoever looks after that now.
    pub(super) fn leave_all_held(&mut self) {
        if self.held.take().is_some() {
            self.line.held(self.number, vec![(0, None); self.line.rules().routes.len()]);
            self.line.clear(&Cause::HoldFull(self.line.name().to_owned(), self.number));
            self.line.clear(&Cause::HoldLoading(self.line.name().to_owned(), self.number));
        }
    }

    /// Whether so much waits that nothing new may be taken in.
    pub(super) fn is_holding_too_much(&self) -> bool {
        let most = self.line.limits().held_bytes;
        self.held.as_ref().is_some_and(|held| held.holding.bytes() > most)
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
