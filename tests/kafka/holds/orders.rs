//! No order of consent changes, events, crashes and releases forwards a record that a decision from scratch at that
//! instant would not; and nothing is lost or forgotten on the way.
//!
//! A town whose people change their minds at random, events about them, and up to three processes that are killed,
//! stopped in order, sent to sleep and woken, and started again, sometimes under the name of one that sleeps. What
//! was acknowledged when is noted; when all is over, what the topics hold is laid beside what the second
//! implementation of the decision says could have been (`proof`).
//!
//! `CONSENTRY_SEED` repeats what a run did, as far as time lets it; `CONSENTRY_ORDERS_SECONDS` is how long the
//! unrest lasts.

mod proof;
mod said;

use std::time::Duration;

use consentry::time::Instant;
use fastrand::Rng;
use serde_json::{Value, json};

use super::super::clients::{Row, Transactions};
use super::super::people::event;
use super::super::proxy::Proxy;
use super::super::shop::Shop;
use super::super::wait::{secs, until};
use super::super::{kafka, say};
use super::balances;
use proof::Proof;
use said::{Person, now};

const PARTITIONS: i32 = 4;
/// Partitions of the consent topic.
const CONSENTS: i32 = 3;
/// How long the unrest lasts, unless the environment says otherwise.
const SECONDS: u64 = 15;
/// A route that lets records wait for so long does so for ever here.
const FOR_EVER: &str = "30d";

/// What a route is called, and how long it lets a record wait: for an answer, for consent that comes later.
struct Waits {
    route: &'static str,
    hold_for_ms: i64,
    grace_ms: i64,
}

const FOR_EVER_MS: i64 = 30 * 86_400_000;
const ROUTES: [Waits; 5] = [
    Waits { route: "long", hold_for_ms: FOR_EVER_MS, grace_ms: FOR_EVER_MS },
    Waits { route: "short", hold_for_ms: 3000, grace_ms: 2000 },
    Waits { route: "asking", hold_for_ms: FOR_EVER_MS, grace_ms: 0 },
    Waits { route: "measuring", hold_for_ms: 0, grace_ms: 2000 },
    Waits { route: "hasty", hold_for_ms: 0, grace_ms: 0 },
];

/// Everything that a run is about.
struct Town {
    shop: Shop,
    hold: String,
    people: Vec<Person>,
    rng: Rng,
    events: u64,
}

impl Town {
    fn new(address: &str, seed: u64) -> Self {
        let name = format!("orders-{seed}");
        let mut shop = Shop::without_topics(address, &name);
        let by_broker = &[("message.timestamp.type", "LogAppendTime")];
        shop.topics.create(&shop.consent, CONSENTS, super::super::topics::CONSENT);
        shop.topics.create(&shop.source, PARTITIONS, by_broker);
        shop.topics.create(&shop.quarantine, PARTITIONS, &[]);
        for waits in &ROUTES {
            shop.topics.create(&sink(&shop, waits.route), PARTITIONS, by_broker);
        }
        let hold = format!("{name}-hold");
        shop.config["policy"]["purposes"]["newsletter"]["confirmation"] = json!("double");
        let letters = json!({"purposes": {"all": ["newsletter"]}, "channel": "email"});
        let mut asking = letters.clone();
        asking["evaluate"] = json!("now");
        let measuring = json!({"purposes": {"all": ["analytics"]}});
        let all = json!(["pending", "contact_window", "unknown"]);
        let to = |route: &str| json!({"kafka": {"topic": sink(&shop, route)}});
        let routes = json!([
            {"name": "long", "require": letters, "hold": all, "hold_for": FOR_EVER, "grace": FOR_EVER,
             "to": to("long")},
            {"name": "short", "require": letters, "hold": all, "hold_for": "3s", "grace": "2s",
             "to": to("short")},
            {"name": "asking", "require": asking, "hold": ["pending"], "hold_for": FOR_EVER,
             "to": to("asking")},
            {"name": "measuring", "require": measuring, "hold": ["unknown"], "grace": "2s",
             "to": to("measuring")},
            {"name": "hasty", "require": letters, "to": to("hasty")},
        ]);
        let pipeline = shop.pipeline();
        pipeline["hold"] = json!({"topic": hold});
        pipeline["routes"] = routes;
        let hold = format!("{hold}.{}", shop.source);
        let mut rng = Rng::with_seed(seed);
        let people = (0..rng.u32(50..200)).map(|number| Person::new(format!("p-{number}"))).collect();
        Self { shop, hold, people, rng, events: 0 }
    }

