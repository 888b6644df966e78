//! What the line and the follower need of others, as traits: a barrier, and a cluster.
//!
//! Whoever keeps consent fresh is behind [`Barrier`]. Kafka is behind [`Cluster`], which makes everything else:
//! the [`Member`] of a group, the [`Writer`] of its transactions, the [`Feed`] of a topic that is followed by hand,
//! the [`Survey`] of how it stands, the [`Topics`] themselves. There are two clusters, the one that `kafka` reaches
//! with librdkafka and the one that the tests simulate; both are known when the line is compiled, so that a record
//! costs no call by way of a table. Errors come sorted by what is to be done about them, never as a client's codes.
//!
//! [`pace`] is where a thread waits. Where a simulation runs it, that is the simulation's to say.

pub mod pace;

mod barrier;
mod cluster;
mod failure;
mod feed;
mod member;
mod topics;
mod writer;

pub use barrier::{Barrier, Claim};
pub use cluster::{Cluster, Purpose};
pub use failure::{Failure, Trouble};
pub use feed::{Begin, Feed, Polled, Survey};
pub use member::{Event, Gap, Member, Message, Offsets, Place, Reading, begins};
pub use topics::{TopicError, Topics};
pub use writer::{Fault, HeaderList, Write, WriteError, Writer, WriterSettings};
