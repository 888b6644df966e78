//! Consent topic → cache, and the barrier that keeps decisions behind it.
//!
//! Two threads, and one more where a snapshot is kept. The **reader** follows every partition from its
//! beginning, or from where a snapshot ends, by hand and without a group, and applies what is committed. The
//! **watch** asks for the high watermarks, notices when the topic is not what it was, and says what is in the
//! way. A worker that has fetched a batch asks for a reading that begins after its fetch and waits until the
//! cache has passed it; only then does it get a view of the cache. So a change that Kafka acknowledged before
//! an event was appended governs that event.
//!
//! With [`settings::ShareSettings::OfEvents`] only those partitions are followed whose numbers are those of event
//! partitions that a worker of this process has, and a worker waits for its own.
//!
//! Nothing a message contains can stop the reader: a record that does not decode denies its subject, and a
//! key that nobody can read stops decisions, not the reading, until a tombstone for it comes.

mod apply;
mod barrier;
mod desk;
mod keys;
mod plan;
mod reader;
pub mod settings;
mod share;
mod silence;
mod snapshot;
mod sources;
mod standing;
mod state;
mod watch;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use thiserror::Error;

use crate::cache::Caches;
use crate::source::pace::Bell;
use crate::source::{Cluster, Failure};
use crate::telemetry::{Cause, Health};
use crate::time::Instant;
use keys::Kept;
use settings::{FollowerSettings, ShareSettings};
use share::{Held, Share};
use state::State;

pub use barrier::Gate;
pub use desk::{Desk, NotNow};

/// Why the consent topic cannot be followed at all.
#[derive(Debug, Error)]
pub enum FollowerError {
    /// A client cannot be made.
    #[error("cannot make a Kafka client for the consent topic: {0}")]
    Client(#[from] Failure),
    /// A thread cannot be started.
    #[error("cannot start a thread: {0}")]
    Thread(#[from] std::io::Error),
}

/// What reader, watch and workers share.
struct Shared {
    settings: FollowerSettings,
    /// How people reach the cluster.
    brokers: String,
    caches: Arc<Caches>,
    health: Health,
    /// Whether the topic's configuration is checked; the embedded broker has none to tell.
    checks_topic: bool,
    state: Mutex<State>,
    changed: Bell,
    kept: Mutex<Kept>,
    waiting: Mutex<Vec<(u64, Instant)>>,
    stopping: AtomicBool,
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::Relaxed)
    }

    fn waiting(&self) -> MutexGuard<'_, Vec<(u64, Instant)>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A thread of the follower has panicked: nothing is decided any more, and readiness says so.
    fn lost(&self) {
        let why = "a thread that follows the consent topic panicked: start the process anew".to_owned();
        tracing::error!(why);
        self.state().broken(why.clone());
        self.health.block(Cause::ConsentError, why);
        self.changed.ring();
    }

    /// How long the oldest ticket has waited.
    fn oldest_wait(&self) -> Option<Duration> {
        self.waiting().iter().map(|(_, since)| since.elapsed()).max()
    }

    /// Whether anything may be decided, but for freshness.
    fn may_decide(&self, state: &State) -> bool {
        state.is_going() && !self.is_empty(state) && !self.caches.is_over() && self.kept().is_empty()
    }

    /// Whether the topic holds no subject at all, and that is not meant. Of partitions that are not followed
    /// only the ends are known, and anything there counts.
    fn is_empty(&self, state: &State) -> bool {
        !self.settings.allow_empty && self.caches.census().subjects <= 0 && !state.has_elsewhere()
    }
}

/// The running follower. Dropping it stops it.
pub struct Follower {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
}

/// A thread of the follower that is to be started: its name, and what it does until the follower stops.
pub type Body = (&'static str, Box<dyn FnOnce() + Send>);

impl Follower {
    /// Begins to follow.
    ///
    /// # Errors
    /// A client or a thread that cannot be made. What is wrong with the topic is told by `health`, and is
    /// over when it is mended.
    pub fn start<C: Cluster + Clone + 'static>(
        cluster: &C,
        settings: &FollowerSettings,
        caches: Arc<Caches>,
        health: Health,
        checks_topic: bool,
    ) -> Result<Self, FollowerError> {
        // Dropped where one cannot be started, it stops those before.
        let (mut follower, bodies) = Self::build(cluster, settings, caches, health, checks_topic)?;
        for (name, body) in bodies {
            follower.threads.push(std::thread::Builder::new().name(name.to_owned()).spawn(body)?);
        }
        Ok(follower)
    }

    /// Makes a follower, and what its threads are to do. Until that is done it follows nothing.
    ///
    /// # Errors
    /// A client that cannot be made.
    pub fn build<C: Cluster + Clone + 'static>(
        cluster: &C,
        settings: &FollowerSettings,
        caches: Arc<Caches>,
        health: Health,
        checks_topic: bool,
    ) -> Result<(Self, Vec<Body>), FollowerError> {
        let shared = Arc::new(Shared {
            settings: settings.clone(),
            brokers: cluster.brokers(),
            caches,
            health,
            checks_topic,
            state: Mutex::new(State::new(match settings.share {
                ShareSettings::Whole => Share::Whole,
                ShareSettings::OfEvents(_) => Share::Held(Held::default()),
            })),
            changed: Bell::default(),
            kept: Mutex::default(),
            waiting: Mutex::default(),
            stopping: AtomicBool::new(false),
        });
        let reader = reader::Reader::new(Arc::clone(&shared), cluster.clone());
        let watch = watch::Watch::new(Arc::clone(&shared), cluster.clone())?;
        let guarded = |name, body: Box<dyn FnOnce() + Send>| -> Body {
            let shared = Arc::clone(&shared);
            let guarded = move || {
                if catch_unwind(AssertUnwindSafe(body)).is_err() {
                    shared.lost();
                }
            };
            (name, Box::new(guarded))
        };
        let mut bodies = vec![
            guarded("consent-reader", Box::new(move || reader.run())),
            guarded("consent-watch", Box::new(move || watch.run())),
        ];
        if let Some(settings) = &shared.settings.snapshot {
            let keeper = snapshot::Keeper::new(Arc::clone(&shared), settings.clone());
            bodies.push(guarded("consent-snapshot", Box::new(move || keeper.run())));
        }
        Ok((Self { shared, threads: Vec::new() }, bodies))
    }

    /// What the workers of a pipeline wait at; each pipeline has a number of its own.
    pub fn gate(&self, pipeline: usize) -> Gate {
        Gate::new(Arc::clone(&self.shared), pipeline)
    }

    /// What one subject is asked about at.
    pub fn desk(&self) -> Desk {
        Desk::new(Arc::clone(&self.shared))
    }
}

impl Drop for Follower {
    fn drop(&mut self) {
        self.shared.stopping.store(true, Ordering::Relaxed);
        self.shared.changed.ring();
        for thread in self.threads.drain(..) {
            if thread.join().is_err() {
                tracing::error!("a thread of the follower panicked");
            }
        }
    }
}
