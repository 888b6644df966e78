//! How large the cache may grow.

/// The cache's limits.
#[derive(Clone, Copy, Debug)]
pub struct CacheSettings {
    /// Subjects (erased ones included) above which forwarding stops. Default 100,000,000.
    pub max_subjects: usize,
    /// Grants in one consent record above which it does not decode. Default 256.
    pub max_grants: usize,
}
