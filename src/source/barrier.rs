//! A barrier: what stands between fetching a batch and deciding it.
//!
//! The line knows nothing of how the cache is filled. It takes a claim for what it has fetched, waits, and
//! gets a view of the cache, or not yet.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use crate::cache::{Listener, View};

/// Stands between fetching a batch and deciding it.
pub trait Barrier: Send + Sync {
    /// A worker has events of partitions with these numbers, and of no other. Told before it makes a claim for
    /// any of them.
    fn holds(&self, worker: usize, partitions: BTreeSet<usize>);

    /// Somebody who is told when subjects change whom records wait for.
    fn listen(&self) -> Arc<Listener>;

    /// Makes a claim for everything that this worker has fetched, or learned of, by now.
    fn claim<'c>(&'c self, worker: usize) -> Box<dyn Claim<'c> + 'c>;
}

/// A batch's claim to a cache no older than its fetch.
pub trait Claim<'c> {
    /// Waits for at most `patience` until the cache is fresh enough. `None`: not yet.
    fn wait(&mut self, patience: Duration) -> Option<View<'c>>;

    /// How long ago the claim was made.
    fn age(&self) -> Duration;
}
