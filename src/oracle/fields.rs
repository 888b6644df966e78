//! Step 9: what of a permitted record is taken away or changed.

use super::{
    json::{self, Node},
    rules::{Action, Label, Source},
    time,
};
use hmac::{Hmac, KeyInit, Mac};
use std::net::IpAddr;

/// Headers in order; `None` is Kafka's null.
pub type Headers = Vec<(String, Option<Vec<u8>>)>;

/// What a record carries, and what was done to it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Out {
    /// The key.
    pub key: Option<Vec<u8>>,
    /// The value; `None` is Kafka's null.
    pub value: Option<Node>,
    /// The headers, without those that Consentry adds.
    pub headers: Headers,
    /// The labels acted on, as written, in the configuration's order.
    pub fields: Vec<String>,
    /// Whether `unlabelled: remove` took a leaf, or one of several people was taken out.
    pub stripped: bool,
}

impl Out {
    /// Whether anything was done to it: otherwise its value is, byte for byte, what came.
    pub const fn is_touched(&self) -> bool {
        self.stripped || !self.fields.is_empty()
    }
}

/// An action that cannot be carried out.
#[derive(Debug)]
pub struct Failed;

/// Reduces a record to a level.
pub fn reduce(
    value: Option<Node>,
    headers: Headers,
    (labels, strip_unlabelled): (&[&Label], bool),
    level: usize,
    key: &[u8],
) -> Result<Out, Failed> {
    let mut record = Out { value, headers, ..Out::default() };
    if let (true, Some(value)) = (strip_unlabelled, &mut record.value) {
        let paths: Vec<&[String]> = labels.iter().filter_map(|label| path(label)).collect();
        record.stripped = strip(value, &mut Vec::new(), &paths);
    }
    let mut due: Vec<(usize, &Label)> =
        labels.iter().copied().enumerate().filter(|(_, l)| l.level > level).collect();
    // Longer paths before shorter.
    due.sort_by_key(|(_, label)| std::cmp::Reverse(path(label).map_or(0, <[String]>::len)));
    let mut acted = Vec::new();
    for (place, label) in due {
        let did = match &label.source {
            Source::Path(path) => match &mut record.value {
                Some(value) => act_at(value, path, &label.action, key)?,
                None => false,
            },
            Source::Header(name) => act_on_headers(&mut record.headers, name, &label.action, key)?,
            Source::Key => false,
        };
        if did {
            acted.push(place);
        }
    }
    acted.sort_unstable();
    record.fields = acted.into_iter().filter_map(|place| Some(labels.get(place)?.shown.clone())).collect();
    Ok(record)
}

fn path(label: &Label) -> Option<&[String]> {
    match &label.source {
        Source::Path(path) => Some(path),
        Source::Header(_) | Source::Key => None,
    }
}

/// Takes each leaf at or under no labelled path; says whether there was one.
fn strip(node: &mut Node, here: &mut Vec<String>, labelled: &[&[String]]) -> bool {
    let covers = |path: &[String]| {
        path.len() <= here.len()
            && path.iter().zip(here.iter()).all(|(segment, at)| segment == "*" || segment == at)
    };
    if labelled.iter().any(|path| covers(path)) {
        return false;
    }
    let mut took = false;
    match node {
        Node::Array(items) if !items.is_empty() => {
            for (i, item) in items.iter_mut().enumerate() {
                here.push(i.to_string());
                took |= strip(item, here, labelled);
                here.pop();
            }
        }
        Node::Object(members) if !members.is_empty() => {
            members.retain_mut(|member| {
                here.push(member.name.clone());
                let leaf = is_leaf(&member.node);
                let taken = strip(&mut member.node, here, labelled);
                here.pop();
                took |= taken;
                !(leaf && taken)
            });
        }
        leaf => {
            *leaf = Node::Null;
            took = true;
        }
    }
    took
}

fn is_leaf(node: &Node) -> bool {
    match node {
        Node::Array(items) => items.is_empty(),
        Node::Object(members) => members.is_empty(),
        _ => true,
    }
}

/// Acts wherever the path leads; says whether it led anywhere that counts.
fn act_at(node: &mut Node, path: &[String], action: &Action, key: &[u8]) -> Result<bool, Failed> {
    let Some((segment, rest)) = path.split_first() else { return act(node, action, key) };
    let mut did = false;
    match node {
        Node::Array(items) => {
            for (i, item) in items.iter_mut().enumerate() {
                if segment == "*" || *segment == i.to_string() {
                    did |= act_at(item, rest, action, key)?;
                }
            }
        }
        Node::Object(members) => {
            let hit = |name: &str| segment == "*" || segment == name;
            if rest.is_empty() && matches!(action, Action::Remove) {
                let before = members.len();
                members.retain(|member| !hit(&member.name));
                return Ok(members.len() < before);
            }
            for member in members.iter_mut().filter(|member| hit(&member.name)) {
                did |= act_at(&mut member.node, rest, action, key)?;
            }
        }
        _ => {}
    }
    Ok(did)
}

