//! Contact windows as a configuration writes them.

pub use crate::consent::window::{Window, zone};

use super::settings::WindowSettings;

impl Window {
    /// The window that these settings describe; `None`: it would never be open.
    pub fn compile(written: &WindowSettings) -> Option<Self> {
        Self::read(written.days.as_deref(), &written.from, &written.to)
    }
}
