//! Reading a few fields of a JSON value, and being sure of the rest.
//!
//! One walk checks the whole text and stops only at what the pipeline's paths name. What is not named is
//! skipped, not decoded. Objects on a path may not have two members of one name, because readers disagree
//! about which of them counts.

use std::borrow::Cow;
use std::collections::HashSet;

use serde::de::{
    Deserialize, DeserializeSeed, Deserializer, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor,
};
use serde_json::value::RawValue;
use smallvec::SmallVec;

use crate::record::tree::{Places, Tree};

/// What may stand between the parts of a text (RFC 8259, section 2).
pub const WHITE_SPACE: [char; 4] = [' ', '\t', '\n', '\r'];

/// Why a value cannot be used at all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Not UTF-8, not JSON, cut off, or with something behind it.
    Malformed,
    /// Nested more deeply than allowed.
    TooDeep,
    /// Two members of one name in an object on a path.
    Ambiguous,
}

/// What stands at a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Scalar<'v> {
    /// The word `null`.
    Null,
    /// A string, unescaped.
    Text(Cow<'v, str>),
    /// A number without fraction or exponent, as it is written.
    Integer(&'v str),
    /// Anything else.
    Other,
}

/// What was found for each slot of the tree; `None`: nothing stands there.
pub type Slots<'v> = SmallVec<[Option<Scalar<'v>>; 4]>;

/// Checks a whole value and fills the tree's slots.
pub fn scan<'v>(
    value: &'v [u8],
    tree: &Tree,
    slots: usize,
    max_depth: usize,
) -> Result<(&'v str, Slots<'v>), Fault> {
    let text = std::str::from_utf8(value).map_err(|_| Fault::Malformed)?;
    let mut found = Found { tree, slots: SmallVec::from_elem(None, slots), ambiguous: false };
    found.walk(text, tree.root()).map_err(|_| Fault::Malformed)?;
    found.fill(text.trim_matches(WHITE_SPACE), &tree.root());
    if is_deeper(value, max_depth) {
        return Err(Fault::TooDeep);
    }
    if found.ambiguous {
        return Err(Fault::Ambiguous);
    }
    Ok((text, found.slots))
}

/// Whether well-formed JSON is nested more deeply than `max`; the outermost container is level 1.
fn is_deeper(value: &[u8], max: usize) -> bool {
    // The two differ in one bit, and no other byte is `{` with it. Summed in bytes, many at once.
    let sum = |bytes: &[u8]| bytes.iter().map(|byte| u8::from(byte | 0x20 == b'{')).sum::<u8>();
    let opens: usize = value.chunks(255).map(|bytes| usize::from(sum(bytes))).sum();
    if opens <= max {
        return false;
    }
    let (mut depth, mut quoted, mut escaped) = (0_usize, false, false);
    for byte in value {
        match (quoted, byte) {
            (true, _) if escaped => escaped = false,
            (true, b'\\') => escaped = true,
            (_, b'"') => quoted = !quoted,
            (false, b'{' | b'[') => {
                depth += 1;
                if depth > max {
                    return true;
                }
            }
            (false, b'}' | b']') => depth = depth.saturating_sub(1),
            (true | false, _) => {}
        }
    }
    false
}

struct Found<'t, 'v> {
    tree: &'t Tree,
    slots: Slots<'v>,
    ambiguous: bool,
}

impl<'v> Found<'_, 'v> {
    /// Walks one value that stands at `places`, to the end of `text`.
    fn walk(&mut self, text: &'v str, places: Places) -> Result<(), serde_json::Error> {
        let mut from = serde_json::Deserializer::from_str(text);
        match text.trim_start().as_bytes().first() {
            Some(b'{' | b'[') if self.tree.concerns(&places) => {
                from.deserialize_any(Container { found: self, places })?;
            }
            Some(_) | None => drop(IgnoredAny::deserialize(&mut from)?),
        }
        from.end()
    }

    fn fill(&mut self, raw: &'v str, places: &Places) {
        for slot in self.tree.slots(places) {
            if let Some(slot) = self.slots.get_mut(slot) {
                *slot = Some(scalar(raw));
            }
        }
    }

    fn visit(&mut self, raw: &'v str, places: Places) -> Result<(), serde_json::Error> {
        self.fill(raw, &places);
        if raw.starts_with(['{', '[']) { self.walk(raw, places) } else { Ok(()) }
    }
}

