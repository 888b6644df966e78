//! A million decisions, made twice.
//!
//! One seed makes one batch: a configuration with many routes, a town of people, and events about them.
//! Both implementations print their lines and every line must agree. What differs is shrunk to one
//! event, one route and as little else as still differs, and printed with its seed. In the end every
//! reason that exists must have occurred, or the generator has gone blind.
//!
//! `CONSENTRY_DECISIONS` sets how many, `CONSENTRY_SEED` where to begin (a seed that is printed on
//! failure, with `CONSENTRY_DECISIONS=1`, repeats its batch alone).

mod config;
mod dice;
mod events;
mod people;
mod shrink;
mod signals;
mod stamps;
pub mod steady;

use crate::{cases::REASONS, oracle};
use dice::{CHANGES, Dice};
use oracle::time::{Millis, rfc3339, write};
use serde_json::Value;
use std::{
    collections::BTreeMap,
    env,
    sync::{
        Mutex,
        atomic::{AtomicU64, Ordering},
    },
    thread,
};

const ROUTES: usize = 10;
const EVENTS: usize = 100;

/// What both implementations are given.
#[derive(Clone)]
pub struct Input {
    pub config: Value,
    pub consents: Vec<String>,
    pub events: Vec<String>,
    pub at: String,
}

impl Input {
    fn of(seed: u64) -> Self {
        let mut dice = Dice::new(seed);
        let (zone, change) = dice.pick(&CHANGES);
        let mut now = rfc3339(change).unwrap() + Millis::from(dice.within(-4..=4) * 900_000);
        if dice.often(40) {
            now += Millis::from(dice.within(-40 * 3_600_000..=40 * 3_600_000));
        }
        let config = config::config(&mut dice, ROUTES);
        let consents = people::consents(&mut dice, &config, zone, now);
        let events = events::events(&mut dice, &config, now, EVENTS);
        Self { config, consents, events, at: write(now) }
    }

    pub fn oracle(&self) -> Vec<Value> {
        oracle::lines(&self.config, &self.consents, &self.events, None, &self.at)
    }

    pub fn subject_of_the_test(&self) -> Result<Vec<Value>, String> {
        let (config, consents) = (self.config.to_string(), self.consents.join("\n"));
        let lines =
            consentry::app::explain::lines(&config, &consents, &self.events.join("\n"), None, &self.at)
                .map_err(|error| error.to_string())?;
        let parse = |line: &String| serde_json::from_str(line).map_err(|error| format!("{error}: {line}"));
        lines.iter().map(parse).collect()
    }
}

/// A line with nothing said twice: null is absent, but for a key that was taken away.
pub fn plain(line: &Value) -> Value {
    let mut line = line.clone();
    if let Some(members) = line.as_object_mut() {
        members.retain(|name, value| name == "key" || !value.is_null());
    }
    line
}

/// The first line that differs, as both have it.
pub fn difference(expected: &[Value], got: &[Value]) -> Option<(Value, Value)> {
    let longest = expected.len().max(got.len());
    let line = |lines: &[Value], at: usize| lines.get(at).map_or(Value::Null, plain);
    (0..longest).map(|at| (line(expected, at), line(got, at))).find(|(expected, got)| expected != got)
}

/// What an environment variable says.
pub fn number(name: &str, default: u64) -> u64 {
    env::var(name).ok().map_or(default, |text| text.parse().unwrap())
}

#[test]
fn both_implementations_agree() {
    let decisions = number("CONSENTRY_DECISIONS", 1_000_000);
    let first = number("CONSENTRY_SEED", 1);
    let end = first + decisions.div_ceil((ROUTES * EVENTS) as u64);
    let next = AtomicU64::new(first);
    let counts = Mutex::new(BTreeMap::new());
    let failures = Mutex::new(Vec::new());
    let work = || {
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= end || failures.lock().unwrap().len() >= 3 {
                return;
            }
            match batch(seed) {
                Ok(ends) => add(&mut counts.lock().unwrap(), ends),
                Err(failure) => failures.lock().unwrap().push(failure),
            }
        }
    };
    thread::scope(|scope| {
        for _ in 0..thread::available_parallelism().map_or(1, usize::from) {
            scope.spawn(work);
        }
    });
    let (counts, failures) = (counts.into_inner().unwrap(), failures.into_inner().unwrap());
    assert!(failures.is_empty(), "\n{}", failures.join("\n"));
    for (end, count) in &counts {
        println!("{count:>9} {end}");
    }
    let wanted = REASONS.into_iter().chain(PEOPLE);
    let missing: Vec<&str> = wanted.filter(|reason| !counts.contains_key(*reason)).collect();
    assert!(missing.is_empty() || decisions < 100_000, "never occurred: {missing:?}");
}

/// Otherwise the comparison would say nothing about strings.
#[test]
fn privacy_strings_decide_in_what_is_generated() {
    let (mut permitted, mut refused) = (0, 0);
    for seed in 1..=60 {
        let with = Input::of(seed);
        let mut without = with.clone();
        without.config["policy"].as_object_mut().unwrap().remove("signals");
        for (with, without) in with.oracle().iter().zip(without.oracle()) {
            let forwarded = |line: &Value| line["end"] == "forwarded";
            permitted += u32::from(forwarded(with) && !forwarded(&without));
            refused += u32::from(!forwarded(with) && forwarded(&without));
        }
    }
    assert!(permitted > 15 && refused > 100, "{permitted} permitted, {refused} refused by strings alone");
}

fn add(counts: &mut BTreeMap<String, u64>, ends: Vec<String>) {
    for end in ends {
        *counts.entry(end).or_insert(0) += 1;
    }
}

/// What became of the people in a record about several, if it was not held back as a whole.
const PEOPLE: [&str; 3] = ["people: all kept", "people: some kept", "people: none kept"];

fn people(input: &Input, line: &Value) -> Option<String> {
    let path = input.config["pipelines"][0]["elements"].as_str()?;
    let event: Value = serde_json::from_str(&input.events[line["event"].as_u64()? as usize]).ok()?;
    let raw = event["raw"].as_str().and_then(|raw| serde_json::from_str(raw).ok());
    let count = |value: &Value| value.pointer(path).and_then(Value::as_array).map(Vec::len);
    let before = count(&raw.unwrap_or(event["value"].clone()))?;
    let after = match (line["end"].as_str()?, line["reason"].as_str()?) {
        ("forwarded", "permitted" | "reduced") => count(&line["value"])?,
        ("dropped", _) => 0,
        _ => return None,
    };
    let kept = PEOPLE[if after == 0 { 2 } else { usize::from(after < before) }];
    Some(kept.to_owned())
}

/// The ends of one batch, or what differed.
fn batch(seed: u64) -> Result<Vec<String>, String> {
    let input = Input::of(seed);
    let expected = input.oracle();
    let got = input
        .subject_of_the_test()
        .map_err(|error| format!("seed {seed}: refused: {error}\nconfig {}", input.config))?;
    if difference(&expected, &got).is_some() {
        return Err(shrink::report(seed, input, &expected, &got));
    }
    let word = |line: &Value, key: &str| line[key].as_str().unwrap_or("").to_owned();
    let end = |line: &Value| format!("{} {}", word(line, "end"), word(line, "reason")).trim().to_owned();
    Ok(expected.iter().map(end).chain(expected.iter().filter_map(|line| people(&input, line))).collect())
}
