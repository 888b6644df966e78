//! Contact windows and time zones.

use super::super::problem::Problems;
use super::super::raw;
use super::super::spot::Spot;
use super::super::suggest::offer;
use super::{empty, missing};
use crate::policy::settings::WindowSettings;
use crate::policy::window::{Window, zone};

/// The days of the week as a configuration names them.
const DAYS: [&str; 7] = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];

/// One window of the policy. What would never be open is an error here.
pub(super) fn window(raw: &raw::Window, spot: Spot<'_>, problems: &mut Problems) -> WindowSettings {
    let before = problems.len();
    let text = |time: Option<&String>| time.cloned().unwrap_or_default();
    let window =
        WindowSettings { days: raw.days.clone(), from: text(raw.from.as_ref()), to: text(raw.to.as_ref()) };
    for (name, time) in [("from", &raw.from), ("to", &raw.to)] {
        if time.is_none() {
            missing(spot.key(name), name, "write it as `HH:MM`", problems);
        }
    }
    if raw.days.is_some() {
        let help = "name a day, or leave the key out for every day";
        empty(spot.key("days"), "days", help, problems);
    }
    for (index, day) in raw.days.iter().flatten().enumerate() {
        if !DAYS.contains(&day.as_str()) {
            let at = spot.key("days").item(index).at();
            problems.add(at, format!("unknown day `{day}`"), offer(day, DAYS));
        }
    }
    let whole = raw.from.is_some() && raw.to.is_some();
    if whole && raw.from == raw.to {
        let help = "a window that is open all day is `from: \"00:00\", to: \"24:00\"`";
        problems.add(spot.key("to").at(), "the window ends when it begins, so it is never open", help);
    }
    if whole && problems.len() == before && Window::compile(&window).is_none() {
        let help = "write `from` and `to` as `HH:MM`, from 00:00 to 23:59; `to` may be 24:00";
        let alone = WindowSettings { to: "24:00".to_owned(), ..window.clone() };
        let name = if Window::compile(&alone).is_some() { "to" } else { "from" };
        problems.add(spot.key(name).at(), format!("`{name}` is no time of day"), help);
    }
    window
}

/// `assume_time_zones`.
pub(super) fn zones(names: &[String], spot: Spot<'_>, problems: &mut Problems) {
    for (index, name) in names.iter().enumerate() {
        if zone(name).is_none() {
            let help = "take a name of the IANA time-zone database, such as `Europe/Amsterdam`";
            problems.add(spot.item(index).at(), format!("unknown time zone `{name}`"), help);
        }
    }
}
