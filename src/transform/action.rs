//! One action on one field.

use std::borrow::Cow;
use std::net::IpAddr;

use hmac::{Hmac, Mac};
use sha2::Sha256;

use super::Failed;
use crate::policy::settings::FieldAction;
use crate::time::Timestamp;
use crate::wire::json::WHITE_SPACE;

/// What a masked value becomes.
const MASK: &str = "***";

/// The pseudonym key, ready to use; without one, hashing fails.
#[derive(Debug)]
pub struct Pseudonyms(pub Option<Hmac<Sha256>>);

impl Pseudonyms {
    /// The lower-case hex HMAC-SHA-256 of `text` (RFC 2104).
    pub fn hash(&self, text: &[u8]) -> Result<String, Failed> {
        let mut keyed = self.0.clone().ok_or(Failed)?;
        keyed.update(text);
        Ok(hex::encode(keyed.finalize().into_bytes()))
    }

    /// What becomes of JSON text that is not `null`; `None`: it is taken out.
    pub fn act_on_json(&self, action: FieldAction, raw: &str) -> Result<Option<String>, Failed> {
        if action == FieldAction::Remove {
            return Ok(None);
        }
        if let FieldAction::Floor(step) = action {
            return floor(raw, step).map(Some);
        }
        if action == FieldAction::Null {
            return Ok(Some("null".to_owned()));
        }
        if action == FieldAction::Mask {
            return Ok(Some(format!("\"{MASK}\"")));
        }
        let text = if raw.starts_with('"') {
            Cow::Owned(serde_json::from_str::<String>(raw).map_err(|_| Failed)?)
        } else if action == FieldAction::Hash {
            Cow::Owned(without_white_space(raw))
        } else {
            return Err(Failed);
        };
        let done = self.act_on_text(action, &text)?;
        serde_json::to_string(&done).map(Some).map_err(|_| Failed)
    }

    /// What becomes of a header's value; `None`: null.
    pub fn act_on_bytes(&self, action: FieldAction, bytes: &[u8]) -> Result<Option<Vec<u8>>, Failed> {
        let done = match action {
            FieldAction::Remove | FieldAction::Null => return Ok(None),
            FieldAction::Hash => self.hash(bytes)?,
            FieldAction::Mask
            | FieldAction::Truncate(_)
            | FieldAction::Floor(_)
            | FieldAction::Day
            | FieldAction::Month
            | FieldAction::Year
            | FieldAction::Ip => match (action, std::str::from_utf8(bytes)) {
                (FieldAction::Mask, _) => self.act_on_text(action, "")?,
                (FieldAction::Floor(step), Ok(text)) => floor(text, step)?,
                (_, Ok(text)) => self.act_on_text(action, text)?,
                (_, Err(_)) => return Err(Failed),
            },
        };
        Ok(Some(done.into_bytes()))
    }

    fn act_on_text(&self, action: FieldAction, text: &str) -> Result<String, Failed> {
        match action {
            FieldAction::Mask => Ok(MASK.to_owned()),
            FieldAction::Hash => self.hash(text.as_bytes()),
            FieldAction::Truncate(kept) => Ok(text.chars().take(kept).collect()),
            FieldAction::Day => cut_time(text, 10),
            FieldAction::Month => cut_time(text, 7),
            FieldAction::Year => cut_time(text, 4),
            FieldAction::Ip => network(text),
            FieldAction::Remove | FieldAction::Null | FieldAction::Floor(_) => Err(Failed),
        }
    }
}

/// The first `length` bytes of an RFC 3339 time, in the offset it is written in.
fn cut_time(text: &str, length: usize) -> Result<String, Failed> {
    Timestamp::parse(text).ok_or(Failed)?;
    text.get(..length).map(str::to_owned).ok_or(Failed)
}

/// The address of the /24 or /48 that an address is in.
fn network(text: &str) -> Result<String, Failed> {
    match text.parse().map_err(|_| Failed)? {
        IpAddr::V4(address) => {
            let [a, b, c, _] = address.octets();
            Ok(IpAddr::from([a, b, c, 0]).to_string())
        }
        IpAddr::V6(address) => {
            let [a, b, c, ..] = address.segments();
            Ok(IpAddr::from([a, b, c, 0, 0, 0, 0, 0]).to_string())
        }
    }
}

