//! What became of a change, for people and for programs.

use std::fmt::Write as _;
use std::process::ExitCode;

use serde_json::{Value, json};

use super::wait::Waited;
use super::{Ended, Output};
use crate::steward::{Done, Subject};

/// Tells it, and how the command ends.
pub fn tell(output: Output, command: &str, changes: &[(&Subject, &Done)], waited: &[Waited]) -> Ended {
    match output {
        Output::Text => super::super::say(&text(command, changes, waited))?,
        Output::Json => super::super::say(&format!("{:#}\n", document(command, changes, waited)))?,
    }
    for one in waited {
        if let Some(why) = &one.why {
            super::super::note(&format!("consentry: {}: {why}\n", one.instance));
        }
    }
    let others: usize = changes.iter().map(|(_, done)| done.others.len()).sum();
    let overtaken = changes.iter().any(|(_, done)| done.overtaken);
    if others > 0 {
        let end = if overtaken {
            "their last one stands: look with `consent get`"
        } else {
            "this one stands above them"
        };
        super::super::note(&format!(
            "consentry: somebody else wrote {others} change(s) meanwhile, and {end}\n"
        ));
    }
    if waited.iter().any(|one| one.asked_for && one.ms.is_none()) {
        return Ok(ExitCode::FAILURE);
    }
    Ok(if others > 0 { ExitCode::from(super::super::FOUND) } else { ExitCode::SUCCESS })
}

fn text(command: &str, changes: &[(&Subject, &Done)], waited: &[Waited]) -> String {
    let mut text = String::new();
    for (subject, done) in changes {
        let subject = subject.key();
        if done.written.is_empty() {
            let _ = writeln!(text, "{command} {subject}: it was so already, nothing was written");
        }
        for one in &done.written {
            let (partition, offset) = (one.partition, one.offset);
            let what = one.version.map_or("erased".to_owned(), |version| format!("version {version}"));
            let _ = writeln!(text, "{command} {subject}: {what} at partition {partition} offset {offset}");
        }
    }
    let acknowledged = changes.iter().filter(|(_, done)| !done.written.is_empty());
    let acknowledged: f64 = acknowledged.map(|(_, done)| done.acknowledged.as_secs_f64() * 1e3).sum();
    if changes.iter().any(|(_, done)| !done.written.is_empty()) {
        let _ = write!(text, "acknowledged by Kafka after {acknowledged:.1} ms");
        for one in waited {
            if let Some(ms) = one.ms {
                let _ = write!(text, ", in force at {} after {ms:.1} ms", one.instance);
            }
        }
        text.push('\n');
    }
    text
}

fn document(command: &str, changes: &[(&Subject, &Done)], waited: &[Waited]) -> Value {
    let change = |(subject, done): &(&Subject, &Done)| {
        json!({
            "subject": subject.key(),
            "written": done.written,
            "acknowledged_ms": (done.acknowledged.as_secs_f64() * 1e6).round() / 1e3,
            "others": done.others.len(),
            "overtaken": done.overtaken,
        })
    };
    let changes: Vec<Value> = changes.iter().map(change).collect();
    json!({ "command": command, "changes": changes, "in_force": waited })
}
