//! Towns in which nothing changes while they are looked at: for what runs by the machine's own clock.
//!
//! A town is one policy, several pipelines over it, people, and events for each pipeline. Everybody has agreed,
//! and everything has happened, a day and more before now, though at all the edges there are between the two;
//! what waits for somebody waits for an hour and more; and a contact window opens or closes seven minutes before
//! and eight minutes after now, but for one that ends at midnight somewhere. Whoever needs to know that nothing
//! changes asks twice, and leaves out what did.

use super::config::{LEVELS, config, pipeline};
use super::dice::{CHANGES, Dice};
use super::{events, people};
use crate::oracle::time::{Millis, SECOND};
use serde_json::{Value, json};

const HOUR: Millis = 3600 * SECOND;
/// How long ago everything was.
const AGO: Millis = 30 * HOUR;

/// How much there is in a town.
pub struct Size {
    pub pipelines: usize,
    /// Of each pipeline.
    pub routes: usize,
    /// For each pipeline.
    pub events: usize,
}

impl Size {
    /// How many cases there are: each event at each route of its pipeline.
    pub const fn cases(&self) -> u64 {
        (self.pipelines * self.routes * self.events) as u64
    }
}

/// What a process is given.
pub struct Town {
    /// As the generator names things: each pipeline is `shop`, and its topics are those of every other.
    pub config: Value,
    /// The lines of `--consents`.
    pub consents: Vec<String>,
    /// The lines of `--events`, for each pipeline.
    pub events: Vec<Vec<String>>,
}

/// The town of this seed at this time.
pub fn town(seed: u64, now: Millis, size: &Size) -> Town {
    let minute = usize::try_from(now.div_euclid(60 * SECOND).rem_euclid(15)).unwrap();
    let mut dice = Dice::new(seed).windows_past_quarter((minute + 8) % 15);
    let (zone, _) = dice.pick(&CHANGES);
    let mut config = config(&mut dice, size.routes);
    let listed = config["policy"]["levels"].as_array().cloned();
    let levels = listed.unwrap_or_else(|| LEVELS.map(Value::from).to_vec());
    for _ in 1..size.pipelines {
        let another = pipeline(&mut dice, &levels, size.routes);
        config["pipelines"].as_array_mut().unwrap().push(another);
    }
    if !config["limits"]["max_grants"].is_null() {
        // The most generous answer to each route of each pipeline.
        config["limits"]["max_grants"] = json!(size.pipelines * size.routes);
    }
    for pipeline in config["pipelines"].as_array_mut().unwrap() {
        pipeline["routes"].as_array_mut().unwrap().iter_mut().for_each(wait_long);
    }
    let then = now - AGO;
    let consents = people::consents(&mut dice, &config, zone, then);
    let alone = |number: usize| json!({"pipelines": [config["pipelines"][number]]});
    let events = (0..size.pipelines)
        .map(|number| events::events(&mut dice, &alone(number), then, size.events))
        .collect();
    Town { config, consents, events }
}

/// What is waited for briefly is waited for longer.
fn wait_long(route: &mut Value) {
    match route["grace"].as_str() {
        Some("10s") => route["grace"] = "10h".into(),
        Some("1500ms") => route["grace"] = "25h".into(),
        // The default is brief too.
        _ if !route["hold"].is_null() => route["grace"] = "3h".into(),
        _ => {}
    }
}
