//! A cluster, which everything that reads or writes is made by.

use std::collections::BTreeMap;

use super::{Failure, Feed, Member, Reading, Survey, TopicError, Topics, WriteError, Writer, WriterSettings};

/// What a topic is followed or looked at for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// It is the consent topic.
    Consent,
    /// Events come from it.
    Events,
    /// Records wait in it.
    Held,
}

/// A Kafka cluster, as a process is told to reach it.
pub trait Cluster: Send + Sync {
    /// A member of a group.
    type Member: Member;
    /// What writes.
    type Writer: Writer<Member = Self::Member>;
    /// What knows the topics.
    type Topics: Topics;
    /// What follows a topic.
    type Feed: Feed;
    /// What looks how it stands.
    type Survey: Survey;

    /// Joins a group to read these topics.
    fn join(&self, group: &str, topics: &[&str], reading: Reading) -> Result<Self::Member, Failure>;

    /// Has a group begin at the end of these topics, which have so many partitions: where it has no offset of a
    /// topic at all, the ends are committed for every partition. A group that has members has begun.
    fn begin_at_end(&self, group: &str, topics: &BTreeMap<String, usize>) -> Result<(), Failure>;

    /// Makes a writer; with a transactional id, every older one of that id is fenced and its transaction ended.
    fn open(&self, settings: &WriterSettings) -> Result<Self::Writer, WriteError>;

    /// Makes what asks about topics, and makes them.
    fn topics(&self) -> Result<Self::Topics, TopicError>;

    /// Makes what follows a topic. It follows nothing yet.
    fn feed(&self, purpose: Purpose) -> Result<Self::Feed, Failure>;

    /// Makes what looks how a topic stands. It has not looked yet.
    fn survey(&self, purpose: Purpose) -> Result<Self::Survey, Failure>;

    /// How people reach it: `host:port`, joined by commas.
    fn brokers(&self) -> String;
}
