//! Raw structs → each room's own settings, checked.
//!
//! Every function here returns a value whatever it finds: a stand-in where the file is wrong, so that
//! the rest is looked at too. A stand-in never gets out, because `parse` returns the problems then.

mod admin;
mod cluster;
mod due;
mod elements;
mod field;
mod limits;
mod names;
mod pipeline;
mod place;
mod policy;
mod require;
mod route;
mod secret;
mod signals;
mod snapshot;
mod stamp;
mod topics;
mod window;

use std::time::Duration;

use super::problem::Problems;
use super::raw;
use super::spot::Spot;
use super::{Given, hash};
use crate::admin::settings::AdminSettings;
use crate::cache::settings::CacheSettings;
use crate::due::settings::DueSettings;
use crate::follower::settings::FollowerSettings;
use crate::kafka::settings::ClusterSettings;
use crate::pipeline::settings::{Delivery, LineSettings, PipelineSettings};
use crate::policy::settings::PolicySettings;

/// The only version of the format there is.
const VERSION: u64 = 1;

/// The most threads a pipeline may have.
const MAX_WORKERS: u64 = 1024;

/// The longest that records may gather: a transaction is open for as long, and brokers end one after a time.
const MAX_COMMIT_INTERVAL: Duration = Duration::from_secs(60);

/// A configuration in which nothing is left to doubt.
#[derive(Clone, Debug)]
pub struct Ready {
    /// This process's name: stable over restarts, unique among those that run.
    pub instance: String,
    /// The HTTP listener.
    pub admin: AdminSettings,
    /// The Kafka cluster.
    pub cluster: ClusterSettings,
    /// The consent topic.
    pub follower: FollowerSettings,
    /// Where it is told that a grant ends.
    pub due: Option<DueSettings>,
    /// The cache's limits.
    pub cache: CacheSettings,
    /// Purposes, levels and windows.
    pub policy: PolicySettings,
    /// What names this policy and its pipelines' rules: 12 hex digits of a SHA-256.
    pub policy_hash: String,
    /// At least one.
    pub pipelines: Vec<PipelineSettings>,
    /// How the line of every pipeline runs.
    pub line: LineSettings,
    /// What is no error but should be known: a secret that is not there and not needed.
    pub warnings: Problems,
}

/// What checks write to: problems, and what is only worth a warning.
pub(super) struct Findings<'a> {
    pub problems: &'a mut Problems,
    pub warnings: Problems,
}

/// Checks the raw structs; `name` is the file's, from whose folder relative paths start.
pub(super) fn ready(
    raw: &raw::Configuration,
    root: Spot<'_>,
    given: Given<'_>,
    name: &str,
    found: &mut Findings<'_>,
) -> Ready {
    let cluster = cluster::cluster(raw.kafka.as_ref(), root, given, name, found);
    let admin = admin::admin(raw.admin.as_ref(), root.key("admin"), (given, name), found);
    let problems = &mut *found.problems;
    version(raw.version, root, problems);
    let instance = instance(raw.instance.as_deref(), root, given, problems);
    let mut follower = cluster::follower(raw.consent.as_ref(), root, problems);
    let (cache, line_limits) = limits::limits(raw.limits.as_ref(), root.key("limits"), problems);
    let line = LineSettings {
        workers: workers(raw.workers, root, problems),
        delivery: match raw.delivery {
            None | Some(raw::Delivery::ExactlyOnce) => Delivery::ExactlyOnce,
            Some(raw::Delivery::AtLeastOnce) => Delivery::AtLeastOnce,
        },
        commit_interval: commit_interval(raw.commit_interval, root.key("commit_interval"), problems),
        shutdown_timeout: wait(raw.shutdown_timeout, root.key("shutdown_timeout"), 30_000, problems),
        limits: line_limits,
        accept_gap: false,
    };
    let mut policy = policy::policy(raw.policy.as_ref(), root, problems);
    let words = policy::Words::of(&policy, root.key("policy"));
    if let Some(raw) = &raw.policy {
        follower.signals = signals::signals(raw, root.key("policy"), &words, problems);
        follower.signals_hash = hash::signals_hash(&follower.signals);
    }
    let pipelines = pipeline::pipelines(raw.pipelines.as_deref(), root, &words, problems);
    follower.share = cluster::share(raw.consent.as_ref(), &pipelines, root, problems);
    let written = raw.consent.as_ref().and_then(|consent| consent.snapshot.as_ref());
    let spot = root.key("consent").key("snapshot");
    follower.snapshot = snapshot::snapshot(written, spot, (given, name), found);
    let problems = &mut *found.problems;
    limits::routes(raw.limits.as_ref(), root, &pipelines, problems);
    topics::check(&pipelines, &follower.topic, root, problems);
    let due = due::due(raw, &pipelines, &follower.topic, root, found);
    let kept = raw.policy.as_ref().and_then(|policy| policy.pseudonym_key.as_ref());
    let asked = secret::Asked { given, file: name, used: secret::first_use(&pipelines, root) };
    policy.pseudonym_key =
        secret::pseudonym_key(kept, root.key("policy").key("pseudonym_key"), &asked, found);
    let policy_hash = hash::policy_hash(&policy, &follower.signals, &pipelines, due.as_ref());
    elements::warn(raw.pipelines.as_deref(), root, &mut found.warnings);
    let warnings = std::mem::take(&mut found.warnings);
    Ready { instance, admin, cluster, follower, due, cache, policy, policy_hash, pipelines, line, warnings }
}

