//! `admin`.

use std::net::{Ipv4Addr, SocketAddr};

use super::super::Given;
use super::super::raw;
use super::super::spot::Spot;
use super::{Findings, secret};
use crate::admin::settings::{AdminSettings, Bearer};
use crate::steward::UnsubscribeKey;

/// The least a bearer token may have, in bytes.
const MIN_TOKEN_BYTES: usize = 16;

pub(super) fn admin(
    raw: Option<&raw::Admin>,
    spot: Spot<'_>,
    (given, file): (Given<'_>, &str),
    found: &mut Findings<'_>,
) -> AdminSettings {
    let default = SocketAddr::from((Ipv4Addr::LOCALHOST, 8080));
    let Some(raw) = raw else { return AdminSettings::open(default) };
    let listen = raw.listen.as_deref().map_or(default, |text| {
        text.parse().unwrap_or_else(|_| {
            let help = "write an IP address and a port, such as `127.0.0.1:8080` or `[::]:8080`";
            found.problems.add(spot.key("listen").at(), format!("`{text}` is no address to listen on"), help);
            default
        })
    });
    let mut kept = |secret: Option<&raw::Secret>, what, key| {
        secret::of_admin(secret, what, spot.key(key), (given, file), found)
    };
    let token = kept(raw.token.as_ref(), ("the bearer token", MIN_TOKEN_BYTES), "token");
    let key =
        kept(raw.unsubscribe_key.as_ref(), ("the unsubscribe key", secret::MIN_BYTES), "unsubscribe_key");
    AdminSettings {
        listen,
        about_persons: raw.token.is_some() || raw.unsubscribe_key.is_some(),
        token: token.map(Bearer),
        unsubscribe_key: key.map(UnsubscribeKey),
    }
}
