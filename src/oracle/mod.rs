//! The second implementation of the decision: slow, obvious, and written from the page of semantics alone.
//!
//! It exists to disagree. It takes the configuration as JSON, consents and records as they came, and says what must
//! become of each record at each route. The tests hold the rest of the crate to it, case by case and by the million;
//! `consentry verify` holds a running system to it. Therefore it uses no type, no function and no table of any other
//! room (it stands on the lowest floor, and `tests/tidy.rs` sees to it that nobody who decides leans on it), keeps
//! words as words, and follows the page's order even where another order would be shorter.
//!
//! It reads no clock and no file: what now is, the pseudonym key, and what is known of a subject are given. Of `when`
//! it knows a handful of expressions by heart; of any other it asks whoever called it, who may have a library for
//! them. Records are JSON alone.

mod consent;
mod decide;
mod elements;
mod fields;
mod json;
mod judge;
mod lines;
mod moments;
mod record;
mod rules;
mod signals;
mod stamp;
pub mod time;
mod when;
mod window;

pub use consent::{Part, Said, Subject, subject_of};
pub use fields::{Headers, Out};
pub use json::{Node, parse, same};
pub use judge::{Asking, Ending, judge, outputs};
pub use lines::{lines, lines_by};
pub use moments::moments;
pub use record::Record;
pub use rules::{Pipeline, Route, Rules, read as rules};
pub use when::KNOWN as KNOWN_WHEN;

/// Answers a `when` that is not known by heart: the expression and the record; `None`: it fails, or is no boolean.
pub type When<'w> = &'w dyn Fn(&str, &Record) -> Option<bool>;

/// What stands where nothing stands.
static NULL: serde_json::Value = serde_json::Value::Null;

/// A member of an object; null where it is not there, or where this is no object.
fn at<'v>(value: &'v serde_json::Value, name: &str) -> &'v serde_json::Value {
    value.get(name).unwrap_or(&NULL)
}
