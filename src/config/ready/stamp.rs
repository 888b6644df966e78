//! `stamp`: consent that the event itself must carry.

use super::super::problem::Problems;
use super::super::raw;
use super::super::spot::Spot;
use super::policy::Words;
use super::{empty, missing, names, place};
use crate::policy::settings::{StampFormat, StampSettings};

/// A route's stamp; `spot` is the route's, `purposes` what it requires.
pub(super) fn stamp(
    raw: Option<&raw::Stamp>,
    spot: Spot<'_>,
    purposes: &[usize],
    words: &Words,
    problems: &mut Problems,
) -> Option<StampSettings> {
    let is_named = spot.keys().contains(&"stamp");
    let spot = spot.key("stamp");
    let Some(raw) = raw else {
        // Whoever writes the key wants a stamp to be required: an empty one must not pass for none.
        if is_named && !spot.is_hole() {
            problems.add(
                spot.key_at(),
                "`stamp` is empty",
                "write `stamp: {format: NAME}`, or take the key out",
            );
        }
        return None;
    };
    let (format, path) = format(raw, spot, problems);
    let path = raw.path.clone().unwrap_or_else(|| path.to_owned());
    place::read_at(&path, spot, problems);
    check(raw, spot.key("categories"), words, problems);
    let categories = |purpose: &usize| {
        let name = words.purpose_name(*purpose);
        let mapped = raw.categories.as_ref().and_then(|all| all.get(name));
        mapped.cloned().unwrap_or_else(|| vec![name.to_owned()])
    };
    Some(StampSettings { format, path, categories: purposes.iter().map(categories).collect() })
}

/// The format, and where it has its stamps.
fn format(raw: &raw::Stamp, spot: Spot<'_>, problems: &mut Problems) -> (StampFormat, &'static str) {
    match raw.format {
        Some(raw::StampFormat::Consentry) => (StampFormat::Consentry, "/consent"),
        Some(raw::StampFormat::Segment) => (StampFormat::Segment, "/context/consent/categoryPreferences"),
        Some(raw::StampFormat::Rudderstack) => (StampFormat::Rudderstack, "/context/consentManagement"),
        None => {
            let help = "write `format: consentry`, `segment` or `rudderstack`";
            missing(spot.key("format"), "format", help, problems);
            (StampFormat::Consentry, "")
        }
    }
}

/// Checks the mapping. It may map more purposes than the route requires, so that routes can share one.
fn check(raw: &raw::Stamp, list: Spot<'_>, words: &Words, problems: &mut Problems) {
    for (purpose, categories) in raw.categories.iter().flatten() {
        let at = list.key(purpose);
        words.purpose(purpose, at.named(), problems);
        empty(at, purpose, "name a category, or leave the purpose out for its own name", problems);
        for (index, category) in categories.iter().enumerate() {
            names::word(category, "category", at.item(index), problems);
        }
        let spots = categories.iter().enumerate().map(|(index, name)| (name.as_str(), at.item(index)));
        names::unique(spots, "category", problems);
    }
}

/// `require: none` asks for no consent, so for none in the event either.
pub(super) fn refuse(spot: Spot<'_>, problems: &mut Problems) {
    let help = "take `stamp` out, or say what consent the route needs (`require: {purposes: {all: [NAME]}}`)";
    problems.add(spot.key_at(), "a route with `require: none` looks at no stamp", help);
}
