//! What an event says of consent, in the formats that stamps are written in.
//!
//! Three formats, each read from the text of the value at the stamp's place, which has been checked already: it is
//! JSON, and no two members of it have one name. Anything that is not of the format makes the whole stamp
//! invalid. Null is absent: a category that is null is not named. What the answers come to is for `consent`.
//!
//! - **Segment** (Twilio, "Consent in Segment Connections", the consent object): `context.consent.categoryPreferences`,
//!   an object of category and boolean.
//! - **RudderStack** ("Add the consent object to event payloads"): `context.consentManagement`, an object with the
//!   lists `allowedConsentIds` and `deniedConsentIds`, a `provider`, and a `resolutionStrategy`: with `or` (newer:
//!   `any`) one of the categories is enough, with `and` (`all`) each is needed. Where the provider is `custom` the
//!   strategy belongs to the receiver's own configuration; here that, too, needs each of them, and so does a stamp
//!   that names no provider. A strategy that is not known is no stamp.
//! - **Consentry**, for those who write their own: an object of category and boolean, or one of the words that the
//!   consent record has for a grant's status. `requested` is no answer yet; a word that is not known refuses.

use std::borrow::Cow;

use super::json::{Scalar, elements, members, scalar};
use crate::consent::{Answer, Said, Stamp, Status};

/// Reads Segment's category preferences.
pub fn segment(text: &str) -> Said<'_> {
    by_category(text, |value| match value {
        Scalar::Null => Some(None),
        Scalar::Other(raw) => boolean(raw),
        Scalar::Text(_) | Scalar::Integer(_) => None,
    })
}

/// Reads Consentry's own.
pub fn consentry(text: &str) -> Said<'_> {
    by_category(text, |value| match value {
        Scalar::Null => Some(None),
        Scalar::Other(raw) => boolean(raw),
        Scalar::Text(word) => Some(status(word)),
        Scalar::Integer(_) => None,
    })
}

/// Reads RudderStack's.
pub fn rudderstack(text: &str) -> Said<'_> {
    let mut stamp = Stamp::default();
    let (mut provider, mut strategy) = (Cow::Borrowed(""), Cow::Borrowed(""));
    let read = members(text, |name, raw| match &*name {
        "allowedConsentIds" => ids(raw, |id| stamp.says(id, Answer::Given)),
        "deniedConsentIds" => ids(raw, |id| stamp.says(id, Answer::Refused)),
        "provider" => word(raw).map(|word| provider = word),
        "resolutionStrategy" => word(raw).map(|word| strategy = word),
        _ => Some(()),
    });
    match &*strategy {
        _ if read.is_none() => Said::Invalid,
        "" | "and" | "all" => Said::Stamp(stamp),
        "or" | "any" => {
            if !matches!(&*provider, "" | "custom") {
                stamp.one_is_enough();
            }
            Said::Stamp(stamp)
        }
        _ => Said::Invalid,
    }
}

