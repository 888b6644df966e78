//! Why a worker ends.

use thiserror::Error;

use super::line::LineError;
use crate::source::{Failure, WriteError};
use crate::telemetry::Mismatch;

/// Why a worker ended before it was told to.
#[derive(Debug, Error)]
pub enum End {
    /// A newer process writes under the same instance name.
    #[error("a newer process with the same `instance` has taken over: give each process its own")]
    Fenced,
    /// A record was lost or counted twice: a defect. Nothing of it was committed.
    #[error("the count does not balance: {0}")]
    Unbalanced(#[from] Mismatch),
    /// Something failed that a new start may mend.
    #[error("{0}")]
    Client(#[from] Failure),
    /// Writing failed in a way that a new start may mend.
    #[error("{0}")]
    Write(#[from] WriteError),
    /// The sinks cannot be looked at.
    #[error("{0}")]
    Line(#[from] LineError),
    /// A defect: it panicked.
    #[error("the worker panicked; the log says where")]
    Panicked,
}

impl End {
    /// Whether a new start may mend it.
    pub const fn is_passing(&self) -> bool {
        match self {
            Self::Fenced | Self::Unbalanced(_) => false,
            Self::Client(_) | Self::Write(_) | Self::Line(_) | Self::Panicked => true,
        }
    }
}
