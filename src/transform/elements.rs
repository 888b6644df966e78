//! A record about several people, put together again without those who do not permit.
//!
//! What it is made of are a [`Kept`]'s pieces and the [`Envelope`], which has no value: there is no text at hand
//! in which anybody stands who is not in there. What is not touched keeps its bytes, in each person who stays and
//! around the array, white space and all.

use std::borrow::Cow;
use std::ops::Range;

use smallvec::SmallVec;

use super::value::Walk;
use super::{Failed, Outgoing, Reducer};
use crate::consent::{Grounds, Kept};
use crate::policy::settings::KeyAction;
use crate::record::Envelope;

/// What stands around the elements of an array: the text up to its bracket, and from its other bracket on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Around<'m> {
    before: &'m str,
    after: &'m str,
}

impl<'m> Around<'m> {
    /// What of a text stands around this range of it, which is the inside of an array.
    pub fn of(text: &'m str, inside: Range<usize>) -> Option<Self> {
        let around = Self { before: text.get(..inside.start)?, after: text.get(inside.end..)? };
        (around.before.ends_with('[') && around.after.starts_with(']')).then_some(around)
    }
}

impl Reducer<'_> {
    /// Reduces a record about several people: each of them to their own level, all else to that of `grounds`.
    pub fn reduce_elements<'m, E: AsRef<str>>(
        &self,
        envelope: Envelope<'_, 'm>,
        kept: &Kept<Around<'m>, E>,
        grounds: Grounds,
        key: KeyAction,
    ) -> Result<Outgoing<'m>, Failed> {
        let lowest = match grounds {
            Grounds::Consent { level, .. } => level,
            // Nobody was asked, so nothing says that more than the least may pass.
            Grounds::Exempt { .. } | Grounds::Deletion => 0,
        };
        let mut out = self.begin(envelope, key)?;
        out.reduced = kept.is_part();
        self.reduce_headers(&mut out, lowest)?;
        let array = self.array(kept.elements(), &mut out)?;
        let Around { before, after } = *kept.around();
        let around = self.around(before, &array, after, lowest, &mut out)?;
        let value = around.unwrap_or_else(|| [before, inside(&array), after].concat());
        out.value = Some(Cow::Owned(value.into_bytes()));
        out.finish();
        Ok(out)
    }

    /// The array, brackets and all.
    fn array<E: AsRef<str>>(&self, elements: &[(E, u8)], out: &mut Outgoing<'_>) -> Result<String, Failed> {
        let places = self.rules.tree.each_element();
        let mut array = String::from('[');
        for (number, (element, level)) in elements.iter().enumerate() {
            if number > 0 {
                array.push(',');
            }
            let element = element.as_ref();
            if self.has_work(*level) {
                let walk = Walk::new(self.rules, &self.pseudonyms, *level);
                array.push_str(&walk.over(element, &places, &mut out.acted, &mut out.reduced)?);
            } else {
                array.push_str(element);
            }
        }
        array.push(']');
        Ok(array)
    }

    /// The whole value, where something that stands around the array had to change.
    fn around(
        &self,
        before: &str,
        array: &str,
        after: &str,
        level: u8,
        out: &mut Outgoing<'_>,
    ) -> Result<Option<String>, Failed> {
        if !self.has_work(level) {
            return Ok(None);
        }
        // Nobody stands in what is walked: the array is put in where it was.
        let empty = [before, after].concat();
        let (mut acted, mut reduced) = (SmallVec::new(), false);
        let walk = Walk::around(self.rules, &self.pseudonyms, level, array);
        let done = walk.over(&empty, &self.rules.tree.root(), &mut acted, &mut reduced)?;
        let changed = reduced || !acted.is_empty();
        out.acted.extend(acted);
        out.reduced |= reduced;
        Ok(changed.then(|| done.into_owned()))
    }
}

/// An array's text without its brackets.
fn inside(array: &str) -> &str {
    array.get(1..array.len().saturating_sub(1)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_stands_around_an_array_ends_at_its_brackets() {
        let text = r#"{"a":[ 1,2 ],"b":0}"#;
        let around = Around::of(text, 6..11).unwrap();
        assert_eq!((around.before, around.after), (r#"{"a":["#, r#"],"b":0}"#));
        for wrong in [5..11, 6..10, 6..12, 12..12, 6..99] {
            assert_eq!(Around::of(text, wrong.clone()), None, "{wrong:?}");
        }
        assert_eq!((inside("[]"), inside("[1,2]"), inside("")), ("", "1,2", ""));
    }
}
