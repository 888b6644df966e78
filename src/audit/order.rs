//! Order: what did not wait stands in a sink as it stood in its source, partition by partition and route by route.

use std::collections::HashMap;

use super::Traces;
use super::finding::{Kind, Report};
use super::forwarded::Told;
use super::input::Message;
use super::possible::Seen;

/// Checks the order of everything that was forwarded.
pub(super) fn check(traces: &Traces<'_>, told: &[Told], report: &mut Report) {
    if !traces.inputs.exactly_once {
        return;
    }
    let mut rows: Vec<(&Told, &Message, &Message)> = told
        .iter()
        .filter(|told| !told.may_wait)
        .filter_map(|told| Some((told, traces.output(told.output)?, traces.events.get(told.event)?)))
        .collect();
    rows.sort_by(|one, other| one.1.place.cmp(&other.1.place));
    let mut last: HashMap<_, i64> = HashMap::new();
    for (told, output, event) in rows {
        let sink = (&output.place.topic, output.place.partition);
        let source = (&event.place.topic, event.place.partition);
        let last = last.entry((told.route, sink, source)).or_insert(-1);
        // One that is there twice has been told already.
        if event.place.offset < *last && !told.is_repeated {
            let seen = Seen { line: told.line, number: told.event, when: &|_, _| None };
            let finding = traces.finding(Kind::Order, seen, told.route, Some(output));
            report.add(
                finding.because(
                    format!("before the record that comes from offset {last}"),
                    "behind it".to_owned(),
                ),
            );
        }
        *last = event.place.offset.max(*last);
    }
}
