//! Kafka: clients, the group, transactions, topics. Everything that knows librdkafka's ways.

pub mod acl;
pub mod client;
mod cluster;
pub mod extent;
pub mod feed;
pub mod inspect;
pub mod member;
mod message;
mod offsets;
pub mod partition;
pub mod properties;
pub mod reports;
pub mod settings;
pub mod topics;
pub mod writer;
