//! From a verdict to what is written: the plan for one record, carried out.

use smallvec::SmallVec;

use super::Worker;
use super::batch::{self, GROUP};
use super::judge::{Judge, Outcome, Read};
use super::open::Origin;
use super::refusal::Undone;
use crate::cache::View;
use crate::consent::{Batch, Cleared, End, Grounds, Reason};
use crate::hold::Id;
use crate::policy::rules::Needs;
use crate::record::Record;
use crate::sink::kafka::{Refusal, Source, Stamp, forward};
use crate::sink::quarantine::{By, Note, quarantine};
use crate::source::{Cluster, Message, WriteError, Writer};
use crate::transform::Outgoing;

impl<C: Cluster> Worker<'_, C> {
    /// Judges a few records and writes what becomes of them.
    pub(super) fn group<M: Message>(
        &mut self,
        judge: &mut Judge<'_>,
        batch: &Batch,
        view: &View<'_>,
        messages: &[(M, bool)],
    ) -> Result<(), Undone> {
        // A batch of which nothing is forwarded is committed too.
        self.writer.begin()?;
        let records: SmallVec<[_; GROUP]> = messages.iter().map(batch::record).collect();
        let read: SmallVec<[_; GROUP]> = records
            .iter()
            .map(
                |(record, headers_readable)| {
                    if *headers_readable { judge.read(view, record) } else { Err(Reason::Malformed) }
                },
            )
            .collect();
        let named: SmallVec<[_; GROUP]> = read.iter().flatten().flat_map(Read::named).copied().collect();
        view.prefetch(&named);
        let mut both = records.iter().zip(&read);
        both.try_for_each(|((record, _), read)| self.record(judge, batch, view, record, read))
    }

    fn record<'m>(
        &mut self,
        judge: &mut Judge<'_>,
        batch: &Batch,
        view: &View<'_>,
        record: &Record<'m>,
        read: &Result<Read<'_, 'm>, Reason>,
    ) -> Result<(), Undone> {
        let place = self.open.place(record.topic, record.partition);
        let mut notes: Vec<Note> = Vec::new();
        let (mut waits, mut deleted): (SmallVec<[usize; 4]>, SmallVec<[usize; 4]>) = Default::default();
        let mut written = Ok(());
        let holds = self.held.is_some();
        let each = |route, outcome: Outcome<'_, '_>, consent_offset| match outcome {
            Outcome::Held { .. } if holds => waits.push(route),
            outcome if written.is_ok() => {
                if holds && record.is_deletion() && matches!(outcome, Outcome::Forwarded { .. }) {
                    deleted.push(route);
                }
                written = self.end(route, place, record, outcome, consent_offset, &mut notes);
            }
            _after_a_failure => {}
        };
        judge.decide(batch, view, read, each).map_err(Undone::Refused)?;
        written?;
        for route in waits {
            let id = Id { place, offset: record.offset, route };
            self.hold_back(judge, batch, view, (record, read), id, &mut notes)?;
        }
        for route in deleted {
            self.let_go_of_deleted(Id { place, offset: record.offset, route }, record)?;
        }
        if !notes.is_empty() {
            self.set_aside(place, record, &notes)?;
        }
        self.open.judged(place, record.offset, record.timestamp.map(|at| at.0));
        Ok(())
    }

    /// Writes and counts what became of a record at one route. Where nothing can wait, what would is dropped.
    pub(super) fn end(
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
            Outcome::Dropped(reason) | Outcome::Held { reason, .. } => Some((End::Dropped, reason)),
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

    pub(super) fn note(&self, notes: &mut Vec<Note>, route: usize, reason: Reason) {
        let name = self.line.rules().route_name(route);
        match notes.iter_mut().find(|note| note.reason == reason) {
            Some(note) => note.routes = format!("{},{name}", note.routes),
            None => notes.push(Note { reason, routes: name.to_owned() }),
        }
    }

    pub(super) fn set_aside(
        &mut self,
        place: usize,
        record: &Record<'_>,
        notes: &[Note],
    ) -> Result<(), WriteError> {
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
