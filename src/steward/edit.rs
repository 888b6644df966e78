//! What a change does to one record. Pure.
//!
//! A withdrawal always succeeds, and reaches as far as a refusal is read. An opt-in ends the person's own refusals
//! that would keep it from having an effect, and nothing else: what these refusals reached besides is written out as
//! withdrawn, so that a yes to one thing never brings back another. Where that cannot be done, it is refused.

use serde_json::{Map, Value, json};
use thiserror::Error;

use super::line::Line;
use super::record::Record;
use crate::consent::{Basis, Status};
use crate::time::Timestamp;

/// A grant to be written; an empty word is an absent one.
#[derive(Clone, Debug)]
pub struct Grant {
    /// The purpose, or `*`.
    pub purpose: String,
    /// The channel.
    pub channel: String,
    /// The recipient.
    pub recipient: String,
    /// The answer.
    pub status: Status,
    /// The basis.
    pub basis: Basis,
    /// When it expires. `None`: a renewal leaves it as it was, and a new opt-in has none.
    pub valid_until: Option<Timestamp>,
    /// Level, notice and source, by name; only those that are to be set.
    pub more: Vec<(&'static str, String)>,
}

/// What is withdrawn; an empty word is every one.
#[derive(Clone, Debug, Default)]
pub struct Scope {
    /// The purpose.
    pub purpose: String,
    /// The channel.
    pub channel: String,
    /// The recipient.
    pub recipient: String,
}

/// A refusal keeps an opt-in from having an effect, and cannot be ended by it.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error(
    "`{status}` stands for purpose `{purpose}`, channel `{channel}`, recipient `{recipient}`, and the grant would \
     permit nothing beside it; where that is to end, set that very line, or write the whole record"
)]
pub struct Stands {
    status: &'static str,
    purpose: String,
    channel: String,
    recipient: String,
}

/// Withdraws. Grants on an essential basis outlive a withdrawal of everything, as in the decision.
pub fn withdraw(record: &mut Record, scope: &Scope) {
    let mut line = Map::new();
    let purpose = if scope.purpose.trim().is_empty() { "*" } else { scope.purpose.trim() };
    let named = [("purpose", purpose), ("channel", &scope.channel), ("recipient", &scope.recipient)];
    for (name, word) in named.into_iter().filter(|(_, word)| !word.trim().is_empty()) {
        line.insert(name.to_owned(), word.trim().into());
    }
    line.insert("status".to_owned(), Status::Withdrawn.word().into());
    let new = Value::Object(line);
    let own = Line::of(&new);
    record.change(|grants| {
        take_back(grants, &own);
        let stands = |grant: &Value| {
            let line = Line::of(grant);
            line.status == Status::Withdrawn && line.covers(&own) && (own.is_soft() || !line.is_soft())
        };
        if !grants.iter().any(stands) {
            grants.push(new);
        }
    });
}

/// As [`withdraw`], of everything, where the record has no room for one more line: only what would still permit then
/// is kept.
pub fn make_room(record: &mut Record, max_grants: usize) {
    record.change(|grants| {
        let lines: Vec<Line> = grants.iter().map(Line::of).collect();
        let refused = |line: &Line| lines.iter().any(|no| no.refuses() && !no.is_soft() && no.meets(line));
        grants.retain(|grant| {
            let line = Line::of(grant);
            line.permits() && line.basis.is_essential() && !refused(&line)
        });
        grants.truncate(max_grants.saturating_sub(1));
    });
    withdraw(record, &Scope::default());
}

/// What can permit or is asked, and `refusal` reaches, becomes withdrawn.
fn take_back(grants: &mut Vec<Value>, refusal: &Line) {
    let lines: Vec<Line> = grants.iter().map(Line::of).collect();
    let essential = |one: &Line| one.permits() && one.basis.is_essential();
    let mut at = 0;
    grants.retain_mut(|grant| {
        let Some(line) = lines.get(at) else { return true };
        at += 1;
        let open = line.permits() || line.status == Status::Requested;
        if !open || !refusal.covers(line) || (refusal.is_soft() && essential(line)) {
            return true;
        }
        // Withdrawn by its purpose it would be a hard refusal, which ends a contract too: the general one stands for it.
        let beside = |other: &Line| essential(other) && line.meets(other);
        if refusal.is_soft() && lines.iter().any(beside) {
            return false;
        }
        put(grant, "status", Status::Withdrawn.word().into());
        true
    });
}

