//! What time it is, and how instants are written.
//!
//! The one place that asks the machine for the time. Everything below the line takes `now` as an
//! argument, so that a decision can be repeated. `Timestamp` is wall-clock time in milliseconds since
//! the Unix epoch, the resolution of Kafka's own timestamps. A simulation may put a [`Machine`] in place of the
//! real one.

mod machine;

use std::sync::OnceLock;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use jiff::civil::Date;

pub use machine::{Machine, Simulated, simulate, simulated};

/// An instant: milliseconds since 1970-01-01T00:00:00Z.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(pub i64);

impl Timestamp {
    /// Reads an RFC 3339 date-time with an offset, cut to the millisecond. A leap second counts as the
    /// last millisecond before it. `None` for anything else.
    pub fn parse(text: &str) -> Option<Self> {
        let bytes = text.as_bytes();
        let digits = |from: usize, to: usize| number(bytes.get(from..to)?);
        let is = |at: usize, any: &[u8]| bytes.get(at).is_some_and(|byte| any.contains(byte));
        if !(is(4, b"-") && is(7, b"-") && is(10, b"Tt ") && is(13, b":") && is(16, b":")) {
            return None;
        }
        let second = digits(17, 19)?;
        let (millisecond, rest) = fraction(bytes.get(19..)?)?;
        let offset_s = offset(rest)?;
        let (year, month, day) = (digits(0, 4)?, digits(5, 7)?, digits(8, 10)?);
        Date::new(i16::try_from(year).ok()?, i8::try_from(month).ok()?, i8::try_from(day).ok()?).ok()?;
        let (hour, minute) = (digits(11, 13)?, digits(14, 16)?);
        let minute_s = days(year, month, day) * DAY_S + hour * 3600 + minute * 60 - offset_s;
        // A leap second stands at the end of a day of UTC and nowhere else.
        let leap = second == 60 && minute_s.rem_euclid(DAY_S) == DAY_S - 60;
        let within_ms = if leap { 59_999 } else { second * 1000 + millisecond };
        let valid = hour < 24 && minute < 60 && (second < 60 || leap);
        valid.then_some(Self(minute_s * 1000 + within_ms))
    }

    /// This instant plus `ms` milliseconds, held at the ends of the range.
    #[must_use]
    pub const fn plus(self, ms: i64) -> Self {
        Self(self.0.saturating_add(ms))
    }
}

/// RFC 3339 in UTC, with milliseconds only where they are not zero. What lies beyond the years that can be
/// written so is the last, or the first, instant that can.
impl std::fmt::Display for Timestamp {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (first, last) = (jiff::Timestamp::MIN, jiff::Timestamp::MAX);
        let beyond = if self.0 < 0 { first } else { last };
        let instant = jiff::Timestamp::from_millisecond(self.0).unwrap_or(beyond);
        if instant.as_millisecond().rem_euclid(1000) == 0 {
            write!(f, "{instant:.0}")
        } else {
            write!(f, "{instant:.3}")
        }
    }
}

const DAY_S: i64 = 86_400;

/// Days from 1970-01-01 to a date of the Gregorian calendar. The year is counted from March, so that the
/// leap day is its last.
const fn days(year: i64, month: i64, day: i64) -> i64 {
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let leaps = year.div_euclid(4) - year.div_euclid(100) + year.div_euclid(400);
    year * 365 + leaps + (153 * month + 2) / 5 + day - 1 - 719_468
}

/// The digits of `bytes` as a number; `None` unless all are digits.
fn number(bytes: &[u8]) -> Option<i64> {
    let all = !bytes.is_empty() && bytes.iter().all(u8::is_ascii_digit);
    all.then(|| bytes.iter().fold(0, |sum, digit| sum * 10 + i64::from(digit - b'0')))
}

/// `.123456` at the start of `rest`, cut to milliseconds, and what follows it.
fn fraction(rest: &[u8]) -> Option<(i64, &[u8])> {
    let Some(after) = rest.strip_prefix(b".") else { return Some((0, rest)) };
    let count = after.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let (digits, rest) = after.split_at_checked(count)?;
    let kept = digits.get(..count.min(3))?;
    Some((number(kept)? * [100, 10, 1].get(kept.len() - 1)?, rest))
}

/// `Z` or `±HH:MM`, in seconds east of Greenwich.
fn offset(text: &[u8]) -> Option<i64> {
    match text {
        [b'Z' | b'z'] => Some(0),
        [sign @ (b'+' | b'-'), h1, h2, b':', m1, m2] => {
            let (hours, minutes) = (number(&[*h1, *h2])?, number(&[*m1, *m2])?);
            let seconds = (hours < 24 && minutes < 60).then_some(hours * 3600 + minutes * 60)?;
            Some(if *sign == b'-' { -seconds } else { seconds })
        }
        _ => None,
    }
}

/// The wall clock, which never goes back within a process: where the machine's clock is set back, the
/// last reading stands until it is reached again.
#[derive(Debug, Default)]
pub struct Clock {
    last_ms: AtomicI64,
}

impl Clock {
    /// Now.
    #[allow(clippy::disallowed_methods, reason = "the one place that asks")]
    pub fn now(&self) -> Timestamp {
        let ms = match simulated() {
            Some(machine) => machine.wall().0,
            None => {
                let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
                i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
            }
        };
        Timestamp(self.last_ms.fetch_max(ms, Ordering::Relaxed).max(ms))
    }
}

