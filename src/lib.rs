//! Consentry stands in a Kafka stream: it reads customer-data events, looks each person up in an in-memory
//! consent cache that a consent-change topic keeps current, and forwards only what that person permits.
//!
//! # The map
//!
//! One house, eleven floors; a room uses only the floors below it (`tests/tidy.rs` sees to that).
//!
//! | floor | rooms |
//! | --- | --- |
//! | 0 | [`time`]: what time it is, asked in one place · [`oracle`]: the decision once more, slow and obvious, to hold the first to |
//! | 1 | [`record`]: a record as it came · [`consent`]: subjects, grants, **the decision**, permits |
//! | 2 | [`policy`]: rules compiled from settings · [`wire`]: JSON, Protobuf, privacy strings ⇄ what they mean |
//! | 3 | [`transform`]: field actions on a permitted record · [`cache`]: subject → state, and that as a snapshot · [`hold`]: what waits, by subject and by time · [`renewal`]: whom to ask again · [`audit`]: what stands in topics, held to the oracle |
//! | 4 | [`telemetry`]: names, the count of the four ends, readiness, logs · [`source`]: what the line needs of a cluster and of the barrier, as traits |
//! | 5 | [`kafka`]: the cluster that librdkafka reaches: clients, the group, transactions, topics |
//! | 6 | [`sink`]: topics, and the quarantine |
//! | 7 | [`follower`]: consent topic → cache, the barrier, when a snapshot is written and read · [`pipeline`]: **the line** · [`steward`]: one person's consent, read and changed on the topic · [`due`]: telling whose consent ends |
//! | 8 | [`admin`]: metrics, readiness, the status page; one person's consent, for who may |
//! | 9 | [`config`]: as written → as each room wants it |
//! | 10 | [`app`]: build, run, stop; explain · [`broker`]: the embedded one, for the demonstration |
//! | 11 | [`cli`]: one file a command |
//!
//! Floors 0 to 3 compute: no threads, no clock, no client library, no logging. They return values; the
//! floors above count and log them.
//!
//! # The way of a record
//!
//! [`pipeline`] fetches a batch, waits at the barrier that [`follower`] keeps, and asks
//! [`pipeline::judge`], which reads the record ([`wire::json`]), looks its subjects up ([`cache`]) and has
//! [`consent::judge`] decide, or [`consent::judge_each`] each person of a record about several. What is
//! permitted becomes a [`consent::Permitted`], after its field actions ([`transform`]) a [`consent::Cleared`],
//! and only that can be handed to a [`sink`]. Every record ends in one of four ways ([`consent::End`]) for one
//! of a closed list of reasons ([`consent::Reason`]); what is held ([`hold`] is the index of it) is decided again
//! when its subject says something or its time comes. Only where a process holds a part of the consent topic
//! can a record stand where nobody can decide it: then nothing is done about it, and its pipeline stands still
//! ([`pipeline::refusal`]).
//!
//! To know how it works, read [`pipeline`], then `consent/decide.rs`, then [`follower`].

// `eprintln!` panics where standard error is closed; `cli` has the one place that writes there.
#![warn(clippy::print_stderr, clippy::print_stdout)]

pub mod admin;
pub mod app;
pub mod audit;
pub mod broker;
pub mod cache;
pub mod cli;
pub mod config;
pub mod consent;
pub mod due;
pub mod follower;
pub mod hold;
pub mod kafka;
pub mod oracle;
pub mod pipeline;
pub mod policy;
pub mod record;
pub mod renewal;
pub mod sink;
pub mod source;
pub mod steward;
pub mod telemetry;
pub mod time;
pub mod transform;
pub mod wire;
