//! Where records go. A sink takes nothing but what is [`crate::consent::Cleared`]; what could not be
//! decided goes to the quarantine, whole.

pub mod kafka;
pub mod quarantine;
