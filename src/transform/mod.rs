//! What a sink gets of a permitted record: fields above the permitted level get their action.
//!
//! Where nothing is to be done the bytes pass as they came, borrowed. An action that cannot be carried out
//! fails the record; it never lets the field through.

mod action;
mod elements;
mod value;

use std::borrow::Cow;

use hmac::{Hmac, KeyInit};
use sha2::Sha256;
use smallvec::SmallVec;

use crate::consent::Grounds;
use crate::policy::rules::{Label, Rules};
use crate::policy::settings::{FieldAction, KeyAction};
use crate::record::{Envelope, Record};
use action::Pseudonyms;
pub use elements::Around;

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

impl Outgoing<'_> {
    /// Each label once, in order.
    fn finish(&mut self) {
        self.acted.sort_unstable();
        self.acted.dedup();
        self.reduced |= !self.acted.is_empty();
    }
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
        let mut out = self.begin(record.envelope(), key)?;
        out.value = text.map(|text| Cow::Borrowed(text.as_bytes()));
        let Some(level) = level else { return Ok(out) };
        self.reduce_headers(&mut out, level)?;
        if let Some(text) = text.filter(|_| self.has_work(level)) {
            let walk = value::Walk::new(self.rules, &self.pseudonyms, level);
            let done = walk.over(text, &self.rules.tree.root(), &mut out.acted, &mut out.reduced)?;
            out.value = Some(bytes(done));
        }
        out.finish();
        Ok(out)
    }

    /// The record without its value, the key done and the headers as they came.
    fn begin<'m>(&self, envelope: Envelope<'_, 'm>, key: KeyAction) -> Result<Outgoing<'m>, Failed> {
        let own = envelope.headers.iter().filter(|(name, _)| !name.starts_with("consentry."));
        Ok(Outgoing {
            key: self.key(envelope.key, key)?,
            value: None,
            headers: own.map(|(name, value)| (*name, value.map(Cow::Borrowed))).collect(),
            acted: SmallVec::new(),
            reduced: false,
        })
    }

    /// Whether a value may have to change where this level is permitted.
    fn has_work(&self, level: u8) -> bool {
        let due = |label: &Label| label.header.is_none() && label.level > level;
        self.rules.remove_unlabelled || self.rules.labels.iter().any(due)
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

/// Text as bytes, borrowed where it was.
fn bytes(text: Cow<'_, str>) -> Cow<'_, [u8]> {
    match text {
        Cow::Borrowed(text) => Cow::Borrowed(text.as_bytes()),
        Cow::Owned(text) => Cow::Owned(text.into_bytes()),
    }
}

#[cfg(test)]
mod tests;
