//! What a worker holds back, and what it says of that.
//!
//! The records stand in the hold topic; here is the index of them, whom they wait for, and what of it is still being
//! loaded. What becomes of them is in [`super::hold`].

use std::collections::BTreeMap;
use std::sync::Arc;

use super::Worker;
use super::replay::Replay;
use crate::cache::{Listener, SubjectId};
use crate::hold::Holding;
use crate::source::{Cluster, Place};
use crate::telemetry::Cause;
use crate::time::{Instant, Timestamp};

/// What a worker holds back.
pub(super) struct Held<C: Cluster> {
    pub(super) holding: Holding<SubjectId>,
    pub(super) listener: Arc<Listener>,
    /// The reader of each hold topic, made when it is needed.
    pub(super) replays: BTreeMap<String, Replay<C>>,
    /// Places whose held records are being loaded: nothing of them is fetched yet.
    pub(super) loading: BTreeMap<Place, usize>,
    /// When loading began last, until nothing is being loaded.
    pub(super) loads_since: Option<Instant>,
    /// So much waited at the last commit that nothing new was taken in.
    was_full: bool,
}

impl<C: Cluster> Held<C> {
    pub(super) fn new(listener: Arc<Listener>) -> Self {
        Self {
            holding: Holding::default(),
            listener,
            replays: BTreeMap::new(),
            loading: BTreeMap::new(),
            loads_since: None,
            was_full: false,
        }
    }

    /// Learns who has said something, and what time it is.
    pub(super) fn learn(&mut self, now: Timestamp) {
        let changed = self.listener.take();
        if changed.all {
            self.holding.wake_all();
        }
        changed.subjects.into_iter().for_each(|subject| self.holding.wake(subject));
        self.holding.tick(now);
    }
}

impl<C: Cluster> Worker<'_, C> {
    pub(super) fn wait_for(&self, subjects: &[SubjectId]) {
        let Some(held) = &self.held else { return };
        subjects.iter().for_each(|subject| held.listener.watch(*subject));
    }

    pub(super) fn wait_no_more(&self, subjects: &[SubjectId]) {
        let Some(held) = &self.held else { return };
        subjects.iter().for_each(|subject| held.listener.unwatch(*subject));
    }

    /// What was begun is committed.
    pub(super) fn holds_committed(&mut self) {
        let Some(Held { holding, listener, .. }) = &mut self.held else { return };
        holding.committed(|subject| listener.unwatch(subject));
        self.tell_held();
    }

    /// What was begun is undone.
    pub(super) fn holds_undone(&mut self) {
        let Some(Held { holding, listener, .. }) = &mut self.held else { return };
        holding.undone(|subject| listener.unwatch(subject));
        self.tell_held();
    }

    /// Says how much waits, and whether it is too much to take in more.
    pub(super) fn tell_held(&mut self) {
        let (line, number) = (self.line, self.number);
        let Some(held) = &mut self.held else { return };
        let routes = 0..line.rules().routes.len();
        line.held(number, routes.map(|route| held.holding.standing(route)).collect());
        let most = line.limits().held_bytes;
        let was_full = std::mem::replace(&mut held.was_full, held.holding.bytes() > most);
        let cause = Cause::HoldFull(line.name().to_owned(), number);
        match (was_full, held.was_full) {
            (false, true) => line.block(
                cause,
                format!("what waits takes more than `limits.held_bytes` = {most} bytes: raise it, or wait"),
            ),
            (true, false) => line.clear(&cause),
            (false, false) | (true, true) => {}
        }
    }

    /// It ends: nothing waits at it any more, whoever looks after that now.
    pub(super) fn leave_all_held(&mut self) {
        if self.held.take().is_some() {
            self.line.held(self.number, vec![(0, None); self.line.rules().routes.len()]);
            self.line.clear(&Cause::HoldFull(self.line.name().to_owned(), self.number));
            self.line.clear(&Cause::HoldLoading(self.line.name().to_owned(), self.number));
        }
    }

    /// Whether so much waits that nothing new may be taken in.
    pub(super) fn is_holding_too_much(&self) -> bool {
        let most = self.line.limits().held_bytes;
        self.held.as_ref().is_some_and(|held| held.holding.bytes() > most)
    }
}
