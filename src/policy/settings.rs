//! What a policy and its pipelines ask for, as checked values. `config` fills these; nothing here is
//! optional that has a default, and every name has been looked up.

/// Who may use what, for how long, and when a person may be reached.
#[derive(Clone, Debug)]
pub struct PolicySettings {
    /// The words for closeness, least intimate first; never empty.
    pub levels: Vec<String>,
    /// Every purpose there is.
    pub purposes: Vec<PurposeSettings>,
    /// Contact windows by channel, for subjects without one of their own.
    pub windows: Vec<(String, WindowSettings)>,
    /// IANA names that stand in where a subject has no time zone: a window must be open in all.
    pub assume_time_zones: Vec<String>,
    /// Whether `signals.gpc` refuses delivery to third parties.
    pub honour_gpc: bool,
    /// How far clocks may differ, in milliseconds.
    pub clock_skew_ms: i64,
    /// The key of every `hash` action, 32 bytes at least.
    pub pseudonym_key: Option<Vec<u8>>,
}

/// Why data is used.
#[derive(Clone, Debug)]
pub struct PurposeSettings {
    /// The purpose's name.
    pub name: String,
    /// How long an opt-in holds, in milliseconds.
    pub max_age_ms: Option<i64>,
    /// Whether an opt-in counts only once it is confirmed.
    pub double: bool,
    /// The level of a grant that names none: an index into `levels`.
    pub level: usize,
}

/// A weekly window as it is written: in a configuration or by the person.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct WindowSettings {
    /// `mon` … `sun`; absent: every day.
    pub days: Option<Vec<String>>,
    /// `HH:MM`, inside.
    pub from: String,
    /// `HH:MM` or `24:00`, outside.
    pub to: String,
}

/// Where in a record something is read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// A JSON Pointer (RFC 6901) into the value.
    Path(String),
    /// A header's name.
    Header(String),
    /// The record's key.
    Key,
}

/// One way a record names a subject.
#[derive(Clone, Debug)]
pub struct SelectorSettings {
    /// The identity's type, the part before the colon.
    pub kind: String,
    /// Where its value stands.
    pub place: Place,
}

/// A field with a level, and what becomes of it where the permitted level is lower.
#[derive(Clone, Debug)]
pub struct FieldSettings {
    /// A path (`*` for every element or member) or a header; never the key, never the whole value.
    pub place: Place,
    /// In a pipeline with `elements`: its path starts from the whole value rather than from an element.
    pub outside: bool,
    /// An index into the policy's `levels`.
    pub level: usize,
    /// What is done.
    pub action: FieldAction,
}

/// What is done to a field that is too intimate for the level permitted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FieldAction {
    /// Take the key out; an array element becomes null; a header goes.
    Remove,
    /// Set null.
    Null,
    /// Set the string `***`.
    Mask,
    /// Set the lower-case hex HMAC-SHA-256 under the pseudonym key.
    Hash,
    /// Keep the first N Unicode scalar values of a string.
    Truncate(usize),
    /// Floor a number to a multiple of N (1 at least).
    Floor(u64),
    /// Cut an RFC 3339 time to its date.
    Day,
    /// Cut an RFC 3339 time to its month.
    Month,
    /// Cut an RFC 3339 time to its year.
    Year,
    /// Zero an IP address to /24 or /48.
    Ip,
}

/// What becomes of the record's key on its way to a sink.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum KeyAction {
    /// As it came.
    #[default]
    Keep,
    /// Its HMAC-SHA-256 in lower-case hex, under the pseudonym key.
    Hash,
    /// Kafka's null.
    Remove,
}

/// How a pipeline reads records, and its ways out.
#[derive(Clone, Debug)]
pub struct RulesSettings {
    /// The pipeline's name.
    pub name: String,
    /// The array whose elements are people, each decided by itself: a JSON Pointer. Selectors then have paths
    /// alone, and these and the fields' paths start from an element.
    pub elements: Option<String>,
    /// How a record names its subjects, the first first; never empty.
    pub subject: Vec<SelectorSettings>,
    /// True: every identity present must permit (`match: all`). False: the first one present must.
    pub match_all: bool,
    /// When the event occurred; absent: the Kafka timestamp.
    pub occurred_at: Option<Place>,
    /// Labelled fields, in the order of the configuration.
    pub fields: Vec<FieldSettings>,
    /// Whether each leaf under no label is removed.
    pub remove_unlabelled: bool,
    /// At least one.
    pub routes: Vec<RouteSettings>,
}

/// What one route takes in and requires.
#[derive(Clone, Debug)]
pub struct RouteSettings {
    /// The route's name.
    pub name: String,
    /// A CEL expression that chooses the records it concerns.
    pub when: Option<String>,
    /// What it needs.
    pub require: RequireSettings,
    /// Which verdicts are held rather than dropped.
    pub hold: HoldSettings,
    /// Whether deletions pass without being asked about.
    pub pass_tombstones: bool,
    /// What becomes of the key.
    pub key: KeyAction,
}

/// What a route requires of a subject.
#[derive(Clone, Debug)]
pub enum RequireSettings {
    /// `require: none`: no consent is read; fields are reduced to this index into `levels`, if any.
    Nothing(Option<usize>),
    /// Consent, or another legal basis.
    Grants(GrantsSettings),
}

/// Which grants a route requires.
#[derive(Clone, Debug)]
pub struct GrantsSettings {
    /// Indices into the policy's `purposes`, in the order of the configuration; never empty.
    pub purposes: Vec<usize>,
    /// True: every purpose must be permitted. False: any one.
    pub all: bool,
    /// How the person is reached; absent: not at all.
    pub channel: Option<String>,
    /// `first_party`, `processor:NAME` or `third_party:NAME`.
    pub recipient: String,
    /// The legal bases that count, in the words of the consent record; never empty.
    pub legal_basis: Vec<String>,
    /// Whether consent is asked of the event's time too (`both`), or of now alone.
    pub both: bool,
    /// Consent that the event itself must carry, beside the stored consent.
    pub stamp: Option<StampSettings>,
}

/// Consent stamped into the event.
#[derive(Clone, Debug)]
pub struct StampSettings {
    /// How it is written.
    pub format: StampFormat,
    /// A JSON Pointer into the value.
    pub path: String,
    /// The categories of each required purpose, in the order of the purposes; none of them empty.
    pub categories: Vec<Vec<String>>,
}

/// How stamped consent is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StampFormat {
    /// Our own: an object of category and status word or boolean.
    Consentry,
    /// Segment's category preferences.
    Segment,
    /// RudderStack's consent management.
    Rudderstack,
}

/// Which verdicts wait, and for how long.
#[derive(Clone, Copy, Debug, Default)]
pub struct HoldSettings {
    /// `pending`: an opt-in that is not confirmed or answered yet.
    pub pending: bool,
    /// `contact_window`: until the person may be reached.
    pub contact_window: bool,
    /// `unknown`: consent that may arrive a moment after the event.
    pub unknown: bool,
    /// How long `pending` waits, in milliseconds.
    pub hold_for_ms: i64,
    /// How long `unknown` waits, in milliseconds.
    pub grace_ms: i64,
}
