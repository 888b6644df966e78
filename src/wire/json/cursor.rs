//! A cursor over the text of a JSON value (RFC 8259): goes past strings, numbers and whole values, and checks
//! them on the way.
//!
//! This is the innermost loop of all, and the one part of JSON that is not left to a library: on an event of
//! 578 bytes it takes a fraction of what serde_json takes to ignore the same value with the same certainty
//! (`cargo bench -- decide`). What it accepts is exactly what serde_json accepts; a test compares them. Inside
//! strings it reads sixteen bytes at once, what is open takes a bit a level, and nothing recurses. `None` from
//! any step: the text is malformed.

use std::borrow::Cow;

use wide::u8x16;

/// A place in a text, and how deeply it is nested.
pub struct Cursor<'v> {
    text: &'v str,
    at: usize,
    depth: usize,
    deepest: usize,
}

impl<'v> Cursor<'v> {
    /// At the beginning of a text.
    pub const fn new(text: &'v str) -> Self {
        Self { text, at: 0, depth: 0, deepest: 0 }
    }

    /// The deepest level so far; the outermost container is level 1.
    pub const fn deepest(&self) -> usize {
        self.deepest
    }

    /// Where it is, in bytes.
    pub const fn at(&self) -> usize {
        self.at
    }

    /// The text from `begun` to just before `end`.
    pub fn between(&self, begun: usize, end: usize) -> &'v str {
        self.text.get(begun..end).unwrap_or_default()
    }

    /// The text from `begun` to here.
    pub fn since(&self, begun: usize) -> &'v str {
        self.text.get(begun..self.at).unwrap_or_default()
    }

    /// The next byte that is no white space, which is not taken.
    #[inline]
    pub fn peek(&mut self) -> Option<u8> {
        let (byte, at) = peek(self.text.as_bytes(), self.at)?;
        self.at = at;
        Some(byte)
    }

    /// That nothing but white space is left.
    pub fn end(&mut self) -> Option<()> {
        self.peek().is_none().then_some(())
    }

    /// Enters the container that begins here and ends with `close`: whether anything is in it.
    pub fn open(&mut self, close: u8) -> Option<bool> {
        self.at += 1;
        self.depth += 1;
        self.deepest = self.deepest.max(self.depth);
        if self.peek()? != close {
            return Some(true);
        }
        self.leave();
        Some(false)
    }

    /// After something in a container that ends with `close`: whether more follows.
    pub fn goes_on(&mut self, close: u8) -> Option<bool> {
        let byte = self.peek()?;
        if byte == b',' {
            self.at += 1;
            return Some(true);
        }
        if byte != close {
            return None;
        }
        self.leave();
        Some(false)
    }

    const fn leave(&mut self) {
        self.at += 1;
        self.depth -= 1;
    }

    /// A member's name and the colon behind it. One that stands for no text (a lone surrogate) is told apart
    /// by how it is written.
    pub fn name(&mut self) -> Option<Cow<'v, str>> {
        let bytes = self.text.as_bytes();
        let (_, begun) = peek(bytes, self.at)?;
        let (ended, escaped) = string(bytes, begun)?;
        self.at = colon(bytes, ended)?;
        if escaped {
            let written = self.text.get(begun..ended)?;
            return Some(serde_json::from_str(written).unwrap_or(Cow::Borrowed(written)));
        }
        self.text.get(begun + 1..ended - 1).map(Cow::Borrowed)
    }

    /// Past one value, whatever is in it.
    pub fn pass(&mut self) -> Option<()> {
        let bytes = self.text.as_bytes();
        let (first, at) = peek(bytes, self.at)?;
        self.at = match first {
            b'{' | b'[' => return self.container(at),
            b'"' => string(bytes, at)?.0,
            _ => word(bytes, at, first)?,
        };
        Some(())
    }

    /// Past the container at `at`.
    fn container(&mut self, mut at: usize) -> Option<()> {
        let bytes = self.text.as_bytes();
        let mut open = Nesting::default();
        let (mut byte, mut deepest) = (*bytes.get(at)?, 0);
        loop {
            // A value begins here with `byte`.
            match byte {
                b'"' => at = string(bytes, at)?.0,
                b'{' | b'[' => {
                    open.push(byte == b'{');
                    deepest = open.depth.max(deepest);
                    (byte, at) = peek(bytes, at + 1)?;
                    if byte != open.close() {
                        if open.is_object() {
                            (byte, at) = peek(bytes, member(bytes, at)?)?;
                        }
                        continue;
                    }
                    at += 1;
                    open.pop();
                }
                _ => at = word(bytes, at, byte)?,
            }
            // A value has ended, and with it perhaps what it stood in.
            loop {
                if open.depth == 0 {
                    self.deepest = self.deepest.max(self.depth + deepest);
                    self.at = at;
                    return Some(());
                }
                (byte, at) = peek(bytes, at)?;
                if byte == b',' {
                    (byte, at) = peek(bytes, at + 1)?;
                    if open.is_object() {
                        (byte, at) = peek(bytes, member(bytes, at)?)?;
                    }
                    break;
                }
                if byte != open.close() {
                    return None;
                }
                at += 1;
                open.pop();
            }
        }
    }
}

