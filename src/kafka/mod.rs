//! Kafka: clients, the group, transactions, topics. Everything that knows librdkafka's ways.

pub mod acl;
pub mod client;
pub mod extent;
pub mod inspect;
pub mod member;
pub mod partition;
pub mod properties;
pub mod replay;
pub mod reports;
pub mod settings;
pub mod topics;
pub mod writer;
