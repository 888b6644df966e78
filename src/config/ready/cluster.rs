//! `kafka` and `consent`.

use std::time::Duration;

use super::super::problem::Problems;
use super::super::raw;
use super::super::spot::Spot;
use super::{empty, missing, names, wait};
use crate::follower::settings::{ConsentFormat, FollowerSettings, Freshness};
use crate::kafka::properties;
use crate::kafka::settings::ClusterSettings;

/// `kafka`.
pub(super) fn cluster(
    raw: Option<&raw::Cluster>,
    root: Spot<'_>,
    problems: &mut Problems,
) -> ClusterSettings {
    let spot = root.key("kafka");
    let help = "write `kafka: {brokers: [HOST:PORT]}`";
    let Some(raw) = raw else {
        missing(spot, "kafka", help, problems);
        return ClusterSettings::default();
    };
    let brokers = raw.brokers.clone().unwrap_or_default();
    match &raw.brokers {
        None => missing(spot.key("brokers"), "brokers", help, problems),
        Some(_) => empty(spot.key("brokers"), "brokers", help, problems),
    }
    for (index, broker) in brokers.iter().enumerate() {
        if broker.trim().is_empty() || broker.contains([',', ' ']) {
            let help = "write one `HOST:PORT` an item";
            problems.add(spot.key("brokers").item(index).at(), format!("`{broker}` is no broker"), help);
        }
    }
    let mut properties = Vec::new();
    for (name, value) in raw.properties.iter().flatten() {
        let at = spot.key("properties").key(name);
        if let Err(refusal) = properties::check(name, &value.0) {
            problems.add_secret(at.key_at(), refusal.to_string(), refusal.help());
        }
        properties.push((name.clone(), value.0.clone()));
    }
    ClusterSettings { brokers, properties }
}

/// `consent`.
pub(super) fn follower(
    raw: Option<&raw::Consent>,
    root: Spot<'_>,
    problems: &mut Problems,
) -> FollowerSettings {
    let spot = root.key("consent");
    let help = "name the compacted topic that holds each person's consent";
    let absent = raw::Consent::default();
    let topic = raw.and_then(|consent| consent.topic.clone());
    match (raw, &topic) {
        (None, _) => missing(spot, "consent", "write `consent: {topic: NAME}`", problems),
        (Some(_), None) => missing(spot.key("topic"), "topic", help, problems),
        (Some(_), Some(name)) => names::topic(name, spot.key("topic"), problems),
    }
    let raw = raw.unwrap_or(&absent);
    // There is one kind of cache until another is available; the word is read so that it can be refused.
    let (Some(raw::Cache::Replicated) | None) = raw.cache;
    FollowerSettings {
        topic: topic.unwrap_or_default(),
        format: match raw.format {
            None | Some(raw::ConsentFormat::Json) => ConsentFormat::Json,
            Some(raw::ConsentFormat::Protobuf) => ConsentFormat::Protobuf,
        },
        freshness: freshness(raw, spot.key("freshness"), problems),
        barrier_alert: wait(raw.barrier_alert, spot.key("barrier_alert"), 10_000, problems),
        allow_empty: raw.allow_empty.unwrap_or_default(),
    }
}

fn freshness(raw: &raw::Consent, spot: Spot<'_>, problems: &mut Problems) -> Freshness {
    let Some(raw::WordOr::Mapping(bounded)) = &raw.freshness else { return Freshness::Barrier };
    let spot = spot.key("within");
    if bounded.within.is_none() {
        missing(spot, "within", "write `{within: 2s}`, or `barrier`", problems);
        return Freshness::Within(Duration::ZERO);
    }
    Freshness::Within(wait(bounded.within, spot, 0, problems))
}
