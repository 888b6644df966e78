//! The script of a run: what people say, what happens to them, and what goes wrong, each at its time. Made from a seed;
//! what of it is not needed for a failure can be taken out, and the rest stays as it is.

use std::{sync::Arc, time::Duration};

use fastrand::Rng;
use serde_json::{Value, json};

use super::{
    act::{Act, EndFault},
    town::{self, CONSENTS, HOLD, LETTER_BYTES, SINKS, SOURCE},
    world::{Core, World},
};

/// An event that is to come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Coming {
    pub number: usize,
    pub key: Option<String>,
    pub value: Option<String>,
    pub subject: Option<String>,
    /// So much older than its coming is its timestamp.
    pub ago_ms: i64,
}

impl Coming {
    /// As the second implementation reads it.
    pub fn line(&self, timestamp: i64) -> String {
        let mut line = json!({
            "headers": {"x-id": self.number.to_string()}, "timestamp": timestamp, "topic": SOURCE,
        });
        if let Some(key) = &self.key {
            line["key"] = key.as_str().into();
        }
        if let Some(value) = &self.value {
            line["raw"] = value.as_str().into();
        }
        line.to_string()
    }
}

/// One step of a script. Slots are places for processes, each with an instance name of its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    Say {
        subject: String,
        partition: i32,
        body: Option<String>,
        open: Option<(Duration, bool)>,
    },
    Come {
        event: Coming,
        partition: i32,
        open: Option<(Duration, bool)>,
    },
    /// The process of a slot is killed after so many steps, and comes back after so long.
    Kill {
        slot: usize,
        after: u32,
        back: Duration,
    },
    /// It stands still after so many steps, for so long.
    Freeze {
        slot: usize,
        after: u32,
        long: Duration,
    },
    /// It is told to stop.
    Stop {
        slot: usize,
        back: Duration,
    },
    Start {
        slot: usize,
    },
    /// Another process starts under the same name.
    Usurp {
        slot: usize,
    },
    Expel {
        slot: usize,
    },
    Cut {
        slot: usize,
        long: Duration,
    },
    NoConsent {
        long: Duration,
    },
    /// The clients of a process that follow topics lock themselves up.
    Deafen {
        slot: usize,
    },
    Slow {
        long: Duration,
    },
    End(EndFault),
    Refuse(u32),
    /// Letters take no larger records than these any more.
    Shrink(usize),
    Compact,
    /// The consent topic is deleted and made anew.
    Anew,
    Widen(String),
    Clock {
        slot: usize,
        by_ms: i64,
    },
}

impl Step {
    /// Whether it is what the town does, and no fault.
    pub const fn is_life(&self) -> bool {
        matches!(self, Self::Say { .. } | Self::Come { .. })
    }
}

/// A run, but for the order in which threads go.
#[derive(Clone, Debug)]
pub struct Script {
    pub wall_ms: i64,
    pub skew_ms: i64,
    pub workers: usize,
    pub partitions: usize,
    pub nerves: (u32, u32),
    pub steps: Vec<(Duration, Step)>,
    pub calm: Duration,
}

/// 2026-05-05, a Tuesday; in Amsterdam it is two hours later.
const MIDNIGHT_MS: i64 = 1_777_939_200_000;
/// Shortly before windows open, at noon, and shortly before they close.
const STARTS_S: [i64; 3] = [6 * 3600 + 59 * 60 + 50, 10 * 3600, 17 * 3600 + 59 * 60 + 48];
const PEOPLE: usize = 5;
/// Of a note that letters take, until they take less.
const MIDDLING_BYTES: usize = 600;
const LESS_BYTES: usize = 550;

struct Author {
    dice: Rng,
    wall_ms: i64,
    partitions: usize,
    slots: usize,
    /// What some people say comes to either partition: its producers do not agree, or there were fewer once.
    splits: bool,
    next: usize,
    steps: Vec<(Duration, Step)>,
    length: Duration,
}