/// Writes one grant.
///
/// # Errors
/// It would have no effect.
pub fn set(record: &mut Record, grant: &Grant, now: Timestamp) -> Result<(), Stands> {
    let new = grant.line();
    record.change(|grants| {
        let mut base = None;
        if new.permits() {
            base = end_refusals(grants, &new)?;
        }
        let is_it = |line: &Line| line.is_like(&new) && (line.basis == new.basis || line.refuses());
        let mut before = None;
        let first = grants.iter().position(|grant| is_it(&Line::of(grant)));
        grants.retain(|grant| {
            let same = is_it(&Line::of(grant));
            if same && before.is_none() {
                before = Some(grant.clone());
            }
            !same
        });
        let was = before.as_ref().map(Line::of).filter(Line::permits).is_some();
        let mut written = before.or(base.take()).filter(Value::is_object).unwrap_or_else(|| json!({}));
        grant.fill(&mut written, was, now);
        grants.insert(first.unwrap_or(grants.len()).min(grants.len()), written);
        Ok(())
    })
}

/// Ends the refusals that cover `new`; gives back the one of its own line, where it is among them.
fn end_refusals(grants: &mut Vec<Value>, new: &Line) -> Result<Option<Value>, Stands> {
    let mut own = None;
    let over = |grant: &Value| {
        let line = Line::of(grant);
        line.refuses() && line.covers(new) && !(line.is_soft() && new.basis.is_essential())
    };
    while let Some(at) = grants.iter().position(over) {
        let refusal = grants.remove(at);
        let line = Line::of(&refusal);
        let stands = || Stands {
            status: line.status.word(),
            purpose: line.purpose.clone(),
            channel: line.channel.clone(),
            recipient: line.recipient.clone(),
        };
        if !line.is_of_the_person() && !line.is_like(new) {
            return Err(stands());
        }
        let reaches = |other: &Line| other.permits() && line.meets(other);
        let spared = |other: &Line| line.is_soft() && other.basis.is_essential();
        let lines: Vec<Line> = grants.iter().map(Line::of).collect();
        let reached = lines.iter().filter(|other| reaches(other) && !spared(other));
        if reached.clone().any(|other| !line.covers(other)) {
            return Err(stands());
        }
        let mut lines = lines.iter();
        grants.retain_mut(|grant| {
            let Some(other) = lines.next().filter(|other| reaches(other) && !spared(other)) else {
                return true;
            };
            // Where its refusal would reach the new grant too, it goes: absent permits as little.
            let keep = !other.covers(new);
            put(grant, "status", Status::Withdrawn.word().into());
            keep
        });
        if line.is_like(new) {
            own = Some(refusal);
        }
    }
    Ok(own)
}

impl Grant {
    fn line(&self) -> Line {
        let words = json!({"purpose": self.purpose, "channel": self.channel, "recipient": self.recipient,
                           "status": self.status.word(), "basis": self.basis.word()});
        Line::of(&words)
    }

    /// Fills in what is said now; `was`: it permitted before, so that this confirms or renews.
    fn fill(&self, line: &mut Value, was: bool, now: Timestamp) {
        let words = [("purpose", &self.purpose), ("channel", &self.channel), ("recipient", &self.recipient)];
        for (name, word) in words {
            if !word.is_empty() {
                put(line, name, word.trim().into());
            }
        }
        put(line, "status", self.status.word().into());
        let named = line.get("basis").and_then(Value::as_str).is_some_and(|basis| !basis.is_empty());
        if self.basis != Basis::Consent || named {
            put(line, "basis", self.basis.word().into());
        }
        match self.status {
            Status::Given | Status::Confirmed if was => put(line, "confirmed_at", now.to_string().into()),
            Status::Given | Status::Confirmed => {
                for name in ["confirmed_at", "valid_until"] {
                    take(line, name);
                }
                put(line, "given_at", now.to_string().into());
                if self.status == Status::Confirmed {
                    put(line, "confirmed_at", now.to_string().into());
                }
            }
            Status::Requested
            | Status::Refused
            | Status::Withdrawn
            | Status::Revoked
            | Status::Objected
            | Status::Invalidated
            | Status::Unrecognized => {}
        }
        if let Some(until) = self.valid_until {
            put(line, "valid_until", until.to_string().into());
        }
        for (name, word) in &self.more {
            put(line, name, word.as_str().into());
        }
    }
}

fn put(line: &mut Value, name: &str, value: Value) {
    if let Some(members) = line.as_object_mut() {
        members.insert(name.to_owned(), value);
    }
}

fn take(line: &mut Value, name: &str) {
    if let Some(members) = line.as_object_mut() {
        members.shift_remove(name);
    }
}

#[cfg(test)]
mod tests;
