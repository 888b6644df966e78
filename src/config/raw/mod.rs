//! The configuration as it is written: one struct a mapping, one documented field a key.
//!
//! The JSON Schema is generated from these structs, so the doc comment of a field is what an editor
//! shows. Every field is an `Option`: that a key is missing is for a check to say, with the place and
//! the remedy, not for serde. Nothing here knows a default except in words.

mod pipeline;
mod policy;
mod signals;
mod stamp;
mod union;
mod units;

pub(super) use pipeline::*;
pub(super) use policy::*;
pub(super) use signals::*;
pub(super) use stamp::*;
pub(super) use union::*;
pub(super) use units::*;

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;

/// The configuration of a Consentry process.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, expecting = "a mapping")]
#[schemars(title = "Consentry configuration")]
pub(super) struct Configuration {
    /// The version of this format: 1.
    #[schemars(required, range(min = 1, max = 1))]
    pub version: Option<u64>,
    /// The name of this process: stable over restarts, unique among the processes that run at the same
    /// time. It is part of every transactional id. `--instance` overrides it. Default: the host's name.
    #[schemars(length(min = 1, max = 200), regex(pattern = r"^[A-Za-z0-9._-]+$"))]
    pub instance: Option<String>,
    /// Threads per pipeline, each a member of its consumer group. Default: the number of cores.
    #[schemars(range(min = 1, max = 1024))]
    pub workers: Option<u64>,
    /// What is promised of delivery. Default: `exactly_once`.
    pub delivery: Option<Delivery>,
    /// How soon a reader is to have a record: a commit begins so much earlier as commits take; 60s at most. Default: 100ms.
    pub commit_interval: Option<Span>,
    /// How long a stop may take before the process ends anyway. Default: 30s.
    pub shutdown_timeout: Option<Span>,
    /// The HTTP listener for metrics, health and the status page.
    pub admin: Option<Admin>,
    /// The Kafka cluster.
    #[schemars(required)]
    pub kafka: Option<Cluster>,
    /// Where consent comes from.
    #[schemars(required)]
    pub consent: Option<Consent>,
    /// Bounds on memory and input.
    pub limits: Option<Limits>,
    /// Purposes, levels and contact windows.
    #[schemars(required)]
    pub policy: Option<Policy>,
    /// Topics in, routes out. At least one.
    #[schemars(required, length(min = 1))]
    pub pipelines: Option<Vec<Pipeline>>,
}

/// What is promised of delivery.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(super) enum Delivery {
    /// Records and offsets in one Kafka transaction.
    ExactlyOnce,
    /// An idempotent producer; offsets are committed after the acknowledgement.
    AtLeastOnce,
}

/// The HTTP listener for metrics, health and the status page.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, expecting = "a mapping")]
pub(super) struct Admin {
    /// `ADDRESS:PORT`. Default: 127.0.0.1:8080.
    pub listen: Option<String>,
    /// What opens the interface that reads and changes a person's consent: whoever sends these 16 bytes or more as
    /// a bearer token may read and change everybody's. The listener speaks plain HTTP: let nobody listen in between.
    /// Default: none, and the interface is not there.
    pub token: Option<Secret>,
    /// What opens one-click unsubscription (RFC 8058): 32 bytes or more, under which the tokens in mails are signed
    /// (`consentry consent unsubscribe-token`). Who changes it makes the links in old mails void. Default: none, and
    /// no link is honoured.
    pub unsubscribe_key: Option<Secret>,
}

/// A Kafka cluster, and how to talk to it.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, expecting = "a mapping")]
pub(super) struct Cluster {
    /// `HOST:PORT` of at least one broker.
    #[schemars(required, length(min = 1))]
    pub brokers: Option<Vec<String>>,
    /// Any librdkafka property, such as `security.protocol`, but for those that carry a promise. The value
    /// of one that is a secret is `{file: PATH}` or `{env: NAME}`.
    pub properties: Option<BTreeMap<String, Property>>,
}