fn version(version: Option<u64>, root: Spot<'_>, problems: &mut Problems) {
    let spot = root.key("version");
    match version {
        Some(VERSION) => {}
        Some(other) => {
            problems.add(spot.at(), format!("version {other} is not known"), "write `version: 1`");
        }
        None => missing(spot, "version", "write `version: 1`", problems),
    }
}

fn instance(written: Option<&str>, root: Spot<'_>, given: Given<'_>, problems: &mut Problems) -> String {
    let host = gethostname::gethostname().to_string_lossy().into_owned();
    let name = given.instance.or(written).unwrap_or(&host);
    if let Some(fault) = names::plain(name) {
        let (at, help) = match (given.instance, written) {
            (Some(_), _) => (super::At::default(), "give `--instance` another name"),
            (None, Some(_)) => (root.key("instance").at(), "it is part of every transactional id"),
            (None, None) => (super::At::default(), "the host's name will not do; set `instance`"),
        };
        problems.add(at, format!("`instance` {fault}"), help);
    }
    name.to_owned()
}

fn workers(written: Option<u64>, root: Spot<'_>, problems: &mut Problems) -> usize {
    let Some(count) = written else {
        return std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    };
    if !(1..=MAX_WORKERS).contains(&count) {
        let message = format!("`workers` must be from 1 to {MAX_WORKERS}");
        problems.add(root.key("workers").at(), message, "leave it out for one per core");
    }
    usize::try_from(count).unwrap_or(1)
}

fn commit_interval(written: Option<raw::Span>, spot: Spot<'_>, problems: &mut Problems) -> Duration {
    let span = wait(written, spot, 100, problems);
    if span > MAX_COMMIT_INTERVAL {
        let message = format!("`commit_interval` is {}s at most", MAX_COMMIT_INTERVAL.as_secs());
        problems.add(spot.at(), message, "a transaction stays open as long; take less, such as `1s`");
    }
    span
}

/// A duration that may not be zero.
fn wait(written: Option<raw::Span>, spot: Spot<'_>, default_ms: u64, problems: &mut Problems) -> Duration {
    let span = written.map_or(Duration::from_millis(default_ms), |span| span.0);
    if span.is_zero() {
        problems.add(spot.at(), "this duration may not be zero", "leave the key out for its default");
    }
    span
}

/// The same in milliseconds.
fn wait_ms(written: Option<raw::Span>, spot: Spot<'_>, default_ms: u64, problems: &mut Problems) -> i64 {
    i64::try_from(wait(written, spot, default_ms, problems).as_millis()).unwrap_or(i64::MAX)
}

/// Complains that `key` is missing, unless something stands there that has been complained about.
fn missing(spot: Spot<'_>, key: &str, help: &str, problems: &mut Problems) {
    if !spot.is_written() {
        problems.add(spot.key_at(), format!("missing key `{key}`"), help);
    }
}

/// Complains that a list that needs an item has none.
fn empty(spot: Spot<'_>, key: &str, help: &str, problems: &mut Problems) {
    if spot.written_items() == 0 && !spot.is_hole() {
        problems.add(spot.at(), format!("`{key}` is empty"), help);
    }
}
