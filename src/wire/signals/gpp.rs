//! A GPP string: a header that says which sections there are, and the sections.
//!
//! IAB Tech Lab's Global Privacy Platform, "Consent String Specification", version 1:
//! <https://github.com/InteractiveAdvertisingBureau/Global-Privacy-Platform/tree/main/Core>. A section of a number
//! that nobody here knows is passed over: it is another signal. What a section holds is read elsewhere.

use super::bits::Bits;

/// The sections with their numbers; `None` where the string does not decode. There are as many as the string
/// has, whatever its header claims.
pub fn sections(text: &str) -> Option<Vec<(u32, &str)>> {
    const HEADER: u64 = 3;
    const VERSION: u64 = 1;
    let mut parts = text.split('~');
    let mut bits = Bits::of(parts.next()?);
    if (bits.take(6)?, bits.take(6)?) != (HEADER, VERSION) {
        return None;
    }
    let (mut sections, mut last) = (Vec::new(), 0_u32);
    for _ in 0..bits.take(12)? {
        let is_group = bits.bit()?;
        let first = last.checked_add(bits.fibonacci()?)?;
        last = if is_group { first.checked_add(bits.fibonacci()?)? } else { first };
        for number in first..=last {
            sections.push((number, parts.next()?));
        }
    }
    (parts.next().is_none() && bits.rest_is_padding()).then_some(sections)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbers(text: &str) -> Option<Vec<u32>> {
        sections(text).map(|sections| sections.iter().map(|(number, _)| *number).collect())
    }

    #[test]
    fn headers_of_the_standard() {
        let tcf = "CPXxRfAPXxRfAAfKABENB-CgAAAAAAAAAAYgAAAAAAAA";
        assert_eq!(sections(&format!("DBABM~{tcf}")), Some(vec![(2, tcf)]));
        assert_eq!(sections(&format!("DBACNY~{tcf}~1YNN")), Some(vec![(2, tcf), (6, "1YNN")]));
        assert_eq!(sections(&format!("DBABjw~{tcf}~1YNN")), Some(vec![(5, tcf), (6, "1YNN")]));
        // With the padding of the reference implementation.
        assert_eq!(numbers("DBAA"), Some(vec![]));
        assert_eq!(numbers("DBABMA~x"), Some(vec![2]));
        assert_eq!(numbers("DBACNYA~x~y"), Some(vec![2, 6]));
    }

    #[test]
    fn every_offset_is_from_the_number_before() {
        // 3 items: 0 011 (2), 0 0011 (+ 3 = 5), 0 011 (+ 2 = 7).
        assert_eq!(numbers("DBADMZg~a~b~c"), Some(vec![2, 5, 7]));
        // 0 011 (2), 0 00011 (+ 5 = 7), 0 011 (+ 2 = 9).
        assert_eq!(numbers("DBADMMw~a~b~c"), Some(vec![2, 7, 9]));
        // 0 011 (2), 1 0011 011 (5 to 7), 0 11 (8).
        assert_eq!(numbers("DBADObY~a~b~c~d~e"), Some(vec![2, 5, 6, 7, 8]));
    }

    #[test]
    fn what_does_not_decode() {
        for bad in [
            "",
            "~",
            "D",
            "DBAB",
            "DBABM",
            "DBABM~a~b",
            "DBACNY~a",
            "DCABM~a",
            "CBABM~a",
            "DBABM=~a",
            "DBABMB~a",
            "DBA_AAAAAAAAAAAAAAAAAAAAAAAAAAA~a",
            "CPXxRfAPXxRfAAfKABENB-CgAAAAAAAAAAYgAAAAAAAA",
        ] {
            assert_eq!(sections(bad), None, "{bad}");
        }
        // A group from 1 on with more members than there are numbers in a life.
        assert_eq!(numbers("DBABwAAAAAAAY~a"), None);
    }
}
