//! A TC string, as far as one vendor is concerned.
//!
//! IAB Europe's Transparency & Consent Framework, "Consent string and vendor list formats v2", versions 2.0 to
//! 2.3: <https://github.com/InteractiveAdvertisingBureau/GDPR-Transparency-and-Consent-Framework/tree/main/TCFv2>.
//!
//! Looked at: what the person consents to by purpose and by vendor, whether the vendor was disclosed where the
//! string says who was, the publisher's restrictions, and when it was last updated. Not looked at: legitimate
//! interests, which are no consent and of which a missing one may be an objection or nothing; special features;
//! the special treatment of purpose 1; the publisher's own purposes; the list of vendors, and the version of the
//! policies, which the standard's own examples have wrong. A string that is not for this service alone
//! (`IsServiceSpecific`) is invalid by the standard since 2021, and does not decode here.
//!
//! A string may name any number of ranges of 65,535 vendors, so no set of vendors is ever made: each range is
//! asked whether the one vendor is in it.

use super::bits::Bits;
use crate::time::Timestamp;

/// What a TC string says of one vendor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Consents {
    /// When the string was last updated; since 2021 that is the day, at midnight UTC.
    pub last_updated: Timestamp,
    /// Whether the person consents to the vendor, and it was disclosed to them if the string says who was.
    vendor: bool,
    /// Purpose n as bit n - 1.
    purposes: u32,
    /// The purposes for which the publisher does not let the vendor stand on consent.
    restricted: u32,
}

/// Purposes that there is a bit for.
const PURPOSES: u32 = 24;

impl Consents {
    /// Reads a string; `None` where it does not decode, or is invalid by its standard.
    pub fn read(text: &str, vendor: u16) -> Option<Self> {
        let mut segments = text.split('.');
        let mut said = Self::core(segments.next()?, vendor)?;
        let mut disclosed = None;
        for segment in segments {
            let mut bits = Bits::of(segment);
            match bits.take(3)? {
                1 if disclosed.is_none() => {
                    disclosed = Some(vendors(&mut bits, vendor)?);
                    bits.rest_is_padding().then_some(())?;
                }
                // Vendors allowed (2.0 only, for strings of a global scope), and the publisher's own purposes.
                2 | 3 => bits.rest_is_letters().then_some(())?,
                _ => return None,
            }
        }
        said.vendor &= disclosed.unwrap_or(true);
        Some(said)
    }

    /// Whether the person consents to the vendor's processing for this purpose.
    pub fn permits(&self, purpose: u8) -> bool {
        let bit = bit(purpose.into());
        self.vendor && self.purposes & bit != 0 && self.restricted & bit == 0
    }

    fn core(text: &str, vendor: u16) -> Option<Self> {
        let mut bits = Bits::of(text);
        let version = bits.take(6)?;
        let (_created, updated) = (bits.take(36)?, bits.take(36)?);
        // CMP, its version and screen, the language, the version of the vendor list.
        bits.take(12 + 12 + 6)?;
        bits.take(12 + 12)?;
        let (_policy, is_service_specific) = (bits.take(6)?, bits.bit()?);
        // Non-standard texts, special features.
        bits.take(1 + 12)?;
        let purposes = (1..=PURPOSES).try_fold(0, |set, purpose| {
            let given = bits.bit()?;
            Some(if given { set | bit(purpose) } else { set })
        })?;
        // Legitimate interests by purpose, treatment of purpose 1, the publisher's country.
        bits.take(24 + 1 + 12)?;
        let consents = vendors(&mut bits, vendor)?;
        let _legitimate_interests = vendors(&mut bits, vendor)?;
        let restricted = restrictions(&mut bits, vendor)?;
        // Tenths of a second, in 36 bits.
        let last_updated = Timestamp(i64::try_from(updated).ok()? * 100);
        let is_valid = version == 2 && is_service_specific && bits.rest_is_padding();
        is_valid.then_some(Self { last_updated, vendor: consents, purposes, restricted })
    }
}

const fn bit(purpose: u32) -> u32 {
    match purpose {
        1..=PURPOSES => 1 << (purpose - 1),
        _ => 0,
    }
}

/// Whether a vendor is in the set that follows, a bit field or ranges.
fn vendors(bits: &mut Bits<'_>, vendor: u16) -> Option<bool> {
    let (max, is_range) = (bits.short(16)?, bits.bit()?);
    if is_range {
        return Some(ranges(bits, vendor)? && vendor <= max);
    }
    let mut is_in = false;
    for id in 1..=max {
        is_in |= bits.bit()? && id == vendor;
    }
    Some(is_in)
}

/// Whether a vendor is in one of the ranges that follow.
fn ranges(bits: &mut Bits<'_>, vendor: u16) -> Option<bool> {
    let mut is_in = false;
    for _ in 0..bits.take(12)? {
        let (is_range, first) = (bits.bit()?, bits.short(16)?);
        let last = if is_range { bits.short(16)? } else { first };
        if last < first {
            return None;
        }
        is_in |= (first..=last).contains(&vendor);
    }
    Some(is_in)
}

