//! When a person may be asked again.

/// When a person may be asked again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AskSettings {
    /// So long before a grant ends, in milliseconds. Default 14 days.
    pub before_ms: i64,
    /// So long after they refused nobody is asked, in milliseconds. Default 365 days.
    pub quiet_ms: i64,
}
