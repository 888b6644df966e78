//! A record in a sink, held to what may have become of the record it comes from; and one that is in none.

use super::finding::{Finding, Kind, Report, Undecidable};
use super::input::Message;
use super::possible::{Case, Possible, Seen, in_words};
use super::{Traces, matching};
use crate::oracle::time::Millis;
use crate::oracle::{Ending, Out, outputs, parse, same};

/// What a forwarded record says of its decision.
pub(super) struct Told {
    pub line: usize,
    pub route: usize,
    pub event: usize,
    /// The record in the sink.
    pub output: usize,
    /// It may have waited: then it was decided later than it came.
    pub may_wait: bool,
    /// It is not the first that comes from its event.
    pub is_repeated: bool,
    /// The consent record that it names.
    pub consent_offset: Option<(i32, i64)>,
}

/// What those records in sinks say that come from an event.
pub(super) fn told(traces: &Traces<'_>, seen: Seen<'_>, possible: &Possible<'_>) -> Vec<Told> {
    let mut all = Vec::new();
    for route in traces.inputs.routes_of(seen.line) {
        let may_wait = traces.waiting.contains_key(&(seen.number, route))
            || possible.endings(route).any(|(_, ending)| ending.end == "held");
        for (place, output) in traces.matched.of(&(seen.number, route)).iter().enumerate() {
            let consent_offset = traces.output(*output).and_then(named);
            let (line, event, is_repeated) = (seen.line, seen.number, place > 0);
            all.push(Told { line, route, event, output: *output, may_wait, is_repeated, consent_offset });
        }
    }
    all
}

/// The consent record that a forwarded record names.
pub(super) fn named(output: &Message) -> Option<(i32, i64)> {
    let named = std::str::from_utf8(output.record.header("consentry.consent_offset")?).ok()?;
    let (partition, offset) = named.split_once(':')?;
    Some((partition.parse().ok()?, offset.parse().ok()?))
}

fn text(output: &Message, header: &str) -> Option<String> {
    output.record.header(header).map(|bytes| String::from_utf8_lossy(bytes).into_owned())
}

/// Checks one record in a sink.
pub(super) fn check(
    traces: &Traces<'_>,
    seen: Seen<'_>,
    (route, number): (usize, usize),
    possible: &Possible<'_>,
    report: &mut Report,
) {
    let Some(output) = traces.output(number) else { return };
    let finding =
        |kind| Finding { subject: possible.subject(), ..traces.finding(kind, seen, route, Some(output)) };
    if let Some(home) = matching::home(traces.inputs, &traces.events, seen.number, route, output)
        && home != output.place.partition
    {
        let found = format!("partition {}", output.place.partition);
        report.add(finding(Kind::Partition).because(format!("partition {home}"), found));
    }
    match text(output, "consentry.policy") {
        None => return report.add(finding(Kind::Policy).because("the policy's hash", "none")),
        Some(policy) if policy != traces.inputs.policy => {
            return report.undecidable(Undecidable::OtherPolicy);
        }
        Some(_) => {}
    }
    let state = match state(traces, output, possible) {
        Ok(state) => state,
        Err(Some((kind, expected, found))) => return report.add(finding(kind).because(expected, found)),
        Err(None) => return report.undecidable(Undecidable::Compacted),
    };
    let is_in = |case: &Case| {
        state.is_none_or(|state| Possible::is_under(case, state)) && in_time(traces, output, case)
    };
    let endings: Vec<&Ending> =
        possible.endings(route).filter(|(case, _)| is_in(case)).map(|(_, ending)| ending).collect();
    let permits: Vec<&Ending> = endings.iter().copied().filter(|ending| ending.end == "forwarded").collect();
    if permits.is_empty() {
        if possible.is_cut(route) {
            return report.undecidable(Undecidable::TooManyStates);
        }
        if state.is_none() && possible.is_compacted {
            return report.undecidable(Undecidable::Compacted);
        }
        let is_old = state.is_none() && possible.was_permitted_before(&traces.events, seen, route);
        let kind = if is_old { Kind::Stale } else { Kind::NoPermit };
        return report.add(finding(kind).because(in_words(endings.into_iter()), "forwarded"));
    }
    match differs(traces, (route, output), &permits, seen) {
        Some((kind, expected, found)) => report.add(finding(kind).because(expected, found)),
        None => report.agreed("forwarded"),
    }
}

