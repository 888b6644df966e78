//! Stamped consent: what the event itself says, per format, and what that leaves of a verdict.
//!
//! Written from the semantics page and from `config/stamps.md`, word by word; every answer is a word, and
//! nothing is looked up that could be searched for.

use super::{
    consent::Part,
    decide::{Ask, Verdict, decide, folded},
    json::Node,
    rules::{Require, Stamp},
};

/// The answers of a stamp in the order written, and whether one category of a purpose is enough.
struct Answers {
    given: Vec<String>,
    refused: Vec<String>,
    one_is_enough: bool,
}

/// Holds a verdict of the stored consent against the stamp that the route requires.
pub fn also(ask: &Ask<'_>, identities: &[Vec<Part<'_>>], body: Option<&Node>, stored: Verdict) -> Verdict {
    let Some(stamp) = &ask.require.stamp else { return stored };
    if matches!(stored, Verdict::Drop(_)) {
        return stored;
    }
    let found = body.and_then(|body| body.find(&stamp.path));
    let answers = match found {
        None | Some(Node::Null) => return Verdict::Drop("stamp_missing"),
        Some(node) => match read(&stamp.format, node) {
            None => return Verdict::Drop("stamp_invalid"),
            Some(answers) => answers,
        },
    };
    let verdicts: Vec<(String, Option<&'static str>)> = ask
        .require
        .purposes
        .iter()
        .map(|purpose| (purpose.clone(), why_not(&answers, &categories(stamp, purpose))))
        .collect();
    let Some(first) = verdicts.iter().find_map(|(_, why)| *why) else { return stored };
    let given: Vec<String> =
        verdicts.into_iter().filter(|(_, why)| why.is_none()).map(|(purpose, _)| purpose).collect();
    if !ask.require.any || given.is_empty() {
        return Verdict::Drop(first);
    }
    // As if the route required these alone.
    let require = Require { purposes: given, ..ask.require.clone() };
    match decide(&Ask { require: &require, ..*ask }, identities) {
        Verdict::Drop(_) => Verdict::Drop(first),
        verdict => verdict,
    }
}

/// Those of the mapping, or the purpose's own name.
fn categories(stamp: &Stamp, purpose: &str) -> Vec<String> {
    let mapped = stamp.categories.iter().find(|(of, _)| of == purpose);
    mapped.map_or_else(|| vec![purpose.to_owned()], |(_, categories)| categories.clone())
}

fn why_not(answers: &Answers, categories: &[String]) -> Option<&'static str> {
    let refused = |category: &String| {
        answers.refused.iter().any(|name| folded(name) == "*" || folded(name) == folded(category))
    };
    let given = |category: &String| answers.given.contains(category) && !refused(category);
    let count = categories.iter().filter(|category| given(category)).count();
    let needed = if answers.one_is_enough { 1 } else { categories.len() };
    match count >= needed {
        true => None,
        false if categories.iter().any(refused) => Some("stamp_refused"),
        false => Some("stamp_missing"),
    }
}

/// `None`: it is no stamp.
fn read(format: &str, node: &Node) -> Option<Answers> {
    match format {
        "consentry" => members(node, |node| match node {
            Node::Text(_, word) => match word.as_str() {
                "" | "requested" => Some("open"),
                "given" | "confirmed" => Some("given"),
                _ => Some("refused"),
            },
            other => boolean(other),
        }),
        "segment" => members(node, boolean),
        "rudderstack" => lists(node),
        _ => None,
    }
}

fn boolean(node: &Node) -> Option<&'static str> {
    match node {
        Node::Bool(true) => Some("given"),
        Node::Bool(false) => Some("refused"),
        Node::Null => Some("open"),
        _ => None,
    }
}

fn members(node: &Node, answer: impl Fn(&Node) -> Option<&'static str>) -> Option<Answers> {
    let Node::Object(members) = node else { return None };
    let all: Vec<(String, &str)> =
        members.iter().map(|m| Some((m.name.clone(), answer(&m.node)?))).collect::<Option<_>>()?;
    let with =
        |word: &str| all.iter().filter(|(_, answer)| *answer == word).map(|(n, _)| n.clone()).collect();
    Some(Answers { given: with("given"), refused: with("refused"), one_is_enough: false })
}

fn lists(node: &Node) -> Option<Answers> {
    let Node::Object(_) = node else { return None };
    let list = |name: &str| match node.member(name) {
        None | Some(Node::Null) => Some(Vec::new()),
        Some(Node::Array(items)) => items.iter().map(chars).collect(),
        Some(_) => None,
    };
    let word = |name: &str| match node.member(name) {
        None | Some(Node::Null) => Some(String::new()),
        Some(node) => chars(node),
    };
    let (provider, strategy) = (word("provider")?, word("resolutionStrategy")?);
    if !["", "and", "all", "or", "any"].contains(&strategy.as_str()) {
        return None;
    }
    let of_the_platform = provider != "custom" && !provider.is_empty();
    let one_is_enough = of_the_platform && (strategy == "or" || strategy == "any");
    Some(Answers { given: list("allowedConsentIds")?, refused: list("deniedConsentIds")?, one_is_enough })
}

fn chars(node: &Node) -> Option<String> {
    if let Node::Text(_, chars) = node { Some(chars.clone()) } else { None }
}
