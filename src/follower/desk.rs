//! Where one subject is asked about, by people rather than by the line: what is known, and whether a change is
//! in force.
//!
//! An answer is never older than the question: it is given after a reading of the ends that began with it. Nobody
//! decides a record by it. Waiting here raises no alarm; a worker that waits for the same does.

use std::sync::{Arc, MutexGuard};
use std::time::Duration;

use thiserror::Error;

use super::Shared;
use super::state::State;
use crate::cache::View;
use crate::kafka::partition::of_subject;
use crate::time::Instant;

/// Why there is no answer.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum NotNow {
    /// Another process holds the partition.
    #[error("this instance does not hold consent partition {0}; another one of its group does")]
    Elsewhere(i32),
    /// The cache is not loaded, or has not caught up in time; `/ready` says why.
    #[error("the consent topic is not followed to its end at the moment: `/ready` says why")]
    Behind,
}

/// Asks the follower.
#[derive(Clone)]
pub struct Desk {
    shared: Arc<Shared>,
}

impl Desk {
    pub(super) const fn new(shared: Arc<Shared>) -> Self {
        Self { shared }
    }

    /// Sees what is known, fresh as of this call. `see` also gets the subject's partition where a cache a partition is
    /// held. The ends it is fresh up to come beside its answer, by partition.
    ///
    /// # Errors
    /// Nobody here can say.
    pub fn look<T>(
        &self,
        (kind, value): (&str, &str),
        patience: Duration,
        see: impl FnOnce(&View<'_>, Option<i32>) -> T,
    ) -> Result<(T, Arc<[i64]>), NotNow> {
        let began = Instant::now();
        let mut state = self.shared.state();
        let number = state.want();
        self.shared.changed.ring();
        loop {
            let own = self.own(&state, kind, value);
            let reading = state.reading().filter(|reading| reading.number >= number);
            let targets = reading.map(|reading| Arc::clone(&reading.targets));
            let sound =
                state.is_going() && !self.shared.caches.is_over() && self.shared.kept().misplaced.is_empty();
            if let Some(targets) = targets.filter(|_| sound) {
                match has_passed(&state, &targets, own) {
                    Some(true) => {
                        let view = self.shared.caches.view();
                        drop(state);
                        return Ok((see(&view, own), targets));
                    }
                    Some(false) => {}
                    None => return Err(NotNow::Elsewhere(own.unwrap_or_default())),
                }
            }
            state = self.wait(state, began, patience)?;
        }
    }

    /// Waits until what stands at these places, partition and offset, is applied to the cache: every decision from
    /// then on heeds it.
    ///
    /// # Errors
    /// It is not, or it is not for this process to apply.
    pub fn applied(&self, places: &[(i32, i64)], patience: Duration) -> Result<(), NotNow> {
        let began = Instant::now();
        let mut state = self.shared.state();
        loop {
            let mut all = true;
            for (partition, offset) in places {
                match reaches(&state, usize::try_from(*partition).ok(), offset.saturating_add(1)) {
                    Some(applied) => all &= applied,
                    None if state.is_going() => return Err(NotNow::Elsewhere(*partition)),
                    None => all = false,
                }
            }
            if all {
                return Ok(());
            }
            state = self.wait(state, began, patience)?;
        }
    }

    /// The subject's partition, where only a part of the topic is held.
    fn own(&self, state: &State, kind: &str, value: &str) -> Option<i32> {
        let sharded = self.shared.settings.share.is_part();
        sharded.then(|| of_subject(kind, value, state.partitions()))
    }

    fn wait<'s>(
        &'s self,
        state: MutexGuard<'s, State>,
        began: Instant,
        patience: Duration,
    ) -> Result<MutexGuard<'s, State>, NotNow> {
        let left = patience.checked_sub(began.elapsed()).filter(|left| !left.is_zero());
        let left = left.filter(|_| !self.shared.is_stopping()).ok_or(NotNow::Behind)?;
        Ok(self.shared.changed.wait(&self.shared.state, state, left))
    }
}

/// Whether this partition, or with `None` every one that is followed, has passed its target.
fn has_passed(state: &State, targets: &[i64], own: Option<i32>) -> Option<bool> {
    let passed = |at: usize| reaches(state, Some(at), targets.get(at).copied().unwrap_or(i64::MAX));
    match own {
        Some(own) => passed(usize::try_from(own).ok()?),
        None => Some(state.followed().all(|at| passed(at) == Some(true))),
    }
}

/// Whether everything below an offset is applied; `None`: the partition is not followed here.
fn reaches(state: &State, partition: Option<usize>, offset: i64) -> Option<bool> {
    Some(state.passed(partition?)?.is_some_and(|passed| passed >= offset))
}
