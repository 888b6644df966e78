//! From which sources records in a sink are known to come: so that of one that is like none of them it can be said
//! whether it may come from a record before the window, or behind it.
//!
//! What does not wait is forwarded in order. A record that comes from before the window therefore stands before all that
//! comes from the same partition inside of it, and one that comes from behind it after all these.

use std::collections::{HashMap, HashSet};

use super::input::{Events, Inputs, Message};

/// A route, and a partition of its sink.
type At = (usize, i32);

/// What stands before a place in a sink.
#[derive(Default)]
pub(super) struct Known<'i> {
    /// Of which partitions of sources something does.
    from: HashMap<At, HashSet<(&'i str, i32)>>,
    /// Where something does that comes from behind the window.
    past: HashSet<At>,
}

impl<'i> Known<'i> {
    /// The next record in a sink comes from this event.
    pub fn add(&mut self, events: &Events<'i>, event: usize, at: At) {
        if !events.is_audited(event) {
            self.past.insert(at);
        }
        if let Some(event) = events.get(event) {
            self.from.entry(at).or_default().insert((&event.place.topic, event.place.partition));
        }
    }

    /// Whether the next record in the sink, of this route of this pipeline, comes from the window if it comes from
    /// anywhere.
    pub fn is_behind(&self, inputs: &Inputs, (route, line): (usize, usize), output: &Message) -> bool {
        let at = (route, output.place.partition);
        let from = self.from.get(&at);
        let waits = inputs.route(route).is_some_and(|(_, own, _)| !own.hold.is_empty());
        let in_order = inputs.exactly_once && !waits;
        let may_come_from = |(topic, partition): &(String, i32)| {
            let home = inputs.home(route, (topic, *partition), output);
            let leads_here = home.is_none_or(|home| home == output.place.partition);
            let is_passed = from.is_some_and(|from| from.contains(&(topic.as_str(), *partition)));
            leads_here && !(in_order && is_passed)
        };
        !inputs.missed(line).any(may_come_from) && !self.past.contains(&at)
    }
}
