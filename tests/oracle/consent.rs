//! The consent record (semantics section 2): what a topic of changes leaves of each subject.
//!
//! Everything is kept as words: nothing is looked up in a policy here. A record that does not decode
//! leaves its subject `Invalid`, never without a state.

use super::{
    json::{self, Node},
    rules::Window,
    signals,
    time::{self, Millis},
};
use serde_json::Value;

/// What one key holds on one partition.
#[derive(Clone, Debug)]
pub enum Held {
    Tombstone,
    Invalid,
    State(State),
}

#[derive(Clone, Debug, Default)]
pub struct State {
    pub grants: Vec<Grant>,
    pub time_zone: String,
    pub windows: Vec<(String, Window)>,
    pub gpc: bool,
    pub restricted: bool,
}

/// For every word of text absent = null = empty.
#[derive(Clone, Debug, Default)]
pub struct Grant {
    pub purpose: String,
    pub channel: String,
    pub recipient: String,
    pub status: String,
    pub basis: String,
    pub level: String,
    pub given_at: Option<Millis>,
    pub confirmed_at: Option<Millis>,
    pub valid_until: Option<Millis>,
}

/// One subject as a decision meets it.
#[derive(Clone, Copy)]
pub enum Part<'t> {
    Unknown,
    Invalid,
    Conflicted,
    State(&'t State),
}

/// One raw key on one partition: the last line wins, whatever its version.
struct Entry {
    raw_key: String,
    partition: i128,
    held: Held,
}

pub struct Topic {
    entries: Vec<Entry>,
}

/// `type:value`, the value trimmed and an e-mail address lower-cased.
pub fn normal(kind: &str, value: &str) -> (String, String) {
    let value = value.trim();
    (kind.to_owned(), if kind == "email" { value.to_lowercase() } else { value.to_owned() })
}

fn normal_key(raw: &str) -> (String, String) {
    let (kind, value) = raw.split_once(':').expect("keys of the input are readable");
    normal(kind, value)
}

impl Topic {
    /// Reads the lines of `--consents` in order.
    pub fn read(lines: &[String], max_grants: usize, policy: &Value) -> Self {
        let mut entries: Vec<Entry> = Vec::new();
        for line in lines {
            let node = json::parse(line).unwrap();
            let partition = match node.member("partition") {
                Some(Node::Number(source)) => time::integer(source).unwrap(),
                _ => 0,
            };
            let (raw_key, held) = message(&node, max_grants, policy);
            entries.retain(|e| (&e.raw_key, e.partition) != (&raw_key, partition));
            entries.push(Entry { raw_key, partition, held });
        }
        Self { entries }
    }

    /// The subject's states by partition number, or what else is known of it.
    pub fn parts(&self, subject: &(String, String)) -> Vec<Part<'_>> {
        let mut mine: Vec<&Entry> =
            self.entries.iter().filter(|e| &normal_key(&e.raw_key) == subject).collect();
        mine.sort_by_key(|e| e.partition);
        let erased = mine.iter().filter(|e| matches!(e.held, Held::Tombstone)).count();
        if erased == mine.len() {
            return vec![Part::Unknown];
        }
        if erased > 0 {
            return vec![Part::Conflicted];
        }
        mine.iter()
            .map(|e| match &e.held {
                Held::State(state) => Part::State(state),
                Held::Invalid => Part::Invalid,
                Held::Tombstone => Part::Unknown,
            })
            .collect()
    }
}

fn chars<'n>(node: &'n Node, name: &str) -> Option<&'n str> {
    match node.member(name) {
        Some(Node::Text(_, chars)) => Some(chars),
        _ => None,
    }
}

/// A line of `--consents`: `key` and `raw`, `key` and a null `value`, or the record itself.
fn message(line: &Node, max_grants: usize, policy: &Value) -> (String, Held) {
    if let Some(key) = chars(line, "key") {
        let held = match chars(line, "raw") {
            Some(raw) => held(key, json::parse(raw).as_ref(), max_grants, policy),
            None => Held::Tombstone,
        };
        return (key.to_owned(), held);
    }
    let subject = line.member("subject").expect("a record names its subject");
    let (kind, value) = normal(chars(subject, "type").unwrap(), chars(subject, "value").unwrap());
    let key = format!("{kind}:{value}");
    let held = held(&key, Some(line), max_grants, policy);
    (key, held)
}

