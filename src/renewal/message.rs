//! What is told about a grant that comes to its end.
//!
//! A record on the topic has the subject's key as the consent topic has it, so that both topics join, and this value
//! (JSON, UTF-8; times in RFC 3339, UTC; a word that is absent in the grant is null):
//!
//! ```json
//! {"subject":{"type":"user_id","value":"u-17"},"purpose":"newsletter","channel":"email","recipient":"first_party",
//!  "why":"expires","at":"2027-05-01T00:00:00Z","given_at":"2026-05-01T09:58:00Z","confirmed_at":null,
//!  "level":"contact","basis":"consent","jurisdiction":"EU","policy":"0f3a9c27b1de","offset":117,
//!  "earlier":[{"purpose":"analytics","channel":null,"recipient":"first_party","at":"2027-04-20T00:00:00Z"}]}
//! ```
//!
//! | member | what it says |
//! | --- | --- |
//! | `subject` | the person: type and value as in the key |
//! | `purpose`, `channel`, `recipient` | what to ask for; `purpose` is one of the policy's also where the grant says `*` |
//! | `why` | `expires`: its `valid_until` comes; `needs_renewal`: its purpose's `max_age` is over |
//! | `at` | when it ends: from this instant on it permits nothing |
//! | `given_at`, `confirmed_at` | when the person said so, as in the grant |
//! | `level`, `basis` | as the grant comes to: its own level, else the purpose's |
//! | `jurisdiction` | as in the consent record |
//! | `policy` | the hash of the policy that found it due |
//! | `offset` | the consent record's, on the partition of the same number |
//! | `earlier` | what was told of the same person before and has not ended: the topic is compacted, and the last record of a person says all of them |
//!
//! Headers: `consentry.reason` (as `why`), `consentry.policy`, `consentry.purposes` (the one) and
//! `consentry.consent_offset` (`partition:offset` of the consent record). A record without value takes back what was
//! told: the person is erased. More members may come; whoever reads ignores those it does not know.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::time::Timestamp;

/// A value on the topic cannot be read.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[error("not a message of this topic")]
pub struct Unreadable;

/// One grant that was told of, by its words and its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Told {
    /// The purpose.
    pub purpose: Box<str>,
    /// The channel; empty: none.
    pub channel: Box<str>,
    /// The recipient; never empty.
    pub recipient: Box<str>,
    /// The end.
    pub at: Timestamp,
}

/// The value of a record.
#[derive(Debug, Deserialize, Serialize)]
pub struct Message<'m> {
    /// The person.
    #[serde(borrow)]
    pub subject: Subject<'m>,
    /// What to ask for, and when it ends.
    #[serde(borrow, flatten)]
    pub topic: Topic<'m>,
    /// `expires` or `needs_renewal`.
    #[serde(borrow)]
    pub why: Cow<'m, str>,
    /// RFC 3339.
    pub given_at: Option<String>,
    /// RFC 3339.
    pub confirmed_at: Option<String>,
    /// The level it comes to.
    #[serde(borrow)]
    pub level: Cow<'m, str>,
    /// The legal basis.
    #[serde(borrow)]
    pub basis: Cow<'m, str>,
    /// As in the consent record.
    #[serde(borrow)]
    pub jurisdiction: Option<Cow<'m, str>>,
    /// The policy's hash.
    #[serde(borrow)]
    pub policy: Cow<'m, str>,
    /// The consent record's offset.
    pub offset: i64,
    /// What was told before.
    #[serde(borrow)]
    pub earlier: Vec<Topic<'m>>,
}

/// The person, as in the key.
#[derive(Debug, Deserialize, Serialize)]
pub struct Subject<'m> {
    /// What stands before the colon.
    #[serde(borrow, rename = "type")]
    pub kind: Cow<'m, str>,
    /// What stands after it.
    #[serde(borrow)]
    pub value: Cow<'m, str>,
}

/// What to ask for, and when it ends.
#[derive(Debug, Deserialize, Serialize)]
pub struct Topic<'m> {
    /// The purpose.
    #[serde(borrow)]
    pub purpose: Cow<'m, str>,
    /// The channel.
    #[serde(borrow)]
    pub channel: Option<Cow<'m, str>>,
    /// The recipient.
    #[serde(borrow)]
    pub recipient: Cow<'m, str>,
    /// RFC 3339.
    pub at: String,
}

impl<'m> From<&'m Told> for Topic<'m> {
    fn from(told: &'m Told) -> Self {
        Self {
            purpose: (&*told.purpose).into(),
            channel: (!told.channel.is_empty()).then(|| (&*told.channel).into()),
            recipient: (&*told.recipient).into(),
            at: told.at.to_string(),
        }
    }
}

impl Topic<'_> {
    fn told(&self) -> Result<Told, Unreadable> {
        Ok(Told {
            purpose: (&*self.purpose).into(),
            channel: self.channel.as_deref().unwrap_or_default().into(),
            recipient: (&*self.recipient).into(),
            at: Timestamp::parse(&self.at).ok_or(Unreadable)?,
        })
    }
}

impl Message<'_> {
    /// The bytes of the value.
    pub fn bytes(&self) -> Vec<u8> {
        // Text and lists of it: there is nothing in it that JSON cannot say.
        serde_json::to_vec(self).unwrap_or_default()
    }
}

/// Everything that a value says was told of its person, and the offset of the consent record that it was last told
/// of.
pub(super) fn told(value: &[u8]) -> Result<(Vec<Told>, i64), Unreadable> {
    let message: Message<'_> = serde_json::from_slice(value).map_err(|_| Unreadable)?;
    let told = message.earlier.iter().chain([&message.topic]).map(Topic::told).collect::<Result<_, _>>()?;
    Ok((told, message.offset))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of the header above.
    fn example() -> String {
        let lines = include_str!("message.rs").lines().skip_while(|line| *line != "//! ```json").skip(1);
        lines.take_while(|line| *line != "//! ```").map(|line| line.trim_start_matches("//!")).collect()
    }

    #[test]
    fn the_example_is_what_is_written_and_read() {
        let text = example();
        let message: Message<'_> = serde_json::from_str(&text).unwrap();
        let written: serde_json::Value = serde_json::from_slice(&message.bytes()).unwrap();
        let example: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(written, example);
        let (told, offset) = told(text.as_bytes()).unwrap();
        assert_eq!(offset, 117);
        let said: Vec<_> =
            told.iter().map(|told| (&*told.purpose, &*told.channel, told.at.to_string())).collect();
        assert_eq!(
            said,
            [
                ("analytics", "", "2027-04-20T00:00:00Z".to_owned()),
                ("newsletter", "email", "2027-05-01T00:00:00Z".to_owned())
            ]
        );
    }

    #[test]
    fn what_is_no_message_cannot_be_read() {
        assert_eq!(told(b"{}"), Err(Unreadable));
        assert_eq!(told(example().replace("2027-05-01T", "soon").as_bytes()), Err(Unreadable));
        assert!(told(example().replacen('{', r#"{"more":[],"#, 1).as_bytes()).is_ok());
    }
}
