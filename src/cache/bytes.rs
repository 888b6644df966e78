//! Integers and slices as bytes: LEB128, signed ones zigzag (Protocol Buffers' encoding).

/// Reads from the front; `None` where the bytes do not suffice.
#[derive(Clone)]
pub struct Reader<'a>(pub &'a [u8]);

impl<'a> Reader<'a> {
    /// So many bytes.
    #[inline]
    pub fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(taken)
    }

    /// One byte.
    #[inline]
    pub fn byte(&mut self) -> Option<u8> {
        let (byte, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(*byte)
    }

    /// An unsigned integer.
    #[inline]
    pub fn unsigned(&mut self) -> Option<u64> {
        let first = self.byte()?;
        if first & 0x80 == 0 {
            return Some(u64::from(first));
        }
        let mut number = u64::from(first & 0x7f);
        for shift in (7..64).step_by(7) {
            let byte = self.byte()?;
            number |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Some(number);
            }
        }
        None
    }

    /// A signed integer.
    #[inline]
    pub fn signed(&mut self) -> Option<i64> {
        let zigzag = self.unsigned()?;
        Some((zigzag >> 1).cast_signed() ^ -(zigzag & 1).cast_signed())
    }
}

/// How many bytes an unsigned integer takes.
pub const fn size(number: u64) -> usize {
    let bits = u64::BITS - (number | 1).leading_zeros();
    bits.div_ceil(7) as usize
}

/// Writes an unsigned integer, its lowest bits first.
#[inline]
pub fn unsigned(out: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        out.push(low(number) | 0x80);
        number >>= 7;
    }
    out.push(low(number));
}

/// Writes an unsigned integer over what is there; what does not fit is left out.
pub fn overwrite(out: &mut [u8], mut number: u64) {
    for (byte, left) in out.iter_mut().zip((0..size(number)).rev()) {
        *byte = low(number) | if left > 0 { 0x80 } else { 0 };
        number >>= 7;
    }
}

#[allow(clippy::cast_possible_truncation, reason = "seven bits are left")]
const fn low(number: u64) -> u8 {
    (number & 0x7f) as u8
}

/// Writes a signed integer.
#[inline]
pub fn signed(out: &mut Vec<u8>, number: i64) {
    unsigned(out, (number << 1 ^ number >> 63).cast_unsigned());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integers_come_back() {
        for number in [0, 1, -1, 63, -64, 64, 1_777_629_600_000, i64::MAX, i64::MIN] {
            let mut bytes = Vec::new();
            signed(&mut bytes, number);
            assert_eq!(Reader(&bytes).signed(), Some(number));
            let mut over = vec![0; bytes.len()];
            overwrite(&mut over, Reader(&bytes).unsigned().unwrap());
            assert_eq!((size(Reader(&bytes).unsigned().unwrap()), &over), (bytes.len(), &bytes));
        }
        assert_eq!(Reader(&[0x80; 11]).unsigned(), None);
        assert_eq!(Reader(&[0x80]).unsigned(), None);
    }
}
