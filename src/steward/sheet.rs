//! What is told of one person to who may ask: what stands, when it ends, and what would happen now.
//!
//! Read from the records themselves, and decided over a cache that holds nothing but them.

use serde::Serialize;
use serde_json::{Map, Value};

use super::line::Line;
use super::plan::{Stored, read};
use super::record::Record;
use super::settings::StewardSettings;
use super::subject::Subject;
use crate::cache::settings::CacheSettings;
use crate::cache::{Cache, Said};
use crate::consent::{Identities, split_key};
use crate::policy::outlook::{Outlook, outlook};
use crate::policy::rules::Rules;
use crate::policy::settings::PurposeSettings;
use crate::time::Timestamp;
use crate::wire::change::{Reading, decode};

/// What stands of a person.
#[derive(Clone, Debug, Serialize)]
pub struct Standing {
    /// `type:value`.
    pub subject: String,
    /// `known`, `unknown`, `erased`, `unreadable` (denied) or `conflicted` (erased here and known there: denied).
    pub state: &'static str,
    /// Each place that holds the key.
    pub places: Vec<Place>,
    /// When grants that permit end.
    pub expiries: Vec<Expiry>,
    /// What each route would do about an event that occurs now.
    pub outlook: Vec<Outlook>,
}

/// What stands under one key on one partition.
#[derive(Clone, Debug, Serialize)]
pub struct Place {
    /// The partition.
    pub partition: i32,
    /// The offset.
    pub offset: i64,
    /// `record`, `tombstone` or `unreadable`.
    pub holds: &'static str,
    /// Why it cannot be read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
    /// The record, as it is written.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub record: Option<Map<String, Value>>,
}

/// When a grant ends.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Expiry {
    /// The grant's purpose.
    pub purpose: String,
    /// Its channel, as written.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub channel: String,
    /// Its recipient, as written.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub recipient: String,
    /// From then on it permits nothing.
    pub at: String,
    /// `valid_until`, or `max_age`: it must be renewed.
    pub because: &'static str,
    /// Whether that has come.
    pub over: bool,
}

/// Tells what stands of a subject under a policy.
pub fn sheet(
    settings: &StewardSettings,
    subject: &Subject,
    stored: &[Stored],
    (purposes, rules): (&[PurposeSettings], &[&Rules]),
    now: Timestamp,
) -> Standing {
    let mut stored = stored.to_vec();
    stored.sort_by_key(|one| (one.partition, one.offset));
    let read: Vec<_> = stored.iter().map(|one| read(settings, one)).collect();
    let records: Vec<&Record> = read.iter().flatten().filter_map(|one| one.as_ref().ok()).collect();
    let expiries =
        records.iter().flat_map(|record| record.grants()).flat_map(|grant| ends(grant, purposes, now));
    let tombstones = read.iter().filter(|one| one.is_none()).count();
    let state = match (read.len() - tombstones, tombstones) {
        (0, 0) => "unknown",
        (0, _) => "erased",
        (_, 1..) => "conflicted",
        (known, 0) if known > records.len() => "unreadable",
        (_, 0) => "known",
    };
    let expiries = expiries.collect();
    let (cache, mut identities) = (filled(settings, &stored), Identities::default());
    cache.view().find(cache.subject(&subject.kind, &subject.value), &mut identities);
    let outlook =
        rules.iter().flat_map(|rules| outlook(rules, cache.words(), &subject.kind, &identities, now));
    let outlook = outlook.collect();
    let place = |(one, read): (&Stored, Option<Result<Record, _>>)| {
        let (holds, why, record) = match read {
            None => ("tombstone", None, None),
            Some(Ok(record)) => ("record", None, Some(record.0)),
            Some(Err(why)) => ("unreadable", Some(format!("{why}")), None),
        };
        Place { partition: one.partition, offset: one.offset, holds, why, record }
    };
    let places = stored.iter().zip(read).map(place).collect();
    Standing { subject: subject.key(), state, places, expiries, outlook }
}

/// A cache that holds these messages and nothing else.
fn filled(settings: &StewardSettings, stored: &[Stored]) -> Cache {
    let limits = CacheSettings { max_subjects: usize::MAX, max_grants: settings.max_grants };
    let cache = Cache::new(limits, &[0; 16]);
    for one in stored {
        let Some(key) = split_key(&one.key) else { continue };
        let reading = Reading { max_grants: settings.max_grants, signals: &settings.signals };
        let change = one.message.as_deref().map(|message| decode(settings.format, message, key, reading));
        let said = match &change {
            None => Said::Erased,
            Some(Ok(change)) => Said::State(change),
            Some(Err(_)) => Said::Invalid,
        };
        cache.apply(key, one.partition, one.offset, &said);
    }
    cache
}

/// When one grant ends, if it permits: by its own date, and by the age that its purpose allows.
fn ends(grant: &Value, purposes: &[PurposeSettings], now: Timestamp) -> Vec<Expiry> {
    if !Line::of(grant).permits() {
        return Vec::new();
    }
    let word = |name: &str| grant.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
    let time = |name: &str| match grant.get(name) {
        Some(Value::String(text)) => Timestamp::parse(text),
        Some(value) => value.as_i64().map(Timestamp),
        None => None,
    };
    let named = purposes.iter().find(|purpose| purpose.name == word("purpose"));
    let latest = time("given_at").max(time("confirmed_at"));
    let aged = named.and_then(|purpose| purpose.max_age_ms).zip(latest).map(|(age, at)| at.plus(age));
    let ends = [("valid_until", time("valid_until")), ("max_age", aged)];
    let expiry = |(because, at): (&'static str, Option<Timestamp>)| {
        let at = at?;
        Some(Expiry {
            purpose: word("purpose"),
            channel: word("channel"),
            recipient: word("recipient"),
            at: at.to_string(),
            because,
            over: at <= now,
        })
    };
    ends.into_iter().filter_map(expiry).collect()
}
