//! What a withdrawal is worth: how soon after its acknowledgement nothing more of that person comes out.
//!
//! A person who permits does something every two milliseconds and withdraws meanwhile. An event counts as
//! leaked when the broker stamped it later than the acknowledgement was received and it was forwarded all
//! the same; there may be none. What is in the sink later than the acknowledgement without being leaked was
//! appended before it and waited for its commit.

use std::collections::HashMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

use clap::Args;
use consentry::time::Clock;
use serde_json::json;

use crate::clients::{Row, Writer};
use crate::feed::Feed;
use crate::follow::Progress;
use crate::load::{Bulk, Load};
use crate::proxy::COMMIT_MS;
use crate::sink::{Arrival, Sink};
use crate::site::{Backlog, Lane, Site};
use crate::systems::System;
use crate::table::{Series, Table};

/// Between two events of the person.
const STEP: Duration = Duration::from_millis(2);
/// How long before the withdrawal they begin; a random part of a commit interval is added.
const BEFORE: Duration = Duration::from_millis(400);
/// How long after it they go on.
const AFTER: Duration = Duration::from_millis(150);
/// How much a full load may be ahead of what is committed, in seconds of it.
const AHEAD_S: f64 = 0.25;
/// How long the last of what was sent may take.
const PATIENCE: Duration = Duration::from_secs(120);
/// Different events of the load.
const STOCK: u64 = 50_000;

/// What is measured.
#[derive(Debug, Args)]
pub struct Options {
    /// How many people withdraw, idle and again under load.
    #[arg(long, default_value_t = 200)]
    withdrawals: u64,
    /// The load, as a percentage of the rate of saturation; 100 keeps it saturated, 0 leaves it out.
    #[arg(long, default_value_t = 100)]
    load: u32,
    /// Events of the backlog that shows the rate of saturation.
    #[arg(long, default_value_t = 500_000)]
    records: u64,
    #[command(flatten)]
    backlog: Backlog,
    /// Threads of Consentry.
    #[arg(long, default_value_t = 1)]
    workers: usize,
}

/// When each event of a person was appended to the source, and when it was seen in the sink.
type Times = Vec<(i64, i64)>;

/// What became of one person's events. Times are milliseconds of the wall clock.
#[derive(Clone, Copy, Debug, Default)]
struct Person {
    /// When the acknowledgement of the withdrawal was received.
    acknowledged_ms: i64,
    /// Events sent after that.
    sent_after: u64,
    /// Events in the sink.
    forwarded: u64,
    /// Those of them that were appended after the acknowledgement.
    leaked: u64,
    /// When the last of them was appended to the source.
    last_appended_ms: i64,
    /// When the last of them was seen in the sink.
    last_seen_ms: i64,
}

/// Where people withdraw.
struct Scene<'a> {
    site: &'a Site,
    lane: &'a Lane,
    writer: Writer,
    progress: Progress,
    bulk: Bulk,
}

/// Measures idle and under load: the table, and how many events were leaked.
pub fn run(options: &Options) -> (Table, u64) {
    let load = options.backlog.load(options.records);
    let site = Site::new(&load);
    let lane = site.lane("withdrawal", options.backlog.partitions);
    let (mut running, progress, drained) = site.drain(System::Consentry, &lane, options.workers);
    eprintln!("{:.0} thousand/s at saturation", drained.a_second / 1e3);
    let writer = Writer::new(site.address());
    let bulk = Bulk::at_once(site.address());
    let scene = Scene { site: &site, lane: &lane, writer, progress, bulk };
    let mut table = Table::new(format!(
        "milliseconds from the acknowledgement of a withdrawal, commits every {COMMIT_MS} ms, {} withdrawals, \
         an event of the person every {} ms, {} partitions",
        options.withdrawals,
        STEP.as_millis(),
        options.backlog.partitions
    ));
    let mut done = options.records;
    let idle = scene.withdraw("idle", options.withdrawals, &mut done, |_| 0);
    let mut leaked = row(&mut table, "idle", &idle);
    if options.load > 0 {
        let feed = Feed::new(site.address(), &Load { records: STOCK, ..load });
        let a_second = drained.a_second * f64::from(options.load) / 100.0;
        let before = done;
        let loaded = scene.withdraw("load", options.withdrawals, &mut done, |goes_on| {
            scene.press(&feed, a_second, before, goes_on)
        });
        leaked += row(&mut table, &format!("{} % load", options.load), &loaded);
    }
    running.drain(&scene.progress, done);
    running.stop();
    (table, leaked)
}

