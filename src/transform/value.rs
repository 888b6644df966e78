//! Rewriting a JSON value in place: what is not touched keeps its bytes.

use std::borrow::Cow;

use serde::Deserializer;
use serde::de::{MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;
use smallvec::SmallVec;

use super::Failed;
use super::action::Pseudonyms;
use crate::policy::rules::Rules;
use crate::record::tree::Places;
use crate::wire::json::{Name, WHITE_SPACE};

/// What became of one value.
enum Done<'v> {
    Same(&'v str),
    Text(String),
    Gone,
}

/// One pass over one value.
pub struct Walk<'a> {
    rules: &'a Rules,
    pseudonyms: &'a Pseudonyms,
    level: u8,
    /// What stands in place of the array of people, brackets and all.
    array: Option<&'a str>,
}

/// What the pass did.
struct Report<'a> {
    acted: &'a mut SmallVec<[usize; 4]>,
    reduced: &'a mut bool,
}

impl<'a> Walk<'a> {
    pub const fn new(rules: &'a Rules, pseudonyms: &'a Pseudonyms, level: u8) -> Self {
        Self { rules, pseudonyms, level, array: None }
    }

    /// As [`Walk::new`], of what stands around people: their array is this, and is done already.
    pub const fn around(rules: &'a Rules, pseudonyms: &'a Pseudonyms, level: u8, array: &'a str) -> Self {
        Self { rules, pseudonyms, level, array: Some(array) }
    }

    /// Walks a value that stands at these places, white space around it and all.
    pub fn over<'v>(
        &self,
        text: &'v str,
        places: &Places,
        acted: &mut SmallVec<[usize; 4]>,
        reduced: &mut bool,
    ) -> Result<Cow<'v, str>, Failed> {
        let bare = text.trim_matches(WHITE_SPACE);
        let done = self.at(bare, places, false, &mut Report { acted, reduced })?;
        Ok(match done {
            Done::Same(_) => Cow::Borrowed(text),
            Done::Text(text) => Cow::Owned(text),
            // A whole value cannot be taken out of a record that is no deletion, and an element becomes null.
            Done::Gone => Cow::Borrowed("null"),
        })
    }

    /// What stands deeper is done first, then what stands here.
    fn at<'v>(
        &self,
        raw: &'v str,
        places: &Places,
        covered: bool,
        report: &mut Report<'_>,
    ) -> Result<Done<'v>, Failed> {
        let tree = &self.rules.tree;
        if let Some(array) = self.array.filter(|_| tree.is_elements(places)) {
            return Ok(Done::Text(array.to_owned()));
        }
        let covered = covered || !tree.labels(places).is_empty();
        let bare = self.rules.remove_unlabelled && !covered;
        let mut done = Done::Same(raw);
        if raw.starts_with(['{', '[']) && (bare || tree.goes_on(places)) {
            let parts = parts(raw)?;
            if parts.is_empty() && bare {
                *report.reduced = true;
                return Ok(Done::Gone);
            }
            done = self.within(raw, &parts, places, covered, report)?;
        } else if bare {
            *report.reduced = true;
            return Ok(Done::Gone);
        }
        for label in tree.labels(places) {
            done = self.act(label, done, report)?;
        }
        Ok(done)
    }

    fn within<'v>(
        &self,
        raw: &'v str,
        parts: &[Part<'v>],
        places: &Places,
        covered: bool,
        report: &mut Report<'_>,
    ) -> Result<Done<'v>, Failed> {
        let mut fates = Vec::with_capacity(parts.len());
        let mut changed = false;
        for (index, part) in parts.iter().enumerate() {
            let below = match &part.name {
                Some(name) => self.rules.tree.member(places, name),
                None => self.rules.tree.element(places, index),
            };
            let fate = self.at(part.raw, &below, covered, report)?;
            changed |= !matches!(fate, Done::Same(_));
            fates.push(fate);
        }
        if !changed {
            return Ok(Done::Same(raw));
        }
        let (open, close) = if raw.starts_with('{') { ('{', '}') } else { ('[', ']') };
        let mut out = String::with_capacity(raw.len());
        out.push(open);
        for (part, fate) in parts.iter().zip(fates) {
            let text = match (&fate, &part.name) {
                (Done::Gone, Some(_)) => continue,
                (Done::Gone, None) => "null",
                (Done::Same(text), _) => text,
                (Done::Text(text), _) => text,
            };
            if out.len() > 1 {
                out.push(',');
            }
            out.push_str(part.written_name);
            if part.name.is_some() {
                out.push(':');
            }
            out.push_str(text);
        }
        out.push(close);
        Ok(Done::Text(out))
    }

    fn act<'v>(&self, number: usize, done: Done<'v>, report: &mut Report<'_>) -> Result<Done<'v>, Failed> {
        let Some(label) = self.rules.labels.get(number).filter(|label| label.level > self.level) else {
            return Ok(done);
        };
        let text = match &done {
            Done::Same(text) => text,
            Done::Text(text) => text.as_str(),
            Done::Gone => return Ok(Done::Gone),
        };
        if text == "null" && label.action != crate::policy::settings::FieldAction::Remove {
            return Ok(done);
        }
        report.acted.push(number);
        Ok(self.pseudonyms.act_on_json(label.action, text)?.map_or(Done::Gone, Done::Text))
    }
}

/// A member or an element, and its name as it is written, quotes and escapes included.
struct Part<'v> {
    name: Option<Cow<'v, str>>,
    written_name: &'v str,
    raw: &'v str,
}

/// The members of an object or the elements of an array.
fn parts(container: &str) -> Result<Vec<Part<'_>>, Failed> {
    struct Collect<'v>(&'v str);
    impl<'v> Visitor<'v> for Collect<'v> {
        type Value = Vec<Part<'v>>;

        fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str("an object or an array")
        }

        fn visit_map<A: MapAccess<'v>>(self, mut members: A) -> Result<Self::Value, A::Error> {
            let mut parts = Vec::new();
            let mut end = 1;
            while let Some(name) = members.next_key_seed(Name)? {
                let value: &'v RawValue = members.next_value()?;
                let start = value.get().as_ptr().addr() - self.0.as_ptr().addr();
                let between = self.0.get(end..start).unwrap_or_default();
                let written = between.trim_start_matches([' ', '\t', '\n', '\r', ',']);
                let written_name = written.trim_end_matches([' ', '\t', '\n', '\r', ':']);
                end = start + value.get().len();
                parts.push(Part { name: Some(name), written_name, raw: value.get() });
            }
            Ok(parts)
        }

        fn visit_seq<A: SeqAccess<'v>>(self, mut elements: A) -> Result<Self::Value, A::Error> {
            let mut parts = Vec::new();
            while let Some(element) = elements.next_element::<&'v RawValue>()? {
                parts.push(Part { name: None, written_name: "", raw: element.get() });
            }
            Ok(parts)
        }
    }
    let mut from = serde_json::Deserializer::from_str(container);
    from.deserialize_any(Collect(container)).map_err(|_| Failed)
}
