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
        let mut missed = inputs.missed(line).filter(|missed| leads(inputs, missed, route, output)).peekable();
        let waits = inputs.route(route).is_some_and(|(_, own, _)| !own.hold.is_empty());
        let in_order = inputs.exactly_once && !waits;
        let is_before = missed.peek().is_some()
            && !(in_order
                && missed.all(|(topic, partition)| {
                    from.is_some_and(|from| from.contains(&(topic.as_str(), *partition)))
                }));
        !is_before && !self.past.contains(&at)
    }
}

/// Whether a record of this partition of a source with this key would stand where this one does.
fn leads(inputs: &Inputs, (topic, partition): &(String, i32), route: usize, output: &Message) -> bool {
    let sink = inputs.route(route).map(|(.., sink)| sink);
    let counts = inputs.partitions.get(topic).zip(sink.and_then(|sink| inputs.partitions.get(sink)));
    counts.is_none_or(|(of, to)| {
        let key = output.record.key.as_deref();
        (inputs.partition)(key, *partition, *of, *to) == output.place.partition
    })
}
