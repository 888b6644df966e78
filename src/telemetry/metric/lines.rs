//! The lines of the table that tell what waits, what the consent cache holds, and whom to ask again.

use metrics::Unit;

use super::{Metric, Spec, counter, gauge, seconds};

impl Metric {
    /// The lines that tell what waits.
    pub(super) const fn hold_spec(self) -> Spec {
        match self {
            Self::Released => counter(
                "consentry_released_total",
                &["pipeline", "route", "reason"],
                "Held records that wait no longer, by what they waited for; where they ended is in consentry_records_total",
            ),
            Self::HeldNow => {
                gauge("consentry_held_now", &["pipeline", "route"], "Records that wait, committed ones")
            }
            _ => Spec {
                unit: Unit::Seconds,
                ..gauge(
                    "consentry_held_oldest_timestamp_seconds",
                    &["pipeline", "route"],
                    "Since when the oldest record waits, in seconds since the epoch; 0: none does",
                )
            },
        }
    }

    /// The lines that tell what the consent cache holds.
    pub(super) const fn consent_spec(self) -> Spec {
        match self {
            Self::ConsentApplied => counter(
                "consentry_consent_applied_total",
                &["kind"],
                "Consent records applied to the cache: state, tombstone or invalid",
            ),
            Self::ConsentSubjects => {
                gauge("consentry_consent_subjects", &[], "Subjects with a state in the consent cache")
            }
            Self::ConsentInvalid => gauge(
                "consentry_consent_invalid",
                &[],
                "Subjects who are denied because their consent record does not decode",
            ),
            Self::ConsentSplits => {
                gauge("consentry_consent_splits", &[], "Subjects with a state on more than one partition")
            }
            Self::ConsentConflicted => gauge(
                "consentry_consent_conflicted",
                &[],
                "Subjects who are denied because they are erased on one partition and known on another",
            ),
            Self::ConsentVersionRegressed => counter(
                "consentry_consent_version_regressed_total",
                &[],
                "Consent records whose version was lower than the one before",
            ),
            Self::ConsentSignalsInvalid => counter(
                "consentry_consent_signals_invalid_total",
                &["signal"],
                "Privacy strings (tcf, gpp) in consent records that do not decode and refuse what they govern",
            ),
            _ => self.standing_spec(),
        }
    }

    /// The lines that tell how the following of the consent topic stands, and the process.
    const fn standing_spec(self) -> Spec {
        match self {
            Self::WithdrawalEffective => seconds(
                "consentry_withdrawal_effective_seconds",
                &[],
                "From the Kafka timestamp of a consent change that refuses or erases until every decision obeys it",
            ),
            Self::ConsentLag => gauge(
                "consentry_consent_lag",
                &["partition"],
                "Consent records that are on the topic and not yet in the cache",
            ),
            Self::ConsentStaleness => Spec {
                unit: Unit::Seconds,
                ..gauge(
                    "consentry_consent_staleness_seconds",
                    &[],
                    "Seconds since the consent cache was last at the end of its topic",
                )
            },
            Self::ConsentUnreadableKeys => gauge(
                "consentry_consent_unreadable_keys",
                &[],
                "Keys on the consent topic that cannot be read; more than 0 stops forwarding",
            ),
            Self::ConsentMisplacedKeys => gauge(
                "consentry_consent_misplaced_keys",
                &[],
                "With `cache: sharded`, consent keys on the wrong partition; more than 0 stops forwarding",
            ),
            Self::ConsentPartitions => gauge(
                "consentry_consent_partitions",
                &[],
                "Consent partitions that this process loads; with `cache: replicated` all of them",
            ),
            Self::SnapshotTime | Self::SnapshotFailures | Self::ConsentBytes => self.keeping_spec(),
            Self::DueMessages
            | Self::DueWaiting
            | Self::DuePeople
            | Self::DuePartitions
            | Self::DueLag
            | Self::DueRestarts => self.due_spec(),
            Self::Ready => {
                gauge("consentry_ready", &[], "1 while everything needed to forward is there, else 0")
            }
            _ => gauge(
                "consentry_build_info",
                &["version", "policy"],
                "Always 1; which version runs, and the hash of the policy it enforces",
            ),
        }
    }

    /// The lines that tell what the cache takes, and how it is kept.
    const fn keeping_spec(self) -> Spec {
        match self {
            Self::SnapshotTime => Spec {
                unit: Unit::Seconds,
                ..gauge(
                    "consentry_consent_snapshot_timestamp_seconds",
                    &[],
                    "When a snapshot of the consent cache was last written, in seconds since the epoch",
                )
            },
            Self::SnapshotFailures => counter(
                "consentry_consent_snapshot_failures_total",
                &[],
                "Snapshots of the consent cache that could not be written",
            ),
            _ => Spec {
                unit: Unit::Bytes,
                ..gauge(
                    "consentry_consent_cache_bytes",
                    &[],
                    "Memory that the subjects in the consent cache take",
                )
            },
        }
    }

    /// The lines that tell how asking again stands.
    const fn due_spec(self) -> Spec {
        match self {
            Self::DueMessages => counter(
                "consentry_due_messages_total",
                &["result"],
                "Grants that came near their end by what was told of them: asked, missed (it was over), split (the \
                 person is known from several keys; each time they are looked at), too_large; and erased people \
                 whose message was taken_back",
            ),
            Self::DueWaiting => gauge(
                "consentry_due_waiting",
                &[],
                "People whose time to be asked has come and of whom nothing is written yet",
            ),
            Self::DuePeople => gauge(
                "consentry_due_people",
                &[],
                "People kept in memory because a grant of theirs ends, or because they refused or were asked",
            ),
            Self::DuePartitions => gauge(
                "consentry_due_partitions",
                &[],
                "Consent partitions in which this process looks for grants that come to their end",
            ),
            Self::DueLag => gauge(
                "consentry_due_lag",
                &[],
                "Consent records that whoever looks for ends has still to read before anybody can be asked",
            ),
            _ => counter(
                "consentry_due_restarts_total",
                &[],
                "Starts anew, after a fault, of whoever looks for grants that come to their end",
            ),
        }
    }
}