/// Which containers are open: a bit each, set for an object.
#[derive(Default)]
struct Nesting {
    depth: usize,
    /// The innermost ones, the last of all lowest.
    bits: u64,
    /// The others, 64 a word.
    outer: Vec<u64>,
}

impl Nesting {
    fn push(&mut self, is_object: bool) {
        if self.depth > 0 && self.depth.is_multiple_of(64) {
            self.outer.push(self.bits);
        }
        self.bits = self.bits << 1 | u64::from(is_object);
        self.depth += 1;
    }

    fn pop(&mut self) {
        self.depth -= 1;
        self.bits >>= 1;
        if self.depth > 0 && self.depth.is_multiple_of(64) {
            self.bits = self.outer.pop().unwrap_or_default();
        }
    }

    const fn is_object(&self) -> bool {
        self.bits & 1 == 1
    }

    /// What ends the innermost container.
    const fn close(&self) -> u8 {
        if self.is_object() { b'}' } else { b']' }
    }
}

/// The first byte from `at` on that is no white space, and where it is.
#[inline(always)]
fn peek(bytes: &[u8], mut at: usize) -> Option<(u8, usize)> {
    loop {
        let byte = *bytes.get(at)?;
        if byte > b' ' || !matches!(byte, b' ' | b'\t' | b'\n' | b'\r') {
            return Some((byte, at));
        }
        at += 1;
    }
}

/// Where the text goes on after the colon that comes next.
#[inline(always)]
fn colon(bytes: &[u8], at: usize) -> Option<usize> {
    let (byte, at) = peek(bytes, at)?;
    (byte == b':').then_some(at + 1)
}

/// Where the text goes on after the member's name at `at` and its colon.
#[inline(always)]
fn member(bytes: &[u8], at: usize) -> Option<usize> {
    colon(bytes, string(bytes, at)?.0)
}

/// Where the text goes on after the string at `at`, and whether anything in it is escaped.
#[inline(always)]
fn string(bytes: &[u8], mut at: usize) -> Option<(usize, bool)> {
    if *bytes.get(at)? != b'"' {
        return None;
    }
    at += 1;
    let mut escaped = false;
    loop {
        if let Some(some) = bytes.get(at..).and_then(<[u8]>::first_chunk) {
            let stops = stops(u8x16::new(*some));
            if stops == 0 {
                at += 16;
                continue;
            }
            at += stops.trailing_zeros() as usize;
        }
        match *bytes.get(at)? {
            b'"' => return Some((at + 1, escaped)),
            b'\\' => {
                escaped = true;
                at += escape(bytes.get(at + 1..)?)?;
            }
            0..0x20 => return None,
            _ => at += 1,
        }
    }
}

/// A bit for each byte that a string cannot run past: `"`, `\` and what is below a space.
#[inline(always)]
fn stops(some: u8x16) -> u32 {
    let control = some.min(u8x16::splat(0x1f)).simd_eq(some);
    (some.simd_eq(u8x16::splat(b'"')) | some.simd_eq(u8x16::splat(b'\\')) | control).to_bitmask()
}

/// How long the escape is whose backslash these bytes follow.
#[cold]
fn escape(after: &[u8]) -> Option<usize> {
    match after.first()? {
        b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't' => Some(2),
        b'u' => after.get(1..5)?.iter().all(u8::is_ascii_hexdigit).then_some(6),
        _ => None,
    }
}

/// Where the text goes on after the number, `true`, `false` or `null` at `at`, which begins with `first`.
#[inline]
fn word(bytes: &[u8], at: usize, first: u8) -> Option<usize> {
    let literal = |word: &[u8]| bytes.get(at..)?.starts_with(word).then_some(at + word.len());
    match first {
        b'1'..=b'9' => fraction(bytes, digits(bytes, at + 1)),
        b'0' => fraction(bytes, at + 1),
        b'-' => match bytes.get(at + 1)? {
            b'0' => fraction(bytes, at + 2),
            _ => fraction(bytes, some_digits(bytes, at + 1)?),
        },
        b't' => literal(b"true"),
        b'f' => literal(b"false"),
        b'n' => literal(b"null"),
        _ => None,
    }
}

/// Where the text goes on after the fraction and the exponent of a number whose integer part ends at `at`.
/// A digit behind a leading zero, like anything else, is seen by whoever goes on.
#[inline]
fn fraction(bytes: &[u8], mut at: usize) -> Option<usize> {
    if bytes.get(at) == Some(&b'.') {
        at = some_digits(bytes, at + 1)?;
    }
    if matches!(bytes.get(at), Some(b'e' | b'E')) {
        at += 1;
        if matches!(bytes.get(at), Some(b'+' | b'-')) {
            at += 1;
        }
        at = some_digits(bytes, at)?;
    }
    Some(at)
}

