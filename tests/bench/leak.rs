//! The leak experiment: a withdrawal is acknowledged, and then an event of the same person is written. Is it
//! forwarded?
//!
//! A round is of a person who has permitted: an event, which must come through (the control: what is
//! forwarded can be seen); so many changes of other people's consents; the withdrawal, for whose
//! acknowledgement by all replicas the round waits; and at once an event, which must not come through. All
//! that a system forwards is read when it has committed the last of its input.
//!
//! Each system starts with topics of its own and works on other events first: what is counted is not owed to
//! its start. And when all has been quiet for a while, each of these people has one more event, which must not
//! come through at any system: what is counted is not owed to one that does not know withdrawals.

use std::time::Duration;

use clap::Args;
use consentry::time::{Clock, Instant};
use serde_json::{Map, Value};

use crate::broker::Broker;
use crate::clients::{Reader, Row, Writer, caught_up, read_all};
use crate::jars;
use crate::load::Load;
use crate::proxy::Setup;
use crate::running::Running;
use crate::systems::System;
use crate::table::Table;
use crate::topics::{CONSENT, Topics};
use crate::wait::secs;

const LIMIT: Duration = secs(120);
const PARTITIONS: i32 = 4;
/// Events before the first round.
const WARM: u64 = 2000;
/// Events of a person of a round: before the withdrawal, right after it, and when it must long be known.
const CONTROL: u64 = 0;
const AFTER: u64 = 1;
const LATER: u64 = 2;
const QUIET: Duration = secs(10);

/// What is tried.
#[derive(Debug, Args)]
pub struct Options {
    /// Withdrawals, each of another person.
    #[arg(long, default_value_t = 40)]
    rounds: u64,
    /// How many other people's changes are written before each withdrawal.
    #[arg(long, value_delimiter = ',', default_values_t = [0, 1000, 40_000])]
    bursts: Vec<u64>,
    /// Other people with a consent record.
    #[arg(long, default_value_t = 40_000)]
    subjects: u64,
    /// What is tried beside Consentry, of what decides.
    #[arg(long, value_delimiter = ',', default_values = ["kafka-streams", "flink"])]
    beside: Vec<System>,
}

/// What came of it.
pub struct Outcome {
    pub table: Table,
    /// How many events Consentry forwarded after the withdrawal: one is too many.
    pub of_consentry: u64,
}

/// Tries each system with each burst.
pub fn run(options: &Options) -> Outcome {
    let class_path = jars::class_path().expect("a Kafka, which needs Java 17 and Maven");
    let broker = Broker::start(&class_path);
    let topics = Topics::new(&broker.address);
    let mut table = Table::new(format!(
        "events forwarded that were written after the acknowledged withdrawal of their person, of {}, by the \
         number of other people's changes right before it; of as many events before it, every one was \
         forwarded, and of as many {} s after it, none",
        options.rounds,
        QUIET.as_secs()
    ));
    let (mut of_consentry, mut count) = (0, 0);
    let beside = options.beside.iter().filter(|system| system.decides());
    for system in [System::Consentry].iter().chain(beside) {
        let mut row = Map::from_iter([("what".to_owned(), Value::from(system.name()))]);
        for burst in &options.bursts {
            count += 1;
            let leaked = Trial::new(options, &broker.address, &topics, count).run(*system, *burst);
            eprintln!("{}: {leaked} of {}, {burst} changes before", system.name(), options.rounds);
            row.insert(format!("{burst} before"), Value::from(leaked));
            if *system == System::Consentry {
                of_consentry += leaked;
            }
        }
        table.row(Value::Object(row));
    }
    Outcome { table, of_consentry }
}

/// One system, one size of burst: topics of its own, and who writes and reads them.
struct Trial<'a> {
    options: &'a Options,
    address: &'a str,
    consents: String,
    events: String,
    sink: String,
    group: String,
    load: Load,
    /// Writes consents; what it is given first stands first.
    changes: Writer,
    /// Writes events, over a connection of its own, so that none waits for a burst.
    happens: Writer,
}

impl<'a> Trial<'a> {
    fn new(options: &'a Options, address: &'a str, topics: &Topics, number: usize) -> Self {
        let name = |what| format!("{what}-{number}");
        let (consents, events, sink) = (name("consents"), name("events"), name("sink"));
        topics.create(&consents, PARTITIONS, CONSENT);
        topics.create(&events, PARTITIONS, &[]);
        topics.create(&sink, PARTITIONS, &[]);
        // Behind the others stand the people of the rounds, and behind them one who permits throughout.
        let subjects = options.subjects + options.rounds + 1;
        let load = Load { records: 0, subjects, permitted: 100, bytes: 600 };
        let (changes, happens) = (Writer::new(address), Writer::new(address));
        for subject in 0..subjects {
            changes.send(&consents, &row(load.consent(subject)));
        }
        changes.flush();
        Self { options, address, consents, events, sink, group: name("group"), load, changes, happens }
    }

