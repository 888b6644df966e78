//! Stamped consent: what routes require of it, and what events carry.

use super::dice::{Dice, PURPOSES};
use serde_json::{Map, Value, json};

/// What a platform calls its categories: here and there as the policy calls its purposes.
const CATEGORIES: [&str; 7] = ["analytics", "newsletter", "advertising", "orders", "profile", "Ads", "C0002"];

/// The `stamp` of a route.
pub fn required(dice: &mut Dice) -> Value {
    let mut stamp = json!({"format": dice.pick(&["consentry", "segment", "rudderstack"])});
    if dice.often(12) {
        let paths = ["/consent", "/context/consent", "/user/choices", "/items/0/note", "/context", "", "/at"];
        stamp["path"] = dice.pick(&paths).into();
    }
    if dice.often(50) {
        let mut mapped = Map::new();
        for purpose in dice.some(&PURPOSES, 40) {
            let mut categories = CATEGORIES;
            dice.shuffle(&mut categories);
            let count = dice.pick(&[1, 1, 2, 3]);
            mapped.insert(purpose.to_owned(), json!(categories[..count]));
        }
        stamp["categories"] = mapped.into();
    }
    stamp
}

/// Stamps an event, most often in a way that gives most.
pub fn stamp(dice: &mut Dice, value: &mut Value) {
    if dice.often(65) {
        value["consent"] = spoiled(dice, own);
    }
    if dice.often(75) {
        let mut context = json!({});
        if dice.often(85) {
            context["consent"] = json!({"categoryPreferences": spoiled(dice, segment)});
        }
        if dice.often(85) {
            context["consentManagement"] = spoiled(dice, rudderstack);
        }
        value["context"] = if dice.often(3) { dice.pick(&[json!("web"), Value::Null]) } else { context };
    }
}

/// A stamp, or here and there something else.
fn spoiled(dice: &mut Dice, of: fn(&mut Dice) -> Value) -> Value {
    match dice.below(25) {
        0 => {
            dice.pick(&[Value::Null, json!([]), json!({}), json!("given"), json!(true), json!(7), json!(1.5)])
        }
        1 => of(dice).get("analytics").cloned().unwrap_or_default(),
        _ => of(dice),
    }
}

/// The categories that are answered, now and then in another spelling.
fn answered(dice: &mut Dice) -> Vec<String> {
    let mut names: Vec<String> = dice.some(&CATEGORIES, 90).into_iter().map(ToOwned::to_owned).collect();
    if dice.often(8) {
        let more = dice.pick(&CATEGORIES);
        names.push(dice.respelled(more));
    }
    if dice.often(5) {
        names.push(dice.pick(&["*", " * ", "", "other"]).to_owned());
    }
    names
}

fn own(dice: &mut Dice) -> Value {
    let mut stamp = Map::new();
    for name in answered(dice) {
        let answer = match dice.below(300) {
            0 => dice.pick(&[json!(1), json!(-0.5), json!([]), json!({"status": "given"})]),
            1..5 => Value::Null,
            5..60 => dice
                .pick(&[
                    "refused",
                    "withdrawn",
                    "revoked",
                    "objected",
                    "invalidated",
                    "requested",
                    "",
                    "Given",
                    "yes",
                ])
                .into(),
            60..75 => json!(false),
            75..150 => json!(true),
            150..200 => json!("confirmed"),
            _ => json!("given"),
        };
        stamp.insert(name, answer);
    }
    stamp.into()
}

fn segment(dice: &mut Dice) -> Value {
    let mut stamp = Map::new();
    for name in answered(dice) {
        let answer = match dice.below(300) {
            0 => dice.pick(&[json!("true"), json!(1), json!([]), json!({})]),
            1..5 => Value::Null,
            _ => json!(dice.often(80)),
        };
        stamp.insert(name, answer);
    }
    stamp.into()
}

fn rudderstack(dice: &mut Dice) -> Value {
    let (mut allowed, mut denied) = (Vec::new(), Vec::new());
    for name in answered(dice) {
        match dice.below(40) {
            0 => {
                allowed.push(json!(name));
                denied.push(json!(name));
            }
            1..8 => denied.push(json!(name)),
            _ => allowed.push(json!(name)),
        }
    }
    if dice.often(1) {
        allowed.push(dice.pick(&[Value::Null, json!(5), json!(["orders"]), json!({})]));
    }
    let mut stamp = json!({"allowedConsentIds": allowed, "deniedConsentIds": denied});
    if dice.often(6) {
        let list = dice.pick(&["allowedConsentIds", "deniedConsentIds"]);
        stamp[list] = dice.pick(&[Value::Null, json!("orders"), json!({"orders": "Orders"}), json!([])]);
    }
    if dice.often(70) {
        stamp["provider"] = dice.pick(&["oneTrust", "ketch", "iubenda", "custom", ""]).into();
    }
    if dice.often(70) {
        stamp["resolutionStrategy"] = dice.pick(&["and", "or", "all", "any", ""]).into();
    }
    match dice.below(60) {
        0 => stamp["resolutionStrategy"] = dice.pick(&[json!("OR"), json!("most"), json!(true), Value::Null]),
        1 => stamp["provider"] = dice.pick(&[json!(1), Value::Null, json!({})]),
        _ => {}
    }
    stamp
}
