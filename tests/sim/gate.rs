//! The barrier of the product, watched: which claim each batch was decided by, and what time it was.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use consentry::{
    cache::{Caches, Listener, View},
    follower::Gate,
    source::{Barrier, Claim},
    time::Clock,
};

use super::{
    cluster::SimCluster,
    ledger::{Batch, Worker},
    lies::Lie,
    process::worker_here,
};

pub struct SimGate {
    pub inner: Gate,
    pub cluster: SimCluster,
    pub caches: Arc<Caches>,
    /// The process's.
    pub clock: Arc<Clock>,
}

struct SimClaim<'c> {
    inner: Box<dyn Claim<'c> + 'c>,
    gate: &'c SimGate,
    worker: Worker,
    step: u64,
}

impl Barrier for SimGate {
    fn holds(&self, worker: usize, partitions: BTreeSet<usize>) {
        self.inner.holds(worker, partitions);
    }

    fn listen(&self) -> Arc<Listener> {
        self.caches.listen()
    }

    fn claim<'c>(&'c self, number: usize) -> Box<dyn Claim<'c> + 'c> {
        let SimCluster { world, process } = &self.cluster;
        world.step(*process, false);
        let worker = (*process, worker_here());
        let step = world.core().note(4, || format!("{worker:?} claims"));
        Box::new(SimClaim { inner: self.inner.claim(number), gate: self, worker, step })
    }
}

impl<'c> Claim<'c> for SimClaim<'c> {
    fn wait(&mut self, patience: Duration) -> Option<View<'c>> {
        let SimCluster { world, process } = &self.gate.cluster;
        world.step(*process, false);
        let skips = world.core().lies(Lie::NoBarrier);
        let view = if skips { self.gate.caches.view() } else { self.inner.wait(patience)? };
        world.views(*process);
        // No time passes until the worker asks what it is.
        let now = self.gate.clock.now().0;
        let mut core = world.core();
        let batch = Batch { claim: self.step, now };
        core.ledger.batches.entry(self.worker).or_default().push(batch);
        let (worker, step) = (self.worker, self.step);
        core.note(5, || format!("{worker:?} decides by its claim {step} at {now}"));
        Some(view)
    }

    fn age(&self) -> Duration {
        self.inner.age()
    }
}
