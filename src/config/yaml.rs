//! YAML → a tree in which every key and value knows its place.
//!
//! serde forgets where a value stood; a check that is made later could then only name a path. So the
//! text is read into this tree first, the raw structs are read from the tree, and `Spot` walks the tree
//! beside them. What could not be read is pruned: it stays as a hole, so that a
//! check can tell "not there" from "there, and already complained about".

use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::Value as Json;
use serde_saphyr::budget::BudgetBreach;
use serde_saphyr::{Error, Spanned};

use super::problem::{At, Problems};

/// Levels of nesting in a configuration; what is deeper is not one.
const MAX_DEPTH: usize = 32;

/// Mappings, lists and scalars of a configuration, each as often as an alias repeats it.
const MAX_NODES: usize = 250_000;

/// A value and its place.
#[derive(Clone, Debug)]
pub(super) struct Node {
    /// Where it stands; width 0 for a value that is not written (`key:` and nothing after it).
    pub at: At,
    /// What it is.
    pub value: Value,
}

/// What a node is.
#[derive(Clone, Debug)]
pub(super) enum Value {
    /// Null, a boolean, a number or text.
    Scalar(Json),
    /// A sequence.
    List(Vec<Node>),
    /// A mapping, in the order of the file; keys may repeat until `drop_repeated`.
    Map(Vec<Entry>),
    /// What was here could not be read and has been complained about.
    Hole,
}

/// A key and its value.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    /// The key.
    pub key: String,
    /// Where the key stands.
    pub at: At,
    /// The value.
    pub node: Node,
}

/// One step of a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// Into a mapping.
    Key(String),
    /// Into a sequence.
    Item(usize),
}

/// Reads `text`; what YAML itself forbids is one problem.
pub(super) fn read(text: &str, problems: &mut Problems) -> Option<Node> {
    let options = serde_saphyr::options! {
        budget: serde_saphyr::budget! { max_depth: MAX_DEPTH, max_nodes: MAX_NODES },
        duplicate_keys: serde_saphyr::options::DuplicateKeyPolicy::PassThrough,
        strict_booleans: true,
        leading_zero_numbers_as_strings: true,
        underscored_numbers_as_strings: true,
        with_snippet: false,
    };
    match serde_saphyr::from_str_with_options::<Node>(text, options) {
        Ok(node) => Some(node),
        Err(error) => {
            let at = error.location().map(|location| At { width: 1, ..place(location) }).unwrap_or_default();
            let (at, message, help) = told(&error, at, text);
            problems.add(at, message, help);
            None
        }
    }
}

/// What an error of the parser is for whoever wrote the text: where, what, and the remedy.
fn told(error: &Error, at: At, text: &str) -> (At, String, &'static str) {
    match error {
        Error::AliasError { error, .. } => told(error, at, text),
        Error::MultipleDocuments { .. } => {
            let help = "one document a file: take out `---`, or make a file of each";
            (at, "a second document begins here".to_owned(), help)
        }
        Error::Budget { breach: BudgetBreach::Depth { .. }, .. } => {
            let message = format!("this is nested deeper than {MAX_DEPTH} levels");
            (at, message, "`consentry schema` describes what a configuration holds")
        }
        Error::Budget { .. } => {
            let message = format!("the file has more than {MAX_NODES} nodes, or aliases that repeat as many");
            (at, message, "write out what aliases repeat, or share the pipelines out over several processes")
        }
        _ => {
            if let Some(at) = tab_near(text, at.line) {
                return (at, "a tab may not indent".to_owned(), "indent with spaces");
            }
            let message = error.to_string();
            let message = message.lines().next().unwrap_or_default();
            let message = message.rsplit_once(" at line ").map_or(message, |(before, _)| before);
            let help = "look for a bracket or quote that stays open, a `:` without a space after it, and lines \
                        that are not indented alike";
            (at, format!("this is no YAML: {message}"), help)
        }
    }
}

