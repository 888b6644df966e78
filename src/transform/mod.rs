//! What a sink gets of a permitted record: fields above the permitted level get their action.
//!
//! Where nothing is to be done the bytes pass as they came, borrowed. An action that cannot be carried out
//! fails the record; it never lets the field through.

mod action;
mod value;

use std::borrow::Cow;

use hmac::{Hmac, KeyInit};
use sha2::Sha256;
use smallvec::SmallVec;

use crate::consent::Grounds;
use crate::policy::rules::{Label, Rules};
use crate::policy::settings::{FieldAction, KeyAction};
use crate::record::Record;
use action::Pseudonyms;

/// A field action cannot be carried out on what stands there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Failed;

/// A header as a sink gets it.
pub type OutgoingHeader<'m> = (&'m str, Option<Cow<'m, [u8]>>);

/// A record as a sink gets it, but for what Consentry itself adds.
#[derive(Clone, Debug)]
pub struct Outgoing<'m> {
    /// The key; `None` is Kafka's null.
    pub key: Option<Cow<'m, [u8]>>,
    /// The value; `None` is Kafka's null.
    pub value: Option<Cow<'m, [u8]>>,
    /// The headers, without those that begin with `consentry.`.
    pub headers: SmallVec<[OutgoingHeader<'m>; 8]>,
    /// The labels acted on: indices into the pipeline's labels, ascending.
    pub acted: SmallVec<[usize; 4]>,
    /// Whether anything was reduced, listed or not.
    pub reduced: bool,
}

/// Carries out a pipeline's field actions.
#[derive(Debug)]
pub struct Reducer<'r> {
    rules: &'r Rules,
    pseudonyms: Pseudonyms,
}

impl<'r> Reducer<'r> {
    /// For the pipeline with these rules.
    pub fn new(rules: &'r Rules) -> Self {
        let keyed = rules.pseudonym_key.as_deref();
        let pseudonyms = Pseudonyms(keyed.and_then(|key| Hmac::<Sha256>::new_from_slice(key).ok()));
        Self { rules, pseudonyms }
    }

    /// Reduces a record whose value is this text (`None`: Kafka's null) to what `grounds` let pass.
    pub fn reduce<'m>(
        &self,
        record: &Record<'m>,
        text: Option<&'m str>,
        grounds: Grounds,
        key: KeyAction,
    ) -> Result<Outgoing<'m>, Failed> {
        let level = match grounds {
            Grounds::Consent { level, .. } => Some(level),
            Grounds::Exempt { level } => level,
            // A deletion has no fields but its headers, and nobody was asked about them.
            Grounds::Deletion => Some(0),
        };
        let mut out = Outgoing {
            key: self.key(record.key, key)?,
            value: text.map(|text| Cow::Borrowed(text.as_bytes())),
            headers: SmallVec::new(),
            acted: SmallVec::new(),
            reduced: false,
        };
        let own = record.headers.iter().filter(|(name, _)| !name.starts_with("consentry."));
        out.headers.extend(own.map(|(name, value)| (*name, value.map(Cow::Borrowed))));
        let Some(level) = level else { return Ok(out) };
        let due = |label: &Label| label.level > level;
        if self.rules.labels.iter().any(|label| label.header.is_some() && due(label)) {
            self.reduce_headers(&mut out, level)?;
        }
        let fields = self.rules.labels.iter().any(|label| label.header.is_none() && due(label));
        if let Some(text) = text.filter(|_| fields || self.rules.remove_unlabelled) {
            let walk = value::Walk::new(self.rules, &self.pseudonyms, level);
            out.value = Some(walk.over(text, &mut out.acted, &mut out.reduced)?);
        }
        out.acted.sort_unstable();
        out.acted.dedup();
        out.reduced |= !out.acted.is_empty();
        Ok(out)
    }

    fn key<'m>(&self, key: Option<&'m [u8]>, action: KeyAction) -> Result<Option<Cow<'m, [u8]>>, Failed> {
        Ok(match (key, action) {
            (None, _) | (Some(_), KeyAction::Remove) => None,
            (Some(key), KeyAction::Keep) => Some(Cow::Borrowed(key)),
            (Some(key), KeyAction::Hash) => Some(Cow::Owned(self.pseudonyms.hash(key)?.into_bytes())),
        })
    }

    fn reduce_headers(&self, out: &mut Outgoing<'_>, level: u8) -> Result<(), Failed> {
        for (number, label) in self.rules.labels.iter().enumerate() {
            let Some(name) = label.header.as_deref().filter(|_| label.level > level) else { continue };
            if label.action == FieldAction::Remove {
                let before = out.headers.len();
                out.headers.retain(|(own, _)| *own != name);
                out.acted.extend((out.headers.len() < before).then_some(number));
                continue;
            }
            for (_, value) in out.headers.iter_mut().filter(|(own, _)| *own == name) {
                if let Some(bytes) = value {
                    *value = self.pseudonyms.act_on_bytes(label.action, bytes)?.map(Cow::Owned);
                    out.acted.push(number);
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
