//! What the demonstration showed, and whether it adds up.

use serde::Serialize;

use crate::consent::End;
use crate::telemetry::{Outcome, PipelineTotals, RouteTotals};

use super::experiment::Findings;
use super::generator::WATCHED_RATE;
use super::opt_in::Released;

/// What was counted on all sides, once everything stood still.
pub struct Evidence {
    /// Seconds it was shown for.
    pub seconds: f64,
    /// Events that the broker acknowledged to the generator.
    pub sent: u64,
    /// Consent messages that it acknowledged.
    pub consents: u64,
    /// What the proxy counted.
    pub totals: PipelineTotals,
    /// Events found in each route's sink, each once.
    pub in_sinks: Vec<u64>,
    /// Events found in the quarantine, each once.
    pub in_quarantine: u64,
    /// Copies beyond the first, in all topics.
    pub duplicates: u64,
    /// The withdrawal.
    pub withdrawal: Findings,
    /// The double opt-in.
    pub opt_in: Released,
}

/// The document that `--output json` prints.
#[derive(Clone, Debug, Serialize)]
pub struct Summary {
    mock: bool,
    delivery: &'static str,
    seconds: f64,
    sent: u64,
    consent_messages: u64,
    read: u64,
    routes: Vec<Route>,
    quarantine: u64,
    duplicates: u64,
    withdrawal: Withdrawal,
    double_opt_in: DoubleOptIn,
    /// Whether everything is accounted for and found where it should be.
    pub balanced: bool,
    /// What is not, in words.
    pub faults: Vec<String>,
}

#[derive(Clone, Debug, Serialize)]
struct Route {
    #[serde(flatten)]
    totals: RouteTotals,
    in_sink: u64,
}

#[derive(Clone, Copy, Debug, Serialize)]
struct Withdrawal {
    subject_events_after: u64,
    leaked: u64,
    effective_ms: Option<f64>,
    last_forwarded_ms: Option<f64>,
}

#[derive(Clone, Copy, Debug, Serialize)]
struct DoubleOptIn {
    waited: u64,
    released: u64,
    released_before_confirmation: u64,
    released_ms: Option<f64>,
}

impl Summary {
    /// Holds the evidence against itself.
    pub fn new(evidence: Evidence) -> Self {
        let faults = faults(&evidence);
        let in_sinks = evidence.in_sinks.iter().copied().chain(std::iter::repeat(0));
        let (withdrawal, opt_in) = (evidence.withdrawal, evidence.opt_in);
        let ms = |duration: std::time::Duration| (duration.as_secs_f64() * 10_000.0).round() / 10.0;
        Self {
            mock: true,
            delivery: "at_least_once",
            seconds: (evidence.seconds * 10.0).round() / 10.0,
            sent: evidence.sent,
            consent_messages: evidence.consents,
            read: evidence.totals.read,
            routes: evidence
                .totals
                .routes
                .into_iter()
                .zip(in_sinks)
                .map(|(totals, in_sink)| Route { totals, in_sink })
                .collect(),
            quarantine: evidence.in_quarantine,
            duplicates: evidence.duplicates,
            withdrawal: Withdrawal {
                subject_events_after: withdrawal.subject_events_after,
                leaked: withdrawal.leaked,
                effective_ms: withdrawal.effective.map(ms),
                last_forwarded_ms: withdrawal.last_forwarded.map(ms),
            },
            double_opt_in: DoubleOptIn {
                waited: opt_in.waited,
                released: opt_in.released,
                released_before_confirmation: opt_in.early,
                released_ms: opt_in.took.map(ms),
            },
            balanced: faults.is_empty(),
            faults,
        }
    }

    /// Whether the demonstration showed what it promises.
    pub const fn passed(&self) -> bool {
        self.balanced && self.withdrawal.leaked == 0 && self.double_opt_in.released_before_confirmation == 0
    }

    /// For people.
    pub fn text(&self) -> String {
        let mut text = format!(
            "Consentry on an embedded mock broker, at least once. (On a real cluster exactly once is the default.)\n\
             {} events and {} consent messages in {:.1} s; {} events read.\n",
            grouped(self.sent),
            grouped(self.consent_messages),
            self.seconds,
            grouped(self.read),
        );
        self.routes.iter().for_each(|route| text.push_str(&route.text()));
        text.push_str("\nWhere an e-mail stands in clear in a sink, that person's own grant lets the purpose come so close.\n");
        text.push_str(&format!("\nQuarantine: {} records, each once\n", grouped(self.quarantine)));
        if self.duplicates > 0 {
            text.push_str(&format!("Written twice, as at least once may: {}\n", grouped(self.duplicates)));
        }
        text.push_str(&self.withdrawal.text());
        text.push_str(&self.double_opt_in.text());
        text.push_str(&self.verdict());
        text
    }

