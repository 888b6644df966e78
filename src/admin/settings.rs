//! Where the process answers over HTTP, and whom.

use std::fmt;
use std::net::SocketAddr;

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use crate::steward::UnsubscribeKey;

/// The admin listener.
#[derive(Clone, Debug)]
pub struct AdminSettings {
    /// The address to listen on; port 0 takes a free one. Default `127.0.0.1:8080`.
    pub listen: SocketAddr,
    /// Whether anything about persons is opened, be its secret on this machine or not: the consent topic is written to.
    pub about_persons: bool,
    /// What opens the interface about persons; none: it is not there.
    pub token: Option<Bearer>,
    /// What signs the tokens in mails; none: no such link is honoured.
    pub unsubscribe_key: Option<UnsubscribeKey>,
}

impl AdminSettings {
    /// Without anything about persons.
    pub const fn open(listen: SocketAddr) -> Self {
        Self { listen, about_persons: false, token: None, unsubscribe_key: None }
    }
}

/// A bearer token, which is not shown.
#[derive(Clone)]
pub struct Bearer(pub Vec<u8>);

impl Bearer {
    /// Whether this is it. How long that takes says nothing of where the two differ: what is compared is an
    /// HMAC-SHA-256 of each, in constant time.
    pub fn is(&self, given: &[u8]) -> bool {
        let keyed = |text: &[u8]| {
            let mac = Hmac::<Sha256>::new_from_slice(&self.0).ok()?;
            Some(mac.chain_update(text))
        };
        let own = keyed(&self.0).map(|mac| mac.finalize().into_bytes());
        own.zip(keyed(given)).is_some_and(|(own, given)| given.verify(&own).is_ok())
    }
}

impl fmt::Debug for Bearer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Bearer")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_itself_alone() {
        let token = Bearer(b"0123456789abcdef".to_vec());
        assert!(token.is(b"0123456789abcdef"));
        for other in [&b""[..], b"0123456789abcde", b"0123456789abcdeF", b"0123456789abcdef "] {
            assert!(!token.is(other));
        }
        assert_eq!(format!("{token:?}"), "Bearer");
    }
}
