//! The configuration as the oracle reads it: the YAML's shape as JSON, every default spelled out once.
//!
//! Assumes that the configuration is good: what is wrong with one is the business of `consentry check`,
//! and a bad one panics here.

use super::time::{Millis, duration};
use serde_json::Value;

pub struct Rules {
    pub policy: Policy,
    pub pipelines: Vec<Pipeline>,
    pub max_grants: usize,
    pub max_record_bytes: usize,
}

pub struct Policy {
    pub purposes: Vec<Purpose>,
    /// Least intimate first; a level is its place in this list.
    pub levels: Vec<String>,
    pub windows: Vec<(String, Window)>,
    pub assume_time_zones: Vec<String>,
    pub honour_gpc: bool,
    pub clock_skew: Millis,
    pub pseudonym_key: Vec<u8>,
}

pub struct Purpose {
    pub name: String,
    pub max_age: Option<Millis>,
    pub double: bool,
    pub level: usize,
}

#[derive(Clone, Debug)]
pub struct Window {
    pub days: Option<Vec<String>>,
    pub from: String,
    pub to: String,
}

pub struct Pipeline {
    pub name: String,
    /// Where the people of a record stand; selectors and labels then begin at one of them.
    pub elements: Option<Vec<String>>,
    pub subjects: Vec<(String, Source)>,
    pub match_all: bool,
    pub occurred_at: Option<Source>,
    pub fields: Vec<Label>,
    pub strip_unlabelled: bool,
    pub routes: Vec<Route>,
}

impl Pipeline {
    /// A path that begins at each element, from the whole value; without `elements` it does so already.
    pub fn whole_path(&self, path: &[String]) -> Vec<String> {
        match &self.elements {
            None => path.to_vec(),
            Some(array) => [array.as_slice(), &["*".to_owned()], path].concat(),
        }
    }

