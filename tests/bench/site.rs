//! What the measurements on a live Kafka have in common: a broker, people with consents, topics of events,
//! and how fast a system works off a backlog, which is the rate that "half load" is half of.

use clap::Args;

use crate::broker::Broker;
use crate::follow::Progress;
use crate::jars;
use crate::load::{Bulk, Load};
use crate::proxy::Setup;
use crate::running::{Drained, Running};
use crate::sink::STAMPED;
use crate::systems::System;
use crate::topics::{CONSENT, Topics};

/// The backlog of a measurement: who acts, all of whom permit, and in which events.
#[derive(Clone, Copy, Debug, Args)]
pub struct Backlog {
    /// People with a consent record, all of whom permit.
    #[arg(long, default_value_t = 100_000)]
    pub subjects: u64,
    /// Bytes of an event.
    #[arg(long, default_value_t = 600)]
    pub bytes: usize,
    /// Partitions of the event topic.
    #[arg(long, default_value_t = 4)]
    pub partitions: i32,
}

impl Backlog {
    /// So many of these events.
    pub const fn load(&self, records: u64) -> Load {
        Load { records, subjects: self.subjects, permitted: 100, bytes: self.bytes }
    }
}

/// A broker with a consent topic.
pub struct Site {
    broker: Broker,
    topics: Topics,
    load: Load,
}

/// What a system has to do: two topics of its own.
pub struct Lane {
    /// The events.
    pub source: String,
    /// What came through.
    pub sink: String,
    /// How many partitions both have.
    pub partitions: i32,
    /// The consumer group.
    pub group: String,
}

impl Site {
    /// Starts a broker and writes the consents of the load's people.
    pub fn new(load: &Load) -> Self {
        let class_path = jars::class_path().expect("a Kafka, which needs Java 17 and Maven");
        let broker = Broker::start(&class_path);
        let topics = Topics::new(&broker.address);
        topics.create("consents", 4, CONSENT);
        load.write_consents(&Bulk::new(&broker.address), "consents");
        Self { broker, topics, load: *load }
    }

    /// The broker's address.
    pub fn address(&self) -> &str {
        &self.broker.address
    }

    /// Makes topics of this name, the source with a backlog of the load's events.
    pub fn lane(&self, name: &str, partitions: i32) -> Lane {
        let (source, sink) = (self.source(name, partitions), format!("sink-{name}"));
        self.topics.create(&sink, partitions, &[]);
        self.load.write_events(&Bulk::new(self.address()), &source);
        Lane { source, sink, partitions, group: format!("group-{name}") }
    }

    /// Makes a topic of events, without any.
    pub fn source(&self, name: &str, partitions: i32) -> String {
        let source = format!("events-{name}");
        self.topics.create(&source, partitions, STAMPED);
        source
    }

    /// A lane on the same events: a sink and a group of its own.
    pub fn again(&self, lane: &Lane, name: &str) -> Lane {
        let sink = format!("sink-{name}");
        self.topics.create(&sink, lane.partitions, &[]);
        let (source, group) = (lane.source.clone(), format!("group-{name}"));
        Lane { source, sink, partitions: lane.partitions, group }
    }

    /// Removes what came through.
    pub fn clear(&self, lane: &Lane) {
        self.topics.delete(&lane.sink);
    }

    /// Starts the system in its lane and waits until the backlog is done.
    pub fn drain(&self, system: System, lane: &Lane, workers: usize) -> (Running, Progress, Drained) {
        let between = Setup::between(self.address(), &lane.source, &lane.sink, &lane.group);
        let mut running = Running::start(system, &Setup { workers, ..between });
        let progress = Progress::of(self.address(), &lane.group, &lane.source, lane.partitions);
        let drained = running.drain(&progress, self.load.records);
        (running, progress, drained)
    }
}
