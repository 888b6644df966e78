//! A few `when` expressions by heart: no CEL here. Any other is asked of whoever called.

use super::{When, json::Node, record::Record};

/// All that is known by heart; `value`, `headers`, `key` and `topic` are what an expression may read.
pub const KNOWN: [&str; 8] = [
    r#"value.type != "heartbeat""#,
    r#"value.type == "purchase""#,
    r#""x-kind" in headers"#,
    r#"headers["x-kind"] == "b""#,
    r#"topic == "shop-events""#,
    "value.type",
    "true",
    "false",
];

/// Whether the expression is true; `None` where it fails or is no boolean.
pub(super) fn holds(expression: &str, record: &Record, body: Option<&Node>, other: When<'_>) -> Option<bool> {
    // A value with a number that no reader takes is not there.
    let kind = || {
        body.filter(|value| !value.repeats_a_name() && value.to_value().is_some())
            .and_then(|value| value.member("type"))
    };
    let is = |word: &str| kind().map(|node| matches!(node, Node::Text(_, chars) if chars == word));
    let has_header = record.headers.iter().any(|(name, _)| name == "x-kind");
    match KNOWN.iter().position(|known| *known == expression) {
        Some(0) => is("heartbeat").map(|yes| !yes),
        Some(1) => is("purchase"),
        Some(2) => Some(has_header),
        Some(3) => has_header.then(|| record.header("x-kind") == Some(b"b")),
        Some(4) => Some(record.topic == "shop-events"),
        Some(5) => match kind() {
            Some(Node::Bool(yes)) => Some(*yes),
            _ => None,
        },
        Some(6) => Some(true),
        Some(7) => Some(false),
        _ => other(expression, record),
    }
}
