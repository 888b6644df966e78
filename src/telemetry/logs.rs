//! Where the process's log goes: standard error, as text or as one JSON object a line.
//!
//! librdkafka's own lines come through the `log` bridge of tracing-subscriber, under the target
//! `librdkafka`, whenever a client is polled. They name brokers, topics and offsets; at no level do they
//! carry keys or payloads.

use std::io::{IsTerminal, Write};

use tracing_subscriber::filter::{EnvFilter, LevelFilter, ParseError};
use tracing_subscriber::util::{SubscriberInitExt, TryInitError};

/// How a line is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// One JSON object a line, for programs.
    Json,
}

/// The log cannot be set up.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// The filter does not parse.
    #[error("`{0}` is no log level: write error, warn, info, debug or trace, or target=level,…")]
    Level(String, #[source] ParseError),
    /// A word that is no level, which a filter would take for a target that nobody has.
    #[error("`{0}` is no log level: write error, warn, info, debug or trace, or target=level,…")]
    Word(String),
    /// Something else already listens.
    #[error("the log is already set up")]
    Twice(#[from] TryInitError),
}

/// Sends the log to standard error. `level` is a filter in `RUST_LOG`'s grammar; `None`: what `RUST_LOG`
/// says, else `info`. Colour only on a terminal, and not with `NO_COLOR` (<https://no-color.org>).
///
/// # Errors
/// A filter that does not parse; a second call.
pub fn install(level: Option<&str>, format: LogFormat) -> Result<(), LogError> {
    let asked = level.map(str::to_owned).or_else(|| std::env::var(EnvFilter::DEFAULT_ENV).ok());
    let asked = asked.filter(|text| !text.trim().is_empty());
    let builder = EnvFilter::builder().with_default_directive(LevelFilter::INFO.into());
    let filter = match &asked {
        Some(text) if text.split(',').any(is_no_level) => return Err(LogError::Word(text.clone())),
        Some(text) => builder.parse(text).map_err(|error| LogError::Level(text.clone(), error))?,
        None => builder.parse_lossy(""),
    };
    let lines = tracing_subscriber::fmt().with_writer(|| Indifferent).log_internal_errors(false);
    let lines = lines.with_env_filter(filter);
    match format {
        LogFormat::Text => lines.with_ansi(colours()).finish().try_init()?,
        LogFormat::Json => lines.json().flatten_event(true).with_ansi(false).finish().try_init()?,
    }
    Ok(())
}

/// Standard error, whatever becomes of what is written there. A log that nobody reads any more, or whose
/// disk is full, must not end the process that forwards.
struct Indifferent;

impl Write for Indifferent {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        drop(std::io::stderr().lock().write_all(bytes));
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// Whether a part of a filter is a bare word and not a level.
fn is_no_level(part: &str) -> bool {
    let part = part.trim();
    let bare = !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    bare && part.parse::<LevelFilter>().is_err()
}

/// Whether standard error takes colour.
fn colours() -> bool {
    let refused = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    !refused && std::io::stderr().is_terminal()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_filter_that_does_not_parse_is_named() {
        let error = install(Some("consentry=loud"), LogFormat::Text).unwrap_err();
        assert!(error.to_string().starts_with("`consentry=loud` is no log level"), "{error}");
    }
}
