//! From what stands of a person and what is asked, to the messages that are to be written. Pure.
//!
//! A change goes to every place that holds a state, because all of them count; where there is none, to every place
//! that holds a tombstone, because a state beside one denies; else to the partition that the key gives. An erasure
//! leaves no state anywhere. All messages of one change have one version, above all that stand.

use thiserror::Error;

use super::edit::{self, Grant, Scope, Stands};
use super::merge::merge;
use super::record::{Record, Unwritable};
use super::settings::StewardSettings;
use super::subject::Subject;
use crate::kafka::partition::of_subject;
use crate::time::Timestamp;
use crate::wire::change::Undecodable;

/// What is asked.
#[derive(Clone, Debug)]
pub enum Edit {
    /// One grant; `anew`: where what stands cannot be read, begin with an empty record.
    Set {
        /// The grant.
        grant: Grant,
        /// Begin anew where what stands cannot be read.
        anew: bool,
    },
    /// The whole record; its version and time are ours.
    Replace(Record),
    /// A withdrawal.
    Withdraw(Scope),
    /// That these records, of the same person by another name, are added.
    Merge(Vec<Record>),
    /// An erasure.
    Erase,
}

/// What stands under one key on one partition.
#[derive(Clone, Debug)]
pub struct Stored {
    /// The partition.
    pub partition: i32,
    /// The offset.
    pub offset: i64,
    /// The key, as it is spelled there.
    pub key: Vec<u8>,
    /// The message; `None`: a tombstone.
    pub message: Option<Vec<u8>>,
}

/// A message to be written.
#[derive(Clone, Debug)]
pub struct Planned {
    /// The partition.
    pub partition: i32,
    /// The key.
    pub key: Vec<u8>,
    /// `None`: a tombstone.
    pub message: Option<Vec<u8>>,
    /// The record's version; a tombstone has none.
    pub version: Option<i64>,
}

