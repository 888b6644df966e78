//! Which topics may not be the same.
//!
//! A pipeline that writes to what it reads never ends; one that writes to the consent topic makes up
//! consent; and readers of a sink may see only what was permitted, so what is quarantined or held has
//! topics of its own.

use super::super::problem::Problems;
use super::super::spot::Spot;
use super::names;
use crate::pipeline::settings::PipelineSettings;

/// Checks every topic that is written to against every topic that is read, and the kinds of topics that
/// are written to against each other. `holds` has the hold topic of each pipeline.
pub(super) fn check(
    pipelines: &[PipelineSettings],
    holds: &[Option<&str>],
    consent: &str,
    root: Spot<'_>,
    problems: &mut Problems,
) {
    let list = root.key("pipelines");
    for (index, pipeline) in pipelines.iter().enumerate() {
        let spot = list.item(index);
        let quarantine = spot.key("quarantine").key("topic");
        let quarantine = if quarantine.is_written() { quarantine } else { spot.key("name") };
        source_or_consent(&pipeline.quarantine.name, quarantine, pipeline, consent, problems);
        for (route, sink) in pipeline.sinks.iter().enumerate() {
            let spot = sink_spot(spot, route);
            source_or_consent(&sink.name, spot, pipeline, consent, problems);
        }
        undecided(pipelines, list, ("quarantine", &pipeline.quarantine.name), quarantine, problems);
        let hold = spot.key("hold").key("topic");
        for source in &pipeline.topics {
            let Some(topic) = holds.get(index).copied().flatten().map(|hold| format!("{hold}.{source}"))
            else {
                continue;
            };
            if topic.len() > names::MAX_TOPIC {
                let help = "records wait in `HOLD.SOURCE`; take a shorter `hold` topic";
                problems.add(hold.at(), format!("`{topic}` is too long for a topic's name"), help);
            }
            source_or_consent(&topic, hold, pipeline, consent, problems);
            undecided(pipelines, list, ("hold topic", &topic), hold, problems);
        }
    }
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