/// Where consent comes from, and how fresh it must be.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, expecting = "a mapping")]
pub(super) struct Consent {
    /// The compacted topic that holds each subject's state.
    #[schemars(required)]
    pub topic: Option<String>,
    /// How its messages are encoded. Default: `json`.
    pub format: Option<ConsentFormat>,
    /// When a batch may be decided: `barrier` (when the cache has passed the end of the consent topic as
    /// it was after the batch was fetched), or `{within: 2s}` (when it is at most that far behind).
    /// Default: `barrier`.
    pub freshness: Option<WordOr<Barrier, Within>>,
    /// How long decisions may wait for a barrier before readiness is taken away. Default: 10s.
    pub barrier_alert: Option<Span>,
    /// Whether a consent topic that holds no subject at all is fine. With `cache: sharded` a partition that is
    /// not loaded counts as holding somebody once anything was written to it. Default: false.
    pub allow_empty: Option<bool>,
    /// What a process holds of the consent topic: all of it (`replicated`), or what belongs to the events that
    /// it reads (`sharded`). Default: `replicated`.
    pub cache: Option<Cache>,
    /// Where the process keeps what it holds, so that a start reads only what has changed since. Default:
    /// nowhere; a start reads the whole topic.
    pub snapshot: Option<Snapshot>,
    /// Where it is told whose consent comes to its end, so that there is time to ask again
    /// (`policy.ask_again_before`). Default: nowhere.
    pub due: Option<Due>,
}

/// A compacted topic with one record for each grant that comes near its end: key as on the consent topic, value JSON.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, expecting = "a mapping with `topic`")]
pub(super) struct Due {
    /// Its name. It has as many partitions as the consent topic, `cleanup.policy=compact`, and holds people's ids.
    #[schemars(required)]
    pub topic: Option<String>,
    /// Make it where it is missing. Default: false.
    pub create: Option<bool>,
    /// The consumer group in which processes share the consent partitions out. Default: `consentry-due.TOPIC`.
    pub group: Option<String>,
}

/// A file that is written now and then and on stop, and read at the start.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, expecting = "a mapping")]
pub(super) struct Snapshot {
    /// The file, from the configuration's folder; with `cache: sharded` its name is followed by a dot and the
    /// partition. Beside it one is written anew, and one that cannot be used is set aside.
    #[schemars(required)]
    pub path: Option<String>,
    /// 32 bytes or more, the same from start to start: people's ids stand in the file only as hashes under it,
    /// and a file that was written under another is not read.
    #[schemars(required)]
    pub key: Option<Secret>,
    /// How often it is written. Default: 5m.
    pub every: Option<Span>,
}

/// The encoding of a consent record.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(super) enum ConsentFormat {
    /// JSON text.
    Json,
    /// `consentry.v1.ConsentRecord`; see `consentry schema --proto`.
    Protobuf,
}

/// The strict kind of freshness.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(super) enum Barrier {
    /// A consent change that Kafka acknowledged before an event was appended always governs it.
    Barrier,
}

/// The bounded kind of freshness.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, expecting = "`barrier` or `{within: 2s}`")]
pub(super) struct Within {
    /// How far the cache may be behind.
    #[schemars(required)]
    pub within: Option<Span>,
}

/// What a process holds of the consent topic.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(super) enum Cache {
    /// All of it.
    Replicated,
    /// The partitions with the numbers of the event partitions that the process has, for where all of it
    /// outgrows a machine. Every source topic and the consent topic must have as many partitions, an event must
    /// be on the partition that murmur2 of its subject's `type:value` gives, as Java clients have it, and a
    /// pipeline has one `subject`.
    Sharded,
}

/// Bounds on memory and input.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, expecting = "a mapping")]
pub(super) struct Limits {
    /// Key, value and headers of a record; a larger one is quarantined. Default: 1MiB.
    pub max_record_bytes: Option<Size>,
    /// Records in a batch. Default: 5000.
    #[schemars(range(min = 1))]
    pub batch_records: Option<u64>,
    /// Bytes in a batch. Default: 8MiB.
    pub batch_bytes: Option<Size>,
    /// Bytes that wait in a worker's consumer and producer. Default: 64MiB.
    pub in_flight_bytes: Option<Size>,
    /// Bytes of held records that a worker keeps in memory, its index of them included; above, the pipeline
    /// takes nothing new in until some are released. What a process takes over from another comes on top.
    /// Default: 256MiB.
    pub held_bytes: Option<Size>,
    /// Subjects in the cache, erased ones included; above, forwarding stops. Default: 100000000.
    #[schemars(range(min = 1))]
    pub max_subjects: Option<u64>,
    /// Grants in one consent record; one with more does not decode. Default: 256.
    #[schemars(range(min = 1))]
    pub max_grants: Option<u64>,
    /// Levels of nesting in a value; a deeper one is quarantined. Default: 64.
    #[schemars(range(min = 1, max = 128))]
    pub max_depth: Option<u64>,
    /// Routes over all pipelines. Default: 1000.
    #[schemars(range(min = 1))]
    pub max_routes: Option<u64>,
}
