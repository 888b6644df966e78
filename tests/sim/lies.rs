//! Lies: what would go wrong if a part of the product, or what it stands on, did not do what it must. Each is told by the
//! simulated parts, so that nothing of the product has to be changed, and each must be found out.

/// What is not as it is said to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lie {
    /// The barrier lets everybody through at once.
    NoBarrier,
    /// What is asked for the high watermark says the last stable offset.
    StableEnds,
    /// Where nobody answers, the ends are as they were.
    OldEnds,
    /// A partition is said to be read further than it is.
    EarlyEnd,
    /// Consents are seen that are not committed.
    UncommittedConsents,
    /// Events are seen that are not committed.
    UncommittedEvents,
    /// Erasures are not seen.
    LostTombstones,
    /// What does not decode is passed over, and what was there before stands.
    InvalidIsNothing,
    /// What a person says on another partition than that of their key is not seen.
    LostStrays,
    /// Every other record that waits is forgotten when it is loaded.
    ForgottenHolds,
    /// That a record waits no longer is not written.
    KeptHolds,
    /// Offsets are committed first, and by themselves.
    OffsetsFirst,
    /// A fenced producer goes on.
    NoFence,
    /// Offsets are taken from members of any generation.
    AnyMember,
    /// Offsets are taken for committed while a transaction may still move them.
    UnstableOffsets,
    /// What waits is said to be loaded before it is.
    UnloadedHolds,
    /// A record that is acknowledged is not there.
    LostRecord,
    /// A record is there twice.
    DoubleRecord,
    /// No answer to the end of a transaction is taken for a good one.
    HopefulEnd,
    /// Aborting commits.
    AbortCommits,
    /// A batch has as many records as there are.
    EndlessBatches,
    /// A group without offsets begins at the end.
    LatestStart,
    /// Records of a partition are written in any order.
    NoOrder,
    /// Commits are counted twice.
    CountedTwice,
}

/// All of them.
pub const ALL: [Lie; 24] = [
    Lie::NoBarrier,
    Lie::StableEnds,
    Lie::OldEnds,
    Lie::EarlyEnd,
    Lie::UncommittedConsents,
    Lie::UncommittedEvents,
    Lie::LostTombstones,
    Lie::InvalidIsNothing,
    Lie::LostStrays,
    Lie::ForgottenHolds,
    Lie::KeptHolds,
    Lie::OffsetsFirst,
    Lie::NoFence,
    Lie::AnyMember,
    Lie::UnstableOffsets,
    Lie::UnloadedHolds,
    Lie::LostRecord,
    Lie::DoubleRecord,
    Lie::HopefulEnd,
    Lie::AbortCommits,
    Lie::EndlessBatches,
    Lie::LatestStart,
    Lie::NoOrder,
    Lie::CountedTwice,
];
