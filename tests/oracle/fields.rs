//! Step 9: what of a permitted record is taken away or changed.

use super::{
    json::{self, Node},
    rules::{Action, Label, Source},
    time,
};
use hmac::{Hmac, KeyInit, Mac};
use std::net::IpAddr;

pub type Headers = Vec<(String, Option<String>)>;

/// What a record carries, and what was done to it.
pub struct Reduced {
    pub value: Option<Node>,
    pub headers: Headers,
    /// The labels acted on, as written, in the configuration's order.
    pub fields: Vec<String>,
    /// Whether `unlabelled: remove` took a leaf.
    pub stripped: bool,
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
) -> Result<Reduced, Failed> {
    let mut record = Reduced { value, headers, fields: Vec::new(), stripped: false };
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
    record.fields = acted.into_iter().map(|place| labels[place].shown.clone()).collect();
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
        (Action::Hash, Node::Text(_, chars)) => json::text(&hash(key, chars)),
        (Action::Hash, other) => json::text(&hash(key, &other.compact())),
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
        let Some(chars) = value.clone() else { continue };
        *value = match action {
            Action::Remove | Action::Null => None,
            Action::Mask => Some("***".to_owned()),
            Action::Hash => Some(hash(key, &chars)),
            Action::Floor(_) => return Err(Failed),
            Action::Truncate(_) | Action::Date(_) | Action::Address => Some(shorten(&chars, action)?),
        };
        did = true;
    }
    Ok(did)
}

/// Lower-case hex HMAC-SHA-256 under the pseudonym key.
pub fn hash(key: &[u8], chars: &str) -> String {
    let mut mac = Hmac::<sha2::Sha256>::new_from_slice(key).unwrap();
    mac.update(chars.as_bytes());
    hex::encode(mac.finalize().into_bytes())
}

fn shorten(chars: &str, action: &Action) -> Result<String, Failed> {
    match action {
        Action::Truncate(length) => Ok(chars.chars().take(*length).collect()),
        Action::Date(length) => time::rfc3339(chars).map(|_| chars[..*length].to_owned()).ok_or(Failed),
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
        return Ok((whole.div_euclid(multiple) * multiple).to_string());
    }
    let number: f64 = source.parse().map_err(|_| Failed)?;
    Ok(format!("{:?}", (number / multiple as f64).floor() * multiple as f64))
}