/// The first tab that indents the line of the error or one beside it.
fn tab_near(text: &str, line: usize) -> Option<At> {
    let near = text.lines().enumerate().skip(line.saturating_sub(2)).take(3);
    let mut near = near.filter(|(_, line)| !line.trim().is_empty());
    near.find_map(|(index, line)| {
        let mut indent = line.chars().take_while(|letter| matches!(letter, ' ' | '\t'));
        Some(At { line: index + 1, column: indent.position(|letter| letter == '\t')? + 1, width: 1 })
    })
}

fn place(location: serde_saphyr::Location) -> At {
    let small = |number: u64| usize::try_from(number).unwrap_or(usize::MAX);
    let width = usize::try_from(location.span().len()).unwrap_or(usize::MAX);
    At { line: small(location.line()), column: small(location.column()), width }
}

impl Node {
    /// Whether what stood here could not be read.
    pub fn is_hole(&self) -> bool {
        matches!(self.value, Value::Hole)
    }

    /// As JSON; what could not be read is null.
    pub fn into_json(self) -> Json {
        match self.value {
            Value::Scalar(scalar) => scalar,
            Value::List(items) => items.into_iter().map(Self::into_json).collect(),
            Value::Map(entries) => {
                Json::Object(entries.into_iter().map(|entry| (entry.key, entry.node.into_json())).collect())
            }
            Value::Hole => Json::Null,
        }
    }

    /// Makes a hole of each key that its mapping has already, and complains.
    pub fn drop_repeated(&mut self, problems: &mut Problems) {
        match &mut self.value {
            Value::List(items) => items.iter_mut().for_each(|item| item.drop_repeated(problems)),
            Value::Map(entries) => {
                let mut seen: Vec<(String, usize)> = Vec::new();
                entries.retain_mut(|entry| {
                    if let Some((_, line)) = seen.iter().find(|(key, _)| *key == entry.key) {
                        let help = format!("it stands on line {line} already; keep one of the two");
                        problems.add(entry.at, format!("duplicate key `{}`", entry.key), help);
                        return false;
                    }
                    seen.push((entry.key.clone(), entry.at.line));
                    entry.node.drop_repeated(problems);
                    true
                });
            }
            Value::Scalar(_) | Value::Hole => {}
        }
    }

    /// Makes a hole of the node at `path`, or of the last node on the way there. False if that is the
    /// root, which cannot go.
    pub fn prune(&mut self, path: &[Step]) -> bool {
        let Some((first, rest)) = path.split_first() else { return false };
        let child = match (&mut self.value, first) {
            (Value::Map(entries), Step::Key(key)) => {
                entries.iter_mut().find(|entry| entry.key == *key).map(|entry| &mut entry.node)
            }
            (Value::List(items), Step::Item(index)) => {
                items.iter_mut().filter(|item| !item.is_hole()).nth(*index)
            }
            _ => None,
        };
        let Some(child) = child else { return false };
        if !child.prune(rest) {
            child.value = Value::Hole;
        }
        true
    }
}

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let spanned = Spanned::<Value>::deserialize(deserializer)?;
        let mut at = place(spanned.referenced);
        if matches!(spanned.value, Value::List(_) | Value::Map(_)) {
            at.width = 1;
        }
        Ok(Self { at, value: spanned.value })
    }
}

impl<'de> Deserialize<'de> for Value {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ValueVisitor)
    }
}

struct ValueVisitor;

impl<'de> Visitor<'de> for ValueVisitor {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a YAML value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Scalar(Json::Null))
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Scalar(value.into()))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(Value::Scalar(value.into()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(Value::Scalar(value.into()))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(Value::Scalar(value.into()))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::Scalar(value.into()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<Value, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = access.next_element()? {
            items.push(item);
        }
        Ok(Value::List(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Value, A::Error> {
        let mut entries = Vec::new();
        while let Some(key) = access.next_key::<Spanned<String>>()? {
            let (at, node) = (place(key.referenced), access.next_value()?);
            entries.push(Entry { key: key.value, at, node });
        }
        Ok(Value::Map(entries))
    }
}
