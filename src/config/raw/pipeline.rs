//! The `pipelines` key as it is written.

use schemars::JsonSchema;
use serde::Deserialize;

use super::{Number, Span, Stamp, WordOr};

/// Topics in, routes out.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, expecting = "a mapping")]
pub(in crate::config) struct Pipeline {
    /// Its name, unique; part of metrics, headers and transactional ids.
    #[schemars(required, length(min = 1, max = 200), regex(pattern = r"^[A-Za-z0-9._-]+$"))]
    pub name: Option<String>,
    /// The consumer group, its own. Default: `consentry-NAME`.
    pub group: Option<String>,
    /// What it reads.
    #[schemars(required)]
    pub from: Option<Source>,
    /// For records about several people: where the array stands whose elements are people, as a JSON Pointer
    /// without `*` (`""` where the value itself is the array). Each element is decided by itself and reduced to its
    /// own level, and who does not permit is taken out (`hold` waits for nobody here). Then `subject` has paths
    /// alone, which start from an element, as those of `fields` do; what stands outside the array is labelled with
    /// `outside: true` and, like headers, reduced to the lowest level of those who stay. `when` and `occurred_at`
    /// look at the record as a whole, and the key is the sink's affair: if it names a person, hash or remove it.
    pub elements: Option<String>,
    /// How a record names the person it is about; several where there are several identities.
    #[schemars(required, length(min = 1))]
    pub subject: Option<Vec<Selector>>,
    /// Which of several identities must permit: the first one present, or all. Default: `first`.
    #[serde(rename = "match")]
    pub matching: Option<Matching>,
    /// Where the event's own time stands. Default: the Kafka timestamp alone.
    pub occurred_at: Option<Place>,
    /// Fields with a level; each is reduced where the level permitted is lower.
    pub fields: Option<Vec<Field>>,
    /// What becomes of a leaf of the value that is at or under no labelled path. Default: `pass`.
    pub unlabelled: Option<Unlabelled>,
    /// Where records wait: what the names of the topics begin with, one a source (`HOLD.SOURCE`), compacted, as
    /// sensitive as the source. They are made where they are missing, and widened with their source, whatever
    /// `create` says. Needed where a route holds.
    pub hold: Option<Topic>,
    /// Where records go that cannot be decided or delivered; as sensitive as the source.
    /// Default: topic `NAME-quarantine`, not created.
    pub quarantine: Option<Topic>,
    /// The ways out.
    #[schemars(required, length(min = 1))]
    pub routes: Option<Vec<Route>>,
}

/// What a pipeline reads.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, expecting = "a mapping with `topics`")]
pub(in crate::config) struct Source {
    /// The source topics.
    #[schemars(required, length(min = 1))]
    pub topics: Option<Vec<String>>,
    /// How values are encoded. Default: `json`.
    pub format: Option<Format>,
    /// Where a group without offsets begins. Default: `earliest`.
    pub start: Option<Start>,
}

/// How values are encoded.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(in crate::config) enum Format {
    /// JSON text.
    Json,
}

/// Where a group without offsets begins.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(in crate::config) enum Start {
    /// With the oldest record there is.
    Earliest,
    /// With the next record that comes.
    Latest,
}

/// One way a record names a person; exactly one of `path`, `header` and `key`.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, expecting = "a mapping with `type` and one of `path`, `header`, `key`")]
pub(in crate::config) struct Selector {
    /// The identity's type, the part of a consent record's key before the colon.
    #[serde(rename = "type")]
    #[schemars(required)]
    pub kind: Option<String>,
    /// A JSON Pointer into the value.
    pub path: Option<String>,
    /// The name of a header.
    pub header: Option<String>,
    /// `true`: the record's key.
    pub key: Option<bool>,
}

/// Where a value stands; exactly one of `path` and `header`.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, expecting = "a mapping with one of `path`, `header`")]
pub(in crate::config) struct Place {
    /// A JSON Pointer into the value.
    pub path: Option<String>,
    /// The name of a header.
    pub header: Option<String>,
}

/// Which of several identities must permit.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(in crate::config) enum Matching {
    /// The first one present; the later ones can only refuse.
    First,
    /// Every one present.
    All,
}

/// A field with a level; exactly one of `path` and `header`.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, expecting = "a mapping with `path` or `header`, `level` and `action`")]
pub(in crate::config) struct Field {
    /// A JSON Pointer in which a segment `*` stands for each array element or object member.
    pub path: Option<String>,
    /// The name of a header.
    pub header: Option<String>,
    /// In a pipeline with `elements`: `true` if the path starts from the whole value and the field stands outside
    /// the array of people. Default: false, the path starts from each element.
    pub outside: Option<bool>,
    /// The level it takes to see the field as it is.
    #[schemars(required)]
    pub level: Option<String>,
    /// What becomes of it below that level: `remove`, `null`, `mask`, `hash`, `{truncate: N}` or
    /// `{generalize: N | day | month | year | ip}`.
    pub action: Option<WordOr<ActionWord, ActionWith>>,
}

/// An action without an argument. (`null` is also read from YAML's own null.)
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(in crate::config) enum ActionWord {
    /// Take it out; an array element becomes null.
    Remove,
    /// Set null.
    Null,
    /// Set the string `***`.
    Mask,
    /// Set the HMAC-SHA-256 under the pseudonym key.
    Hash,
}

