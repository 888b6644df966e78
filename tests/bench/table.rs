//! A result, as a table for people or as JSON for programs.

use clap::ValueEnum;
use serde_json::{Map, Value, json};

use crate::machine;

/// How a result is printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Output {
    /// A table in Markdown.
    Text,
    /// One JSON object.
    Json,
}

/// A result: rows of named figures.
#[derive(Debug, Default)]
pub struct Table {
    title: String,
    rows: Vec<Map<String, Value>>,
}

impl Table {
    /// An empty one. The title says what was measured, in which units.
    pub fn new(title: impl Into<String>) -> Self {
        Self { title: title.into(), ..Self::default() }
    }

    /// Adds a row; every row has the same names, in the same order.
    pub fn row(&mut self, figures: Value) {
        let Value::Object(row) = figures else { panic!("a row is an object") };
        self.rows.push(row);
    }

    /// Prints it on standard output.
    pub fn print(&self, output: Output) {
        let machine = machine::describe();
        match output {
            Output::Json => {
                let all = json!({
                    "title": self.title, "machine": machine, "rows": self.rows,
                });
                println!("{all}");
            }
            Output::Text => println!("{}", self.text(&machine)),
        }
    }

    fn text(&self, machine: &Value) -> String {
        let text = |value: &Value| match value {
            Value::String(text) => text.clone(),
            Value::Array(all) => all.iter().map(Value::to_string).collect::<Vec<_>>().join(", "),
            value => value.to_string(),
        };
        let about: Vec<String> = machine
            .as_object()
            .into_iter()
            .flatten()
            .map(|(name, value)| format!("{name} {}", text(value)))
            .collect();
        let names: Vec<&str> =
            self.rows.first().into_iter().flatten().map(|(name, _)| name.as_str()).collect();
        let mut lines = vec![format!("{} ({})", self.title, about.join(", ")), String::new()];
        lines.push(format!("| {} |", names.join(" | ")));
        lines.push(format!("|{}", " --- |".repeat(names.len())));
        for row in &self.rows {
            let cells: Vec<String> = row.iter().map(|(_, value)| text(value)).collect();
            lines.push(format!("| {} |", cells.join(" | ")));
        }
        lines.join("\n")
    }
}

/// Several measurements of one figure.
#[derive(Clone, Debug, Default)]
pub struct Series(pub Vec<f64>);

impl Series {
    /// The middle one, the lower of two.
    pub fn median(&self) -> f64 {
        let mut sorted = self.0.clone();
        sorted.sort_unstable_by(f64::total_cmp);
        sorted.get(sorted.len().saturating_sub(1) / 2).copied().unwrap_or(f64::NAN)
    }

    /// The figure below which this share of them lie: 0.99 is the p99, 1 the greatest.
    pub fn quantile(&self, share: f64) -> f64 {
        let mut sorted = self.0.clone();
        sorted.sort_unstable_by(f64::total_cmp);
        let rank = (share * sorted.len() as f64).ceil() as usize;
        sorted.get(rank.saturating_sub(1)).copied().unwrap_or(f64::NAN)
    }

    /// `median (minimum–maximum)`, with so many decimals.
    pub fn text(&self, decimals: usize) -> String {
        let least = self.0.iter().copied().fold(f64::INFINITY, f64::min);
        let most = self.0.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        format!("{:.*} ({least:.*}–{most:.*})", decimals, self.median(), decimals, decimals)
    }
}
