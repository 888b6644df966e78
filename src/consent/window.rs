//! When a person may be reached: weekly windows on a local clock, as intervals of instants.
//!
//! A window runs from its local start to its local end. A local time that a clock change skips is the
//! first instant after the gap; one that happens twice is its first. The time-zone data is bundled, so
//! that every machine decides alike.

use std::sync::OnceLock;

use jiff::civil::{Date, Weekday};
use jiff::tz::{AmbiguousOffset, TimeZone, TimeZoneDatabase};
use jiff::{Span, ToSpan};

use crate::time::Timestamp;

const DAY_MIN: u16 = 24 * 60;
/// A window that opens later than this is no use to wait for.
const HORIZON_MS: i64 = 8 * 24 * 3_600_000;
const DAYS: [&str; 7] = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];

/// A weekly window that opens at some time: never empty.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Window {
    /// Bit 0 is Monday.
    pub days: u8,
    /// The first minute of the local day that is inside.
    pub from_min: u16,
    /// The first minute that is outside again, 1440 for midnight at the end of the day; at or before
    /// `from_min`: on the next day.
    pub to_min: u16,
}

impl Window {
    /// Reads a window as written. `None`: it is never open (unreadable, an unknown day, no days, or as
    /// long as nothing).
    pub fn read<S: AsRef<str>>(days: Option<&[S]>, from: &str, to: &str) -> Option<Self> {
        let days = days.map_or(Some(0x7f), |days| {
            days.iter().try_fold(0, |mask, day| {
                let index = DAYS.iter().position(|known| *known == day.as_ref())?;
                Some(mask | 1 << index)
            })
        })?;
        let from_min = minutes(from).filter(|minute| *minute < DAY_MIN)?;
        let to_min = minutes(to)?;
        (days != 0 && from_min != to_min).then_some(Self { days, from_min, to_min })
    }
}

/// `HH:MM` up to `24:00`, in minutes.
fn minutes(text: &str) -> Option<u16> {
    let [h1, h2, b':', m1, m2] = text.as_bytes() else { return None };
    let digit = |byte: &u8| byte.is_ascii_digit().then(|| u16::from(byte - b'0'));
    let (hour, minute) = (digit(h1)? * 10 + digit(h2)?, digit(m1)? * 10 + digit(m2)?);
    let total = hour * 60 + minute;
    (minute < 60 && total <= DAY_MIN).then_some(total)
}

/// The zone of an IANA name, from the bundled data.
pub fn zone(name: &str) -> Option<TimeZone> {
    static BUNDLED: OnceLock<TimeZoneDatabase> = OnceLock::new();
    let zone = BUNDLED.get_or_init(TimeZoneDatabase::bundled).get(name).ok()?;
    // `Etc/Unknown` and `Factory` are words for having none.
    (!zone.is_unknown() && zone.iana_name() != Some("Factory")).then_some(zone)
}

/// Whether one may call now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Opening {
    /// Now.
    Open,
    /// From this instant on.
    At(Timestamp),
    /// Not within eight days.
    Never,
}

/// When the windows are open in every one of the zones at once. No zone: never.
pub fn opening(windows: &[Window], zones: &[&TimeZone], now: Timestamp) -> Opening {
    let mut common: Option<Vec<(i64, i64)>> = None;
    for zone in zones {
        let here = intervals(windows, zone, now).unwrap_or_default();
        common = Some(common.map_or_else(|| here.clone(), |there| intersect(&there, &here)));
    }
    match common.unwrap_or_default().first() {
        Some((start, _)) if *start <= now.0 => Opening::Open,
        Some((start, _)) if start.saturating_sub(now.0) <= HORIZON_MS => Opening::At(Timestamp(*start)),
        Some(_) | None => Opening::Never,
    }
}

/// The disjoint intervals, in order, that end after `now` and begin within the horizon. `None` where the
/// calendar ends.
fn intervals(windows: &[Window], zone: &TimeZone, now: Timestamp) -> Option<Vec<(i64, i64)>> {
    let today = jiff::Timestamp::from_millisecond(now.0).ok()?.to_zoned(zone.clone()).date();
    let mut all = Vec::new();
    for ahead in -2..=9_i64 {
        let date = today.checked_add(Span::new().try_days(ahead).ok()?).ok()?;
        for window in windows.iter().filter(|window| window.days & day_bit(date.weekday()) != 0) {
            let start = instant(zone, date, window.from_min)?;
            let end_date = if window.to_min > window.from_min { date } else { date.tomorrow().ok()? };
            let end = instant(zone, end_date, window.to_min)?;
            if start < end && now.0 < end {
                all.push((start, end));
            }
        }
    }
    all.sort_unstable();
    let mut merged: Vec<(i64, i64)> = Vec::with_capacity(all.len());
    for (start, end) in all {
        match merged.last_mut() {
            Some(last) if start <= last.1 => last.1 = last.1.max(end),
            Some(_) | None => merged.push((start, end)),
        }
    }
    Some(merged)
}

fn day_bit(day: Weekday) -> u8 {
    1 << day.to_monday_zero_offset()
}

