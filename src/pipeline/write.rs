//! From a verdict to what is written: the plan for one record, carried out.

use rdkafka::message::BorrowedMessage;

use super::Worker;
use super::batch;
use super::judge::Outcome;
use super::open::Origin;
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
        batch: &Batch,
        view: &View<'_>,
        message: &BorrowedMessage<'_>,
    ) -> Result<(), WriteError> {
        let (record, headers_readable) = batch::record(message);
        let place = self.open.place(record.topic, record.partition);
        let mut outcomes = Vec::new();
        if headers_readable {
            self.judge.record(batch, view, &record, |route, outcome, offset| {
                outcomes.push((route, outcome, offset))
            });
        } else {
            let routes = 0..self.line.rules().routes.len();
            outcomes.extend(routes.map(|route| (route, Outcome::Quarantined(Reason::Malformed), None)));
        }
        let mut notes: Vec<Note> = Vec::new();
        for (route, outcome, consent_offset) in outcomes {
            let ended = match outcome {
                Outcome::NotRouted => None,
                Outcome::Dropped(reason) => Some((End::Dropped, reason)),
                Outcome::Held { reason, .. } => Some((End::Held, reason)),
                Outcome::Quarantined(reason) => Some((End::Quarantined, reason)),
                Outcome::Forwarded { cleared, reason } => {
                    Some(self.forward(route, place, &record, &cleared, reason, consent_offset)?)
                }
            };
            if let Some((End::Quarantined, reason)) = ended {
                self.note(&mut notes, route, reason);
            }
            self.tally.add(route, ended);
        }
        if !notes.is_empty() {
            self.set_aside(place, &record, &notes)?;
        }
        self.open.judged(place, record.offset, record.timestamp.map(|at| at.0));
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
        let origin = Origin { place, offset: record.offset, sink: route };
        let (Some(own), Some(target)) = (self.line.rules().routes.get(route), self.line.target(route)) else {
            return too_large;
        };
        if self.oversized.contains(&origin) {
            return too_large;
        }
        let purposes = match cleared.grounds() {
            Grounds::Consent { purposes, .. } => self.line.purposes(route, purposes),
            Grounds::Exempt { .. } | Grounds::Deletion => "".into(),
        };
        let first_party = match &own.needs {
            Needs::Consent(requirement) => requirement.recipient == "first_party",
            Needs::Nothing(_) => false,
        };
        let decided = matches!(cleared.grounds(), Grounds::Consent { .. });
        let stamp = Stamp {
            route: &own.name,
            reason,
            policy: self.line.policy_hash(),
            purposes: &purposes,
            consent_offset: consent_offset.filter(|_| first_party && decided),
        };
        let source = self.source(record, origin);
        match forward(&mut self.writer, &target, record, cleared, &stamp, source) {
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
        let mut target = self.line.quarantine();
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
