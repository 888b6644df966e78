//! `consent.due`, and what the policy says of asking again.

use super::super::problem::Problems;
use super::super::raw;
use super::super::spot::Spot;
use super::{Findings, missing, names, wait_ms};
use crate::due::settings::DueSettings;
use crate::kafka::settings::TopicSettings;
use crate::pipeline::settings::PipelineSettings;
use crate::renewal::settings::AskSettings;

const DAY_MS: u64 = 86_400_000;
const BEFORE_MS: u64 = 14 * DAY_MS;
const QUIET_MS: u64 = 365 * DAY_MS;

/// Where it is told that a grant ends; `consent` is the consent topic.
pub(super) fn due(
    raw: &raw::Configuration,
    pipelines: &[PipelineSettings],
    consent: &str,
    root: Spot<'_>,
    found: &mut Findings<'_>,
) -> Option<DueSettings> {
    let ask = ask(raw.policy.as_ref(), root.key("policy"), found.problems);
    let spot = root.key("consent").key("due");
    let Some(due) = raw.consent.as_ref().and_then(|consent| consent.due.as_ref()) else {
        if !spot.is_written() {
            without_effect(root.key("policy"), &mut found.warnings);
        }
        return None;
    };
    let name = due.topic.clone().unwrap_or_default();
    match &due.topic {
        None => missing(spot.key("topic"), "topic", "name the topic on which it is told", found.problems),
        Some(name) => names::topic(name, spot.key("topic"), found.problems),
    }
    let group = due.group.clone().unwrap_or_else(|| format!("consentry-due.{name}"));
    if due.group.is_some() {
        names::group(&group, spot.key("group"), found.problems);
    }
    apart(&name, pipelines, consent, spot.key("topic"), found.problems);
    let shared = pipelines.iter().find(|pipeline| pipeline.group == group);
    if let Some(pipeline) = shared.filter(|_| due.topic.is_some()) {
        let help =
            "the members of a group share its partitions out among them; give this one its own `group`";
        let message = format!("the group `{group}` is pipeline `{}`'s", pipeline.rules.name);
        found.problems.add(spot.key("group").at(), message, help);
    }
    let topic = TopicSettings { name, create: due.create.unwrap_or_default() };
    Some(DueSettings { topic, group, ask })
}

fn ask(raw: Option<&raw::Policy>, spot: Spot<'_>, problems: &mut Problems) -> AskSettings {
    let before = raw.and_then(|policy| policy.ask_again_before);
    let quiet = raw.and_then(|policy| policy.do_not_ask_again_for);
    AskSettings {
        before_ms: wait_ms(before, spot.key("ask_again_before"), BEFORE_MS, problems),
        quiet_ms: wait_ms(quiet, spot.key("do_not_ask_again_for"), QUIET_MS, problems),
    }
}

/// Whoever says when to ask and not where will wait for it.
fn without_effect(policy: Spot<'_>, warnings: &mut Problems) {
    for key in ["ask_again_before", "do_not_ask_again_for"] {
        if policy.key(key).is_written() {
            let help = "name the topic on which it is told: `consent: {due: {topic: NAME}}`";
            warnings.add(
                policy.key(key).key_at(),
                format!("`{key}` does nothing without `consent.due`"),
                help,
            );
        }
    }
}

/// The topic has records of no other kind.
fn apart(name: &str, pipelines: &[PipelineSettings], consent: &str, spot: Spot<'_>, problems: &mut Problems) {
    if name.is_empty() {
        return;
    }
    if name == consent {
        let help = "what is written there counts as consent; write to another topic";
        problems.add(spot.at(), format!("topic `{name}` is the consent topic"), help);
    }
    for pipeline in pipelines {
        let written = pipeline.sinks.iter().any(|sink| sink.name == name)
            || pipeline.quarantine.name == name
            || pipeline.holds().any(|(_, hold)| hold == name);
        if written {
            let help = "its readers would take other records for people to ask; give it a topic of its own";
            let message = format!("pipeline `{}` writes to topic `{name}` too", pipeline.rules.name);
            problems.add(spot.at(), message, help);
        }
    }
}
