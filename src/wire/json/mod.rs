//! Reading a few fields of a JSON value, and being sure of the rest.
//!
//! One walk checks the whole text and stops only at what the pipeline's paths name. What is not named is
//! passed over, not decoded. Objects on a path may not have two members of one name, because readers
//! disagree about which of them counts.

mod cursor;
mod names;
mod parts;

use std::borrow::Cow;
use std::ops::Range;

use smallvec::SmallVec;

use crate::record::tree::{Places, Tree};
use cursor::Cursor;
pub use names::Name;
pub use names::Names;
pub use parts::{elements, members};

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
    /// Anything else, as it is written.
    Other(&'v str),
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
    scan_elements(value, tree, slots, max_depth, |_, _| {}).map(|(text, slots, _)| (text, slots))
}

/// As [`scan`], of a value that holds people. Each element of the array that the tree marks is handed over as it
/// is written, the white space around it included, with what stands in its slots; the slots that are returned
/// are what was read elsewhere. The range is where in the text the elements stand, commas and all, between the
/// array's brackets; `None`: no array is there. Where a fault is returned, what was handed over is void.
pub fn scan_elements<'v>(
    value: &'v [u8],
    tree: &Tree,
    slots: usize,
    max_depth: usize,
    each: impl FnMut(&'v str, &Slots<'v>),
) -> Result<(&'v str, Slots<'v>, Option<Range<usize>>), Fault> {
    let text = std::str::from_utf8(value).map_err(|_| Fault::Malformed)?;
    let (cursor, slots) = (Cursor::new(text), SmallVec::from_elem(None, slots));
    let mut walk = Walk { cursor, tree, slots, ambiguous: false, each, inside: None };
    walk.whole().ok_or(Fault::Malformed)?;
    if walk.cursor.deepest() > max_depth {
        return Err(Fault::TooDeep);
    }
    if walk.ambiguous {
        return Err(Fault::Ambiguous);
    }
    Ok((text, walk.slots, walk.inside))
}

/// The walk over one value. `None` anywhere: it is malformed. It recurses as deep as the longest path.
struct Walk<'t, 'v, E> {
    cursor: Cursor<'v>,
    tree: &'t Tree,
    slots: Slots<'v>,
    ambiguous: bool,
    /// What each element of the array that is marked is handed to.
    each: E,
    /// Where the elements of that array stand.
    inside: Option<Range<usize>>,
}

impl<'v, E: FnMut(&'v str, &Slots<'v>)> Walk<'_, 'v, E> {
    fn whole(&mut self) -> Option<()> {
        let root = self.tree.root();
        if self.tree.concerns(&root) {
            self.value(&root)?
        } else {
            self.cursor.pass()?
        }
        self.cursor.end()
    }

    /// A value that stands at `places`.
    fn value(&mut self, places: &Places) -> Option<()> {
        let first = self.cursor.peek()?;
        let begun = self.cursor.at();
        match first {
            b'{' => self.object(places)?,
            b'[' => self.array(places)?,
            _ => self.cursor.pass()?,
        }
        for slot in self.tree.slots(places) {
            if let Some(slot) = self.slots.get_mut(slot) {
                *slot = Some(scalar(self.cursor.since(begun)));
            }
        }
        Some(())
    }

    fn object(&mut self, places: &Places) -> Option<()> {
        let (mut names, lengths) = (Names::default(), self.tree.lengths(places));
        let mut more = self.cursor.open(b'}')?;
        while more {
            let name = self.cursor.name()?;
            let below = if lengths.has(&name) { self.tree.member(places, &name) } else { Places::new() };
            self.ambiguous |= !names.insert(name);
            if below.is_empty() {
                self.cursor.pass()?
            } else {
                self.value(&below)?
            }
            more = self.cursor.goes_on(b'}')?;
        }
        Some(())
    }

    fn array(&mut self, places: &Places) -> Option<()> {
        if self.tree.is_elements(places) {
            return self.elements();
        }
        let mut more = self.cursor.open(b']')?;
        for index in 0.. {
            if !more {
                break;
            }
            let below = self.tree.element(places, index);
            if below.is_empty() {
                self.cursor.pass()?
            } else {
                self.value(&below)?
            }
            more = self.cursor.goes_on(b']')?;
        }
        Some(())
    }
}

/// An array of people.
impl<'v, E: FnMut(&'v str, &Slots<'v>)> Walk<'_, 'v, E> {
    fn elements(&mut self) -> Option<()> {
        let inside = self.cursor.at() + 1;
        let places = self.tree.each_element();
        let elsewhere = std::mem::take(&mut self.slots);
        let mut begun = inside;
        let mut more = self.cursor.open(b']')?;
        while more {
            self.slots = SmallVec::from_elem(None, elsewhere.len());
            self.value(&places)?;
            more = self.cursor.goes_on(b']')?;
            // One byte back: the comma, or the bracket.
            (self.each)(self.cursor.between(begun, self.cursor.at() - 1), &self.slots);
            begun = self.cursor.at();
        }
        self.slots = elsewhere;
        self.inside = Some(inside..self.cursor.at() - 1);
        Some(())
    }
}