impl Script {
    pub fn of(seed: u64) -> Self {
        let mut dice = Rng::with_seed(seed ^ 0x5eed);
        let wall_ms = MIDNIGHT_MS + STARTS_S[dice.usize(0..3)] * 1000;
        let (partitions, slots) = (dice.usize(1..=3), [1, 2, 2][dice.usize(0..3)]);
        let length = Duration::from_millis(dice.u64(3_000..14_000));
        let splits = dice.u32(0..4) == 0;
        let mut author =
            Author { dice, wall_ms, partitions, slots, splits, next: 0, steps: Vec::new(), length };
        author.life();
        author.faults();
        let Author { mut dice, mut steps, .. } = author;
        steps.sort_by_key(|(at, _)| *at);
        Self {
            wall_ms,
            skew_ms: [0, 40, 2_000][dice.usize(0..3)],
            workers: dice.usize(1..=2),
            partitions,
            nerves: ([2, 4, 16][dice.usize(0..3)], [8, 32][dice.usize(0..2)]),
            steps,
            calm: length,
        }
    }

    pub fn play(&self, core: &mut Core) {
        core.faults.wall_ms = self.wall_ms;
        core.faults.skew_ms = self.skew_ms;
        core.faults.workers = self.workers;
        core.nerves = self.nerves;
        core.found(self.partitions);
        for (at, step) in &self.steps {
            core.stage.plan(*at, Act::Script(step.clone()));
        }
        core.stage.plan(self.calm, Act::Calm);
    }
}

impl Author {
    fn plan(&mut self, at: Duration, step: Step) {
        self.steps.push((at, step));
    }

    fn sometime(&mut self) -> Duration {
        self.length.mul_f64(self.dice.f64())
    }

    fn one_in(&mut self, count: u32) -> bool {
        self.dice.u32(0..count) == 0
    }

    fn long(&mut self, most_ms: u64) -> Duration {
        Duration::from_millis(self.dice.u64(1..most_ms))
    }

    /// What people say, and what happens to them.
    fn life(&mut self) {
        for person in 0..PEOPLE {
            if !self.one_in(4) {
                let say = self.say(person, 0);
                self.plan(Duration::ZERO, say);
            }
        }
        for _ in 0..self.dice.usize(4..24) {
            let (person, at) = (self.dice.usize(0..PEOPLE), self.sometime());
            let say = self.say(person, at.as_millis().try_into().unwrap());
            self.plan(at, say);
        }
        for _ in 0..self.dice.usize(2..8) {
            let (at, count) = (self.sometime(), self.dice.usize(1..14));
            for number in 0..count {
                let come = self.come();
                let apart = self.dice.u64(0..30);
                self.plan(at + Duration::from_millis(number as u64 * apart), come);
            }
        }
        // Right before and after somebody says something.
        for _ in 0..self.dice.usize(0..6) {
            let (person, at) = (self.dice.usize(0..PEOPLE), self.sometime());
            let say = self.say(person, at.as_millis().try_into().unwrap());
            for wait in [0, 1, 2] {
                let come = self.event_of(person);
                self.plan(at + Duration::from_millis(wait), come);
                if wait == 0 {
                    self.plan(at, say.clone());
                }
            }
        }
    }

    fn say(&mut self, person: usize, at_ms: i64) -> Step {
        let subject = format!("user_id:u{person}");
        let body = match self.dice.u32(0..14) {
            0 | 1 => None,
            2 => Some("no consent record".to_owned()),
            _ => Some(self.consent(person, at_ms)),
        };
        let open = self.open(6);
        let strays = self.splits && self.one_in(3);
        let partition = i32::try_from((person + usize::from(strays)) % 2).unwrap();
        Step::Say { subject, partition, body, open }
    }

    fn open(&mut self, seldom: u32) -> Option<(Duration, bool)> {
        self.one_in(seldom).then(|| (self.long(1_500), !self.one_in(3)))
    }

