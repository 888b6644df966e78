//! Step 8: contact windows, as intervals of instants.
//!
//! Every interval around now is written out, then looked at; nothing is solved for. The zone is asked only
//! which offset holds when, and gaps are found by halving, not by the library's own answer to them.

use super::{
    consent::State,
    decide::folded,
    rules::{Policy, Window},
    time::{DAY, Millis, calendar},
};
use jiff::{
    Timestamp,
    civil::DateTime,
    tz::{AmbiguousOffset, Offset, TimeZone},
};

pub enum Opening {
    Now,
    At(Millis),
    Never,
    NoZone,
}

/// An interval of instants: the first is inside, the last is not.
type Interval = (Millis, Millis);

const DAYS: [&str; 7] = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];

/// When the person may be contacted on this channel, from now on.
pub fn opening(policy: &Policy, state: &State, channel: &str, now: Millis) -> Opening {
    let own = |wanted: &[String]| -> Vec<Window> {
        let fits = state.windows.iter().filter(|(on, _)| wanted.contains(&folded(on)));
        fits.map(|(_, window)| window.clone()).collect()
    };
    let mut windows = own(&[folded(channel)]);
    if windows.is_empty() {
        windows = own(&["*".to_owned(), String::new()]);
    }
    if windows.is_empty() {
        let fits = policy.windows.iter().filter(|(on, _)| folded(on) == folded(channel));
        windows = fits.map(|(_, window)| window.clone()).collect();
    }
    if windows.is_empty() {
        return Opening::Now;
    }
    let zones = zones(policy, state);
    if zones.is_empty() {
        return Opening::NoZone;
    }
    first_inside(&zones, &windows, now)
}

/// When any window that may apply to this person opens or closes after `from`, up to `to` or so.
pub fn edges(policy: &Policy, state: &State, from: Millis, to: Millis) -> Vec<Millis> {
    let windows: Vec<&Window> =
        state.windows.iter().chain(&policy.windows).map(|(_, window)| window).collect();
    let mut edges = Vec::new();
    for zone in zones(policy, state) {
        for eighth in 0..50 {
            let near = from + eighth * 8 * DAY;
            if near <= to + 8 * DAY {
                let all = windows.iter().flat_map(|window| intervals(&zone, window, near));
                edges.extend(all.flat_map(|(start, end)| [start, end]));
            }
        }
    }
    edges
}

/// The zones in each of which a window must be open.
fn zones(policy: &Policy, state: &State) -> Vec<TimeZone> {
    match TimeZone::get(&state.time_zone) {
        // `Etc/Unknown` is CLDR's word for not knowing; IANA has no such zone.
        Ok(zone) if !zone.is_unknown() => vec![zone],
        // One that is none is open at no time, like none at all.
        _ => {
            let zones = policy.assume_time_zones.iter().map(|name| TimeZone::get(name).ok());
            zones.collect::<Option<Vec<_>>>().unwrap_or_default()
        }
    }
}

/// The first instant that lies inside in every zone: now, or else the start of some interval.
fn first_inside(zones: &[TimeZone], windows: &[Window], now: Millis) -> Opening {
    let by_zone: Vec<Vec<Interval>> = zones
        .iter()
        .map(|zone| windows.iter().flat_map(|window| intervals(zone, window, now)).collect())
        .collect();
    let inside = |at: Millis| {
        by_zone.iter().all(|intervals| intervals.iter().any(|(start, end)| *start <= at && at < *end))
    };
    if inside(now) {
        return Opening::Now;
    }
    let mut starts: Vec<Millis> = by_zone.iter().flatten().map(|(start, _)| *start).collect();
    starts.retain(|start| *start > now && *start <= now + 8 * DAY);
    starts.sort_unstable();
    starts.into_iter().find(|start| inside(*start)).map_or(Opening::Never, Opening::At)
}

/// The window's intervals on every local day from the day before yesterday to eleven days ahead.
fn intervals(zone: &TimeZone, window: &Window, now: Millis) -> Vec<Interval> {
    let Some((days, from, to)) = readable(window) else { return Vec::new() };
    let local_day = (now + offset_at(zone, now)).div_euclid(DAY);
    let mut found = Vec::new();
    for day in local_day - 2..=local_day + 11 {
        // 1970-01-01 was a Thursday.
        let weekday = (day + 3).rem_euclid(7);
        if days.contains(&weekday) {
            let last_day = if from > to { day + 1 } else { day };
            found.extend(instant(zone, day, from).zip(instant(zone, last_day, to)));
        }
    }
    found
}

/// Days of the week and minutes of the day; `None` is never open.
fn readable(window: &Window) -> Option<(Vec<i128>, i128, i128)> {
    let days = match &window.days {
        None => (0..7).collect(),
        Some(days) => days
            .iter()
            .map(|day| (0..).zip(DAYS).find(|(_, known)| known == day).map(|(at, _)| at))
            .collect::<Option<Vec<_>>>()?,
    };
    let from = minutes(&window.from)?;
    let to = if window.to == "24:00" { 24 * 60 } else { minutes(&window.to)? };
    (from != to).then_some((days, from, to))
}

fn minutes(text: &str) -> Option<i128> {
    let (hours, minutes) = text.split_once(':')?;
    let number = |digits: &str, below: i128| -> Option<i128> {
        let shaped = digits.len() == 2 && digits.bytes().all(|b| b.is_ascii_digit());
        digits.parse().ok().filter(|n| shaped && *n < below)
    };
    Some(number(hours, 24)? * 60 + number(minutes, 60)?)
}

/// A local minute of a day as an instant: skipped, it is the first instant after the gap; twice, the first.
/// `None` beyond the calendar.
fn instant(zone: &TimeZone, day: i128, minute: i128) -> Option<Millis> {
    let (day, minute) = (day + minute / (24 * 60), minute % (24 * 60));
    let (year, month, date) = calendar(day);
    let [month, date, hour, minute] = [month, date, minute / 60, minute % 60].map(i8::try_from);
    let year = i16::try_from(year).ok()?;
    let local = DateTime::new(year, month.ok()?, date.ok()?, hour.ok()?, minute.ok()?, 0, 0).ok()?;
    let with = |offset: Offset| Some(Millis::from(offset.to_timestamp(local).ok()?.as_millisecond()));
    match zone.to_ambiguous_timestamp(local).offset() {
        AmbiguousOffset::Unambiguous { offset } => with(offset),
        AmbiguousOffset::Fold { before, .. } => with(before),
        AmbiguousOffset::Gap { before, after } => {
            // The change lies after `low` and not after `high`.
            let (mut low, mut high) = (with(after)?, with(before)?);
            let new = offset_at(zone, high);
            while high - low > 1 {
                let middle = (low + high) / 2;
                if offset_at(zone, middle) == new { high = middle } else { low = middle }
            }
            Some(high)
        }
    }
}

fn offset_at(zone: &TimeZone, at: Millis) -> Millis {
    // Beyond the calendar no window is looked for.
    let at = i64::try_from(at).ok().and_then(|at| Timestamp::from_millisecond(at).ok());
    at.map_or(0, |at| Millis::from(zone.to_offset(at).seconds()) * 1000)
}
