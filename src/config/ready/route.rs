//! One route: what it takes in, what it requires, where it goes.

use super::super::problem::Problems;
use super::super::raw;
use super::super::spot::Spot;
use super::policy::Words;
use super::require::{FIRST_PARTY, require};
use super::{missing, names, wait_ms};
use crate::kafka::settings::TopicSettings;
use crate::policy::settings::{HoldSettings, KeyAction, RequireSettings, RouteSettings};
use crate::policy::when::When;

/// How long `pending` waits: a week.
const HOLD_FOR_MS: u64 = 7 * 86_400_000;

/// How long `unknown` waits.
const GRACE_MS: u64 = 10_000;

/// One route and its sink.
pub(super) fn route(
    raw: &raw::Route,
    spot: Spot<'_>,
    words: &Words,
    problems: &mut Problems,
) -> (RouteSettings, TopicSettings) {
    let name = raw.name.clone().unwrap_or_default();
    match names::plain(&name) {
        _ if raw.name.is_none() => missing(spot.key("name"), "name", "name the route", problems),
        Some(fault) => {
            let help = "it is part of headers and metrics";
            problems.add(spot.key("name").at(), format!("a route's name {fault}"), help);
        }
        None => {}
    }
    if let Some(source) = &raw.when
        && let Err(error) = When::compile(source)
    {
        let help = "it is a CEL expression over `value`, `headers`, `key` and `topic` that is true or false";
        // The parser names its own place and everything that it would have taken; that is no help here.
        let error = error.to_string().replace("ERROR: <input>:", "at ");
        let error = error.split_once(" expecting ").map_or(error.as_str(), |(before, _)| before);
        problems.add(spot.key("when").at(), format!("`when` does not compile: {error}"), help);
    }
    let require = require(raw, spot, words, problems);
    let (key, sink) = sink(raw.to.as_ref(), spot, problems);
    let pass_tombstones = tombstones(raw, &require, key, spot, problems);
    let hold = hold(raw, &require, spot, problems);
    (RouteSettings { name, when: raw.when.clone(), require, hold, pass_tombstones, key }, sink)
}

/// `to`: what becomes of the key, and the topic.
fn sink(raw: Option<&raw::Sink>, spot: Spot<'_>, problems: &mut Problems) -> (KeyAction, TopicSettings) {
    let spot = spot.key("to");
    let help = "write `to: {kafka: {topic: NAME}}`";
    let Some(kafka) = raw.and_then(|sink| sink.kafka.as_ref()) else {
        if raw.is_none() {
            missing(spot, "to", help, problems);
        } else if !spot.has_holes() {
            missing(spot.key("kafka"), "kafka", help, problems);
        }
        return (KeyAction::Keep, TopicSettings { name: String::new(), create: false });
    };
    let spot = spot.key("kafka");
    let key = match kafka.key {
        None | Some(raw::KeyAction::Keep) => KeyAction::Keep,
        Some(raw::KeyAction::Hash) => KeyAction::Hash,
        Some(raw::KeyAction::Remove) => KeyAction::Remove,
    };
    (key, topic(kafka.topic.as_ref(), kafka.create, spot, problems))
}

/// A topic that is written to; `spot` is that of the mapping.
pub(super) fn topic(
    name: Option<&String>,
    create: Option<bool>,
    spot: Spot<'_>,
    problems: &mut Problems,
) -> TopicSettings {
    match name {
        Some(name) => names::topic(name, spot.key("topic"), problems),
        None => missing(spot.key("topic"), "topic", "name the topic", problems),
    }
    TopicSettings { name: name.cloned().unwrap_or_default(), create: create.unwrap_or_default() }
}

/// Whether a deletion passes unasked.
fn tombstones(
    raw: &raw::Route,
    require: &RequireSettings,
    key: KeyAction,
    spot: Spot<'_>,
    problems: &mut Problems,
) -> bool {
    let ours = match require {
        RequireSettings::Nothing(_) => true,
        RequireSettings::Grants(grants) => grants.recipient == FIRST_PARTY,
    };
    let keyless = key == KeyAction::Remove;
    if raw.tombstones == Some(raw::Tombstones::Pass) && keyless {
        let help = "without its key a deletion deletes nothing: keep or hash the key, or write `decide`";
        problems.add(spot.key("tombstones").at(), "`tombstones: pass` with `key: remove`", help);
    }
    match raw.tombstones {
        Some(word) => word == raw::Tombstones::Pass,
        None => ours && !keyless,
    }
}

fn hold(
    raw: &raw::Route,
    require: &RequireSettings,
    spot: Spot<'_>,
    problems: &mut Problems,
) -> HoldSettings {
    let words = raw.hold.as_deref().unwrap_or_default();
    if !words.is_empty() && matches!((require, &raw.require), (RequireSettings::Nothing(_), Some(_))) {
        let help = "take `hold` out: what needs no consent never waits for it";
        problems.add(spot.key("hold").key_at(), "a route with `require: none` holds nothing", help);
    }
    HoldSettings {
        pending: words.contains(&raw::Hold::Pending),
        contact_window: words.contains(&raw::Hold::ContactWindow),
        unknown: words.contains(&raw::Hold::Unknown),
        hold_for_ms: wait_ms(raw.hold_for, spot.key("hold_for"), HOLD_FOR_MS, problems),
        grace_ms: wait_ms(raw.grace, spot.key("grace"), GRACE_MS, problems),
    }
}
