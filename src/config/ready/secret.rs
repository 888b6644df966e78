//! The pseudonym key: read from where it is kept, never from the configuration.

use std::path::Path;

use super::super::problem::At;
use super::super::raw;
use super::super::spot::Spot;
use super::super::{Given, Secrets};
use super::Findings;
use crate::pipeline::settings::PipelineSettings;
use crate::policy::settings::{FieldAction, KeyAction};

/// The least a key may have, in bytes: what an HMAC-SHA-256 gives out (RFC 2104, section 3).
const MIN_BYTES: usize = 32;

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
    let bytes = match (&kept.file, &kept.env) {
        (Some(file), None) => from_file(file, asked.file),
        (None, Some(name)) => from_environment(name),
        (None, None) if spot.has_holes() => return None,
        _ => {
            let help = "write `{file: PATH}` or `{env: NAME}`";
            found.problems.add(spot.at(), "the pseudonym key is kept in one place", help);
            return None;
        }
    };
    match bytes {
        Ok(mut bytes) => {
            cut_newline(&mut bytes);
            if bytes.len() < MIN_BYTES {
                let message = format!("the pseudonym key has {} bytes: too few", bytes.len());
                let help = format!("take {MIN_BYTES} at least, such as `openssl rand -hex 32` gives");
                found.problems.add(spot.at(), message, help);
            }
            Some(bytes)
        }
        Err(message) => {
            let help = "a `hash` cannot be made without it";
            match (asked.given.secrets, asked.used) {
                (Secrets::Read, Some(_)) => found.problems.add(spot.at(), message, help),
                (Secrets::Skip, _) | (Secrets::Read, None) => found.warnings.add(spot.at(), message, help),
            }
            None
        }
    }
}

fn from_file(file: &str, configuration: &str) -> Result<Vec<u8>, String> {
    let folder = Path::new(configuration).parent().unwrap_or(Path::new(""));
    let path = folder.join(file);
    std::fs::read(&path).map_err(|error| format!("cannot read `{}`: {error}", path.display()))
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
