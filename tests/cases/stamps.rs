//! The tables of `config/stamps.md`, drawn from the case files: what stands in the page is what the suite holds both
//! implementations to, and every combination has its case.

use super::{Case, read};
use std::{collections::BTreeSet, fs};

const FORMATS: [&str; 3] = ["consentry", "segment", "rudderstack"];
const STORED: [&str; 3] = ["permits", "holds", "drops"];
const STAMPS: [&str; 5] = ["given", "refused", "without the category", "missing", "malformed"];

fn case<'c>(cases: &'c [Case], format: &str, stored: &str, stamp: &str) -> &'c Case {
    let (file, name) = (format!("stamps_{format}"), format!("stored consent {stored}, stamp {stamp}"));
    cases
        .iter()
        .find(|case| case.file == file && case.name == name)
        .unwrap_or_else(|| panic!("{file}: no `{name}`"))
}

/// What becomes of an event at a route, and why.
fn end(case: &Case, route: &str) -> String {
    let line = case.expect.iter().find(|line| line["route"] == route).unwrap();
    format!("{} `{}`", line["end"].as_str().unwrap(), line["reason"].as_str().unwrap())
}

fn row(cells: impl IntoIterator<Item = String>) -> String {
    format!("| {} |\n", cells.into_iter().collect::<Vec<_>>().join(" | "))
}

fn header(first: &str) -> String {
    let cells = || STAMPS.iter().map(|stamp| (*stamp).to_owned());
    let rule = ["---"].repeat(STAMPS.len() + 1).into_iter().map(ToOwned::to_owned);
    row(std::iter::once(first.to_owned()).chain(cells())) + &row(rule)
}

/// Stored consent by stamp: what becomes of the event.
fn ends(cases: &[Case], format: &str) -> String {
    let mut table = header("stored consent ↓, stamp →");
    for stored in STORED {
        let cells = STAMPS.iter().map(|stamp| end(case(cases, format, stored, stamp), "stamped"));
        table += &row(std::iter::once(stored.to_owned()).chain(cells));
    }
    table
}

/// How each stamp of the table is written, as the case files have it.
fn stamps(cases: &[Case]) -> String {
    let mut table = header("format");
    for format in FORMATS {
        let cells = STAMPS.iter().map(|stamp| {
            let event: serde_json::Value =
                serde_json::from_str(&case(cases, format, "permits", stamp).event).unwrap();
            let mut value = event["value"].clone();
            value.as_object_mut().unwrap().shift_remove("user");
            if value == serde_json::json!({}) { "nothing".to_owned() } else { format!("`{value}`") }
        });
        table += &row(std::iter::once(format!("`{format}`")).chain(cells));
    }
    table
}

#[test]
fn the_page_shows_what_the_cases_say() {
    let cases = read();
    let page = fs::read_to_string("config/stamps.md").unwrap();
    for table in [ends(&cases, "consentry"), stamps(&cases)] {
        assert!(page.contains(&table), "config/stamps.md lacks this table:\n\n{table}");
    }
    for format in FORMATS {
        assert_eq!(ends(&cases, format), ends(&cases, "consentry"), "the page has one table for all formats");
    }
}

#[test]
fn every_combination_is_a_case_and_every_case_is_in_the_table() {
    let cases = read();
    for format in FORMATS {
        let of_format = cases.iter().filter(|case| case.file == format!("stamps_{format}"));
        let names: BTreeSet<&str> = of_format.map(|case| case.name.as_str()).collect();
        assert_eq!(names.len(), STORED.len() * STAMPS.len(), "{format}");
        for stored in STORED {
            let alone: BTreeSet<String> =
                STAMPS.iter().map(|stamp| end(case(&cases, format, stored, stamp), "stored")).collect();
            assert_eq!(alone.len(), 1, "{format}: without a stamp the stored consent alone decides");
            let given = end(case(&cases, format, stored, "given"), "stamped");
            assert_eq!(
                alone.first(),
                Some(&given),
                "{format}: a stamp that gives adds nothing and takes nothing"
            );
        }
    }
}
