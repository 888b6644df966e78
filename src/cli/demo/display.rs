//! What is shown while it runs, on standard error: a table and a bar on a terminal, else a line every
//! two seconds. No colour is used, so there is none to switch off.

use std::io::IsTerminal;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::consent::End;
use crate::telemetry::{PipelineTotals, RouteTotals};

use super::super::note;
use super::experiment::Findings;
use super::summary::grouped;

/// Between two tables on a terminal.
const REDRAW: Duration = Duration::from_millis(200);
/// Between two lines elsewhere.
const LINE: Duration = Duration::from_secs(2);

/// What the other columns leave of eighty.
const LAST_COLUMN: usize = 24;

/// The progress on standard error.
pub struct Display {
    bar: Option<ProgressBar>,
    shown: Duration,
}

/// What there is to show.
pub struct Frame<'a> {
    /// Since the first event came out.
    pub passed: Duration,
    /// What the proxy counted.
    pub totals: &'a PipelineTotals,
    /// The withdrawal so far.
    pub withdrawal: Findings,
    /// Whether it was acknowledged.
    pub withdrawn: bool,
}

impl Display {
    /// `length`: how long it will run; `None`: until Ctrl-C.
    pub fn new(length: Option<Duration>) -> Self {
        let terminal = std::io::stderr().is_terminal();
        let bar = terminal.then(|| {
            let target = ProgressDrawTarget::stderr();
            let bar = ProgressBar::with_draw_target(length.map(|length| length.as_secs()), target);
            let template = match length {
                Some(_) => "{msg}\n{wide_bar} {pos} of {len} s",
                None => "{msg}\n{spinner} {pos} s, Ctrl-C ends it",
            };
            bar.set_style(
                ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar()),
            );
            bar
        });
        Self { bar, shown: Duration::ZERO }
    }

    /// A sentence about what happens now.
    pub fn say(&self, sentence: &str) {
        match &self.bar {
            Some(bar) => bar.println(sentence),
            None => note(&format!("{sentence}\n")),
        }
    }

    /// Shows `frame`, if it is time to.
    pub fn show(&mut self, frame: &Frame<'_>) {
        let every = if self.bar.is_some() { REDRAW } else { LINE };
        if frame.passed < self.shown + every {
            return;
        }
        self.shown = frame.passed;
        match &self.bar {
            Some(bar) => {
                bar.set_position(frame.passed.as_secs());
                bar.set_message(table(frame));
            }
            None => note(&(line(frame) + "\n")),
        }
    }

    /// Leaves the last table standing.
    pub fn finish(&self) {
        if let Some(bar) = &self.bar {
            bar.abandon();
        }
    }
}

fn ends(route: &RouteTotals) -> [String; 4] {
    let waiting = route.ended(Some(End::Held)).saturating_sub(route.released);
    let ended = |end| grouped(route.ended(Some(end)));
    [ended(End::Forwarded), ended(End::Dropped), grouped(waiting), ended(End::Quarantined)]
}

/// The reason for which most is dropped, cut to what a narrow terminal has left.
fn mostly(route: &RouteTotals) -> String {
    let mut reasons: Vec<(u64, &str)> = route
        .counts
        .iter()
        .filter_map(|(outcome, count)| match outcome {
            Some((End::Dropped, reason)) => Some((*count, reason.word())),
            Some((End::Forwarded | End::Held | End::Quarantined, _)) | None => None,
        })
        .collect();
    reasons.sort_unstable_by(|one, other| other.cmp(one));
    let told = reasons.first().map(|(count, reason)| format!("{reason} {}", grouped(*count)));
    told.unwrap_or_default().chars().take(LAST_COLUMN).collect()
}

fn table(frame: &Frame<'_>) -> String {
    let mut text = format!(
        "{:<12} {:>9} {:>8} {:>8} {:>11}  mostly dropped as\n",
        "route", "forwarded", "dropped", "waiting", "quarantined"
    );
    for route in &frame.totals.routes {
        let [forwarded, dropped, waiting, quarantined] = ends(route);
        let (name, mostly) = (&route.route, mostly(route));
        text.push_str(&format!(
            "{name:<12} {forwarded:>9} {dropped:>8} {waiting:>8} {quarantined:>11}  {mostly}\n"
        ));
    }
    text + &withdrawal(frame)
}

fn line(frame: &Frame<'_>) -> String {
    let mut text = format!("{:>3} s  {} read", frame.passed.as_secs(), grouped(frame.totals.read));
    for route in &frame.totals.routes {
        let [forwarded, dropped, ..] = ends(route);
        text.push_str(&format!("; {}: {forwarded} forwarded, {dropped} dropped", route.route));
    }
    if frame.withdrawn {
        text.push_str("; ");
        text.push_str(&withdrawal(frame));
    }
    text
}

fn withdrawal(frame: &Frame<'_>) -> String {
    let Findings { subject_events_after, leaked, effective, .. } = frame.withdrawal;
    match (frame.withdrawn, effective) {
        (false, _) => "withdrawal: not yet".to_owned(),
        (true, None) => "withdrawal: acknowledged".to_owned(),
        (true, Some(effective)) => format!(
            "withdrawal: in effect after {} ms; of {} events sent since, {leaked} forwarded",
            effective.as_millis(),
            grouped(subject_events_after)
        ),
    }
}
