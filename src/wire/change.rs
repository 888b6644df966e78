//! A consent record, decoded: what one message says about one subject.

use thiserror::Error;

use crate::consent::window::Window;
use crate::consent::{Shape, normalize};
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
    /// Every grant.
    pub grants: Vec<GrantLine>,
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
    max_grants: usize,
) -> Result<Change, Undecodable> {
    match format {
        ConsentFormat::Json => decode_json(value, key, max_grants),
        ConsentFormat::Protobuf => decode_protobuf(value, key, max_grants),
    }
}

/// Whether the body's subject is the key's, both normalized.
pub(super) fn is_same_subject(key: (&str, &str), kind: &str, value: &str) -> bool {
    key.0 == kind && normalize(kind, key.1) == normalize(kind, value)
}

/// What holds of every grant, whatever the encoding.
pub(super) fn check_grants(grants: &[GrantLine], max_grants: usize) -> Result<(), Undecodable> {
    if grants.len() > max_grants {
        return Err(Undecodable::TooManyGrants);
    }
    let nameless = grants.iter().any(|grant| grant.shape.purpose.trim().is_empty());
    if nameless { Err(Undecodable::NoPurpose) } else { Ok(()) }
}