/// What a value's text is.
fn scalar(raw: &str) -> Scalar<'_> {
    let digits = raw.strip_prefix('-').unwrap_or(raw);
    match raw.as_bytes() {
        b"null" => Scalar::Null,
        b"-0" => Scalar::Integer("0"),
        [b'"', inner @ .., b'"'] if !inner.contains(&b'\\') => {
            Scalar::Text(raw.get(1..raw.len() - 1).unwrap_or_default().into())
        }
        // A lone surrogate is well-formed and still no text.
        [b'"', ..] => {
            serde_json::from_str(raw).map_or(Scalar::Other, |text: String| Scalar::Text(text.into()))
        }
        _ if digits.bytes().all(|byte| byte.is_ascii_digit()) => Scalar::Integer(raw),
        _ => Scalar::Other,
    }
}

/// An object or array that stands on a path.
struct Container<'f, 't, 'v> {
    found: &'f mut Found<'t, 'v>,
    places: Places,
}

impl<'v> Visitor<'v> for Container<'_, '_, 'v> {
    type Value = ();

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("an object or an array")
    }

    fn visit_map<A: MapAccess<'v>>(self, mut members: A) -> Result<(), A::Error> {
        let mut names = Names::default();
        while let Some(name) = members.next_key_seed(Name)? {
            let places = self.found.tree.member(&self.places, &name);
            self.found.ambiguous |= !names.insert(name);
            if places.is_empty() {
                members.next_value::<IgnoredAny>()?;
            } else {
                let raw: &'v RawValue = members.next_value()?;
                self.found.visit(raw.get(), places).map_err(A::Error::custom)?;
            }
        }
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'v>>(self, mut elements: A) -> Result<(), A::Error> {
        let mut index = 0;
        loop {
            let places = self.found.tree.element(&self.places, index);
            let more = if places.is_empty() {
                elements.next_element::<IgnoredAny>()?.is_some()
            } else if let Some(raw) = elements.next_element::<&'v RawValue>()? {
                self.found.visit(raw.get(), places).map_err(A::Error::custom)?;
                true
            } else {
                false
            };
            if !more {
                return Ok(());
            }
            index += 1;
        }
    }
}

/// A member's name, borrowed where it has no escapes. One that stands for no text (a lone surrogate) is
/// told apart by how it is written.
pub struct Name;

impl<'v> DeserializeSeed<'v> for Name {
    type Value = Cow<'v, str>;

    fn deserialize<D: Deserializer<'v>>(self, from: D) -> Result<Self::Value, D::Error> {
        let written = <&'v RawValue>::deserialize(from)?.get();
        let plain = written.get(1..written.len().saturating_sub(1)).filter(|name| !name.contains('\\'));
        Ok(plain.map_or_else(|| serde_json::from_str(written).unwrap_or(written.into()), Cow::Borrowed))
    }
}

/// Names seen in one object: a few are compared one by one behind a filter, many are hashed.
#[derive(Default)]
pub(super) struct Names<'v> {
    few: SmallVec<[Cow<'v, str>; 32]>,
    filter: [u64; 4],
    many: HashSet<Cow<'v, str>>,
}

