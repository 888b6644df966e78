//! The configuration as the oracle reads it: the YAML's shape as JSON, every default spelled out once.
//!
//! Assumes that the configuration is good: what is wrong with one is the business of `consentry check`, and of a bad
//! one nothing is read here.

use super::at;
use super::time::{Millis, duration};
use serde_json::Value;

/// A configuration.
pub struct Rules {
    pub(super) policy: Policy,
    /// The policy as it is written.
    pub(super) written: Value,
    /// In the order written.
    pub pipelines: Vec<Pipeline>,
    pub(super) max_grants: usize,
    pub(super) max_record_bytes: usize,
    pub(super) max_depth: usize,
}

pub struct Policy {
    pub(super) purposes: Vec<Purpose>,
    /// Least intimate first; a level is its place in this list.
    pub(super) levels: Vec<String>,
    pub(super) windows: Vec<(String, Window)>,
    pub(super) assume_time_zones: Vec<String>,
    pub(super) honour_gpc: bool,
    pub(super) clock_skew: Millis,
    pub(super) pseudonym_key: Vec<u8>,
}

pub struct Purpose {
    pub(super) name: String,
    pub(super) max_age: Option<Millis>,
    pub(super) double: bool,
    pub(super) level: usize,
}

#[derive(Clone, Debug)]
pub struct Window {
    pub(super) days: Option<Vec<String>>,
    pub(super) from: String,
    pub(super) to: String,
}

/// A pipeline.
pub struct Pipeline {
    /// Its name.
    pub name: String,
    /// Where the people of a record stand; selectors and labels then begin at one of them.
    pub(super) elements: Option<Vec<String>>,
    pub(super) subjects: Vec<(String, Source)>,
    pub(super) match_all: bool,
    pub(super) occurred_at: Option<Source>,
    pub(super) fields: Vec<Label>,
    pub(super) strip_unlabelled: bool,
    /// In the order written.
    pub routes: Vec<Route>,
}

impl Pipeline {
    /// Whether its records hold several people.
    pub const fn holds_several(&self) -> bool {
        self.elements.is_some()
    }

    /// A path that begins at each element, from the whole value; without `elements` it does so already.
    pub(super) fn whole_path(&self, path: &[String]) -> Vec<String> {
        match &self.elements {
            None => path.to_vec(),
            Some(array) => [array.as_slice(), &["*".to_owned()], path].concat(),
        }
    }

    /// The labels, each with the path that it has from the whole value.
    pub(super) fn labels_with_whole_paths(&self) -> Vec<Label> {
        let label = |label: &Label| match &label.source {
            Source::Path(path) if !label.outside => {
                Label { source: Source::Path(self.whole_path(path)), ..label.clone() }
            }
            _ => label.clone(),
        };
        self.fields.iter().map(label).collect()
    }
}

/// Where a subject, a time or a labelled field stands.
#[derive(Clone)]
pub enum Source {
    Path(Vec<String>),
    Header(String),
    Key,
}

#[derive(Clone)]
pub struct Label {
    /// As written: `/user/email`, `header:x-client-ip`.
    pub(super) shown: String,
    pub(super) source: Source,
    /// With `elements`: it begins at the whole value.
    pub(super) outside: bool,
    pub(super) level: usize,
    pub(super) action: Action,
}

#[derive(Clone)]
pub enum Action {
    Remove,
    Null,
    Mask,
    Hash,
    Truncate(usize),
    Floor(i128),
    /// How many characters of an RFC 3339 time stay.
    Date(usize),
    Address,
}

/// A way out.
pub struct Route {
    /// Its name.
    pub name: String,
    pub(super) when: Option<String>,
    /// `None` is `require: none`.
    pub(super) require: Option<Require>,
    pub(super) own_level: Option<usize>,
    /// For what it holds: `pending`, `unknown`, `contact_window`.
    pub hold: Vec<String>,
    /// How long a record waits for an answer at most.
    pub hold_for: Millis,
    /// How long it waits for consent that arrives a moment after it.
    pub grace: Millis,
    pub(super) key: String,
    pub(super) pass_tombstones: bool,
}

impl Route {
    /// Whether its records name the consent record that decided: first-party routes that ask for consent.
    pub fn names_consent(&self) -> bool {
        self.require.as_ref().is_some_and(|require| require.recipient == "first_party")
    }
}

/// Consent that the event itself must carry.
#[derive(Clone)]
pub struct Stamp {
    pub(super) format: String,
    pub(super) path: Vec<String>,
    /// As far as the configuration maps them.
    pub(super) categories: Vec<(String, Vec<String>)>,
}

