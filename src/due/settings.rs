//! Where it is told that a grant comes to its end, and by whom.

use crate::kafka::settings::TopicSettings;
use crate::renewal::settings::AskSettings;

/// Where it is told that a grant comes to its end, and by whom.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DueSettings {
    /// The compacted topic that it is told on.
    pub topic: TopicSettings,
    /// The consumer group that shares the consent partitions out. Default `consentry-due.TOPIC`.
    pub group: String,
    /// When a person may be asked.
    pub ask: AskSettings,
}
