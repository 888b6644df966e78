//! The few `when` expressions that the generator writes, by heart: no CEL here.

use super::{Event, json::Node};

/// All that `holds` knows; `value`, `headers`, `key` and `topic` are what an expression may read.
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
pub fn holds(expression: &str, event: &Event, body: Option<&Node>) -> Option<bool> {
    let kind = || body.filter(|value| !value.repeats_a_name()).and_then(|value| value.member("type"));
    let is = |word: &str| kind().map(|node| matches!(node, Node::Text(_, chars) if chars == word));
    match KNOWN.iter().position(|known| *known == expression).unwrap() {
        0 => is("heartbeat").map(|yes| !yes),
        1 => is("purchase"),
        2 => Some(event.header("x-kind").is_some()),
        3 => event.header("x-kind").map(|kind| kind == "b"),
        4 => Some(event.topic.as_deref().unwrap() == "shop-events"),
        5 => match kind() {
            Some(Node::Bool(yes)) => Some(*yes),
            _ => None,
        },
        6 => Some(true),
        _ => Some(false),
    }
}
