//! Building the whole, running it, and stopping it in order.
//!
//! Made first, stopped last: the admin listener (so that readiness can be asked while everything else is
//! still being built), the follower, then the pipelines. A worker that ends for a passing reason is started
//! again after a pause, one that hangs in a call is left alone and replaced; one that ends for good ends the process.

mod due;
pub mod explain;
pub mod supervise;
pub mod verify;

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use thiserror::Error;

use crate::admin::{self, About, Admin, Board, ConsentFigures, Office};
use crate::cache::{Cache, Caches};
use crate::config::Ready;
use crate::follower::{Follower, FollowerError};
use crate::pipeline::End;
use crate::pipeline::line::{LineError, Parts};
use crate::pipeline::settings::Delivery;
use crate::policy::rules::{Rules, RulesError};
use crate::steward::Steward;
use crate::steward::settings::StewardSettings;
use crate::telemetry::{self, Cause, Health, Metric, PipelineTotals, Totals};
use crate::time::{Clock, Instant};

/// What is not in the configuration.
#[derive(Clone, Copy, Debug, Default)]
pub struct Options {
    /// The brokers are the embedded ones, which cannot tell how a topic is configured.
    pub embedded: bool,
}

/// Why the process cannot start, or ended.
#[derive(Debug, Error)]
pub enum Error {
    /// The rules do not compile.
    #[error(transparent)]
    Rules(#[from] RulesError),
    /// The admin listener cannot be started.
    #[error(transparent)]
    Admin(#[from] admin::Error),
    /// The consent topic cannot be followed at all.
    #[error(transparent)]
    Follower(#[from] FollowerError),
    /// There is no randomness to key the cache with.
    #[error("the system gives no random bytes: {0}")]
    Random(#[from] getrandom::Error),
    /// A thread cannot be started.
    #[error("cannot start a thread: {0}")]
    Thread(#[from] std::io::Error),
    /// A pipeline's topics cannot be used.
    #[error("pipeline `{0}`: {1}")]
    Line(String, LineError),
    /// A worker ended for good.
    #[error("pipeline `{0}`: {1}")]
    Worker(String, End),
    /// One worker after the other hangs in the client; what they had begun is read again.
    #[error(
        "pipeline `{0}`: one call to the brokers after the other hangs, and none can be ended but with the process"
    )]
    Hung(String),
    /// It cannot be told whose consent ends.
    #[error("{0}")]
    Due(crate::due::End),
    /// It did not stop in time.
    #[error("not stopped within `shutdown_timeout` = {} s; what was not committed is read again", .0.as_secs())]
    Slow(Duration),
}

impl Error {
    /// Whether the configuration is to blame.
    pub const fn is_configuration(&self) -> bool {
        match self {
            Self::Rules(_) => true,
            Self::Admin(_)
            | Self::Follower(_)
            | Self::Random(_)
            | Self::Thread(_)
            | Self::Line(..)
            | Self::Worker(..)
            | Self::Hung(_)
            | Self::Due(_)
            | Self::Slow(_) => false,
        }
    }
}

/// The running proxy. Dropping it stops it without waiting for long.
pub struct Proxy {
    stopping: Arc<AtomicBool>,
    failed: Mutex<Receiver<Error>>,
    /// Of the pipelines, and of the worker that tells whose consent ends.
    threads: Vec<JoinHandle<()>>,
    follower: Option<Follower>,
    admin: Admin,
    health: Health,
    totals: Vec<Arc<Totals>>,
    shutdown_timeout: Duration,
}

impl Proxy {
    /// Starts everything. What needs the brokers goes on in the background; `health` tells how far it is.
    ///
    /// # Errors
    /// What no waiting would mend: the configuration, the admin address, threads.
    pub fn start(ready: Ready, options: Options) -> Result<Self, Error> {
        let exporter = telemetry::install();
        let health = Health::new();
        Metric::BuildInfo.gauge(&[env!("CARGO_PKG_VERSION"), &ready.policy_hash]).set(1.0);
        let cache = Cache::new(ready.cache, &cache_key(&ready)?);
        let sharded = ready.follower.share.is_part();
        let caches = Arc::new(if sharded { Caches::sharded(cache) } else { Caches::whole(cache) });
        let (mut rules, mut totals) = (Vec::new(), Vec::new());
        for pipeline in &ready.pipelines {
            let compiled = Arc::new(Rules::compile(&ready.policy, &pipeline.rules)?);
            let routes: Vec<_> = compiled.routes.iter().map(|route| route.name.clone()).collect();
            totals.push(Arc::new(Totals::new(&compiled.name, &routes)));
            rules.push(compiled);
        }
        let about = About {
            instance: ready.instance.clone(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            policy: ready.policy_hash.clone(),
            delivery: match ready.line.delivery {
                Delivery::ExactlyOnce => "exactly_once".to_owned(),
                Delivery::AtLeastOnce => "at_least_once".to_owned(),
            },
            mock: options.embedded,
        };
        let office: Arc<OnceLock<Office>> = Arc::default();
        let board = Board {
            about,
            health: health.clone(),
            exporter,
            totals: totals.clone(),
            consent: figures(Arc::clone(&caches)),
            office: Arc::clone(&office),
        };
        let admin = admin::serve(&ready.admin, board)?;
        let checks_topic = !options.embedded;
        let follower =
            Follower::start(&ready.cluster, &ready.follower, caches, health.clone(), checks_topic)?;
        office.get_or_init(|| Office {
            instance: ready.instance.clone(),
            steward: Steward::new(steward_settings(&ready)),
            desk: follower.desk(),
            rules: rules.clone(),
            purposes: ready.policy.purposes.clone(),
        });
        let (tell, failed) = channel();
        let mut proxy = Self {
            stopping: Arc::default(),
            failed: Mutex::new(failed),
            threads: Vec::new(),
            follower: Some(follower),
            admin,
            health,
            totals,
            shutdown_timeout: ready.line.shutdown_timeout,
        };
        proxy.start_due(&ready, &tell)?;
        proxy.start_pipelines(ready, options, rules, &tell)?;
        Ok(proxy)
    }

    /// Starts the worker that tells whose consent ends, where anybody wants to be told.
    fn start_due(&mut self, ready: &Ready, tell: &Sender<Error>) -> Result<(), Error> {
        let Some(follower) = &self.follower else { return Ok(()) };
        // Pipelines have the numbers before.
        let gate = follower.gate(ready.pipelines.len());
        let Some(parts) = due::parts(ready, gate, &self.stopping) else { return Ok(()) };
        let (thread, tell) = (std::thread::Builder::new().name("due".to_owned()), tell.clone());
        self.threads.push(thread.spawn(move || due::keep(&parts, &tell))?);
        Ok(())
    }

    fn start_pipelines(
        &mut self,
        ready: Ready,
        options: Options,
        rules: Vec<Arc<Rules>>,
        tell: &Sender<Error>,
    ) -> Result<(), Error> {
        let clock = Arc::new(Clock::default());
        let left = Arc::new(std::sync::atomic::AtomicUsize::new(ready.pipelines.len()));
        let Some(follower) = &self.follower else { return Ok(()) };
        let sharded_by = ready.follower.share.is_part().then_some(ready.follower.topic);
        let pipelines = ready.pipelines.into_iter().zip(rules).zip(&self.totals);
        for (number, ((settings, rules), totals)) in pipelines.enumerate() {
            let parts = Parts {
                settings,
                rules,
                line: ready.line,
                cluster: ready.cluster.clone(),
                instance: ready.instance.clone(),
                policy_hash: ready.policy_hash.clone(),
                barrier: Box::new(follower.gate(number)),
                health: self.health.clone(),
                totals: Arc::clone(totals),
                clock: Arc::clone(&clock),
                stopping: Arc::clone(&self.stopping),
                asks_limits: !options.embedded,
                sharded_by: sharded_by.clone(),
            };
            let (tell, left) = (tell.clone(), Arc::clone(&left));
            let thread = std::thread::Builder::new().name(format!("pipeline-{}", parts.rules.name));
            self.threads.push(thread.spawn(move || supervise::pipeline(parts, &tell, &left))?);
        }
        Ok(())
    }

    /// Waits for at most `patience`; the error is why the process must end.
    pub fn wait(&self, patience: Duration) -> Result<(), Error> {
        let failed = self.failed.lock().unwrap_or_else(PoisonError::into_inner);
        match failed.recv_timeout(patience) {
            Ok(error) => Err(error),
            Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => Ok(()),
        }
    }

    /// The process's readiness.
    pub const fn health(&self) -> &Health {
        &self.health
    }

    /// Where the admin listener listens.
    pub fn admin_address(&self) -> SocketAddr {
        self.admin.address()
    }

    /// What each pipeline has done.
    pub fn totals(&self) -> Vec<PipelineTotals> {
        self.totals.iter().map(|totals| totals.snapshot()).collect()
    }

    /// Takes nothing new, commits what is begun, and ends.
    ///
    /// # Errors
    /// Not done within `shutdown_timeout`, or a failure on the way.
    pub fn stop(mut self) -> Result<(), Error> {
        self.health.block(Cause::Draining, "the process is stopping".to_owned());
        self.stopping.store(true, Ordering::Relaxed);
        let began = Instant::now();
        while self.threads.iter().any(|thread| !thread.is_finished()) {
            if began.elapsed() > self.shutdown_timeout {
                return Err(Error::Slow(self.shutdown_timeout));
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        for thread in self.threads.drain(..) {
            if thread.join().is_err() {
                tracing::error!("a thread panicked");
            }
        }
        drop(self.follower.take());
        self.wait(Duration::ZERO)
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.stopping.store(true, Ordering::Relaxed);
    }
}

/// Where consent is written, by whoever writes it for this configuration.
pub fn steward_settings(ready: &Ready) -> StewardSettings {
    StewardSettings {
        cluster: ready.cluster.clone(),
        topic: ready.follower.topic.clone(),
        format: ready.follower.format,
        max_grants: ready.cache.max_grants,
        signals: ready.follower.signals.clone(),
    }
}

/// The key that subjects are hashed under: of this process alone, unless the cache outlives it.
fn cache_key(ready: &Ready) -> Result<[u8; 16], getrandom::Error> {
    if let Some(snapshot) = &ready.follower.snapshot {
        return Ok(snapshot.key.0);
    }
    let mut key = [0; 16];
    getrandom::fill(&mut key).map(|()| key)
}

fn figures(caches: Arc<Caches>) -> Arc<dyn Fn() -> ConsentFigures + Send + Sync> {
    Arc::new(move || {
        let census = caches.census();
        let count = |count: i64| u64::try_from(count).unwrap_or(0);
        ConsentFigures {
            subjects: count(census.subjects),
            invalid: count(census.invalid),
            splits: count(census.splits),
            conflicted: count(census.conflicted),
        }
    })
}
