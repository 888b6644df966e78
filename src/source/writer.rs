//! Writing records and the offsets they stand for: in one transaction, or one after the other.

use std::time::Duration;

use thiserror::Error;

use super::Offsets;

/// What is to be done about an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The group is between two generations: everything is written, only the offsets are to be committed
    /// again, once the group has said who owns them.
    Again,
    /// Abort the transaction, go back and do it again.
    Abort,
    /// Nothing is known for certain: make a new producer and ask what was committed.
    Replace,
    /// A newer process writes under this id: end.
    Fenced,
}

/// Why records could not be written.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum WriteError {
    /// A call failed.
    #[error("{said}")]
    Failed {
        /// What the client says.
        said: String,
        /// What is to be done.
        fault: Fault,
    },
    /// Records were refused as too large: which of the transaction's records, by the number they were
    /// sent with.
    #[error("{} record(s) refused as too large", .0.len())]
    TooLarge(Vec<usize>),
    /// Records were refused because there is no such topic, or no such partition of it.
    #[error("a record was not taken: {0}")]
    Nowhere(String),
    /// Records were refused.
    #[error("a record was not taken: {0}")]
    Refused(String),
    /// No acknowledgement came in time, which was so many seconds.
    #[error("no acknowledgement within {0} s")]
    Unsettled(u64),
}

impl WriteError {
    /// What is to be done.
    pub const fn fault(&self) -> Fault {
        match self {
            Self::Failed { fault, .. } => *fault,
            Self::TooLarge(_) | Self::Nowhere(_) | Self::Refused(_) => Fault::Abort,
            Self::Unsettled(_) => Fault::Replace,
        }
    }
}

/// How a writer writes.
#[derive(Clone, Debug)]
pub struct WriterSettings {
    /// `consentry/INSTANCE/PIPELINE/WORKER`; absent: without transactions.
    pub transactional_id: Option<String>,
    /// How long readers wait at a transaction whose writer was killed.
    pub timeout: Duration,
    /// Bytes that may wait for acknowledgement, keys and headers included.
    pub buffer_bytes: usize,
    /// The largest batch that every sink takes.
    pub batch_bytes: usize,
    /// How long a record waits for others of its batch, unless the cluster's own `linger.ms` says.
    pub linger: Duration,
    /// One record a batch, so that a refusal concerns one record.
    pub cautious: bool,
}

/// A record to be written.
#[derive(Debug)]
pub struct Write<'a, H> {
    /// The topic.
    pub topic: &'a str,
    /// The partition.
    pub partition: i32,
    /// The key; `None` is Kafka's null.
    pub key: Option<&'a [u8]>,
    /// The value; `None` is Kafka's null.
    pub value: Option<&'a [u8]>,
    /// Milliseconds since the epoch; `None`: now.
    pub timestamp: Option<i64>,
    /// The headers.
    pub headers: H,
    /// Key, value and headers, in bytes.
    pub size: usize,
    /// The number it is reported by.
    pub number: usize,
}

/// Headers as a writer wants them, in order.
pub trait HeaderList: Sized {
    /// None yet; so many will come.
    fn with_capacity(count: usize) -> Self;

    /// And this one.
    #[must_use]
    fn and(self, name: &str, value: Option<&[u8]>) -> Self;
}

/// Writes, and commits what was written together with the offsets that it stands for. After [`Fault::Replace`] it
/// is of no use any more. [`Writer::begin`] and [`Writer::send`] are called while a view of the cache is held: a
/// simulation lets no other thread run in them.
pub trait Writer: Sized {
    /// Whose group the offsets are committed for.
    type Member;

    /// What it takes headers as.
    type Headers: HeaderList;

    /// Begins a transaction, unless one is begun.
    fn begin(&mut self) -> Result<(), WriteError>;

    /// Hands a record over. Waits where the buffer is full.
    fn send(&mut self, write: Write<'_, Self::Headers>) -> Result<(), WriteError>;

    /// Hears what the client has to say, without waiting.
    fn serve(&self);

    /// Commits everything sent, and the offsets of what it was made from: all of it, or after an error none, unless
    /// that says [`Fault::Replace`]. The coordinator takes the offsets from a member of the current generation alone.
    fn commit(&mut self, member: &Self::Member, offsets: &Offsets) -> Result<(), WriteError>;

    /// Aborts what was begun. Without transactions, what was sent stays sent.
    fn abort(&mut self) -> Result<(), WriteError>;

    /// How long the transaction is open; `None`: none is begun.
    fn age(&self) -> Option<Duration>;
}