/// The instant of a local time, in milliseconds since the epoch.
fn instant(zone: &TimeZone, date: Date, minute: u16) -> Option<i64> {
    let (date, minute) = if minute == DAY_MIN { (date.tomorrow().ok()?, 0) } else { (date, minute) };
    let local = date.at(i8::try_from(minute / 60).ok()?, i8::try_from(minute % 60).ok()?, 0, 0);
    let at = zone.to_ambiguous_timestamp(local);
    let instant = match at.offset() {
        AmbiguousOffset::Unambiguous { offset } => offset.to_timestamp(local).ok()?,
        AmbiguousOffset::Fold { before, .. } => before.to_timestamp(local).ok()?,
        // The clock jumps at the one transition between the two readings of the skipped time.
        AmbiguousOffset::Gap { before, .. } => {
            let late = before.to_timestamp(local).ok()?;
            zone.preceding(late.checked_add(1.nanosecond()).ok()?).next()?.timestamp()
        }
    };
    Some(instant.as_millisecond())
}

/// What two ordered lists of disjoint intervals have in common.
fn intersect(left: &[(i64, i64)], right: &[(i64, i64)]) -> Vec<(i64, i64)> {
    let mut common = Vec::new();
    for (a, b) in left {
        for (c, d) in right {
            let (start, end) = (*a.max(c), *b.min(d));
            if start < end {
                common.push((start, end));
            }
        }
    }
    common
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        Timestamp::parse(text).unwrap()
    }

    fn open(days: Option<&[&str]>, from: &str, to: &str, name: &str, now: &str) -> Opening {
        let windows: Vec<_> = Window::read(days, from, to).into_iter().collect();
        opening(&windows, &[&zone(name).unwrap()], at(now))
    }

    #[test]
    fn from_is_inside_and_to_is_not() {
        let ask = |now| open(None, "09:00", "20:00", "Europe/Amsterdam", now);
        assert_eq!(ask("2026-05-01T09:00:00+02:00"), Opening::Open);
        assert_eq!(ask("2026-05-01T19:59:59.999+02:00"), Opening::Open);
        assert_eq!(ask("2026-05-01T20:00:00+02:00"), Opening::At(at("2026-05-02T09:00:00+02:00")));
        assert_eq!(ask("2026-05-01T08:59:59.999+02:00"), Opening::At(at("2026-05-01T09:00:00+02:00")));
    }

    #[test]
    fn past_midnight_belongs_to_the_day_it_opens_on() {
        let ask = |now| open(Some(&["fri"]), "22:00", "02:00", "UTC", now);
        assert_eq!(ask("2026-05-02T01:59:00Z"), Opening::Open, "Saturday, opened on Friday");
        assert_eq!(ask("2026-05-01T01:59:00Z"), Opening::At(at("2026-05-01T22:00:00Z")));
        assert_eq!(open(Some(&["fri"]), "22:00", "24:00", "UTC", "2026-05-01T23:59:00Z"), Opening::Open);
    }

    #[test]
    fn a_skipped_local_time_is_the_first_instant_after_the_gap() {
        // Clocks in Amsterdam jumped from 02:00 to 03:00 (01:00 UTC) on 2026-03-29.
        let ask = |from, to, now| open(Some(&["sun"]), from, to, "Europe/Amsterdam", now);
        assert_eq!(ask("02:30", "04:00", "2026-03-29T00:00:00Z"), Opening::At(at("2026-03-29T01:00:00Z")));
        assert_eq!(ask("01:30", "02:30", "2026-03-29T00:59:59Z"), Opening::Open);
        assert_ne!(ask("01:30", "02:30", "2026-03-29T01:00:00Z"), Opening::Open);
    }

    #[test]
    fn a_local_time_that_happens_twice_is_its_first() {
        // 02:30 happened at 00:30 and 01:30 UTC on 2026-10-25.
        let ask = |now| open(Some(&["sun"]), "02:30", "04:00", "Europe/Amsterdam", now);
        assert_eq!(ask("2026-10-25T00:00:00Z"), Opening::At(at("2026-10-25T00:30:00Z")));
        assert_eq!(ask("2026-10-25T01:10:00Z"), Opening::Open);
    }

    #[test]
    fn several_zones_must_agree() {
        let (east, west) = (zone("Asia/Tokyo").unwrap(), zone("America/New_York").unwrap());
        let day = [Window::read::<&str>(None, "09:00", "17:00").unwrap()];
        assert_eq!(opening(&day, &[&east, &west], at("2026-05-01T00:00:00Z")), Opening::Never);
        assert_eq!(opening(&day, &[], at("2026-05-01T00:00:00Z")), Opening::Never);
    }

    #[test]
    fn what_cannot_be_read_never_opens() {
        let days = |days: &[&str]| Window::read(Some(days), "09:00", "10:00");
        assert!(days(&["mon"]).is_some());
        assert_eq!((days(&[]), days(&["Mon"]), days(&["mon", "someday"])), (None, None, None));
        for (from, to) in [("09:00", "09:00"), ("9:00", "10:00"), ("24:00", "10:00"), ("", "10:00")] {
            assert_eq!(Window::read::<&str>(None, from, to), None, "{from} {to}");
        }
        assert_eq!(Window::read::<&str>(None, "09:00", "24:01"), None);
    }
}
