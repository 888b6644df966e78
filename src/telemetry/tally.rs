//! The count of one batch: for each route, how many records ended where, and why.
//!
//! Plain arrays, owned by one worker; nothing is shared and nothing is allocated per record. What was
//! counted reaches the metrics only when the batch is committed (`flush`), and nothing of it when the
//! batch is aborted (`clear`), so that a record read twice is counted once.

use super::cells::{CELLS, Outcome, cell};
use super::totals::Totals;
use crate::consent::Reason;

/// The count of a batch.
#[derive(Clone, Debug)]
pub struct Tally {
    routes: Vec<[u64; CELLS]>,
    /// Records that waited and do no longer: the route, and what they waited for.
    released: Vec<(usize, Reason)>,
}

impl Tally {
    /// An empty count for a pipeline of so many routes.
    pub fn new(routes: usize) -> Self {
        Self { routes: vec![[0; CELLS]; routes], released: Vec::new() }
    }

    /// Counts one record for one route (its index in the pipeline). A route that is not there shows as
    /// a mismatch in `conserves`.
    pub fn add(&mut self, route: usize, outcome: Outcome) {
        if let Some(count) = self.routes.get_mut(route).and_then(|cells| cells.get_mut(cell(outcome))) {
            *count += 1;
        }
    }

    /// Counts one record for every route alike: what is decided before routes are looked at.
    pub fn add_all(&mut self, outcome: Outcome) {
        (0..self.routes.len()).for_each(|route| self.add(route, outcome));
    }

    /// Counts a record that waited at a route for this reason and does no longer. Where it ended is counted
    /// beside.
    pub fn release(&mut self, route: usize, reason: Reason) {
        self.released.push((route, reason));
    }

    /// How many records of a route ended so.
    pub fn count(&self, route: usize, outcome: Outcome) -> u64 {
        self.routes.get(route).and_then(|cells| cells.get(cell(outcome))).copied().unwrap_or(0)
    }

    /// Per route: read + released = forwarded + dropped + held + quarantined + not routed.
    ///
    /// # Errors
    /// The first route where a record is missing or counted twice: the batch must not be committed.
    pub fn conserves(&self, read: u64) -> Result<(), Mismatch> {
        let uneven = |(route, cells): (usize, &[u64; CELLS])| {
            let counted = cells.iter().sum();
            let released = self.released.iter().filter(|(own, _)| *own == route).count();
            let read = read + u64::try_from(released).unwrap_or(u64::MAX);
            (counted != read).then_some(Mismatch { route, read, counted })
        };
        self.routes.iter().enumerate().find_map(uneven).map_or(Ok(()), Err)
    }

    /// Adds the batch to the totals and the metrics, once it is committed, and begins anew.
    pub fn flush(&mut self, totals: &Totals, read: u64) {
        totals.read(read);
        self.released.iter().for_each(|(route, reason)| totals.released(*route, *reason));
        for (route, cells) in self.routes.iter().enumerate() {
            cells
                .iter()
                .enumerate()
                .filter(|(_, count)| **count > 0)
                .for_each(|(cell, count)| totals.add(route, cell, *count));
        }
        self.clear();
    }

    /// Forgets the batch: it was aborted and will be read again.
    pub fn clear(&mut self) {
        self.routes.iter_mut().for_each(|cells| cells.fill(0));
        self.released.clear();
    }
}

/// A record disappeared, or was counted twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "route {route}: {read} records were read or released and {counted} are accounted for; \
     the batch is not committed and the worker stops: please report this"
)]
pub struct Mismatch {
    /// The route's index in its pipeline.
    pub route: usize,
    /// Records of the batch, released ones included.
    pub read: u64,
    /// Records that ended somewhere.
    pub counted: u64,
}

#[cfg(test)]
mod tests {
    use super::super::cells::outcomes;
    use super::*;
    use crate::consent::{End, Reason};

    #[test]
    fn every_outcome_has_a_cell_of_its_own() {
        let cells: Vec<usize> = outcomes().map(cell).collect();
        assert_eq!(cells, (0..CELLS).collect::<Vec<_>>());
    }

    #[test]
    fn a_lost_record_and_a_record_counted_twice_are_found() {
        let mut tally = Tally::new(2);
        tally.add(0, Some((End::Forwarded, Reason::Permitted)));
        tally.add(0, None);
        tally.add_all(Some((End::Quarantined, Reason::Malformed)));
        assert_eq!(tally.conserves(3), Err(Mismatch { route: 1, read: 3, counted: 1 }));
        tally.add(1, Some((End::Dropped, Reason::Withdrawn)));
        tally.add(1, Some((End::Held, Reason::NoConsent)));
        assert_eq!(tally.conserves(3), Ok(()));
        tally.add(1, None);
        assert_eq!(tally.conserves(3), Err(Mismatch { route: 1, read: 3, counted: 4 }));
        tally.release(1, Reason::NoConsent);
        assert_eq!(tally.conserves(3), Ok(()), "it had been held before");
    }

    #[test]
    fn an_aborted_batch_leaves_no_trace_and_a_committed_one_is_added_once() {
        let totals = Totals::new("tally-test", &["a".to_owned()]);
        let mut tally = Tally::new(1);
        tally.add(0, None);
        tally.clear();
        assert_eq!(tally.conserves(0), Ok(()));
        tally.add(0, Some((End::Forwarded, Reason::Reduced)));
        tally.flush(&totals, 1);
        tally.flush(&totals, 0);
        let now = totals.snapshot();
        assert_eq!(now.read, 1);
        assert_eq!(now.routes[0].counts, [(Some((End::Forwarded, Reason::Reduced)), 1)]);
    }
}
