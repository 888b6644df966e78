//! What is known of cases, whoever tells: how many ended how, and what left a trace.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::super::clients::Row;

/// An event's number, and a route.
pub type Case = (usize, String);

/// Pipeline, route, end and reason.
pub type Cell = [String; 4];

#[derive(Clone, Default)]
pub struct Facts {
    pub counts: BTreeMap<Cell, u64>,
    /// What was forwarded, quarantined or held, each time that it was.
    traces: BTreeMap<Case, Vec<Value>>,
}

impl Facts {
    pub fn add(&mut self, case: Case, trace: Value) {
        self.traces.entry(case).or_default().push(trace);
    }

    /// How many cases have ended.
    pub fn count(&self) -> u64 {
        self.counts.values().sum()
    }

    /// How many have ended so, for each end and reason.
    pub fn ends(&self) -> BTreeMap<String, u64> {
        let mut ends = BTreeMap::new();
        for ([_, _, end, reason], count) in &self.counts {
            *ends.entry(format!("{end} {reason}").trim().to_owned()).or_insert(0) += count;
        }
        ends
    }

    /// In what these facts, of `explain`, differ from those of `run`.
    pub fn differences(&self, run: &Self) -> Vec<String> {
        let counts = both(&self.counts, &run.counts).map(|(cell, explain, run)| {
            format!("  {}: explain {explain:?}, run {run:?}", cell.join(" ").trim())
        });
        let text = |traces: Option<&Vec<Value>>| traces.map_or(Value::Null, |all| json!(all)).to_string();
        let traces = both(&self.traces, &run.traces).map(|((event, route), explain, run)| {
            let (explain, run) = (text(explain), text(run));
            format!("  event {event} at {route}\n    explain {explain}\n    run     {run}")
        });
        traces.chain(counts).collect()
    }

    /// These facts, wrong in each way in which they can be, with what is wrong.
    pub fn tampered(&self) -> Vec<(String, Self)> {
        let mut all = Vec::new();
        for end in ["forwarded", "quarantined", "held"] {
            let (case, traces) = self.traces.iter().find(|(_, traces)| traces[0]["end"] == end).unwrap();
            let mut tamper = |what: &str, how: &dyn Fn(&mut Vec<Value>)| {
                let mut wrong = self.clone();
                how(wrong.traces.get_mut(case).unwrap());
                wrong.traces.retain(|_, traces| !traces.is_empty());
                all.push((format!("{end}, {what}"), wrong));
            };
            tamper("but lost", &Vec::clear);
            tamper("and twice", &|wrong| wrong.push(traces[0].clone()));
            for name in traces[0].as_object().unwrap().keys() {
                tamper(&format!("with another {name}"), &|wrong| wrong[0][name] = "another".into());
            }
        }
        let mut wrong = self.clone();
        *wrong.counts.values_mut().next().unwrap() += 1;
        all.push(("counted once more".to_owned(), wrong));
        all
    }
}

/// What two maps do not have in common.
fn both<'m, K: Ord, V: PartialEq>(
    one: &'m BTreeMap<K, V>,
    other: &'m BTreeMap<K, V>,
) -> impl Iterator<Item = (&'m K, Option<&'m V>, Option<&'m V>)> {
    let lacks = other.keys().filter(|key| !one.contains_key(*key));
    let pairs = one.keys().chain(lacks).map(|key| (key, one.get(key), other.get(key)));
    pairs.filter(|(_, one, other)| one != other)
}

/// A record that was forwarded.
pub fn forwarded(reason: &str, purposes: Option<String>, row: &Row) -> Value {
    let mut trace = trace("forwarded", reason, row);
    trace["purposes"] = json!(purposes);
    trace
}

/// A record that was quarantined for a route.
pub fn quarantined(reason: &str, row: &Row) -> Value {
    trace("quarantined", reason, row)
}

/// A record that is held, for so many milliseconds at the most, if it is not a window that it waits for.
pub fn held(reason: &str, waits: Option<i64>, row: &Row) -> Value {
    let mut trace = trace("held", reason, row);
    trace["waits"] = json!(waits);
    trace
}

/// A record that waits no longer.
pub fn released() -> Value {
    json!("released")
}

fn trace(end: &str, reason: &str, row: &Row) -> Value {
    let text =
        |bytes: &Option<Vec<u8>>| bytes.as_ref().map(|bytes| String::from_utf8_lossy(bytes).into_owned());
    // What Consentry says in headers of what it forwards or quarantines is looked at by itself.
    let kept = row.headers.iter().filter(|(name, _)| {
        end == "held" || !(name.starts_with("consentry.") || name.starts_with("__connect."))
    });
    json!({
        "end": end,
        "reason": reason,
        "key": text(&row.key),
        "value": text(&row.value),
        "headers": kept.map(|(name, value)| json!([name, text(value)])).collect::<Vec<_>>(),
        // One below zero is none, and then a sink's is when it was written.
        "timestamp": row.timestamp,
    })
}
