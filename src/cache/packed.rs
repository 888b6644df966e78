//! A subject's state as bytes.
//!
//! An entry is a row of parts, one for each consent partition and spelling that the key was seen with,
//! ordered by partition, then offset. Integers are LEB128, signed ones zigzag; a grant's words are the
//! number of its shape, its later times are kept as distances from the first. Reading is total: bytes that
//! do not parse (there are none) read as a record that does not decode, which denies.

use smallvec::SmallVec;

use super::Place;
use super::bytes::{Reader, signed, unsigned};
use crate::consent::window::Window;
use crate::consent::{ContactWindow, Full, Grant, Identities, Vocabulary, Voice};
use crate::time::Timestamp;
use crate::wire::change::{Change, GrantLine};

const ERASED: u8 = 0;
const INVALID: u8 = 1;
const STATE: u8 = 2;
const KIND: u8 = 0b11;
const HAS_RAW: u8 = 1 << 2;

const RESTRICTED: u8 = 1;
const GPC: u8 = 1 << 1;
const HAS_VERSION: u8 = 1 << 2;
const HAS_ZONE: u8 = 1 << 3;
const HAS_WINDOWS: u8 = 1 << 4;

/// The bits of a grant's first number that say which times follow.
const TIMES: u64 = 0b111;

/// What one partition says of one spelling of the key.
pub struct Part {
    pub raw: u64,
    pub partition: i32,
    pub offset: i64,
    pub body: Body,
}

/// What it says.
pub enum Body {
    Erased,
    Invalid,
    State(Vec<u8>),
}

/// What an entry counts as.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    pub known: bool,
    pub invalid: bool,
    pub split: bool,
    pub conflicted: bool,
}

/// Packs a decoded record.
pub fn pack(change: &Change, words: &Vocabulary) -> Result<Vec<u8>, Full> {
    let zone = words.zone(&change.time_zone)?;
    let flag = |set: bool, bit: u8| if set { bit } else { 0 };
    let mut out = vec![
        flag(change.restricted, RESTRICTED)
            | flag(change.gpc, GPC)
            | flag(change.version.is_some(), HAS_VERSION)
            | flag(zone.is_some(), HAS_ZONE)
            | flag(!change.windows.is_empty(), HAS_WINDOWS),
    ];
    change.version.iter().for_each(|version| signed(&mut out, *version));
    zone.iter().for_each(|zone| unsigned(&mut out, u64::from(*zone)));
    if !change.windows.is_empty() {
        unsigned(&mut out, change.windows.len() as u64);
    }
    for (channel, window) in &change.windows {
        unsigned(&mut out, u64::from(words.channel(channel)?));
        let window = window.unwrap_or(Window { days: 0, from_min: 0, to_min: 0 });
        out.push(window.days);
        unsigned(&mut out, u64::from(window.from_min));
        unsigned(&mut out, u64::from(window.to_min));
    }
    unsigned(&mut out, change.grants.len() as u64);
    for grant in &change.grants {
        pack_grant(&mut out, grant, words.shape(&grant.shape)?);
    }
    Ok(out)
}

fn pack_grant(out: &mut Vec<u8>, grant: &GrantLine, shape: u32) {
    let times = [grant.given_at, grant.confirmed_at, grant.valid_until];
    let present = times.iter().rev().fold(0, |bits, time| bits << 1 | u64::from(time.is_some()));
    unsigned(out, u64::from(shape) << 3 | present);
    let mut base = 0;
    for time in times.into_iter().flatten() {
        signed(out, time.0.wrapping_sub(base));
        base = time.0;
    }
}

/// Writes the entry with this part in the place of an older one of the same partition and spelling; false if
/// what is there is as late or later.
pub fn replace(entry: &[u8], part: &Part, out: &mut Vec<u8>) -> bool {
    let mut parts: SmallVec<[_; 2]> = Parts(entry).collect();
    let same = parts.iter().position(|old| old.partition == part.partition && old.raw == part.raw);
    match same.map(|index| parts.remove(index)) {
        Some(old) if old.offset >= part.offset => return false,
        Some(_) | None => {}
    }
    let (kind, state) = match &part.body {
        Body::Erased => (ERASED, &[][..]),
        Body::Invalid => (INVALID, &[][..]),
        Body::State(state) => (STATE, &**state),
    };
    let new = Seen { kind, raw: part.raw, partition: part.partition, offset: part.offset, state };
    let at = parts.partition_point(|old| (old.partition, old.offset) < (new.partition, new.offset));
    parts.insert(at, new);
    parts.iter().for_each(|part| part.write(out));
    true
}

