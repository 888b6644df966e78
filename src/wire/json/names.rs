//! Members' names.

use std::borrow::Cow;
use std::collections::HashSet;

use serde::de::{Deserialize, DeserializeSeed, Deserializer};
use serde_json::value::RawValue;
use smallvec::SmallVec;

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
pub struct Names<'v> {
    few: SmallVec<[&'v str; 32]>,
    /// Those of the few that had escapes.
    unescaped: Vec<String>,
    filter: [u64; 4],
    many: Option<HashSet<Cow<'v, str>>>,
}

impl<'v> Names<'v> {
    /// Whether the name is new.
    pub fn insert(&mut self, name: Cow<'v, str>) -> bool {
        if self.few.len() + self.unescaped.len() == 32 {
            return !self.is_among_few(&name) && self.many.get_or_insert_default().insert(name);
        }
        let bytes = name.as_bytes();
        let end = |byte: Option<&u8>| byte.copied().map_or(0, usize::from);
        let mix = bytes.len() * 31 + end(bytes.first()) * 7 + end(bytes.last());
        let (word, bit) = (mix / 64 % 4, 1 << (mix % 64));
        let mut new = true;
        if let Some(word) = self.filter.get_mut(word) {
            let perhaps = *word & bit != 0;
            *word |= bit;
            new = !perhaps || !self.is_among_few(&name);
        }
        match name {
            Cow::Borrowed(name) => self.few.push(name),
            Cow::Owned(name) => self.unescaped.push(name),
        }
        new
    }

    fn is_among_few(&self, name: &str) -> bool {
        self.few.contains(&name) || self.unescaped.iter().any(|own| own == name)
    }
}
