//! Tree → raw structs, with every structural problem at once.
//!
//! serde stops at its first error. So the node that the error names is made a hole and the reading is
//! repeated until it succeeds; each round takes one problem out of the file, so it ends. Keys and words
//! that a later version is to understand are refused by name, not as typing errors.

use std::borrow::Cow;

use serde_path_to_error::Segment;

use super::problem::Problems;
use super::raw;
use super::spot::Spot;
use super::suggest::offer;
use super::yaml::{Node, Step};

/// Structural problems after which the rest is not looked for.
const MAX_PROBLEMS: usize = 200;

/// Keys of later versions: the mapping (its key; "" the file itself), the key, and what holds until then.
const LATER_KEYS: &[(&str, &str, &str)] = &[
    ("", "audit", "leave it out; every record is counted in `consentry_records_total`"),
    ("", "registry", "leave it out; values are JSON without a registry"),
    ("pipelines", "shadow", "leave it out; `consentry explain` shows what a policy would do"),
    ("pipelines", "audit", "leave it out; every record is counted in `consentry_records_total`"),
    ("routes", "shadow", "leave it out; `consentry explain` shows what a route would do"),
    ("routes", "audit", "leave it out; every record is counted in `consentry_records_total`"),
    ("from", "registry", "leave it out; values are JSON without a registry"),
    ("to", "http", "write to a topic of this cluster (`kafka`) and carry it on from there"),
    ("to", "s3", "write to a topic of this cluster (`kafka`) and carry it on from there"),
    ("to", "object_storage", "write to a topic of this cluster (`kafka`) and carry it on from there"),
    ("to", "file", "write to a topic of this cluster (`kafka`) and carry it on from there"),
    ("kafka", "properties", "leave it out; the sink is in the cluster of the sources"),
];

/// Words of later versions: the key, the word, and what holds until then.
const LATER_WORDS: &[(&str, &str, &str)] =
    &[("format", "avro", "values must be `json`"), ("format", "protobuf", "values must be `json`")];

/// Reads the raw structs. What is wrong is added to `problems` and made a hole in `tree`.
pub(super) fn read(tree: &mut Node, problems: &mut Problems) -> raw::Configuration {
    for _ in 0..MAX_PROBLEMS {
        let error = match serde_path_to_error::deserialize(&*tree) {
            Ok(configuration) => return configuration,
            Err(error) => error,
        };
        let mut path: Vec<Step> = error.path().iter().filter_map(step).collect();
        let message = error.inner().to_string();
        if let Some((key, known)) = quoted(&message, "unknown field `") {
            if path.last() != Some(&Step::Key(key.to_owned())) {
                path.push(Step::Key(key.to_owned()));
            }
            unknown_key(Spot::root(tree), &path, key, &known, problems);
        } else {
            unreadable(Spot::root(tree).walk(&path), &path, &message, problems);
        }
        if !tree.prune(&path) {
            break;
        }
    }
    raw::Configuration::default()
}

fn step(segment: &Segment) -> Option<Step> {
    match segment {
        Segment::Seq { index } => Some(Step::Item(*index)),
        Segment::Map { key } => Some(Step::Key(key.clone())),
        Segment::Enum { .. } | Segment::Unknown => None,
    }
}

/// The name that serde complains of and the names it knows, if `message` begins with `start`.
fn quoted<'a>(message: &'a str, start: &str) -> Option<(&'a str, Vec<&'a str>)> {
    let (name, rest) = message.strip_prefix(start)?.split_once("`, ")?;
    Some((name, rest.split('`').skip(1).step_by(2).collect()))
}

/// The last key of a path, or "" at the top.
fn last_key(path: &[Step]) -> &str {
    let mut keys = path.iter().rev().filter_map(|step| match step {
        Step::Key(key) => Some(key.as_str()),
        Step::Item(_) => None,
    });
    keys.next().unwrap_or_default()
}

/// Whether what stands at a path may be a secret, so that its line is not quoted.
fn may_be_secret(path: &[Step]) -> bool {
    matches!(path, [Step::Key(kafka), Step::Key(properties), ..] if kafka == "kafka" && properties == "properties")
}

