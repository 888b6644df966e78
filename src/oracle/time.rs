//! Instants as milliseconds since the epoch, read and written by hand.
//!
//! RFC 3339 is read here from its grammar and the calendar is counted out, so that no date library stands
//! on both sides of the comparison. Only time zones (see `window`) are asked of one. Never reads a clock.

use super::json::Node;

/// Milliseconds since 1970-01-01T00:00:00Z. Wide, so that no sum can overflow.
pub type Millis = i128;

/// In milliseconds.
pub const SECOND: Millis = 1000;
/// In milliseconds.
pub const DAY: Millis = 86_400 * SECOND;

fn leap(year: i128) -> bool {
    year % 4 == 0 && (year % 100 != 0 || year % 400 == 0)
}

fn days_in_month(year: i128, month: i128) -> i128 {
    match month {
        2 if leap(year) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Days from 1970-01-01 to a day of the Gregorian calendar.
pub fn day_number(year: i128, month: i128, day: i128) -> i128 {
    let before = |y: i128| 365 * y + y.div_euclid(4) - y.div_euclid(100) + y.div_euclid(400);
    let months: i128 = (1..month).map(|m| days_in_month(year, m)).sum();
    before(year - 1) - before(1969) + months + day - 1
}

/// Year, month and day of a day counted from 1970-01-01.
pub fn calendar(number: i128) -> (i128, i128, i128) {
    let mut year = 1970 + number.div_euclid(if number < 0 { 365 } else { 366 });
    while day_number(year + 1, 1, 1) <= number {
        year += 1;
    }
    let mut month = 1;
    while month < 12 && day_number(year, month + 1, 1) <= number {
        month += 1;
    }
    (year, month, number - day_number(year, month, 1) + 1)
}

fn digits(text: &str) -> Option<i128> {
    (!text.is_empty() && text.bytes().all(|b| b.is_ascii_digit())).then(|| text.parse().ok())?
}

/// A time of RFC 3339, strictly: `T` or a space, `Z` or `±HH:MM`, no leap second; cut to the millisecond.
pub fn rfc3339(text: &str) -> Option<Millis> {
    let part = |from: usize, to: usize| text.get(from..to);
    for (at, marks) in [(4, "-"), (7, "-"), (10, "T "), (13, ":"), (16, ":")] {
        let mark = part(at, at + 1)?;
        if !marks.contains(mark) {
            return None;
        }
    }
    let [year, month, day, hour, minute, second] = [(0, 4), (5, 7), (8, 10), (11, 13), (14, 16), (17, 19)]
        .map(|(from, to)| part(from, to).and_then(digits));
    let (year, month, day) = (year?, month?, day?);
    let (hour, minute, second) = (hour?, minute?, second?);
    if !(1..=12).contains(&month) || !(1..=days_in_month(year, month)).contains(&day) {
        return None;
    }
    if hour > 23 || minute > 59 || second > 59 {
        return None;
    }
    let mut rest = part(19, text.len())?;
    let mut fraction = 0;
    if let Some(after) = rest.strip_prefix('.') {
        let length = after.bytes().take_while(u8::is_ascii_digit).count();
        let (written, behind) = after.split_at_checked(length)?;
        digits(written)?;
        fraction = digits(&format!("{written:0<3.3}"))?;
        rest = behind;
    }
    let local = day_number(year, month, day) * DAY + ((hour * 60 + minute) * 60 + second) * SECOND + fraction;
    Some(local - offset(rest)?)
}

fn offset(text: &str) -> Option<Millis> {
    if text == "Z" {
        return Some(0);
    }
    let sign = match text.get(0..1)? {
        "+" => 1,
        "-" => -1,
        _ => return None,
    };
    let (hours, minutes) = (digits(text.get(1..3)?)?, digits(text.get(4..)?)?);
    let shaped = text.len() == 6 && text.get(3..4) == Some(":") && hours < 24 && minutes < 60;
    shaped.then_some(sign * (hours * 60 + minutes) * 60 * SECOND)
}

/// An integer of JSON (no fraction, no exponent) that fits 64 bits.
pub fn integer(source: &str) -> Option<i128> {
    source.parse::<i64>().ok().map(i128::from)
}

/// A time in a value: RFC 3339 as a string, or integer milliseconds. `Err` where it is neither.
pub(super) fn read(node: &Node) -> Result<Option<Millis>, ()> {
    match node {
        Node::Null => Ok(None),
        Node::Text(_, chars) => rfc3339(chars).map(Some).ok_or(()),
        Node::Number(source) => integer(source).map(Some).ok_or(()),
        _ => Err(()),
    }
}

/// In UTC, with milliseconds only where they are not zero.
pub fn write(at: Millis) -> String {
    let (year, month, day) = calendar(at.div_euclid(DAY));
    let left = at.rem_euclid(DAY);
    let (seconds, millis) = (left / SECOND, left % SECOND);
    let fraction = if millis == 0 { String::new() } else { format!(".{millis:03}") };
    let (hour, minute, second) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}{fraction}Z")
}

/// A duration of the configuration: `500ms`, `5s`, `3m`, `2h`, `400d`.
pub fn duration(text: &str) -> Option<Millis> {
    let unit = text.trim_start_matches(|c: char| c.is_ascii_digit());
    let count: Millis = text.strip_suffix(unit)?.parse().ok()?;
    count.checked_mul(match unit {
        "ms" => 1,
        "s" => SECOND,
        "m" => 60 * SECOND,
        "h" => 3600 * SECOND,
        "d" => DAY,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_calendar_counts_out() {
        for (text, at) in [
            ("1970-01-01T00:00:00Z", 0),
            ("2026-05-01T10:00:00.123456Z", 1_777_629_600_123),
            ("2026-05-01 12:00:00.1+02:00", 1_777_629_600_100),
            ("2000-02-29T23:59:59-00:30", 951_870_599_000),
        ] {
            assert_eq!(rfc3339(text), Some(at), "{text}");
        }
        for number in [-800_000, -1, 0, 58, 59, 60, 11_016, 11_017, 20_000, 800_000] {
            let (year, month, day) = calendar(number);
            assert_eq!(day_number(year, month, day), number);
        }
        for wrong in [
            "2026-02-29T00:00:00Z",
            "2026-05-01",
            "2026-05-01T24:00:00Z",
            "2026-05-01T10:00:00",
            "",
            "2026-05-01T10:00:00.Z",
            "2026-05-01T10:00:00+2:00",
            "2026-05-01T10:00:00Zé",
            "tomorrow",
        ] {
            assert_eq!(rfc3339(wrong), None, "{wrong}");
        }
        assert_eq!(write(1_777_629_600_120), "2026-05-01T10:00:00.120Z");
    }
}
