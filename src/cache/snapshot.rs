//! The cache as a file: written while it is used, read back as if it had been loaded.
//!
//! What is read of the topic from the snapshot's offsets on may be in the snapshot already: entries are
//! written as they are when their turn comes, and a message that is not later than what is known changes
//! nothing. So nothing stands still while one is written.
//!
//! ```text
//! magic   16 bytes, the format's version among them
//! block*  what stands in it (1 byte), its length (4), its tag (16), its bytes
//! foot    where the words and the head begin (8 each), their tag (16)
//! ```
//! Integers are little-endian. Blocks of entries come first, one or more for each shard of the store; then the
//! words that entries know by number, then the head, which says what the snapshot is of and how many entries
//! there must be. A tag is SipHash-1-3 of kind, number and bytes, under a key made from the cache's own: it finds
//! damage, and it tells a file that was written under another key. Subjects stand in it as the cache has them,
//! as hashes under that key. No file is touched here, only readers and writers.

use std::hash::Hasher;
use std::io::{self, Read, Seek, SeekFrom, Write};

use serde::{Deserialize, Serialize};
use siphasher::sip128::{Hasher128, SipHasher13};
use thiserror::Error;

use super::Cache;
use super::bytes::{Reader, unsigned};
use super::packed::{self, Numbers};
use crate::consent::{Basis, Shape, Status};
use crate::time::Timestamp;

/// Changes with what a byte of the file means, and with how consent records are decoded.
const MAGIC: &[u8; 16] = b"consentry-cache1";
const FOOT: usize = 32;
/// Bytes of a block at most; a single entry may be longer.
const BLOCK: usize = 1 << 20;
/// No block is longer: what claims to be is damaged.
const MAX_BLOCK: usize = 1 << 30;

const ENTRIES: u8 = 0;
const WORDS: u8 = 1;
const HEAD: u8 = 2;
const FOOTER: u8 = 3;

/// What a snapshot is of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Head {
    /// The consent topic.
    pub topic: String,
    /// Its id, by which one that was deleted and made anew is told from the one before.
    pub topic_id: String,
    /// How many partitions it had.
    pub partitions: usize,
    /// How its records are encoded, and how many grants one may have: what was decoded otherwise is another
    /// cache.
    pub format: String,
    /// See `format`.
    pub max_grants: usize,
    /// What names the mapping of privacy strings; nothing where nothing is mapped. See `format`.
    #[serde(default)]
    pub signals: String,
    /// When the cache was last at the end of the topic, in milliseconds since the epoch.
    pub fresh_at_ms: i64,
    /// Partitions, and the offset below which everything committed is in the snapshot.
    pub offsets: Vec<(i32, i64)>,
}

impl Head {
    /// When the cache was last at the end of the topic.
    pub const fn fresh_at(&self) -> Timestamp {
        Timestamp(self.fresh_at_ms)
    }
}

