//! The watch: readings of the high watermarks, what the topic is, and what is in the way.

use std::sync::Arc;
use std::time::Duration;

use metrics::Gauge;

use super::settings::{Freshness, ShareSettings};
use super::sources::Sources;
use super::state::{Reading, State, Stop};
use super::{FollowerError, Shared};
use crate::kafka::inspect::{MIN_DELETE_RETENTION_MS, consent_faults};
use crate::source::{Cluster, Purpose, Survey, TopicError, Topics, pace};
use crate::telemetry::{Cause, Metric};
use crate::time::Instant;

/// Without anybody waiting the topic is looked at this often.
const IDLE: Duration = Duration::from_millis(500);
/// A look that fails is repeated after this long.
const RETRY: Duration = Duration::from_millis(200);
/// How long a look may take.
const ASK_WITHIN: Duration = Duration::from_secs(5);
/// How often a topic that cannot be followed is looked at again.
const UNSUITABLE_AGAIN: Duration = Duration::from_secs(5);
/// How often the cache's memory is summed.
const SIZE_EVERY: Duration = Duration::from_secs(5);
/// How often the configuration of a topic that can be followed is looked at again.
const SUITABLE_FOR: Duration = Duration::from_secs(300);

/// Watches the consent topic.
pub struct Watch<C: Cluster> {
    shared: Arc<Shared>,
    cluster: C,
    /// Sees what is acknowledged, committed or not, and which topic that is.
    survey: C::Survey,
    /// The topics that must have as many partitions.
    sources: Option<Sources<C>>,
    gauges: Gauges,
    /// When the cache's memory was last summed.
    sized_at: Option<Instant>,
    /// When the topic was last found to be configured as it must be.
    suitable_at: Option<Instant>,
}

struct Gauges {
    subjects: Gauge,
    invalid: Gauge,
    splits: Gauge,
    conflicted: Gauge,
    bytes: Gauge,
    unreadable: Gauge,
    misplaced: Gauge,
    partitions: Gauge,
    staleness: Gauge,
    lag: Vec<Gauge>,
}

impl<C: Cluster> Watch<C> {
    /// A watch that has not looked yet.
    pub fn new(shared: Arc<Shared>, cluster: C) -> Result<Self, FollowerError> {
        let survey = cluster.survey(Purpose::Consent)?;
        let gauge = |metric: Metric| metric.gauge(&[]);
        let gauges = Gauges {
            subjects: gauge(Metric::ConsentSubjects),
            invalid: gauge(Metric::ConsentInvalid),
            splits: gauge(Metric::ConsentSplits),
            conflicted: gauge(Metric::ConsentConflicted),
            bytes: gauge(Metric::ConsentBytes),
            unreadable: gauge(Metric::ConsentUnreadableKeys),
            misplaced: gauge(Metric::ConsentMisplacedKeys),
            partitions: gauge(Metric::ConsentPartitions),
            staleness: gauge(Metric::ConsentStaleness),
            lag: Vec::new(),
        };
        shared.health.block(Cause::ConsentLoading, "the consent topic has not been read yet".to_owned());
        let sources = match &shared.settings.share {
            ShareSettings::Whole => None,
            ShareSettings::OfEvents(topics) => Some(Sources::new(&cluster, topics)?),
        };
        Ok(Self { sized_at: None, suitable_at: None, shared, cluster, survey, sources, gauges })
    }

    /// Looks until the follower stops.
    pub fn run(mut self) {
        while !self.shared.is_stopping() {
            self.sleep();
            let began = Instant::now();
            let number = self.shared.state().begin();
            let pause = match self.look(number, began) {
                Ok(()) => None,
                Err(stop) => {
                    let pause = if matches!(stop, Stop::Unsuitable(_)) { UNSUITABLE_AGAIN } else { RETRY };
                    self.shared.state().fail(stop);
                    Some(pause)
                }
            };
            self.shared.changed.ring();
            self.report();
            if let Some(pause) = pause {
                self.rest(pause);
            }
        }
    }

    /// Waits until somebody wants a reading, or for the idle interval.
    fn sleep(&self) {
        let interval = match self.shared.settings.freshness {
            Freshness::Barrier => IDLE,
            Freshness::Within(age) => IDLE.min(age / 4),
        };
        let began = Instant::now();
        let mut state = self.shared.state();
        while !state.is_wanted() && !self.shared.is_stopping() {
            let Some(left) = interval.checked_sub(began.elapsed()).filter(|left| !left.is_zero()) else {
                break;
            };
            state = self.shared.changed.wait(&self.shared.state, state, left);
        }
    }

    fn rest(&self, pause: Duration) {
        let began = Instant::now();
        while began.elapsed() < pause && !self.shared.is_stopping() {
            pace::sleep(Duration::from_millis(20));
        }
    }

