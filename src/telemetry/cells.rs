//! How counts are laid out: one cell for each way a record can end at a route, and why.

use crate::consent::{End, Reason};

/// Where a record stands for one route, and why. `None`: the route does not concern it.
pub type Outcome = Option<(End, Reason)>;

/// The ends in the order in which cells are laid out.
pub(super) const ENDS: [End; 4] = [End::Forwarded, End::Dropped, End::Held, End::Quarantined];

/// Cells of a route: one for `not_routed`, then one for each end and reason.
pub(super) const CELLS: usize = 1 + ENDS.len() * Reason::ALL.len();

/// The cell of an outcome.
pub(super) const fn cell(outcome: Outcome) -> usize {
    match outcome {
        None => 0,
        Some((end, reason)) => {
            let row = match end {
                End::Forwarded => 0,
                End::Dropped => 1,
                End::Held => 2,
                End::Quarantined => 3,
            };
            1 + row * Reason::ALL.len() + reason as usize
        }
    }
}

/// Every outcome in the order of its cell.
pub(super) fn outcomes() -> impl Iterator<Item = Outcome> {
    let ended = ENDS.into_iter().flat_map(|end| Reason::ALL.iter().map(move |reason| Some((end, *reason))));
    std::iter::once(None).chain(ended)
}
