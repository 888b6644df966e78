//! Labelled fields and what is done to them.

use super::super::problem::Problems;
use super::super::raw::{self, WordOr};
use super::super::spot::Spot;
use super::policy::Words;
use super::{missing, place};
use crate::policy::settings::{FieldAction, FieldSettings};

/// What may be written as an action.
const ACTIONS: &str = "write `remove`, `null`, `mask`, `hash`, `{truncate: N}` or \
                       `{generalize: N | day | month | year | ip}`";

/// One labelled field.
pub(super) fn field(
    raw: &raw::Field,
    spot: Spot<'_>,
    words: &Words,
    problems: &mut Problems,
) -> FieldSettings {
    let level = spot.key("level");
    let index = raw.level.as_deref().map(|word| words.level(word, level, problems));
    if index.is_none() {
        missing(level, "level", "name the level it takes to see the field as it is", problems);
    }
    let action = action(raw.action.as_ref(), spot.key("action"), problems);
    let place = place::label(raw, spot, problems);
    FieldSettings {
        place,
        outside: raw.outside.unwrap_or_default(),
        level: index.unwrap_or_default(),
        action,
    }
}

fn action(
    raw: Option<&WordOr<raw::ActionWord, raw::ActionWith>>,
    spot: Spot<'_>,
    problems: &mut Problems,
) -> FieldAction {
    match raw {
        // YAML reads the word `null` as no value.
        None if spot.is_null_word() => FieldAction::Null,
        None => {
            missing(spot, "action", ACTIONS, problems);
            FieldAction::Remove
        }
        Some(WordOr::Word(raw::ActionWord::Remove)) => FieldAction::Remove,
        Some(WordOr::Word(raw::ActionWord::Null)) => FieldAction::Null,
        Some(WordOr::Word(raw::ActionWord::Mask)) => FieldAction::Mask,
        Some(WordOr::Word(raw::ActionWord::Hash)) => FieldAction::Hash,
        Some(WordOr::Mapping(with)) => argument(with, spot, problems),
    }
}

fn argument(with: &raw::ActionWith, spot: Spot<'_>, problems: &mut Problems) -> FieldAction {
    match (with.truncate, &with.generalize) {
        (Some(count), None) => FieldAction::Truncate(usize::try_from(count).unwrap_or(usize::MAX)),
        (None, Some(raw::Number::Number(step))) => {
            if *step == 0 {
                let help = "a number is floored to a multiple of it: take 1 at least";
                problems.add(spot.key("generalize").at(), "`generalize: 0` has no multiples", help);
            }
            FieldAction::Floor(*step)
        }
        (None, Some(raw::Number::Word(raw::Coarse::Day))) => FieldAction::Day,
        (None, Some(raw::Number::Word(raw::Coarse::Month))) => FieldAction::Month,
        (None, Some(raw::Number::Word(raw::Coarse::Year))) => FieldAction::Year,
        (None, Some(raw::Number::Word(raw::Coarse::Ip))) => FieldAction::Ip,
        (Some(_), Some(_)) => {
            problems.add(spot.at(), "a field has one action", "keep one of `truncate` and `generalize`");
            FieldAction::Remove
        }
        (None, None) => {
            if !spot.has_holes() {
                problems.add(spot.at(), "no action is named", ACTIONS);
            }
            FieldAction::Remove
        }
    }
}