    /// The labels, each with the path that it has from the whole value.
    pub fn labels_with_whole_paths(&self) -> Vec<Label> {
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
    pub shown: String,
    pub source: Source,
    /// With `elements`: it begins at the whole value.
    pub outside: bool,
    pub level: usize,
    pub action: Action,
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

pub struct Route {
    pub name: String,
    pub when: Option<String>,
    /// `None` is `require: none`.
    pub require: Option<Require>,
    pub own_level: Option<usize>,
    pub hold: Vec<String>,
    pub hold_for: Millis,
    pub grace: Millis,
    pub key: String,
    pub pass_tombstones: bool,
}

/// Consent that the event itself must carry.
#[derive(Clone)]
pub struct Stamp {
    pub format: String,
    pub path: Vec<String>,
    /// As far as the configuration maps them.
    pub categories: Vec<(String, Vec<String>)>,
}

#[derive(Clone)]
pub struct Require {
    pub any: bool,
    pub purposes: Vec<String>,
    pub channel: Option<String>,
    pub recipient: String,
    pub legal_basis: Vec<String>,
    /// `evaluate: both`; otherwise only `now` counts.
    pub both: bool,
    pub stamp: Option<Stamp>,
}

fn words(value: &Value) -> Vec<String> {
    let Some(list) = value.as_array() else { return Vec::new() };
    list.iter().map(|word| word.as_str().unwrap().to_owned()).collect()
}

fn word(value: &Value) -> Option<String> {
    value.as_str().map(ToOwned::to_owned)
}

pub fn size(value: &Value, default: usize) -> usize {
    let Some(text) = value.as_str() else { return value.as_u64().map_or(default, |n| n as usize) };
    let unit = text.trim_start_matches(|c: char| c.is_ascii_digit());
    let count: usize = text[..text.len() - unit.len()].parse().unwrap();
    count
        * match unit {
            "" | "B" => 1,
            "KiB" => 1 << 10,
            "MiB" => 1 << 20,
            _ => panic!("no size: `{text}`"),
        }
}

/// The segments of a JSON Pointer, unescaped.
pub fn pointer(path: &str) -> Vec<String> {
    path.split('/').skip(1).map(|segment| segment.replace("~1", "/").replace("~0", "~")).collect()
}

pub fn read(config: &Value) -> Rules {
    let policy = policy(&config["policy"]);
    let pipelines = config["pipelines"].as_array().unwrap().iter().map(|p| pipeline(p, &policy)).collect();
    let limits = &config["limits"];
    Rules {
        policy,
        pipelines,
        max_grants: size(&limits["max_grants"], 256),
        max_record_bytes: size(&limits["max_record_bytes"], 1 << 20),
    }
}

fn policy(policy: &Value) -> Policy {
    let mut levels = words(&policy["levels"]);
    if levels.is_empty() {
        levels = ["anonymous", "pseudonymous", "contact", "sensitive"].map(ToOwned::to_owned).to_vec();
    }
    let purposes = policy["purposes"].as_object().unwrap().iter();
    let purposes = purposes
        .map(|(name, purpose)| Purpose {
            name: name.clone(),
            max_age: purpose["max_age"].as_str().map(duration),
            double: purpose["confirmation"] == "double",
            level: purpose["level"].as_str().map_or(0, |word| place(&levels, word)),
        })
        .collect();
    let windows = policy["windows"].as_object().into_iter().flatten();
    Policy {
        purposes,
        windows: windows.map(|(channel, w)| (channel.clone(), window(w))).collect(),
        assume_time_zones: words(&policy["assume_time_zones"]),
        honour_gpc: policy["honour_gpc"].as_bool().unwrap_or(true),
        clock_skew: duration(policy["clock_skew"].as_str().unwrap_or("5s")),
        pseudonym_key: pseudonym_key(&policy["pseudonym_key"]),
        levels,
    }
}

/// A word's place among the levels; one that is not listed is the lowest.
pub fn place(levels: &[String], word: &str) -> usize {
    levels.iter().position(|level| level == word).unwrap_or(0)
}

fn window(window: &Value) -> Window {
    Window {
        days: window["days"].is_array().then(|| words(&window["days"])),
        from: word(&window["from"]).unwrap_or_default(),
        to: word(&window["to"]).unwrap_or_default(),
    }
}

fn pseudonym_key(key: &Value) -> Vec<u8> {
    let Some(file) = key["file"].as_str() else { return Vec::new() };
    let mut bytes = std::fs::read(file).unwrap();
    if bytes.last() == Some(&b'\n') {
        bytes.pop();
    }
    bytes
}

fn pipeline(pipeline: &Value, policy: &Policy) -> Pipeline {
    let list = |key: &str| pipeline[key].as_array().cloned().unwrap_or_default();
    Pipeline {
        name: word(&pipeline["name"]).unwrap(),
        elements: pipeline["elements"].as_str().map(pointer),
        subjects: list("subject").iter().map(|s| (word(&s["type"]).unwrap(), source(s))).collect(),
        match_all: pipeline["match"] == "all",
        occurred_at: pipeline.get("occurred_at").map(source),
        fields: list("fields").iter().map(|label| self::label(label, policy)).collect(),
        strip_unlabelled: pipeline["unlabelled"] == "remove",
        routes: list("routes").iter().map(|r| route(r, policy)).collect(),
    }
}

fn source(written: &Value) -> Source {
    match (written["path"].as_str(), written["header"].as_str()) {
        (Some(path), _) => Source::Path(pointer(path)),
        (None, Some(header)) => Source::Header(header.to_owned()),
        (None, None) => Source::Key,
    }
}

fn label(label: &Value, policy: &Policy) -> Label {
    let header = label["header"].as_str().map(|name| format!("header:{name}"));
    let outside = label["outside"] == true;
    let path = word(&label["path"]).map(|path| if outside { format!("outside:{path}") } else { path });
    Label {
        shown: header.or(path).unwrap(),
        outside,
        source: source(label),
        level: place(&policy.levels, label["level"].as_str().unwrap()),
        action: action(&label["action"]),
    }
}

fn action(action: &Value) -> Action {
    match action.as_str() {
        Some("remove") => Action::Remove,
        Some("null") => Action::Null,
        Some("mask") => Action::Mask,
        Some("hash") => Action::Hash,
        Some(other) => panic!("no action: `{other}`"),
        None => match (&action["truncate"], &action["generalize"]) {
            (Value::Number(n), _) => Action::Truncate(n.as_u64().unwrap() as usize),
            (_, Value::Number(n)) => Action::Floor(n.as_u64().unwrap().into()),
            (_, unit) => match unit.as_str().unwrap() {
                "day" => Action::Date(10),
                "month" => Action::Date(7),
                "year" => Action::Date(4),
                "ip" => Action::Address,
                other => panic!("no generalization: `{other}`"),
            },
        },
    }
}

fn stamp(stamp: &Value) -> Stamp {
    let format = word(&stamp["format"]).unwrap();
    let usual = match format.as_str() {
        "consentry" => "/consent",
        "segment" => "/context/consent/categoryPreferences",
        "rudderstack" => "/context/consentManagement",
        other => panic!("no format: `{other}`"),
    };
    let mapped = stamp["categories"].as_object().into_iter().flatten();
    Stamp {
        path: pointer(stamp["path"].as_str().unwrap_or(usual)),
        categories: mapped.map(|(purpose, names)| (purpose.clone(), words(names))).collect(),
        format,
    }
}

fn route(route: &Value, policy: &Policy) -> Route {
    let require = &route["require"];
    let require = (require != "none").then(|| Require {
        any: require["purposes"].get("any").is_some(),
        purposes: words(require["purposes"].get("any").unwrap_or(&require["purposes"]["all"])),
        channel: word(&require["channel"]),
        recipient: word(&require["recipient"]).unwrap_or_else(|| "first_party".to_owned()),
        legal_basis: match words(&require["legal_basis"]) {
            none if none.is_empty() => vec!["consent".to_owned()],
            listed => listed,
        },
        both: require["evaluate"] != "now",
        stamp: route.get("stamp").map(stamp),
    });
    let kafka = &route["to"]["kafka"];
    let key = word(&kafka["key"]).unwrap_or_else(|| "keep".to_owned());
    let first_party = require.as_ref().is_some_and(|r| r.recipient == "first_party") && kafka.is_object();
    let pass_by_default = (first_party || require.is_none()) && key != "remove";
    Route {
        name: word(&route["name"]).unwrap(),
        when: word(&route["when"]),
        own_level: route["level"].as_str().map(|word| place(&policy.levels, word)),
        hold: words(&route["hold"]),
        hold_for: duration(route["hold_for"].as_str().unwrap_or("7d")),
        grace: duration(route["grace"].as_str().unwrap_or("10s")),
        pass_tombstones: route["tombstones"].as_str().map_or(pass_by_default, |word| word == "pass"),
        require,
        key,
    }
}
