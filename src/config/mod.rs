//! The configuration: as it is written (`raw`) → as each room wants it (`Ready`).
//!
//! One YAML file says everything. It is read in three steps, each of which adds what it finds to one
//! list of problems and goes on: YAML into a tree that knows its places (`yaml`), the tree into the raw
//! structs (`structure`), the raw structs into each room's own settings (`ready`). Either every problem
//! comes out or a `Ready` in which nothing is left to doubt. No room imports this one.
//!
//! Nothing here decides, and nothing here talks to a broker: `consentry check --online` asks
//! `kafka::inspect`.

mod deserialize;
mod hash;
mod problem;
mod raw;
mod ready;
mod snippet;
mod spot;
mod structure;
mod suggest;
mod yaml;

pub use problem::{At, Problem, ProblemJson, Problems};
pub use ready::Ready;
pub use snippet::visible;

use std::io::Read;
use std::path::Path;

/// What the command line adds to a file.
#[derive(Clone, Copy, Debug, Default)]
pub struct Given<'a> {
    /// Whether secrets must be there.
    pub secrets: Secrets,
    /// `--instance`, which goes before the file's.
    pub instance: Option<&'a str>,
}

/// What a secret that cannot be read is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Secrets {
    /// A problem, where it is needed: the configuration is to be run.
    #[default]
    Read,
    /// A warning: the configuration is only looked at, maybe on a machine that must not have it.
    Skip,
}

/// The longest configuration, in bytes.
const MAX_BYTES: u64 = 16 << 20;

/// Reads and checks the file at `path`; `-` is standard input.
///
/// # Errors
/// Every problem of the file at once.
pub fn load(path: &Path, given: Given<'_>) -> Result<Ready, Problems> {
    let (name, text) = read(path)?;
    parse(&name, &text, given)
}

/// Reads and checks the file at `path`, and gives it as JSON too: as it is written, without its defaults.
///
/// # Errors
/// As [`load`].
pub fn load_written(path: &Path, given: Given<'_>) -> Result<(Ready, serde_json::Value), Problems> {
    let (name, text) = read(path)?;
    let ready = parse(&name, &text, given)?;
    let mut problems = Problems::new(&name, &text);
    let written = yaml::read(&text, &mut problems).map(yaml::Node::into_json);
    Ok((ready, written.unwrap_or_default()))
}

/// A file's name and text.
fn read(path: &Path) -> Result<(String, String), Problems> {
    let is_input = path == Path::new("-");
    let name = if is_input { "<stdin>".to_owned() } else { path.display().to_string() };
    let bytes = bytes(path, is_input).map_err(|error| {
        let help = "give the path of a configuration file; `consentry schema` describes one";
        Problems::whole(&name, format!("cannot read the file: {error}"), help)
    })?;
    if u64::try_from(bytes.len()).is_ok_and(|length| length > MAX_BYTES) {
        let message = format!("the file has more than {} MiB", MAX_BYTES >> 20);
        return Err(Problems::whole(&name, message, "give the path of a configuration file"));
    }
    let text = String::from_utf8(bytes).map_err(|error| {
        let before = error.as_bytes().get(..error.utf8_error().valid_up_to()).unwrap_or_default();
        let line = before.iter().filter(|byte| **byte == b'\n').count() + 1;
        let message = format!("the file is not UTF-8: line {line} holds bytes that are no text");
        Problems::whole(&name, message, "save it as UTF-8")
    })?;
    Ok((name, text))
}

/// What a file holds, up to a byte more than it may. Whatever might never end is not opened.
fn bytes(path: &Path, is_input: bool) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    if is_input {
        std::io::stdin().lock().take(MAX_BYTES + 1).read_to_end(&mut bytes)?;
    } else if std::fs::metadata(path)?.is_file() {
        std::fs::File::open(path)?.take(MAX_BYTES + 1).read_to_end(&mut bytes)?;
    } else {
        return Err(std::io::Error::other("it is no regular file (`-` reads standard input)"));
    }
    Ok(bytes)
}

/// Checks `text`; `name` is the file that problems name and that relative paths start from.
///
/// # Errors
/// Every problem of the text at once.
pub fn parse(name: &str, text: &str, given: Given<'_>) -> Result<Ready, Problems> {
    let mut problems = Problems::new(name, text);
    let Some(mut tree) = yaml::read(text, &mut problems) else { return Err(problems) };
    let shape = match &tree.value {
        yaml::Value::Map(_) => None,
        yaml::Value::Scalar(serde_json::Value::Null) => Some("the file is empty"),
        _ => Some("the file holds no mapping"),
    };
    if let Some(message) = shape {
        let help = "begin with `version: 1`; `consentry schema` describes the keys";
        return Err(Problems::whole(name, message.to_owned(), help));
    }
    tree.drop_repeated(&mut problems);
    let raw = structure::read(&mut tree, &mut problems);
    let warnings = Problems::new(name, text);
    let mut found = ready::Findings { problems: &mut problems, warnings };
    let ready = ready::ready(&raw, spot::Spot::root(&tree), given, name, &mut found);
    problems.sort();
    if problems.is_empty() { Ok(ready) } else { Err(problems) }
}

/// The JSON Schema (2020-12) of a configuration.
pub fn schema() -> serde_json::Value {
    schemars::schema_for!(raw::Configuration).to_value()
}
