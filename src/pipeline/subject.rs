//! Whom a record is about, and when its event occurred.

use crate::cache::View;
use crate::consent::{Identities, MAX_SUBJECT_BYTES, Reason};
use crate::policy::rules::{From, Rules};
use crate::record::Record;
use crate::time::Timestamp;
use crate::wire::json::{Scalar, Slots};

/// Looks up every subject the record names, and says when the event occurred: the earlier of its own time
/// and the record's timestamp. The error is the reason to quarantine the record.
pub fn resolve(
    rules: &Rules,
    record: &Record<'_>,
    slots: &Slots<'_>,
    view: &View<'_>,
    identities: &mut Identities,
) -> Result<Option<Timestamp>, Reason> {
    identities.clear();
    for selector in &rules.selectors {
        let Some(text) = subject(&selector.from, record, slots)? else { continue };
        let text = text.trim();
        if text.is_empty() || text.len() > MAX_SUBJECT_BYTES {
            return Err(Reason::InvalidSubject);
        }
        view.find(view.cache().subject(&selector.kind, text), identities);
    }
    if identities.found().is_empty() {
        return Err(Reason::MissingSubject);
    }
    let own = rules.occurred_at.as_ref().map_or(Ok(None), |from| occurred(from, record, slots))?;
    let stamped = record.timestamp.filter(|at| at.0 >= 0);
    Ok(own.into_iter().chain(stamped).min())
}

/// Whether a header that names a subject or a time is there twice with different values.
pub fn is_ambiguous(rules: &Rules, record: &Record<'_>) -> bool {
    let selectors = rules.selectors.iter().map(|selector| &selector.from);
    selectors.chain(&rules.occurred_at).any(|from| match from {
        From::Header(name) => {
            let mut values = record.headers_named(name);
            values.next().is_some_and(|first| values.any(|other| other != first))
        }
        From::Slot(_) | From::Key => false,
    })
}

fn subject<'a>(from: &From, record: &'a Record<'_>, slots: &'a Slots<'_>) -> Result<Option<&'a str>, Reason> {
    let text = |bytes: &'a [u8]| std::str::from_utf8(bytes).map(Some).map_err(|_| Reason::InvalidSubject);
    match from {
        From::Key => record.key.map_or(Ok(None), text),
        From::Header(name) => record.headers_named(name).next().flatten().map_or(Ok(None), text),
        From::Slot(slot) => match slots.get(*slot).and_then(Option::as_ref) {
            None | Some(Scalar::Null) => Ok(None),
            Some(Scalar::Text(text)) => Ok(Some(text)),
            Some(Scalar::Integer(digits)) => Ok(Some(digits)),
            Some(Scalar::Other) => Err(Reason::InvalidSubject),
        },
    }
}

fn occurred(from: &From, record: &Record<'_>, slots: &Slots<'_>) -> Result<Option<Timestamp>, Reason> {
    let read = |at: Option<Timestamp>| at.map(Some).ok_or(Reason::InvalidTime);
    let bytes = match from {
        From::Slot(slot) => {
            return match slots.get(*slot).and_then(Option::as_ref) {
                None | Some(Scalar::Null) => Ok(None),
                Some(Scalar::Text(text)) => read(Timestamp::parse(text)),
                Some(Scalar::Integer(digits)) => read(digits.parse().ok().map(Timestamp)),
                Some(Scalar::Other) => Err(Reason::InvalidTime),
            };
        }
        From::Header(name) => record.headers_named(name).next().flatten(),
        From::Key => record.key,
    };
    let Some(bytes) = bytes else { return Ok(None) };
    let text = std::str::from_utf8(bytes).map_err(|_| Reason::InvalidTime)?;
    let number = text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'-');
    read(if number { text.parse().ok().map(Timestamp) } else { Timestamp::parse(text) })
}
