//! One message of the consent topic, applied to the cache. Total: whatever it holds.

use std::time::Duration;

use metrics::{Counter, Histogram};

use super::Shared;
use super::keys::{Key, SETTLED};
use crate::cache::{Applied, Said};
use crate::source::Message;
use crate::telemetry::Metric;
use crate::time::Timestamp;
use crate::wire::change::{Change, Reading, decode};

/// What is counted, as handles made once.
pub struct Counts {
    state: Counter,
    tombstone: Counter,
    invalid: Counter,
    version_regressed: Counter,
    unreadable_tcf: Counter,
    unreadable_gpp: Counter,
    effective: Histogram,
}

impl Counts {
    /// Nothing is counted yet.
    pub fn new() -> Self {
        let applied = |kind| Metric::ConsentApplied.counter(&[kind]);
        Self {
            state: applied("state"),
            tombstone: applied("tombstone"),
            invalid: applied("invalid"),
            version_regressed: Metric::ConsentVersionRegressed.counter(&[]),
            unreadable_tcf: Metric::ConsentSignalsInvalid.counter(&["tcf"]),
            unreadable_gpp: Metric::ConsentSignalsInvalid.counter(&["gpp"]),
            effective: Metric::WithdrawalEffective.histogram(&[]),
        }
    }

    /// A withdrawal that was appended then is in the cache now, and every decision from now on obeys it.
    pub fn effective(&self, appended: Timestamp, now: Timestamp) {
        let took_ms = u64::try_from(now.0 - appended.0).unwrap_or(0);
        self.effective.record(Duration::from_millis(took_ms).as_secs_f64());
    }
}

/// Applies a message of a topic with so many partitions. True: somebody refuses something, or is forgotten.
pub fn apply(shared: &Shared, counts: &Counts, count: usize, message: &impl Message) -> bool {
    let (partition, offset) = (message.partition(), message.offset());
    let (raw_key, body) = (message.key().unwrap_or_default(), message.value());
    let sharded = shared.settings.share.is_part().then_some(count);
    let key = match Key::read(raw_key, partition, sharded) {
        Key::Good(kind, value) => (kind, value),
        Key::Unreadable => {
            shared.kept().unreadable.see(partition, offset, raw_key, body.is_none());
            return false;
        }
        Key::Misplaced => {
            let settled = body.is_none() && message.has_header(SETTLED);
            shared.kept().misplaced.see(partition, offset, raw_key, settled);
            return false;
        }
    };
    let max_grants = shared.caches.settings().max_grants;
    let reading = Reading { max_grants, signals: &shared.settings.signals };
    let change = body.map(|body| decode(shared.settings.format, body, key, reading));
    let (said, count) = match &change {
        None => (Said::Erased, &counts.tombstone),
        Some(Ok(change)) => (Said::State(change), &counts.state),
        Some(Err(_)) => (Said::Invalid, &counts.invalid),
    };
    if let Some(Err(error)) = &change {
        tracing::warn!(partition, offset, %error, "a consent record does not decode; its subject is denied");
    }
    let Applied { version_regressed, vocabulary_full } = shared.caches.apply(key, partition, offset, &said);
    count.increment(1);
    if let Some(Ok(change)) = &change {
        counts.unreadable_tcf.increment(change.unreadable.tcf.into());
        counts.unreadable_gpp.increment(change.unreadable.gpp.into());
    }
    if version_regressed {
        counts.version_regressed.increment(1);
    }
    if vocabulary_full {
        tracing::warn!(
            partition,
            offset,
            "too many different words in consent records; the subject is denied"
        );
    }
    change.is_none_or(|change| change.as_ref().is_ok_and(Change::refuses))
}
