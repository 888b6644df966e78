//! A place in the tree that a check walks beside the raw structs, so that each problem finds its line.

use serde_json::Value as Json;

use super::problem::At;
use super::suggest::nearest;
use super::yaml::{Entry, Node, Step, Value};

/// A node of the tree, or where one is missing.
#[derive(Clone, Copy, Debug)]
pub(super) struct Spot<'a> {
    node: Option<&'a Node>,
    key: At,
    /// Nothing is here, but a key much like it is and has been complained about.
    misspelt: bool,
}

impl<'a> Spot<'a> {
    /// The whole file.
    pub fn root(node: &'a Node) -> Self {
        Self { node: Some(node), key: node.at, misspelt: false }
    }

    /// The value under `name`; where there is none, a spot that points at this one's key.
    pub fn key(self, name: &str) -> Self {
        match self.node.map(|node| &node.value) {
            Some(Value::Map(entries)) => match entries.iter().find(|entry| entry.key == name) {
                Some(entry) => Self { node: Some(&entry.node), key: entry.at, misspelt: false },
                None => Self { misspelt: entries.iter().any(|entry| is_like(entry, name)), ..self.gone() },
            },
            _ => self.gone(),
        }
    }

    /// The item at `index` among those that could be read.
    pub fn item(self, index: usize) -> Self {
        match self.node.map(|node| &node.value) {
            Some(Value::List(items)) => {
                items.iter().filter(|item| !item.is_hole()).nth(index).map_or(self.gone(), |item| Self {
                    node: Some(item),
                    key: first_word(item),
                    misspelt: false,
                })
            }
            _ => self.gone(),
        }
    }

    /// Where the path leads, as far as it leads anywhere.
    pub fn walk(self, path: &[Step]) -> Self {
        path.iter().fold(self, |spot, step| match step {
            Step::Key(key) => spot.key(key),
            Step::Item(index) => spot.item(*index),
        })
    }

    /// Where the value stands; where there is none, the key above it.
    pub fn at(self) -> At {
        self.node.filter(|node| node.at.width > 0).map_or(self.key, |node| node.at)
    }

    /// Where the key stands.
    pub fn key_at(self) -> At {
        self.key
    }

    /// The spot of the key itself, for problems with a name.
    pub fn named(self) -> Self {
        Self { node: None, ..self }
    }

    /// Whether something stands here, readable or not. An empty value (`key:`) is nothing.
    pub fn is_written(self) -> bool {
        self.misspelt || !matches!(self.node.map(|node| &node.value), None | Some(Value::Scalar(Json::Null)))
    }

    /// Whether a word for null stands here (`null`, `~`), rather than nothing at all.
    pub fn is_null_word(self) -> bool {
        let null = matches!(self.node.map(|node| &node.value), Some(Value::Scalar(Json::Null)));
        null && self.node.is_some_and(|node| node.at.width > 0)
    }

    /// Whether what stood here could not be read.
    pub fn is_hole(self) -> bool {
        self.node.is_some_and(Node::is_hole)
    }

    /// Whether something in this mapping could not be read.
    pub fn has_holes(self) -> bool {
        self.is_hole() || self.keys().into_iter().any(|key| self.key(key).is_hole())
    }

    /// The keys of a mapping, unreadable values included.
    pub fn keys(self) -> Vec<&'a str> {
        match self.node.map(|node| &node.value) {
            Some(Value::Map(entries)) => entries.iter().map(|entry| entry.key.as_str()).collect(),
            _ => Vec::new(),
        }
    }

    /// How many items a list was written with, unreadable ones included.
    pub fn written_items(self) -> usize {
        match self.node.map(|node| &node.value) {
            Some(Value::List(items)) => items.len(),
            _ => 0,
        }
    }

    fn gone(self) -> Self {
        Self { node: None, key: self.key, misspelt: false }
    }
}

/// Whether an entry that was refused may have meant `name`.
fn is_like(entry: &Entry, name: &str) -> bool {
    entry.node.is_hole() && nearest(&entry.key, [name]).is_some()
}

/// The first key of a mapping, which stands for the whole of it.
fn first_word(node: &Node) -> At {
    match &node.value {
        Value::Map(entries) => entries.first().map_or(node.at, |entry| entry.at),
        Value::Scalar(_) | Value::List(_) | Value::Hole => node.at,
    }
}
