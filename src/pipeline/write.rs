//! From a verdict to what is written: the plan for one record, carried out.

use rdkafka::message::BorrowedMessage;

use super::Worker;
use super::batch;
use super::judge::{Judge, Outcome};
use super::open::Origin;
use super::refusal::Undone;
use crate::cache::View;
use crate::consent::{Batch, Cleared, End, Grounds, Reason};
use crate::kafka::writer::WriteError;
use crate::policy::rules::Needs;
use crate::record::Record;
use crate::sink::kafka::{Refusal, Source, Stamp, forward};
use crate::sink::quarantine::{By, Note, quarantine};
use crate::transform::Outgoing;

impl Worker<'_> {
    /// Judges one record and writes what becomes of it.
    pub(super) fn record(
        &mut self,
        judge: &mut Judge<'_>,
        batch: &Batch,
        view: &View<'_>,
        message: &(BorrowedMessage<'_>, bool),
    ) -> Result<(), Undone> {
        let (record, headers_readable) = batch::record(message);
        let place = self.open.place(record.topic, record.partition);
        let mut notes: Vec<Note> = Vec::new();
        let mut written = Ok(());
        let mut each = |route, outcome: Outcome<'_, '_>, consent_offset| {
            if written.is_ok() {
                written = self.end(route, place, &record, outcome, consent_offset, &mut notes);
            }
        };
        if headers_readable {
            judge.record(batch, view, &record, each).map_err(Undone::Refused)?;
        } else {
            (0..judge.rules().routes.len())
                .for_each(|route| each(route, Outcome::Quarantined(Reason::Malformed), None));
        }
        written?;
        if !notes.is_empty() {
            self.set_aside(place, &record, &notes)?;
        }
        self.open.judged(place, record.offset, record.timestamp.map(|at| at.0));
        Ok(())
    }

    /// Writes and counts what became of a record at one route.
    fn end(
        &mut self,
        route: usize,
        place: usize,
        record: &Record<'_>,
        outcome: Outcome<'_, '_>,
        consent_offset: Option<(i32, i64)>,
        notes: &mut Vec<Note>,
    ) -> Result<(), WriteError> {
        let ended = match outcome {
            Outcome::NotRouted => None,
            Outcome::Dropped(reason) => Some((End::Dropped, reason)),
            Outcome::Held { reason, .. } => Some((End::Held, reason)),
            Outcome::Quarantined(reason) => Some((End::Quarantined, reason)),
            Outcome::Forwarded { cleared, reason } => {
                Some(self.forward(route, place, record, &cleared, reason, consent_offset)?)
            }
        };
        if let Some((End::Quarantined, reason)) = ended {
            self.note(notes, route, reason);
        }
        self.tally.add(route, ended);
        Ok(())
    }

    fn forward(
        &mut self,
        route: usize,
        place: usize,
        record: &Record<'_>,
        cleared: &Cleared<'_, Outgoing<'_>>,
        reason: Reason,
        consent_offset: Option<(i32, i64)>,
    ) -> Result<(End, Reason), WriteError> {
        let too_large = Ok((End::Quarantined, Reason::TooLarge));
        let line = self.line;
        let origin = Origin { place, offset: record.offset, sink: route };
        if !self.oversized.is_empty() && self.oversized.contains(&origin) {
            return too_large;
        }
        let source = self.source(record, origin);
        let (Some(own), Some(target)) = (line.rules().routes.get(route), self.targets.get(route)) else {
            return too_large;
        };
        let bits = match cleared.grounds() {
            Grounds::Consent { purposes, .. } => purposes,
            Grounds::Exempt { .. } | Grounds::Deletion => 0,
        };
        let Some((last, purposes)) = self.purposes.get_mut(route) else { return too_large };
        if bits != *last {
            (*last, *purposes) = (bits, line.rules().purposes(route, bits).join(","));
        }
        let first_party = match &own.needs {
            Needs::Consent(requirement) => requirement.recipient == "first_party",
            Needs::Nothing(_) => false,
        };
        let stamp = Stamp {
            route: &own.name,
            reason,
            policy: line.policy_hash(),
            purposes,
            consent_offset: consent_offset.filter(|_| first_party && bits != 0),
        };
        match forward(&mut self.writer, target, record, cleared, &stamp, source) {
            Ok(()) => Ok((End::Forwarded, reason)),
            Err(Refusal::TooLarge) => too_large,
            Err(Refusal::Failed(error)) => Err(error),
        }
    }

    fn note(&self, notes: &mut Vec<Note>, route: usize, reason: Reason) {
        let name = self.line.rules().routes.get(route).map_or("", |route| route.name.as_str());
        match notes.iter_mut().find(|note| note.reason == reason) {
            Some(note) => note.routes = format!("{},{name}", note.routes),
            None => notes.push(Note { reason, routes: name.to_owned() }),
        }
    }

    fn set_aside(&mut self, place: usize, record: &Record<'_>, notes: &[Note]) -> Result<(), WriteError> {
        let Some(mut target) = self.targets.last().cloned() else { return Ok(()) };
        let origin = Origin { place, offset: record.offset, sink: self.line.rules().routes.len() };
        if self.oversized.contains(&origin) {
            target.max_bytes = 0;
        }
        let by = By { pipeline: self.line.name(), worker: self.number, policy: self.line.policy_hash() };
        let source = self.source(record, origin);
        quarantine(&mut self.writer, &target, record, notes, by, source)
    }

    fn source(&mut self, record: &Record<'_>, origin: Origin) -> Source {
        self.open.origins.push(origin);
        Source { partitions: self.line.source_partitions(record.topic), number: self.open.origins.len() - 1 }
    }
}
