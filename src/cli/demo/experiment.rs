//! The withdrawal experiment: one person keeps sending, takes everything back, and is watched.
//!
//! The generator says when the withdrawal was acknowledged and which event it sent first after it; the
//! observer says what came out of which sink and when. An event sent after the acknowledgement that comes
//! out of a route which asks for consent is a leak. The route that asks for none forwards in the same
//! batch in which the others drop: its first such event shows when the withdrawal was in effect.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::time::Instant;

/// What was seen so far. Shared by the generator, the observer and the summary.
#[derive(Debug, Default)]
pub struct Experiment {
    notes: Mutex<Notes>,
}

#[derive(Debug, Default)]
struct Notes {
    acknowledged: Option<Instant>,
    first_after: Option<u64>,
    sent_after: u64,
    leaked: u64,
    decided: Option<Instant>,
    last_before: Option<Instant>,
}

/// What came of it.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Findings {
    /// The person's events that were sent after the withdrawal was acknowledged.
    pub subject_events_after: u64,
    /// Those of them that a route which asks for consent forwarded.
    pub leaked: u64,
    /// From the acknowledgement until the first of them was dropped.
    pub effective: Option<Duration>,
    /// From the acknowledgement until the last event sent before it came out of a sink.
    pub last_forwarded: Option<Duration>,
}

impl Experiment {
    /// The broker acknowledged the withdrawal.
    pub fn acknowledge(&self) {
        self.notes().acknowledged.get_or_insert_with(Instant::now);
    }

    /// Whether it has.
    pub fn acknowledged(&self) -> bool {
        self.notes().acknowledged.is_some()
    }

    /// The person is about to send event number `number`.
    pub fn sends(&self, number: u64) {
        let mut notes = self.notes();
        if notes.acknowledged.is_some() {
            notes.first_after.get_or_insert(number);
            notes.sent_after += 1;
        }
    }

    /// The person's event came out of a route; `asks` if the route asks for consent.
    pub fn came_out(&self, number: u64, asks: bool) {
        let now = Instant::now();
        let mut notes = self.notes();
        let after = notes.first_after.is_some_and(|first| number >= first);
        match (after, asks) {
            (true, true) => notes.leaked += 1,
            (true, false) => {
                notes.decided.get_or_insert(now);
            }
            (false, true) => notes.last_before = Some(now),
            (false, false) => {}
        }
    }

    /// What came of it so far.
    pub fn findings(&self) -> Findings {
        let notes = self.notes();
        let since = |then: Option<Instant>| Some(then?.since(notes.acknowledged?));
        Findings {
            subject_events_after: notes.sent_after,
            leaked: notes.leaked,
            effective: since(notes.decided),
            last_forwarded: since(notes.last_before),
        }
    }

    fn notes(&self) -> MutexGuard<'_, Notes> {
        self.notes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_sent_after_the_acknowledgement_leaks_only_where_consent_is_asked_for() {
        let experiment = Experiment::default();
        experiment.sends(7);
        experiment.came_out(7, true);
        experiment.acknowledge();
        experiment.sends(8);
        experiment.came_out(7, true);
        experiment.came_out(8, false);
        let found = experiment.findings();
        assert_eq!((found.subject_events_after, found.leaked), (1, 0));
        assert!(found.effective.is_some() && found.last_forwarded.is_some());
        experiment.came_out(8, true);
        assert_eq!(experiment.findings().leaked, 1);
    }

    #[test]
    fn nothing_is_claimed_before_the_withdrawal() {
        let experiment = Experiment::default();
        experiment.sends(1);
        experiment.came_out(1, true);
        experiment.came_out(1, false);
        assert_eq!(experiment.findings(), Findings::default());
    }
}