    fn verdict(&self) -> String {
        if self.balanced {
            let holds = if self.duplicates == 0 { "exactly" } else { "all of" };
            return format!(
                "\nIt balances: on every route, read + released = forwarded + dropped + held + quarantined + \
                 not routed,\nand each sink holds {holds} the events that were counted as forwarded.\n"
            );
        }
        self.faults
            .iter()
            .fold("\nIT DOES NOT BALANCE\n".to_owned(), |text, fault| text + "  " + fault + "\n")
    }
}

impl Route {
    fn text(&self) -> String {
        let mut text = format!("\n{}\n", self.totals.route);
        let mut counts = self.totals.counts.clone();
        counts.sort_by_key(|(outcome, count)| (order(*outcome), std::cmp::Reverse(*count)));
        for (outcome, count) in counts {
            let (end, reason, why) = match outcome {
                None => ("not routed", "", "`when` says that the route does not concern it"),
                Some((end, reason)) => (end.word(), reason.word(), reason.explanation()),
            };
            text.push_str(&format!("  {end:<11} {:>9}  {reason:<23}  {why}\n", grouped(count)));
        }
        text.push_str(&format!("  {:<11} {:>9}\n", "in the sink", grouped(self.in_sink)));
        text
    }
}

impl Withdrawal {
    fn text(self) -> String {
        if self.subject_events_after == 0 {
            return "\nWithdrawal: it ended before anybody withdrew\n".to_owned();
        }
        let mut text = format!(
            "\nWithdrawal: one person who sends {WATCHED_RATE} events a second took everything back\n  \
             {:>9}  of their events were sent after the broker had acknowledged the withdrawal\n  \
             {:>9}  of those were forwarded by a route that asks for consent{}\n",
            grouped(self.subject_events_after),
            grouped(self.leaked),
            if self.leaked == 0 { "" } else { ": A LEAK" },
        );
        if let Some(ms) = self.effective_ms {
            text.push_str(&format!("  {ms:>6} ms  from the acknowledgement until the first was dropped\n"));
        }
        if let Some(ms) = self.last_forwarded_ms {
            text.push_str(&format!("  {ms:>6} ms  from the acknowledgement until the last event that was sent before it had come out\n"));
        }
        text
    }
}

impl DoubleOptIn {
    fn text(self) -> String {
        let mut text = format!(
            "\nDouble opt-in: one person who had asked for the newsletter confirmed\n  \
             {:>9}  events for them had waited until then\n  \
             {:>9}  of those came out afterwards, and {} before{}\n",
            grouped(self.waited),
            grouped(self.released),
            grouped(self.released_before_confirmation),
            if self.released_before_confirmation == 0 { "" } else { ": A LEAK" },
        );
        if let Some(ms) = self.released_ms {
            text.push_str(&format!(
                "  {ms:>6} ms  from the acknowledgement until the last of them had come out\n"
            ));
        }
        text
    }
}

/// The order in which ends are told.
fn order(outcome: Outcome) -> u8 {
    match outcome {
        Some((End::Forwarded, _)) => 0,
        Some((End::Dropped, _)) => 1,
        Some((End::Held, _)) => 2,
        Some((End::Quarantined, _)) => 3,
        None => 4,
    }
}

/// Everything that does not add up.
fn faults(evidence: &Evidence) -> Vec<String> {
    let mut faults = Vec::new();
    let read = evidence.totals.read;
    // At least once: what was read again is decided again, and may be decided otherwise by then. So it may
    // be in the sink and count as dropped; but nothing may be lost, or counted and not be there.
    let again = read.saturating_sub(evidence.sent);
    let exact = again == 0 && evidence.duplicates == 0;
    if evidence.sent > read {
        faults.push(format!("{} events were sent and {read} read", evidence.sent));
    }
    for (at, route) in evidence.totals.routes.iter().enumerate() {
        let (counted, forwarded) = (route.counted(), route.ended(Some(End::Forwarded)));
        if counted != read + route.released {
            faults.push(format!("{}: {read} were read and {counted} are accounted for", route.route));
        }
        let found = evidence.in_sinks.get(at).copied().unwrap_or(0);
        if found + again < forwarded || (exact && found != forwarded) {
            faults.push(format!(
                "{}: {forwarded} were counted as forwarded and {found} are in the sink",
                route.route
            ));
        }
    }
    // A record is set aside once, whether for one route or for all: between the most and the sum.
    let aside = || evidence.totals.routes.iter().map(|route| route.ended(Some(End::Quarantined)));
    let (most_of_one, all) = (aside().max().unwrap_or(0), aside().sum::<u64>());
    let (least, most) = (most_of_one.saturating_sub(again), all);
    if !(least..=most).contains(&evidence.in_quarantine) {
        let found = evidence.in_quarantine;
        faults.push(format!("quarantine: {found} records, where {least} to {most} were counted"));
    }
    if evidence.withdrawal.subject_events_after > 0 && evidence.withdrawal.effective.is_none() {
        faults.push("withdrawal: none of the events sent after it came out of the exempt route".to_owned());
    }
    let opt_in = &evidence.opt_in;
    if opt_in.confirmed && opt_in.released < opt_in.waited {
        let left = opt_in.waited - opt_in.released;
        faults.push(format!("double opt-in: {left} events did not come out after the confirmation"));
    }
    faults
}

