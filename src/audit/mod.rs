//! Whether a system did what it promises: what stands in its topics, held to the second implementation.
//!
//! Given are the configuration, what was read of the sources, the consent topic, the sinks, the quarantines and the
//! hold topics, and how far the groups have committed. For each record at each route it is worked out what may have
//! become of it, and what did. Nothing here reads a topic or a clock, and nothing asks the code that decided: a verdict
//! comes from [`crate::oracle`] alone.
//!
//! **What is known of a decision.** Nobody wrote down when a record was decided. But it was after the record was
//! appended and not after now; and every consent change that was acknowledged before the record was appended had to be
//! heeded. So there are a few states and a stretch of time under which it may have been decided (`possible`): a
//! forwarded record that none of them permits is a finding, one that is missing though all of them permit is one, and
//! where they disagree about a record that left no trace that is counted as undecidable, never guessed. What a
//! first-party route stamps (`consentry.consent_offset`) names the state exactly.
//!
//! **The order of two topics** is taken from what proves it: within a partition of a source, what a record's stamp names
//! had been read before the next was decided, and what its subject said after that had not been read before. Else from
//! Kafka's timestamps; where a producer made one of the two, they must differ by more than the policy's `clock_skew`. With
//! `freshness: {within: …}` an older state is allowed, and no finding.
//!
//! **A forwarded record does not say which it was.** It is found by what it holds (`matching`): for each record of the
//! source it is worked out what each route would let pass at each level.
//!
//! A finding names places, routes, reasons and labels of the configuration, never a subject nor anything out of a
//! payload; the subject is kept beside it for who may see it.

mod aside;
mod consents;
mod finding;
mod forwarded;
mod input;
mod known;
mod matching;
mod order;
mod possible;
mod waiting;

#[cfg(test)]
mod tests;

use std::collections::HashMap;

pub use consents::Consents;
pub use finding::{Finding, Kind, Report, Undecidable};
pub use input::{Appended, HeldAs, Inputs, Line, Message, Place};

pub use crate::oracle::{Record, Rules, When, rules};

use input::Events;
use matching::Matched;
use possible::{Possible, Seen};

/// An event, by its number, and a route, by its number among all.
type Case = (usize, usize);

/// What stands where, by what it is about.
struct Traces<'i> {
    inputs: &'i Inputs,
    events: Events<'i>,
    matched: Matched,
    /// Messages of quarantines, by event and pipeline.
    aside: HashMap<(usize, usize), Vec<usize>>,
    /// Messages of hold topics, by event and route, in their order.
    waiting: HashMap<Case, Vec<usize>>,
}

/// Audits. `passed` is told the number of events that are done, now and then.
pub fn audit(inputs: &Inputs, when: When<'_>, passed: &mut dyn FnMut(u64)) -> Report {
    let mut report = Report::default();
    if inputs.unreadable > 0 {
        report.undecidable.insert(Undecidable::Headers, inputs.unreadable);
    }
    let events = Events::new(inputs);
    let matched = matching::matched(inputs, &events, when, &mut report);
    let mut traces = Traces { inputs, events, matched, aside: HashMap::new(), waiting: HashMap::new() };
    aside::gather(&mut traces, &mut report);
    waiting::gather(&mut traces, &mut report);
    let mut told = Vec::new();
    for line in 0..inputs.lines.len() {
        let mut passes = possible::Passed::default();
        for number in traces.events.of_line(line) {
            if !traces.events.is_audited(number) {
                continue;
            }
            passes.enter(&traces, line, number);
            let seen = Seen { line, number, when };
            let possible = Possible::of(inputs, &traces.events, seen, &passes);
            one(&traces, seen, &possible, &mut report);
            for told_by in forwarded::told(&traces, seen, &possible) {
                passes.raise(inputs, &told_by);
                told.push(told_by);
            }
            report.decisions += possible.routes() as u64;
            passed(number as u64 + 1);
        }
    }
    order::check(&traces, &told, &mut report);
    report.events =
        (0..inputs.events.len()).filter(|number| traces.events.is_audited(*number)).count() as u64;
    report.outputs = inputs.outputs.len() as u64;
    report.sort();
    report
}

/// Checks one event at every route of one pipeline.
fn one(traces: &Traces<'_>, seen: Seen<'_>, possible: &Possible<'_>, report: &mut Report) {
    aside::check(traces, seen, possible, report);
    for route in traces.inputs.routes_of(seen.line) {
        let case = (seen.number, route);
        let none = Vec::new();
        let outputs = traces.matched.of(&case);
        let waiting = traces.waiting.get(&case).unwrap_or(&none);
        let waits = waiting::waits(traces, waiting);
        let is_aside = aside::names(traces, seen, route);
        for output in outputs {
            forwarded::check(traces, seen, (route, *output), possible, report);
        }
        if let Some(twice) = outputs.get(1).filter(|_| traces.inputs.exactly_once) {
            report.add(traces.finding(Kind::Twice, seen, route, traces.output(*twice)));
        }
        if let Some(message) = waits {
            waiting::check(traces, seen, (route, message), possible, report);
        }
        match (outputs.first(), waits, is_aside) {
            (Some(output), Some(_), _) => {
                report.add(traces.finding(Kind::ForwardedAndWaits, seen, route, traces.output(*output)));
            }
            (Some(output), None, true) => {
                report.add(traces.finding(Kind::ForwardedAndAside, seen, route, traces.output(*output)));
            }
            (None, None, false) => forwarded::absent(traces, seen, route, possible, report),
            _ => {}
        }
    }
}

impl<'i> Traces<'i> {
    fn output(&self, number: usize) -> Option<&'i Message> {
        self.inputs.outputs.get(number)
    }

    /// Whether a deletion of its key has passed at this route behind it: what waits under that key is dropped then.
    fn is_deleted_after(&self, number: usize, route: usize) -> bool {
        let mut deletions = self.events.deletions_after(number).iter();
        deletions.any(|deletion| !self.matched.of(&(*deletion, route)).is_empty())
    }

    /// A finding about an event at a route, seen in a message or, where there is none, at the event itself.
    fn finding(&self, kind: Kind, seen: Seen<'_>, route: usize, at: Option<&Message>) -> Finding {
        let event = self.events.get(seen.number).map(|event| event.place.clone());
        let mut finding = Finding::new(kind, at.map(|at| at.place.clone()).or_else(|| event.clone()));
        finding.source = event;
        (finding.pipeline, finding.route) = self.inputs.names(route);
        finding
    }
}