    /// Somebody says something, and it is acknowledged.
    fn change(&mut self) {
        let at = self.rng.usize(0..self.people.len());
        let person = &mut self.people[at];
        let state = said::any(&person.id, &mut self.rng);
        person.says(&self.shop, state);
    }

    /// A few people do something.
    fn act(&mut self) {
        for _ in 0..self.rng.u32(1..12) {
            let person = &self.people[self.rng.usize(0..self.people.len())];
            let row = event(&person.id, self.events);
            self.events += 1;
            let partition = Some(self.rng.i32(0..PARTITIONS));
            self.shop.writer.send(&self.shop.source, &Row { partition, ..row });
        }
    }
}

/// Somebody else's transaction, open on the consent topic now and then: what is acknowledged behind it cannot be read
/// before it has ended, so that whoever does not wait decides by what is out of date.
struct Veil {
    others: Transactions,
    since: Instant,
    long: Duration,
    is_down: bool,
}

impl Veil {
    fn new(shop: &Shop) -> Self {
        let others = Transactions::new(&shop.address, &format!("{}-others", shop.consent));
        Self { others, since: Instant::now(), long: secs(1), is_down: false }
    }

    /// Lifts it or lets it down, where it is time.
    fn turn(&mut self, shop: &Shop, rng: &mut Rng) {
        if self.since.elapsed() < self.long {
            return;
        }
        if self.is_down {
            self.lift();
        } else {
            let nobody = super::super::people::granted("nobody");
            self.others.begin(&shop.consent, &[Row { partition: Some(rng.i32(0..CONSENTS)), ..nobody }]);
            self.is_down = true;
        }
        let most = if self.is_down { 500 } else { 2000 };
        (self.since, self.long) = (Instant::now(), Duration::from_millis(rng.u64(20..most)));
    }

    fn lift(&mut self) {
        if std::mem::take(&mut self.is_down) {
            self.others.commit();
        }
    }
}

fn sink(shop: &Shop, route: &str) -> String {
    format!("{}-{route}", shop.sink)
}

/// The processes, by their instances' names.
struct Crew {
    base: Value,
    up: [Option<Proxy>; 3],
    /// Each with when it is to be woken, and whether another runs under its name.
    asleep: Vec<(usize, Proxy, Instant, Duration)>,
    leaving: Vec<Proxy>,
    faults: u32,
}

impl Crew {
    fn start(&mut self, slot: usize) {
        let mut config = self.base.clone();
        config["instance"] = json!(format!("orders-{}", ["a", "b", "c"][slot]));
        self.up[slot] = Some(Proxy::start(&config, &[]));
    }

    /// Something happens to one of them.
    fn disturb(&mut self, rng: &mut Rng) {
        let slot = rng.usize(0..self.up.len());
        self.faults += 1;
        let Some(proxy) = self.up[slot].take() else { return self.start(slot) };
        match rng.u8(0..6) {
            0 | 1 => end(proxy),
            2 => {
                end(proxy);
                self.start(slot);
            }
            3 => {
                proxy.signal("TERM");
                self.leaving.push(proxy);
            }
            // Shorter or longer than its session is.
            _ => {
                proxy.signal("STOP");
                let long = Duration::from_millis(rng.u64(300..7000));
                self.asleep.push((slot, proxy, Instant::now(), long));
            }
        }
    }

    /// Wakes those who have slept long enough: where another runs under its name, it must find that out.
    fn wake(&mut self) {
        let (awake, asleep) = std::mem::take(&mut self.asleep)
            .into_iter()
            .partition(|(_, _, since, long)| since.elapsed() >= *long);
        self.asleep = asleep;
        for (slot, proxy, ..) in awake {
            proxy.signal("CONT");
            if self.up[slot].is_none() {
                self.up[slot] = Some(proxy);
            } else {
                self.leaving.push(proxy);
            }
        }
        for slot in &mut self.up {
            let Some(mut proxy) = slot.take() else { continue };
            if proxy.has_ended().is_some() {
                let said = proxy.output();
                assert!(said.contains("has taken over"), "it ended by itself:\n{said}");
            } else {
                *slot = Some(proxy);
            }
        }
    }

