//! One line of a consent record.
//!
//! A grant is split in two: its [`Shape`] (every word it says, shared by all subjects who say the same)
//! and its times. Shapes are few and get a number each, so that a grant is packed small and a route
//! compares a shape's words once, not once a record.

use crate::time::Timestamp;

macro_rules! words {
    ($(#[$doc:meta])* $name:ident, other $other:ident, $($variant:ident $word:literal $text:literal,)*) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum $name {
            $(#[doc = $text] $variant,)*
            /// Any other word, or none.
            $other,
        }

        impl $name {
            /// Reads a word, compared exactly.
            pub fn read(word: &str) -> Self {
                match word { $($word => Self::$variant,)* _ => Self::$other }
            }

            /// The word that reads as this; empty for any other.
            pub const fn word(self) -> &'static str {
                match self { $(Self::$variant => $word,)* Self::$other => "" }
            }
        }
    };
}

words! {
    /// What the person answered. A word that is not known refuses.
    Status, other Unrecognized,
    Requested "requested" "Asked, not answered.",
    Given "given" "Given once.",
    Confirmed "confirmed" "Given, and confirmed a second time.",
    Refused "refused" "Refused.",
    Withdrawn "withdrawn" "Taken back by the person.",
    Revoked "revoked" "Taken back by the controller or an authority.",
    Objected "objected" "Objected to.",
    Invalidated "invalidated" "Found not to hold.",
}

words! {
    /// The legal basis (GDPR art. 6(1)) a grant stands on.
    Basis, other Other,
    Consent "consent" "Consent.",
    Contract "contract" "A contract with the person.",
    LegalObligation "legal_obligation" "A legal obligation.",
    VitalInterest "vital_interest" "A vital interest.",
    PublicTask "public_task" "A public task.",
    LegitimateInterest "legitimate_interest" "A legitimate interest.",
}

impl Basis {
    /// This basis as one bit. The bit of `Other` is in no route's set.
    pub const fn bit(self) -> u8 {
        1 << self as u8
    }

    /// Whether it stands although the person takes consent back in general.
    pub const fn is_essential(self) -> bool {
        match self {
            Self::Contract | Self::LegalObligation | Self::VitalInterest => true,
            Self::Consent | Self::PublicTask | Self::LegitimateInterest | Self::Other => false,
        }
    }
}

/// Every word of a grant, as written; an empty one is an absent one.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Shape {
    /// A purpose, or `*`.
    pub purpose: Box<str>,
    /// A channel, `*`, or empty.
    pub channel: Box<str>,
    /// A recipient, or empty.
    pub recipient: Box<str>,
    /// A level, or empty.
    pub level: Box<str>,
    /// The answer.
    pub status: Status,
    /// The legal basis.
    pub basis: Basis,
}

/// A grant as the cache gives it back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Grant {
    /// The number of its shape in the [`super::Vocabulary`].
    pub shape: u32,
    /// The first opt-in.
    pub given_at: Option<Timestamp>,
    /// The confirmation or the last renewal.
    pub confirmed_at: Option<Timestamp>,
    /// From this instant on it has expired.
    pub valid_until: Option<Timestamp>,
}

/// A word for a comparison in which case and surrounding white space do not count: as broad as Unicode's
/// simple mappings make it, because it serves refusals.
pub fn fold(word: &str) -> String {
    word.trim().to_uppercase().to_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_that_is_not_known_refuses_or_fits_no_route() {
        assert_eq!(Status::read("given"), Status::Given);
        for word in ["", "Given", "given ", "yes"] {
            assert_eq!(Status::read(word), Status::Unrecognized);
            assert_eq!(Basis::read(word), Basis::Other);
        }
    }

    #[test]
    fn folding_is_broad() {
        assert_eq!(fold(" NewsLetter\u{a0}"), "newsletter");
        assert_eq!(fold("Straße"), fold("STRASSE"));
    }
}
