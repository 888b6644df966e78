//! Events: most are plain, some are wrong in each of the ways the page names.

use super::{dice::Dice, people::pool, stamps};
use crate::oracle::time::{Millis, write};
use serde_json::{Map, Value, json};

/// The lines of `--events`.
pub fn events(dice: &mut Dice, config: &Value, now: Millis, count: usize) -> Vec<String> {
    let pipeline = &config["pipelines"][0];
    (0..count).map(|_| event(dice, pipeline, now)).collect()
}

fn event(dice: &mut Dice, pipeline: &Value, now: Millis) -> String {
    let mut event = json!({"topic": dice.pick(&["shop-events", "shop-events", "web-events"])});
    if dice.often(70) {
        event["key"] = spelled(dice, "device").into();
    }
    if dice.often(75) {
        event["timestamp"] = timestamp(dice, now).into();
    }
    if dice.often(92) {
        event["headers"] = headers(dice, now);
    }
    if dice.often(6) {
        // Mostly a deletion.
        event["value"] = Value::Null;
        return event.to_string();
    }
    let mut value = value(dice, now);
    if let (Some(path), true) = (pipeline["elements"].as_str(), dice.often(97)) {
        let bare = pipeline["subject"][0]["path"] == "";
        put_people(dice, &mut value, path, bare, now);
    }
    if dice.often(60) {
        event["value"] = value;
    } else {
        event["raw"] = raw(dice, &value).into();
    }
    event.to_string()
}

/// Somebody from the pool, in one of the spellings of the same subject.
fn spelled(dice: &mut Dice, kind: &str) -> String {
    let all: Vec<String> = pool().into_iter().filter(|(of, _)| *of == kind).map(|(_, value)| value).collect();
    let value = dice.pick(&all);
    match dice.below(12) {
        0 => format!(" {value}\u{a0}"),
        1 if kind == "email" => value.to_uppercase(),
        2 if dice.often(40) => "nobody".to_owned(),
        _ => value,
    }
}

fn timestamp(dice: &mut Dice, now: Millis) -> i64 {
    let now = now as i64;
    match dice.below(12) {
        0 => -1,
        1 => now,
        2 => now + dice.within(0..=100_000),
        3 => now - dice.within(0..=30 * 86_400_000),
        _ => now - dice.within(0..=4_000_000),
    }
}

fn own_time(dice: &mut Dice, now: Millis) -> Value {
    let at = Millis::from(timestamp(dice, now));
    match dice.below(50) {
        0 => json!("noon"),
        1 => json!(1.5),
        2 => json!(""),
        3 => Value::Null,
        4..10 => json!(at as i64),
        _ => json!(write(at)),
    }
}

fn headers(dice: &mut Dice, now: Millis) -> Value {
    let mut headers = Map::new();
    if dice.often(80) {
        let email = match dice.below(60) {
            0 => String::new(),
            1 => "x".repeat(513),
            _ => spelled(dice, "email"),
        };
        headers.insert("x-email".to_owned(), email.into());
    }
    if dice.often(60) {
        let time = match own_time(dice, now) {
            Value::String(text) => text,
            Value::Null => "0".to_owned(),
            other => other.to_string(),
        };
        headers.insert("x-time".to_owned(), time.into());
    }
    if dice.often(50) {
        headers.insert("x-kind".to_owned(), dice.pick(&["a", "b", "béta"]).into());
    }
    if dice.often(50) {
        let ip = dice.pick(&["10.1.2.3", "2001:db8:1:2::3", "::1", "10.1.2", "10.1.2.3"]);
        headers.insert("x-client-ip".to_owned(), ip.into());
    }
    if dice.often(5) {
        headers.insert("consentry.route".to_owned(), "forged".into());
    }
    headers.into()
}

fn id(dice: &mut Dice) -> Value {
    match dice.below(100) {
        0 => Value::Null,
        1 => json!(true),
        2 => json!({}),
        3 => json!(" \u{2003}"),
        4 => json!(1000.5),
        5 => json!("y".repeat(513)),
        6 => json!("y".repeat(512)),
        7..16 => json!(dice.within(7..=14) * 100),
        _ => json!(spelled(dice, "user_id")),
    }
}

