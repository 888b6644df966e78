//! What a record says of consent itself, for a route that requires a stamp.

use crate::consent::Said;
use crate::policy::rules::StampPlace;
use crate::policy::settings::StampFormat;
use crate::wire::json::{Scalar, Slots};
use crate::wire::stamp::{consentry, rudderstack, segment};

/// What stands at the stamp's place. A route without one has no stamp to give, and a deletion none to read.
pub fn said<'v>(place: Option<&StampPlace>, slots: &'v Slots<'_>) -> Said<'v> {
    let Some(place) = place else { return Said::Missing };
    match slots.get(place.slot).and_then(Option::as_ref) {
        None | Some(Scalar::Null) => Said::Missing,
        Some(Scalar::Text(_) | Scalar::Integer(_)) => Said::Invalid,
        Some(Scalar::Other(text)) => match place.format {
            StampFormat::Consentry => consentry(text),
            StampFormat::Segment => segment(text),
            StampFormat::Rudderstack => rudderstack(text),
        },
    }
}
