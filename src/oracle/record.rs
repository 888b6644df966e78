//! A record as it came.

use super::fields::Headers;
use super::time::Millis;

/// A record as it came.
#[derive(Clone, Debug, Default)]
pub struct Record {
    /// `None` is Kafka's null.
    pub key: Option<Vec<u8>>,
    /// `None` is Kafka's null.
    pub value: Option<Vec<u8>>,
    /// In order; a name may be there several times.
    pub headers: Headers,
    /// Kafka's timestamp; `None`, or below zero: it has none.
    pub timestamp: Option<Millis>,
    /// Where it stood.
    pub topic: String,
}

impl Record {
    /// The last header of this name.
    pub fn header(&self, name: &str) -> Option<&[u8]> {
        self.headers.iter().rfind(|(header, _)| header == name).and_then(|(_, value)| value.as_deref())
    }

    /// Whether this header is there twice with different values.
    pub(super) fn disagrees(&self, name: &str) -> bool {
        let all: Vec<_> = self.headers.iter().filter(|(header, _)| header == name).collect();
        all.iter().any(|one| all.iter().any(|other| one.1 != other.1))
    }

    /// Without those that only Consentry may write.
    pub fn own_headers(&self) -> Headers {
        self.headers.iter().filter(|(name, _)| !name.starts_with("consentry.")).cloned().collect()
    }

    /// A key and no value: it only says that something is to be forgotten.
    pub(super) const fn is_deletion(&self) -> bool {
        self.value.is_none() && self.key.is_some()
    }

    pub(super) fn bytes(&self) -> usize {
        let length = |bytes: &Option<Vec<u8>>| bytes.as_ref().map_or(0, Vec::len);
        let headers: usize = self.headers.iter().map(|(name, value)| name.len() + length(value)).sum();
        length(&self.key) + length(&self.value) + headers
    }
}
