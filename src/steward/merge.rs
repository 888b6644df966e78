//! Two records of one person made one. Pure.
//!
//! Refusals win: where either says no, a yes to the very same is left out, whenever it was said, because nobody
//! can know any more who meant what. All other grants of both stand. What only one of them has is kept, of what both
//! have the one that stays goes before; but `restricted` and Global Privacy Control hold if either says so.

use serde_json::{Map, Value};

use super::line::Line;
use super::record::Record;

/// Adds what `from` says to `into`.
pub fn merge(into: &mut Record, from: &Record) {
    let mut grants = into.grants().to_vec();
    for grant in from.grants() {
        if !grants.contains(grant) {
            grants.push(grant.clone());
        }
    }
    let lines: Vec<Line> = grants.iter().map(Line::of).collect();
    let refused = |line: &Line| lines.iter().any(|other| other.refuses() && other.is_like(line));
    grants.retain(|grant| {
        let line = Line::of(grant);
        line.refuses() || !refused(&line)
    });
    into.change(|own| *own = grants);
    fill(&mut into.0, &from.0, &["subject", "version", "updated_at", "grants"]);
    let or = |path: &str| [&*into, from].iter().any(|one| flag(&one.0, path));
    if or("/restricted") {
        into.0.insert("restricted".to_owned(), true.into());
    }
    if [&*into, from].iter().any(|one| flag(&one.0, "/signals/gpc")) {
        let signals = into.0.entry("signals").or_insert(Value::Null);
        match signals.as_object_mut() {
            Some(signals) => {
                signals.insert("gpc".to_owned(), true.into());
            }
            None => *signals = serde_json::json!({"gpc": true}),
        }
    }
}

/// Takes what is not there, or null, from the other, objects member by member.
fn fill(into: &mut Map<String, Value>, from: &Map<String, Value>, but: &[&str]) {
    for (name, value) in from.iter().filter(|(name, _)| !but.contains(&name.as_str())) {
        match (into.get_mut(name), value) {
            (Some(Value::Object(own)), Value::Object(other)) => fill(own, other, &[]),
            (None | Some(Value::Null), value) => {
                into.insert(name.clone(), value.clone());
            }
            (Some(_), _) => {}
        }
    }
}

fn flag(members: &Map<String, Value>, path: &str) -> bool {
    let mut steps = path.split('/').skip(1);
    let first = steps.next().and_then(|name| members.get(name));
    let found = steps.fold(first, |value, name| value.and_then(|value| value.get(name)));
    found.and_then(Value::as_bool).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn record(value: Value) -> Record {
        Record(value.as_object().unwrap().clone())
    }

    #[test]
    fn refusals_win_and_nothing_else_is_lost() {
        let mut into =
            record(json!({"subject": {"type": "u", "value": "a"}, "version": 4, "mine": 1, "grants": [
            {"purpose": "news", "channel": "email", "status": "given"},
            {"purpose": "ads", "status": "withdrawn"},
            {"purpose": "same", "status": "given"},
        ], "contact": {"time_zone": "Europe/Rome"}, "signals": {"gpc": false, "tcf": "x"}}));
        let from = record(
            json!({"subject": {"type": "u", "value": "b"}, "version": 9, "theirs": [1], "grants": [
            {"purpose": "News", "channel": "email", "recipient": "first_party", "status": "refused"},
            {"purpose": "ads", "status": "confirmed"},
            {"purpose": "same", "status": "given"},
            {"purpose": "news", "channel": "sms", "status": "given"},
        ], "contact": {"time_zone": "Asia/Tokyo", "windows": []}, "signals": {"gpc": true}, "restricted": true}),
        );
        merge(&mut into, &from);
        assert_eq!(
            Value::Object(into.0),
            json!({"subject": {"type": "u", "value": "a"}, "version": 4, "mine": 1, "grants": [
                {"purpose": "ads", "status": "withdrawn"},
                {"purpose": "same", "status": "given"},
                {"purpose": "News", "channel": "email", "recipient": "first_party", "status": "refused"},
                {"purpose": "news", "channel": "sms", "status": "given"},
            ], "contact": {"time_zone": "Europe/Rome", "windows": []}, "signals": {"gpc": true, "tcf": "x"},
               "theirs": [1], "restricted": true})
        );
    }
}
