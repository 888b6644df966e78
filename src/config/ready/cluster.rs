//! `kafka` and `consent`.

use std::net::Ipv6Addr;
use std::time::Duration;

use super::super::Given;
use super::super::problem::Problems;
use super::super::raw;
use super::super::spot::Spot;
use super::{Findings, empty, missing, names, secret, wait};
use crate::follower::settings::{ConsentFormat, FollowerSettings, Freshness, ShareSettings};
use crate::kafka::properties;
use crate::kafka::settings::ClusterSettings;
use crate::pipeline::settings::PipelineSettings;
use crate::wire::signals::Signals;

/// `kafka`; `file` is the configuration's.
pub(super) fn cluster(
    raw: Option<&raw::Cluster>,
    root: Spot<'_>,
    given: Given<'_>,
    file: &str,
    found: &mut Findings<'_>,
) -> ClusterSettings {
    let problems = &mut *found.problems;
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
        if !is_broker(broker) {
            let help = "write one `HOST:PORT` an item, such as `kafka-1:9092` or `[::1]:9092`; the file is read \
                        as it stands, without variables";
            problems.add(spot.key("brokers").item(index).at(), format!("`{broker}` is no broker"), help);
        }
    }
    let mut properties = Vec::new();
    for (name, value) in raw.properties.iter().flatten() {
        let spot = spot.key("properties").key(name);
        let value = secret::property(name, value, spot, (given, file), found);
        let checked = match &value {
            Some(value) => properties::check(name, value),
            None => properties::promise(name),
        };
        if let Err(refusal) = checked {
            found.problems.add_secret(spot.key_at(), refusal.to_string(), refusal.help());
        }
        properties.extend(value.map(|value| (name.clone(), value)));
    }
    ClusterSettings { brokers, properties }
}

/// Whether this is `HOST:PORT`, an IPv6 address in brackets.
fn is_broker(text: &str) -> bool {
    let Some((host, port)) = text.rsplit_once(':') else { return false };
    let legal = |letter: char| letter.is_ascii_alphanumeric() || matches!(letter, '.' | '_' | '-');
    let host = match host.strip_prefix('[').and_then(|host| host.strip_suffix(']')) {
        Some(address) => address.parse::<Ipv6Addr>().is_ok(),
        None => !host.is_empty() && host.chars().all(legal),
    };
    host && port.bytes().all(|digit| digit.is_ascii_digit()) && port.parse::<u16>().is_ok_and(|port| port > 0)
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
    FollowerSettings {
        topic: topic.unwrap_or_default(),
        format: match raw.format {
            None | Some(raw::ConsentFormat::Json) => ConsentFormat::Json,
            Some(raw::ConsentFormat::Protobuf) => ConsentFormat::Protobuf,
        },
        signals: Signals::default(),
        signals_hash: String::new(),
        freshness: freshness(raw, spot.key("freshness"), problems),
        barrier_alert: wait(raw.barrier_alert, spot.key("barrier_alert"), 10_000, problems),
        allow_empty: raw.allow_empty.unwrap_or_default(),
        share: ShareSettings::Whole,
        snapshot: None,
    }
}

/// `consent.cache`, once the pipelines are known. With a part of the topic a subject is known where its events
/// are, and of several subjects of one event only one can be.
pub(super) fn share(
    raw: Option<&raw::Consent>,
    pipelines: &[PipelineSettings],
    root: Spot<'_>,
    problems: &mut Problems,
) -> ShareSettings {
    match raw.and_then(|consent| consent.cache) {
        None | Some(raw::Cache::Replicated) => return ShareSettings::Whole,
        Some(raw::Cache::Sharded) => {}
    }
    for (number, pipeline) in pipelines.iter().enumerate() {
        if pipeline.rules.elements.is_some() {
            let help = "an event is on the partition of one person, and what is known of the others in it is \
                        elsewhere; write `consent.cache: replicated`, or one event a person";
            let spot = root.key("pipelines").item(number).key("elements");
            problems.add(spot.key_at(), "`elements` with `consent.cache: sharded`", help);
        }
        if pipeline.rules.subject.len() > 1 {
            let help = "an event is on the partition of one subject, and what is known of the others is \
                        elsewhere; keep that one, or write `consent.cache: replicated`";
            let spot = root.key("pipelines").item(number).key("subject").item(1);
            problems.add(spot.key_at(), "several subjects with `consent.cache: sharded`", help);
        }
    }
    let mut topics: Vec<String> = pipelines.iter().flat_map(|pipeline| pipeline.topics.clone()).collect();
    topics.sort();
    topics.dedup();
    ShareSettings::OfEvents(topics)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_broker_is_a_host_and_a_port() {
        for good in
            ["localhost:9092", "kafka-1.example.com:1", "127.0.0.1:65535", "[::1]:9092", "kafka_1:9092"]
        {
            assert!(is_broker(good), "{good}");
        }
        for bad in [
            "",
            "localhost",
            ":9092",
            "a:",
            "a:b",
            "a:0",
            "a:65536",
            "a:+1",
            "http://a:9092",
            "${BROKERS}",
            "::1:9092",
            "[::1]",
            "[a]:1",
            "a:1,b:2",
            " a:1",
        ] {
            assert!(!is_broker(bad), "{bad}");
        }
    }
}
