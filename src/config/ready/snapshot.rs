//! `consent.snapshot`.

use std::path::Path;

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use super::super::Given;
use super::super::raw;
use super::super::spot::Spot;
use super::{Findings, missing, secret, wait};
use crate::follower::settings::{CacheKey, SnapshotSettings};

const EVERY_MS: u64 = 300_000;

/// Where the cache is kept; `file` is the configuration's.
pub(super) fn snapshot(
    raw: Option<&raw::Snapshot>,
    spot: Spot<'_>,
    (given, file): (Given<'_>, &str),
    found: &mut Findings<'_>,
) -> Option<SnapshotSettings> {
    let raw = raw?;
    let help = "name a file, such as `/var/lib/consentry/consents.snapshot`";
    let path = raw.path.as_deref().filter(|path| !path.is_empty() && !path.ends_with('/'));
    match (&raw.path, path) {
        (_, Some(_)) => {}
        (None, None) => missing(spot.key("path"), "path", help, found.problems),
        (Some(_), None) => found.problems.add(spot.key("path").at(), "this is no file", help),
    }
    let every = wait(raw.every, spot.key("every"), EVERY_MS, found.problems);
    let key = match &raw.key {
        Some(kept) => secret::snapshot_key(kept, spot.key("key"), (given, file), found),
        None => {
            let help = "give it `key: {file: PATH}` or `key: {env: NAME}`: ids are hashed under it";
            missing(spot.key("key"), "key", help, found.problems);
            None
        }
    };
    let folder = Path::new(file).parent().unwrap_or(Path::new(""));
    Some(SnapshotSettings { path: folder.join(path?), every, key: of(&key?)? })
}

/// The cache's key: a part of HMAC-SHA-256 under the secret.
fn of(secret: &[u8]) -> Option<CacheKey> {
    let mac = Hmac::<Sha256>::new_from_slice(secret).ok()?.chain_update(b"consentry consent cache");
    mac.finalize().into_bytes().first_chunk().copied().map(CacheKey)
}
