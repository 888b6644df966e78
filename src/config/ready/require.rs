//! `require`: what consent a route needs, or why it needs none.

use super::super::problem::Problems;
use super::super::raw::{self, WordOr};
use super::super::spot::Spot;
use super::policy::Words;
use super::{empty, missing, names, stamp};
use crate::policy::settings::{GrantsSettings, RequireSettings};

/// What a route requires; `spot` is the route's.
pub(super) fn require(
    raw: &raw::Route,
    spot: Spot<'_>,
    words: &Words,
    problems: &mut Problems,
) -> RequireSettings {
    let level = raw.level.as_deref().map(|word| words.level(word, spot.key("level"), problems));
    match &raw.require {
        Some(WordOr::Mapping(wanted)) => {
            if level.is_some() {
                let help = "the consent itself says how close it lets the route come; take `level` out";
                let message = "`level` is for `require: none` alone";
                problems.add(spot.key("level").key_at(), message, help);
            }
            let mut grants = grants(wanted, spot.key("require"), words, problems);
            grants.stamp = stamp::stamp(raw.stamp.as_ref(), spot, &grants.purposes, words, problems);
            RequireSettings::Grants(grants)
        }
        Some(WordOr::Word(raw::NoRequirement::None)) => {
            because(raw, spot, problems);
            if raw.stamp.is_some() {
                stamp::refuse(spot.key("stamp"), problems);
            }
            RequireSettings::Nothing(level)
        }
        None => {
            let help = "say what consent it needs (`require: {purposes: {all: [NAME]}}`), or \
                        `require: none` with `because`";
            missing(spot.key("require"), "require", help, problems);
            RequireSettings::Nothing(level)
        }
    }
}

fn because(raw: &raw::Route, spot: Spot<'_>, problems: &mut Problems) {
    let help = "name the law, contract or assessment that makes consent unnecessary";
    match &raw.because {
        Some(why) if why.trim().is_empty() => {
            problems.add(spot.key("because").at(), "`because` is empty", help);
        }
        Some(_) => {}
        None if spot.key("because").is_written() => {}
        None => {
            let at = spot.key("require").at();
            problems.add(at, "a route without a requirement must say why: missing key `because`", help);
        }
    }
}

fn grants(raw: &raw::Grants, spot: Spot<'_>, words: &Words, problems: &mut Problems) -> GrantsSettings {
    let (purposes, all) = purposes(raw.purposes.as_ref(), spot, words, problems);
    if let Some(channel) = &raw.channel {
        names::word(channel, "channel", spot.key("channel"), problems);
    }
    let recipient = raw.recipient.clone().unwrap_or_else(|| FIRST_PARTY.to_owned());
    if let Some(fault) = recipient_fault(&recipient) {
        let help = "write `first_party`, `processor:NAME` or `third_party:NAME`";
        problems.add(spot.key("recipient").at(), format!("recipient `{recipient}` {fault}"), help);
    }
    if raw.legal_basis.is_some() {
        let help = "name a basis, or leave the key out for `[consent]`";
        empty(spot.key("legal_basis"), "legal_basis", help, problems);
    }
    let consent = [raw::Basis::Consent];
    let bases = raw.legal_basis.as_deref().unwrap_or(&consent);
    GrantsSettings {
        purposes,
        all,
        channel: raw.channel.clone(),
        recipient,
        legal_basis: bases.iter().map(|basis| basis_word(*basis).to_owned()).collect(),
        both: !matches!(raw.evaluate, Some(raw::Evaluate::Now)),
        stamp: None,
    }
}

/// A verdict names the purposes that permitted as the bits of one word.
const MAX_PURPOSES: usize = 64;

/// The recipient where none is named.
pub(super) const FIRST_PARTY: &str = "first_party";

/// Why data cannot go to this recipient.
pub(super) fn recipient_fault(recipient: &str) -> Option<&'static str> {
    let name = recipient.strip_prefix("processor:").or_else(|| recipient.strip_prefix("third_party:"));
    match name {
        _ if recipient == FIRST_PARTY => None,
        None => Some("is none that is known"),
        Some(name) if name.contains('*') => Some("has a wildcard: data goes to somebody"),
        Some(name) if name.trim().is_empty() => Some("names nobody"),
        Some(name) if name.trim() != name => Some("has white space around its name"),
        Some(_) => None,
    }
}

fn basis_word(basis: raw::Basis) -> &'static str {
    match basis {
        raw::Basis::Consent => "consent",
        raw::Basis::Contract => "contract",
        raw::Basis::LegalObligation => "legal_obligation",
        raw::Basis::VitalInterest => "vital_interest",
        raw::Basis::PublicTask => "public_task",
        raw::Basis::LegitimateInterest => "legitimate_interest",
    }
}

/// The indices of the purposes, and whether all must be permitted.
fn purposes(
    raw: Option<&raw::Purposes>,
    spot: Spot<'_>,
    words: &Words,
    problems: &mut Problems,
) -> (Vec<usize>, bool) {
    let spot = spot.key("purposes");
    let help = "write `purposes: {all: [NAME]}` or `purposes: {any: [NAME]}`";
    let Some(raw) = raw else {
        missing(spot, "purposes", help, problems);
        return (Vec::new(), true);
    };
    let (all, names) = match (&raw.all, &raw.any) {
        (Some(all), None) => (true, all),
        (None, Some(any)) => (false, any),
        (Some(_), Some(_)) => {
            let help = "keep one of the two; a route has one rule";
            problems.add(spot.at(), "`purposes` has both `all` and `any`", help);
            return (Vec::new(), true);
        }
        (None, None) => {
            if !spot.has_holes() {
                problems.add(spot.at(), "`purposes` has neither `all` nor `any`", help);
            }
            return (Vec::new(), true);
        }
    };
    let word = if all { "all" } else { "any" };
    let list = spot.key(word);
    empty(list, word, "name a purpose; nothing required would be `require: none`", problems);
    if names.len() > MAX_PURPOSES {
        let message = format!("`{word}` names {} purposes; a route can require {MAX_PURPOSES}", names.len());
        problems.add(list.at(), message, "split the route, or join purposes that always go together");
    }
    let indexed = names.iter().enumerate();
    names::unique(
        indexed.clone().map(|(index, name)| (name.as_str(), list.item(index))),
        "purpose",
        problems,
    );
    let look_up = |(index, name): (usize, &String)| words.purpose(name, list.item(index), problems);
    (indexed.map(look_up).collect(), all)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn data_goes_to_somebody() {
        for good in ["first_party", "processor:cloud", "third_party:adco", "third_party:a:b"] {
            assert_eq!(recipient_fault(good), None, "{good}");
        }
        for bad in
            ["", "me", "processor", "processor:", "third_party:*", "third_party: x", "First_party", "*"]
        {
            assert!(recipient_fault(bad).is_some(), "{bad}");
        }
    }
}
