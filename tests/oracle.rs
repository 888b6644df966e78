//! The second implementation (`consentry::oracle`) as tests ask it: with files read, and no patience for bad input.

pub use consentry::oracle::{KNOWN_WHEN, Rules, time};

use serde_json::Value;
use time::Millis;

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
    consentry::oracle::lines(config, consents, events, pipeline, at, &by_heart).expect("good input")
}

/// The lines for one event, by rules that were read before.
pub fn one(rules: &Rules, consents: &[String], event: &str, now: Millis) -> Vec<Value> {
    let events = [event.to_owned()];
    consentry::oracle::lines_by(rules, consents, &events, None, now, &by_heart).expect("good input")
}

fn by_heart(expression: &str, _: &consentry::oracle::Record) -> Option<bool> {
    panic!("`{expression}` is not known by heart")
}
