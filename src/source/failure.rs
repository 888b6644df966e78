//! An error of a client that reads or asks: what it says, and what that means.

use thiserror::Error;

/// What is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// Where it would read on is not in what the topic holds.
    OutOfRange,
    /// A connection broke off. There may be others.
    Disconnected,
    /// Nothing can be read: no broker is there, no such topic, or no right to it.
    CutOff,
    /// It is over by itself, and nothing is skipped by waiting.
    Passing,
    /// Anything else, which is not known to be harmless.
    Unknown,
}

/// An error of a client.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("{said}")]
pub struct Failure {
    /// What is wrong.
    pub trouble: Trouble,
    /// What the client says.
    pub said: String,
}

impl Failure {
    /// One that nothing more is known of.
    pub fn unknown(said: impl ToString) -> Self {
        Self { trouble: Trouble::Unknown, said: said.to_string() }
    }
}
