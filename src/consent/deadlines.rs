//! When waiting runs out: each reason to wait has a deadline, which runs from the first time a record was held
//! for that reason (whatever else it was held for in between).
//!
//! A contact window has none: it opens within days, or the record is dropped at once.

use super::reason::Reason;
use crate::time::Timestamp;

/// The deadlines of a record that is held, by reason.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Deadlines([Option<Timestamp>; 4]);

/// The reasons that wait for a limited time.
const LIMITED: [Reason; 4] =
    [Reason::Unconfirmed, Reason::Unanswered, Reason::UnknownSubject, Reason::NoConsent];

impl Deadlines {
    /// When waiting for this reason runs out, if it has begun.
    pub fn of(&self, reason: Reason) -> Option<Timestamp> {
        self.iter().find(|(own, _)| *own == reason).map(|(_, until)| until)
    }

    /// Waiting for this reason begins, unless it has begun. True if that is new.
    pub fn begin(&mut self, reason: Reason, until: Timestamp) -> bool {
        let mut slots = LIMITED.iter().zip(&mut self.0);
        let slot = slots.find(|(own, slot)| **own == reason && slot.is_none());
        slot.map(|(_, slot)| *slot = Some(until)).is_some()
    }

    /// Every deadline that has begun.
    pub fn iter(&self) -> impl Iterator<Item = (Reason, Timestamp)> + '_ {
        LIMITED.iter().zip(&self.0).filter_map(|(reason, until)| Some((*reason, (*until)?)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_deadline_runs_from_the_first_time() {
        let mut deadlines = Deadlines::default();
        assert!(deadlines.begin(Reason::Unconfirmed, Timestamp(5)));
        assert!(!deadlines.begin(Reason::Unconfirmed, Timestamp(9)));
        assert!(deadlines.begin(Reason::NoConsent, Timestamp(7)));
        assert!(!deadlines.begin(Reason::OutsideContactWindow, Timestamp(7)), "it has none");
        let all: Vec<_> = deadlines.iter().collect();
        assert_eq!(all, [(Reason::Unconfirmed, Timestamp(5)), (Reason::NoConsent, Timestamp(7))]);
        assert_eq!(deadlines.of(Reason::Unanswered), None);
    }
}