/// Why a file is no snapshot that can be used.
#[derive(Debug, Error)]
pub enum Damage {
    /// It cannot be read.
    #[error("it cannot be read: {0}")]
    Unreadable(#[from] io::Error),
    /// It is something else, or of another version.
    #[error("it is no snapshot of this version")]
    Foreign,
    /// A tag does not fit.
    #[error("its checksum is wrong: it is damaged, or was written under another key")]
    Checksum,
    /// The tags fit, and it does not parse: written by a program with a fault.
    #[error("it contradicts itself")]
    Senseless,
}

/// The head, and how much there must be.
#[derive(Serialize, Deserialize)]
struct Foot {
    head: Head,
    blocks: u64,
    entries: u64,
}

/// Writes a snapshot; the number of its entries.
pub fn write(cache: &Cache, head: &Head, out: &mut impl Write) -> io::Result<u64> {
    let mut blocks = Blocks { tags: Tags::of(cache), out, at: 0, number: 0 };
    blocks.bytes(MAGIC)?;
    let mut entries = 0_u64;
    for shard in 0..cache.store.shards() {
        // Copied under the shard's lock, written without it.
        let (mut pieces, mut piece) = (Vec::new(), Vec::new());
        cache.store.visit(shard, |key, bytes| {
            piece.extend(key.to_le_bytes());
            unsigned(&mut piece, bytes.len() as u64);
            piece.extend(bytes);
            entries += 1;
            if piece.len() >= BLOCK {
                pieces.push(std::mem::take(&mut piece));
            }
        });
        pieces.push(piece);
        for piece in pieces.iter().filter(|piece| !piece.is_empty()) {
            blocks.write(ENTRIES, piece)?;
        }
    }
    let (count, words_at) = (blocks.number, blocks.at);
    blocks.write(WORDS, &words(cache))?;
    let foot = Foot { head: head.clone(), blocks: count, entries };
    let head_at = blocks.at;
    blocks.write(HEAD, &serde_json::to_vec(&foot)?)?;
    let places = [words_at.to_le_bytes(), head_at.to_le_bytes()].concat();
    let tag = blocks.tags.tag(FOOTER, 0, &places);
    blocks.bytes(&places)?;
    blocks.bytes(&tag)?;
    Ok(entries)
}

/// A snapshot whose head has been read.
pub struct Snapshot<R> {
    from: R,
    foot: Foot,
    words_at: u64,
}

impl<R: Read + Seek> Snapshot<R> {
    /// Reads the head, under the key of `cache`.
    pub fn open(mut from: R, cache: &Cache) -> Result<Self, Damage> {
        let tags = Tags::of(cache);
        let mut magic = [0; MAGIC.len()];
        read_all(&mut from, &mut magic)?;
        if &magic != MAGIC {
            return Err(Damage::Foreign);
        }
        let end = from.seek(SeekFrom::End(0))?;
        from.seek(SeekFrom::Start(end.checked_sub(FOOT as u64).ok_or(Damage::Checksum)?))?;
        let mut foot = [0; FOOT];
        read_all(&mut from, &mut foot)?;
        let (places, tag) = foot.split_at_checked(16).ok_or(Damage::Senseless)?;
        if tags.tag(FOOTER, 0, places) != tag {
            return Err(Damage::Checksum);
        }
        let place = |bytes: Option<&[u8; 8]>| bytes.copied().map(u64::from_le_bytes).ok_or(Damage::Senseless);
        let (words_at, head_at) = (place(places.first_chunk())?, place(places.last_chunk())?);
        from.seek(SeekFrom::Start(head_at))?;
        // The head is the block behind the words, and these come behind all entries: its number is in itself.
        let (kind, bytes, tag) = read_block(&mut from)?;
        let foot: Foot = serde_json::from_slice(&bytes).map_err(|_| Damage::Checksum)?;
        if kind != HEAD || tags.tag(HEAD, foot.blocks.wrapping_add(1), &bytes) != tag {
            return Err(Damage::Checksum);
        }
        Ok(Self { from, foot, words_at })
    }

    /// What it is of.
    pub const fn head(&self) -> &Head {
        &self.foot.head
    }

    /// Fills an empty cache, which is to be discarded where this fails. The number of entries.
    pub fn restore(mut self, cache: &Cache) -> Result<u64, Damage> {
        let tags = Tags::of(cache);
        self.from.seek(SeekFrom::Start(self.words_at))?;
        let words = checked(&mut self.from, &tags, WORDS, self.foot.blocks)?;
        let numbers = numbers(&words, cache).ok_or(Damage::Senseless)?;
        let same = are_same(&numbers);
        self.from.seek(SeekFrom::Start(MAGIC.len() as u64))?;
        let (mut count, mut moved) = (0, Vec::new());
        let mut restoring = cache.restoring(self.foot.entries);
        for number in 0..self.foot.blocks {
            let block = checked(&mut self.from, &tags, ENTRIES, number)?;
            let mut entries = Reader(&block);
            while !entries.0.is_empty() {
                let (key, bytes) = entry(&mut entries).ok_or(Damage::Senseless)?;
                moved.clear();
                if same {
                    restoring.put(key, bytes);
                } else {
                    packed::renumber(bytes, &numbers, &mut moved).ok_or(Damage::Senseless)?;
                    restoring.put(key, &moved);
                }
                count += 1;
            }
        }
        if count == self.foot.entries { Ok(count) } else { Err(Damage::Senseless) }
    }
}

fn entry<'a>(from: &mut Reader<'a>) -> Option<(u128, &'a [u8])> {
    let key = u128::from_le_bytes(*from.take(16)?.first_chunk()?);
    let length = usize::try_from(from.unsigned()?).ok()?;
    Some((key, from.take(length)?))
}

/// Every word that entries know by number, in the order of the numbers.
fn words(cache: &Cache) -> Vec<u8> {
    let mut out = Vec::new();
    let mut text = |text: &str| {
        unsigned(&mut out, text.len() as u64);
        out.extend(text.as_bytes());
    };
    let words = &cache.words;
    let shapes: Vec<&Shape> = (0..).map_while(|number| words.shape_at(number)).collect();
    let channels: Vec<&str> = (1..).map_while(|number| words.channel_at(number)).collect();
    let zones: Vec<&str> = (0..).map_while(|number| words.zone_name_at(number)).collect();
    for word in channels.iter().chain(&[""]).chain(&zones).chain(&[""]) {
        text(word);
    }
    for shape in &shapes {
        text(&shape.purpose);
        text(&shape.channel);
        text(&shape.recipient);
        text(&shape.level);
        text(shape.status.word());
        text(shape.basis.word());
    }
    out
}