    /// One reading: fresh metadata first, so that new partitions are loaded; then every end.
    fn look(&mut self, number: u64, began: Instant) -> Result<(), Stop> {
        let topic = self.shared.settings.topic.clone();
        let count = self.survey.partitions(&topic, ASK_WITHIN).map_err(stop)?;
        if let Some(sources) = &mut self.sources {
            sources.check(&topic, count, ASK_WITHIN)?;
        }
        self.survey.hold_on(&topic, ASK_WITHIN).map_err(|error| stop(error.into()))?;
        let topic_id = self.survey.topic_id();
        self.check_topic(&topic)?;
        let mark = self.shared.state().mark();
        let ends = self.survey.ends(&topic, count, ASK_WITHIN).map_err(stop)?;
        let (went_back, known) = {
            let state = self.shared.state();
            (state.went_back(&mark, &ends, topic_id.as_deref()), state.partitions())
        };
        if let Some(why) = went_back {
            tracing::info!(
                topic,
                why,
                partitions = count,
                topic_id,
                "reading the consent topic from its beginning"
            );
            self.shared
                .health
                .block(Cause::ConsentLoading, format!("reading `{topic}` from its beginning: {why}"));
            self.shared.state().reset(count, topic_id.clone());
            // It may be configured otherwise than the one before: nothing is decided until that is known.
            if self.shared.checks_topic {
                self.suitable_at = None;
                return self.check_topic(&topic);
            }
        } else if count > known {
            tracing::info!(topic, partitions = count, "the consent topic has new partitions");
            self.shared.state().extend(count);
        }
        let mut state = self.shared.state();
        state.follow();
        state.identify(topic_id);
        state.complete(Reading { number, began, targets: ends.into() });
        Ok(())
    }

    /// Whether the topic keeps every subject's last word, and tombstones long enough.
    fn check_topic(&mut self, topic: &str) -> Result<(), Stop> {
        let is_recent = self.suitable_at.is_some_and(|at| at.elapsed() < SUITABLE_FOR);
        if is_recent || !self.shared.checks_topic {
            return Ok(());
        }
        let config = self.cluster.topics().and_then(|topics| topics.config(topic));
        let config = config.map_err(stop)?;
        let value = |name: &str| config.get(name).map(String::as_str);
        let faults = consent_faults(topic, value("cleanup.policy"), value("delete.retention.ms"));
        if let Some(fault) = faults.first() {
            return Err(Stop::Unsuitable(format!("{}: {}", fault.message, fault.help)));
        }
        let kept = config.get("delete.retention.ms").and_then(|ms| ms.parse().ok());
        self.shared.state().keeps_tombstones(Duration::from_millis(kept.unwrap_or(MIN_DELETE_RETENTION_MS)));
        self.suitable_at = Some(Instant::now());
        Ok(())
    }

    /// Says what is in the way, and how far the cache is.
    fn report(&mut self) {
        let census = self.shared.caches.census();
        // Summed over every shard: not at each of the many readings a second.
        if self.sized_at.is_none_or(|at| at.elapsed() >= SIZE_EVERY) {
            self.sized_at = Some(Instant::now());
            #[allow(clippy::cast_precision_loss, reason = "a gauge is a float")]
            self.gauges.bytes.set(self.shared.caches.bytes() as f64);
        }
        #[allow(clippy::cast_precision_loss, reason = "a gauge is a float")]
        for (gauge, count) in [
            (&self.gauges.subjects, census.subjects),
            (&self.gauges.invalid, census.invalid),
            (&self.gauges.splits, census.splits),
            (&self.gauges.conflicted, census.conflicted),
        ] {
            gauge.set(count as f64);
        }
        let state = self.shared.state();
        let stale = state.fresh_at().map_or(f64::INFINITY, |at| at.elapsed().as_secs_f64());
        self.gauges.staleness.set(stale);
        let lags = lags(&state);
        while self.gauges.lag.len() < lags.len() {
            self.gauges.lag.push(Metric::ConsentLag.gauge(&[&self.gauges.lag.len().to_string()]));
        }
        #[allow(clippy::cast_precision_loss, reason = "a gauge is a float")]
        self.gauges.lag.iter().zip(lags).for_each(|(gauge, lag)| gauge.set(lag as f64));
        #[allow(clippy::cast_precision_loss, reason = "a gauge is a float")]
        {
            let kept = self.shared.kept();
            self.gauges.unreadable.set(kept.unreadable.len() as f64);
            self.gauges.misplaced.set(kept.misplaced.len() as f64);
            self.gauges.partitions.set(state.followed().count() as f64);
        }
        super::standing::report(&self.shared, &state);
    }
}

/// How many offsets each partition is behind the last reading.
fn lags(state: &State) -> Vec<i64> {
    let mut lags = vec![0; state.partitions()];
    for (partition, passed, target) in state.behind() {
        if let Some(lag) = lags.get_mut(partition) {
            *lag = target - passed;
        }
    }
    lags
}

pub(super) fn stop(error: TopicError) -> Stop {
    match error {
        TopicError::Missing(_) => Stop::Missing,
        TopicError::Failed(_) | TopicError::Refused(..) => Stop::Unreachable(error.to_string()),
    }
}
