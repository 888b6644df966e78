//! What readiness says of the consent topic.

use super::Shared;
use super::settings::{FollowerSettings, Freshness};
use super::state::{State, Stop};
use crate::telemetry::Cause;

/// Raises and clears every cause that has to do with consent. Raises first, so that readiness does not
/// flash up between two causes.
pub fn report(shared: &Shared, state: &State) {
    let of_topic = stopped(&shared.settings.topic, state.stop());
    let causes = [
        of_topic.0,
        of_topic.1,
        of_topic.2,
        of_topic.3,
        (Cause::ConsentLoading, loading(shared, state)),
        (Cause::ConsentEmpty, empty(shared, state)),
        (Cause::CacheFull, full(shared)),
        (Cause::ConsentKeyUnreadable, unreadable(shared)),
        (Cause::BarrierWaiting, waiting(shared, state)),
    ];
    let (standing, over): (Vec<_>, Vec<_>) = causes.into_iter().partition(|(_, detail)| detail.is_some());
    for (cause, detail) in standing {
        shared.health.block(cause, detail.unwrap_or_default());
    }
    for (cause, _) in over {
        shared.health.clear(&cause);
    }
}

type Standing = (Cause, Option<String>);

fn stopped(topic: &str, stop: Option<&Stop>) -> (Standing, Standing, Standing, Standing) {
    let (mut missing, mut unsuitable, mut unreachable, mut broken) = (None, None, None, None);
    match stop {
        None => {}
        Some(Stop::Missing) => {
            missing = Some(format!("topic `{topic}` does not exist: create it, compacted"))
        }
        Some(Stop::Unsuitable(why)) => unsuitable = Some(why.clone()),
        Some(Stop::Unreachable(why)) => {
            unreachable = Some(format!("the brokers of `{topic}` do not answer: {why}"));
        }
        Some(Stop::Broken(why)) => broken = Some(format!("a message of `{topic}` cannot be fetched: {why}")),
    }
    (
        (Cause::ConsentTopicMissing, missing),
        (Cause::ConsentTopicUnsuitable, unsuitable),
        (Cause::ConsentUnreachable, unreachable),
        (Cause::ConsentError, broken),
    )
}

fn loading(shared: &Shared, state: &State) -> Option<String> {
    let (applied, all) = state.progress();
    let topic = &shared.settings.topic;
    (!state.is_loaded()).then(|| format!("{applied} of {all} offsets of `{topic}` applied"))
}

fn empty(shared: &Shared, state: &State) -> Option<String> {
    let empty = state.is_going() && !shared.settings.allow_empty && shared.cache.census().subjects <= 0;
    let topic = &shared.settings.topic;
    empty.then(|| format!("`{topic}` holds no subject: if that is meant, write `consent.allow_empty: true`"))
}

fn full(shared: &Shared) -> Option<String> {
    let max = shared.cache.settings().max_subjects;
    let over = shared.cache.is_over();
    over.then(|| format!("more than limits.max_subjects = {max} subjects: raise it, and the memory"))
}

fn unreadable(shared: &Shared) -> Option<String> {
    let keys = shared.unreadable();
    let (partition, offset) = keys.first()?;
    let (count, FollowerSettings { topic, .. }) = (keys.len(), &shared.settings);
    let brokers = shared.cluster.brokers.join(",");
    Some(format!(
        "{count} key(s) of `{topic}` name nobody, the first at partition {partition} offset {offset}: nobody \
         knows whom it protects. Write a tombstone with the same key: key=$(kcat -C -b {brokers} -t {topic} \
         -p {partition} -o {offset} -c 1 -e -q -f %k); printf '%s\\001' \"$key\" | kcat -P -Z -b {brokers} \
         -t {topic} -p {partition} -K '\\x01'"
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
