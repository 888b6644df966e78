//! A consent record, decoded: what one message says about one subject.
//!
//! Its privacy strings are not kept: what they say, under the policy's mapping, stands among its grants.

use thiserror::Error;

use super::signals::{Signals, Unreadable};

use crate::consent::window::Window;
use crate::consent::{Shape, Status, normalize};
use crate::time::Timestamp;

pub use super::change_json::decode as decode_json;
pub use super::change_proto::decode as decode_protobuf;

/// The encoding of a consent record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConsentFormat {
    /// JSON text.
    Json,
    /// `consentry.v1.ConsentRecord`.
    Protobuf,
}

/// A subject's whole state, as one message says it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Change {
    /// Counts up with each change.
    pub version: Option<i64>,
    /// Nothing may be forwarded.
    pub restricted: bool,
    /// Global Privacy Control.
    pub gpc: bool,
    /// An IANA name, or empty.
    pub time_zone: String,
    /// The subject's own contact windows: the channel as written, and when it is open (`None`: never).
    pub windows: Vec<(String, Option<Window>)>,
    /// Every grant, and behind them those that its privacy strings add.
    pub grants: Vec<GrantLine>,
    /// Its privacy strings that do not decode: they refuse what they govern.
    pub unreadable: Unreadable,
}

impl Change {
    /// Whether anything in it is refused, or was taken back.
    pub fn refuses(&self) -> bool {
        let refuses = |grant: &GrantLine| match grant.shape.status {
            Status::Refused
            | Status::Withdrawn
            | Status::Revoked
            | Status::Objected
            | Status::Invalidated => true,
            Status::Requested | Status::Given | Status::Confirmed | Status::Unrecognized => false,
        };
        self.restricted || self.grants.iter().any(refuses)
    }
}

/// One grant: its words and its times.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GrantLine {
    /// The words.
    pub shape: Shape,
    /// The first opt-in.
    pub given_at: Option<Timestamp>,
    /// The confirmation or the last renewal.
    pub confirmed_at: Option<Timestamp>,
    /// From this instant on it has expired.
    pub valid_until: Option<Timestamp>,
}

/// Why a consent record does not decode. The subject is denied; nothing of the record is quoted.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum Undecodable {
    /// Not UTF-8, JSON or Protobuf, a wrong type, or two equal names in an object.
    #[error("not a consent record in the configured format")]
    Malformed,
    /// No subject, or another one than the key's.
    #[error("the record's subject is not the key's")]
    OtherSubject,
    /// A grant without a purpose.
    #[error("a grant has no purpose")]
    NoPurpose,
    /// A time that cannot be read.
    #[error("a time is neither RFC 3339 nor milliseconds since the epoch")]
    Time,
    /// More grants than `max_grants`.
    #[error("more grants than `max_grants`")]
    TooManyGrants,
}

/// Decodes the record of the subject that `key` (type and raw value) names, whatever the format.
pub fn decode(
    format: ConsentFormat,
    value: &[u8],
    key: (&str, &str),
    reading: Reading<'_>,
) -> Result<Change, Undecodable> {
    match format {
        ConsentFormat::Json => decode_json(value, key, reading),
        ConsentFormat::Protobuf => decode_protobuf(value, key, reading),
    }
}

/// Whether the body's subject is the key's, both normalized.
pub(super) fn is_same_subject(key: (&str, &str), kind: &str, value: &str) -> bool {
    key.0 == kind && normalize(kind, key.1) == normalize(kind, value)
}

/// How a record is read, whatever the encoding.
#[derive(Clone, Copy, Debug)]
pub struct Reading<'a> {
    /// Grants that it may list. What its privacy strings add is not counted: the mapping bounds it.
    pub max_grants: usize,
    /// What the policy maps privacy strings to.
    pub signals: &'a Signals,
}

impl Reading<'static> {
    /// Reads a record whose privacy strings say nothing: enough to tell whether it can be read.
    pub const fn unmapped(max_grants: usize) -> Self {
        const NOTHING: &Signals = &Signals { tcf: None, gpp: None, honour_gpc: false };
        Self { max_grants, signals: NOTHING }
    }
}

impl Reading<'_> {
    /// The grants of a record that lists these and carries these strings (empty: absent).
    pub(super) fn grants(
        self,
        mut grants: Vec<GrantLine>,
        tcf: &str,
        gpp: &str,
    ) -> Result<(Vec<GrantLine>, Unreadable), Undecodable> {
        if grants.len() > self.max_grants {
            return Err(Undecodable::TooManyGrants);
        }
        if grants.iter().any(|grant| grant.shape.purpose.trim().is_empty()) {
            return Err(Undecodable::NoPurpose);
        }
        let (added, unreadable) = self.signals.grants(tcf, gpp);
        grants.extend(added);
        Ok((grants, unreadable))
    }
}
