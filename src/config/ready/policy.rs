//! `policy`: levels, purposes, windows.

use super::super::problem::Problems;
use super::super::raw;
use super::super::spot::Spot;
use super::super::suggest::offer;
use super::{empty, missing, names, wait_ms, window};
use crate::policy::settings::{PolicySettings, PurposeSettings};

/// The levels where the policy names none, least intimate first.
const LEVELS: [&str; 4] = ["anonymous", "pseudonymous", "contact", "sensitive"];

/// The words that pipelines look up.
pub(super) struct Words {
    levels: Vec<String>,
    purposes: Vec<String>,
    /// Every purpose that is written, readable or not.
    written: Vec<String>,
    /// False where the list of levels could not be read, so that no level can be called unknown.
    levels_known: bool,
}

impl Words {
    /// The words of a policy that stands at `spot`.
    pub fn of(policy: &PolicySettings, spot: Spot<'_>) -> Self {
        Self {
            levels: policy.levels.clone(),
            purposes: policy.purposes.iter().map(|purpose| purpose.name.clone()).collect(),
            written: spot.key("purposes").keys().into_iter().map(str::to_owned).collect(),
            levels_known: !spot.key("levels").is_hole() && !spot.is_hole(),
        }
    }

    /// The index of a level.
    pub fn level(&self, word: &str, spot: Spot<'_>, problems: &mut Problems) -> usize {
        level(&self.levels, self.levels_known, word, spot, problems)
    }

    /// The name of the purpose with this index; empty for a stand-in.
    pub fn purpose_name(&self, index: usize) -> &str {
        self.purposes.get(index).map_or("", String::as_str)
    }

    /// Every purpose that could be read.
    pub fn purposes(&self) -> &[String] {
        &self.purposes
    }

    /// The index of a purpose.
    pub fn purpose(&self, word: &str, spot: Spot<'_>, problems: &mut Problems) -> usize {
        let index = self.purposes.iter().position(|purpose| purpose == word);
        let written = self.written.iter().any(|purpose| purpose == word);
        if index.is_none() && !written && !self.written.is_empty() {
            let help = offer(word, self.written.iter().map(String::as_str));
            problems.add(spot.at(), format!("unknown purpose `{word}`"), help);
        }
        index.unwrap_or_default()
    }
}

/// `policy`, but for the pseudonym key.
pub(super) fn policy(raw: Option<&raw::Policy>, root: Spot<'_>, problems: &mut Problems) -> PolicySettings {
    let spot = root.key("policy");
    let absent = raw::Policy::default();
    let help = "write `policy: {purposes: {NAME: {…}}}`";
    match raw {
        None => missing(spot, "policy", help, problems),
        Some(policy) if policy.purposes.is_none() => {
            missing(spot.key("purposes"), "purposes", help, problems);
        }
        Some(_) if spot.key("purposes").keys().is_empty() => {
            problems.add(spot.key("purposes").at(), "`purposes` is empty", "name a purpose");
        }
        Some(_) => {}
    }
    let raw = raw.unwrap_or(&absent);
    let levels = levels(raw.levels.as_deref(), spot.key("levels"), problems);
    let known = !spot.key("levels").is_hole();
    let mut purposes = Vec::new();
    for (name, purpose) in raw.purposes.iter().flatten() {
        let at = spot.key("purposes").key(name);
        names::word(name, "purpose", at.named(), problems);
        let word = |word: &String| level(&levels, known, word, at.key("level"), problems);
        let level = purpose.level.as_ref().map(word).unwrap_or_default();
        let max_age = purpose.max_age;
        let max_age_ms = max_age.map(|_| wait_ms(max_age, at.key("max_age"), 0, problems));
        let double = matches!(purpose.confirmation, Some(raw::Confirmation::Double));
        purposes.push(PurposeSettings { name: name.clone(), max_age_ms, double, level });
    }
    let mut windows = Vec::new();
    for (channel, window) in raw.windows.iter().flatten() {
        let at = spot.key("windows").key(channel);
        names::word(channel, "channel", at.named(), problems);
        windows.push((channel.clone(), window::window(window, at, problems)));
    }
    let zones = raw.assume_time_zones.clone().unwrap_or_default();
    window::zones(&zones, spot.key("assume_time_zones"), problems);
    let skew = raw.clock_skew.map_or(5000, |span| span.0.as_millis());
    PolicySettings {
        levels,
        purposes,
        windows,
        assume_time_zones: zones,
        honour_gpc: raw.honour_gpc.unwrap_or(true),
        clock_skew_ms: i64::try_from(skew).unwrap_or(i64::MAX),
        pseudonym_key: None,
    }
}

fn levels(written: Option<&[String]>, spot: Spot<'_>, problems: &mut Problems) -> Vec<String> {
    let Some(levels) = written else { return LEVELS.map(str::to_owned).to_vec() };
    empty(spot, "levels", "name a level, or leave the key out for its default", problems);
    let at = |(index, level): (usize, &'_ String)| (level.clone(), index);
    let indexed: Vec<(String, usize)> = levels.iter().enumerate().map(at).collect();
    for (level, index) in &indexed {
        names::word(level, "level", spot.item(*index), problems);
    }
    names::unique(
        indexed.iter().map(|(level, index)| (level.as_str(), spot.item(*index))),
        "level",
        problems,
    );
    levels.to_vec()
}

fn level(levels: &[String], known: bool, word: &str, spot: Spot<'_>, problems: &mut Problems) -> usize {
    let index = levels.iter().position(|level| level == word);
    if index.is_none() && known {
        let help = offer(word, levels.iter().map(String::as_str));
        problems.add(spot.at(), format!("unknown level `{word}`"), help);
    }
    index.unwrap_or_default()
}