/// One value, in its place. Null under anything but `remove`: nothing to do.
fn act(node: &mut Node, action: &Action, key: &[u8]) -> Result<bool, Failed> {
    if *node == Node::Null && !matches!(action, Action::Remove) {
        return Ok(false);
    }
    *node = match (action, &*node) {
        // An array element; members of objects are deleted by `act_at`.
        (Action::Remove | Action::Null, _) => Node::Null,
        (Action::Mask, _) => json::text("***"),
        (Action::Hash, Node::Text(_, chars)) => json::text(&hash(key, chars.as_bytes())),
        (Action::Hash, other) => json::text(&hash(key, other.compact().as_bytes())),
        (Action::Floor(multiple), Node::Number(source)) => Node::Number(floor(source, *multiple)?),
        (Action::Truncate(_) | Action::Date(_) | Action::Address, Node::Text(_, chars)) => {
            json::text(&shorten(chars, action)?)
        }
        _ => return Err(Failed),
    };
    Ok(true)
}

fn act_on_headers(headers: &mut Headers, name: &str, action: &Action, key: &[u8]) -> Result<bool, Failed> {
    if matches!(action, Action::Remove) {
        let before = headers.len();
        headers.retain(|(header, _)| header != name);
        return Ok(headers.len() < before);
    }
    let mut did = false;
    for (_, value) in headers.iter_mut().filter(|(header, _)| header == name) {
        let Some(bytes) = value.clone() else { continue };
        let chars = || std::str::from_utf8(&bytes).map_err(|_| Failed);
        let done = match action {
            Action::Remove | Action::Null => None,
            Action::Mask => Some("***".to_owned()),
            Action::Hash => Some(hash(key, &bytes)),
            Action::Floor(multiple) => Some(floor(chars()?, *multiple)?),
            Action::Truncate(_) | Action::Date(_) | Action::Address => Some(shorten(chars()?, action)?),
        };
        *value = done.map(String::into_bytes);
        did = true;
    }
    Ok(did)
}

/// Lower-case hex HMAC-SHA-256 under the pseudonym key.
pub fn hash(key: &[u8], bytes: &[u8]) -> String {
    // A key of any length will do (RFC 2104, section 2); that one is not refused is the library's to say.
    let Ok(mut mac) = Hmac::<sha2::Sha256>::new_from_slice(key) else { return String::new() };
    mac.update(bytes);
    hex::encode(mac.finalize().into_bytes())
}

fn shorten(chars: &str, action: &Action) -> Result<String, Failed> {
    match action {
        Action::Truncate(length) => Ok(chars.chars().take(*length).collect()),
        Action::Date(length) => {
            time::rfc3339(chars).and(chars.get(..*length)).map(ToOwned::to_owned).ok_or(Failed)
        }
        Action::Address => match chars.parse().map_err(|_| Failed)? {
            IpAddr::V4(address) => {
                let [a, b, c, _] = address.octets();
                Ok(format!("{a}.{b}.{c}.0"))
            }
            IpAddr::V6(address) => {
                let [a, b, c, ..] = address.segments();
                Ok(std::net::Ipv6Addr::new(a, b, c, 0, 0, 0, 0, 0).to_string())
            }
        },
        _ => Err(Failed),
    }
}

/// Down to a multiple, an integer staying an integer and a fraction a fraction.
fn floor(source: &str, multiple: i128) -> Result<String, Failed> {
    if let Ok(whole) = source.parse::<i128>() {
        let times = whole.checked_div_euclid(multiple).and_then(|times| times.checked_mul(multiple));
        return times.map(|whole| whole.to_string()).ok_or(Failed);
    }
    let Some(Node::Number(source)) = json::parse(source) else { return Err(Failed) };
    let number: f64 = source.parse().map_err(|_| Failed)?;
    #[allow(
        clippy::cast_precision_loss,
        reason = "a multiple is small; a number with a point is no exact one"
    )]
    let floored = (number / multiple as f64).floor() * multiple as f64;
    if floored.is_finite() { Ok(format!("{floored:?}")) } else { Err(Failed) }
}
