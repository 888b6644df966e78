//! The second implementation (`consentry::oracle`) as tests ask it: with files read, and no patience for bad input.

pub use consentry::oracle::{KNOWN_WHEN, time};

use serde_json::Value;

/// The lines that `consentry explain` must print for a configuration (in the YAML's shape).
///
/// # Panics
/// Something given is no input, or has a `when` that is not among [`KNOWN_WHEN`].
pub fn lines(
    config: &Value,
    consents: &[String],
    events: &[String],
    pipeline: Option<&str>,
    at: &str,
) -> Vec<Value> {
    let key = config["policy"]["pseudonym_key"]["file"].as_str().map(|file| {
        let bytes = std::fs::read(file).expect("a pseudonym key that can be read");
        bytes.strip_suffix(b"\n").map(<[u8]>::to_vec).unwrap_or(bytes)
    });
    let config = (config, key.as_deref().unwrap_or_default());
    let when = |expression: &str, _: &_| -> Option<bool> { panic!("`{expression}` is not known by heart") };
    consentry::oracle::lines(config, consents, events, pipeline, at, &when).expect("good input")
}
