//! What an audit has found, for people and for programs.

use std::fmt::Write as _;

use serde_json::{Value, json};

use super::super::config::visible;
use crate::audit::{Finding, Report, Undecidable};

/// What it means that a case cannot be decided.
const fn meaning(why: Undecidable) -> &'static str {
    match why {
        Undecidable::SeveralStates => {
            "left no trace, and of the states that may have been in force some permit and some do not"
        }
        Undecidable::TooManyStates => "more states and times come into question than were tried",
        Undecidable::Compacted => "what the subject had said then may have been compacted away",
        Undecidable::OtherPolicy => "decided under another policy than this configuration's",
        Undecidable::SinksOwn => "set aside for what only the sink or the hold topic knows",
        Undecidable::Headers => "not shown by the client: a header's name is not UTF-8",
        Undecidable::BeforeWindow => {
            "may come from a record that is not audited: outside the window, or gone"
        }
    }
}

fn word<T: serde::Serialize>(of: T) -> String {
    serde_json::to_value(of).ok().and_then(|word| word.as_str().map(ToOwned::to_owned)).unwrap_or_default()
}

/// For people.
pub fn text(report: &Report, subjects: bool) -> String {
    let mut text = String::new();
    for finding in &report.findings {
        let Finding { pipeline, route, at, expected, found, .. } = finding;
        let kind = finding.kind.word();
        let _ = write!(text, "{kind}: {at} {pipeline}/{route}: expected {expected}; found {found}");
        if let Some(source) = finding.source.as_ref().filter(|source| source.to_string() != *at) {
            let _ = write!(text, "; it comes from {source}");
        }
        if let Some(subject) = finding.subject.as_ref().filter(|_| subjects) {
            let _ = write!(text, "; subject {subject}");
        }
        text.push('\n');
    }
    let kept = u64::try_from(report.findings.len()).unwrap_or(u64::MAX);
    if report.found() > kept {
        let _ = writeln!(text, "and {} more", report.found() - kept);
    }
    let Report { events, outputs, decisions, .. } = report;
    let _ = writeln!(
        text,
        "{events} records of the sources, {outputs} in the sinks, {decisions} decisions made again"
    );
    for (end, count) in &report.agreed {
        let _ = writeln!(text, "{count:>9} {end}, as they should be");
    }
    for (why, count) in &report.undecidable {
        let _ = writeln!(text, "{count:>9} undecidable: {}", meaning(*why));
    }
    for (kind, count) in &report.counts {
        let _ = writeln!(text, "{count:>9} wrong: {}", kind.word());
    }
    if report.found() == 0 {
        text.push_str(match report.events {
            0 => "nothing was audited: there is no record of the sources in what was asked for\n",
            _ => "nothing is wrong\n",
        });
    }
    text.lines().map(|line| visible(line).to_string() + "\n").collect()
}

/// For programs.
pub fn document(report: &Report, subjects: bool) -> Value {
    let finding = |finding: &Finding| {
        let subject = finding.subject.clone().filter(|_| subjects);
        json!(Finding { subject, ..finding.clone() })
    };
    let undecidable = report.undecidable.iter().map(|(why, count)| (word(why), json!(count)));
    let counts = report.counts.iter().map(|(kind, count)| (kind.word(), json!(count)));
    json!({
        "findings": report.findings.iter().map(finding).collect::<Vec<_>>(),
        "found": report.found(),
        "counts": counts.collect::<serde_json::Map<_, _>>(),
        "agreed": report.agreed,
        "undecidable": undecidable.collect::<serde_json::Map<_, _>>(),
        "events": report.events,
        "outputs": report.outputs,
        "decisions": report.decisions,
    })
}