fn value(dice: &mut Dice, now: Millis) -> Value {
    if dice.often(2) {
        return dice.pick(&[json!(5), json!("word"), json!([1, [], {}]), json!({}), json!(true), json!([])]);
    }
    let mut value = json!({});
    if dice.often(90) {
        value["type"] =
            dice.pick(&[json!("purchase"), json!("purchase"), json!("heartbeat"), json!(true), json!(7)]);
    }
    if dice.often(96) {
        value["user"] = user(dice, now);
    }
    if dice.often(60) {
        value["at"] = own_time(dice, now);
    }
    if dice.often(60) {
        value["items"] = items(dice);
    }
    if dice.often(50) {
        value["meta"] = dice.pick(&[
            json!({"p": {"x": 1, "y": [2, 3]}, "q": {"x": null}}),
            json!([{"x": "é"}, {"x": {"deep": [true]}}, 4]),
            json!("flat"),
            Value::Null,
        ]);
    }
    stamps::stamp(dice, &mut value);
    for (name, percent) in [("ip", 40), ("seen", 40), ("amount", 40), ("a/b", 20), ("page", 60)] {
        if dice.often(percent) {
            value[name] = leaf(dice, name);
        }
    }
    value
}

fn leaf(dice: &mut Dice, name: &str) -> Value {
    let odd = [Value::Null, json!(5), json!("word"), json!([]), json!({"a": 1})];
    if dice.often(12) {
        return dice.pick(&odd);
    }
    match name {
        "ip" => dice.pick(&[json!("192.168.1.77"), json!("2001:db8:a:b:c::1"), json!("fe80::")]),
        "seen" => dice.pick(&[json!("2026-05-01T10:00:00.25+02:00"), json!("1999-12-31 23:59:59Z")]),
        "amount" => dice.pick(&[json!(149), json!(-1), json!(12.75), json!(-0.5), json!(0), json!(1e21)]),
        "a/b" => json!({"m~n": dice.pick(&odd), "m": 1}),
        _ => json!("/home?q=\"\\\u{1F600}"),
    }
}

fn user(dice: &mut Dice, now: Millis) -> Value {
    let mut user = json!({"id": id(dice)});
    if dice.often(85) {
        user["email"] = if dice.often(4) { json!(["no", 5]) } else { spelled(dice, "email").into() };
    }
    if dice.often(50) {
        user["phone"] = dice.pick(&[json!("+31612345678"), json!("☎"), json!(31), Value::Null]);
    }
    if dice.often(50) {
        user["country"] = dice.pick(&[json!("Nederland"), json!("NL"), json!("É")]);
    }
    if dice.often(40) {
        user["born"] = write(now - 10_000 * 86_400_000).into();
    }
    if dice.often(3) { dice.pick(&[json!("ann"), json!([1]), Value::Null]) } else { user }
}

fn items(dice: &mut Dice) -> Value {
    let count = dice.below(3);
    let mut items = Vec::new();
    for number in 0..count {
        let mut item = json!({"sku": number, "price": dice.pick(&[json!(19.99), json!(5), json!(-15)])});
        if dice.often(50) {
            item["note"] = dice.pick(&[json!("gift"), Value::Null, json!({"a": []})]);
        }
        if dice.often(40) {
            item["owner"] = id(dice);
        }
        items.push(item);
    }
    if dice.often(20) {
        items.push(dice.pick(&[json!(7), Value::Null, json!([])]));
    }
    if dice.often(5) { json!({"first": items}) } else { items.into() }
}

/// Puts people where the pipeline looks for them, mostly as it expects them.
fn put_people(dice: &mut Dice, value: &mut Value, path: &str, bare: bool, now: Millis) {
    let count = dice.pick(&[0, 1, 1, 2, 2, 3, 3, 4]);
    let mut people: Vec<Value> = (0..count).map(|_| person(dice, bare, now)).collect();
    if dice.often(3) {
        people.push(dice.pick(&[json!(7), Value::Null, json!([]), json!({})]));
    }
    let people = match dice.below(40) {
        0 => Value::Null,
        1 => json!({"first": people}),
        2 => json!("somebody"),
        _ => people.into(),
    };
    match (path, value.as_object_mut()) {
        ("", _) => *value = people,
        ("/batch/people", Some(members)) => {
            let note = dice.pick(&[json!("delivered"), Value::Null, json!({"by": "van"})]);
            members.insert("batch".to_owned(), json!({"note": note, "people": people, "n": 1}));
        }
        (_, Some(members)) => drop(members.insert(path[1..].to_owned(), people)),
        (_, None) => {}
    }
}