type Wrong = (Kind, String, String);

/// The state that a record names; `Err(None)`: it is no longer there.
fn state(
    traces: &Traces<'_>,
    output: &Message,
    possible: &Possible<'_>,
) -> Result<Option<(usize, usize)>, Option<Wrong>> {
    let Some(written) = text(output, "consentry.consent_offset") else { return Ok(None) };
    let Some((partition, offset)) = named(output) else {
        return Err(Some((Kind::ConsentOffset, "partition:offset".to_owned(), "something else".to_owned())));
    };
    match possible.state_at(partition, offset) {
        Some(state) if possible.is_old(state) => {
            let expected = "a state as new as the last change before it came".to_owned();
            Err(Some((Kind::Stale, expected, format!("decided by the consent record at {written}"))))
        }
        Some(state) => Ok(Some(state)),
        None if !traces.inputs.consents.holds(partition, offset)
            && traces.inputs.consents.has_gap(partition, offset..offset + 1) =>
        {
            Err(None)
        }
        None => {
            let found = format!("{written}, which its subject has not said");
            Err(Some((Kind::ConsentOffset, "a consent record of its subject".to_owned(), found)))
        }
    }
}

/// Where the broker says when it was written, no later case counts.
fn in_time(traces: &Traces<'_>, output: &Message, case: &Case) -> bool {
    let written = output.appended.filter(|appended| appended.by_broker);
    written.is_none_or(|written| case.at <= Millis::from(written.ms + traces.inputs.skew_ms))
}

/// In what a forwarded record differs from all that may have been forwarded.
fn differs(
    traces: &Traces<'_>,
    (route, output): (usize, &Message),
    permits: &[&Ending],
    seen: Seen<'_>,
) -> Option<Wrong> {
    let event = traces.events.get(seen.number)?;
    let value = output.record.value.as_deref();
    let node = value.and_then(|value| parse(std::str::from_utf8(value).ok()?));
    let headers = output.record.own_headers();
    let is_value = |out: &Out| match (&out.value, &node) {
        (None, None) => value.is_none(),
        (Some(one), Some(other)) => {
            same(one, other) && (out.is_touched() || value == event.record.value.as_deref())
        }
        _ => false,
    };
    let is_same = |out: &Out| out.key == output.record.key && out.headers == headers && is_value(out);
    let alike: Vec<&&Ending> =
        permits.iter().filter(|ending| ending.out.as_ref().is_some_and(is_same)).collect();
    let first = permits.first().and_then(|ending| ending.out.as_ref())?;
    if alike.is_empty() {
        let word = |kind, what: &str| Some((kind, format!("{what} as it must be"), "another".to_owned()));
        if let Some(wrong) = at_another_level(traces, (route, seen), first, &is_same) {
            return Some(wrong);
        }
        return match (first.key == output.record.key, first.headers == headers) {
            (false, _) => word(Kind::Key, "a key"),
            (true, false) => word(Kind::Headers, "headers"),
            (true, true) => word(Kind::Bytes, "a value"),
        };
    }
    if let Some(wrong) = timestamp(event, output) {
        return Some(wrong);
    }
    let reason = text(output, "consentry.reason").unwrap_or_default();
    if !alike.iter().any(|ending| ending.reason == reason) {
        let expected = alike.iter().map(|ending| ending.reason).collect::<Vec<_>>();
        return Some((Kind::Reason, expected.first().copied().unwrap_or_default().to_owned(), reason));
    }
    let purposes = text(output, "consentry.purposes").unwrap_or_default();
    let own = |ending: &Ending| ending.purposes.clone().unwrap_or_default().join(",");
    let exact = alike.iter().find(|ending| ending.reason == reason && own(ending) == purposes);
    let Some(exact) = exact else {
        let expected = alike.first().map(|ending| own(ending)).unwrap_or_default();
        return Some((Kind::Purposes, expected, purposes));
    };
    let (pipeline, own, _) = traces.inputs.route(route)?;
    let is_named = own.names_consent() && !pipeline.holds_several() && exact.purposes.is_some();
    match (is_named, text(output, "consentry.consent_offset")) {
        (true, None) => {
            Some((Kind::ConsentOffset, "the consent record that decided".to_owned(), "none".to_owned()))
        }
        (false, Some(_)) => Some((Kind::ConsentOffset, "none".to_owned(), "a consent record".to_owned())),
        _ => None,
    }
}

