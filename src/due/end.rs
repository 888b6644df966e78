//! Why the worker that looks for ends of consents ends itself.

use rdkafka::error::KafkaError;
use thiserror::Error;

use crate::source::{Failure, TopicError, WriteError};

/// Why the worker ended before it was told to.
#[derive(Debug, Error)]
pub enum End {
    /// The topic is not there.
    #[error(
        "the topic `{0}` of `consent.due` is not there: make it, or write `create: true` beside its name"
    )]
    Missing(String),
    /// The two topics do not have as many partitions.
    #[error(
        "the topic `{due}` of `consent.due` has {has} partition(s) and the consent topic `{consent}` {wants}: \
         they must have as many; where the consent topic was given more, give this one as many more"
    )]
    Uneven {
        /// The due topic.
        due: String,
        /// Its partitions.
        has: usize,
        /// The consent topic.
        consent: String,
        /// Its partitions.
        wants: usize,
    },
    /// It forgets what was told.
    #[error(
        "the topic `{0}` of `consent.due` is not only compacted, and would forget who was asked: set \
         `cleanup.policy=compact` on it, without `delete`"
    )]
    NotCompacted(String),
    /// A newer process writes under the same instance name.
    #[error("a newer process with the same `instance` has taken over: give each process its own")]
    Fenced,
    /// The consent topic has more partitions than there were at the start.
    #[error("the consent topic `{0}` has new partitions")]
    Grown(String),
    /// A topic is another one under the same name.
    #[error("the topic `{0}` was made anew")]
    MadeAnew(String),
    /// There are too many to keep.
    #[error(
        "more than `limits.max_subjects` = {0} people have a grant that ends, refused or were asked: start more \
         processes, which share them out, or raise it"
    )]
    TooMany(usize),
    /// A topic cannot be looked at.
    #[error("{0}")]
    Topic(#[from] TopicError),
    /// Something failed that a new start may mend.
    #[error("{0}")]
    Kafka(#[from] KafkaError),
    /// The same, of a member of the group.
    #[error("{0}")]
    Member(#[from] Failure),
    /// Writing failed in a way that a new start may mend.
    #[error("{0}")]
    Write(#[from] WriteError),
    /// A defect: it panicked.
    #[error("the worker panicked; the log says where")]
    Panicked,
}

impl End {
    /// Whether the topics are not what they must be: at the start nobody should wait for that.
    pub const fn is_unfit(&self) -> bool {
        match self {
            Self::Missing(_) | Self::Uneven { .. } | Self::NotCompacted(_) => true,
            Self::Fenced
            | Self::Grown(_)
            | Self::MadeAnew(_)
            | Self::TooMany(_)
            | Self::Topic(_)
            | Self::Kafka(_)
            | Self::Member(_)
            | Self::Write(_)
            | Self::Panicked => false,
        }
    }
}
