//! Words that many subjects share, each kept once and known by a number.
//!
//! Numbers are given by the follower and read by every worker without a lock; a number once given never
//! changes its meaning. What is bounded: a record that would go over a bound is refused here ([`Full`]),
//! and its subject is denied, so that no flood of invented words can exhaust the memory.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use jiff::tz::TimeZone;

use super::grant::Shape;
use super::window::Window;

/// Shapes of grants that are kept. A policy's purposes × channels × recipients × answers come to thousands.
const MAX_SHAPES: usize = 1_000_000;
/// Bytes of all shapes, or of all words of another kind, that are kept.
const MAX_BYTES: usize = 64 << 20;
/// Channels named in contact windows that are kept.
const MAX_CHANNELS: usize = 65_536;
/// Time zones that are kept; the IANA database has about 600 names.
const MAX_ZONES: usize = 4_096;

/// A bound of the vocabulary is reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Full;

/// The number of a time zone.
pub type ZoneId = u32;

/// A subject's own window, for one channel or (0) for every channel without one of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ContactWindow {
    /// The number of the channel's word; 0 stands for any.
    pub channel: u32,
    /// When it is open; `None`: never.
    pub window: Option<Window>,
}

/// The words of all subjects.
#[derive(Debug)]
pub struct Vocabulary {
    shapes: Interner<Shape>,
    channels: Interner<Box<str>>,
    zone_names: Interner<Box<str>>,
    zones: boxcar::Vec<TimeZone>,
}

impl Default for Vocabulary {
    fn default() -> Self {
        let channels = Interner::new(MAX_CHANNELS);
        // Number 0 is the channel that stands for any.
        let _ = channels.number(&"".into());
        Self {
            shapes: Interner::new(MAX_SHAPES),
            channels,
            zone_names: Interner::new(MAX_ZONES),
            zones: boxcar::Vec::new(),
        }
    }
}

impl Vocabulary {
    /// The number of a shape.
    pub fn shape(&self, shape: &Shape) -> Result<u32, Full> {
        self.shapes.number(shape)
    }

    /// The shape with this number.
    pub fn shape_at(&self, number: u32) -> Option<&Shape> {
        self.shapes.at(number)
    }

    /// How many shapes there are.
    pub fn shapes(&self) -> usize {
        self.shapes.words.count()
    }

    /// The number of a contact window's channel; 0 for `*` and for none.
    pub fn channel(&self, channel: &str) -> Result<u32, Full> {
        let folded = super::grant::fold(channel);
        if folded.is_empty() || folded == "*" { Ok(0) } else { self.channels.number(&folded.into()) }
    }

    /// The channel with this number, folded; number 0 stands for any and is empty.
    pub fn channel_at(&self, number: u32) -> Option<&str> {
        self.channels.at(number).map(|word| &**word)
    }

    /// Whether the channel with this number is `folded`.
    pub fn channel_is(&self, number: u32, folded: &str) -> bool {
        number != 0 && self.channels.at(number).is_some_and(|word| &**word == folded)
    }

    /// The number of an IANA time zone; `None` if there is no such zone.
    pub fn zone(&self, name: &str) -> Result<Option<ZoneId>, Full> {
        // Most people name none, and whoever does names it as the database does.
        if name.is_empty() {
            return Ok(None);
        }
        if let Some(number) = self.zone_names.known(&name.into()) {
            return Ok(Some(number));
        }
        let Some(zone) = super::window::zone(name) else { return Ok(None) };
        let name = zone.iana_name().unwrap_or(name);
        self.zone_names
            .number_with(&name.into(), |number| {
                while self.zones.count() <= number {
                    self.zones.push(zone.clone());
                }
            })
            .map(Some)
    }

    /// The name of the time zone with this number.
    pub fn zone_name_at(&self, number: ZoneId) -> Option<&str> {
        self.zone_names.at(number).map(|name| &**name)
    }