/// Whether it is what another level would have let pass: then by which labels.
fn at_another_level(
    traces: &Traces<'_>,
    (route, seen): (usize, Seen<'_>),
    permitted: &Out,
    is_same: &dyn Fn(&Out) -> bool,
) -> Option<Wrong> {
    let (pipeline, own, _) = traces.inputs.route(route)?;
    let event = traces.events.get(seen.number)?;
    let all = outputs(&traces.inputs.rules, pipeline, &event.record, own);
    let (_, out) = all.into_iter().find(|(_, out)| is_same(out))?;
    let lacks = |one: &Out, other: &Out| {
        let mut labels: Vec<String> =
            one.fields.iter().filter(|label| !other.fields.contains(label)).cloned().collect();
        labels.extend((one.stripped && !other.stripped).then(|| "what has no label".to_owned()));
        labels.join(", ")
    };
    let (left, taken) = (lacks(permitted, &out), lacks(&out, permitted));
    Some(match left.is_empty() {
        false => (Kind::Unreduced, format!("acted on: {left}"), "left as it came".to_owned()),
        true => (Kind::Overreduced, "left as it came".to_owned(), format!("acted on: {taken}")),
    })
}

fn timestamp(event: &Message, output: &Message) -> Option<Wrong> {
    let kept = event.appended.filter(|own| own.ms >= 0)?.ms;
    let own = output.appended.filter(|own| !own.by_broker)?.ms;
    (kept != own).then(|| (Kind::Timestamp, kept.to_string(), own.to_string()))
}

/// Checks an event that has left no trace at a route.
pub(super) fn absent(
    traces: &Traces<'_>,
    seen: Seen<'_>,
    route: usize,
    possible: &Possible<'_>,
    report: &mut Report,
) {
    if !traces.events.is_due(seen.number, seen.line) {
        return;
    }
    let endings: Vec<&Ending> = possible.endings(route).map(|(_, ending)| ending).collect();
    let is_deleted = traces.is_deleted_after(seen.number, route);
    let leaves = |ending: &&&Ending| match ending.end {
        "forwarded" | "quarantined" => true,
        "held" => !is_deleted && still_waits(traces, seen, route, ending),
        _ => false,
    };
    let leaving = endings.iter().filter(leaves).count();
    if leaving == 0 {
        let end = endings.first().map_or("dropped", |ending| ending.end);
        return report.agreed(if end == "not_routed" { end } else { "dropped" });
    }
    if possible.is_cut(route) {
        return report.undecidable(Undecidable::TooManyStates);
    }
    if leaving < endings.len() {
        return report.undecidable(Undecidable::SeveralStates);
    }
    if possible.is_compacted {
        return report.undecidable(Undecidable::Compacted);
    }
    let is_aside = endings.iter().all(|ending| ending.end == "quarantined");
    let kind = if is_aside { Kind::NotQuarantined } else { Kind::Missing };
    let finding = Finding { subject: possible.subject(), ..traces.finding(kind, seen, route, None) };
    report.add(finding.because(in_words(endings.into_iter()), "no trace of it"));
}

/// Whether a record that was held can still not have been dropped because its time ran out.
fn still_waits(traces: &Traces<'_>, seen: Seen<'_>, route: usize, ending: &Ending) -> bool {
    let Some((_, route, _)) = traces.inputs.route(route) else { return false };
    let (from, now) = traces.events.decided_within(seen.number);
    match ending.reason {
        "unconfirmed" | "unanswered" => from + route.hold_for > now,
        "unknown_subject" | "no_consent" => from + route.grace > now,
        _ => true,
    }
}
