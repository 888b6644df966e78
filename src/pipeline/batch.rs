//! A batch: messages fetched together and what is due beside them, and a record's view of a message.

use smallvec::SmallVec;

use crate::hold::Id;
use crate::record::Record;
use crate::source::{Cluster, Member, Message};

/// How many records are handed over at a time, and read before their subjects are looked up: a core fetches about as
/// many cache lines at once.
pub const GROUP: usize = 16;

/// A message of a cluster's members.
pub type Polled<'c, C> = <<C as Cluster>::Member as Member>::Message<'c>;

/// Messages fetched together, in order per partition, and what has waited and is to be decided with them.
pub struct Fetched<M> {
    /// Each with whether it has headers: the client looks for them anew whenever it is asked.
    messages: Vec<(M, bool)>,
    bytes: usize,
    due: Vec<Id>,
}

impl<M> Default for Fetched<M> {
    fn default() -> Self {
        Self { messages: Vec::new(), bytes: 0, due: Vec::new() }
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

    /// Adds what is due, as it came.
    pub fn wake(&mut self, due: Vec<Id>) {
        self.due = due;
    }

    /// What is due.
    pub fn due(&self) -> &[Id] {
        &self.due
    }

    /// Whether there is nothing to decide.
    pub const fn is_empty(&self) -> bool {
        self.messages.is_empty() && self.due.is_empty()
    }

    /// How many messages there are.
    pub const fn len(&self) -> usize {
        self.messages.len()
    }

    /// The bytes of keys, values and headers.
    pub const fn bytes(&self) -> usize {
        self.bytes
    }

    /// Forgets all of them. What is due goes too: where something was undone, what came before it is due again, and
    /// must be decided before it.
    pub fn clear(&mut self) {
        self.messages.clear();
        self.bytes = 0;
        self.due.clear();
    }

    /// Hands the messages over, a few at a time and in order, and lets go of each few before the next: what the
    /// client has to free of them is in the processor's cache then.
    pub fn spend<E>(&mut self, mut each: impl FnMut(&[(M, bool)]) -> Result<(), E>) -> Result<(), E> {
        let mut messages = std::mem::take(&mut self.messages).into_iter();
        loop {
            let group: SmallVec<[_; GROUP]> = messages.by_ref().take(GROUP).collect();
            if group.is_empty() {
                return Ok(());
            }
            each(&group)?;
        }
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::Header;
    use crate::time::Timestamp;

    struct Bare;

    impl Message for Bare {
        fn topic(&self) -> &str {
            "t"
        }

        fn partition(&self) -> i32 {
            0
        }

        fn offset(&self) -> i64 {
            7
        }

        fn key(&self) -> Option<&[u8]> {
            Some(b"key")
        }

        fn value(&self) -> Option<&[u8]> {
            None
        }

        fn timestamp(&self) -> Option<Timestamp> {
            None
        }

        fn header_bytes(&self) -> Option<usize> {
            None
        }

        fn headers(&self) -> Option<SmallVec<[Header<'_>; 8]>> {
            Some(SmallVec::new())
        }

        fn has_header(&self, _: &str) -> bool {
            false
        }
    }

    #[test]
    fn what_is_due_is_forgotten_with_what_was_fetched() {
        let mut fetched = Fetched::default();
        fetched.wake(vec![Id { place: 0, offset: 3, route: 0 }]);
        assert!(!fetched.is_empty());
        fetched.push(Bare);
        assert_eq!((fetched.len(), fetched.bytes(), fetched.due().len()), (1, 3, 1));
        fetched.clear();
        assert!(fetched.is_empty(), "something earlier may be due again");
    }
}
