//! Whom a record is about, and when its event occurred.

use smallvec::SmallVec;

use crate::cache::{SubjectId, View};
use crate::consent::{Identities, MAX_SUBJECT_BYTES, Reason};
use crate::kafka::partition::of_subject;
use crate::policy::rules::{From as Source, Rules};
use crate::record::Record;
use crate::time::Timestamp;
use crate::wire::json::{Scalar, Slots};

/// Somebody whom a record names: the keyed hash, and where a cache a partition is held, the subject's partition.
pub type Named = (SubjectId, Option<i32>);

/// Whom a record names, in the order of the pipeline's selectors.
pub fn named(
    rules: &Rules,
    record: &Record<'_>,
    slots: &Slots<'_>,
    view: &View<'_>,
) -> Result<SmallVec<[Named; 1]>, Reason> {
    let mut named = SmallVec::new();
    for selector in &rules.selectors {
        let Some(text) = subject(&selector.from, record, slots)? else { continue };
        let text = text.trim();
        if text.is_empty() || text.len() > MAX_SUBJECT_BYTES {
            return Err(Reason::InvalidSubject);
        }
        let own = view.partitions().map(|count| of_subject(&selector.kind, text, count));
        named.push((view.cache().subject(&selector.kind, text), own));
    }
    if named.is_empty() { Err(Reason::MissingSubject) } else { Ok(named) }
}

/// Looks up everybody whom a record on this partition names. Where only a part of the consent topic is held, the
/// record's partition must be theirs.
///
/// # Errors
/// The partition where it is known what one of them permits.
pub fn look_up(
    named: &[Named],
    partition: i32,
    view: &View<'_>,
    identities: &mut Identities,
) -> Result<(), i32> {
    identities.clear();
    for (subject, own) in named {
        match own {
            None => view.find(*subject, identities),
            Some(own) if *own == partition && view.find_on(*own, *subject, identities) => {}
            Some(own) => return Err(*own),
        }
    }
    Ok(())
}

/// When the event occurred: the earlier of its own time and the record's timestamp.
pub fn occurred_at(
    rules: &Rules,
    record: &Record<'_>,
    slots: &Slots<'_>,
) -> Result<Option<Timestamp>, Reason> {
    let own = rules.occurred_at.as_ref().map_or(Ok(None), |from| occurred(from, record, slots))?;
    let stamped = record.timestamp.filter(|at| at.0 >= 0);
    Ok(own.into_iter().chain(stamped).min())
}

/// Whether a header that names a subject or a time is there twice with different values.
pub fn is_ambiguous(rules: &Rules, record: &Record<'_>) -> bool {
    let selectors = rules.selectors.iter().map(|selector| &selector.from);
    selectors.chain(&rules.occurred_at).any(|from| match from {
        Source::Header(name) => {
            let mut values = record.headers_named(name);
            values.next().is_some_and(|first| values.any(|other| other != first))
        }
        Source::Slot(_) | Source::Key => false,
    })
}

fn subject<'a>(
    from: &Source,
    record: &'a Record<'_>,
    slots: &'a Slots<'_>,
) -> Result<Option<&'a str>, Reason> {
    let text = |bytes: &'a [u8]| std::str::from_utf8(bytes).map(Some).map_err(|_| Reason::InvalidSubject);
    match from {
        Source::Key => record.key.map_or(Ok(None), text),
        Source::Header(name) => record.headers_named(name).next().flatten().map_or(Ok(None), text),
        Source::Slot(slot) => match slots.get(*slot).and_then(Option::as_ref) {
            None | Some(Scalar::Null) => Ok(None),
            Some(Scalar::Text(text)) => Ok(Some(text)),
            Some(Scalar::Integer(digits)) => Ok(Some(digits)),
            Some(Scalar::Other(_)) => Err(Reason::InvalidSubject),
        },
    }
}

fn occurred(from: &Source, record: &Record<'_>, slots: &Slots<'_>) -> Result<Option<Timestamp>, Reason> {
    let read = |at: Option<Timestamp>| at.map(Some).ok_or(Reason::InvalidTime);
    let bytes = match from {
        Source::Slot(slot) => {
            return match slots.get(*slot).and_then(Option::as_ref) {
                None | Some(Scalar::Null) => Ok(None),
                Some(Scalar::Text(text)) => read(Timestamp::parse(text)),
                Some(Scalar::Integer(digits)) => read(digits.parse().ok().map(Timestamp)),
                Some(Scalar::Other(_)) => Err(Reason::InvalidTime),
            };
        }
        Source::Header(name) => record.headers_named(name).next().flatten(),
        Source::Key => record.key,
    };
    let Some(bytes) = bytes else { return Ok(None) };
    let text = std::str::from_utf8(bytes).map_err(|_| Reason::InvalidTime)?;
    let number = text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'-');
    read(if number { text.parse().ok().map(Timestamp) } else { Timestamp::parse(text) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cache::settings::CacheSettings;
    use crate::cache::{Cache, Caches, Said};
    use crate::config::{Given, parse};
    use crate::consent::Found;

    const CONFIG: &str = "{version: 1, kafka: {brokers: ['a:1']}, consent: {topic: c}, \
        policy: {purposes: {analytics: {}}}, pipelines: [{name: shop, from: {topics: [events]}, \
        subject: [{type: user_id, key: true}], routes: [{name: analytics, \
        require: {purposes: {all: [analytics]}}, to: {kafka: {topic: out}}}]}]}";

    /// Whether a key's subject is known to a record on this partition of six; else where it may be, or what is
    /// wrong with it.
    fn known(caches: &Caches, key: &str, partition: i32) -> Result<bool, Result<i32, Reason>> {
        let ready = parse("c", CONFIG, Given { instance: Some("a"), ..Given::default() }).unwrap();
        let rules = Rules::compile(&ready.policy, &ready.pipelines[0].rules).unwrap();
        let record = Record { topic: "events", partition, key: Some(key.as_bytes()), ..Record::default() };
        let mut identities = Identities::default();
        let view = caches.view();
        let named = named(&rules, &record, &Slots::new(), &view).map_err(Err)?;
        view.prefetch(&named);
        look_up(&named, partition, &view, &mut identities).map_err(Ok)?;
        Ok(identities.found() != [Found::Unknown])
    }

    #[test]
    fn with_a_cache_a_partition_nobody_is_unknown_because_they_are_elsewhere() {
        let pattern = || Cache::new(CacheSettings { max_subjects: 9, max_grants: 9 }, &[7; 16]);
        let (caches, whole) = (Caches::sharded(pattern()), Caches::whole(pattern()));
        caches.discard(6);
        let own = of_subject("user_id", "u-17", 6);
        let (other, elsewhere) = ((own + 1) % 6, Err(Ok(own)));
        assert_eq!(known(&caches, "u-17", own), elsewhere, "its partition is not loaded");
        caches.load(own);
        caches.load(other);
        assert_eq!(known(&caches, "u-17", own), Ok(false));
        for cache in [&caches, &whole] {
            cache.apply(("user_id", "u-17"), own, 0, &Said::Invalid);
        }
        assert_eq!(known(&caches, " u-17", own), Ok(true), "however it is written");
        assert_eq!(known(&caches, "u-17", other), elsewhere);
        assert_eq!(known(&whole, "u-17", other), Ok(true));
        let faulty = Err(Err(Reason::InvalidSubject));
        assert_eq!(known(&caches, " ", other), faulty, "it is on no partition");
    }
}