fn unknown_key(root: Spot<'_>, path: &[Step], key: &str, known: &[&str], problems: &mut Problems) {
    let at = root.walk(path).key_at();
    let above = path.split_last().map_or(path, |(_, above)| above);
    let owner = last_key(above);
    let in_sink = above.len() > 2 && above.iter().any(|step| *step == Step::Key("to".to_owned()));
    let another_cluster = (owner == "kafka" && key == "brokers" && in_sink)
        .then_some("leave it out; the sink is in the cluster of the sources");
    let later = LATER_KEYS
        .iter()
        .find(|(mapping, name, _)| *mapping == owner && *name == key && (owner != "kafka" || in_sink))
        .map(|(_, _, until)| *until)
        .or(another_cluster);
    match later {
        _ if owner == "fields" && key == "key" => {
            let help = "the key is the sink's: `to: {kafka: {topic: …, key: hash}}`, or `key: remove`";
            problems.add(at, "a label on the key is refused", help);
        }
        _ if key == "stamp" && matches!(owner, "pipelines" | "require") => {
            problems.add(at, "`stamp` is a key of a route", "write it in the route, beside `require`");
        }
        Some(until) => problems.add(at, format!("`{key}` is not available yet"), until),
        None => {
            let help = offer(key, known.iter().copied());
            problems.add_as(may_be_secret(path), at, format!("unknown key `{key}`"), help);
        }
    }
}

fn unreadable(spot: Spot<'_>, path: &[Step], message: &str, problems: &mut Problems) {
    if let Some((word, known)) = quoted(message, "unknown variant `") {
        let key = last_key(path);
        let of_values = !path.contains(&Step::Key("stamp".to_owned()));
        let later = LATER_WORDS.iter().find(|(owner, name, _)| of_values && *owner == key && *name == word);
        match later {
            Some((_, _, until)) => problems.add(spot.at(), format!("`{word}` is not available yet"), *until),
            None => {
                let message = format!("unknown word `{word}` for `{key}`");
                let mappings =
                    if key == "action" { &["{truncate: N}", "{generalize: …}"][..] } else { &[] };
                problems.add(spot.at(), message, offer(word, known.iter().chain(mappings).copied()));
            }
        }
        return;
    }
    let (message, help) = message.split_once(raw::HELP).unwrap_or((message, ""));
    if message == raw::INLINE_SECRET {
        problems.add_secret(spot.at(), message, help);
        return;
    }
    let (message, found) = wrong_type(message);
    let help = match found {
        "string" | "null" | "" => help,
        _ if message.starts_with("expected a string") => "put it in quotes",
        _ => help,
    };
    problems.add_as(may_be_secret(path), spot.at(), message, help);
}

/// `invalid type: integer `5`, expected a string` the other way round, and the kind that was found.
fn wrong_type(message: &str) -> (Cow<'_, str>, &str) {
    let found = ["invalid type: ", "invalid value: "].iter().find_map(|start| message.strip_prefix(start));
    let Some((found, expected)) = found.and_then(|found| found.rsplit_once(", expected ")) else {
        return (Cow::Borrowed(message), "");
    };
    let expected = match expected {
        "u64" => "a whole number, 0 or more",
        "map" => "a mapping",
        "string or map" => "a word",
        "a sequence" => "a list",
        other => other,
    };
    let shown = match found {
        "map" => "a mapping".to_owned(),
        "sequence" => "a list".to_owned(),
        "null" => "nothing".to_owned(),
        other => other.replace('"', "`"),
    };
    (Cow::Owned(format!("expected {expected}, found {shown}")), found.split(' ').next().unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_names_out_of_serdes_messages() {
        let message = "unknown field `topik`, expected one of `topic`, `create`, `key`";
        assert_eq!(quoted(message, "unknown field `"), Some(("topik", vec!["topic", "create", "key"])));
        let message = "unknown variant `x`, expected `y`";
        assert_eq!(quoted(message, "unknown variant `"), Some(("x", vec!["y"])));
        assert_eq!(quoted("something else", "unknown field `"), None);
    }

    #[test]
    fn says_what_was_expected_first() {
        let (message, found) = wrong_type("invalid type: integer `5`, expected a string");
        assert_eq!((message.as_ref(), found), ("expected a string, found integer `5`", "integer"));
        assert_eq!(wrong_type("odd").0, "odd");
    }
}
