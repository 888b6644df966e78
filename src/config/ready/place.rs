//! Places in a record: selectors, event times, labels.

use super::super::problem::Problems;
use super::super::raw;
use super::super::spot::Spot;
use super::missing;
use crate::policy::settings::{Place, SelectorSettings};
use crate::record::path::Path;

/// One way a record names a person.
pub(super) fn selector(raw: &raw::Selector, spot: Spot<'_>, problems: &mut Problems) -> SelectorSettings {
    let kind = raw.kind.clone().unwrap_or_default();
    let at = spot.key("type");
    if raw.kind.is_none() {
        missing(at, "type", "name the identity's type, such as `user_id` or `email`", problems);
    } else if kind.is_empty() || kind.contains(|letter: char| letter == ':' || letter.is_whitespace()) {
        let help = "it is what stands before the colon of a consent record's key, such as `user_id`";
        problems.add(at.at(), "this is no type of an identity", help);
    }
    let key = raw.key.is_some();
    if raw.key == Some(false) {
        problems.add(spot.key("key").at(), "`key: false` names no place", "write `key: true`, or `path`");
    }
    let place = one(raw.path.as_ref(), raw.header.as_ref(), key, spot, problems);
    single(&place, spot, problems);
    SelectorSettings { kind, place }
}

/// Where the event's own time stands.
pub(super) fn event_time(raw: &raw::Place, spot: Spot<'_>, problems: &mut Problems) -> Place {
    let place = one(raw.path.as_ref(), raw.header.as_ref(), false, spot, problems);
    single(&place, spot, problems);
    place
}

/// Checks the path of something that is read in the value; `spot` is that of the mapping.
pub(super) fn read_at(path: &str, spot: Spot<'_>, problems: &mut Problems) {
    pointer(path, spot, problems);
    single(&Place::Path(path.to_owned()), spot, problems);
}

/// Where a labelled field stands.
pub(super) fn label(raw: &raw::Field, spot: Spot<'_>, problems: &mut Problems) -> Place {
    let place = one(raw.path.as_ref(), raw.header.as_ref(), false, spot, problems);
    if raw.path.as_deref() == Some("") {
        let help =
            "label the fields in it, each by its path; a record that may not go at all is for `require`";
        problems.add(spot.key("path").at(), "a label on the whole value is refused", help);
    }
    place
}

/// Whether two labels are on the same place, however it is spelled. What cannot be read is none.
pub(super) fn is_same(one: &Place, other: &Place) -> bool {
    match (one, other) {
        (Place::Path(one), Place::Path(other)) => match (Path::parse(one), Path::parse(other)) {
            (Ok(one), Ok(other)) => one == other,
            (Ok(_), Err(_)) | (Err(_), _) => false,
        },
        (Place::Header(one), Place::Header(other)) => one == other && !one.is_empty(),
        (Place::Path(_) | Place::Header(_) | Place::Key, _) => false,
    }
}

/// The one place that is written.
fn one(
    path: Option<&String>,
    header: Option<&String>,
    key: bool,
    spot: Spot<'_>,
    problems: &mut Problems,
) -> Place {
    let count = [path.is_some(), header.is_some(), key].into_iter().filter(|is| *is).count();
    let written = ["path", "header", "key"].into_iter().filter(|name| spot.key(name).is_written()).count();
    if count == 0 && written == 0 {
        let help = "write `path: /JSON/POINTER` or `header: NAME`";
        problems.add(spot.key_at(), "no place is named", help);
    } else if count > 1 {
        let help = "keep one of `path`, `header` and `key`";
        problems.add(spot.key_at(), "more than one place is named", help);
    }
    match (path, header) {
        (Some(path), _) => {
            pointer(path, spot, problems);
            Place::Path(path.clone())
        }
        (None, Some(header)) => {
            if header.is_empty() {
                problems.add(spot.key("header").at(), "a header's name may not be empty", "name a header");
            }
            Place::Header(header.clone())
        }
        (None, None) => Place::Key,
    }
}

fn pointer(path: &str, spot: Spot<'_>, problems: &mut Problems) {
    if let Err(error) = Path::parse(path) {
        let help = "a JSON Pointer is empty or begins with `/`; `~` is `~0` and `/` is `~1` (RFC 6901)";
        let message = format!("`{path}` is no JSON Pointer: {error}");
        problems.add(spot.key("path").at(), message, help);
    }
}

/// Refuses a wildcard where one value is read.
fn single(place: &Place, spot: Spot<'_>, problems: &mut Problems) {
    let Place::Path(path) = place else { return };
    if Path::parse(path).is_ok_and(|path| path.has_every()) {
        let help = "name the one value; of a record that holds several people, `elements` names the array";
        problems.add(spot.key("path").at(), "`*` may not stand in a path that is read", help);
    }
}
