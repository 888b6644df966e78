//! When a verdict may become another though nobody says anything: times that run out or begin, windows that open and
//! close.
//!
//! Between two of these instants a verdict stays what it is, so whoever does not know when a decision was made can ask
//! at each of them and have asked at all times.

use super::{consent::Part, rules::Rules, time::Millis, window};

/// The instants after `from` and not after `to`, in order, at which a verdict about somebody of whom this is known may
/// become another. Of windows those of the first 400 days.
pub fn moments(rules: &Rules, parts: &[Part<'_>], (from, to): (Millis, Millis)) -> Vec<Millis> {
    let policy = &rules.policy;
    let mut moments = Vec::new();
    for part in parts {
        let Part::State(state) = part else { continue };
        for grant in &state.grants {
            moments.extend(grant.valid_until);
            let said = [grant.given_at, grant.confirmed_at];
            moments.extend(said.into_iter().flatten().map(|at| at - policy.clock_skew));
            let latest = grant.given_at.max(grant.confirmed_at);
            let ages = policy.purposes.iter().filter_map(|purpose| purpose.max_age);
            moments.extend(ages.filter_map(|age| Some(latest? + age)));
        }
        moments.extend(window::edges(policy, state, from, to));
    }
    moments.retain(|at| from < *at && *at <= to);
    moments.sort_unstable();
    moments.dedup();
    moments
}