#[derive(Clone)]
pub struct Require {
    pub(super) any: bool,
    pub(super) purposes: Vec<String>,
    pub(super) channel: Option<String>,
    pub(super) recipient: String,
    pub(super) legal_basis: Vec<String>,
    /// `evaluate: both`; otherwise only `now` counts.
    pub(super) both: bool,
    pub(super) stamp: Option<Stamp>,
}

fn words(value: &Value) -> Vec<String> {
    let Some(list) = value.as_array() else { return Vec::new() };
    list.iter().filter_map(word).collect()
}

fn word(value: &Value) -> Option<String> {
    value.as_str().map(ToOwned::to_owned)
}

fn size(value: &Value, default: usize) -> Option<usize> {
    let Some(text) = value.as_str() else {
        return value.as_u64().map_or(Some(default), |n| usize::try_from(n).ok());
    };
    let unit = text.trim_start_matches(|c: char| c.is_ascii_digit());
    let count: usize = text.strip_suffix(unit)?.parse().ok()?;
    count.checked_mul(match unit {
        "" | "B" => 1,
        "KiB" => 1 << 10,
        "MiB" => 1 << 20,
        "GiB" => 1 << 30,
        _ => return None,
    })
}

/// A duration, or its default.
fn span(value: &Value, default: &str) -> Option<Millis> {
    duration(value.as_str().unwrap_or(default))
}

/// The segments of a JSON Pointer, unescaped.
fn pointer(path: &str) -> Vec<String> {
    path.split('/').skip(1).map(|segment| segment.replace("~1", "/").replace("~0", "~")).collect()
}

/// Reads a configuration in the YAML's shape. Its secrets are not in it: this is the pseudonym key.
pub fn read(config: &Value, pseudonym_key: &[u8]) -> Option<Rules> {
    let policy = policy(at(config, "policy"), pseudonym_key)?;
    let pipelines = at(config, "pipelines").as_array()?.iter().map(|p| pipeline(p, &policy));
    let pipelines = pipelines.collect::<Option<_>>()?;
    let limits = at(config, "limits");
    Some(Rules {
        policy,
        written: at(config, "policy").clone(),
        pipelines,
        max_grants: size(at(limits, "max_grants"), 256)?,
        max_record_bytes: size(at(limits, "max_record_bytes"), 1 << 20)?,
        max_depth: size(at(limits, "max_depth"), 64)?,
    })
}

fn policy(policy: &Value, pseudonym_key: &[u8]) -> Option<Policy> {
    let mut levels = words(at(policy, "levels"));
    if levels.is_empty() {
        levels = ["anonymous", "pseudonymous", "contact", "sensitive"].map(ToOwned::to_owned).to_vec();
    }
    let purpose = |(name, purpose): (&String, &Value)| {
        Some(Purpose {
            name: name.clone(),
            max_age: match at(purpose, "max_age").as_str() {
                None => None,
                Some(text) => Some(duration(text)?),
            },
            double: at(purpose, "confirmation") == "double",
            level: at(purpose, "level").as_str().map_or(0, |word| place(&levels, word)),
        })
    };
    let purposes = at(policy, "purposes").as_object()?.iter().map(purpose).collect::<Option<_>>()?;
    let windows = at(policy, "windows").as_object().into_iter().flatten();
    Some(Policy {
        purposes,
        windows: windows.map(|(channel, w)| (channel.clone(), window(w))).collect(),
        assume_time_zones: words(at(policy, "assume_time_zones")),
        honour_gpc: at(policy, "honour_gpc").as_bool().unwrap_or(true),
        clock_skew: span(at(policy, "clock_skew"), "5s")?,
        pseudonym_key: pseudonym_key.to_vec(),
        levels,
    })
}

/// A word's place among the levels; one that is not listed is the lowest.
pub fn place(levels: &[String], word: &str) -> usize {
    levels.iter().position(|level| level == word).unwrap_or(0)
}

fn window(window: &Value) -> Window {
    let days = at(window, "days");
    Window {
        days: days.is_array().then(|| words(days)),
        from: word(at(window, "from")).unwrap_or_default(),
        to: word(at(window, "to")).unwrap_or_default(),
    }
}

