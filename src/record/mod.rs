//! A record as it came, and where in it something stands.
//!
//! Bytes are borrowed from whoever read them; nothing here is copied, decoded or changed.

pub mod path;
pub mod tree;

use smallvec::SmallVec;

use crate::time::Timestamp;

/// A header: names may repeat, values may be absent or binary.
pub type Header<'m> = (&'m str, Option<&'m [u8]>);

/// A Kafka record, borrowed from the client that read it.
#[derive(Clone, Debug, Default)]
pub struct Record<'m> {
    /// The topic it was read from.
    pub topic: &'m str,
    /// The partition.
    pub partition: i32,
    /// The offset.
    pub offset: i64,
    /// The key; `None` is Kafka's null.
    pub key: Option<&'m [u8]>,
    /// The value; `None` is Kafka's null.
    pub value: Option<&'m [u8]>,
    /// The headers, in order.
    pub headers: SmallVec<[Header<'m>; 8]>,
    /// The Kafka timestamp, if it has one.
    pub timestamp: Option<Timestamp>,
}

/// A record without its value.
#[derive(Clone, Copy, Debug)]
pub struct Envelope<'a, 'm> {
    /// The key; `None` is Kafka's null.
    pub key: Option<&'m [u8]>,
    /// The headers, in order.
    pub headers: &'a [Header<'m>],
}

impl<'m> Record<'m> {
    /// What there is of it besides its value.
    pub fn envelope(&self) -> Envelope<'_, 'm> {
        Envelope { key: self.key, headers: &self.headers }
    }

    /// Key, value and headers, in bytes.
    pub fn size(&self) -> usize {
        let length = |bytes: Option<&[u8]>| bytes.map_or(0, <[u8]>::len);
        let headers: usize = self.headers.iter().map(|(name, value)| name.len() + length(*value)).sum();
        length(self.key) + length(self.value) + headers
    }

    /// Whether it has a key and no value: something is to be forgotten.
    pub const fn is_deletion(&self) -> bool {
        self.key.is_some() && self.value.is_none()
    }

    /// The values of every header with this name.
    pub fn headers_named<'a>(&'a self, name: &'a str) -> impl Iterator<Item = Option<&'m [u8]>> + 'a {
        self.headers.iter().filter(move |(found, _)| *found == name).map(|(_, value)| *value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn size_counts_key_value_and_headers() {
        let record = Record {
            key: Some(b"k"),
            value: Some(b"value"),
            headers: SmallVec::from_slice(&[("a", Some(&b"12"[..])), ("bb", None)]),
            ..Record::default()
        };
        assert_eq!(record.size(), 1 + 5 + 3 + 2);
        assert!(!record.is_deletion());
        assert_eq!(record.headers_named("a").collect::<Vec<_>>(), [Some(&b"12"[..])]);
    }
}