/// A JSON number floored to a multiple of `step`: an integer stays one, any other number keeps its point.
fn floor(raw: &str, step: u64) -> Result<String, Failed> {
    let number: serde_json::Number = serde_json::from_str(raw).map_err(|_| Failed)?;
    if raw.contains(WHITE_SPACE) {
        return Err(Failed);
    }
    let digits = raw.strip_prefix('-').unwrap_or(raw);
    if digits.bytes().all(|byte| byte.is_ascii_digit()) {
        let number: i128 = raw.parse().map_err(|_| Failed)?;
        let step = i128::from(step);
        let floored = number.checked_div_euclid(step).and_then(|times| times.checked_mul(step));
        return floored.map(|floored| floored.to_string()).ok_or(Failed);
    }
    #[allow(clippy::cast_precision_loss, reason = "a step is small; a number with a point is no exact one")]
    let step = step as f64;
    let floored = (number.as_f64().ok_or(Failed)? / step).floor() * step;
    if floored.is_finite() { Ok(format!("{floored:?}")) } else { Err(Failed) }
}

/// JSON text without the white space between its parts.
fn without_white_space(raw: &str) -> String {
    let (mut quoted, mut escaped) = (false, false);
    let keep = |character: &char| {
        if quoted {
            quoted = escaped || *character != '"';
            escaped = !escaped && *character == '\\';
            return true;
        }
        quoted = *character == '"';
        !WHITE_SPACE.contains(character)
    };
    raw.chars().filter(keep).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn act(action: FieldAction, raw: &str) -> Result<Option<String>, Failed> {
        Pseudonyms(None).act_on_json(action, raw)
    }

    fn is(action: FieldAction, raw: &str, expected: &str) {
        assert_eq!(act(action, raw), Ok(Some(expected.to_owned())), "{action:?} {raw}");
    }

    #[test]
    fn acts_as_documented() {
        is(FieldAction::Null, "5", "null");
        is(FieldAction::Mask, r#"{"a":1}"#, r#""***""#);
        is(FieldAction::Mask, r#""\ud800""#, r#""***""#);
        is(FieldAction::Truncate(2), r#""a\u00e9b""#, r#""aé""#);
        is(FieldAction::Floor(10), "-7", "-10");
        is(FieldAction::Floor(10), "19", "10");
        is(FieldAction::Floor(10), "12.7", "10.0");
        is(FieldAction::Floor(5), "1e1", "10.0");
        is(FieldAction::Day, r#""2026-05-01T23:59:00-10:00""#, r#""2026-05-01""#);
        is(FieldAction::Month, r#""2026-05-01T23:59:00Z""#, r#""2026-05""#);
        is(FieldAction::Year, r#""2026-05-01T23:59:00Z""#, r#""2026""#);
        is(FieldAction::Ip, r#""192.0.2.77""#, r#""192.0.2.0""#);
        is(FieldAction::Ip, r#""2001:db8:1:2::7""#, r#""2001:db8:1::""#);
        assert_eq!(act(FieldAction::Remove, "5"), Ok(None));
    }

    #[test]
    fn what_cannot_be_done_fails() {
        for (action, raw) in [
            (FieldAction::Truncate(1), "5"),
            (FieldAction::Floor(1), r#""5""#),
            (FieldAction::Floor(1), "1e999"),
            (FieldAction::Floor(1), "true"),
            (FieldAction::Floor(1), " 12 "),
            (FieldAction::Floor(10), "-170141183460469231731687303715884105728"),
            (FieldAction::Day, r#""2026-05-01""#),
            (FieldAction::Day, "1777629600000"),
            (FieldAction::Ip, r#""192.0.2.77:80""#),
            (FieldAction::Hash, r#""no key""#),
        ] {
            assert_eq!(act(action, raw), Err(Failed), "{action:?} {raw}");
        }
    }

    #[test]
    fn white_space_goes_between_parts_and_stays_within_text() {
        assert_eq!(without_white_space(" { \"a b\" : [ 1 , \"\\\" \\\\\" ] } "), r#"{"a b":[1,"\" \\"]}"#);
    }
}