/// Which number each of a snapshot's words has in the cache that it is read into.
fn numbers(bytes: &[u8], cache: &Cache) -> Option<Numbers> {
    let (mut reader, words) = (Reader(bytes), &cache.words);
    let mut numbers = Numbers { shapes: Vec::new(), channels: vec![0], zones: Vec::new() };
    for channel in list(&mut reader)? {
        numbers.channels.push(words.channel(channel).ok()?);
    }
    for zone in list(&mut reader)? {
        numbers.zones.push(words.zone(zone).ok()??);
    }
    while !reader.0.is_empty() {
        numbers.shapes.push(words.shape(&shape(&mut reader)?).ok()?);
    }
    Some(numbers)
}

/// The words up to the next empty one.
fn list<'a>(from: &mut Reader<'a>) -> Option<Vec<&'a str>> {
    let mut words = Vec::new();
    loop {
        match text(from)? {
            "" => return Some(words),
            word => words.push(word),
        }
    }
}

/// Whether all have the numbers that they had.
fn are_same(numbers: &Numbers) -> bool {
    let same = |numbers: &[u32]| numbers.iter().zip(0..).all(|(number, own)| *number == own);
    same(&numbers.channels) && same(&numbers.zones) && same(&numbers.shapes)
}

fn shape(from: &mut Reader<'_>) -> Option<Shape> {
    let words = [text(from)?, text(from)?, text(from)?, text(from)?];
    let [purpose, channel, recipient, level] = words.map(Box::from);
    let (status, basis) = (Status::read(text(from)?), Basis::read(text(from)?));
    Some(Shape { purpose, channel, recipient, level, status, basis })
}

fn text<'a>(from: &mut Reader<'a>) -> Option<&'a str> {
    let length = usize::try_from(from.unsigned()?).ok()?;
    std::str::from_utf8(from.take(length)?).ok()
}

/// Makes the tags of blocks.
struct Tags(SipHasher13);

impl Tags {
    /// Under a key made from that of the cache, so that no tag is the hash of a subject.
    fn of(cache: &Cache) -> Self {
        let mut hasher = cache.hasher;
        hasher.write(b"snapshot");
        Self(SipHasher13::new_with_key(&hasher.finish128().as_bytes()))
    }

    fn tag(&self, kind: u8, number: u64, bytes: &[u8]) -> [u8; 16] {
        let mut hasher = self.0;
        hasher.write(&[kind]);
        hasher.write(&number.to_le_bytes());
        hasher.write(bytes);
        hasher.finish128().as_bytes()
    }
}

struct Blocks<'o, W> {
    tags: Tags,
    out: &'o mut W,
    at: u64,
    number: u64,
}

impl<W: Write> Blocks<'_, W> {
    fn write(&mut self, kind: u8, bytes: &[u8]) -> io::Result<()> {
        let length = u32::try_from(bytes.len()).map_err(io::Error::other)?;
        let tag = self.tags.tag(kind, self.number, bytes);
        self.number += 1;
        self.bytes(&[kind])?;
        self.bytes(&length.to_le_bytes())?;
        self.bytes(&tag)?;
        self.bytes(bytes)
    }

    fn bytes(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.at += bytes.len() as u64;
        self.out.write_all(bytes)
    }
}

/// The next block, which must be of this kind and number.
fn checked(from: &mut impl Read, tags: &Tags, kind: u8, number: u64) -> Result<Vec<u8>, Damage> {
    let (found, bytes, tag) = read_block(from)?;
    if found == kind && tags.tag(kind, number, &bytes) == tag { Ok(bytes) } else { Err(Damage::Checksum) }
}

fn read_block(from: &mut impl Read) -> Result<(u8, Vec<u8>, [u8; 16]), Damage> {
    let (mut kind, mut length, mut tag) = ([0; 1], [0; 4], [0; 16]);
    read_all(from, &mut kind)?;
    read_all(from, &mut length)?;
    read_all(from, &mut tag)?;
    let length = usize::try_from(u32::from_le_bytes(length)).unwrap_or(usize::MAX);
    if length > MAX_BLOCK {
        return Err(Damage::Checksum);
    }
    let mut bytes = Vec::new();
    from.take(length as u64).read_to_end(&mut bytes)?;
    if bytes.len() < length {
        Err(Damage::Checksum)
    } else {
        Ok((kind.first().copied().unwrap_or(0), bytes, tag))
    }
}

/// Fills a buffer; a file that ends before is damaged.
fn read_all(from: &mut impl Read, into: &mut [u8]) -> Result<(), Damage> {
    from.read_exact(into).map_err(|error| match error.kind() {
        io::ErrorKind::UnexpectedEof => Damage::Checksum,
        _ => Damage::Unreadable(error),
    })
}

#[cfg(test)]
mod tests;
