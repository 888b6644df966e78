//! A message as librdkafka hands it out.
//!
//! The client panics at a header's name that is not UTF-8, and such a record must not take the thread with it.

use std::panic::{AssertUnwindSafe, catch_unwind};

use rdkafka::message::{BorrowedHeaders, BorrowedMessage, Headers, Message as _};
use smallvec::SmallVec;

use crate::record::Header;
use crate::source::Message;
use crate::time::Timestamp;

impl Message for BorrowedMessage<'_> {
    fn topic(&self) -> &str {
        rdkafka::Message::topic(self)
    }

    fn partition(&self) -> i32 {
        rdkafka::Message::partition(self)
    }

    fn offset(&self) -> i64 {
        rdkafka::Message::offset(self)
    }

    fn key(&self) -> Option<&[u8]> {
        rdkafka::Message::key(self)
    }

    fn value(&self) -> Option<&[u8]> {
        self.payload()
    }

    fn timestamp(&self) -> Option<Timestamp> {
        rdkafka::Message::timestamp(self).to_millis().map(Timestamp)
    }

    fn header_bytes(&self) -> Option<usize> {
        let length = |header: Header<'_>| header.0.len() + header.1.map_or(0, <[u8]>::len);
        let sum = |headers: &BorrowedHeaders| headers.iter().map(|own| length((own.key, own.value))).sum();
        let headers = rdkafka::Message::headers(self);
        headers.map(|headers| catch_unwind(AssertUnwindSafe(|| sum(headers))).unwrap_or(0))
    }

    fn headers(&self) -> Option<SmallVec<[Header<'_>; 8]>> {
        let Some(headers) = rdkafka::Message::headers(self) else { return Some(SmallVec::new()) };
        let read = || headers.iter().map(|header| (header.key, header.value)).collect();
        catch_unwind(AssertUnwindSafe(read)).ok()
    }

    fn has_header(&self, name: &str) -> bool {
        let named = |headers: &BorrowedHeaders| headers.iter().any(|header| header.key == name);
        rdkafka::Message::headers(self)
            .is_some_and(|headers| catch_unwind(AssertUnwindSafe(|| named(headers))).unwrap_or(false))
    }
}
