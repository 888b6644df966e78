//! A topic that is followed by hand, without a group: what is in it, and how it stands.

use std::time::Duration;

use super::{Failure, Message, TopicError};

/// Where a partition is read from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Begin {
    /// From the first record there is.
    First,
    /// From this offset on.
    At(i64),
}

/// What was polled.
#[derive(Debug)]
pub enum Polled<M> {
    /// A message.
    Message(M),
    /// The end of a partition, and its offset where the client tells it: below that everything committed has been
    /// polled, control records and what compaction took included.
    End(i32, Option<i64>),
}

/// Reads what is committed of the partitions that it is given.
pub trait Feed: Send + Sync + 'static {
    /// A message of its partitions.
    type Message<'m>: Message
    where
        Self: 'm;

    /// The next message or end, in order by partition; waits for it for at most `patience`. An end comes each time
    /// that one is reached. [`super::Trouble::Passing`] is the brokers' absence; anything else may mean that messages are skipped.
    fn poll(&self, patience: Duration) -> Option<Result<Polled<Self::Message<'_>>, Failure>>;

    /// What it reads is to be the topic of this id: where another one has its name, that is a change.
    fn expect(&self, topic_id: &str);

    /// How often a topic was found to be another one under the same name: counted before anything of the new one is
    /// polled.
    fn changes(&self) -> u64;

    /// Reads these partitions, which it is told once.
    fn assign(&self, topic: &str, from: &[(i32, Begin)]) -> Result<(), Failure>;

    /// The end of what is committed, of each of so many partitions. One that does not answer is an error.
    fn ends(&self, topic: &str, partitions: usize) -> Result<Vec<i64>, TopicError>;
}

/// Sees what is acknowledged, committed or not.
pub trait Survey: Send {
    /// How many partitions a topic has.
    fn partitions(&self, topic: &str, within: Duration) -> Result<usize, TopicError>;

    /// The high watermark of each of so many partitions. One that does not answer is an error.
    fn ends(&self, topic: &str, partitions: usize, within: Duration) -> Result<Vec<i64>, TopicError>;

    /// The high watermark of one partition.
    fn end(&self, topic: &str, partition: i32) -> Result<i64, Failure>;

    /// Keeps a topic in the client's mind, and hears what the client has to say since the last look.
    fn hold_on(&mut self, topic: &str, within: Duration) -> Result<(), Failure>;

    /// The id of the topic that is kept in mind, once it is known.
    fn topic_id(&self) -> Option<String>;
}
