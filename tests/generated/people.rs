//! People and what their consent records say, aimed at what the routes ask.

use super::dice::{CHANGES, CHANNELS, DAYS, Dice, PURPOSES};
use super::signals;
use crate::oracle::time::{DAY, Millis, SECOND, write};
use serde_json::{Value, json};

/// Everybody that events are about; half of the devices are never known.
pub fn pool() -> Vec<(&'static str, String)> {
    let users = (0..14).map(|n| ("user_id", if n < 9 { format!("u-{n}") } else { format!("{n}00") }));
    let emails = (0..7).map(|n| ("email", format!("ann{n}@example.org")));
    let devices = (0..10).map(|n| ("device", format!("d:{n}")));
    users.chain(emails).chain(devices).collect()
}

/// The lines of `--consents`.
pub fn consents(dice: &mut Dice, config: &Value, zone: &str, now: Millis) -> Vec<String> {
    let pipelines = config["pipelines"].as_array().unwrap().iter();
    let routes = pipelines.flat_map(|pipeline| pipeline["routes"].as_array().unwrap().clone()).collect();
    let maps_signals = config["policy"].get("signals").is_some();
    let mut writer = Writer { dice, routes, maps_signals, zone, now };
    let mut lines = Vec::new();
    for (kind, value) in pool() {
        if writer.dice.often(if kind == "device" { 40 } else { 8 }) {
            continue;
        }
        writer.lines_of(kind, &value, &mut lines);
    }
    lines.iter().map(Value::to_string).collect()
}

struct Writer<'t> {
    dice: &'t mut Dice,
    /// Of all pipelines.
    routes: Vec<Value>,
    maps_signals: bool,
    zone: &'t str,
    now: Millis,
}

