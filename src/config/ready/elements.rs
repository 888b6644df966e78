//! `elements`: the array of people in a record, and what its elements can have.
//!
//! An element has no header and no key, and what is read of the record as a whole may not stand in the array: it
//! would be one person's, and would be taken for everybody's.

use super::super::problem::Problems;
use super::super::raw;
use super::super::spot::Spot;
use crate::record::path::Path;

/// The array of people, as a pointer; `spot` is the pipeline's.
pub(super) fn elements(raw: &raw::Pipeline, spot: Spot<'_>, problems: &mut Problems) -> Option<String> {
    let array = raw.elements.as_deref().map(|pointer| array(pointer, spot.key("elements"), problems));
    // Something that stands there and is wrong has been complained about.
    let has_elements = spot.key("elements").is_written();
    let fields = raw.fields.as_deref().unwrap_or_default().iter().enumerate();
    for (index, field) in fields {
        let spot = spot.key("fields").item(index);
        outside(field, has_elements, spot, problems);
        match (&array, field.path.as_deref().map(Path::parse)) {
            (Some(Some(array)), Some(Ok(path))) if field.outside == Some(true) => {
                let help = "inside the array leave `outside` out and let the path start from an element; what \
                            holds the people can have no label: label what stands beside them";
                beside(array, &path, spot.key("path"), help, problems);
            }
            (Some(Some(array)), Some(Ok(path))) => in_element(array, &path, spot, problems),
            (Some(None) | None, _) | (_, Some(Err(_)) | None) => {}
        }
    }
    let array = array?;
    for (index, _) in raw.routes.iter().flatten().enumerate().filter(|(_, route)| route.stamp.is_some()) {
        let help =
            "a stamp says what one person chose; take `stamp` out, or have a record be about one person";
        let at = spot.key("routes").item(index).key("stamp").key_at();
        problems.add(at, "`stamp` in a pipeline with `elements`", help);
    }
    selectors(raw, array.as_ref(), spot.key("subject"), problems);
    let occurred_at = raw.occurred_at.as_ref().and_then(|place| place.path.as_deref()).map(Path::parse);
    if let (Some(array), Some(Ok(path))) = (&array, occurred_at) {
        let help = "the event of a record happened once for all in it: name a time that stands outside the array, \
                    a header, or leave `occurred_at` out for the Kafka timestamp";
        beside(array, &path, spot.key("occurred_at").key("path"), help, problems);
    }
    raw.elements.clone()
}

fn array(pointer: &str, spot: Spot<'_>, problems: &mut Problems) -> Option<Path> {
    match Path::parse(pointer) {
        Ok(path) if path.has_every() => {
            let help = "name the one array that holds the people";
            problems.add(spot.at(), "`*` may not stand in `elements`", help);
            None
        }
        Ok(path) => Some(path),
        Err(error) => {
            let help = "a JSON Pointer is empty or begins with `/`; `~` is `~0` and `/` is `~1` (RFC 6901)";
            problems.add(spot.at(), format!("`{pointer}` is no JSON Pointer: {error}"), help);
            None
        }
    }
}

/// Whether `outside` is where it means something.
fn outside(field: &raw::Field, has_elements: bool, spot: Spot<'_>, problems: &mut Problems) {
    if field.outside != Some(true) {
        return;
    }
    let at = spot.key("outside").key_at();
    if !has_elements {
        let help = "take it out: without `elements` there is nothing to be outside of";
        problems.add(at, "`outside` in a pipeline without `elements`", help);
    } else if field.header.is_some() {
        let help = "take `outside` out: a header stands outside the elements anyway";
        problems.add(at, "`outside` with `header`", help);
    }
}

/// That a path leads past the array.
fn beside(array: &Path, path: &Path, spot: Spot<'_>, help: &str, problems: &mut Problems) {
    if array.meets(path) {
        problems.add(spot.at(), "this path leads to the array of `elements`, or may", help);
    }
}

/// That a path in an element is no longer than a path may be.
fn in_element(array: &Path, path: &Path, spot: Spot<'_>, problems: &mut Problems) {
    if let Err(error) = array.each(path) {
        let help = "the path of `elements`, a step to the element and this path count together";
        problems.add(spot.key("path").at(), error.to_string(), help);
    }
}

fn selectors(raw: &raw::Pipeline, array: Option<&Path>, spot: Spot<'_>, problems: &mut Problems) {
    for (index, selector) in raw.subject.as_deref().unwrap_or_default().iter().enumerate() {
        let spot = spot.item(index);
        for (name, is_written) in [("header", selector.header.is_some()), ("key", selector.key.is_some())] {
            if is_written {
                let help = "each element must name its own person: write `path`, from the element on";
                problems.add(
                    spot.key(name).key_at(),
                    format!("`{name}` in a pipeline with `elements`"),
                    help,
                );
            }
        }
        if let (Some(array), Some(Ok(path))) = (array, selector.path.as_deref().map(Path::parse)) {
            in_element(array, &path, spot, problems);
        }
    }
}

/// What is no error but does not do what it may be written for.
pub(super) fn warn(raw: Option<&[raw::Pipeline]>, root: Spot<'_>, warnings: &mut Problems) {
    for (number, pipeline) in raw.unwrap_or_default().iter().enumerate() {
        let routes = pipeline.routes.as_deref().unwrap_or_default().iter().enumerate();
        for (route, _) in routes.filter(|(_, route)| pipeline.elements.is_some() && route.hold.is_some()) {
            let spot = root.key("pipelines").item(number).key("routes").item(route).key("hold");
            let help =
                "who would wait is taken out of the record, which goes on without them; take `hold` out";
            warnings.add(spot.key_at(), "`hold` waits for nobody in a pipeline with `elements`", help);
        }
    }
}
