//! Whom a change is about.

use std::fmt;

use crate::consent::{normalize, split_key};

/// A person by `type:value`, the value in its one form. Never shown by `Debug`.
#[derive(Clone, PartialEq, Eq)]
pub struct Subject {
    /// The identity's type, such as `user_id`.
    pub kind: String,
    /// The value: trimmed, lower-cased for `email`.
    pub value: String,
}

impl Subject {
    /// Reads `type:value`; `None` where nothing stands before or after the colon, or there is none.
    pub fn parse(text: &str) -> Option<Self> {
        let (kind, value) = split_key(text.as_bytes())?;
        let (kind, value) = (kind.trim().to_owned(), normalize(kind.trim(), value).into_owned());
        Some(Self { kind, value })
    }

    /// Type and value.
    pub fn pair(&self) -> (&str, &str) {
        (&self.kind, &self.value)
    }

    /// The key of a message, as it is written where none is there yet.
    pub fn key(&self) -> String {
        format!("{}:{}", self.kind, self.value)
    }

    /// Whether a message's key names this person, however it spells it.
    pub fn is_named_by(&self, key: &[u8]) -> bool {
        split_key(key).is_some_and(|(kind, value)| kind == self.kind && normalize(kind, value) == self.value)
    }
}

impl fmt::Debug for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Subject")
    }
}