impl Writer<'_> {
    fn lines_of(&mut self, kind: &str, value: &str, lines: &mut Vec<Value>) {
        let key = format!("{kind}:{value}");
        if self.dice.often(8) {
            // What later lines replace.
            lines.push(self.record(kind, value));
        }
        match self.dice.below(100) {
            0..4 => lines.push(json!({"key": key, "value": null})),
            4..10 => {
                let raw = self.undecodable(kind, value);
                lines.push(json!({"key": key, "raw": raw}));
            }
            10..25 => {
                let raw = self.record(kind, value).to_string();
                lines.push(json!({"key": key, "raw": raw}));
            }
            _ => lines.push(self.record(kind, value)),
        }
        if self.dice.often(7) {
            let mut twin = self.record(kind, value);
            twin["partition"] = self.dice.pick(&[1, 5, 10]).into();
            lines.push(twin);
        }
        if self.dice.often(3) {
            lines.push(json!({"key": key, "value": null, "partition": 2}));
        }
        if self.dice.often(4) {
            let spelled = if kind == "email" { value.to_uppercase() } else { format!("{value} ") };
            let key = format!("{kind}:{spelled}");
            let raw = self.record(kind, value).to_string();
            let held = if self.dice.often(80) {
                json!({"key": key, "raw": raw})
            } else {
                json!({"key": key, "value": null})
            };
            lines.push(held);
            if self.dice.often(60) {
                lines.last_mut().unwrap()["partition"] = 3.into();
            }
        }
    }

    fn record(&mut self, kind: &str, value: &str) -> Value {
        let mut record = json!({"subject": {"type": kind, "value": value}});
        let count = self.dice.pick(&[0, 1, 3, 6, 8, 10, 12, 14, 16, 21]);
        let first = self.dice.below(self.routes.len().max(16));
        let mut grants: Vec<Value> = (first..first + count).map(|number| self.grant(number)).collect();
        if self.dice.often(40) {
            // Somebody generous, so that what comes after the grants is reached often.
            grants.truncate(3);
            grants.extend((0..self.routes.len()).filter_map(|number| self.answer(number)));
        }
        record["grants"] = grants.into();
        if self.dice.often(40) {
            record["version"] = self.dice.below(9).into();
            record["updated_at"] = self.instant();
            record["jurisdiction"] = "EU".into();
            record["extra"] = json!({"ignored": [1, {}]});
        }
        if self.dice.often(3) {
            record["restricted"] = true.into();
        }
        if self.dice.often(15) {
            record["signals"] = json!({"gpc": self.dice.often(60), "gpp": null});
        }
        if self.dice.often(if self.maps_signals { 50 } else { 5 }) {
            let [tcf, gpp] = signals::strings(self.dice, self.now);
            record["signals"] = json!({"tcf": tcf, "gpp": gpp, "gpc": self.dice.often(10)});
            if self.dice.often(45) {
                // Who says all by a string.
                record["grants"] = json!([]);
            }
        }
        if self.dice.often(75) {
            record["contact"] = self.contact();
        }
        record
    }

    fn contact(&mut self) -> Value {
        let zone = match self.dice.below(20) {
            0 => json!(null),
            1 => json!(""),
            2 => json!("Nowhere/Never"),
            3..7 => json!(self.dice.pick(&CHANGES).0),
            _ => json!(self.zone),
        };
        let count = self.dice.pick(&[0, 0, 1, 1, 2, 3]);
        let windows: Vec<Value> = (0..count).map(|_| self.window()).collect();
        json!({"time_zone": zone, "windows": windows})
    }

    fn window(&mut self) -> Value {
        let dice = &mut *self.dice;
        let channel = match dice.below(6) {
            0 => json!("*"),
            1 => json!(null),
            2 => json!(dice.respelled("email")),
            _ => json!(dice.pick(&CHANNELS)),
        };
        let from = if dice.often(4) {
            dice.pick(&["24:00", "nine", "", "25:00", "07:60"]).to_owned()
        } else {
            dice.hour()
        };
        let to = match dice.below(12) {
            0 => "24:00".to_owned(),
            1 => from.clone(),
            _ => dice.hour(),
        };
        let mut window = json!({"channel": channel, "from": from, "to": to});
        if dice.often(45) {
            window["days"] = json!(dice.some(&DAYS, 50));
        }
        if dice.often(3) {
            window["days"] = json!(["mon", "Tue"]);
        }
        window
    }

    /// Just what a route asks.
    fn answer(&mut self, number: usize) -> Option<Value> {
        let require = self.routes[number]["require"].clone();
        let purposes = require["purposes"].get("all").or(require["purposes"].get("any"))?.as_array()?;
        let at = self.now - Millis::from(self.dice.within(3_600_000..=7_100_000));
        let mut grant = json!({
            "purpose": if self.dice.often(15) { json!("*") } else { self.dice.pick(purposes) },
            "status": "confirmed",
            "channel": require["channel"],
            "recipient": require["recipient"],
            "basis": require["legal_basis"][0],
            "given_at": self.spelled(at),
        });
        if self.dice.often(25) {
            grant["level"] = self.dice.pick(&["anonymous", "contact", "sensitive"]).into();
        }
        Some(grant)
    }

    /// A grant near to what some route asks.
    fn grant(&mut self, number: usize) -> Value {
        let require = self.routes[number % self.routes.len()]["require"].clone();
        let all = require["purposes"].get("all").or(require["purposes"].get("any"));
        let asked: Vec<Value> =
            all.and_then(Value::as_array).cloned().unwrap_or_else(|| vec!["orders".into()]);
        let status = self.status();
        let refusing = !["given", "confirmed", "requested"].contains(&status);
        let purpose = match self.dice.below(40) {
            0 => json!("*"),
            1 if refusing => json!(" * "),
            2 if refusing => json!("*"),
            3 => json!(self.dice.pick(&PURPOSES)),
            4 => json!(self.dice.respelled("orders")),
            5 => json!("unheard_of"),
            _ => self.dice.pick(&asked),
        };
        let mut grant = json!({"purpose": purpose});
        self.put(&mut grant, "status", json!(status), 2);
        let channel = self.channel(&require);
        self.put(&mut grant, "channel", channel, 3);
        let recipient = self.recipient(&require);
        self.put(&mut grant, "recipient", recipient, 3);
        let basis = self.basis(&require);
        self.put(&mut grant, "basis", basis, 3);
        for time in ["given_at", "confirmed_at"] {
            if self.dice.often(if time == "given_at" { 88 } else { 35 }) {
                let at = self.past();
                grant[time] = self.spelled(at);
            }
        }
        if self.dice.often(20) {
            let at = self.now
                + Millis::from(self.dice.pick(&[-40 * 86_400_000, -1, 0, 1, 5_000_000, 86_400_000_000i64]));
            grant["valid_until"] = self.spelled(at);
        }
        if self.dice.often(30) {
            grant["level"] = self
                .dice
                .pick(&["anonymous", "pseudonymous", "contact", "sensitive", "Contact", "top", ""])
                .into();
        }
        grant
    }

    /// A member, sometimes left out, null or empty.
    fn put(&mut self, grant: &mut Value, name: &str, value: Value, percent: u32) {
        if self.dice.often(percent) {
            match self.dice.below(3) {
                0 => {}
                1 => grant[name] = Value::Null,
                _ => grant[name] = "".into(),
            }
        } else {
            grant[name] = value;
        }
    }

    fn status(&mut self) -> &'static str {
        match self.dice.below(100) {
            0..40 => "given",
            40..86 => "confirmed",
            86..93 => "requested",
            93 => "revoked",
            94 => "withdrawn",
            95 => "objected",
            96 => "refused",
            97 => "invalidated",
            98 => "withdrawn",
            _ => self.dice.pick(&["Given", " confirmed", "maybe"]),
        }
    }

    fn channel(&mut self, require: &Value) -> Value {
        match self.dice.below(40) {
            0..3 => json!("*"),
            3 => json!(null),
            4..6 => json!(self.dice.pick(&CHANNELS)),
            6 => json!(self.dice.respelled("sms")),
            7 => json!(" "),
            _ => require["channel"].clone(),
        }
    }

    fn recipient(&mut self, require: &Value) -> Value {
        const OTHERS: [&str; 14] = [
            "first_party",
            "processor",
            "third_party",
            "processor:*",
            "third_party:*",
            "*",
            "third_party:ADCO",
            "processor:mail",
            "third_party:adco",
            "third_party:other",
            "nobody",
            "first_party:us",
            "third_party:",
            " Third_Party ",
        ];
        let asked = require["recipient"].as_str().unwrap_or("first_party").to_owned();
        match self.dice.below(40) {
            0..5 => json!(self.dice.pick(&OTHERS)),
            5..8 if asked.contains(':') => json!(format!("{}:*", asked.split(':').next().unwrap())),
            _ => json!(asked),
        }
    }

    fn basis(&mut self, require: &Value) -> Value {
        const BASES: [&str; 8] = [
            "consent",
            "contract",
            "legal_obligation",
            "vital_interest",
            "public_task",
            "legitimate_interest",
            "Consent",
            "because",
        ];
        match require["legal_basis"].as_array() {
            Some(listed) if self.dice.often(85) => self.dice.pick(listed),
            None if self.dice.often(90) => json!("consent"),
            _ => json!(self.dice.pick(&BASES)),
        }
    }

    /// A time when somebody agreed: mostly well before now, sometimes on an edge of some rule.
    fn past(&mut self) -> Millis {
        let edge = self.dice.within(-1..=1);
        let back = match self.dice.below(20) {
            0 => -5_000 + edge,
            1 => -60_000 + edge,
            2 => -500 + edge,
            3 => -86_400_000,
            4 => 30 * 86_400_000 + edge,
            5 => 400 * 86_400_000 + edge,
            6 => 7_200_000 + edge,
            7..10 => self.dice.within(0..=4_000_000),
            _ => self.dice.within(3_600_000..=20 * 86_400_000),
        };
        self.now - Millis::from(back)
    }

    fn instant(&mut self) -> Value {
        let at = self.past();
        self.spelled(at)
    }

    /// One of the ways to write a time.
    fn spelled(&mut self, at: Millis) -> Value {
        match self.dice.below(5) {
            0 => json!(at as i64),
            1 => json!(write(at + 7200 * SECOND).replace('Z', "+02:00")),
            2 => json!(write(at - DAY / 48).replace('Z', "-00:30").replace('T', " ")),
            3 if at % SECOND == 0 => json!(write(at).replace('Z', ".0009Z")),
            _ => json!(write(at)),
        }
    }

    /// A record that does not decode, in one of the ways there are.
    fn undecodable(&mut self, kind: &str, value: &str) -> String {
        let mut record = self.record(kind, value);
        record["grants"] = json!([self.grant(0)]);
        match self.dice.below(16) {
            0 => return String::new(),
            1 => return record.to_string().replacen('}', "", 1),
            2 => {
                return record.to_string().replacen(
                    "\"purpose\"",
                    "\"status\":\"given\",\"st\\u0061tus\":\"given\",\"purpose\"",
                    1,
                );
            }
            3 => return format!("{record}x"),
            4 => return "[]".to_owned(),
            5 => record["subject"]["value"] = "someone else".into(),
            6 => record["subject"] = json!({"type": kind, "value": ""}),
            7 => record["grants"][0]["purpose"] = Value::Null,
            8 => record["grants"][0]["given_at"] = "2026-02-30T00:00:00Z".into(),
            9 => record["grants"][0]["valid_until"] = "".into(),
            10 => record["grants"][0]["status"] = 1.into(),
            11 => record["restricted"] = "yes".into(),
            12 => record["signals"] = json!([]),
            13 => record["grants"][0]["confirmed_at"] = json!(1.5),
            14 => record["contact"] = json!({"windows": [{"days": [1]}]}),
            _ => record["grants"] = (0..300).map(|_| json!({"purpose": "orders"})).collect(),
        }
        record.to_string()
    }
}