    /// The time zone with this number.
    pub fn zone_at(&self, number: ZoneId) -> Option<&TimeZone> {
        self.zones.get(number as usize)
    }
}

/// Words and their numbers: read without a lock, added to under one.
#[derive(Debug)]
struct Interner<T> {
    words: boxcar::Vec<Arc<T>>,
    numbers: Mutex<HashMap<Arc<T>, u32>>,
    max: usize,
    /// What may still be added, in bytes.
    room: AtomicUsize,
}

/// What a word takes.
trait Word {
    /// Its bytes beyond its own struct.
    fn bytes(&self) -> usize;
}

impl Word for Box<str> {
    fn bytes(&self) -> usize {
        self.len()
    }
}

impl Word for Shape {
    fn bytes(&self) -> usize {
        self.purpose.len() + self.channel.len() + self.recipient.len() + self.level.len()
    }
}

impl<T: Word + Clone + Eq + Hash> Interner<T> {
    fn new(max: usize) -> Self {
        let room = AtomicUsize::new(MAX_BYTES);
        Self { words: boxcar::Vec::new(), numbers: Mutex::new(HashMap::new()), max, room }
    }

    fn number(&self, word: &T) -> Result<u32, Full> {
        self.number_with(word, |_| {})
    }

    /// The word's number; a new one is announced to `first` before anybody can learn it.
    fn number_with(&self, word: &T, first: impl FnOnce(usize)) -> Result<u32, Full> {
        let mut numbers = self.numbers.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(number) = numbers.get(word) {
            return Ok(*number);
        }
        let left = self.room.load(Ordering::Relaxed).checked_sub(word.bytes()).ok_or(Full)?;
        if numbers.len() >= self.max {
            return Err(Full);
        }
        // Only changed here, under the lock.
        self.room.store(left, Ordering::Relaxed);
        let word = Arc::new(word.clone());
        let index = self.words.push(Arc::clone(&word));
        first(index);
        let number = u32::try_from(index).map_err(|_| Full)?;
        numbers.insert(word, number);
        Ok(number)
    }

    /// The number of a word that has one.
    fn known(&self, word: &T) -> Option<u32> {
        self.numbers.lock().unwrap_or_else(PoisonError::into_inner).get(word).copied()
    }

    fn at(&self, number: u32) -> Option<&T> {
        self.words.get(number as usize).map(|word| &**word)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_keeps_its_number_and_a_bound_holds() {
        let interner = Interner::<Box<str>>::new(2);
        let number = |word: &str| interner.number(&word.into());
        assert_eq!((number("a"), number("b"), number("a")), (Ok(0), Ok(1), Ok(0)));
        assert_eq!((number("c"), number("b")), (Err(Full), Ok(1)));
    }

    #[test]
    fn long_words_take_their_room() {
        let interner = Interner::<Box<str>>::new(10);
        let half = MAX_BYTES / 2;
        let word = |letter: &str, length| letter.repeat(length).into_boxed_str();
        assert_eq!(interner.number(&word("a", half)), Ok(0));
        assert_eq!(interner.number(&word("b", half + 1)), Err(Full));
        assert_eq!(interner.number(&word("b", half)), Ok(1));
        assert_eq!(interner.number(&word("c", 1)), Err(Full));
        assert_eq!(interner.number(&word("a", half)), Ok(0), "what is known stays known");
    }

    #[test]
    fn zones_and_channels_are_known_by_one_number_however_written() {
        let words = Vocabulary::default();
        assert_eq!(words.zone("Europe/Amsterdam"), words.zone("europe/amsterdam"));
        assert_eq!(words.zone("Mars/Olympus"), Ok(None));
        assert_eq!(words.channel(" Email"), words.channel("email"));
        assert_eq!((words.channel(" * "), words.channel("")), (Ok(0), Ok(0)));
        let email = words.channel("email").unwrap();
        assert!(words.channel_is(email, "email") && !words.channel_is(0, ""));
    }
}