    fn consent(&mut self, person: usize, at_ms: i64) -> String {
        let now = self.wall_ms + at_ms;
        let mut grants: Vec<Value> = Vec::new();
        for (purpose, channel, statuses) in [
            ("analytics", None, ["given", "given", "given", "withdrawn", "refused"]),
            ("analytics", Some("sms"), ["given", "given", "given", "objected", "withdrawn"]),
            ("newsletter", Some("email"), ["confirmed", "given", "requested", "given", "withdrawn"]),
        ] {
            if self.one_in(5) {
                continue;
            }
            let mut grant = json!({"purpose": purpose, "status": statuses[self.dice.usize(0..5)]});
            if let Some(channel) = channel {
                grant["channel"] = channel.into();
            }
            grant["given_at"] = (now - self.dice.i64(-1_000..20_000)).into();
            if self.one_in(6) {
                grant["valid_until"] = (now + self.dice.i64(-1_000..9_000)).into();
            }
            grants.push(grant);
        }
        let mut record =
            json!({"subject": {"type": "user_id", "value": format!("u{person}")}, "grants": grants});
        if self.one_in(12) {
            record["restricted"] = true.into();
        }
        if self.one_in(4) {
            let zone = ["Europe/Amsterdam", "Asia/Tokyo", "Nowhere"][self.dice.usize(0..3)];
            record["contact"] = json!({"time_zone": zone});
        }
        record.to_string()
    }

    fn come(&mut self) -> Step {
        let person = self.dice.usize(0..PEOPLE);
        self.event_of(person)
    }

    fn event_of(&mut self, person: usize) -> Step {
        self.next += 1;
        let number = self.next;
        let name = format!("u{person}");
        let partition = i32::try_from(person % self.partitions).unwrap();
        let key = (!self.one_in(6)).then(|| name.clone());
        let kind = if self.one_in(8) { "heartbeat" } else { "page_view" };
        let mut value = json!({"n": number, "type": kind, "user": {"id": name}});
        let mut event = Coming {
            number,
            key: key.clone(),
            value: None,
            subject: Some(format!("user_id:{name}")),
            ago_ms: [0, 0, 700, 30_000][self.dice.usize(0..4)],
        };
        match self.dice.u32(0..24) {
            0 if key.is_some() => event.subject = None,
            1 => (event.value, event.subject) = (Some("{\"n\":".to_owned()), None),
            2 => (event.value, event.subject) = (Some(json!({"n": number, "type": kind}).to_string()), None),
            3 => {
                value["note"] = "x".repeat(if self.one_in(2) { LETTER_BYTES } else { MIDDLING_BYTES }).into();
                event.value = Some(value.to_string());
            }
            _ => event.value = Some(value.to_string()),
        }
        let open = self.open(16);
        Step::Come { event, partition, open }
    }

    /// The consent topic cannot be reached, and people say something meanwhile.
    fn outage(&mut self) {
        let (at, long) = (self.sometime(), self.long(6_000));
        self.plan(at, Step::NoConsent { long });
        for _ in 0..4 {
            let (person, within) = (self.dice.usize(0..PEOPLE), at + long.mul_f64(self.dice.f64()));
            let say = self.say(person, within.as_millis().try_into().unwrap());
            self.plan(within, say);
            let come = self.event_of(person);
            self.plan(within + Duration::from_millis(1), come);
        }
    }

    /// A process is expelled in the middle of what it does, and hears of that much later.
    fn zombie(&mut self) {
        let (at, slot) = (self.sometime(), self.dice.usize(0..self.slots));
        let (after, long) = (self.dice.u32(5..90), self.long(10_000));
        for wait in 0..6 {
            let come = self.come();
            self.plan(at + Duration::from_millis(wait), come);
        }
        self.plan(at, Step::Freeze { slot, after, long });
        let soon = long.mul_f64(self.dice.f64() / 2.0);
        self.plan(at + soon, Step::Expel { slot });
    }

    /// What goes wrong.
    fn faults(&mut self) {
        for slot in 0..self.slots {
            self.plan(Duration::ZERO, Step::Start { slot });
        }
        if self.one_in(12) {
            return;
        }
        for scene in [Self::outage, Self::zombie] {
            if self.one_in(4) {
                scene(self);
            }
        }
        for _ in 0..self.dice.usize(1..10) {
            let (at, slot, after) = (self.sometime(), self.dice.usize(0..self.slots), self.dice.u32(1..120));
            let step = match self.dice.u32(0..21) {
                0..=2 => Step::Kill { slot, after, back: self.long(4_000) },
                3 | 4 => {
                    Step::Freeze { slot, after, long: self.long(if after % 2 == 0 { 25_000 } else { 3_000 }) }
                }
                5 => Step::Stop { slot, back: self.long(3_000) },
                6 => Step::Usurp { slot },
                7 => Step::Expel { slot },
                8 => Step::Cut { slot, long: self.long(20_000) },
                9 => Step::NoConsent { long: self.long(6_000) },
                10 => Step::Slow { long: self.long(2_000) },
                11 => Step::End(EndFault::Lost),
                12 => Step::End(EndFault::Unheard),
                13 => Step::End(EndFault::Late(self.long(14_000))),
                14 => Step::Refuse(self.dice.u32(1..4)),
                15 => Step::Compact,
                17 => Step::Shrink(LESS_BYTES),
                18 => Step::Anew,
                19 => Step::Deafen { slot },
                16 => Step::Widen([SOURCE, CONSENTS][self.dice.usize(0..2)].to_owned()),
                _ => Step::Clock { slot, by_ms: self.dice.i64(-5_000..5_000) },
            };
            self.plan(at, step);
        }
    }
}

