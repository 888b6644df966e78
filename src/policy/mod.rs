//! Rules compiled from the configuration: every name looked up, every path in one tree.

pub mod outlook;
pub mod rules;
pub mod settings;
pub mod when;
pub mod window;

pub use crate::record::path;