/// The numbers that words have from now on, by those that they had.
pub struct Numbers {
    pub shapes: Vec<u32>,
    pub channels: Vec<u32>,
    pub zones: Vec<u32>,
}

/// Writes an entry whose words have other numbers; `None` if it does not parse, or knows a word that has none.
pub fn renumber(entry: &[u8], numbers: &Numbers, out: &mut Vec<u8>) -> Option<()> {
    let mut state = Vec::new();
    for mut part in Parts(entry) {
        state.clear();
        if part.kind == STATE {
            renumber_state(part.state, numbers, &mut state)?;
            part.state = &state;
        }
        part.write(out);
    }
    Some(())
}

fn renumber_state(state: &[u8], numbers: &Numbers, out: &mut Vec<u8>) -> Option<()> {
    let new = |numbers: &[u32], old: u64| numbers.get(usize::try_from(old).ok()?).copied().map(u64::from);
    let mut state = Reader(state);
    let flags = state.byte()?;
    out.push(flags);
    if flags & HAS_VERSION != 0 {
        signed(out, state.signed()?);
    }
    if flags & HAS_ZONE != 0 {
        unsigned(out, new(&numbers.zones, state.unsigned()?)?);
    }
    if flags & HAS_WINDOWS != 0 {
        let count = state.unsigned()?;
        unsigned(out, count);
        for _ in 0..count {
            unsigned(out, new(&numbers.channels, state.unsigned()?)?);
            out.push(state.byte()?);
            unsigned(out, state.unsigned()?);
            unsigned(out, state.unsigned()?);
        }
    }
    let count = state.unsigned()?;
    unsigned(out, count);
    for _ in 0..count {
        let head = state.unsigned()?;
        let times = head & TIMES;
        unsigned(out, new(&numbers.shapes, head >> 3)? << 3 | times);
        for _ in 0..times.count_ones() {
            signed(out, state.signed()?);
        }
    }
    Some(())
}

/// What an entry counts as.
pub fn census(entry: &[u8]) -> Tally {
    let (mut erased, mut known, mut invalid) = (0, 0, false);
    for part in Parts(entry) {
        match part.kind {
            ERASED => erased += 1,
            kind => {
                known += 1;
                invalid |= kind != STATE;
            }
        }
    }
    Tally { known: known > 0, invalid, split: known > 1, conflicted: known > 0 && erased > 0 }
}

/// Where an entry's parts were read, erased ones too.
pub fn places(entry: &[u8]) -> Vec<Place> {
    Parts(entry).map(|part| Place { partition: part.partition, offset: part.offset }).collect()
}

/// The version that the entry has under this part's partition and spelling.
pub fn version(entry: &[u8], part: &Part) -> Option<i64> {
    let seen = Parts(entry).find(|old| old.partition == part.partition && old.raw == part.raw)?;
    let mut state = Reader(seen.state);
    let flags = state.byte()?;
    if flags & HAS_VERSION == 0 { None } else { state.signed() }
}

/// Adds an entry's voices to the identities of a record.
pub fn unpack(entry: &[u8], into: &mut Identities) {
    let mut parts = Parts(entry);
    match parts.next() {
        // Nearly always there is one.
        Some(only) if parts.0.is_empty() => into.known(|identities| only.speak(identities)),
        Some(_) | None if census(entry).conflicted => into.conflicted(),
        Some(_) | None => into.known(|identities| Parts(entry).for_each(|part| part.speak(identities))),
    }
}

