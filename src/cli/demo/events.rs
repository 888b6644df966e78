//! What the people of the demonstration do in the shop, and now and then something that is broken.

use fastrand::Rng;
use serde_json::{Value, json};

use crate::time::Timestamp;

use super::people::Person;

const PAGES: &[&str] = &["/", "/shoes", "/shoes/trail-7", "/bags", "/bags/weekend", "/sale", "/help/returns"];
const GOODS: &[(&str, u32)] = &[("trail-7", 129), ("weekend", 89), ("socks-3", 12), ("cap", 19)];

/// One in so many events is broken.
const BROKEN_ONE_IN: u32 = 100;
/// One in so many tells of something that happened a while ago.
const LATE_ONE_IN: u32 = 50;
/// How long ago that was.
const LATE_MS: i64 = 30 * 60 * 1000;

/// What `person` does now, as JSON.
pub fn event(person: &Person, rng: &mut Rng, now: Timestamp) -> Vec<u8> {
    let occurred_at = if rng.u32(..LATE_ONE_IN) == 0 { now.plus(-LATE_MS) } else { now };
    let value = whole(person, rng, occurred_at);
    if rng.u32(..BROKEN_ONE_IN) == 0 { broken(value, rng) } else { value.to_string().into_bytes() }
}

/// A well-formed event that occurred now; what the watched person sends.
pub fn sound(person: &Person, rng: &mut Rng, now: Timestamp) -> Vec<u8> {
    whole(person, rng, now).to_string().into_bytes()
}

/// A well-formed event that concerns the newsletter.
pub fn abandoned_cart(person: &Person, rng: &mut Rng, now: Timestamp) -> Vec<u8> {
    let user = json!({"id": person.id, "email": person.email, "country": person.country});
    let event =
        json!({"type": "cart_abandoned", "occurred_at": now.to_string(), "user": user, "items": items(rng)});
    event.to_string().into_bytes()
}

fn whole(person: &Person, rng: &mut Rng, at: Timestamp) -> Value {
    let user =
        json!({"id": person.id, "email": person.email, "country": person.country, "phone": person.phone});
    let (kind, what) = match rng.u8(..100) {
        0..60 => ("page_viewed", json!({"page": pick(PAGES, rng), "ms": rng.u32(200..90_000)})),
        60..70 => ("searched", json!({"words": pick(&["trail shoes", "bag", "wool socks"], rng)})),
        70..82 => ("order_placed", json!({"items": items(rng), "currency": "EUR"})),
        82..90 => ("cart_abandoned", json!({"items": items(rng)})),
        _ => ("newsletter_opened", json!({"issue": format!("2026-{:02}", rng.u8(1..=11))})),
    };
    let mut event = json!({"type": kind, "occurred_at": at.to_string(), "user": user});
    if let (Value::Object(event), Value::Object(mut what)) = (&mut event, what) {
        event.append(&mut what);
    }
    event
}

fn items(rng: &mut Rng) -> Value {
    let item = |rng: &mut Rng| {
        let (sku, price) = pick(GOODS, rng);
        json!({"sku": sku, "price": price, "note": "a present, please wrap"})
    };
    (0..rng.u8(1..4)).map(|_| item(rng)).collect()
}

/// What a producer with a fault might send.
fn broken(mut value: Value, rng: &mut Rng) -> Vec<u8> {
    let user = value.get_mut("user").and_then(Value::as_object_mut);
    match (rng.u8(..6), user) {
        (0, Some(user)) => {
            user.remove("id");
        }
        (1, Some(user)) => {
            user.insert("id".to_owned(), json!({"tenant": 4}));
        }
        (2, _) => {
            if let Some(event) = value.as_object_mut() {
                event.insert("occurred_at".to_owned(), json!("yesterday"));
            }
        }
        (3, _) => return twice(&value),
        (4, _) => return nested(),
        (_, _) => {
            let mut bytes = value.to_string().into_bytes();
            bytes.truncate(bytes.len() / 2);
            return bytes;
        }
    }
    value.to_string().into_bytes()
}

/// Two users in one event: nobody knows who is meant.
fn twice(value: &Value) -> Vec<u8> {
    let text = value.to_string();
    let rest = text.strip_prefix('{').unwrap_or(&text);
    format!("{{\"user\":{{\"id\":\"u-9999\"}},{rest}").into_bytes()
}

/// Deeper than anyone needs.
fn nested() -> Vec<u8> {
    let depth = 100;
    format!("{}{}", "[".repeat(depth), "]".repeat(depth)).into_bytes()
}

fn pick<T: Copy + Default>(from: &[T], rng: &mut Rng) -> T {
    from.get(rng.usize(..from.len().max(1))).copied().unwrap_or_default()
}
