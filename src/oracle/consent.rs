//! The consent record (semantics section 2): what a topic of changes leaves of each subject.
//!
//! Everything is kept as words: nothing is looked up in a policy here. A record that does not decode
//! leaves its subject `Invalid`, never without a state.

use super::{
    json::{self, Node},
    rules::{Rules, Window},
    signals,
    time::{self, Millis},
};

/// What one key holds on one partition.
#[derive(Clone, Debug)]
enum Held {
    Tombstone,
    Invalid,
    State(State),
}

/// What one message of the consent topic says of its subject.
#[derive(Clone, Debug)]
pub struct Said(Held);

/// What a readable record says.
#[derive(Clone, Debug, Default)]
pub struct State {
    pub(super) grants: Vec<Grant>,
    pub(super) time_zone: String,
    pub(super) windows: Vec<(String, Window)>,
    pub(super) gpc: bool,
    pub(super) restricted: bool,
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
#[derive(Clone, Copy, Debug)]
pub enum Part<'t> {
    /// Nothing is known.
    Unknown,
    /// Its record cannot be read.
    Invalid,
    /// Erased on one partition, known on another.
    Conflicted,
    /// It said this.
    State(&'t State),
}

/// Type and value, the value in its one form.
pub type Subject = (String, String);

/// `type:value`, the value trimmed and an e-mail address lower-cased.
pub fn normal(kind: &str, value: &str) -> Subject {
    let value = value.trim();
    (kind.to_owned(), if kind == "email" { value.to_lowercase() } else { value.to_owned() })
}

/// Whom a key of the consent topic names; `None` where it cannot be read.
pub fn subject_of(key: &[u8]) -> Option<Subject> {
    let (kind, value) = std::str::from_utf8(key).ok()?.split_once(':')?;
    let subject = normal(kind, value);
    (!subject.0.is_empty() && !subject.1.is_empty()).then_some(subject)
}

impl Said {
    /// What a message says of the subject of its key; `None` as the value is Kafka's null.
    pub fn read(subject: &Subject, value: Option<&[u8]>, rules: &Rules) -> Self {
        let Some(value) = value else { return Self(Held::Tombstone) };
        let body = std::str::from_utf8(value).ok().and_then(json::parse);
        Self(held(subject, body.as_ref(), rules))
    }

    /// Whether the subject is erased.
    pub const fn is_tombstone(&self) -> bool {
        matches!(self.0, Held::Tombstone)
    }

    /// What is known of a subject, by what its keys last said on each partition, in the partitions' order.
    pub fn parts<'t>(mine: &[&'t Self]) -> Vec<Part<'t>> {
        let erased = mine.iter().filter(|said| said.is_tombstone()).count();
        if erased == mine.len() {
            return vec![Part::Unknown];
        }
        if erased > 0 {
            return vec![Part::Conflicted];
        }
        let part = |said: &&'t Self| match &said.0 {
            Held::State(state) => Part::State(state),
            Held::Invalid => Part::Invalid,
            Held::Tombstone => Part::Unknown,
        };
        mine.iter().map(part).collect()
    }
}

/// One raw key on one partition: the last line wins, whatever its version.
struct Entry {
    raw_key: String,
    partition: i128,
    said: Said,
}

/// The lines of `--consents`.
pub struct Topic {
    entries: Vec<Entry>,
}

impl Topic {
    /// Reads the lines of `--consents` in order; `None`: one of them is none.
    pub fn read(lines: &[String], rules: &Rules) -> Option<Self> {
        let mut entries: Vec<Entry> = Vec::new();
        for line in lines {
            let node = json::parse(line)?;
            let partition = match node.member("partition") {
                Some(Node::Number(source)) => time::integer(source)?,
                _ => 0,
            };
            let (raw_key, held) = message(&node, rules)?;
            entries.retain(|e| (&e.raw_key, e.partition) != (&raw_key, partition));
            entries.push(Entry { raw_key, partition, said: Said(held) });
        }
        Some(Self { entries })
    }

    /// The subject's states by partition number, or what else is known of it.
    pub fn parts(&self, subject: &Subject) -> Vec<Part<'_>> {
        let is_mine = |e: &&Entry| subject_of(e.raw_key.as_bytes()).as_ref() == Some(subject);
        let mut mine: Vec<&Entry> = self.entries.iter().filter(is_mine).collect();
        mine.sort_by_key(|e| e.partition);
        Said::parts(&mine.into_iter().map(|e| &e.said).collect::<Vec<_>>())
    }
}

fn chars<'n>(node: &'n Node, name: &str) -> Option<&'n str> {
    match node.member(name) {
        Some(Node::Text(_, chars)) => Some(chars),
        _ => None,
    }
}

/// A line of `--consents`: `key` and `raw`, `key` and a null `value`, or the record itself.
fn message(line: &Node, rules: &Rules) -> Option<(String, Held)> {
    if let Some(key) = chars(line, "key") {
        let subject = subject_of(key.as_bytes())?;
        let held = match chars(line, "raw") {
            Some(raw) => held(&subject, json::parse(raw).as_ref(), rules),
            None => Held::Tombstone,
        };
        return Some((key.to_owned(), held));
    }
    let named = line.member("subject")?;
    let subject = normal(chars(named, "type")?, chars(named, "value")?);
    let held = held(&subject, Some(line), rules);
    Some((format!("{}:{}", subject.0, subject.1), held))
}

fn held(subject: &Subject, body: Option<&Node>, rules: &Rules) -> Held {
    body.and_then(|body| state(subject, body, rules)).map_or(Held::Invalid, Held::State)
}

// What follows answers `None` for "does not decode".

fn state(subject: &Subject, body: &Node, rules: &Rules) -> Option<State> {
    if body.repeats_a_name_anywhere() {
        return None;
    }
    let named = object(body, "subject")??;
    let (kind, value) = (word(named, "type")?, word(named, "value")?);
    let named = normal(&kind, &value);
    if named.0.is_empty() || named.1.is_empty() || named != *subject {
        return None;
    }
    number(body, "version")?;
    instant(body, "updated_at")?;
    word(body, "jurisdiction")?;
    let grants = list(body, "grants")?;
    if grants.len() > rules.max_grants {
        return None;
    }
    let signals = object(body, "signals")?;
    let string = |name: &str| signals.map_or(Some(String::new()), |s| word(s, name));
    let (tcf, gpp) = (string("tcf")?, string("gpp")?);
    let contact = object(body, "contact")?;
    let mut grants: Vec<Grant> = grants.iter().map(grant).collect::<Option<_>>()?;
    grants.extend(signals::added(&rules.written, &tcf, &gpp));
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
