//! From a batch that differs to the least that differs.
//!
//! Greedy and generic: one event, one route, then every member and element of configuration, consents
//! and event is left out in turn for as long as the two still differ about the same end and reason.

use super::{Input, difference};
use serde_json::Value;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// What a reader needs: the seed, the least input, and both lines.
pub fn report(seed: u64, input: Input, expected: &[Value], got: &[Value]) -> String {
    let (one, other) = difference(expected, got).unwrap();
    let input = shrink(alone(input, &one));
    let (expected, got) = differs(&input).unwrap_or((one, other));
    format!(
        "seed {seed}: the implementations disagree\n  config   {}\n  consents {}\n  events   {}\n  at       {}\n  \
         oracle   {expected}\n  crate    {got}\n",
        input.config,
        input.consents.join("\n           "),
        input.events.join("\n           "),
        input.at,
    )
}

/// The one event at the one route.
fn alone(input: Input, line: &Value) -> Input {
    let mut one = input.clone();
    let Some(event) = line["event"].as_u64() else { return input };
    one.events = vec![input.events[event as usize].clone()];
    if let Some(routes) = one.config["pipelines"][0]["routes"].as_array_mut() {
        routes.retain(|route| route["name"] == line["route"]);
    }
    if differs(&one).is_some() { one } else { input }
}

fn differs(input: &Input) -> Option<(Value, Value)> {
    // The crate says what is wrong with a configuration; the oracle would panic over it.
    let got = input.subject_of_the_test().ok()?;
    let expected = catch_unwind(AssertUnwindSafe(|| input.oracle())).ok()?;
    difference(&expected, &got)
}

/// The ends and reasons of both, so that shrinking does not wander off to another difference.
fn kind(lines: &(Value, Value)) -> [Value; 4] {
    let (one, other) = lines;
    [&one["end"], &one["reason"], &other["end"], &other["reason"]].map(Clone::clone)
}

fn shrink(mut input: Input) -> Input {
    let Some(wanted) = differs(&input).map(|lines| kind(&lines)) else { return input };
    let still = |input: &Input| differs(input).is_some_and(|lines| kind(&lines) == wanted);
    loop {
        let before = input.clone();
        for line in (0..input.consents.len()).rev() {
            let mut less = input.clone();
            less.consents.remove(line);
            keep_if(&mut input, less, still);
        }
        shrink_config(&mut input, &still);
        for line in 0..input.consents.len() {
            shrink_line(&mut input, &|input| &mut input.consents[line], &still);
        }
        if input.events.len() == 1 {
            shrink_line(&mut input, &|input| &mut input.events[0], &still);
        }
        if (&input.config, &input.consents, &input.events)
            == (&before.config, &before.consents, &before.events)
        {
            return input;
        }
    }
}

fn keep_if(input: &mut Input, less: Input, still: impl Fn(&Input) -> bool) -> bool {
    let keep = still(&less);
    if keep {
        *input = less;
    }
    keep
}

fn shrink_config(input: &mut Input, still: &impl Fn(&Input) -> bool) {
    for path in paths(&input.config) {
        let mut less = input.clone();
        if leave_out(&mut less.config, &path) {
            keep_if(input, less, still);
        }
    }
}

/// A line of JSON; one that holds a record as text is shrunk on the outside alone.
fn shrink_line(input: &mut Input, line: &dyn Fn(&mut Input) -> &mut String, still: &impl Fn(&Input) -> bool) {
    let value: Value = serde_json::from_str(line(input)).unwrap();
    for path in paths(&value) {
        let mut less = input.clone();
        let mut value: Value = serde_json::from_str(line(&mut less)).unwrap();
        if leave_out(&mut value, &path) {
            *line(&mut less) = value.to_string();
            keep_if(input, less, still);
        }
    }
}

/// Where every member and element stands, the last first, so that places stay true while some go.
fn paths(value: &Value) -> Vec<String> {
    let mut found = Vec::new();
    collect(value, "", &mut found);
    found.reverse();
    found
}

fn collect(value: &Value, here: &str, found: &mut Vec<String>) {
    let mut go = |name: String, child: &Value| {
        let path = format!("{here}/{}", name.replace('~', "~0").replace('/', "~1"));
        found.push(path.clone());
        collect(child, &path, found);
    };
    match value {
        Value::Array(items) => items.iter().enumerate().for_each(|(at, child)| go(at.to_string(), child)),
        Value::Object(members) => members.iter().for_each(|(name, child)| go(name.clone(), child)),
        _ => {}
    }
}

fn leave_out(value: &mut Value, path: &str) -> bool {
    let Some((parent, name)) = path.rsplit_once('/') else { return false };
    match value.pointer_mut(parent) {
        Some(Value::Array(items)) => {
            let at: usize = name.parse().unwrap();
            at < items.len() && {
                items.remove(at);
                true
            }
        }
        Some(Value::Object(members)) => {
            members.shift_remove(&name.replace("~1", "/").replace("~0", "~")).is_some()
        }
        _ => false,
    }
}
