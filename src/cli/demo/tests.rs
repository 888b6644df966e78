use std::collections::BTreeSet;

use fastrand::Rng;

use super::people::{Message, Person};
use super::*;
use crate::app::explain::explain;
use crate::time::{Clock, Timestamp};

#[test]
fn lengths_are_bounded() {
    assert_eq!(length("20s"), Ok(Duration::from_secs(20)));
    assert_eq!(length("2m"), Ok(Duration::from_secs(120)));
    for bad in ["", "20", "-5s", "0s", "500ms", "2d", "soon"] {
        assert!(length(bad).is_err(), "{bad}");
    }
}

#[test]
fn the_shipped_configuration_has_a_sink_for_each_route() {
    let ready = configuration("127.0.0.1:1").unwrap();
    assert_eq!(ready.pipelines.len(), 1);
    assert_eq!(ready.pipelines[0].sinks.len(), ready.pipelines[0].rules.routes.len());
}

/// How the shipped configuration decides these events.
fn decided(messages: &[Message], events: &[String]) -> BTreeSet<(&'static str, &'static str)> {
    let consent = |message: &Message| {
        let raw = message.value.as_deref();
        match raw {
            Some(raw) => serde_json::json!({"key": message.key, "raw": raw}),
            None => serde_json::json!({"key": message.key, "value": null}),
        }
        .to_string()
    };
    let consents: Vec<String> = messages.iter().map(consent).collect();
    let ready = configuration("127.0.0.1:1").unwrap();
    let now = Clock::default().now();
    let verdicts = explain(&ready, &consents.join("\n"), &events.join("\n"), None, now).unwrap();
    verdicts.iter().filter_map(|verdict| Some((verdict.end, verdict.reason?.word()))).collect()
}

fn line(value: &[u8], now: Timestamp) -> String {
    let raw = std::str::from_utf8(value).unwrap();
    serde_json::json!({"raw": raw, "timestamp": now.0, "headers": {"x-client-ip": "203.0.113.9"}}).to_string()
}

#[test]
fn the_shop_shows_every_usual_reason() {
    let (mut rng, now) = (Rng::with_seed(7), Clock::default().now());
    let mut people: Vec<Person> = (0..PEOPLE).map(|number| Person::new(number, &mut rng, now)).collect();
    let mut messages: Vec<Message> = people.iter().filter_map(|person| person.first_message(now)).collect();
    messages.extend(people.iter_mut().step_by(4).skip(1).map(|person| person.change(&mut rng, now)));
    let twenty = |person: &Person, rng: &mut Rng| -> Vec<String> {
        (0..20).map(|_| line(&events::event(person, rng, now), now)).collect()
    };
    let events: Vec<String> = people.iter().flat_map(|person| twenty(person, &mut rng)).collect();
    let seen = decided(&messages, &events);
    let expected = [
        ("forwarded", vec!["permitted", "reduced", "exempt"]),
        (
            "dropped",
            vec![
                "unknown_subject",
                "invalid_consent",
                "restricted",
                "opted_out_signal",
                "withdrawn",
                "objected",
                "refused",
                "expired",
                "needs_renewal",
                "before_consent",
                "channel_not_permitted",
                "recipient_not_permitted",
                "no_consent",
            ],
        ),
        ("held", vec!["unconfirmed"]),
        (
            "quarantined",
            vec!["malformed", "too_deep", "ambiguous", "invalid_subject", "missing_subject", "invalid_time"],
        ),
    ];
    for (end, reasons) in expected {
        for reason in reasons {
            assert!(seen.contains(&(end, reason)), "nothing is {end} as {reason}: {seen:?}");
        }
    }
}

#[test]
fn the_watched_person_permits_everything_until_they_withdraw() {
    let (mut rng, now) = (Rng::with_seed(7), Clock::default().now());
    let mut person = Person::new(0, &mut rng, now);
    let events: Vec<String> = (0..50).map(|_| line(&events::sound(&person, &mut rng, now), now)).collect();
    let open = decided(&[person.first_message(now).unwrap()], &events);
    assert!(open.iter().all(|(end, _)| *end == "forwarded"), "{open:?}");
    let taken_back = decided(&[person.withdraw_all(now)], &events);
    assert_eq!(taken_back, BTreeSet::from([("dropped", "withdrawn"), ("forwarded", "exempt")]));
}