/// Why a change is not made. Nothing has been written.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum Refused {
    /// What stands cannot be read.
    #[error(
        "what stands of the subject cannot be read ({0}), so that it cannot be added to: withdraw it, erase it, or \
         begin anew (`set --replace`, or write the whole record)"
    )]
    Unreadable(Undecodable),
    /// Erased here and known there.
    #[error(
        "the subject is erased on one consent partition and has a state on another: erase it, which does so everywhere, \
         and then write its record"
    )]
    Conflicted,
    /// A refusal stands in the way.
    #[error(transparent)]
    Stands(#[from] Stands),
    /// The record cannot be written.
    #[error(transparent)]
    Unwritable(#[from] Unwritable),
}

/// The messages that make the change; none where everything is so already. Their version is the next one above all
/// that stand, and above `above`.
///
/// # Errors
/// It cannot be made, or must not.
pub fn plan(
    settings: &StewardSettings,
    subject: &Subject,
    (stored, partitions): (&[Stored], usize),
    edit: &Edit,
    (now, above): (Timestamp, i64),
) -> Result<Vec<Planned>, Refused> {
    let (known, erased): (Vec<_>, Vec<_>) = stored.iter().partition(|one| one.message.is_some());
    let version =
        known.iter().filter_map(|one| read(settings, one)?.ok()).map(|record| record.version()).max();
    let version = version.unwrap_or_default().max(above).saturating_add(1);
    if matches!(edit, Edit::Erase) {
        let tombstone = |one: &&Stored| Planned {
            partition: one.partition,
            key: one.key.clone(),
            message: None,
            version: None,
        };
        return Ok(known.iter().map(tombstone).collect());
    }
    if !known.is_empty() && !erased.is_empty() && !matches!(edit, Edit::Withdraw(_)) {
        return Err(Refused::Conflicted);
    }
    let own = Stored {
        partition: of_subject(&subject.kind, &subject.value, partitions),
        offset: -1,
        key: subject.key().into_bytes(),
        message: None,
    };
    let places = match (known.is_empty(), erased.is_empty()) {
        (false, _) => known,
        (true, false) => erased,
        (true, true) => vec![&own],
    };
    let mut planned = Vec::new();
    for place in places {
        let changed = changed(settings, subject, place, edit, now)?;
        let Some(mut record) = changed else { continue };
        record.stamp(version, now);
        let message = match record.write(settings.format, &place.key, settings.max_grants) {
            Err(Unwritable::Undecodable(Undecodable::TooManyGrants)) if matches!(edit, Edit::Withdraw(_)) => {
                edit::make_room(&mut record, settings.max_grants);
                record.write(settings.format, &place.key, settings.max_grants)?
            }
            written => written?,
        };
        let version = Some(record.version());
        planned.push(Planned {
            partition: place.partition,
            key: place.key.clone(),
            message: Some(message),
            version,
        });
    }
    Ok(planned)
}

/// What a message says; `None`: it is a tombstone.
pub fn read(settings: &StewardSettings, stored: &Stored) -> Option<Result<Record, Undecodable>> {
    let message = stored.message.as_deref()?;
    Some(Record::read(settings.format, message, &stored.key, settings.max_grants))
}

/// The record that is to stand at a place; `None`: the one that does says so already.
fn changed(
    settings: &StewardSettings,
    subject: &Subject,
    place: &Stored,
    edit: &Edit,
    now: Timestamp,
) -> Result<Option<Record>, Refused> {
    let before = read(settings, place);
    let anew = |record: Option<Result<Record, Undecodable>>| match record {
        Some(Ok(record)) => record,
        Some(Err(_)) | None => Record::fresh(subject),
    };
    let readable = |record: Option<Result<Record, Undecodable>>| match record {
        Some(Err(why)) => Err(Refused::Unreadable(why)),
        Some(Ok(record)) => Ok(record),
        None => Ok(Record::fresh(subject)),
    };
    let mut record = match edit {
        Edit::Withdraw(_) | Edit::Set { anew: true, .. } => anew(before.clone()),
        Edit::Set { anew: false, .. } | Edit::Merge(_) => readable(before.clone())?,
        Edit::Replace(record) => record.clone(),
        Edit::Erase => Record::fresh(subject),
    };
    match edit {
        Edit::Set { grant, .. } => edit::set(&mut record, grant, now)?,
        Edit::Withdraw(_) if matches!(before, Some(Err(_))) => edit::withdraw(&mut record, &Scope::default()),
        Edit::Withdraw(scope) => edit::withdraw(&mut record, scope),
        Edit::Merge(others) => others.iter().for_each(|other| merge(&mut record, other)),
        Edit::Replace(_) | Edit::Erase => {}
    }
    let same = before.and_then(Result::ok).is_some_and(|before| before.says_what(&record));
    Ok((!same).then_some(record))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::consent::{Basis, Status};
    use crate::kafka::settings::ClusterSettings;
    use crate::wire::change::ConsentFormat;
    use crate::wire::signals::Signals;

    const PARTITIONS: usize = 4;
    const NOW: Timestamp = Timestamp(1_800_000_000_000);

    fn settings() -> StewardSettings {
        let (cluster, topic) = (ClusterSettings::default(), "c".to_owned());
        let signals = Signals::default();
        StewardSettings { cluster, topic, format: ConsentFormat::Json, max_grants: 2, signals }
    }

    fn ann() -> Subject {
        Subject::parse("user_id:ann").unwrap()
    }

    fn stored(partition: i32, message: Option<&str>) -> Stored {
        let message = message.map(|grants| {
            let subject = r#""subject":{"type":"user_id","value":"ann"}"#;
            format!(r#"{{{subject},"version":{partition}0,"grants":[{grants}]}}"#).into_bytes()
        });
        Stored { partition, offset: 5, key: b"user_id:ann".to_vec(), message }
    }

    fn planned(stored: &[Stored], edit: &Edit) -> Result<Vec<Planned>, Refused> {
        plan(&settings(), &ann(), (stored, PARTITIONS), edit, (NOW, 0))
    }

    fn places(stored: &[Stored], edit: &Edit) -> Vec<(i32, Option<i64>)> {
        planned(stored, edit).unwrap().iter().map(|one| (one.partition, one.version)).collect()
    }

    fn yes() -> Edit {
        let (channel, recipient) = (String::new(), String::new());
        let (status, basis, purpose) = (Status::Given, Basis::Consent, "p".to_owned());
        let grant = Grant { purpose, channel, recipient, status, basis, valid_until: None, more: Vec::new() };
        Edit::Set { grant, anew: false }
    }

    fn no() -> Edit {
        Edit::Withdraw(Scope::default())
    }

    #[test]
    fn a_change_goes_wherever_the_key_is() {
        let own = of_subject("user_id", "ann", PARTITIONS);
        let (gone, known) = (|at| stored(at, None), |at| stored(at, Some("")));
        for edit in [yes(), no()] {
            assert_eq!(places(&[], &edit), [(own, Some(1))]);
            assert_eq!(places(&[known(1), known(3)], &edit), [(1, Some(31)), (3, Some(31))]);
            assert_eq!(places(&[gone(1), gone(3)], &edit), [(1, Some(1)), (3, Some(1))]);
        }
        assert_eq!(places(&[known(1), known(3)], &Edit::Erase), [(1, None), (3, None)]);
        assert_eq!(places(&[gone(1)], &Edit::Erase), []);
        assert_eq!(places(&[], &Edit::Erase), []);
    }

    #[test]
    fn who_is_erased_by_halves_can_be_erased_and_withdrawn_alone() {
        let halves = [stored(1, None), stored(2, Some(""))];
        assert_eq!(planned(&halves, &yes()).unwrap_err(), Refused::Conflicted);
        assert_eq!(places(&halves, &no()), [(2, Some(21))]);
        assert_eq!(places(&halves, &Edit::Erase), [(2, None)]);
    }

    #[test]
    fn a_withdrawal_finds_room() {
        let full =
            stored(1, Some(r#"{"purpose":"a","status":"refused"},{"purpose":"b","status":"refused"}"#));
        assert!(matches!(planned(std::slice::from_ref(&full), &yes()), Err(Refused::Unwritable(_))));
        let written = planned(&[full], &no()).unwrap();
        let message = std::str::from_utf8(written[0].message.as_deref().unwrap()).unwrap();
        assert!(message.contains(r#""grants":[{"purpose":"*","status":"withdrawn"}]"#), "{message}");
    }

    #[test]
    fn what_cannot_be_read_is_withdrawn_from_but_not_added_to() {
        let odd = Stored { message: Some(b"{".to_vec()), ..stored(1, None) };
        let refused = planned(std::slice::from_ref(&odd), &yes()).unwrap_err();
        assert_eq!(refused, Refused::Unreadable(Undecodable::Malformed));
        assert_eq!(places(&[odd], &no()), [(1, Some(1))]);
    }
}
