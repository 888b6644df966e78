//! The topic that is written to.

use crate::kafka::settings::ClusterSettings;
use crate::wire::change::ConsentFormat;
use crate::wire::signals::Signals;

/// Where consent records are kept, and how.
#[derive(Clone, Debug)]
pub struct StewardSettings {
    /// The cluster.
    pub cluster: ClusterSettings,
    /// The compacted topic.
    pub topic: String,
    /// How its messages are encoded.
    pub format: ConsentFormat,
    /// A record with more grants does not decode; none is written.
    pub max_grants: usize,
    /// What the policy maps privacy strings to.
    pub signals: Signals,
}