fn held(key: &str, body: Option<&Node>, max_grants: usize, policy: &Value) -> Held {
    body.and_then(|body| state(key, body, max_grants, policy)).map_or(Held::Invalid, Held::State)
}

// What follows answers `None` for "does not decode".

fn state(key: &str, body: &Node, max_grants: usize, policy: &Value) -> Option<State> {
    if body.repeats_a_name_anywhere() {
        return None;
    }
    let subject = object(body, "subject")??;
    let (kind, value) = (word(subject, "type")?, word(subject, "value")?);
    let named = normal(&kind, &value);
    if named.0.is_empty() || named.1.is_empty() || named != normal_key(key) {
        return None;
    }
    number(body, "version")?;
    instant(body, "updated_at")?;
    word(body, "jurisdiction")?;
    let grants = list(body, "grants")?;
    if grants.len() > max_grants {
        return None;
    }
    let signals = object(body, "signals")?;
    let string = |name: &str| signals.map_or(Some(String::new()), |s| word(s, name));
    let (tcf, gpp) = (string("tcf")?, string("gpp")?);
    let contact = object(body, "contact")?;
    let mut grants: Vec<Grant> = grants.iter().map(grant).collect::<Option<_>>()?;
    grants.extend(signals::added(policy, &tcf, &gpp));
    Some(State {
        grants,
        time_zone: contact.map_or(Some(String::new()), |c| word(c, "time_zone"))?,
        windows: match contact {
            Some(contact) => list(contact, "windows")?.iter().map(window).collect::<Option<_>>()?,
            None => Vec::new(),
        },
        gpc: signals.map_or(Some(false), |s| boolean(s, "gpc"))?,
        restricted: boolean(body, "restricted")?,
    })
}

fn grant(node: &Node) -> Option<Grant> {
    if !matches!(node, Node::Object(_)) {
        return None;
    }
    word(node, "notice")?;
    word(node, "source")?;
    let grant = Grant {
        purpose: word(node, "purpose")?,
        channel: word(node, "channel")?,
        recipient: word(node, "recipient")?,
        status: word(node, "status")?,
        basis: word(node, "basis")?,
        level: word(node, "level")?,
        given_at: instant(node, "given_at")?,
        confirmed_at: instant(node, "confirmed_at")?,
        valid_until: instant(node, "valid_until")?,
    };
    (!grant.purpose.trim().is_empty()).then_some(grant)
}

fn window(node: &Node) -> Option<(String, Window)> {
    if !matches!(node, Node::Object(_)) {
        return None;
    }
    let days = match node.member("days") {
        None | Some(Node::Null) => None,
        Some(Node::Array(days)) => Some(days.iter().map(text).collect::<Option<Vec<_>>>()?),
        Some(_) => return None,
    };
    Some((word(node, "channel")?, Window { days, from: word(node, "from")?, to: word(node, "to")? }))
}

fn text(node: &Node) -> Option<String> {
    match node {
        Node::Text(_, chars) => Some(chars.clone()),
        _ => None,
    }
}

fn word(node: &Node, name: &str) -> Option<String> {
    match node.member(name) {
        None | Some(Node::Null) => Some(String::new()),
        Some(other) => text(other),
    }
}

fn instant(node: &Node, name: &str) -> Option<Option<Millis>> {
    node.member(name).map_or(Some(None), |node| time::read(node).ok())
}

fn boolean(node: &Node, name: &str) -> Option<bool> {
    match node.member(name) {
        None | Some(Node::Null) => Some(false),
        Some(Node::Bool(yes)) => Some(*yes),
        Some(_) => None,
    }
}

fn number(node: &Node, name: &str) -> Option<()> {
    matches!(node.member(name), None | Some(Node::Null | Node::Number(_))).then_some(())
}

fn list<'n>(node: &'n Node, name: &str) -> Option<&'n [Node]> {
    match node.member(name) {
        None | Some(Node::Null) => Some(&[]),
        Some(Node::Array(items)) => Some(items),
        Some(_) => None,
    }
}

fn object<'n>(node: &'n Node, name: &str) -> Option<Option<&'n Node>> {
    match node.member(name) {
        None | Some(Node::Null) => Some(None),
        Some(object @ Node::Object(_)) => Some(Some(object)),
        Some(_) => None,
    }
}
