//! What each route must have forwarded: the verdicts of the oracle, which was written from the rules
//! alone, laid over the records that went in.

use std::collections::BTreeMap;

use consentry::time::Clock;
use serde_json::{Value, json};

use super::super::clients::Row;
use crate::oracle;

/// The records of each route with the reason for which they pass.
pub fn by_route(config: &Value, consents: &[Row], source: &[Row]) -> BTreeMap<String, Vec<(Row, String)>> {
    let text = |bytes: &Option<Vec<u8>>| String::from_utf8(bytes.clone().expect("some")).expect("text");
    let consents: Vec<String> = consents.iter().map(|row| text(&row.value)).collect();
    // Keys and other headers decide nothing here, and JSON could not carry their bytes.
    let event = |row: &Row| {
        let ip = row.header("x-client-ip").map(|ip| ("x-client-ip".to_owned(), Value::String(ip)));
        let headers: serde_json::Map<String, Value> = ip.into_iter().collect();
        json!({"raw": text(&row.value), "headers": headers, "timestamp": row.timestamp}).to_string()
    };
    let events: Vec<String> = source.iter().map(event).collect();
    let lines = oracle::lines(config, &consents, &events, None, &Clock::default().now().to_string());
    let mut all: BTreeMap<String, Vec<(Row, String)>> = BTreeMap::new();
    for line in lines.iter().filter(|line| line["end"] == "forwarded") {
        let number = line["event"].as_u64().and_then(|n| usize::try_from(n).ok()).expect("a number");
        let word = |name: &str| line[name].as_str().expect("text").to_owned();
        all.entry(word("route")).or_default().push((reduced(&source[number], line), word("reason")));
    }
    all
}

/// The record as it must arrive: untouched, or with the value and header that the oracle says.
fn reduced(row: &Row, line: &Value) -> Row {
    let mut row = row.clone();
    if line["reason"] == "reduced" {
        row.value = Some(line["value"].to_string().into_bytes());
        if let Some(ip) = line["headers"]["x-client-ip"].as_str() {
            let header = row.headers.iter_mut().find(|(name, _)| name == "x-client-ip");
            header.expect("it was there").1 = Some(ip.into());
        }
    }
    row
}

/// JSON with its members sorted by name, so that equal values have equal bytes.
pub fn canonical(json: &[u8]) -> Vec<u8> {
    sorted(serde_json::from_slice(json).expect("a reduced record is JSON")).to_string().into_bytes()
}

fn sorted(value: Value) -> Value {
    match value {
        Value::Object(members) => {
            let members: BTreeMap<String, Value> =
                members.into_iter().map(|(name, value)| (name, sorted(value))).collect();
            Value::Object(members.into_iter().collect())
        }
        Value::Array(items) => Value::Array(items.into_iter().map(sorted).collect()),
        other => other,
    }
}
