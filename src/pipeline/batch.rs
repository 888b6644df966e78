//! A batch: messages fetched together, and a record's view of one.

use smallvec::SmallVec;

use crate::record::Record;
use crate::source::{Cluster, Member, Message};

/// A message of a cluster's members.
pub type Polled<'c, C> = <<C as Cluster>::Member as Member>::Message<'c>;

/// Messages fetched together, in order per partition.
pub struct Fetched<M> {
    /// Each with whether it has headers: the client looks for them anew whenever it is asked.
    messages: Vec<(M, bool)>,
    bytes: usize,
}

impl<M> Default for Fetched<M> {
    fn default() -> Self {
        Self { messages: Vec::new(), bytes: 0 }
    }
}

impl<M: Message> Fetched<M> {
    /// Adds a message.
    pub fn push(&mut self, message: M) {
        let headers = message.header_bytes();
        let length = |bytes: Option<&[u8]>| bytes.map_or(0, <[u8]>::len);
        self.bytes += length(message.value()) + length(message.key()) + headers.unwrap_or(0);
        self.messages.push((message, headers.is_some()));
    }

    /// Whether there is none.
    pub const fn is_empty(&self) -> bool {
        self.messages.is_empty()
    }

    /// How many there are.
    pub const fn len(&self) -> usize {
        self.messages.len()
    }

    /// The bytes of keys, values and headers.
    pub const fn bytes(&self) -> usize {
        self.bytes
    }

    /// Forgets all of them.
    pub fn clear(&mut self) {
        self.messages.clear();
        self.bytes = 0;
    }

    /// So many messages at a time, in order.
    pub fn groups(&self, size: usize) -> impl Iterator<Item = &[(M, bool)]> {
        self.messages.chunks(size)
    }

    /// The messages, in order, each with whether it has headers.
    pub fn messages(&self) -> impl Iterator<Item = &(M, bool)> {
        self.messages.iter()
    }
}

/// A message as a record. The flag says whether its headers could be read.
pub fn record<M: Message>((message, has_headers): &(M, bool)) -> (Record<'_>, bool) {
    let headers = if *has_headers { message.headers() } else { Some(SmallVec::new()) };
    let readable = headers.is_some();
    let record = Record {
        topic: message.topic(),
        partition: message.partition(),
        offset: message.offset(),
        key: message.key(),
        value: message.value(),
        headers: headers.unwrap_or_default(),
        timestamp: message.timestamp(),
    };
    (record, readable)
}