/// An object of category and answer. `None` for an answer: it is none of the format; `Some(None)`: not asked.
fn by_category<'v>(text: &'v str, answer: impl Fn(&Scalar<'v>) -> Option<Option<Answer>>) -> Said<'v> {
    let mut stamp = Stamp::default();
    let read = members(text, |category, raw| {
        if let Some(answer) = answer(&scalar(raw))? {
            stamp.says(category, answer);
        }
        Some(())
    });
    read.map_or(Said::Invalid, |()| Said::Stamp(stamp))
}

fn boolean(raw: &str) -> Option<Option<Answer>> {
    match raw {
        "true" => Some(Some(Answer::Given)),
        "false" => Some(Some(Answer::Refused)),
        _ => None,
    }
}

fn status(word: &str) -> Option<Answer> {
    if word.is_empty() {
        return None;
    }
    match Status::read(word) {
        Status::Given | Status::Confirmed => Some(Answer::Given),
        Status::Requested => None,
        Status::Refused
        | Status::Withdrawn
        | Status::Revoked
        | Status::Objected
        | Status::Invalidated
        | Status::Unrecognized => Some(Answer::Refused),
    }
}

/// A list of strings, or null.
fn ids<'v>(raw: &'v str, mut each: impl FnMut(Cow<'v, str>)) -> Option<()> {
    if scalar(raw) == Scalar::Null {
        return Some(());
    }
    elements(raw, |raw| match scalar(raw) {
        Scalar::Text(id) => {
            each(id);
            Some(())
        }
        Scalar::Null | Scalar::Integer(_) | Scalar::Other(_) => None,
    })
}

/// A string, or null, which is an empty one.
fn word(raw: &str) -> Option<Cow<'_, str>> {
    match scalar(raw) {
        Scalar::Null => Some(Cow::Borrowed("")),
        Scalar::Text(word) => Some(word),
        Scalar::Integer(_) | Scalar::Other(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    use Answer::{Given, Refused};

    fn stamp(answers: &[(&'static str, Answer)]) -> Said<'static> {
        let mut stamp = Stamp::default();
        answers.iter().for_each(|(name, answer)| stamp.says((*name).into(), *answer));
        Said::Stamp(stamp)
    }

    #[test]
    fn segment_has_booleans() {
        assert_eq!(
            segment(r#"{"Ads":true,"\u0042":false,"C":null}"#),
            stamp(&[("Ads", Given), ("B", Refused)])
        );
        assert_eq!(segment("{}"), stamp(&[]));
        for bad in ["[]", "1.5", "true", r#"{"A":"true"}"#, r#"{"A":1}"#, r#"{"A":true,"B":{}}"#] {
            assert_eq!(segment(bad), Said::Invalid, "{bad}");
        }
    }

    #[test]
    fn our_own_has_the_words_of_the_consent_record() {
        let answers = [("a", Given), ("b", Given), ("c", Refused), ("d", Refused), ("e", Refused)];
        let text =
            r#"{"a":"given","b":"confirmed","c":"objected","d":"perhaps","e":false,"f":"requested","g":""}"#;
        assert_eq!(consentry(text), stamp(&answers));
        assert_eq!(consentry(r#"{"a":true,"b":null}"#), stamp(&[("a", Given)]));
        for bad in ["[true]", r#"{"a":1}"#, r#"{"a":["given"]}"#, r#"{"a":"\ud800"}"#] {
            assert_eq!(consentry(bad), Said::Invalid, "{bad}");
        }
    }

    #[test]
    fn rudderstack_has_lists() {
        let text = r#"{"allowedConsentIds":["a","b"],"deniedConsentIds":["c"],"provider":"custom","x":[1]}"#;
        assert_eq!(rudderstack(text), stamp(&[("a", Given), ("b", Given), ("c", Refused)]));
        assert_eq!(rudderstack(r#"{"allowedConsentIds":null,"provider":null}"#), stamp(&[]));
        for bad in [
            r#"["a"]"#,
            r#"{"allowedConsentIds":"a"}"#,
            r#"{"allowedConsentIds":{"a":"Ads"}}"#,
            r#"{"deniedConsentIds":["a",null]}"#,
            r#"{"deniedConsentIds":[1]}"#,
            r#"{"provider":1}"#,
            r#"{"resolutionStrategy":true}"#,
            r#"{"resolutionStrategy":"most"}"#,
        ] {
            assert_eq!(rudderstack(bad), Said::Invalid, "{bad}");
        }
    }

    #[test]
    fn one_is_enough_where_a_platform_says_or() {
        let mut one = Stamp::default();
        one.says("a".into(), Given);
        let all = Said::Stamp(one.clone());
        one.one_is_enough();
        let one = Said::Stamp(one);
        for (provider, strategy, expected) in [
            ("oneTrust", "or", &one),
            ("ketch", "any", &one),
            ("ketch", "and", &all),
            ("iubenda", "all", &all),
            ("oneTrust", "", &all),
            ("custom", "or", &all),
            ("", "or", &all),
        ] {
            let text: &'static str = format!(
                r#"{{"resolutionStrategy":"{strategy}","provider":"{provider}","allowedConsentIds":["a"]}}"#
            )
            .leak();
            assert_eq!(&rudderstack(text), expected, "{text}");
        }
    }
}
