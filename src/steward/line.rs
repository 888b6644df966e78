//! The words of one grant, and which grants a refusal reaches: read broadly, as the decision reads refusals.

use serde_json::Value;

use crate::consent::{Basis, Status, fold};

/// A grant's words as they are compared: trimmed, without case.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// The purpose, or `*`.
    pub purpose: String,
    /// The channel, `*`, or empty.
    pub channel: String,
    /// The recipient, or empty.
    pub recipient: String,
    /// The answer.
    pub status: Status,
    /// The basis.
    pub basis: Basis,
}

impl Line {
    /// Reads a grant.
    pub fn of(grant: &Value) -> Self {
        let word = |name: &str| grant.get(name).and_then(Value::as_str).unwrap_or_default();
        let basis = word("basis");
        Self {
            purpose: fold(word("purpose")),
            channel: fold(word("channel")),
            recipient: fold(word("recipient")),
            status: Status::read(word("status")),
            basis: if basis.is_empty() { Basis::Consent } else { Basis::read(basis) },
        }
    }

    /// Whether it can permit something.
    pub fn permits(&self) -> bool {
        match self.status {
            Status::Given | Status::Confirmed => true,
            Status::Requested
            | Status::Refused
            | Status::Withdrawn
            | Status::Revoked
            | Status::Objected
            | Status::Invalidated
            | Status::Unrecognized => false,
        }
    }

    /// Whether it refuses.
    pub fn refuses(&self) -> bool {
        !self.permits() && self.status != Status::Requested
    }

    /// Whether it takes back, or refuses, consent in general: what stands on an essential basis goes on.
    pub fn is_soft(&self) -> bool {
        self.purpose == "*" && self.is_of_the_person()
    }

    /// Whether it is the person's own no to being asked, which their own yes may end.
    pub fn is_of_the_person(&self) -> bool {
        matches!(self.status, Status::Refused | Status::Withdrawn)
    }

    /// Whether both are about the same purpose, channel and recipient.
    pub fn is_like(&self, other: &Self) -> bool {
        let recipient = |line: &Self| match line.recipient.as_str() {
            "" => "first_party".to_owned(),
            named => named.to_owned(),
        };
        self.purpose == other.purpose && self.channel == other.channel && recipient(self) == recipient(other)
    }

    /// Whether this, refusing, reaches all that `other` could permit.
    pub fn covers(&self, other: &Self) -> bool {
        let purpose = self.purpose == "*" || self.purpose == other.purpose;
        let channel = matches!(self.channel.as_str(), "" | "*") || self.channel == other.channel;
        purpose && channel && self.covers_recipient(&other.recipient)
    }

    /// Whether this, refusing, reaches some of what `other` could permit.
    pub fn meets(&self, other: &Self) -> bool {
        let purpose = self.purpose == "*" || other.purpose == "*" || self.purpose == other.purpose;
        let channel = matches!(self.channel.as_str(), "" | "*")
            || other.channel == "*"
            || self.channel == other.channel;
        let within = other.recipient.strip_suffix(":*").is_some_and(|all| class(&self.recipient) == all);
        purpose && channel && (within || self.covers_recipient(&other.recipient))
    }

    fn covers_recipient(&self, other: &str) -> bool {
        let (own, other) = (self.recipient.as_str(), if other.is_empty() { "first_party" } else { other });
        let whole_class = own == class(own) || own.ends_with(":*");
        match class(own) {
            "first_party" => own == other || own != "first_party",
            "processor" | "third_party" => own == other || (whole_class && class(other) == class(own)),
            // Absent, `*`, or of no known shape: everybody.
            _everybody => true,
        }
    }
}

fn class(recipient: &str) -> &str {
    recipient.split_once(':').map_or(recipient, |(class, _)| class)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn line(purpose: &str, channel: &str, recipient: &str) -> Line {
        Line::of(
            &json!({"purpose": purpose, "channel": channel, "recipient": recipient, "status": "withdrawn"}),
        )
    }

    #[test]
    fn a_refusal_reaches_broadly() {
        let mail = line("newsletter", "email", "");
        for (wide, covers) in [
            (line("*", "", ""), true),
            (line(" NewsLetter", "*", "*"), true),
            (line("newsletter", "email", "first_party"), true),
            (line("newsletter", "email", "first_party:x"), true),
            (line("newsletter", "email", "nobody knows"), true),
            (line("newsletter", "sms", ""), false),
            (line("newsletter", "email", "third_party"), false),
        ] {
            assert_eq!((wide.covers(&mail), wide.meets(&mail)), (covers, covers), "{wide:?}");
        }
        let partner = line("ads", "", "third_party:adco");
        for (recipient, covers) in [
            ("third_party", true),
            ("third_party:*", true),
            ("third_party:ADCO", true),
            ("third_party:x", false),
        ] {
            assert_eq!(line("ads", "", recipient).covers(&partner), covers, "{recipient}");
        }
        let any = line("ads", "*", "third_party:*");
        assert!(!partner.covers(&any) && partner.meets(&any));
        assert!(!mail.meets(&partner));
    }

    #[test]
    fn what_is_absent_is_the_first_party_where_lines_are_told_apart() {
        assert!(line("p", "", "").is_like(&line("P", "", "first_party")));
        assert!(!line("p", "*", "").is_like(&line("p", "", "")));
    }
}