impl Core {
    /// A step of the script. What it is about may not be there any more.
    pub fn play(&mut self, world: &Arc<World>, step: Step) {
        let process = |core: &Self, slot: usize| core.slots.get(slot).copied().flatten();
        let alive =
            |core: &Self, slot: usize| process(core, slot).filter(|own| !core.processes[*own].is_dead);
        if !step.is_life() {
            self.note(40, || format!("{step:?}"));
        }
        match step {
            Step::Say { subject, partition, body, open } => self.say(&subject, partition, body, open),
            Step::Come { event, partition, open } => self.come(&event, partition, open),
            Step::Kill { slot, after, back } => {
                if let Some(own) = alive(self, slot) {
                    self.processes[own].fuse = Some(after);
                    self.stage.plan(back, Act::Boot(slot));
                }
            }
            Step::Freeze { slot, after, long } => {
                if let Some(own) = alive(self, slot) {
                    self.processes[own].chill = Some((after, long));
                }
            }
            Step::Stop { slot, back } => {
                if let Some(own) = alive(self, slot) {
                    self.processes[own].stopping.store(true, std::sync::atomic::Ordering::Relaxed);
                    self.stage.plan(back, Act::Boot(slot));
                }
            }
            Step::Start { slot } => self.perform(world, Act::Boot(slot)),
            Step::Usurp { slot } => self.boot(world, slot),
            Step::Expel { slot } => alive(self, slot).into_iter().for_each(|own| self.expel(own)),
            Step::Cut { slot, long } => {
                if let Some(own) = alive(self, slot) {
                    let until = self.now() + long;
                    self.faults.cut.insert(own, until);
                    self.processes[own].was_cut_off = true;
                    self.silence(own);
                }
            }
            Step::Deafen { slot } => {
                if let Some(own) = alive(self, slot) {
                    self.processes[own].dead_feeds = self.processes[own].feeds;
                }
            }
            Step::NoConsent { long } => self.faults.no_consent_until = self.now() + long,
            Step::Slow { long } => self.faults.slow_until = self.now() + long,
            Step::End(fault) => self.faults.ends.push(fault),
            Step::Refuse(count) => self.faults.refusals += count,
            Step::Shrink(bytes) => {
                let letters = self.broker.topics.get_mut(SINKS[1].0).unwrap();
                letters.config.insert("max.message.bytes".to_owned(), bytes.to_string());
            }
            Step::Anew => {
                self.broker.make_anew(CONSENTS);
                let step = self.ledger.tick();
                let all = self.ledger.consents.values_mut().flatten();
                all.for_each(|version| version.gone = version.gone.or(Some(step)));
                self.stage.call(super::world::LOGS);
            }
            Step::Compact => {
                for topic in [CONSENTS, HOLD] {
                    let topic = self.broker.topics.get_mut(topic);
                    topic.into_iter().flat_map(|topic| &mut topic.logs).for_each(super::log::Log::compact);
                }
            }
            Step::Widen(topic) => {
                let count = self.broker.topics[&topic].logs.len();
                self.broker.widen(&topic, count + 1);
                self.rebalance(&town::ready().pipelines[0].group);
            }
            Step::Clock { slot, by_ms } => {
                if let Some(own) = alive(self, slot) {
                    self.processes[own]
                        .machine
                        .wall_ms
                        .fetch_add(by_ms, std::sync::atomic::Ordering::Relaxed);
                }
            }
        }
    }
}
