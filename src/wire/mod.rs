//! Bytes ⇄ what they mean: JSON values, and consent records in JSON and Protobuf, and records that wait.
//!
//! Whatever the bytes are, these functions return; what cannot be read is said to be so, in words that
//! never quote it.

pub mod change;
mod change_json;
mod change_proto;
pub mod held;
pub mod json;
pub mod record_proto;