    /// One is left, ready; the others are killed.
    fn settle(mut self) -> Proxy {
        for (_, proxy, ..) in std::mem::take(&mut self.asleep) {
            proxy.signal("CONT");
            self.leaving.push(proxy);
        }
        if self.up.iter().all(Option::is_none) {
            self.start(0);
        }
        let mut left = self.up.into_iter().flatten();
        let mut last = left.next().expect("one at least");
        left.chain(self.leaving).for_each(end);
        last.wait_ready(secs(90));
        last
    }
}

/// `kill -9`; it must not have failed by itself before.
fn end(proxy: Proxy) {
    let said = proxy.output();
    let bad = ["panicked", "does not balance"].into_iter().find(|word| said.contains(word));
    assert_eq!(bad, None, "it said:\n{said}");
    proxy.kill();
}

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().expect("a number"))
}

#[test]
fn no_order_forwards_what_a_decision_from_scratch_would_not() {
    let Some(kafka) = kafka() else { return };
    let seed = number("CONSENTRY_SEED").unwrap_or_else(|| fastrand::u64(0..1_000_000));
    let long = secs(number("CONSENTRY_ORDERS_SECONDS").unwrap_or(SECONDS));
    say(&format!("orders: CONSENTRY_SEED={seed}"));
    let mut town = Town::new(&kafka.address, seed);
    let base = town.shop.config.clone();
    let mut crew = Crew { base, up: [None, None, None], asleep: vec![], leaving: vec![], faults: 0 };
    (0..40).for_each(|_| town.change());
    crew.start(0);
    crew.start(1);
    crew.up[0].as_mut().expect("it was started").wait_ready(secs(60));

    let mut veil = Veil::new(&town.shop);
    let (began, mut calm_until) = (Instant::now(), secs(2));
    while began.elapsed() < long {
        match town.rng.u8(0..10) {
            0..4 => town.change(),
            4..8 => town.act(),
            _ => std::thread::sleep(Duration::from_millis(town.rng.u64(1..30))),
        }
        crew.wake();
        veil.turn(&town.shop, &mut town.rng);
        if began.elapsed() > calm_until {
            crew.disturb(&mut town.rng);
            calm_until = began.elapsed() + Duration::from_millis(town.rng.u64(500..3000));
        }
    }
    veil.lift();
    town.shop.writer.flush();
    let faults = crew.faults;
    let last = crew.settle();
    town.shop.done(secs(120));
    let left = what_waits(&town, &last);

    // Everybody agrees, at any hour: nothing that can wait for ever may have been forgotten.
    for person in &mut town.people {
        let state = said::agrees(&person.id);
        person.says(&town.shop, state);
    }
    let gone = || proof::waits(&town).is_empty();
    until(secs(60), gone, || format!("forgotten: {:?}; it said:\n{}", proof::waits(&town), last.output()));
    super::wait_held(&[&last], 0);
    balances(&last);
    let proof = Proof::read(&town);
    let found = proof.check(&left);
    let changes: usize = town.people.iter().map(|person| person.said.len()).sum();
    say(&format!(
        "orders: {} people said {changes} things in {} events and {faults} faults; {} waited at the end; {found}",
        town.people.len(),
        town.events,
        left.len()
    ));
    assert!(found.released > 0 && found.ended > 0 && found.expired > 0, "too little happened: {found}");
    last.stop();
}

/// What still waits once nothing changes any more: exactly what the last state of its subject holds back, in the hold
/// topic and in memory alike.
fn what_waits(town: &Town, last: &Proxy) -> Vec<proof::Key> {
    let began = Instant::now();
    loop {
        let held = last.metrics().sum("consentry_held_now", &[]);
        let proof = Proof::read(town);
        let waits = proof.waits();
        let wrong: Vec<_> = waits.iter().filter(|key| !proof.may_wait(key, now())).collect();
        let count = u32::try_from(waits.len()).expect("few");
        if wrong.is_empty() && (held - f64::from(count)).abs() < 0.5 {
            return waits;
        }
        assert!(
            began.elapsed() < secs(60),
            "{held} wait by the count, {count} by the topic; these may not: {wrong:?}; it said:\n{}",
            last.output()
        );
        std::thread::sleep(Duration::from_millis(500));
    }
}
