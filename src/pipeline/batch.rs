//! A batch: messages fetched together, and a record's view of one.

use std::panic::{AssertUnwindSafe, catch_unwind};

use rdkafka::message::{BorrowedHeaders, BorrowedMessage, Headers, Message};
use smallvec::SmallVec;

use crate::record::{Header, Record};
use crate::time::Timestamp;

/// Messages fetched together, in order per partition.
#[derive(Default)]
pub struct Fetched<'c> {
    /// Each with whether it has headers: the client looks for them anew whenever it is asked.
    messages: Vec<(BorrowedMessage<'c>, bool)>,
    bytes: usize,
}

impl<'c> Fetched<'c> {
    /// Adds a message.
    pub fn push(&mut self, message: BorrowedMessage<'c>) {
        let headers = header_bytes(&message);
        self.bytes += message.payload_len() + message.key_len() + headers.unwrap_or(0);
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
    pub fn groups(&self, size: usize) -> impl Iterator<Item = &[(BorrowedMessage<'c>, bool)]> {
        self.messages.chunks(size)
    }

    /// The messages, in order, each with whether it has headers.
    pub fn messages(&self) -> impl Iterator<Item = &(BorrowedMessage<'c>, bool)> {
        self.messages.iter()
    }
}

/// The bytes of a message's headers, zero where they cannot be read; `None` where it has none.
fn header_bytes(message: &BorrowedMessage<'_>) -> Option<usize> {
    let length = |header: Header<'_>| header.0.len() + header.1.map_or(0, <[u8]>::len);
    let sum = |headers: &BorrowedHeaders| headers.iter().map(|own| length((own.key, own.value))).sum();
    message.headers().map(|headers| catch_unwind(AssertUnwindSafe(|| sum(headers))).unwrap_or(0))
}

/// A message as a record. The flag says whether its headers could be read: the client panics at a header
/// name that is not UTF-8, and such a record must not take the worker with it.
pub fn record<'m>((message, has_headers): &'m (BorrowedMessage<'_>, bool)) -> (Record<'m>, bool) {
    let headers = has_headers.then(|| message.headers()).flatten().map(|headers| {
        catch_unwind(AssertUnwindSafe(|| {
            let all = headers.iter().map(|header| (header.key, header.value));
            all.collect::<SmallVec<[Header<'m>; 8]>>()
        }))
    });
    let readable = !matches!(headers, Some(Err(_)));
    let record = Record {
        topic: message.topic(),
        partition: message.partition(),
        offset: message.offset(),
        key: message.key(),
        value: message.payload(),
        headers: headers.and_then(Result::ok).unwrap_or_default(),
        timestamp: message.timestamp().to_millis().map(Timestamp),
    };
    (record, readable)
}
