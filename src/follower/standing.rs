//! What readiness says of the consent topic.

use super::Shared;
use super::keys::SETTLED;
use super::settings::{FollowerSettings, Freshness};
use super::state::{State, Stop};
use crate::telemetry::Cause;

/// Raises and clears every cause that has to do with consent. Raises first, so that readiness does not
/// flash up between two causes.
pub fn report(shared: &Shared, state: &State) {
    let stopped = stopped(&shared.settings.topic, state.stop());
    let of_topic = [
        Cause::ConsentTopicMissing,
        Cause::ConsentTopicUnsuitable,
        Cause::PartitionsDiffer,
        Cause::ConsentUnreachable,
        Cause::ConsentError,
    ];
    let detail =
        |cause: &Cause| stopped.as_ref().filter(|(stands, _)| stands == cause).map(|(_, why)| why.clone());
    let of_topic = of_topic.into_iter().map(|cause| {
        let detail = detail(&cause);
        (cause, detail)
    });
    let causes = [
        (Cause::ConsentLoading, loading(shared, state)),
        (Cause::ConsentEmpty, empty(shared, state)),
        (Cause::CacheFull, full(shared)),
        (Cause::ConsentKeyUnreadable, unreadable(shared)),
        (Cause::ConsentKeyMisplaced, misplaced(shared)),
        (Cause::BarrierWaiting, waiting(shared, state)),
    ];
    let (standing, over): (Vec<_>, Vec<_>) = of_topic.chain(causes).partition(|(_, detail)| detail.is_some());
    for (cause, detail) in standing {
        shared.health.block(cause, detail.unwrap_or_default());
    }
    for (cause, _) in over {
        shared.health.clear(&cause);
    }
}

/// What stops everything, if anything does.
fn stopped(topic: &str, stop: Option<&Stop>) -> Option<(Cause, String)> {
    Some(match stop? {
        Stop::Missing => {
            (Cause::ConsentTopicMissing, format!("topic `{topic}` does not exist: create it, compacted"))
        }
        Stop::Unsuitable(why) => (Cause::ConsentTopicUnsuitable, why.clone()),
        Stop::Uneven(why) => (Cause::PartitionsDiffer, why.clone()),
        Stop::Unreachable(why) => {
            (Cause::ConsentUnreachable, format!("the brokers of `{topic}` do not answer: {why}"))
        }
        Stop::Broken(why) => {
            (Cause::ConsentError, format!("a message of `{topic}` cannot be fetched: {why}"))
        }
    })
}

fn loading(shared: &Shared, state: &State) -> Option<String> {
    let (applied, all) = state.progress();
    let topic = &shared.settings.topic;
    (!state.is_loaded()).then(|| format!("{applied} of {all} offsets of `{topic}` applied"))
}

fn empty(shared: &Shared, state: &State) -> Option<String> {
    let empty = state.is_going() && state.is_loaded() && shared.is_empty(state);
    let topic = &shared.settings.topic;
    empty.then(|| format!("`{topic}` holds no subject: if that is meant, write `consent.allow_empty: true`"))
}

fn full(shared: &Shared) -> Option<String> {
    let max = shared.caches.settings().max_subjects;
    let over = shared.caches.is_over();
    over.then(|| format!("more than limits.max_subjects = {max} subjects: raise it, and the memory"))
}

fn unreadable(shared: &Shared) -> Option<String> {
    let keys = &shared.kept().unreadable;
    let (partition, offset) = keys.first()?;
    let (count, FollowerSettings { topic, .. }) = (keys.len(), &shared.settings);
    let brokers = &shared.brokers;
    Some(format!(
        "{count} key(s) of `{topic}` name nobody, the first at partition {partition} offset {offset}: nobody \
         knows whom it protects. Write a tombstone with the same key: key=$(kcat -C -b {brokers} -t {topic} \
         -p {partition} -o {offset} -c 1 -e -q -f %k); printf '%s\\001' \"$key\" | kcat -P -Z -b {brokers} \
         -t {topic} -p {partition} -K '\\x01'"
    ))
}

fn misplaced(shared: &Shared) -> Option<String> {
    let keys = &shared.kept().misplaced;
    let (partition, offset) = keys.first()?;
    let (count, FollowerSettings { topic, .. }) = (keys.len(), &shared.settings);
    let brokers = &shared.brokers;
    Some(format!(
        "{count} key(s) of `{topic}` are not on the partition that murmur2 of `type:value` gives, the first at \
         partition {partition} offset {offset}: with `consent.cache: sharded` nobody looks for them there. Write \
         what they say anew, partitioned as Java clients do (a tombstone too: it erases somebody); then settle \
         each where it is: key=$(kcat -C -b {brokers} -t {topic} -p {partition} -o {offset} -c 1 -e -q -f %k); \
         printf '%s\\001' \"$key\" | kcat -P -Z -b {brokers} -t {topic} -p {partition} -K '\\x01' \
         -H {SETTLED}=true. Or write `consent.cache: replicated`"
    ))
}

/// Who waits for longer than `barrier_alert`, and for which partition.
fn waiting(shared: &Shared, state: &State) -> Option<String> {
    let oldest = shared.oldest_wait()?;
    if oldest < shared.settings.barrier_alert {
        return None;
    }
    let topic = &shared.settings.topic;
    let seconds = oldest.as_secs();
    let behind = state.behind();
    let Some((partition, passed, target)) = behind.first() else {
        return match shared.settings.freshness {
            Freshness::Barrier => {
                Some(format!("decisions have waited {seconds} s for a reading of `{topic}`"))
            }
            Freshness::Within(_) => Some(format!("decisions have waited {seconds} s for a fresh cache")),
        };
    };
    Some(format!(
        "decisions have waited {seconds} s for `{topic}` partition {partition}: applied up to {passed}, \
         acknowledged up to {target}; is a transaction open on it?"
    ))
}