    /// How many events were forwarded after the withdrawal.
    fn run(&self, system: System, burst: u64) -> u64 {
        let between = Setup::between(self.address, &self.events, &self.sink, &self.group);
        let setup = Setup { consents: &self.consents, ..between };
        let mut forwards =
            Forwards { running: Running::start(system, &setup), sink: Reader::new(self.address, &self.sink) };
        self.warm_up(&mut forwards);
        for round in 0..self.options.rounds {
            self.round(&mut forwards, round, burst);
        }
        self.later();
        let forwarded = read_all(self.address, &self.sink);
        forwards.running.stop();
        let count = |which| {
            let passed = |round: &u64| has(&forwarded, number(*round, which));
            (0..self.options.rounds).filter(passed).count() as u64
        };
        assert_eq!(count(CONTROL), self.options.rounds, "forwarded events before the withdrawal");
        assert_eq!(count(LATER), 0, "forwarded events of those who withdrew long before");
        count(AFTER)
    }

    /// Each who withdrew has one more event when there has been time to hear of it.
    fn later(&self) {
        std::thread::sleep(QUIET);
        for round in 0..self.options.rounds {
            self.happens.send(&self.events, &self.event(round, number(round, LATER)));
        }
        self.happens.flush();
        caught_up(self.address, &self.group, &self.events, LIMIT);
    }

    /// It has started, read the consents and done some work.
    fn warm_up(&self, forwards: &mut Forwards) {
        let first = number(self.options.rounds, 0);
        for number in first..first + WARM {
            self.happens.send(&self.events, &self.event(self.options.rounds, number));
        }
        self.happens.flush();
        forwards.wait(|rows| rows.len() as u64 >= WARM);
        forwards.sink.rows.clear();
    }

    fn round(&self, forwards: &mut Forwards, round: u64, burst: u64) {
        let changes: Vec<Row> = (0..burst).map(|n| self.change(round, n)).collect();
        let (key, value) = Load::consent_saying(self.person(round), "withdrawn");
        let withdrawal = row((key, value));
        let after = self.event(round, number(round, AFTER));

        let control = number(round, CONTROL);
        self.happens.acked(&self.events, &self.event(round, control));
        forwards.wait(|rows| has(rows, control));
        for change in &changes {
            self.changes.send(&self.consents, change);
        }
        self.changes.acked(&self.consents, &withdrawal);
        self.happens.acked(&self.events, &after);
        self.changes.flush();
        caught_up(self.address, &self.group, &self.events, LIMIT);
    }

    /// Who withdraws in this round.
    const fn person(&self, round: u64) -> u64 {
        self.options.subjects + round
    }

    fn event(&self, round: u64, number: u64) -> Row {
        row(self.load.event_of(self.person(round), number, Clock::default().now().0))
    }

    /// The n-th change of others in a round; who permitted in the last does not in this.
    fn change(&self, round: u64, n: u64) -> Row {
        let status = if round.is_multiple_of(2) { "withdrawn" } else { "given" };
        row(Load::consent_saying(n % self.options.subjects, status))
    }
}

/// A system at work, and what it has forwarded.
struct Forwards {
    running: Running,
    sink: Reader,
}

impl Forwards {
    /// Reads on until what must come has come.
    #[track_caller]
    fn wait(&mut self, come: impl Fn(&[Row]) -> bool) {
        let began = Instant::now();
        while !self.sink.until(secs(1), &come) {
            let goes_on = self.running.lives() && began.elapsed() < LIMIT;
            assert!(goes_on, "a permitted event is not forwarded; see `{}`", self.running.log.display());
        }
    }
}

/// The number of an event of a round.
const fn number(round: u64, which: u64) -> u64 {
    round * 3 + which
}

fn has(rows: &[Row], number: u64) -> bool {
    let id = format!("e-{number:012}");
    rows.iter().any(|row| row.json()["event_id"] == id.as_str())
}

fn row((key, value): (String, String)) -> Row {
    Row { key: Some(key.into_bytes()), value: Some(value.into_bytes()), ..Row::default() }
}
