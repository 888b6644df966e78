//! The double opt-in: one person has asked for the newsletter, and events for them wait until they confirm.
//!
//! The generator says which events it sends and when the confirmation was acknowledged; the observer says what
//! came out of the newsletter's sink. What comes out before is a fault; what was sent before must come out after.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::time::Instant;

/// What was seen so far. Shared by the generator, the observer and the summary.
#[derive(Debug, Default)]
pub struct OptIn(Mutex<Notes>);

#[derive(Debug, Default)]
struct Notes {
    waiting: Vec<u64>,
    said: bool,
    confirmed: Option<Instant>,
    early: u64,
    released: u64,
    last: Option<Instant>,
}

/// What came of it.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Released {
    /// Events that were sent before the person confirmed.
    pub waited: u64,
    /// Those of them that came out after.
    pub released: u64,
    /// Those that came out before.
    pub early: u64,
    /// The confirmation was acknowledged.
    pub confirmed: bool,
    /// From the acknowledgement until the last of them had come out.
    pub took: Option<Duration>,
}

impl OptIn {
    /// An event of the person is about to be sent.
    pub fn sends(&self, number: u64) {
        let mut notes = self.notes();
        if !notes.said {
            notes.waiting.push(number);
        }
    }

    /// The person is about to confirm.
    pub fn confirms(&self) {
        self.notes().said = true;
    }

    /// The broker acknowledged the confirmation.
    pub fn acknowledge(&self) {
        self.notes().confirmed.get_or_insert_with(Instant::now);
    }

    /// An event of the person came out of the newsletter's sink.
    pub fn came_out(&self, number: u64) {
        let mut notes = self.notes();
        if !notes.said {
            notes.early += 1;
        } else if let Some(at) = notes.waiting.iter().position(|own| *own == number) {
            notes.waiting.swap_remove(at);
            notes.released += 1;
            notes.last = Some(Instant::now());
        }
    }

    /// What came of it so far.
    pub fn released(&self) -> Released {
        let notes = self.notes();
        let waiting = u64::try_from(notes.waiting.len()).unwrap_or(u64::MAX);
        Released {
            waited: waiting + notes.released,
            released: notes.released,
            early: notes.early,
            confirmed: notes.confirmed.is_some(),
            took: notes.last.zip(notes.confirmed).map(|(last, confirmed)| last.since(confirmed)),
        }
    }

    fn notes(&self) -> MutexGuard<'_, Notes> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_comes_out_before_the_confirmation_is_early() {
        let opt_in = OptIn::default();
        [1, 2, 3].iter().for_each(|number| opt_in.sends(*number));
        opt_in.came_out(1);
        assert_eq!((opt_in.released().early, opt_in.released().waited), (1, 3));
        opt_in.confirms();
        opt_in.acknowledge();
        opt_in.sends(4);
        [2, 2, 4].iter().for_each(|number| opt_in.came_out(*number));
        let found = opt_in.released();
        assert_eq!((found.waited, found.released, found.early), (3, 1, 1), "the fourth did not wait");
        assert!(found.confirmed && found.took.is_some());
    }
}