/// The purposes for which a publisher does not let the vendor stand on consent: flatly not allowed (0),
/// legitimate interest required (2), or no restriction that there is (3). That consent is required (1) changes
/// nothing for who asks for consent alone.
fn restrictions(bits: &mut Bits<'_>, vendor: u16) -> Option<u32> {
    const CONSENT_REQUIRED: u64 = 1;
    let mut restricted = 0;
    for _ in 0..bits.take(12)? {
        let (purpose, kind) = (bits.take(6)?, bits.take(2)?);
        if ranges(bits, vendor)? && kind != CONSENT_REQUIRED {
            restricted |= bit(u32::try_from(purpose).ok()?);
        }
    }
    Some(restricted)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Of the reference implementation (IAB Tech Lab, `iabgpp-es`): purposes 1, 3 to 6, vendors 11, 28 and 29, and
    /// 50, 60, 80 disclosed besides.
    const TC: &str = "CPTtLAAPTtLAAAKAAAENAAFgALwAAEAAAAAAAOgAgABgAAAA.IAoAAgABgAAEAQAAEAAA.d4AACEAAAAAA";

    fn permitted(text: &str, vendor: u16) -> Option<Vec<u8>> {
        let said = Consents::read(text, vendor)?;
        Some((0..=u8::MAX).filter(|purpose| said.permits(*purpose)).collect())
    }

    #[test]
    fn consent_is_of_the_vendor_and_of_each_purpose() {
        for vendor in [11, 28, 29] {
            assert_eq!(permitted(TC, vendor), Some(vec![1, 3, 4, 5, 6]), "{vendor}");
        }
        for vendor in [1, 10, 12, 27, 30, 50, 65535] {
            assert_eq!(permitted(TC, vendor), Some(vec![]), "{vendor}");
        }
        let at = Consents::read(TC, 11).unwrap().last_updated;
        assert_eq!(at.to_string(), "2022-02-01T00:00:00Z");
        // Without a single segment but the core.
        assert_eq!(permitted(TC.split('.').next().unwrap(), 28), Some(vec![1, 3, 4, 5, 6]));
    }

    /// The standards' own examples: nobody consents.
    #[test]
    fn examples_of_the_standards() {
        for text in [
            "CPXxRfAPXxRfAAfKABENB-CgAAAAAAAAAAYgAAAAAAAA",
            "CQSbk4AQSbk4ANwAAAENAwCgAAAAAAAAAAYgACPAAAAA.IDKQA4AAgAKAGQAygAAA.YAAAAAAAAAAA",
        ] {
            assert_eq!(permitted(text, 11), Some(vec![]), "{text}");
        }
    }

    #[test]
    fn a_vendor_that_was_not_disclosed_has_no_consent() {
        let core = TC.split('.').next().unwrap();
        assert_eq!(permitted(&format!("{core}.IAAA"), 28), Some(vec![]));
        assert_eq!(permitted(&format!("{core}.YAAAAAAAAAAA"), 28), Some(vec![1, 3, 4, 5, 6]));
    }

    /// Strings that several public decoders are tested with.
    #[test]
    fn what_a_publisher_restricts() {
        let text = "COxPe2TOxPe2TALABAENAPCgAAAAAAAAAAAAAFAAAAoAAA4IACACAIABgACAFA4ADACAAIygAGADwAQBIAIAIB0AEAEBSACACAA";
        let restricted = |text, vendor| Consents::read(text, vendor).unwrap().restricted;
        assert_eq!(restricted(text, 32) & 0b11, 0b11, "1 and 2 not allowed");
        assert_eq!(restricted(text, 5) & 0b10, 0b10);
        assert_eq!(restricted(text, 44) & 0b10, 0);
        let text = "COwAdDhOwAdDhN4ABAENAPCgAAQAAv___wAAAFP_AAp_4AI6ACACAA";
        assert_eq!(restricted(text, 32), 0, "to require consent changes nothing");
    }

    #[test]
    fn what_does_not_decode_or_is_invalid() {
        let core = TC.split('.').next().unwrap();
        // Of version 1, and for every service.
        for text in ["BO5a1L7O5a1L7AAABBENC2-AAAAtH", "COvFyGBOvFyGBAbAAAENAPCAAOAAAAAAAAAAAEEUACCKAAA"] {
            assert_eq!(permitted(text, 2), None, "{text}");
        }
        for text in ["", ".", "C", "CPX", "DBABM~x", " ", "null"] {
            assert_eq!(permitted(text, 11), None, "{text}");
        }
        for segment in ["", "A", "IAoAAgABgAAEAQAAEAA=", "gAAA", "IA", "IAAA.IAAA", "IAAB"] {
            assert_eq!(permitted(&format!("{core}.{segment}"), 11), None, "{segment}");
        }
        assert_eq!(permitted(&format!("{core}B"), 11), None, "something that nobody reads");
        for cut in 0..core.len() - 1 {
            assert_eq!(permitted(&core[..cut], 11), None, "{cut}");
        }
    }

    #[test]
    fn ranges_take_no_memory() {
        // 4,095 ranges from 1 to 65,535 in the place of the vendors: half a gigabyte if they were listed.
        let bits: String = (0..).map_while(|index| Bits::of(TC).clone().nth_bit(index)).take(213).collect();
        let range = "1".to_owned() + &format!("{:016b}{:016b}", 1, 65535);
        let vendors = format!("{:016b}1{:012b}", 65535, 4095) + &range.repeat(4095);
        let text = super::super::tests::letters(&(bits + &vendors + &"0".repeat(17 + 12)));
        assert_eq!(permitted(&text, 77), Some(vec![1, 3, 4, 5, 6]));
    }

    impl Bits<'_> {
        fn nth_bit(mut self, index: usize) -> Option<char> {
            (0..index).try_for_each(|_| self.bit().map(drop))?;
            self.bit().map(|bit| if bit { '1' } else { '0' })
        }
    }
}