impl Scene<'_> {
    /// Lets so many people withdraw, one after the other, while `meanwhile` makes load and says how much.
    /// `done` counts what is in the source.
    fn withdraw(
        &self,
        name: &str,
        withdrawals: u64,
        done: &mut u64,
        meanwhile: impl FnOnce(&AtomicBool) -> u64 + Send,
    ) -> Vec<Person> {
        let ids: Vec<String> = (0..withdrawals).map(|n| format!("{name}-{n}")).collect();
        ids.iter().for_each(|id| self.say(id, "given"));
        let sink = Sink::from_end(self.site.address(), &self.lane.sink, self.lane.partitions);
        let seen: Mutex<HashMap<Vec<u8>, Times>> = Mutex::default();
        let (goes_on, reads_on) = (AtomicBool::new(true), AtomicBool::new(true));
        let mut people = Vec::new();
        std::thread::scope(|scope| {
            scope.spawn(|| {
                let note = |arrival: Arrival<'_>| {
                    if arrival.key.starts_with(name.as_bytes()) {
                        let mut seen = seen.lock().expect("no panic under the lock");
                        let times = (arrival.appended_ms, arrival.seen_ms);
                        seen.entry(arrival.key.to_vec()).or_default().push(times);
                    }
                };
                sink.read(|| reads_on.load(Ordering::Relaxed), note);
            });
            let load = scope.spawn(|| meanwhile(&goes_on));
            for id in &ids {
                let (sent, person) = self.one(id);
                *done += sent;
                people.push(person);
            }
            goes_on.store(false, Ordering::Relaxed);
            *done += load.join().expect("it fed");
            let waited = self.progress.wait(*done, PATIENCE, || true);
            reads_on.store(false, Ordering::Relaxed);
            assert!(waited.is_ok(), "what was sent is not done: {waited:?}");
        });
        let seen = seen.into_inner().expect("no panic under the lock");
        for (id, person) in ids.iter().zip(&mut people) {
            person.add(seen.get(id.as_bytes()).map(Vec::as_slice).unwrap_or_default());
        }
        people
    }

    /// A person acts, and withdraws meanwhile: how many events they sent.
    fn one(&self, id: &str) -> (u64, Person) {
        let (acts, acknowledged_ms) = (AtomicBool::new(true), AtomicI64::new(i64::MAX));
        let clock = Clock::default();
        std::thread::scope(|scope| {
            let acting = scope.spawn(|| {
                let (mut sent, mut after) = (0, 0);
                while acts.load(Ordering::Relaxed) {
                    let event = json!({"user": {"id": id}, "occurred_at": clock.now().0, "n": sent});
                    after += u64::from(acknowledged_ms.load(Ordering::SeqCst) < i64::MAX);
                    self.bulk.send(&self.lane.source, id, event.to_string().as_bytes());
                    sent += 1;
                    std::thread::sleep(STEP);
                }
                self.bulk.flush();
                (sent, after)
            });
            let part = fastrand::u64(0..u64::from(COMMIT_MS));
            std::thread::sleep(BEFORE + Duration::from_millis(part));
            self.say(id, "withdrawn");
            acknowledged_ms.store(clock.now().0, Ordering::SeqCst);
            std::thread::sleep(AFTER);
            acts.store(false, Ordering::Relaxed);
            let (sent, sent_after) = acting.join().expect("they acted");
            let acknowledged_ms = acknowledged_ms.load(Ordering::SeqCst);
            (sent, Person { acknowledged_ms, sent_after, ..Person::default() })
        })
    }

    /// Writes the person's state and waits for the acknowledgement.
    fn say(&self, id: &str, status: &str) {
        let grant = json!({"purpose": "analytics", "status": status, "given_at": "2024-11-01T09:58:00Z"});
        let body = json!({"subject": {"type": "user_id", "value": id}, "grants": [grant]});
        let key = Some(format!("user_id:{id}").into_bytes());
        let row = Row { key, value: Some(body.to_string().into_bytes()), ..Row::default() };
        self.writer.acked("consents", &row);
    }

    /// Feeds at this rate, bounded by what the group has done: how many were fed.
    fn press(&self, feed: &Feed, a_second: f64, before: u64, goes_on: &AtomicBool) -> u64 {
        let done = AtomicU64::new(before);
        let watched = AtomicBool::new(true);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                while watched.load(Ordering::Relaxed) {
                    done.fetch_max(self.progress.records(), Ordering::Relaxed);
                    std::thread::sleep(Duration::from_millis(20));
                }
            });
            let ahead = (a_second * AHEAD_S) as u64;
            let allowed = || done.load(Ordering::Relaxed) - before + ahead;
            let fed = feed.run(&self.lane.source, a_second, allowed, || goes_on.load(Ordering::Relaxed));
            watched.store(false, Ordering::Relaxed);
            fed
        })
    }
}

impl Person {
    /// Adds what was seen of them in the sink.
    fn add(&mut self, seen: &[(i64, i64)]) {
        for (appended_ms, seen_ms) in seen {
            self.forwarded += 1;
            self.leaked += u64::from(*appended_ms > self.acknowledged_ms);
            self.last_appended_ms = self.last_appended_ms.max(*appended_ms);
            self.last_seen_ms = self.last_seen_ms.max(*seen_ms);
        }
    }
}

/// Adds a row: how many events were leaked.
fn row(table: &mut Table, what: &str, people: &[Person]) -> u64 {
    let sum = |figure: fn(&Person) -> u64| people.iter().map(figure).sum::<u64>();
    let series = |figure: fn(&Person) -> i64| {
        let of = people.iter().filter(|person| person.forwarded > 0);
        let series = Series(of.map(|person| (figure(person) - person.acknowledged_ms) as f64).collect());
        let [p50, p99, most] = [0.5, 0.99, 1.0].map(|share| series.quantile(share));
        format!("{p50} / {p99} / {most}")
    };
    let (after, leaked) = (sum(|person| person.sent_after), sum(|person| person.leaked));
    assert!(after > 0, "events were sent after the withdrawals");
    table.row(json!({
        "what": what,
        "withdrawals": people.iter().filter(|person| person.forwarded > 0).count(),
        "events forwarded": sum(|person| person.forwarded),
        "events sent after it": after,
        "leaked": leaked,
        "last appended, p50 / p99 / max": series(|person| person.last_appended_ms),
        "last in the sink, p50 / p99 / max": series(|person| person.last_seen_ms),
    }));
    leaked
}
