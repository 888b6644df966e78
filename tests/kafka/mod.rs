//! `consentry run` on a real Apache Kafka, seen from outside.
//!
//! No mock stands in for the broker: librdkafka's own acknowledges transactions that never happened, so
//! a test of exactly-once passes on it whatever the code does. The broker comes with the tests (`jars`,
//! `broker`) and dies with them (`reaper`). The proxy is the built binary, with a configuration file, an
//! admin port and signals (`proxy`); no function of the crate is called, but for the time,
//! and to forge a snapshot.
//!
//! Each test has topics of its own, and the machine to itself: they measure what happens under load.
//! Each proves that the control came through before it says that something else did not.
//!
//! Without Java 17 and Maven these tests say that they did not run. With `CONSENTRY_REQUIRE_KAFKA=1`,
//! as in continuous integration, that is a failure.

mod agree;
mod bad_input;
mod bad_selectors;
mod barrier;
mod broker;
mod changing;
mod clients;
mod consent_api;
mod consent_commands;
mod due;
mod exactly;
mod fail_closed;
mod fail_closed_consents;
mod faults;
mod groups;
mod harness;
mod held_record;
mod holds;
mod hot;
mod identities;
mod jars;
mod kill;
mod metrics;
mod open_transaction;
mod other_clients;
mod people;
mod pipelines;
mod proxy;
mod reaper;
mod rebalance;
mod sharded;
mod shop;
mod signals;
mod snapshot;
mod start_gate;
mod topics;
mod verify;
mod wait;

use std::io::Write;
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

use broker::Broker;
use consentry::time::Instant;

/// Says something even where the test passes and its output is thrown away.
fn say(text: &str) {
    let _ = writeln!(std::io::stderr(), "{text}");
}

/// The shared broker, and the right to use the machine alone.
struct Kafka {
    broker: &'static Broker,
    since: Instant,
    _alone: MutexGuard<'static, ()>,
}

/// Says how long each test had the machine.
impl Drop for Kafka {
    fn drop(&mut self) {
        let thread = std::thread::current();
        let test = thread.name().unwrap_or_default().trim_start_matches("kafka::");
        say(&format!("  {:5.1} s  {test}", self.since.elapsed().as_secs_f64()));
    }
}

impl Kafka {
    /// Another broker, which may be stopped.
    fn spare(&self) -> &'static Broker {
        static SPARE: OnceLock<Broker> = OnceLock::new();
        let spare = SPARE.get_or_init(|| Broker::start(&self.class_path));
        spare.ensure();
        spare
    }
}

impl std::ops::Deref for Kafka {
    type Target = Broker;

    fn deref(&self) -> &Broker {
        self.broker
    }
}

/// The right to use the machine alone.
fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Where there is a Kafka; `None`, and says why, where there cannot be one.
fn class_path() -> Option<&'static str> {
    static CLASS_PATH: OnceLock<Option<String>> = OnceLock::new();
    let class_path = CLASS_PATH.get_or_init(|| match jars::class_path() {
        Ok(class_path) => Some(class_path),
        Err(why) => {
            say(&format!("\n*** THE TESTS ON A REAL KAFKA DO NOT RUN: {why}\n"));
            None
        }
    });
    let required = std::env::var_os("CONSENTRY_REQUIRE_KAFKA").is_some_and(|value| value == "1");
    assert!(class_path.is_some() || !required, "CONSENTRY_REQUIRE_KAFKA=1, and there is no Kafka");
    class_path.as_deref()
}

/// The shared broker, started by the first that asks; `None` where there cannot be one.
fn kafka() -> Option<Kafka> {
    static BROKER: OnceLock<Broker> = OnceLock::new();
    let alone = alone();
    let class_path = class_path()?;
    let broker = BROKER.get_or_init(|| Broker::start(class_path));
    Some(Kafka { broker, since: Instant::now(), _alone: alone })
}