/// Reads a state; `None` if it does not parse.
fn voice_of(
    state: &[u8],
    voice: &mut Voice,
    grants: &mut Vec<Grant>,
    windows: &mut Vec<ContactWindow>,
) -> Option<()> {
    let mut state = Reader(state);
    let flags = state.byte()?;
    voice.restricted = flags & RESTRICTED != 0;
    voice.gpc = flags & GPC != 0;
    if flags & HAS_VERSION != 0 {
        state.signed()?;
    }
    if flags & HAS_ZONE != 0 {
        voice.zone = Some(u32::try_from(state.unsigned()?).ok()?);
    }
    let window_count = if flags & HAS_WINDOWS == 0 { 0 } else { state.unsigned()? };
    for _ in 0..window_count {
        windows.push(window_of(&mut state)?);
    }
    for _ in 0..state.unsigned()? {
        grants.push(grant_of(&mut state)?);
    }
    Some(())
}

fn window_of(state: &mut Reader<'_>) -> Option<ContactWindow> {
    let channel = u32::try_from(state.unsigned()?).ok()?;
    let days = state.byte()?;
    let from_min = u16::try_from(state.unsigned()?).ok()?;
    let to_min = u16::try_from(state.unsigned()?).ok()?;
    let window = (days != 0).then_some(Window { days, from_min, to_min });
    Some(ContactWindow { channel, window })
}

fn grant_of(state: &mut Reader<'_>) -> Option<Grant> {
    let head = state.unsigned()?;
    let mut base = 0_i64;
    let mut time = |bit: u64| -> Option<Option<Timestamp>> {
        if head & bit == 0 {
            return Some(None);
        }
        base = base.wrapping_add(state.signed()?);
        Some(Some(Timestamp(base)))
    };
    let (given_at, confirmed_at, valid_until) = (time(1)?, time(2)?, time(4)?);
    Some(Grant { shape: u32::try_from(head >> 3).ok()?, given_at, confirmed_at, valid_until })
}

/// A part as it stands in an entry.
struct Seen<'a> {
    kind: u8,
    raw: u64,
    partition: i32,
    offset: i64,
    state: &'a [u8],
}

impl Seen<'_> {
    fn write(&self, out: &mut Vec<u8>) {
        out.push(self.kind | if self.raw == 0 { 0 } else { HAS_RAW });
        if self.raw != 0 {
            out.extend(self.raw.to_le_bytes());
        }
        signed(out, i64::from(self.partition));
        signed(out, self.offset);
        unsigned(out, self.state.len() as u64);
        out.extend(self.state);
    }

    /// Adds what it says; bytes that do not parse deny.
    fn speak(&self, into: &mut Identities) {
        if self.kind == ERASED {
            return;
        }
        into.voice(Voice::at(self.partition, self.offset), |voice, grants, windows| {
            if self.kind == STATE { voice_of(self.state, voice, grants, windows) } else { None }
        });
    }
}

/// The parts of an entry.
struct Parts<'a>(&'a [u8]);

impl<'a> Iterator for Parts<'a> {
    type Item = Seen<'a>;

    fn next(&mut self) -> Option<Seen<'a>> {
        let mut reader = Reader(self.0);
        let flags = reader.byte()?;
        let raw = if flags & HAS_RAW == 0 { 0 } else { u64::from_le_bytes(*reader.take(8)?.first_chunk()?) };
        let partition = i32::try_from(reader.signed()?).ok()?;
        let offset = reader.signed()?;
        let length = usize::try_from(reader.unsigned()?).ok()?;
        let state = reader.take(length)?;
        self.0 = reader.0;
        Some(Seen { kind: flags & KIND, raw, partition, offset, state })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_that_do_not_parse_deny() {
        let words = Vocabulary::default();
        let state = pack(&Change::default(), &words).unwrap();
        let part = Part { raw: 0, partition: 1, offset: 2, body: Body::State(vec![HAS_ZONE]) };
        let mut entry = Vec::new();
        assert!(replace(&[], &part, &mut entry));
        let mut identities = Identities::default();
        unpack(&entry, &mut identities);
        let voices = identities.voices(identities.found().first().unwrap());
        assert!(voices.len() == 1 && voices.iter().all(|voice| voice.invalid));
        let part = Part { raw: 9, partition: 0, offset: 7, body: Body::State(state) };
        let mut both = Vec::new();
        assert!(replace(&entry, &part, &mut both) && !replace(&both, &part, &mut Vec::new()));
        assert_eq!(Parts(&both).map(|part| part.partition).collect::<Vec<_>>(), [0, 1]);
    }
}
