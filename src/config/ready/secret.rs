//! Secrets: read from where they are kept. The pseudonym key never stands in the configuration; a property of
//! librdkafka may, with a warning.

use std::io::Read;
use std::path::Path;

use super::super::problem::At;
use super::super::raw;
use super::super::spot::Spot;
use super::super::{Given, Secrets};
use super::Findings;
use crate::kafka::properties;
use crate::pipeline::settings::PipelineSettings;
use crate::policy::settings::{FieldAction, KeyAction};

/// The least a key may have, in bytes: what an HMAC-SHA-256 gives out (RFC 2104, section 3).
pub(super) const MIN_BYTES: usize = 32;

/// The longest secret.
const MAX_BYTES: u64 = 64 << 10;

/// What is asked of the key.
pub(super) struct Asked<'a> {
    /// Whether it must be there.
    pub given: Given<'a>,
    /// The configuration's file.
    pub file: &'a str,
    /// Where it is needed first.
    pub used: Option<At>,
}

/// Where a hash is asked for first.
pub(super) fn first_use(pipelines: &[PipelineSettings], root: Spot<'_>) -> Option<At> {
    let uses = pipelines.iter().enumerate().flat_map(|(index, pipeline)| {
        let spot = root.key("pipelines").item(index);
        let fields = pipeline.rules.fields.iter().enumerate();
        let fields = fields
            .filter(|(_, field)| field.action == FieldAction::Hash)
            .map(move |(field, _)| spot.key("fields").item(field).key("action"));
        let keys = pipeline.rules.routes.iter().enumerate();
        let keys = keys
            .filter(|(_, route)| route.key == KeyAction::Hash)
            .map(move |(route, _)| spot.key("routes").item(route).key("to").key("kafka").key("key"));
        fields.chain(keys)
    });
    uses.map(Spot::at).next()
}

/// The key's bytes, where it is named and can be read.
pub(super) fn pseudonym_key(
    kept: Option<&raw::Secret>,
    spot: Spot<'_>,
    asked: &Asked<'_>,
    found: &mut Findings<'_>,
) -> Option<Vec<u8>> {
    let Some(raw::Secret(kept)) = kept else {
        if let Some(at) = asked.used.filter(|_| !spot.is_written()) {
            let help = "give the policy `pseudonym_key: {file: PATH}` or `pseudonym_key: {env: NAME}`";
            found.problems.add(at, "`hash` needs a pseudonym key", help);
        }
        return None;
    };
    let needed =
        (asked.given.secrets == Secrets::Read && asked.used.is_some(), "a `hash` cannot be made without it");
    key(kept, ("the pseudonym key", MIN_BYTES), spot, asked.file, needed, found)
}

/// A key's bytes, which are never too few. Where it cannot be read that is a problem if it is `needed`, and else
/// a warning, with what is missed.
fn key(
    kept: &raw::Kept,
    (what, least): (&str, usize),
    spot: Spot<'_>,
    file: &str,
    (needed, missed): (bool, &str),
    found: &mut Findings<'_>,
) -> Option<Vec<u8>> {
    match read(kept, what, spot, file, found)? {
        Ok(bytes) => {
            if bytes.len() < least {
                let message = format!("{what} has {} bytes: too few", bytes.len());
                let help = format!("take {least} at least, such as `openssl rand -hex 32` gives");
                found.problems.add(spot.at(), message, help);
            }
            Some(bytes)
        }
        Err(message) => {
            let findings = if needed { &mut *found.problems } else { &mut found.warnings };
            findings.add(spot.at(), message, missed);
            None
        }
    }
}