/// An action with an argument; exactly one.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, expecting = "an action")]
pub(in crate::config) struct ActionWith {
    /// Keep the first N characters of a string.
    pub truncate: Option<u64>,
    /// Floor a number to a multiple of N, cut a time to its `day`, `month` or `year`, or zero the end of
    /// an `ip` address.
    pub generalize: Option<Number<Coarse>>,
}

/// What a value is made coarser to.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(in crate::config) enum Coarse {
    /// `2026-05-01`.
    Day,
    /// `2026-05`.
    Month,
    /// `2026`.
    Year,
    /// /24 or /48.
    Ip,
}

/// What becomes of a leaf under no label.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(in crate::config) enum Unlabelled {
    /// It stays.
    Pass,
    /// It goes.
    Remove,
}

/// A topic that is written to.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, expecting = "a mapping with `topic`")]
pub(in crate::config) struct Topic {
    /// Its name.
    #[schemars(required)]
    pub topic: Option<String>,
    /// Make it, with the source's partition count, where it is missing. Default: false.
    pub create: Option<bool>,
}

/// One way out.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, expecting = "a mapping")]
pub(in crate::config) struct Route {
    /// Its name, unique in the pipeline.
    #[schemars(required, length(min = 1, max = 200), regex(pattern = r"^[A-Za-z0-9._-]+$"))]
    pub name: Option<String>,
    /// A CEL expression over `value`, `headers`, `key` and `topic` that chooses the records the route
    /// concerns. Default: all.
    pub when: Option<String>,
    /// What consent the route needs, or `none`.
    #[schemars(required)]
    pub require: Option<WordOr<NoRequirement, Grants>>,
    /// Consent that the event itself must carry too, as a consent management platform stamps it in. Default: the
    /// stored consent alone decides.
    pub stamp: Option<Stamp>,
    /// With `require: none`: why no consent is needed.
    pub because: Option<String>,
    /// With `require: none`: the level that fields are reduced to. Default: they are left alone.
    pub level: Option<String>,
    /// What is kept for later rather than dropped. Default: nothing.
    pub hold: Option<Vec<Hold>>,
    /// How long `pending` waits. Default: 7d.
    pub hold_for: Option<Span>,
    /// How long `unknown` waits. Default: 10s.
    pub grace: Option<Span>,
    /// What becomes of a record with a key and no value. Default: `pass` for a `first_party` route and
    /// for `require: none`, unless the key is removed; else `decide`.
    pub tombstones: Option<Tombstones>,
    /// Where what is permitted goes.
    #[schemars(required)]
    pub to: Option<Sink>,
}

/// The word for a route that reads no consent.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(in crate::config) enum NoRequirement {
    /// No consent is read; `because` says why that is lawful.
    None,
}

/// The grants a route needs.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, expecting = "`none` or a mapping with `purposes`")]
pub(in crate::config) struct Grants {
    /// The purposes that must be permitted; exactly one of `all` and `any`.
    #[schemars(required)]
    pub purposes: Option<Purposes>,
    /// How the person is reached. Default: not at all.
    pub channel: Option<String>,
    /// `first_party`, `processor:NAME` or `third_party:NAME`. Default: `first_party`.
    pub recipient: Option<String>,
    /// The legal bases that count. Default: [consent].
    #[schemars(length(min = 1))]
    pub legal_basis: Option<Vec<Basis>>,
    /// Whether consent must stand `now` alone or also at the time of the event. Default: `both`.
    pub evaluate: Option<Evaluate>,
}

/// The purposes that must be permitted; exactly one of the two.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, expecting = "a mapping with one of `all`, `any`")]
pub(in crate::config) struct Purposes {
    /// Each of these.
    #[schemars(length(min = 1))]
    pub all: Option<Vec<String>>,
    /// One of these at least.
    #[schemars(length(min = 1))]
    pub any: Option<Vec<String>>,
}

/// A legal basis (GDPR art. 6(1)).
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(in crate::config) enum Basis {
    /// Point (a).
    Consent,
    /// Point (b).
    Contract,
    /// Point (c).
    LegalObligation,
    /// Point (d).
    VitalInterest,
    /// Point (e).
    PublicTask,
    /// Point (f).
    LegitimateInterest,
}

/// When consent must stand.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(in crate::config) enum Evaluate {
    /// Now, and when the event occurred.
    Both,
    /// Now.
    Now,
}

/// What is kept for later.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(in crate::config) enum Hold {
    /// An opt-in that is not confirmed or answered yet.
    Pending,
    /// Until the person may be reached.
    ContactWindow,
    /// Consent that may arrive a moment after the event.
    Unknown,
}

/// What becomes of a record with a key and no value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(in crate::config) enum Tombstones {
    /// It is forwarded: it says that something is to be forgotten.
    Pass,
    /// It is decided like any record.
    Decide,
}

/// Where what is permitted goes.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, expecting = "a mapping with `kafka`")]
pub(in crate::config) struct Sink {
    /// A topic of the same cluster.
    #[schemars(required)]
    pub kafka: Option<KafkaSink>,
}

/// A topic of the same cluster.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, expecting = "a mapping with `topic`")]
pub(in crate::config) struct KafkaSink {
    /// Its name.
    #[schemars(required)]
    pub topic: Option<String>,
    /// Make it, with the source's partition count, where it is missing. Default: false.
    pub create: Option<bool>,
    /// What becomes of the record's key. Default: `keep`.
    pub key: Option<KeyAction>,
}

/// What becomes of a record's key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(in crate::config) enum KeyAction {
    /// As it came.
    Keep,
    /// Its HMAC-SHA-256 under the pseudonym key.
    Hash,
    /// No key.
    Remove,
}