/// A monotonic reading, for waits and time-outs; and what the wall clock said beside it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Instant(std::time::Instant, SystemTime);

impl Instant {
    /// Now.
    #[allow(clippy::disallowed_methods, reason = "the one place that asks")]
    pub fn now() -> Self {
        /// What simulated time is counted from.
        static ORIGIN: OnceLock<std::time::Instant> = OnceLock::new();
        let Some(machine) = simulated() else { return Self(std::time::Instant::now(), SystemTime::now()) };
        let wall = Duration::from_millis(u64::try_from(machine.wall().0).unwrap_or(0));
        Self(*ORIGIN.get_or_init(std::time::Instant::now) + machine.monotonic(), UNIX_EPOCH + wall)
    }

    /// How long ago this was; zero if it is still to come.
    pub fn elapsed(self) -> Duration {
        Self::now().0.saturating_duration_since(self.0)
    }

    /// How long ago this was by whichever clock says longer: the monotonic one stands still while a machine
    /// sleeps.
    pub fn elapsed_at_most(self) -> Duration {
        let now = Self::now();
        let by_wall = now.1.duration_since(self.1).unwrap_or_default();
        now.0.saturating_duration_since(self.0).max(by_wall)
    }

    /// How long from `earlier` to this; zero if `earlier` is later.
    pub fn since(self, earlier: Self) -> Duration {
        self.0.saturating_duration_since(earlier.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_machine_that_slept_has_waited() {
        let now = Instant::now();
        let before = Instant(now.0, now.1 - Duration::from_secs(3600));
        assert!(before.elapsed() < Duration::from_secs(60));
        assert!(before.elapsed_at_most() >= Duration::from_secs(3600));
        let ahead = Instant(now.0, now.1 + Duration::from_secs(3600));
        assert!(ahead.elapsed_at_most() < Duration::from_secs(60), "a clock set back says nothing");
    }

    struct Still;

    impl Machine for Still {
        fn monotonic(&self) -> Duration {
            Duration::from_secs(7)
        }

        fn wall(&self) -> Timestamp {
            Timestamp(5)
        }

        fn sleep(&self, _pause: Duration) {}

        fn wait(&self, _at_most: Duration) {}

        fn ring(&self) {}

        fn random(&self) -> u64 {
            4
        }
    }

    #[test]
    fn a_simulated_thread_has_its_own_time_and_no_other_has() {
        let still = simulate(std::sync::Arc::new(Still));
        let (began, clock) = (Instant::now(), Clock::default());
        assert_eq!((began.elapsed(), began, clock.now()), (Duration::ZERO, Instant::now(), Timestamp(5)));
        std::thread::scope(|scope| {
            let other = scope.spawn(|| Clock::default().now());
            assert!(other.join().unwrap() > Timestamp(5));
        });
        drop(still);
        assert!(clock.now() > Timestamp(5));
    }

    #[test]
    fn reads_rfc_3339_and_nothing_else() {
        let ms = |text| Timestamp::parse(text).map(|at| at.0);
        assert_eq!(ms("1970-01-01T00:00:00Z"), Some(0));
        assert_eq!(ms("2026-05-01T10:00:00.1239Z"), Some(1_777_629_600_123));
        assert_eq!(ms("2026-05-01t12:00:00.5+02:00"), Some(1_777_629_600_500));
        assert_eq!(ms("2026-04-30T23:30:00-10:30"), Some(1_777_629_600_000));
        assert_eq!(ms("2016-12-31T23:59:60Z"), Some(1_483_228_799_999));
        assert_eq!(ms("2017-01-01T00:59:60+01:00"), Some(1_483_228_799_999));
        assert_eq!(ms("9999-12-31T23:59:59Z"), Some(253_402_300_799_000));
        assert_eq!(ms("0000-03-01T00:00:00Z"), Some(-62_162_035_200_000));
        for bad in [
            "",
            "2026-05-01",
            "2026-05-01T10:00:00",
            "2026-5-01T10:00:00Z",
            "2026-02-30T10:00:00Z",
            "2026-05-01T10:00:00.Z",
            "2026-05-01T24:00:00Z",
            "2026-05-01T10:00:00+24:00",
            "2026-05-01T10:00:00+0200",
            "2026-05-01T10:00:00Z ",
            "+026-05-01T10:00:00Z",
            "2026-05-01T10:00:60Z",
            "2026-05-01T10:60:00Z",
        ] {
            assert_eq!(ms(bad), None, "{bad}");
        }
    }

    #[test]
    fn writes_milliseconds_only_where_there_are_some() {
        assert_eq!(Timestamp(1_777_629_600_000).to_string(), "2026-05-01T10:00:00Z");
        assert_eq!(Timestamp(1_777_629_600_120).to_string(), "2026-05-01T10:00:00.120Z");
        assert_eq!(Timestamp(i64::MAX).to_string(), "9999-12-30T22:00:00.999Z");
    }

    #[test]
    fn the_clock_never_goes_back() {
        let clock = Clock::default();
        clock.last_ms.store(i64::MAX - 1, Ordering::Relaxed);
        assert_eq!(clock.now(), Timestamp(i64::MAX - 1));
    }
}
