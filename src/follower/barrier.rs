//! What a worker waits at between fetching a batch and deciding it.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use super::Shared;
use super::settings::Freshness;
use super::share::Holder;
use super::state::State;
use crate::cache::{Listener, View};
use crate::source::{Barrier, Claim};
use crate::time::Instant;

/// The follower's barrier, for one pipeline.
pub struct Gate {
    shared: Arc<Shared>,
    pipeline: usize,
}

/// A claim to the next reading to begin.
struct Ticket<'c> {
    shared: &'c Shared,
    holder: Holder,
    number: u64,
    since: Instant,
    /// The targets of its reading, and the reset they belong to: those of a topic that is gone are void.
    targets: Option<(u64, Arc<[i64]>)>,
}

impl Gate {
    pub(super) const fn new(shared: Arc<Shared>, pipeline: usize) -> Self {
        Self { shared, pipeline }
    }
}

impl Barrier for Gate {
    fn holds(&self, worker: usize, partitions: BTreeSet<usize>) {
        self.shared.state().hold((self.pipeline, worker), partitions);
    }

    fn listen(&self) -> Arc<Listener> {
        self.shared.caches.listen()
    }

    fn claim<'c>(&'c self, worker: usize) -> Box<dyn Claim<'c> + 'c> {
        let number = self.shared.state().want();
        self.shared.changed.ring();
        let since = Instant::now();
        self.shared.waiting().push((number, since));
        Box::new(Ticket {
            shared: &self.shared,
            holder: (self.pipeline, worker),
            number,
            since,
            targets: None,
        })
    }
}

impl<'c> Claim<'c> for Ticket<'c> {
    fn wait(&mut self, patience: Duration) -> Option<View<'c>> {
        let began = Instant::now();
        let mut state = self.shared.state();
        loop {
            if self.shared.may_decide(&state) && self.is_met(&state) {
                // The view is taken while the state is locked: a reset comes before or after, not between, and what
                // is not followed any more is unloaded only after the state has said so.
                let view = self.shared.caches.view();
                drop(state);
                return Some(view);
            }
            let left = patience.checked_sub(began.elapsed()).filter(|left| !left.is_zero())?;
            if self.shared.is_stopping() {
                return None;
            }
            state = self.shared.changed.wait(&self.shared.state, state, left);
        }
    }

    fn age(&self) -> Duration {
        self.since.elapsed()
    }
}

impl Ticket<'_> {
    fn is_met(&mut self, state: &State) -> bool {
        match self.shared.settings.freshness {
            Freshness::Within(age) => state.fresh_at_for(self.holder).is_some_and(|at| at.elapsed() <= age),
            Freshness::Barrier => {
                if self.targets.as_ref().is_none_or(|(reset, _)| *reset != state.resets()) {
                    let reading = state.reading().filter(|reading| reading.number >= self.number);
                    self.targets = reading.map(|reading| (state.resets(), Arc::clone(&reading.targets)));
                }
                self.targets.as_ref().is_some_and(|(_, targets)| state.has_passed(targets, self.holder))
            }
        }
    }
}

impl Drop for Ticket<'_> {
    fn drop(&mut self) {
        let mut waiting = self.shared.waiting();
        let own = waiting.iter().position(|other| *other == (self.number, self.since));
        own.map(|index| waiting.swap_remove(index));
    }
}
