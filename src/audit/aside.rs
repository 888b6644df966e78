//! The quarantine: what is there must be wrong in the way that is said, be what came, and be there once.

use sha2::{Digest, Sha256};

use super::Traces;
use super::finding::{Finding, Kind, Report, Undecidable};
use super::input::Message;
use super::possible::{Possible, Seen, in_words};

/// What a quarantined record says of itself: routes and reason, pair by pair.
fn notes(message: &Message) -> Vec<(Vec<String>, String)> {
    let all = |name: &str| {
        let own = message.record.headers.iter().filter(|(own, _)| own == name);
        own.filter_map(|(_, value)| String::from_utf8(value.clone()?).ok()).collect::<Vec<_>>()
    };
    let routes = all("consentry.route").into_iter();
    let routes = routes.map(|routes| routes.split(',').map(ToOwned::to_owned).collect());
    routes.zip(all("consentry.reason")).collect()
}

fn text(message: &Message, name: &str) -> Option<String> {
    String::from_utf8(message.record.header(&format!("__connect.errors.{name}"))?.to_vec()).ok()
}

/// Finds for each record of a quarantine the event that it is.
pub(super) fn gather(traces: &mut Traces<'_>, report: &mut Report) {
    for (number, message) in traces.inputs.aside.iter().enumerate() {
        let mut finding = Finding::new(Kind::FromNowhere, Some(message.place.clone()));
        let named = notes(message).into_iter().flat_map(|(routes, _)| routes).collect::<Vec<_>>();
        finding.route = named.join(",");
        let place = || {
            let partition = text(message, "partition")?.parse::<i32>().ok()?;
            Some((text(message, "topic")?, partition, text(message, "offset")?.parse::<i64>().ok()?))
        };
        let Some((topic, partition, offset)) = place() else {
            report.add(finding.because("where it came from", "it does not say"));
            continue;
        };
        let pipeline = text(message, "connector.name").unwrap_or_default();
        let pipelines = traces.inputs.rules.pipelines.iter().zip(&traces.inputs.lines);
        let line = pipelines.enumerate().find(|(_, (own, line))| {
            own.name == pipeline && *line.quarantine == *message.place.topic && line.sources.contains(&topic)
        });
        let Some((line, _)) = line else {
            report.add(finding.because("a pipeline that reads what it came from", "none"));
            continue;
        };
        finding.pipeline = pipeline;
        match traces.events.at(&topic, partition, offset) {
            Some(event) => traces.aside.entry((event, line)).or_default().push(number),
            None if traces.inputs.is_truncated(&topic, partition) => {
                report.undecidable(Undecidable::BeforeWindow)
            }
            None => report.add(finding.because("a record of the source", "none at the place that it names")),
        }
    }
}

fn messages<'t>(traces: &'t Traces<'_>, seen: Seen<'_>) -> impl Iterator<Item = &'t Message> {
    let own = traces.aside.get(&(seen.number, seen.line)).map_or(&[][..], Vec::as_slice);
    own.iter().filter_map(|number| traces.inputs.aside.get(*number))
}

/// Whether a quarantined record names a route.
pub(super) fn names(traces: &Traces<'_>, seen: Seen<'_>, route: usize) -> bool {
    let (_, name) = traces.inputs.names(route);
    messages(traces, seen).flat_map(notes).any(|(routes, _)| routes.contains(&name))
}

/// Checks what is in the quarantine of an event.
pub(super) fn check(traces: &Traces<'_>, seen: Seen<'_>, possible: &Possible<'_>, report: &mut Report) {
    let mut named: Vec<usize> = Vec::new();
    for message in messages(traces, seen) {
        let own: Vec<usize> = traces.inputs.routes_of(seen.line).collect();
        let about = |kind, route| Finding {
            subject: possible.subject(),
            ..traces.finding(kind, seen, route, Some(message))
        };
        if let Some(what) = altered(traces, seen, message) {
            let route = own.first().copied().unwrap_or_default();
            report.add(about(Kind::QuarantineBytes, route).because("what came", format!("another {what}")));
        }
        let policy = message.record.header("consentry.policy");
        if policy != Some(traces.inputs.policy.as_bytes()) {
            report.undecidable(Undecidable::OtherPolicy);
            continue;
        }
        for (routes, reason) in notes(message) {
            for name in routes {
                let Some(route) = own.iter().copied().find(|route| traces.inputs.names(*route).1 == name)
                else {
                    let mut finding = about(Kind::WrongSink, own.first().copied().unwrap_or_default());
                    finding.route.clone_from(&name);
                    report.add(finding.because("a route of the pipeline", "no such route"));
                    continue;
                };
                if named.contains(&route) {
                    if traces.inputs.exactly_once {
                        report.add(about(Kind::QuarantinedTwice, route).because("once", "once more"));
                    }
                    continue;
                }
                named.push(route);
                match judged(possible, route, &reason) {
                    Judged::Right => report.agreed("quarantined"),
                    Judged::Open(why) => report.undecidable(why),
                    Judged::Wrong(kind) => {
                        let expected = in_words(possible.endings(route).map(|(_, ending)| ending));
                        report.add(about(kind, route).because(expected, format!("quarantined ({reason})")));
                    }
                }
            }
        }
    }
}

enum Judged {
    Right,
    Open(Undecidable),
    Wrong(Kind),
}

fn judged(possible: &Possible<'_>, route: usize, reason: &str) -> Judged {
    let aside = || possible.endings(route).filter(|(_, ending)| ending.end == "quarantined");
    let may_pass = possible.endings(route).any(|(_, ending)| matches!(ending.end, "forwarded" | "held"));
    if aside().any(|(_, ending)| ending.reason == reason) {
        return Judged::Right;
    }
    if reason == "rejected" || (reason == "too_large" && may_pass) {
        return Judged::Open(Undecidable::SinksOwn);
    }
    if possible.is_cut(route) {
        return Judged::Open(Undecidable::TooManyStates);
    }
    if possible.is_compacted && reason == "transform_failed" {
        return Judged::Open(Undecidable::Compacted);
    }
    Judged::Wrong(if aside().next().is_some() {
        Kind::QuarantineReason
    } else {
        Kind::QuarantinedWithoutReason
    })
}

/// What of a quarantined record is not what came. One that would not fit says the hash of its value instead.
fn altered(traces: &Traces<'_>, seen: Seen<'_>, message: &Message) -> Option<&'static str> {
    let came = &traces.events.get(seen.number)?.record;
    let value = came.value.as_deref().unwrap_or_default();
    if let Some(hash) = message.record.header("consentry.value_sha256") {
        return (hash != hex::encode(Sha256::digest(value)).as_bytes()).then_some("hash");
    }
    let kept = |headers: crate::oracle::Headers| {
        let kept = headers.into_iter().filter(|(name, _)| !name.starts_with("__connect.errors."));
        kept.collect::<Vec<_>>()
    };
    if message.record.value != came.value {
        return Some("value");
    }
    if message.record.key != came.key {
        return Some("key");
    }
    (kept(message.record.own_headers()) != kept(came.own_headers())).then_some("header")
}
