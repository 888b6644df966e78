//! Configurations: one pipeline, many routes, every setting that a decision reads.

use super::dice::{CHANGES, CHANNELS, DAYS, Dice, PURPOSES};
use super::{signals, stamps};
use crate::oracle::KNOWN_WHEN;
use serde_json::{Map, Value, json};

pub const LEVELS: [&str; 4] = ["anonymous", "pseudonymous", "contact", "sensitive"];
const RECIPIENTS: [&str; 7] = [
    "first_party",
    "first_party",
    "processor:mail",
    "processor:host",
    "third_party:adco",
    "third_party:adco",
    "third_party:other",
];
const LABELS: [&str; 16] = [
    "/user/email",
    "/user/phone",
    "/user/country",
    "/user/born",
    "/user",
    "/items/*/note",
    "/items/*/price",
    "/items/0/sku",
    "/items/*",
    "/meta/*/x",
    "/meta",
    "/ip",
    "/seen",
    "/a~1b/m~0n",
    "/amount",
    "/type",
];

/// Labels on a person, where a record holds several.
const OF_A_PERSON: [&str; 7] = ["/email", "/phone", "/country", "/born", "/tags/*", "/tags/0/x", "/more/x"];
/// What stands outside the people then, wherever they are.
const OUTSIDE: [&str; 7] = ["/ip", "/seen", "/amount", "/type", "/meta/*/x", "/user", "/batch/note"];
/// Where the people are.
const ARRAYS: [&str; 6] = ["/people", "/people", "/people", "/batch/people", "/batch/people", "/items"];

pub fn config(dice: &mut Dice, routes: usize) -> Value {
    let mut policy = policy(dice);
    let listed = policy["levels"].as_array().cloned();
    let levels: Vec<Value> = listed.unwrap_or_else(|| LEVELS.map(Value::from).to_vec());
    policy["purposes"] = purposes(dice, &levels);
    if dice.often(40) {
        policy["signals"] = signals::mapping(dice);
    }
    let mut limits = json!({});
    if dice.often(60) {
        limits["max_record_bytes"] = "4KiB".into();
    }
    if dice.often(30) {
        limits["max_grants"] = 16.into();
    }
    json!({
        "version": 1,
        "instance": "generated",
        "kafka": {"brokers": ["localhost:9092"]},
        "consent": {"topic": "consent-changes"},
        "limits": limits,
        "policy": policy,
        "pipelines": [pipeline(dice, &levels, routes)],
    })
}

fn policy(dice: &mut Dice) -> Value {
    let mut policy = json!({"pseudonym_key": {"file": "tests/cases/pseudonym.key"}});
    match dice.below(4) {
        0 => policy["levels"] = json!(["anonymous", "contact"]),
        1 => policy["levels"] = json!(LEVELS),
        _ => {}
    }
    let mut windows = Map::new();
    for channel in dice.some(&CHANNELS, 30) {
        windows.insert(channel.to_owned(), window(dice));
    }
    policy["windows"] = windows.into();
    if dice.often(50) {
        let mut zones: Vec<&str> = (0..dice.below(3)).map(|_| dice.pick(&CHANGES).0).collect();
        zones.dedup();
        policy["assume_time_zones"] = json!(zones);
    }
    if dice.often(15) {
        policy["honour_gpc"] = false.into();
    }
    if dice.often(30) {
        policy["clock_skew"] = dice.pick(&["0s", "500ms", "1m"]).into();
    }
    policy
}

fn window(dice: &mut Dice) -> Value {
    let (from, to) = loop {
        let to = if dice.often(10) { "24:00".to_owned() } else { dice.hour() };
        let from = dice.hour();
        if from != to {
            break (from, to);
        }
    };
    let mut window = json!({"from": from, "to": to});
    let days = dice.some(&DAYS, 60);
    if dice.often(40) && !days.is_empty() {
        window["days"] = json!(days);
    }
    window
}

fn purposes(dice: &mut Dice, levels: &[Value]) -> Value {
    let mut purposes = Map::new();
    for name in PURPOSES {
        let mut purpose = json!({"description": format!("Purpose {name}")});
        if dice.often(40) {
            purpose["max_age"] = dice.pick(&["30d", "400d", "2h"]).into();
        }
        if dice.often(35) {
            purpose["confirmation"] = "double".into();
        }
        if dice.often(70) {
            purpose["level"] = dice.pick(levels);
        }
        purposes.insert(name.to_owned(), purpose);
    }
    purposes.into()
}

pub fn pipeline(dice: &mut Dice, levels: &[Value], routes: usize) -> Value {
    let elements = dice.often(30).then(|| if dice.often(4) { "" } else { dice.pick(&ARRAYS) });
    let mut pipeline = json!({
        "name": "shop",
        "from": {"topics": ["shop-events", "web-events"], "format": "json"},
        "subject": if elements.is_some() { subject_of_elements(dice) } else { subject(dice) },
        "hold": {"topic": "shop-hold"},
        "quarantine": {"topic": "shop-quarantine"},
    });
    if let Some(path) = elements {
        pipeline["elements"] = path.into();
    }
    pipeline["fields"] = match elements {
        None => fields(dice, levels, &LABELS, false),
        Some("") => fields(dice, levels, &OF_A_PERSON, false),
        Some(_) => {
            let mut all = fields(dice, levels, &OF_A_PERSON, false);
            let outside = fields(dice, levels, &OUTSIDE, true);
            all.as_array_mut().unwrap().splice(0..0, outside.as_array().unwrap().clone());
            all
        }
    };
    if dice.often(70) {
        pipeline["match"] = dice.pick(&["first", "all"]).into();
    }
    if dice.often(50) {
        pipeline["unlabelled"] = dice.pick(&["pass", "remove"]).into();
    }
    match dice.below(3) {
        // In an array of people it would be somebody's own.
        0 if elements != Some("") => pipeline["occurred_at"] = json!({"path": "/at"}),
        1 => pipeline["occurred_at"] = json!({"header": "x-time"}),
        _ => {}
    }
    pipeline["routes"] = (0..routes).map(|number| route(dice, levels, number, elements.is_none())).collect();
    pipeline
}