fn pipeline(pipeline: &Value, policy: &Policy) -> Option<Pipeline> {
    let list = |key: &str| at(pipeline, key).as_array().cloned().unwrap_or_default();
    let subject = |subject: &Value| Some((word(at(subject, "type"))?, source(subject)));
    Some(Pipeline {
        name: word(at(pipeline, "name"))?,
        elements: at(pipeline, "elements").as_str().map(pointer),
        subjects: list("subject").iter().map(subject).collect::<Option<_>>()?,
        match_all: at(pipeline, "match") == "all",
        occurred_at: pipeline.get("occurred_at").filter(|at| at.is_object()).map(source),
        fields: list("fields").iter().map(|label| self::label(label, policy)).collect::<Option<_>>()?,
        strip_unlabelled: at(pipeline, "unlabelled") == "remove",
        routes: list("routes").iter().map(|r| route(r, policy)).collect::<Option<_>>()?,
    })
}

fn source(written: &Value) -> Source {
    match (at(written, "path").as_str(), at(written, "header").as_str()) {
        (Some(path), _) => Source::Path(pointer(path)),
        (None, Some(header)) => Source::Header(header.to_owned()),
        (None, None) => Source::Key,
    }
}

fn label(label: &Value, policy: &Policy) -> Option<Label> {
    let header = at(label, "header").as_str().map(|name| format!("header:{name}"));
    let outside = at(label, "outside") == true;
    let path = word(at(label, "path")).map(|path| if outside { format!("outside:{path}") } else { path });
    Some(Label {
        shown: header.or(path)?,
        outside,
        source: source(label),
        level: place(&policy.levels, at(label, "level").as_str()?),
        action: action(at(label, "action"))?,
    })
}

fn action(action: &Value) -> Option<Action> {
    Some(match action.as_str() {
        Some("remove") => Action::Remove,
        Some("null") => Action::Null,
        Some("mask") => Action::Mask,
        Some("hash") => Action::Hash,
        Some(_) => return None,
        None => match (at(action, "truncate"), at(action, "generalize")) {
            (Value::Number(n), _) => Action::Truncate(usize::try_from(n.as_u64()?).ok()?),
            (_, Value::Number(n)) => Action::Floor(n.as_u64()?.into()),
            (_, unit) => match unit.as_str()? {
                "day" => Action::Date(10),
                "month" => Action::Date(7),
                "year" => Action::Date(4),
                "ip" => Action::Address,
                _ => return None,
            },
        },
    })
}

fn stamp(stamp: &Value) -> Option<Stamp> {
    let format = word(at(stamp, "format"))?;
    let usual = match format.as_str() {
        "consentry" => "/consent",
        "segment" => "/context/consent/categoryPreferences",
        "rudderstack" => "/context/consentManagement",
        _ => return None,
    };
    let mapped = at(stamp, "categories").as_object().into_iter().flatten();
    Some(Stamp {
        path: pointer(at(stamp, "path").as_str().unwrap_or(usual)),
        categories: mapped.map(|(purpose, names)| (purpose.clone(), words(names))).collect(),
        format,
    })
}

fn require(route: &Value) -> Option<Option<Require>> {
    let require = at(route, "require");
    if require == "none" {
        return Some(None);
    }
    let purposes = at(require, "purposes");
    let any = at(purposes, "any");
    Some(Some(Require {
        any: any.is_array(),
        purposes: words(if any.is_array() { any } else { at(purposes, "all") }),
        channel: word(at(require, "channel")),
        recipient: word(at(require, "recipient")).unwrap_or_else(|| "first_party".to_owned()),
        legal_basis: match words(at(require, "legal_basis")) {
            none if none.is_empty() => vec!["consent".to_owned()],
            listed => listed,
        },
        both: at(require, "evaluate") != "now",
        stamp: match route.get("stamp").filter(|stamp| stamp.is_object()) {
            None => None,
            Some(written) => Some(stamp(written)?),
        },
    }))
}

fn route(route: &Value, policy: &Policy) -> Option<Route> {
    let require = require(route)?;
    let kafka = at(at(route, "to"), "kafka");
    let key = word(at(kafka, "key")).unwrap_or_else(|| "keep".to_owned());
    let first_party = require.as_ref().is_some_and(|r| r.recipient == "first_party") && kafka.is_object();
    let pass_by_default = (first_party || require.is_none()) && key != "remove";
    Some(Route {
        name: word(at(route, "name"))?,
        when: word(at(route, "when")),
        own_level: at(route, "level").as_str().map(|word| place(&policy.levels, word)),
        hold: words(at(route, "hold")),
        hold_for: span(at(route, "hold_for"), "7d")?,
        grace: span(at(route, "grace"), "10s")?,
        pass_tombstones: at(route, "tombstones").as_str().map_or(pass_by_default, |word| word == "pass"),
        require,
        key,
    })
}