/// Where the digits from `at` on end.
#[inline]
fn digits(bytes: &[u8], mut at: usize) -> usize {
    while bytes.get(at).is_some_and(u8::is_ascii_digit) {
        at += 1;
    }
    at
}

/// Where the digits from `at` on end, at least one.
fn some_digits(bytes: &[u8], at: usize) -> Option<usize> {
    Some(digits(bytes, at)).filter(|end| *end > at)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn passes(text: &str) -> bool {
        let mut cursor = Cursor::new(text);
        cursor.pass().and_then(|()| cursor.end()).is_some()
    }

    fn serde_passes(text: &str) -> bool {
        serde_json::from_str::<serde::de::IgnoredAny>(text).is_ok()
    }

    /// A value of every kind, with white space where it may stand.
    fn value(random: &mut fastrand::Rng, depth: usize, out: &mut String) {
        let space = |random: &mut fastrand::Rng| *random.choice(&["", "", "", " ", "\n\t\r "]).unwrap_or(&"");
        out.push_str(space(random));
        match random.usize(..if depth == 0 { 3 } else { 5 }) {
            0 => out.push_str(
                random.choice(&["true", "false", "null", "0", "-0", "1.5e+10", "9E-1", "120"]).unwrap(),
            ),
            1 => out.push_str(&format!("{}.{}", random.i64(..), random.u32(..))),
            2 => string(random, out),
            3 => {
                out.push('{');
                for member in 0..random.usize(..4) {
                    out.push_str(if member > 0 { "," } else { "" });
                    out.push_str(space(random));
                    string(random, out);
                    out.push_str(space(random));
                    out.push(':');
                    value(random, depth - 1, out);
                }
                out.push('}');
            }
            _ => {
                out.push('[');
                for element in 0..random.usize(..4) {
                    out.push_str(if element > 0 { "," } else { "" });
                    value(random, depth - 1, out);
                }
                out.push(']');
            }
        }
        out.push_str(space(random));
    }

    fn string(random: &mut fastrand::Rng, out: &mut String) {
        let parts =
            ["a", "€", "{", "]", ",", ":", "\\n", "\\\"", "\\\\", "\\u00e9", "\\ud800", "seven b", "𝄞"];
        out.push('"');
        (0..random.usize(..12)).for_each(|_| out.push_str(random.choice(&parts).unwrap()));
        out.push('"');
    }

    /// Breaks a text in one place, perhaps.
    fn break_up(random: &mut fastrand::Rng, text: &str) -> String {
        let mut characters: Vec<char> = text.chars().collect();
        let at = random.usize(..characters.len());
        let others: Vec<char> = "{}[]\",:\\0e.-+tu \u{1}\u{1f}\u{7f}é".chars().collect();
        let other = *random.choice(&others).unwrap();
        match random.u8(..5) {
            0 => characters[at] = other,
            1 => characters.insert(at, other),
            2 => drop(characters.remove(at)),
            3 => characters.truncate(at),
            _ => {}
        }
        characters.into_iter().collect()
    }

    #[test]
    fn accepts_what_serde_json_accepts() {
        let mut random = fastrand::Rng::with_seed(17);
        let (mut good, mut bad) = (0, 0);
        for case in 0..60_000 {
            let mut text = String::new();
            value(&mut random, 4, &mut text);
            let text = break_up(&mut random, &text);
            let expected = serde_passes(&text);
            assert_eq!(passes(&text), expected, "case {case}: {text:?}");
            if expected { good += 1 } else { bad += 1 }
        }
        assert!(good > 10_000 && bad > 10_000, "{good} good, {bad} bad");
    }

    #[test]
    fn every_byte_at_every_place_of_a_string() {
        for length in 0..36 {
            for at in 0..length {
                for byte in 0..0x80_u8 {
                    let mut inner = vec![b'x'; length];
                    inner[at] = byte;
                    let text = format!("\"{}\"", String::from_utf8(inner).unwrap());
                    assert_eq!(passes(&text), serde_passes(&text), "{text:?}");
                }
            }
        }
    }

    #[test]
    fn nesting_of_any_depth_is_told() {
        let mut random = fastrand::Rng::with_seed(1);
        for depth in [1, 63, 64, 65, 128, 129, 1000] {
            let open: Vec<bool> = (0..depth).map(|_| random.bool()).collect();
            let mut text: String = open.iter().map(|is| if *is { "{\"a\":" } else { "[1," }).collect();
            text.push('1');
            text.extend(open.iter().rev().map(|is| if *is { '}' } else { ']' }));
            let mut cursor = Cursor::new(&text);
            assert!(cursor.pass().is_some() && cursor.end().is_some());
            assert_eq!(cursor.deepest(), depth);
            let wrong = text.replacen(if open[depth / 2] { '}' } else { ']' }, "", 1);
            assert!(!passes(&wrong), "{depth}");
        }
    }
}
