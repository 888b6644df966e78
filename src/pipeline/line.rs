//! What the workers of one pipeline share.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use thiserror::Error;

use super::counts::Counts;
use super::hold_topics::HoldTopics;
use super::judge::Judge;
use super::refusal::Refusals;
use super::settings::{Delivery, LineLimits, LineSettings, PipelineSettings, Start};
use crate::kafka::inspect::{Finding, uneven};
use crate::kafka::settings::TopicSettings;
use crate::policy::rules::Rules;
use crate::sink::kafka::Target;
use crate::source::{Barrier, Cluster, Reading, TopicError, Topics, WriteError, WriterSettings};
use crate::telemetry::{Cause, Health, HeldNow, Totals};
use crate::time::{Clock, Timestamp};

/// What a broker takes unless a topic says otherwise (`message.max.bytes`).
pub(super) const DEFAULT_MAX_BYTES: usize = 1_048_588;
/// How long a record waits at most for others of its batch: as a rule until the commit, which calls for it. What stands
/// in a topic of a transaction whose process is killed keeps readers waiting, so it is to stand there shortly.
const LONGEST_LINGER: Duration = Duration::from_millis(100);

/// What a transaction may take to end, beyond the time it gathers: readers wait so long at one whose writer
/// was killed.
const TRANSACTION_SPARE: Duration = Duration::from_secs(15);

/// Why a pipeline's topics cannot be used.
#[derive(Debug, Error)]
pub enum LineError {
    /// Topics to write to are missing.
    #[error("{0}: to be written to and not there: create them, or write `create: true` beside their names")]
    MissingSinks(String),
    /// The source topics have not as many partitions as the consent topic, and must have.
    #[error("{0}: {1}")]
    Uneven(String, String),
    /// A topic that records wait in would lose them.
    #[error("{0}: {1}")]
    Unsuitable(String, String),
    /// A topic cannot be asked about.
    #[error(transparent)]
    Topic(#[from] TopicError),
}

/// What a line is made of.
pub struct Parts<C> {
    /// The pipeline.
    pub settings: PipelineSettings,
    /// Its rules.
    pub rules: Arc<Rules>,
    /// How every line runs.
    pub line: LineSettings,
    /// The cluster.
    pub cluster: C,
    /// The process's name.
    pub instance: String,
    /// The policy's hash.
    pub policy_hash: String,
    /// What workers wait at.
    pub barrier: Box<dyn Barrier>,
    /// The process's readiness.
    pub health: Health,
    /// What the pipeline has done.
    pub totals: Arc<Totals>,
    /// The process's clock.
    pub clock: Arc<Clock>,
    /// Set when the process is to stop.
    pub stopping: Arc<AtomicBool>,
    /// Whether topics' configurations can be asked for; the embedded broker has none to tell.
    pub asks_limits: bool,
    /// The consent topic, where only those partitions of it are held whose numbers the sources' have.
    pub sharded_by: Option<String>,
}

/// One pipeline, as its workers share it.
pub struct Line<C> {
    pub(super) parts: Arc<Parts<C>>,
    sources: BTreeMap<String, usize>,
    /// One a route, then the quarantine.
    targets: RwLock<Arc<[Target]>>,
    holds: HoldTopics,
    pub(super) held: HeldNow,
    pub(super) counts: Counts,
    refusals: Refusals,
}

impl<C: Cluster> Line<C> {
    /// Looks at the pipeline's topics and makes those that it may make.
    pub fn build(parts: Arc<Parts<C>>) -> Result<Self, LineError> {
        let admin = parts.cluster.topics()?;
        let count = |topic: &str| admin.partitions(topic);
        let mut sources = BTreeMap::new();
        for topic in &parts.settings.topics {
            sources.insert(topic.clone(), count(topic)?);
        }
        if let Some(consent) = &parts.sharded_by {
            let found: Vec<_> = sources.iter().map(|(topic, count)| (topic.as_str(), *count)).collect();
            if let Some(Finding { message, help }) = uneven((consent, count(consent)?), &found) {
                return Err(LineError::Uneven(message, help));
            }
        }
        let most = sources.values().copied().max().unwrap_or(1);
        let (mut targets, mut missing) = (Vec::new(), Vec::new());
        for topic in parts.settings.sinks.iter().chain([&parts.settings.quarantine]) {
            match existing(&admin, topic, most) {
                Ok(partitions) => {
                    targets.push(Target {
                        topic: topic.name.clone(),
                        partitions,
                        max_bytes: DEFAULT_MAX_BYTES,
                    });
                }
                Err(TopicError::Missing(name)) => missing.push(format!("`{name}`")),
                Err(error) => return Err(error.into()),
            }
        }
        if !missing.is_empty() {
            return Err(LineError::MissingSinks(missing.join(", ")));
        }
        if parts.settings.start == Start::Latest {
            let begun = parts.cluster.begin_at_end(&parts.settings.group, &sources);
            begun.map_err(TopicError::from)?;
        }
        let pipeline = parts.settings.rules.name.clone();
        let routes: Vec<&str> = parts.rules.routes.iter().map(|route| route.name.as_str()).collect();
        let line = Self {
            holds: HoldTopics::build(&parts, &admin)?,
            held: HeldNow::new(&pipeline, &routes, parts.line.workers),
            counts: Counts::new(&pipeline),
            refusals: Refusals::default(),
            parts,
            sources,
            targets: RwLock::new(targets.into()),
        };
        line.learn_limits()?;
        Ok(line)
    }

