//! One consent record in its JSON form, to be changed without losing what is not changed.
//!
//! Nothing is re-encoded from what was understood: what a producer put into a record beside the known keys stays,
//! in its place. (A number beyond 64 bits in such a key is written as the nearest double.) Pure.

use serde_json::{Map, Value, json};
use thiserror::Error;

use super::subject::Subject;
use crate::consent::split_key;
use crate::time::Timestamp;
use crate::wire::change::{ConsentFormat, Reading, Undecodable, decode};
use crate::wire::record_proto::{self, NoProtobuf};

/// Why a record cannot be written.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum Unwritable {
    /// It would not decode, and deny.
    #[error("the record would not decode: {0}")]
    Undecodable(#[from] Undecodable),
    /// The topic's format cannot say it.
    #[error(transparent)]
    Protobuf(#[from] NoProtobuf),
}

/// A record that decodes, or will before it is written.
#[derive(Clone, Debug, PartialEq)]
pub struct Record(pub Map<String, Value>);

impl Record {
    /// A record that says nothing yet.
    pub fn fresh(subject: &Subject) -> Self {
        let mut members = Map::new();
        members.insert("subject".to_owned(), json!({"type": subject.kind, "value": subject.value}));
        members.insert("version".to_owned(), 0.into());
        members.insert("updated_at".to_owned(), Value::Null);
        members.insert("grants".to_owned(), json!([]));
        Self(members)
    }

    /// Reads what a message says; an error where that denies its subject.
    pub fn read(
        format: ConsentFormat,
        message: &[u8],
        key: &[u8],
        max_grants: usize,
    ) -> Result<Self, Undecodable> {
        let key = split_key(key).ok_or(Undecodable::OtherSubject)?;
        decode(format, message, key, Reading::unmapped(max_grants))?;
        let members = match format {
            ConsentFormat::Json => serde_json::from_slice(message).ok(),
            ConsentFormat::Protobuf => record_proto::to_json(message),
        };
        members.map(Self).ok_or(Undecodable::Malformed)
    }

    /// Reads a whole record that somebody hands in as JSON, for this subject.
    pub fn given(body: &[u8], subject: &Subject, max_grants: usize) -> Result<Self, Undecodable> {
        Self::read(ConsentFormat::Json, body, subject.key().as_bytes(), max_grants)
    }

    /// The message that says this, for a key.
    ///
    /// # Errors
    /// The format cannot say it, or nobody could read it.
    pub fn write(&self, format: ConsentFormat, key: &[u8], max_grants: usize) -> Result<Vec<u8>, Unwritable> {
        let message = match format {
            ConsentFormat::Json => Value::Object(self.0.clone()).to_string().into_bytes(),
            ConsentFormat::Protobuf => record_proto::from_json(&self.0)?,
        };
        let key = split_key(key).ok_or(Undecodable::OtherSubject)?;
        decode(format, &message, key, Reading::unmapped(max_grants))?;
        Ok(message)
    }

    /// Its version; 0 where it has none.
    pub fn version(&self) -> i64 {
        self.0.get("version").and_then(Value::as_i64).unwrap_or_default()
    }

    /// Stamps it as the change that comes after `version`.
    pub fn stamp(&mut self, version: i64, now: Timestamp) {
        self.0.insert("version".to_owned(), version.into());
        self.0.insert("updated_at".to_owned(), now.to_string().into());
    }

    /// Every grant.
    pub fn grants(&self) -> &[Value] {
        self.0.get("grants").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default()
    }

    /// Changes the grants. The list keeps its place in the record.
    pub fn change<T>(&mut self, change: impl FnOnce(&mut Vec<Value>) -> T) -> T {
        let mut grants = match self.0.get_mut("grants").map(Value::take) {
            Some(Value::Array(grants)) => grants,
            Some(_) | None => Vec::new(),
        };
        let done = change(&mut grants);
        self.0.insert("grants".to_owned(), Value::Array(grants));
        done
    }

    /// Whether both say the same, but for when and as which version.
    pub fn says_what(&self, other: &Self) -> bool {
        let said = |record: &Self| {
            let mut members = record.0.clone();
            members.retain(|name, _| name != "version" && name != "updated_at");
            members
        };
        said(self) == said(other)
    }
}