/// The snapshot's key, where it can be read.
pub(super) fn snapshot_key(
    raw::Secret(kept): &raw::Secret,
    spot: Spot<'_>,
    (given, file): (Given<'_>, &str),
    found: &mut Findings<'_>,
) -> Option<Vec<u8>> {
    let needed = (given.secrets == Secrets::Read, "no snapshot can be written or read without it");
    key(kept, ("the snapshot's key", MIN_BYTES), spot, file, needed, found)
}

/// What opens the part of the admin listener that is about persons: its bearer token, or the key of the tokens that
/// stand in mails.
pub(super) fn of_admin(
    kept: Option<&raw::Secret>,
    what: (&str, usize),
    spot: Spot<'_>,
    (given, file): (Given<'_>, &str),
    found: &mut Findings<'_>,
) -> Option<Vec<u8>> {
    let raw::Secret(kept) = kept?;
    let needed = (given.secrets == Secrets::Read, "what it opens stays closed without it");
    key(kept, what, spot, file, needed, found)
}

/// The value of a property; `None`: it is kept where it cannot be read.
pub(super) fn property(
    name: &str,
    raw: &raw::Property,
    spot: Spot<'_>,
    (given, file): (Given<'_>, &str),
    found: &mut Findings<'_>,
) -> Option<String> {
    let kept = match raw {
        raw::Property::Kept(kept) => kept,
        raw::Property::Text(text) => {
            if properties::is_secret(name) && !text.is_empty() {
                let help = "keep it in a file or a variable and write `{file: PATH}` or `{env: NAME}`";
                found.warnings.add_secret(
                    spot.key_at(),
                    format!("`{name}` is a secret and stands here"),
                    help,
                );
            }
            return Some(text.clone());
        }
    };
    let message = match read(kept, &format!("`{name}`"), spot, file, found)?.map(String::from_utf8) {
        Ok(Ok(text)) if !text.is_empty() && !text.contains('\0') => return Some(text),
        Ok(_) => format!("what is kept for `{name}` is empty or no text"),
        Err(message) => message,
    };
    let help = format!("put it there: `{name}` has no value without it");
    match given.secrets {
        Secrets::Read => found.problems.add_secret(spot.at(), message, help),
        Secrets::Skip => found.warnings.add_secret(spot.at(), message, help),
    }
    None
}

/// Reads what is kept, less one newline. `None`: where it is kept is not said in one place; that has been
/// complained about.
fn read(
    kept: &raw::Kept,
    what: &str,
    spot: Spot<'_>,
    configuration: &str,
    found: &mut Findings<'_>,
) -> Option<Result<Vec<u8>, String>> {
    let bytes = match (&kept.file, &kept.env) {
        (Some(file), None) if !file.is_empty() => from_file(file, configuration),
        (None, Some(name)) if !name.is_empty() => from_environment(name),
        (Some(_), None) | (None, Some(_)) => {
            let message = format!("where {what} is kept has no name");
            found.problems.add_secret(spot.at(), message, "name a file or a variable");
            return None;
        }
        (None, None) if spot.has_holes() => return None,
        (None, None) | (Some(_), Some(_)) => {
            let help = "write `{file: PATH}` or `{env: NAME}`";
            found.problems.add_secret(spot.at(), format!("{what} is kept in one place"), help);
            return None;
        }
    };
    Some(bytes.map(|mut bytes| {
        cut_newline(&mut bytes);
        bytes
    }))
}

fn from_file(file: &str, configuration: &str) -> Result<Vec<u8>, String> {
    let folder = Path::new(configuration).parent().unwrap_or(Path::new(""));
    let path = folder.join(file);
    let mut bytes = Vec::new();
    let open = std::fs::File::open(&path);
    let read = open.and_then(|file| file.take(MAX_BYTES + 1).read_to_end(&mut bytes));
    read.map_err(|error| format!("cannot read `{}`: {error}", path.display()))?;
    match u64::try_from(bytes.len()) {
        Ok(0..=MAX_BYTES) => Ok(bytes),
        _ => Err(format!("`{}` has more than {} KiB", path.display(), MAX_BYTES >> 10)),
    }
}

fn from_environment(name: &str) -> Result<Vec<u8>, String> {
    let value = std::env::var_os(name).map(std::ffi::OsString::into_encoded_bytes);
    value.ok_or_else(|| format!("the environment has no `{name}`"))
}

/// Takes one newline off the end, as an editor or `echo` puts there.
fn cut_newline(bytes: &mut Vec<u8>) {
    if bytes.last() == Some(&b'\n') {
        bytes.pop();
        if bytes.last() == Some(&b'\r') {
            bytes.pop();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_newline_is_cut() {
        let cut = |text: &str| {
            let mut bytes = text.as_bytes().to_vec();
            cut_newline(&mut bytes);
            bytes
        };
        assert_eq!(cut("key\n\n"), b"key\n");
        assert_eq!(cut("key\r\n"), b"key");
        assert_eq!(cut("key\r"), b"key\r");
        assert_eq!(cut(""), b"");
    }
}