fn subject(dice: &mut Dice) -> Value {
    let user = json!({"type": "user_id", "path": "/user/id"});
    let email = json!({"type": "email", "path": "/user/email"});
    let header = json!({"type": "email", "header": "x-email"});
    let device = json!({"type": "device", "key": true});
    let first = json!({"type": "user_id", "path": "/items/0/owner"});
    match dice.below(8) {
        0..3 => json!([user]),
        3 => json!([user, header]),
        4 => json!([user, email, device]),
        5 => json!([device, user]),
        6 => json!([email]),
        _ => json!([header, first, user]),
    }
}

fn subject_of_elements(dice: &mut Dice) -> Value {
    let user = json!({"type": "user_id", "path": "/id"});
    let email = json!({"type": "email", "path": "/email"});
    let owner = json!({"type": "user_id", "path": "/owner"});
    match dice.below(10) {
        0..4 => json!([user]),
        4..7 => json!([user, email]),
        7 => json!([email, user]),
        8 => json!([owner, user]),
        _ => json!([{"type": "user_id", "path": ""}]),
    }
}

fn fields(dice: &mut Dice, levels: &[Value], labels: &[&'static str], outside: bool) -> Value {
    let mut fields = Vec::new();
    let mut paths = dice.some(labels, 30);
    dice.shuffle(&mut paths);
    for path in paths {
        let action = match path {
            "/user/born" | "/seen" | "/born" => {
                dice.pick(&[json!({"generalize": "day"}), json!({"generalize": "year"})])
            }
            "/items/*/price" | "/amount" => dice.pick(&[json!({"generalize": 10}), json!("hash")]),
            "/ip" => json!({"generalize": "ip"}),
            "/user/phone" | "/user/country" | "/phone" | "/country" => {
                dice.pick(&[json!({"truncate": 2}), json!("mask")])
            }
            _ => dice.pick(&["remove", "remove", "null", "mask", "hash"]).into(),
        };
        fields.push(json!({"path": path, "level": dice.pick(levels), "action": action}));
        if outside {
            fields.last_mut().unwrap()["outside"] = true.into();
        }
    }
    if outside {
        return fields.into();
    }
    if dice.often(40) {
        let action = dice.pick(&[json!({"generalize": "ip"}), json!("hash"), json!("remove")]);
        fields.push(json!({"header": "x-client-ip", "level": dice.pick(levels), "action": action}));
    }
    if dice.often(30) {
        let action = dice.pick(&[json!("remove"), json!("null"), json!("mask"), json!({"truncate": 3})]);
        fields.insert(0, json!({"header": "x-kind", "level": dice.pick(levels), "action": action}));
    }
    fields.into()
}

fn route(dice: &mut Dice, levels: &[Value], number: usize, is_about_one: bool) -> Value {
    let key = dice.pick(&["keep", "keep", "hash", "remove"]);
    let mut kafka = json!({"topic": format!("to-{number}")});
    if key != "keep" {
        kafka["key"] = key.into();
    }
    let mut route = json!({"name": format!("route-{number}"), "to": {"kafka": kafka}});
    if dice.often(15) {
        route["when"] = dice.pick(&KNOWN_WHEN).into();
    }
    match dice.below(5) {
        0 if key != "remove" => route["tombstones"] = "pass".into(),
        1 => route["tombstones"] = "decide".into(),
        _ => {}
    }
    if dice.often(6) {
        route["require"] = "none".into();
        route["because"] = "Assessment 7".into();
        if dice.often(60) {
            route["level"] = dice.pick(levels);
        }
        return route;
    }
    route["require"] = require(dice);
    // A stamp says what one person chose.
    if is_about_one && dice.often(25) {
        route["stamp"] = stamps::required(dice);
    }
    if dice.often(60) {
        route["hold"] = json!(dice.some(&["pending", "contact_window", "unknown"], 55));
        route["hold_for"] = dice.pick(&["7d", "90m"]).into();
        route["grace"] = dice.pick(&["10s", "1500ms"]).into();
    }
    route
}

fn require(dice: &mut Dice) -> Value {
    let mut purposes = PURPOSES;
    dice.shuffle(&mut purposes);
    let count = dice.pick(&[1, 1, 1, 1, 2, 3]);
    let kind = dice.pick(&["all", "any"]);
    let mut require = json!({"purposes": {kind: purposes[..count]}});
    if dice.often(45) {
        require["channel"] = dice.pick(&CHANNELS).into();
    }
    if dice.often(60) {
        require["recipient"] = dice.pick(&RECIPIENTS).into();
    }
    if dice.often(50) {
        require["legal_basis"] = dice.pick(&[
            json!(["consent"]),
            json!(["consent", "contract"]),
            json!(["contract"]),
            json!(["legal_obligation", "vital_interest", "contract"]),
            json!(["legitimate_interest", "consent", "public_task"]),
        ]);
    }
    if dice.often(50) {
        require["evaluate"] = dice.pick(&["both", "now"]).into();
    }
    require
}