impl<'v> Names<'v> {
    /// Whether the name is new.
    pub(super) fn insert(&mut self, name: Cow<'v, str>) -> bool {
        if self.few.len() == 32 {
            return !self.few.contains(&name) && self.many.insert(name);
        }
        let bytes = name.as_bytes();
        let end = |byte: Option<&u8>| byte.copied().map_or(0, usize::from);
        let mix = bytes.len() * 31 + end(bytes.first()) * 7 + end(bytes.last());
        let (word, bit) = (mix / 64 % 4, 1 << (mix % 64));
        let mut new = true;
        if let Some(word) = self.filter.get_mut(word) {
            new = *word & bit == 0 || !self.few.contains(&name);
            *word |= bit;
        }
        self.few.push(name);
        new
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::path::Path;

    fn read<'v>(value: &'v [u8], paths: &[&str]) -> Result<Slots<'v>, Fault> {
        let mut tree = Tree::default();
        for (slot, path) in paths.iter().enumerate() {
            tree.read(&Path::parse(path).unwrap(), slot);
        }
        scan(value, &tree, paths.len(), 64).map(|(_, slots)| slots)
    }

    #[test]
    fn reads_what_stands_at_a_path() {
        let value =
            br#" {"a": {"b": "x\u0041", "n": -12, "f": 1.0, "z": null}, "l": ["p", {"q": "r"}], "o": {}} "#;
        let slots = read(value, &["/a/b", "/a/n", "/a/f", "/a/z", "/l/1/q", "/o", "/none"]).unwrap();
        let text = |text: &str| Some(Scalar::Text(Cow::Owned(text.to_owned())));
        assert_eq!(slots.get(..3).unwrap(), [text("xA"), Some(Scalar::Integer("-12")), Some(Scalar::Other)]);
        assert_eq!(slots.get(3..).unwrap(), [Some(Scalar::Null), text("r"), Some(Scalar::Other), None]);
    }

    #[test]
    fn reads_the_whole_value() {
        let is = |value: &str, expected: Scalar<'_>| {
            assert_eq!(read(value.as_bytes(), &[""]).unwrap().first(), Some(&Some(expected)), "{value}");
        };
        is(" \"x\" ", Scalar::Text("x".into()));
        is("{\"a\":1}", Scalar::Other);
        is("-0", Scalar::Integer("0"));
        is("null", Scalar::Null);
        assert_eq!(read(br#"{"a":1,"a":2}"#, &[""]), Err(Fault::Ambiguous));
        assert_eq!(read(br#""x" 1"#, &[""]), Err(Fault::Malformed));
        assert!(read(br#"{"a":1,"a":2}"#, &[]).is_ok(), "no path passes through it");
    }

    #[test]
    fn a_name_that_is_no_text_is_a_name_of_its_own() {
        let slots = read(br#"{"\ud800":1,"a":{"\udfff":2},"b":3}"#, &["/b"]).unwrap();
        assert_eq!(slots.first(), Some(&Some(Scalar::Integer("3"))));
        assert_eq!(read(br#"{"\ud800":1,"\ud800":1}"#, &["/b"]), Err(Fault::Ambiguous));
    }

    #[test]
    fn checks_the_whole_value() {
        let whole = read(br#"{"a":1e999,"b":[{}]}"#, &["/a"]).unwrap();
        assert_eq!(whole.first(), Some(&Some(Scalar::Other)));
        for bad in [
            &b""[..],
            b" ",
            b"{",
            br#"{"a":1"#,
            b"{} x",
            b"{}{}",
            b"{\"a\":\xff}",
            b"[1,]",
            b"nul",
            b"01",
            br#"{"a":tru}"#,
            b"{\"a\":\"\n\"}",
            br#"{"x":[1,2}"#,
            b"\xef\xbb\xbf{}",
            br#"{"a":1,}"#,
            b"'a'",
        ] {
            assert_eq!(read(bad, &["/a"]).err(), Some(Fault::Malformed), "{}", bad.escape_ascii());
        }
        assert!(
            read(b"5", &["/a"]).is_ok() && read(b"[]", &["/a"]).is_ok() && read(b"null", &["/a"]).is_ok()
        );
    }

    #[test]
    fn depth_counts_containers_and_not_brackets_in_text() {
        let nested = |levels: usize| format!("{}{}", "[".repeat(levels), "]".repeat(levels));
        assert!(read(nested(64).as_bytes(), &["/a"]).is_ok());
        assert_eq!(read(nested(65).as_bytes(), &["/a"]).err(), Some(Fault::TooDeep));
        assert_eq!(read(nested(5000).as_bytes(), &["/a"]).err(), Some(Fault::TooDeep));
        assert_eq!(read("[".repeat(5000).as_bytes(), &["/a"]).err(), Some(Fault::Malformed));
        let quoted = format!(r#"{{"a":"{}\"{}"}}"#, "[".repeat(100), "{".repeat(100));
        assert!(read(quoted.as_bytes(), &["/a"]).is_ok());
    }

    #[test]
    fn two_members_of_one_name_matter_only_on_a_path() {
        let ambiguous = |value: &str| read(value.as_bytes(), &["/a/b"]).err() == Some(Fault::Ambiguous);
        assert!(ambiguous(r#"{"a":{"b":1,"b":1}}"#));
        assert!(ambiguous(r#"{"a":{"b":1,"\u0062":1}}"#), "equal after unescaping");
        assert!(ambiguous(r#"{"a":1,"x":1,"x":2}"#), "the path passes through the whole value");
        assert!(ambiguous(r#"{"a":{"b":{"c":1,"c":2}}}"#), "the path ends at it");
        assert!(!ambiguous(r#"{"a":{"b":1},"x":{"c":1,"c":2}}"#));
        let many: String = (0..100).map(|n| format!("\"m{n}\":0,")).collect();
        assert!(ambiguous(&format!("{{{many}\"m99\":0}}")) && ambiguous(&format!("{{{many}\"m3\":0}}")));
        assert!(!ambiguous(&format!("{{{many}\"m100\":0}}")));
    }
}
