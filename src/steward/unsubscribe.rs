//! The token of a one-click unsubscription (RFC 8058): what is withdrawn, signed.
//!
//! `base64url(payload).base64url(HMAC-SHA-256(payload))`, without padding. The payload is JSON and names the
//! subject: who holds the mail holds the token, and can do with it this one thing, as often as they like. Pure.

use std::fmt;

use hmac::{Hmac, KeyInit, Mac};
use serde::{Deserialize, Serialize};
use sha2::Sha256;

use super::edit::Scope;
use super::subject::Subject;
use crate::time::Timestamp;

/// The longest token that is looked at, in bytes: a subject of 512 bytes, and words.
const MAX_TOKEN_BYTES: usize = 4096;

/// What the tokens are signed under; it is not shown.
#[derive(Clone)]
pub struct UnsubscribeKey(pub Vec<u8>);

impl fmt::Debug for UnsubscribeKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("UnsubscribeKey")
    }
}

/// What a token withdraws.
#[derive(Clone, Debug)]
pub struct Unsubscription {
    /// Whose consent.
    pub subject: Subject,
    /// Purpose and channel; both are named.
    pub scope: Scope,
    /// From then on the token is void; `None`: never.
    pub until: Option<Timestamp>,
}

#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct Payload {
    subject: String,
    purpose: String,
    channel: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    until: Option<i64>,
}

impl UnsubscribeKey {
    /// The token that withdraws this.
    pub fn sign(&self, what: &Unsubscription) -> String {
        let payload = Payload {
            subject: what.subject.key(),
            purpose: what.scope.purpose.clone(),
            channel: what.scope.channel.clone(),
            until: what.until.map(|at| at.0),
        };
        let payload = serde_json::to_vec(&payload).unwrap_or_default();
        let mac = self.mac(&payload).map(|mac| mac.finalize().into_bytes()).unwrap_or_default();
        format!("{}.{}", encode(&payload), encode(&mac))
    }

    /// What a token withdraws, if it was signed under this key and is not void. Compared in constant time.
    pub fn read(&self, token: &str, now: Timestamp) -> Option<Unsubscription> {
        let (payload, mac) = (token.len() <= MAX_TOKEN_BYTES).then_some(token)?.split_once('.')?;
        let (payload, mac) = (decode(payload)?, decode(mac)?);
        self.mac(&payload)?.verify_slice(&mac).ok()?;
        let payload: Payload = serde_json::from_slice(&payload).ok()?;
        let until = payload.until.map(Timestamp);
        let scope = Scope { purpose: payload.purpose, channel: payload.channel, recipient: String::new() };
        let named = !scope.purpose.trim().is_empty() && !scope.channel.trim().is_empty();
        let valid = named && until.is_none_or(|until| now < until);
        valid.then(|| Subject::parse(&payload.subject)).flatten().map(|subject| Unsubscription {
            subject,
            scope,
            until,
        })
    }

    fn mac(&self, payload: &[u8]) -> Option<Hmac<Sha256>> {
        // What else may be signed under the same key is not mistaken for a token.
        Some(
            Hmac::<Sha256>::new_from_slice(&self.0)
                .ok()?
                .chain_update(b"consentry unsubscribe\0")
                .chain_update(payload),
        )
    }
}

/// base64url without padding (RFC 4648, section 5).
const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

fn encode(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for chunk in bytes.chunks(3) {
        let bits =
            chunk.iter().fold(0_u32, |bits, byte| bits << 8 | u32::from(*byte)) << (8 * (3 - chunk.len()));
        let letter = |at: usize| LETTERS.get((bits >> (18 - 6 * at)) as usize & 63).copied().map(char::from);
        text.extend((0..=chunk.len()).filter_map(letter));
    }
    text
}

/// `None` for anything that [`encode`] does not write.
fn decode(text: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(text.len() * 3 / 4);
    for chunk in text.as_bytes().chunks(4) {
        let mut bits = 0_u32;
        for byte in chunk {
            bits = bits << 6 | u32::try_from(LETTERS.iter().position(|letter| letter == byte)?).ok()?;
        }
        let bits = bits << (6 * (4 - chunk.len()));
        let [_, all @ ..] = bits.to_be_bytes();
        let (kept, rest) = all.split_at_checked(chunk.len().checked_sub(1).filter(|count| *count > 0)?)?;
        if rest.iter().any(|byte| *byte != 0) {
            return None;
        }
        bytes.extend(kept);
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp(1_000);

    fn what(until: Option<Timestamp>) -> Unsubscription {
        let scope = Scope { purpose: "newsletter".into(), channel: "email".into(), recipient: String::new() };
        Unsubscription { subject: Subject::parse("email: Änn@example.org").unwrap(), scope, until }
    }

    #[test]
    fn a_token_says_what_was_signed() {
        let key = UnsubscribeKey(vec![7; 32]);
        let token = key.sign(&what(None));
        assert!(token.bytes().all(|byte| byte == b'.' || LETTERS.contains(&byte)), "{token}");
        let read = key.read(&token, NOW).unwrap();
        assert_eq!(read.subject.key(), "email:änn@example.org");
        assert_eq!((read.scope.purpose.as_str(), read.scope.channel.as_str()), ("newsletter", "email"));
        assert!(key.read(&token, NOW).is_some(), "a second time too");
    }

    #[test]
    fn a_forged_or_void_token_says_nothing() {
        let (key, other) = (UnsubscribeKey(vec![7; 32]), UnsubscribeKey(vec![8; 32]));
        let token = key.sign(&what(None));
        assert!(other.read(&token, NOW).is_none());
        for at in 0..token.len() {
            let mut forged = token.clone().into_bytes();
            forged[at] = if forged[at] == b'A' { b'B' } else { b'A' };
            let forged = String::from_utf8(forged).unwrap();
            assert!(key.read(&forged, NOW).is_none(), "{at}");
        }
        for void in ["", ".", "e30.", &"A".repeat(5000), token.trim_end_matches(|c| c != '.')] {
            assert!(key.read(void, NOW).is_none(), "{void}");
        }
        let bounded = key.sign(&what(Some(Timestamp(2_000))));
        assert!(key.read(&bounded, Timestamp(1_999)).is_some());
        assert!(key.read(&bounded, Timestamp(2_000)).is_none());
        let nameless = Unsubscription { scope: Scope::default(), ..what(None) };
        assert!(key.read(&key.sign(&nameless), NOW).is_none(), "a token never withdraws everything");
    }

    #[test]
    fn base64url_is_that_of_the_rfc() {
        for (bytes, text) in [("", ""), ("f", "Zg"), ("fo", "Zm8"), ("foo", "Zm9v"), ("foobar", "Zm9vYmFy")] {
            assert_eq!(
                (encode(bytes.as_bytes()).as_str(), decode(text).as_deref()),
                (text, Some(bytes.as_bytes()))
            );
        }
        assert_eq!(encode(b"\xfb\xff"), "-_8");
        for bad in ["Z", "Zh", "Zg==", "Zm+v", "Zm9vY"] {
            assert_eq!(decode(bad), None, "{bad}");
        }
    }
}
