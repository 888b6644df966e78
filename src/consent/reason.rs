//! Why a record ended where it did: one closed list, from which the metric label, the JSON word, the
//! header and the README's table all come.

/// Where a record stands, for one route.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum End {
    /// It went to the route's sink.
    Forwarded,
    /// The person does not permit it.
    Dropped,
    /// It waits: for an answer, or for the hour the person accepts.
    Held,
    /// It could not be decided or delivered; it is kept aside, whole.
    Quarantined,
}

impl End {
    /// The metric label and JSON word.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Forwarded => "forwarded",
            Self::Dropped => "dropped",
            Self::Held => "held",
            Self::Quarantined => "quarantined",
        }
    }
}

macro_rules! reasons {
    ($($name:ident $word:literal $doc:literal,)*) => {
        /// Why a record was forwarded, dropped, held or quarantined.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum Reason { $(#[doc = $doc] $name,)* }

        impl Reason {
            /// Every reason there is, in the order of the documentation.
            pub const ALL: &'static [Self] = &[$(Self::$name,)*];

            /// The metric label, the JSON word and the header's value.
            pub const fn word(self) -> &'static str {
                match self { $(Self::$name => $word,)* }
            }

            /// One line for people.
            pub const fn explanation(self) -> &'static str {
                match self { $(Self::$name => $doc,)* }
            }
        }
    };
}

reasons! {
    Permitted "permitted" "the person permits it",
    Reduced "reduced" "the person permits it, and fields above the permitted level were reduced",
    Exempt "exempt" "the route requires no consent, or the record is a deletion",
    UnknownSubject "unknown_subject" "nothing is known of this subject",
    InvalidConsent "invalid_consent" "the subject's last consent record cannot be read",
    Conflicted "conflicted" "the subject was erased on one consent partition and has a state on another",
    Restricted "restricted" "processing of this subject's data is restricted",
    OptedOutSignal "opted_out_signal" "a privacy signal (Global Privacy Control) refuses delivery to a third party",
    Revoked "revoked" "the controller or an authority revoked it",
    Withdrawn "withdrawn" "the person withdrew it",
    Objected "objected" "the person objected",
    Refused "refused" "the person refused",
    Invalidated "invalidated" "the grant was invalidated, or its status is not known",
    Expired "expired" "the grant's time is over",
    NeedsRenewal "needs_renewal" "the opt-in is older than the purpose allows",
    Unconfirmed "unconfirmed" "the second step of a double opt-in is missing",
    BeforeConsent "before_consent" "the event occurred before the person consented",
    Unanswered "unanswered" "the person was asked and has not answered",
    ChannelNotPermitted "channel_not_permitted" "permitted, but not over this channel",
    RecipientNotPermitted "recipient_not_permitted" "permitted, but not for this recipient",
    NoConsent "no_consent" "no grant covers this purpose",
    OutsideContactWindow "outside_contact_window" "permitted, but not at this hour",
    UnknownTimeZone "unknown_time_zone" "a contact window applies and nobody knows the subject's time zone",
    HoldExpired "hold_expired" "it was held, and its time ran out",
    StampMissing "stamp_missing" "the consent stamped into the event is missing",
    StampInvalid "stamp_invalid" "the consent stamped into the event cannot be read",
    StampRefused "stamp_refused" "the consent stamped into the event refuses",
    TooLarge "too_large" "key, value and headers are over `max_record_bytes`, or no sink takes a record so large",
    UnsupportedSchema "unsupported_schema" "the record's schema is not known",
    Malformed "malformed" "the value is not well-formed",
    TooDeep "too_deep" "the value is nested too deeply",
    Ambiguous "ambiguous" "a name on a path that is read, or a selector's header, is there twice",
    WhenFailed "when_failed" "the route's `when` failed or is no boolean",
    InvalidSubject "invalid_subject" "the subject is no string or integer, empty, or too long",
    MissingSubject "missing_subject" "the record names no subject",
    InvalidTime "invalid_time" "the event's time cannot be read",
    TransformFailed "transform_failed" "a field action cannot be carried out on this value",
    Rejected "rejected" "the receiver refused it for good",
}

impl Reason {
    /// The ends that a record may come to for this reason.
    pub const fn ends(self) -> &'static [End] {
        match self {
            Self::Permitted | Self::Reduced | Self::Exempt => &[End::Forwarded],
            Self::UnknownSubject
            | Self::NoConsent
            | Self::Unconfirmed
            | Self::Unanswered
            | Self::OutsideContactWindow => &[End::Dropped, End::Held],
            Self::InvalidConsent
            | Self::Conflicted
            | Self::Restricted
            | Self::OptedOutSignal
            | Self::Revoked
            | Self::Withdrawn
            | Self::Objected
            | Self::Refused
            | Self::Invalidated
            | Self::Expired
            | Self::NeedsRenewal
            | Self::BeforeConsent
            | Self::ChannelNotPermitted
            | Self::RecipientNotPermitted
            | Self::UnknownTimeZone
            | Self::HoldExpired
            | Self::StampMissing
            | Self::StampInvalid
            | Self::StampRefused => &[End::Dropped],
            Self::TooLarge
            | Self::UnsupportedSchema
            | Self::Malformed
            | Self::TooDeep
            | Self::Ambiguous
            | Self::WhenFailed
            | Self::InvalidSubject
            | Self::MissingSubject
            | Self::InvalidTime
            | Self::TransformFailed
            | Self::Rejected => &[End::Quarantined],
        }
    }
}

impl serde::Serialize for Reason {
    fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(self.word())
    }
}

impl serde::Serialize for End {
    fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(self.word())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_distinct_and_fit_for_a_label() {
        let mut words: Vec<_> = Reason::ALL.iter().map(|reason| reason.word()).collect();
        assert_eq!(words.len(), 38);
        words.sort_unstable();
        words.dedup();
        assert_eq!(words.len(), Reason::ALL.len());
        for word in words {
            assert!(word.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_'), "{word}");
        }
    }

    #[test]
    fn each_end_has_its_reasons() {
        let count = |end: End| Reason::ALL.iter().filter(|reason| reason.ends().contains(&end)).count();
        let counts = [End::Forwarded, End::Dropped, End::Held, End::Quarantined].map(count);
        assert_eq!(counts, [3, 24, 5, 11]);
    }

    #[test]
    fn an_index_finds_its_reason() {
        for (index, reason) in Reason::ALL.iter().enumerate() {
            assert_eq!(*reason as usize, index);
        }
    }
}
