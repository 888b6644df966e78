//! Bytes ⇄ what they mean: JSON values, consent records in JSON and Protobuf and the privacy strings in them,
//! records that wait, and consent stamped into events.
//!
//! Whatever the bytes are, these functions return; what cannot be read is said to be so, in words that
//! never quote it.

pub mod change;
mod change_json;
mod change_proto;
pub mod held;
pub mod json;
pub mod jurisdiction;
pub mod record_proto;
pub mod signals;
pub mod stamp;