/// What a value's text is.
pub fn scalar(raw: &str) -> Scalar<'_> {
    let digits = raw.strip_prefix('-').unwrap_or(raw);
    match raw.as_bytes() {
        b"null" => Scalar::Null,
        b"-0" => Scalar::Integer("0"),
        [b'"', inner @ .., b'"'] if !inner.contains(&b'\\') => {
            Scalar::Text(raw.get(1..raw.len() - 1).unwrap_or_default().into())
        }
        // A lone surrogate is well-formed and still no text.
        [b'"', ..] => {
            serde_json::from_str(raw).map_or(Scalar::Other(raw), |text: String| Scalar::Text(text.into()))
        }
        _ if digits.bytes().all(|byte| byte.is_ascii_digit()) => Scalar::Integer(raw),
        _ => Scalar::Other(raw),
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
        assert_eq!(
            slots.get(..3).unwrap(),
            [text("xA"), Some(Scalar::Integer("-12")), Some(Scalar::Other("1.0"))]
        );
        assert_eq!(slots.get(3..).unwrap(), [Some(Scalar::Null), text("r"), Some(Scalar::Other("{}")), None]);
    }

    #[test]
    fn reads_the_whole_value() {
        let is = |value: &str, expected: Scalar<'_>| {
            assert_eq!(read(value.as_bytes(), &[""]).unwrap().first(), Some(&Some(expected)), "{value}");
        };
        is(" \"x\" ", Scalar::Text("x".into()));
        is(" {\"a\": [1]} ", Scalar::Other("{\"a\": [1]}"));
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
        assert_eq!(whole.first(), Some(&Some(Scalar::Other("1e999"))));
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

    /// The elements as they are written, each with its slots, and what was read elsewhere; `None`: no array.
    type Elements<'v> = (Vec<(&'v str, Slots<'v>)>, Slots<'v>, Option<&'v str>);

    fn elements<'v>(value: &'v str, paths: &[&str], array: &str) -> Result<Elements<'v>, Fault> {
        let mut tree = Tree::default();
        for (slot, path) in paths.iter().enumerate() {
            tree.read(&Path::parse(path).unwrap(), slot);
        }
        tree.mark_elements(&Path::parse(array).unwrap());
        let mut all = Vec::new();
        let each = |text, slots: &Slots<'v>| all.push((text, slots.clone()));
        let (text, slots, inside) = scan_elements(value.as_bytes(), &tree, paths.len(), 64, each)?;
        Ok((all, slots, inside.map(|inside| text.get(inside).unwrap())))
    }

    #[test]
    fn each_element_is_handed_over_with_what_it_alone_holds() {
        let value = r#"{"at": 5, "people" : [ {"id":"a"} ,{"x":[1]}, 7,[] ] , "more": [{"id":"no"}]}"#;
        let (all, elsewhere, inside) = elements(value, &["/people/*/id", "/at"], "/people").unwrap();
        let texts: Vec<_> = all.iter().map(|(text, _)| *text).collect();
        assert_eq!(texts, [r#" {"id":"a"} "#, r#"{"x":[1]}"#, " 7", "[] "]);
        assert_eq!(inside, Some(texts.join(",").as_str()), "nothing but commas stands between them");
        let ids: Vec<_> = all.iter().map(|(_, slots)| slots.first().cloned().flatten()).collect();
        assert_eq!(ids, [Some(Scalar::Text("a".into())), None, None, None], "no element sees another's");
        assert!(all.iter().all(|(_, slots)| slots.get(1) == Some(&None)), "nor what stands elsewhere");
        assert_eq!(elsewhere.to_vec(), [None, Some(Scalar::Integer("5"))]);
    }

    #[test]
    fn an_array_of_people_is_there_or_not() {
        let inside = |value, array| {
            elements(value, &["/people/*", "/*"], array).map(|(all, _, inside)| (all.len(), inside))
        };
        assert_eq!(inside(r#"{"people":[ ]}"#, "/people"), Ok((0, Some(" "))));
        assert_eq!(inside(r#"["a","b"]"#, ""), Ok((2, Some(r#""a","b""#))));
        for none in [r#"{"people":{"a":{"id":1}}}"#, r#"{"people":null}"#, "{}", r#"{"b":{"people":[1]}}"#] {
            assert_eq!(inside(none, "/people"), Ok((0, None)), "{none}");
        }
        for bad in [r#"{"people":[1,]}"#, r#"{"people":[1 2]}"#, r#"{"people":[1]"#, r#"{"people":[1}}"#] {
            assert_eq!(inside(bad, "/people"), Err(Fault::Malformed), "{bad}");
        }
        let twice = r#"{"people":[1],"people":[2]}"#;
        assert_eq!(inside(twice, "/people"), Err(Fault::Ambiguous));
        assert_eq!(elements(r#"[{"id":1,"id":2}]"#, &["/*/id"], "").err(), Some(Fault::Ambiguous));
        assert_eq!(elements(r#"[{"id":1,"x":{"y":1,"y":2}}]"#, &["/*/id"], "").map(|_| ()), Ok(()));
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
