//! The bits that a privacy string is made of: six a letter, the first letter's first.
//!
//! The alphabet is base64url's (RFC 4648, section 5) without padding, as TCF and GPP have it. Reading is lazy and
//! total: it takes no memory, whatever the string claims to hold, and a letter of another alphabet or an early
//! end is `None`.

/// What is left of a string.
#[derive(Clone, Debug)]
pub struct Bits<'t> {
    letters: std::slice::Iter<'t, u8>,
    /// Bits of letters that are begun, and how many of them are left.
    held: u64,
    left: u32,
}

impl<'t> Bits<'t> {
    /// All of a segment.
    pub fn of(text: &'t str) -> Self {
        Self { letters: text.as_bytes().iter(), held: 0, left: 0 }
    }

    /// The next `count` bits as a number; 48 at most.
    pub fn take(&mut self, count: u32) -> Option<u64> {
        while self.left < count {
            self.held = self.held << 6 | u64::from(value(*self.letters.next()?)?);
            self.left += 6;
        }
        self.left -= count;
        let taken = self.held >> self.left;
        self.held &= (1 << self.left) - 1;
        Some(taken)
    }

    /// The next bit.
    pub fn bit(&mut self) -> Option<bool> {
        self.take(1).map(|bit| bit == 1)
    }

    /// The next `count` bits as a number of 16 bits at most.
    pub fn short(&mut self, count: u32) -> Option<u16> {
        u16::try_from(self.take(count)?).ok()
    }

    /// The next number in Fibonacci coding, which ends with two ones (GPP, "Fibonacci Encoding").
    pub fn fibonacci(&mut self) -> Option<u32> {
        let (mut number, mut one, mut next, mut before) = (0_u32, 1_u32, 2_u32, false);
        loop {
            let bit = self.bit()?;
            if bit && before {
                return Some(number);
            }
            if bit {
                number = number.checked_add(one)?;
            }
            (one, next) = (next, one.checked_add(next)?);
            before = bit;
        }
    }

    /// Whether all that is left is letters.
    pub fn rest_is_letters(&self) -> bool {
        self.letters.clone().all(|letter| value(*letter).is_some())
    }

    /// Whether all that is left is zeros: what fills a string up. Anything else was not understood.
    pub fn rest_is_padding(&self) -> bool {
        self.held == 0 && self.letters.clone().all(|letter| *letter == b'A')
    }
}

const fn value(letter: u8) -> Option<u8> {
    match letter {
        b'A'..=b'Z' => Some(letter - b'A'),
        b'a'..=b'z' => Some(letter - b'a' + 26),
        b'0'..=b'9' => Some(letter - b'0' + 52),
        b'-' => Some(62),
        b'_' => Some(63),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bits_come_in_order_and_end() {
        // D = 000011, B = 000001, A, M = 001100
        let mut bits = Bits::of("DBAM");
        assert_eq!((bits.take(6), bits.take(12)), (Some(3), Some(64)));
        assert_eq!((bits.bit(), bits.take(4), bits.take(2)), (Some(false), Some(6), None));
        assert_eq!(Bits::of("________").take(48), Some((1 << 48) - 1));
        for odd in ["=", "+", "/", " ", "é", "~", "."] {
            assert_eq!(Bits::of(odd).bit(), None, "{odd}");
            assert!(!Bits::of(odd).rest_is_letters() && !Bits::of(odd).rest_is_padding(), "{odd}");
        }
    }

    #[test]
    fn fibonacci_numbers_are_those_of_the_standard() {
        // 11, 011, 0011, 1011, 00011, 10011, 01011, and 00 to fill up.
        let mut bits = Bits::of("2djms");
        for number in 1..=7 {
            assert_eq!(bits.fibonacci(), Some(number));
        }
        assert_eq!(bits.fibonacci(), None);
        assert_eq!(Bits::of("AAAAAAAAAAAAAAAAAAAAAAAAA").fibonacci(), None, "no end, or one out of reach");
        assert_eq!(Bits::of("qqqqqqqqqqqqqqqqqqqqqqqqY").fibonacci(), None, "beyond 32 bits");
    }

    #[test]
    fn what_is_left_is_padding_or_not() {
        let mut bits = Bits::of("gAA");
        assert!(!bits.rest_is_padding() && bits.rest_is_letters());
        bits.bit();
        assert!(bits.rest_is_padding());
    }
}
