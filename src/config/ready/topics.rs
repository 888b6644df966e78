//! Which topics may not be the same.
//!
//! A pipeline that writes to what it reads never ends, nor do several that write to what the next one
//! reads; one that writes to the consent topic makes up consent, and one that reads it takes consent for
//! events; and readers of a sink may see only what was permitted, so what is quarantined or held has
//! topics of its own.

use super::super::problem::Problems;
use super::super::spot::Spot;
use super::names;
use crate::pipeline::settings::PipelineSettings;

/// Checks every topic that is written to against every topic that is read, and the kinds of topics that
/// are written to against each other.
pub(super) fn check(pipelines: &[PipelineSettings], consent: &str, root: Spot<'_>, problems: &mut Problems) {
    let list = root.key("pipelines");
    loops(pipelines, list, problems);
    for (index, pipeline) in pipelines.iter().enumerate() {
        let spot = list.item(index);
        for (source, topic) in pipeline.topics.iter().enumerate() {
            if topic == consent && !topic.is_empty() {
                let help = "what it holds are no events; name the topic that has them";
                let spot = spot.key("from").key("topics").item(source);
                problems.add(spot.at(), format!("topic `{topic}` is the consent topic"), help);
            }
        }
        let quarantine = quarantine_spot(spot);
        source_or_consent(&pipeline.quarantine.name, quarantine, pipeline, consent, problems);
        for (route, sink) in pipeline.sinks.iter().enumerate() {
            let spot = sink_spot(spot, route);
            source_or_consent(&sink.name, spot, pipeline, consent, problems);
        }
        undecided(pipelines, list, ("quarantine", &pipeline.quarantine.name), quarantine, problems);
        let hold = spot.key("hold").key("topic");
        for (_, topic) in pipeline.holds() {
            if topic.len() > names::MAX_TOPIC {
                let help = "records wait in `HOLD.SOURCE`; take a shorter `hold` topic";
                problems.add(hold.at(), format!("`{topic}` is too long for a topic's name"), help);
            }
            source_or_consent(&topic, hold, pipeline, consent, problems);
            undecided(pipelines, list, ("hold topic", &topic), hold, problems);
            shared(pipelines, index, &topic, hold, problems);
        }
    }
}

/// Refuses each sink and quarantine that closes a loop with those before it, over several pipelines.
/// (That a pipeline writes to its own source is another check's.)
fn loops(pipelines: &[PipelineSettings], list: Spot<'_>, problems: &mut Problems) {
    // For each pipeline, those that read what it writes.
    let mut next: Vec<Vec<usize>> = vec![Vec::new(); pipelines.len()];
    for (writer, pipeline) in pipelines.iter().enumerate() {
        let spot = list.item(writer);
        let sinks = pipeline.sinks.iter().enumerate();
        let sinks = sinks.map(|(route, sink)| (sink, sink_spot(spot, route)));
        for (topic, spot) in sinks.chain([(&pipeline.quarantine, quarantine_spot(spot))]) {
            let reads = |other: &PipelineSettings| other.topics.contains(&topic.name);
            let readers = pipelines.iter().enumerate().filter(|(_, other)| reads(other));
            let readers: Vec<usize> = readers.map(|(at, _)| at).filter(|at| *at != writer).collect();
            match readers.iter().find_map(|reader| way(&next, *reader, writer)) {
                Some(way) => {
                    let names = way.iter().filter_map(|at| pipelines.get(*at));
                    let names: Vec<_> = names.map(|one| format!("`{}`", one.rules.name)).collect();
                    let message =
                        format!("topic `{}` closes a loop: {} → it again", topic.name, names.join(" → "));
                    let help = "what is written there comes back without end; write to a topic that none \
                                of these pipelines reads";
                    problems.add(spot.at(), message, help);
                }
                None => next.iter_mut().skip(writer).take(1).for_each(|list| list.extend(&readers)),
            }
        }
    }
}

/// The shortest way from one pipeline to another, both included.
fn way(next: &[Vec<usize>], from: usize, to: usize) -> Option<Vec<usize>> {
    let mut ways = std::collections::VecDeque::from([vec![from]]);
    let mut seen = std::collections::HashSet::from([from]);
    while let Some(way) = ways.pop_front() {
        let last = *way.last()?;
        if last == to {
            return Some(way);
        }
        for step in next.get(last)?.iter().filter(|step| seen.insert(**step)) {
            ways.push_back(way.iter().chain([step]).copied().collect());
        }
    }
    None
}

/// Where a quarantine is named, or the pipeline whose name it takes.
fn quarantine_spot(pipeline: Spot<'_>) -> Spot<'_> {
    let written = pipeline.key("quarantine").key("topic");
    if written.is_written() { written } else { pipeline.key("name") }
}

fn sink_spot(pipeline: Spot<'_>, route: usize) -> Spot<'_> {
    pipeline.key("routes").item(route).key("to").key("kafka").key("topic")
}

fn source_or_consent(
    topic: &str,
    spot: Spot<'_>,
    pipeline: &PipelineSettings,
    consent: &str,
    problems: &mut Problems,
) {
    if topic.is_empty() {
        return;
    }
    if pipeline.topics.iter().any(|source| source == topic) {
        let help = "what it writes would come back to it without end; write to another topic";
        problems.add(spot.at(), format!("topic `{topic}` is a source of the same pipeline"), help);
    }
    if topic == consent {
        let help = "what is written there counts as consent; write to another topic";
        problems.add(spot.at(), format!("topic `{topic}` is the consent topic"), help);
    }
}

/// What waits is known by where it came from and its route's name alone, so a hold topic is one pipeline's; and a
/// compacted topic takes no record without a key, as a quarantine must.
fn shared(pipelines: &[PipelineSettings], own: usize, topic: &str, spot: Spot<'_>, problems: &mut Problems) {
    let before = pipelines.get(..own).unwrap_or_default();
    if let Some(other) = before.iter().find(|other| other.holds().any(|(_, held)| held == topic)) {
        let help = "each would take what waits for the other as its own; give each pipeline a `hold` topic";
        let message = format!("hold topic `{topic}` is also that of pipeline `{}`", other.rules.name);
        problems.add(spot.at(), message, help);
    }
    if pipelines.iter().any(|other| other.quarantine.name == topic) {
        let help = "what is quarantined would be taken for what waits; give each a topic of its own";
        problems.add(spot.at(), format!("hold topic `{topic}` is also a quarantine"), help);
    }
}

/// What could not be decided may not go where permitted records go.
fn undecided(
    pipelines: &[PipelineSettings],
    list: Spot<'_>,
    (kind, topic): (&str, &str),
    spot: Spot<'_>,
    problems: &mut Problems,
) {
    let sinks = pipelines.iter().enumerate().flat_map(|(index, pipeline)| {
        pipeline.sinks.iter().enumerate().map(move |(route, sink)| (index, route, sink))
    });
    for (index, route, sink) in sinks {
        if sink.name == topic && !topic.is_empty() {
            let line = sink_spot(list.item(index), route).at().line;
            let help = "its readers would see records that nobody permitted; give it a topic of its own";
            let message = format!("{kind} `{topic}` is also a route's sink (line {line})");
            problems.add(spot.at(), message, help);
        }
    }
}
