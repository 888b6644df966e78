//! "Several subjects": a record that holds an array of people.

use super::{
    consent::Part,
    decide::{self, Ask, Verdict},
    fields::{Out, reduce},
    json::Node,
    judge::{Ending, Judging, denied, forwarded},
    rules::{Action, Label, Route, Source},
};

/// The elements of the array at PATH, or why the record is quarantined.
pub fn people<'n>(body: Option<&'n Node>, path: &[String]) -> Result<&'n [Node], &'static str> {
    match body.and_then(|body| body.find(path)) {
        None | Some(Node::Null) => Err("missing_subject"),
        Some(Node::Array(items)) => Ok(items),
        Some(_) => Err("invalid_subject"),
    }
}

/// Each element is decided by itself; those not permitted, held included, are taken out.
pub fn on_route(
    judging: &Judging<'_>,
    route: &Route,
    ask: &Ask<'_>,
    path: &[String],
    people: &[Vec<Vec<Part<'_>>>],
) -> Ending {
    let elements = match self::people(judging.body.as_ref(), path) {
        Ok(elements) => elements,
        Err(reason) => return denied("quarantined", reason),
    };
    let verdicts: Vec<Verdict> = people.iter().map(|identities| decide::decide(ask, identities)).collect();
    let mut kept: Vec<(&Node, usize, &[String])> = Vec::new();
    for (element, verdict) in elements.iter().zip(&verdicts) {
        if let Verdict::Permit { level, purposes } = verdict {
            kept.push((element, *level, purposes));
        }
    }
    let Some((_, _, purposes)) = kept.first() else {
        let reason = match verdicts.first() {
            Some(Verdict::Drop(reason) | Verdict::Hold { reason, .. }) => reason,
            // Nobody was there, for one who permits would have been kept.
            None | Some(Verdict::Permit { .. }) => "no_consent",
        };
        return denied("dropped", reason);
    };
    // Those that permitted for each of the people that the sink will see.
    let of_all = |purpose: &&String| kept.iter().all(|(_, _, own)| own.contains(purpose));
    let purposes: Vec<String> = purposes.iter().filter(of_all).cloned().collect();
    let lowest = kept.iter().map(|(_, level, _)| *level).min().unwrap_or(0);
    let Some(mut reduced) = put_together(judging, path, &kept, lowest) else {
        return denied("quarantined", "transform_failed");
    };
    reduced.stripped |= kept.len() < elements.len();
    let shown = judging.rules.policy.levels.get(lowest).cloned();
    Ending { purposes: Some(purposes), ..forwarded(judging, route, reduced, "permitted", shown) }
}

/// The record with these elements, each reduced to its level, and what stands outside to the lowest.
fn put_together(
    judging: &Judging<'_>,
    path: &[String],
    kept: &[(&Node, usize, &[String])],
    lowest: usize,
) -> Option<Out> {
    let pipeline = judging.pipeline;
    let (key, strip) = (&judging.rules.policy.pseudonym_key, pipeline.strip_unlabelled);
    let is_inside = |label: &&Label| !label.outside && matches!(label.source, Source::Path(_));
    let (inside, mut outside): (Vec<&Label>, Vec<&Label>) = pipeline.fields.iter().partition(is_inside);
    let (mut elements, mut fields, mut stripped) = (Vec::new(), Vec::new(), false);
    for (element, level, _) in kept {
        let element = Some((*element).clone());
        let reduced = reduce(element, Vec::new(), (&inside, strip), *level, key).ok()?;
        elements.extend(reduced.value);
        fields.extend(reduced.fields);
        stripped |= reduced.stripped;
    }
    // What is at PATH is no leaf without a label, and nothing is done to it as a whole.
    let source = Source::Path(path.to_vec());
    let array = Label { shown: String::new(), source, outside: true, level: 0, action: Action::Remove };
    outside.push(&array);
    let mut body = judging.body.clone()?;
    *at(&mut body, path)? = Node::Array(Vec::new());
    let mut all = reduce(Some(body), judging.record.own_headers(), (&outside, strip), lowest, key).ok()?;
    *at(all.value.as_mut()?, path)? = Node::Array(elements);
    fields.append(&mut all.fields);
    let shown = pipeline.fields.iter().map(|label| label.shown.clone());
    all.fields = shown.filter(|shown| fields.contains(shown)).collect();
    all.stripped |= stripped;
    Some(all)
}

/// What stands at a path, to be replaced.
fn at<'n>(node: &'n mut Node, path: &[String]) -> Option<&'n mut Node> {
    let Some((segment, rest)) = path.split_first() else { return Some(node) };
    let next = match node {
        Node::Object(members) => members.iter_mut().find(|m| m.name == *segment).map(|m| &mut m.node),
        Node::Array(items) => {
            items.iter_mut().enumerate().find(|(i, _)| i.to_string() == *segment).map(|(_, n)| n)
        }
        _ => None,
    };
    at(next?, rest)
}