    /// Asks how many partitions each sink has, and how large a record it takes. Where that may not be asked,
    /// the default stands, and a refusal is found out by trying.
    pub fn learn_limits(&self) -> Result<(), LineError> {
        if !self.parts.asks_limits {
            return Ok(());
        }
        let admin = self.parts.cluster.topics()?;
        let mut targets = self.targets().to_vec();
        for target in &mut targets {
            target.partitions = admin.partitions(&target.topic)?;
            match admin.config(&target.topic) {
                Ok(config) => {
                    let max = config.get("max.message.bytes").and_then(|bytes| bytes.parse().ok());
                    target.max_bytes = max.unwrap_or(DEFAULT_MAX_BYTES);
                }
                Err(error) => {
                    tracing::warn!(topic = target.topic, %error, "cannot ask for `max.message.bytes`")
                }
            }
        }
        *self.targets.write().unwrap_or_else(PoisonError::into_inner) = targets.into();
        self.holds.learn_limits(&admin);
        Ok(())
    }

    /// Makes a worker's producer.
    pub fn open_writer(&self, worker: usize, cautious: bool) -> Result<C::Writer, WriteError> {
        let targets = self.targets();
        let sinks = targets.iter().map(|target| target.max_bytes);
        let smallest = sinks.chain(self.holds.smallest()).min().unwrap_or(DEFAULT_MAX_BYTES);
        let id = format!("consentry/{}/{}/{worker}", self.parts.instance, self.name());
        let settings = WriterSettings {
            timeout: self.transaction_timeout(),
            transactional_id: self.is_transactional().then_some(id),
            buffer_bytes: self.limits().in_flight_bytes / 2,
            batch_bytes: smallest.min(1_000_000),
            linger: LONGEST_LINGER.min(self.commit_interval()),
            cautious,
        };
        self.parts.cluster.open(&settings)
    }

    /// The sink of each route, then the quarantine, as they are known now.
    pub fn targets(&self) -> Arc<[Target]> {
        Arc::clone(&self.targets.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// The topics in which records wait.
    pub(super) const fn holds(&self) -> &HoldTopics {
        &self.holds
    }

    /// How many partitions a source topic had when the line was built.
    pub fn source_partitions(&self, topic: &str) -> usize {
        self.sources.get(topic).copied().unwrap_or(0)
    }

    /// The pipeline's name.
    pub fn name(&self) -> &str {
        &self.parts.settings.rules.name
    }

    /// The pipeline's settings.
    pub fn settings(&self) -> &PipelineSettings {
        &self.parts.settings
    }

    /// The pipeline's rules.
    pub fn rules(&self) -> &Arc<Rules> {
        &self.parts.rules
    }

    /// The limits of a batch.
    pub fn limits(&self) -> &LineLimits {
        &self.parts.line.limits
    }

    /// What decides the records of one worker.
    pub fn judge(&self) -> Judge<'_> {
        let limits = self.limits();
        Judge::new(self.rules(), limits.max_record_bytes, limits.max_depth)
    }

    /// How its workers read; `waits`: nothing of what is assigned, until something else is done.
    pub fn reading(&self, waits: bool) -> Reading {
        let queued_kib = self.limits().in_flight_bytes / 2048;
        Reading { accept_gap: self.accepts_gaps(), waits, queued_kib }
    }

    /// The cluster.
    pub fn cluster(&self) -> &C {
        &self.parts.cluster
    }

    /// The policy's hash.
    pub fn policy_hash(&self) -> &str {
        &self.parts.policy_hash
    }

    /// Records that the pipeline refuses to go past.
    pub(super) const fn refusals(&self) -> &Refusals {
        &self.refusals
    }

    /// What workers wait at.
    pub fn barrier(&self) -> &dyn Barrier {
        &*self.parts.barrier
    }

    /// How many workers it has.
    pub fn workers(&self) -> usize {
        self.parts.line.workers
    }

    /// How soon a reader is to have a record.
    pub fn commit_interval(&self) -> Duration {
        self.parts.line.commit_interval
    }

    /// Whether records and offsets are committed in one transaction.
    pub fn is_transactional(&self) -> bool {
        self.parts.line.delivery == Delivery::ExactlyOnce
    }

    /// How long a transaction may be open: as long as one gathers, and time to end it.
    pub fn transaction_timeout(&self) -> Duration {
        self.commit_interval() + TRANSACTION_SPARE
    }

    /// Whether records that are gone are passed over.
    pub fn accepts_gaps(&self) -> bool {
        self.parts.line.accept_gap
    }

    /// Whether the process is to stop.
    pub fn is_stopping(&self) -> bool {
        self.parts.stopping.load(Ordering::Relaxed)
    }

    /// Now.
    pub fn now(&self) -> Timestamp {
        self.parts.clock.now()
    }

    /// Raises a cause not to be ready.
    pub fn block(&self, cause: Cause, detail: String) {
        self.parts.health.block(cause, detail);
    }

    /// Takes a cause away.
    pub fn clear(&self, cause: &Cause) {
        self.parts.health.clear(cause);
    }
}

/// The partitions of a topic to write to, which is made if it may be.
fn existing(admin: &impl Topics, topic: &TopicSettings, partitions: usize) -> Result<usize, TopicError> {
    match admin.partitions(&topic.name) {
        Err(TopicError::Missing(_)) if topic.create => {
            tracing::info!(topic = topic.name, partitions, "making a topic");
            admin.create(&topic.name, partitions, &[])?;
            Ok(partitions)
        }
        other => other,
    }
}
