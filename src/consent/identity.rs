//! What is known of the subjects a record names, copied out of the cache for one decision.
//!
//! A record may name several identities; an identity may have several voices, because its key stands on
//! several consent partitions. The buffers are reused: filling them again allocates nothing.

use std::ops::Range;

use super::grant::Grant;
use super::vocabulary::{ContactWindow, ZoneId};

/// What one consent partition says of one identity.
#[derive(Clone, Debug, Default)]
pub struct Voice {
    /// Its last consent record could not be read.
    pub invalid: bool,
    /// Processing is restricted.
    pub restricted: bool,
    /// Global Privacy Control.
    pub gpc: bool,
    /// The subject's time zone.
    pub zone: Option<ZoneId>,
    /// The consent partition it was read from.
    pub partition: i32,
    /// The consent record's offset there.
    pub offset: i64,
    grants: Range<usize>,
    windows: Range<usize>,
}

impl Voice {
    /// A voice that says nothing yet, read from there.
    pub fn at(partition: i32, offset: i64) -> Self {
        Self { partition, offset, ..Self::default() }
    }
}

/// What is known of one identity.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Found {
    /// Nothing.
    Unknown,
    /// Erased on one partition, with a state on another.
    Conflicted,
    /// These voices, in the order of their partitions.
    Voices(Range<usize>),
}

/// The identities of one record, in the order of the pipeline's selectors.
#[derive(Clone, Debug, Default)]
pub struct Identities {
    found: Vec<Found>,
    voices: Vec<Voice>,
    grants: Vec<Grant>,
    windows: Vec<ContactWindow>,
}

impl Identities {
    /// Forgets all of them.
    pub fn clear(&mut self) {
        self.found.clear();
        self.voices.clear();
        self.grants.clear();
        self.windows.clear();
    }

    /// Adds an identity nothing is known of.
    pub fn unknown(&mut self) {
        self.found.push(Found::Unknown);
    }

    /// Adds an identity that is erased here and known there.
    pub fn conflicted(&mut self) {
        self.found.push(Found::Conflicted);
    }

    /// Adds an identity with the voices that `say` adds; without any it is unknown.
    pub fn known(&mut self, say: impl FnOnce(&mut Self)) {
        let start = self.voices.len();
        say(self);
        let voices = start..self.voices.len();
        self.found.push(if voices.is_empty() { Found::Unknown } else { Found::Voices(voices) });
    }

    /// Adds a voice to the identity being added; `say` fills in what it says. Where that cannot be read, it is
    /// invalid and says nothing else.
    pub fn voice(
        &mut self,
        mut voice: Voice,
        say: impl FnOnce(&mut Voice, &mut Vec<Grant>, &mut Vec<ContactWindow>) -> Option<()>,
    ) {
        let (grant, window) = (self.grants.len(), self.windows.len());
        if say(&mut voice, &mut self.grants, &mut self.windows).is_none() {
            self.grants.truncate(grant);
            self.windows.truncate(window);
            voice = Voice { invalid: true, ..Voice::at(voice.partition, voice.offset) };
        }
        voice.grants = grant..self.grants.len();
        voice.windows = window..self.windows.len();
        self.voices.push(voice);
    }

    /// Every identity, the first first.
    pub fn found(&self) -> &[Found] {
        &self.found
    }

    /// The voices of an identity.
    pub fn voices(&self, found: &Found) -> &[Voice] {
        match found {
            Found::Voices(range) => self.voices.get(range.clone()).unwrap_or_default(),
            Found::Unknown | Found::Conflicted => &[],
        }
    }

    /// The grants of a voice.
    pub fn grants(&self, voice: &Voice) -> &[Grant] {
        self.grants.get(voice.grants.clone()).unwrap_or_default()
    }

    /// The subject's own contact windows.
    pub fn windows(&self, voice: &Voice) -> &[ContactWindow] {
        self.windows.get(voice.windows.clone()).unwrap_or_default()
    }

    /// Where the first identity's consent was read: partition and offset.
    pub fn consent_offset(&self) -> Option<(i32, i64)> {
        self.voices(self.found.first()?).first().map(|voice| (voice.partition, voice.offset))
    }
}