fn person(dice: &mut Dice, bare: bool, now: Millis) -> Value {
    if bare && dice.often(95) {
        return spelled(dice, "user_id").into();
    }
    let mut person = user(dice, now);
    if dice.often(97) {
        // Mostly somebody: one who cannot be read sets the whole record aside.
        person = json!({"id": spelled(dice, "user_id"), "email": spelled(dice, "email")});
        if dice.often(15) {
            person["email"] = Value::Null;
        }
        if dice.often(30) {
            person["phone"] = dice.pick(&[json!("+31612345678"), json!("+1"), Value::Null]);
        }
        if dice.often(40) {
            person["born"] = write(now - 9_000 * 86_400_000).into();
        }
    }
    if dice.often(40) && person.is_object() {
        person["tags"] = dice.pick(&[json!(["a", 1, null]), json!([]), json!("a"), json!([{"x": 1}])]);
        person["more"] = dice.pick(&[json!({"x": {}, "y": 2}), json!({"x": "x"}), json!(0)]);
        person["owner"] = if dice.often(90) { spelled(dice, "user_id").into() } else { id(dice) };
    }
    person
}

/// A value as text, sometimes spoiled.
fn raw(dice: &mut Dice, value: &Value) -> String {
    let text = value.to_string();
    match dice.below(52) {
        0 => text[..text.char_indices().map(|(at, _)| at).nth(dice.below(text.chars().count())).unwrap()]
            .to_owned(),
        1 => format!("{text}{}", dice.pick(&["x", "{}", "]", ",", "\u{feff}", "\0"])),
        2 => text.replacen(',', ",,", 1),
        3 => text.replacen("\"id\":", dice.pick(&["\"id\":\"u-1\",\"id\":", "\"\\u0069d\":1,\"id\":"]), 1),
        4 => text.replacen("\"sku\":", "\"n\":1,\"n\":2,\"sku\":", 1),
        5 => text.replacen("\"x\":", "\"\\u0078\":1,\"x\":", 1),
        6 => text.replacen("\"page\":", "\"page\":{\"a\":1,\"\\u0061\":2},\"pages\":", 1),
        7 => nested(dice, &text),
        8 => format!("\"{}\"", "z".repeat(5000)),
        9 => String::new(),
        10 => "null".to_owned(),
        11 => text.replace("\"user\"", "\"us\\u0065r\"").replace(':', " : ").replace(',', "\n,\t"),
        12 => format!("{text} \r\n"),
        13 => text.replace(":149,", ":1.490e2,").replace(":-15}", ":-1.5E+1}").replace("u-", "\\u0075-"),
        14 => text.replacen('5', dice.pick(&["05", "5.", "+5", ".5", "5e,", "NaN"]), 1),
        15 => text.replacen("word", dice.pick(&["\\x", "\u{1}", "\\u12", "\\ud83d\\ude00"]), 1),
        16 => text.replacen("\"at\":", "\"at\":{\"a\":1,\"a\":2},\"then\":", 1),
        17 => text.replacen("\"orders\":", "\"ord\\u0065rs\":false,\"orders\":", 1),
        18 => text.replacen("\"context\":", "\"context\":{},\"conte\\u0078t\":", 1),
        _ => text,
    }
}

/// About as deep as may be, and sometimes far deeper.
fn nested(dice: &mut Dice, text: &str) -> String {
    let deep = dice.pick(&[61, 62, 63, 64, 130, 300]);
    let (open, close) = dice.pick(&[("[", "]"), ("{\"d\":", "}")]);
    let core = if open == "[" { "[]" } else { "{}" };
    let end = if dice.often(20) { deep - 1 } else { deep };
    let nest = format!("{}{core}{}", open.repeat(deep), close.repeat(end));
    text.replacen('{', &format!("{{\"nest\":{nest},"), 1)
}