/// `12,345`.
pub fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::consent::Reason;

    fn evidence() -> Evidence {
        let counts = vec![
            (None, 1),
            (Some((End::Forwarded, Reason::Permitted)), 4),
            (Some((End::Dropped, Reason::Withdrawn)), 3),
            (Some((End::Quarantined, Reason::Malformed)), 2),
        ];
        let route = |name: &str| RouteTotals { route: name.to_owned(), counts: counts.clone(), released: 0 };
        Evidence {
            seconds: 5.04,
            sent: 10,
            consents: 3,
            totals: PipelineTotals {
                pipeline: "shop".into(),
                read: 10,
                routes: vec![route("a"), route("b")],
            },
            in_sinks: vec![4, 4],
            in_quarantine: 2,
            duplicates: 0,
            withdrawal: Findings {
                subject_events_after: 5,
                leaked: 0,
                effective: Some(Duration::from_micros(12_340)),
                last_forwarded: None,
            },
            opt_in: Released { waited: 4, released: 4, confirmed: true, ..Released::default() },
        }
    }

    #[test]
    fn what_adds_up_passes() {
        let summary = Summary::new(evidence());
        assert!(summary.passed(), "{:?}", summary.faults);
        let json = serde_json::to_value(&summary).unwrap();
        assert_eq!(json["routes"][1]["dropped"]["withdrawn"], 3);
        assert_eq!(json["routes"][1]["in_sink"], 4);
        assert_eq!(json["withdrawal"]["effective_ms"], 12.3);
        assert_eq!(json["mock"], true);
        assert!(summary.text().contains("forwarded           4  permitted"), "{}", summary.text());
    }

    #[test]
    fn whatever_is_missing_or_too_many_is_named() {
        type Wrong = (fn(&mut Evidence), &'static str);
        let wrong: [Wrong; 8] = [
            (|e| e.opt_in.released = 3, "double opt-in: 1 events did not come out"),
            (|e| e.sent = 11, "11 events were sent and 10 read"),
            (
                |e| (e.duplicates, e.in_sinks[1]) = (7, 3),
                "b: 4 were counted as forwarded and 3 are in the sink",
            ),
            (|e| e.totals.routes[1].counts[0].1 = 0, "b: 10 were read and 9 are accounted for"),
            (|e| e.in_sinks[0] = 5, "a: 4 were counted as forwarded and 5 are in the sink"),
            (|e| e.in_sinks.truncate(1), "b: 4 were counted as forwarded and 0 are in the sink"),
            (|e| e.in_quarantine = 5, "quarantine: 5 records, where 2 to 4 were counted"),
            (|e| e.withdrawal.effective = None, "withdrawal: none of the events sent after it"),
        ];
        for (spoil, fault) in wrong {
            let mut evidence = evidence();
            spoil(&mut evidence);
            let summary = Summary::new(evidence);
            assert!(!summary.passed() && summary.faults[0].starts_with(fault), "{:?}", summary.faults);
            assert!(summary.text().contains("IT DOES NOT BALANCE"));
        }
    }

    #[test]
    fn what_was_read_again_may_be_in_a_sink_and_count_as_dropped() {
        let mut evidence = evidence();
        (evidence.duplicates, evidence.in_sinks[0]) = (1, 5);
        let summary = Summary::new(evidence);
        assert!(summary.passed(), "{:?}", summary.faults);
    }

    #[test]
    fn a_leak_does_not_pass() {
        let mut evidence = evidence();
        evidence.withdrawal.leaked = 1;
        assert!(!Summary::new(evidence).passed());
    }

    #[test]
    fn what_comes_out_before_the_confirmation_does_not_pass() {
        let mut evidence = evidence();
        evidence.opt_in.early = 1;
        let summary = Summary::new(evidence);
        assert!(!summary.passed() && summary.text().contains("and 1 before: A LEAK"), "{}", summary.text());
    }

    #[test]
    fn groups_thousands() {
        assert_eq!([0, 999, 1000, 1_234_567].map(grouped), ["0", "999", "1,000", "1,234,567"]);
    }
}
