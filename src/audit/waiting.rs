//! What waits: with a reason, as it came, and no longer than it may.

use super::Traces;
use super::finding::{Finding, Kind, Report, Undecidable};
use super::input::{HeldAs, Message};
use super::possible::{Possible, Seen, in_words};
use crate::oracle::time::Millis;

/// Finds for each message of a hold topic the event and the route that it is about.
pub(super) fn gather(traces: &mut Traces<'_>, report: &mut Report) {
    let mut strays = Vec::new();
    for (number, message) in traces.inputs.waiting.iter().enumerate() {
        match about(traces, message) {
            Some(Ok(case)) => traces.waiting.entry(case).or_default().push(number),
            Some(Err(())) => report.undecidable(Undecidable::BeforeWindow),
            // What was taken back is nothing that waits.
            None if message.record.value.is_none() => {}
            None => strays.push(message.place.clone()),
        }
    }
    for place in strays {
        let finding = Finding::new(Kind::FromNowhere, Some(place));
        report
            .add(finding.because("a record of the source at a route that holds", "none that its key names"));
    }
}

/// `Err`: a record that was not read.
fn about(traces: &Traces<'_>, message: &Message) -> Option<Result<super::Case, ()>> {
    let key = std::str::from_utf8(message.record.key.as_deref()?).ok()?;
    let mut parts = key.split('/');
    let topic = parts.next()?;
    let (partition, offset): (i32, i64) = (parts.next()?.parse().ok()?, parts.next()?.parse().ok()?);
    let name = parts.next().filter(|_| parts.next().is_none())?;
    let (route, ..) = traces.inputs.routes().find(|(route, line, _)| {
        let line = traces.inputs.lines.get(*line);
        let hold = line.and_then(|line| Some(format!("{}.{topic}", line.hold.as_ref()?)));
        let reads = line.is_some_and(|line| line.sources.iter().any(|source| source == topic));
        reads && hold.as_deref() == Some(&*message.place.topic) && traces.inputs.names(*route).1 == name
    })?;
    match traces.events.at(topic, partition, offset) {
        Some(event) => Some(Ok((event, route))),
        None if traces.inputs.is_truncated(topic, partition) => Some(Err(())),
        None => None,
    }
}

/// The message by which a record waits now; none where it was taken back.
pub(super) fn waits<'t>(traces: &'t Traces<'_>, messages: &[usize]) -> Option<&'t Message> {
    let last = traces.inputs.waiting.get(*messages.last()?)?;
    last.record.value.as_ref().map(|_| last)
}

/// Checks a record that waits.
pub(super) fn check(
    traces: &Traces<'_>,
    seen: Seen<'_>,
    (route, message): (usize, &Message),
    possible: &Possible<'_>,
    report: &mut Report,
) {
    let inputs = traces.inputs;
    let finding =
        |kind| Finding { subject: possible.subject(), ..traces.finding(kind, seen, route, Some(message)) };
    let Some(event) = traces.events.get(seen.number) else { return };
    let (key, value) = (message.record.key.as_deref(), message.record.value.as_deref());
    let Some(held) = (inputs.held)(key.unwrap_or_default(), value.unwrap_or_default()) else {
        return report
            .add(finding(Kind::HeldBytes).because("a record that waits", "nothing that can be read"));
    };
    if event.place.partition != message.place.partition {
        let expected = format!("partition {}", event.place.partition);
        let found = format!("partition {}", message.place.partition);
        report.add(finding(Kind::Partition).because(expected, found));
    }
    let came = &event.record;
    if (&held.record.key, &held.record.value, &held.record.headers) != (&came.key, &came.value, &came.headers)
    {
        report.add(finding(Kind::HeldBytes).because("what came", "another record"));
    }
    let is_so =
        |reason: &str| possible.endings(route).any(|(_, end)| end.end == "held" && end.reason == reason);
    if !is_so(&held.reason) {
        if possible.is_cut(route) || possible.is_compacted {
            return report.undecidable(Undecidable::TooManyStates);
        }
        let expected = in_words(possible.endings(route).map(|(_, ending)| ending));
        return report
            .add(finding(Kind::HeldWithoutReason).because(expected, format!("held ({})", held.reason)));
    }
    if let Some((expected, found)) = deadline(traces, route, &held) {
        return report.add(finding(Kind::HeldDeadline).because(expected, found));
    }
    let overdue = match traces.is_deleted_after(seen.number, route) {
        true => Some("held, though a deletion of its key has passed since".to_owned()),
        false => overdue(traces, route, &held, possible),
    };
    match overdue {
        Some(found) => report.add(finding(Kind::HeldTooLong).because("decided again", found)),
        None => report.agreed("held"),
    }
}

/// A deadline that the route does not allow.
fn deadline(traces: &Traces<'_>, route: usize, held: &HeldAs) -> Option<(String, String)> {
    let (_, own, _) = traces.inputs.route(route)?;
    held.deadlines.iter().find_map(|(reason, until)| {
        let most =
            if matches!(reason.as_str(), "unconfirmed" | "unanswered") { own.hold_for } else { own.grace };
        // It began when it was first held for this reason, which is not written down: no later than now.
        let latest = Millis::from(traces.inputs.now_ms) + most + Millis::from(traces.inputs.skew_ms);
        (Millis::from(*until) > latest).then(|| (format!("{most} ms for {reason}"), "longer".to_owned()))
    })
}

/// Why it should wait no longer, for longer than it may take to do something about that.
fn overdue(traces: &Traces<'_>, route: usize, held: &HeldAs, possible: &Possible<'_>) -> Option<String> {
    let due = traces.inputs.now_ms - traces.inputs.patience_ms;
    let over = held.deadlines.iter().find(|(reason, until)| *reason == held.reason && *until <= due);
    if over.is_some() {
        return Some(format!("held ({}), and its time ran out", held.reason));
    }
    let said = possible.all_said_before(due);
    let last: Vec<_> = possible.endings(route).filter(|(case, _)| said && possible.is_last(case)).collect();
    // What held good then and does now: nothing has happened in between.
    let (then, now): (Vec<_>, Vec<_>) = last.into_iter().partition(|(case, _)| case.at <= Millis::from(due));
    let state = then.last()?.1;
    (state.end != "held" && now.iter().all(|(_, ending)| ending.end == state.end))
        .then(|| format!("held ({}), though {}", held.reason, in_words(std::iter::once(state))))
}
