//! Pipelines: where records come from, how they are read, and the routes out.

use super::super::problem::Problems;
use super::super::raw;
use super::super::spot::Spot;
use super::policy::Words;
use super::{elements, empty, field, missing, names, place, route};
use crate::kafka::settings::TopicSettings;
use crate::pipeline::settings::{PipelineSettings, Start};
use crate::policy::settings::{FieldSettings, RulesSettings, SelectorSettings};

/// Every pipeline.
pub(super) fn pipelines(
    raw: Option<&[raw::Pipeline]>,
    root: Spot<'_>,
    words: &Words,
    problems: &mut Problems,
) -> Vec<PipelineSettings> {
    let spot = root.key("pipelines");
    let help = "a pipeline names topics (`from`), the person (`subject`) and the ways out (`routes`)";
    match raw {
        None => missing(spot, "pipelines", help, problems),
        Some(_) => empty(spot, "pipelines", help, problems),
    }
    let one = |(index, raw)| pipeline(raw, spot.item(index), words, problems);
    let pipelines: Vec<_> = raw.unwrap_or_default().iter().enumerate().map(one).collect();
    let named = |(index, raw): (usize, &'_ raw::Pipeline)| raw.name.clone().map(|name| (name, index));
    let named: Vec<_> = raw.unwrap_or_default().iter().enumerate().filter_map(named).collect();
    let spots = named.iter().map(|(name, index)| (name.as_str(), spot.item(*index).key("name")));
    names::unique(spots, "pipeline", problems);
    groups(&pipelines, spot, problems);
    pipelines
}

fn pipeline(raw: &raw::Pipeline, spot: Spot<'_>, words: &Words, problems: &mut Problems) -> PipelineSettings {
    let name = raw.name.clone().unwrap_or_default();
    match names::plain(&name) {
        _ if raw.name.is_none() => missing(spot.key("name"), "name", "name the pipeline", problems),
        Some(fault) => {
            let help = "it is part of groups, transactional ids and metrics";
            problems.add(spot.key("name").at(), format!("a pipeline's name {fault}"), help);
        }
        None => {}
    }
    if let Some(group) = &raw.group {
        names::group(group, spot.key("group"), problems);
    }
    let absent = raw::Source::default();
    if raw.from.is_none() {
        missing(spot.key("from"), "from", "write `from: {topics: [NAME]}`", problems);
    }
    let from = raw.from.as_ref().unwrap_or(&absent);
    // Every value is JSON until another format is available; the word is read so that it can be refused.
    let (Some(raw::Format::Json) | None) = from.format;
    let topics = match raw.from {
        Some(_) => topics(from.topics.as_ref(), spot.key("from").key("topics"), problems),
        None => Vec::new(),
    };
    let (routes, sinks) = routes(raw, spot, words, problems);
    let group = raw.group.clone().unwrap_or_else(|| format!("consentry-{name}"));
    PipelineSettings {
        group,
        topics,
        start: match from.start {
            None | Some(raw::Start::Earliest) => Start::Earliest,
            Some(raw::Start::Latest) => Start::Latest,
        },
        hold: raw.hold.as_ref().and_then(|hold| hold.topic.clone()),
        quarantine: quarantine(raw, &name, spot.key("quarantine"), problems),
        sinks,
        rules: RulesSettings {
            elements: elements::elements(raw, spot, problems),
            subject: subject(raw.subject.as_deref(), spot.key("subject"), problems),
            match_all: matches!(raw.matching, Some(raw::Matching::All)),
            occurred_at: raw
                .occurred_at
                .as_ref()
                .map(|raw| place::event_time(raw, spot.key("occurred_at"), problems)),
            fields: fields(raw, spot.key("fields"), words, problems),
            remove_unlabelled: matches!(raw.unlabelled, Some(raw::Unlabelled::Remove)),
            name,
            routes,
        },
    }
}

fn topics(written: Option<&Vec<String>>, spot: Spot<'_>, problems: &mut Problems) -> Vec<String> {
    let help = "name a topic to read";
    let Some(topics) = written else {
        missing(spot, "topics", help, problems);
        return Vec::new();
    };
    empty(spot, "topics", help, problems);
    for (index, topic) in topics.iter().enumerate() {
        names::topic(topic, spot.item(index), problems);
    }
    let spots = topics.iter().enumerate().map(|(index, topic)| (topic.as_str(), spot.item(index)));
    names::unique(spots, "topic", problems);
    topics.clone()
}

fn subject(
    written: Option<&[raw::Selector]>,
    spot: Spot<'_>,
    problems: &mut Problems,
) -> Vec<SelectorSettings> {
    let help = "say where a record names its person: `subject: [{type: user_id, path: /user/id}]`";
    let Some(selectors) = written else {
        missing(spot, "subject", help, problems);
        return Vec::new();
    };
    empty(spot, "subject", help, problems);
    let one = |(index, raw)| place::selector(raw, spot.item(index), problems);
    let ready: Vec<_> = selectors.iter().enumerate().map(one).collect();
    for (index, selector) in ready.iter().enumerate() {
        let same = |other: &SelectorSettings| other.kind == selector.kind && other.place == selector.place;
        if ready.iter().take(index).any(same) {
            let help = "the same identity from the same place says nothing new; take one out";
            problems.add(spot.item(index).key_at(), "duplicate subject selector", help);
        }
    }
    ready
}

fn fields(raw: &raw::Pipeline, spot: Spot<'_>, words: &Words, problems: &mut Problems) -> Vec<FieldSettings> {
    let fields = raw.fields.as_deref().unwrap_or_default();
    let one = |(index, raw)| field::field(raw, spot.item(index), words, problems);
    let ready: Vec<_> = fields.iter().enumerate().map(one).collect();
    for (index, field) in ready.iter().enumerate() {
        let same = |other: &FieldSettings| {
            other.outside == field.outside && place::is_same(&other.place, &field.place)
        };
        if let Some(first) = ready.iter().take(index).position(same) {
            let line = spot.item(first).key_at().line;
            let help = format!("it is labelled on line {line} already; keep one of the two");
            problems.add(spot.item(index).key_at(), "duplicate field", help);
        }
    }
    ready
}

fn quarantine(raw: &raw::Pipeline, name: &str, spot: Spot<'_>, problems: &mut Problems) -> TopicSettings {
    match &raw.quarantine {
        Some(raw) => route::topic(raw.topic.as_ref(), raw.create, spot, problems),
        None => TopicSettings { name: format!("{name}-quarantine"), create: false },
    }
}

fn routes(
    raw: &raw::Pipeline,
    spot: Spot<'_>,
    words: &Words,
    problems: &mut Problems,
) -> (Vec<crate::policy::settings::RouteSettings>, Vec<TopicSettings>) {
    let list = spot.key("routes");
    let help = "a route says what it requires (`require`) and where it goes (`to`)";
    let Some(routes) = raw.routes.as_deref() else {
        missing(list, "routes", help, problems);
        return Default::default();
    };
    empty(list, "routes", help, problems);
    let named = |(index, raw): (usize, &'_ raw::Route)| raw.name.clone().map(|name| (name, index));
    let named: Vec<_> = routes.iter().enumerate().filter_map(named).collect();
    let spots = named.iter().map(|(name, index)| (name.as_str(), list.item(*index).key("name")));
    names::unique(spots, "route", problems);
    if let Some(hold) = &raw.hold {
        route::topic(hold.topic.as_ref(), hold.create, spot.key("hold"), problems);
    }
    for (index, route) in routes.iter().enumerate() {
        let holds = route.hold.as_ref().is_some_and(|words| !words.is_empty());
        if holds && !spot.key("hold").is_written() {
            let help = "give the pipeline `hold: {topic: NAME}`, where records wait";
            let at = list.item(index).key("hold").key_at();
            problems.add(at, "the route holds records, but its pipeline has no `hold`", help);
        }
    }
    let one = |(index, raw)| route::route(raw, list.item(index), words, problems);
    routes.iter().enumerate().map(one).unzip()
}

/// Two pipelines may not share a group.
fn groups(pipelines: &[PipelineSettings], spot: Spot<'_>, problems: &mut Problems) {
    for (index, pipeline) in pipelines.iter().enumerate() {
        let mut earlier = pipelines.iter().take(index);
        let shared = |other: &&PipelineSettings| {
            other.group == pipeline.group && other.rules.name != pipeline.rules.name
        };
        if let Some(other) = earlier.find(shared) {
            let help = "the members of a group share its partitions out among them, so each pipeline would \
                        miss what the other one reads; give each its own `group`";
            let item = spot.item(index);
            let at = if item.key("group").is_written() { item.key("group") } else { item.key("name") };
            let message = format!(
                "pipeline `{}` shares the group `{}` with pipeline `{}`",
                pipeline.rules.name, pipeline.group, other.rules.name
            );
            problems.add(at.at(), message, help);
        }
    }
}
