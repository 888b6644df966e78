//! One fault's stage: topics of its own with their leaders where they are wanted, some instances of Consentry that
//! reach the brokers through links alone, a load, and a reader.

use std::collections::BTreeSet;
use std::time::Duration;

use consentry::time::Instant;
use serde_json::{Value, json};

use super::Fault;
use super::cluster::{Cluster, DISK, NODES, coordinator, replicas};
use super::ledger::Load;
use super::link::Link;
use super::output::Output;
use super::verdict::{self, Found};
use crate::kafka::broker::Broker;
use crate::kafka::clients::{ends, progress, read_all};
use crate::kafka::proxy::Proxy;
use crate::kafka::shop::Shop;
use crate::kafka::wait::{secs, until};

/// Partitions of source and sink, and of the consent topic.
pub const PARTITIONS: i32 = 4;
pub const CONSENTS: i32 = 2;

/// How long it may take to go on after a fault.
const RECOVERY: Duration = secs(90);

/// How much is shown of what an instance wrote, where it does not go on.
const LAST_LINES: usize = 20;

/// So long after a fault began may come what was decided before.
const UNDERWAY: Duration = Duration::from_millis(500);

/// What a broker is there for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    ConsentLeader,
    SourceLeader,
    SinkLeader,
    GroupCoordinator,
    TransactionCoordinator,
}

/// The stage of one fault.
pub struct Scene<'c> {
    pub cluster: &'c Cluster,
    pub shop: Shop,
    /// The instances, where they run.
    pub crew: Vec<Option<Proxy>>,
    /// Those that were stopped by a signal, and cannot be asked.
    pub asleep: BTreeSet<usize>,
    configs: Vec<Value>,
    /// The broker that has the one role, and no other.
    victim: usize,
    load: Load,
    output: Output,
    within: Duration,
    /// Partitions were added: a record need not keep its own.
    pub has_grown: bool,
    /// What `/ready` gave as reasons while the fault went on.
    pub reasons: BTreeSet<String>,
    began: Instant,
    over: Option<Instant>,
}

impl<'c> Scene<'c> {
    /// Sets everything up around the fault's role, which one broker has by itself, and has everything flow.
    pub fn set(cluster: &'c Cluster, name: &str, fault: &Fault) -> Self {
        cluster.wait_whole();
        let victim = if fault.fills_disk { DISK } else { fastrand::usize(0..NODES) };
        let place = |of: Role, other: usize| if of == fault.role { victim } else { (victim + other) % NODES };
        let mut shop = Shop::without_topics(&cluster.address, name);
        let make = |topic: &str, count: i32, leader: usize, settings| {
            let replicas = replicas(leader);
            shop.topics.place(topic, &vec![replicas.as_slice(); count as usize], settings);
        };
        make(&shop.consent, CONSENTS, place(Role::ConsentLeader, 1), fault.consent);
        make(&shop.source, PARTITIONS, place(Role::SourceLeader, 2), &[]);
        make(&shop.sink, PARTITIONS, place(Role::SinkLeader, 1), &[]);
        make(&shop.quarantine, 1, place(Role::SinkLeader, 1), &[]);

        let group = place(Role::GroupCoordinator, 2);
        shop.group = named(name, |name| coordinator(name) == group);
        let links: Vec<&str> = cluster.links.iter().map(|link| link.address.as_str()).collect();
        shop.config["kafka"]["brokers"] = json!(links);
        shop.config["workers"] = json!(1);
        shop.config["commit_interval"] = json!("100ms");
        shop.config["pipelines"][0]["group"] = json!(shop.group);
        if !fault.within.is_zero() {
            shop.config["consent"]["freshness"] =
                json!({"within": format!("{}ms", fault.within.as_millis())});
        }
        (fault.change)(&mut shop.config);
        let transactions = place(Role::TransactionCoordinator, 1);
        let ours = |instance: &str| coordinator(&format!("consentry/{instance}/shop/0")) == transactions;
        let configs: Vec<Value> =
            (0..fault.instances).map(|n| shop.config_of(&named(&format!("{name}-{n}"), ours))).collect();

        let load = Load::start(&cluster.address, &shop.source, &shop.consent);
        let output = Output::read(&cluster.address, &shop.sink, PARTITIONS);
        let crew: Vec<Option<Proxy>> = configs.iter().map(|config| Some(Proxy::start(config, &[]))).collect();
        let now = Instant::now();
        let mut scene = Self {
            cluster,
            shop,
            crew,
            asleep: BTreeSet::new(),
            configs,
            victim,
            load,
            output,
            within: fault.within,
            has_grown: false,
            reasons: BTreeSet::new(),
            began: now,
            over: None,
        };
        scene.crew.iter_mut().flatten().for_each(|proxy| proxy.wait_ready(secs(90)));
        scene.settle();
        scene
    }

    /// The broker that has the role.
    pub fn node(&self) -> &'c Broker {
        &self.cluster.nodes[self.victim]
    }

    /// How old the cache may be.
    pub fn within(&self) -> Duration {
        self.within
    }

    /// The way to it.
    pub fn link(&self) -> &'c Link {
        &self.cluster.links[self.victim]
    }

    /// Starts this instance.
    pub fn start(&mut self, instance: usize) {
        self.crew[instance] = Some(Proxy::start(&self.configs[instance], &[]));
    }

    /// Takes this instance out of the crew.
    pub fn take(&mut self, instance: usize) -> Proxy {
        self.crew[instance].take().expect("it runs")
    }

    /// The time passes, and it is noted what `/ready` says.
    pub fn pass(&mut self, long: Duration) {
        let began = Instant::now();
        while began.elapsed() < long {
            self.listen();
            std::thread::sleep(Duration::from_millis(100).min(long));
        }
    }

    fn listen(&mut self) {
        for (place, proxy) in self.crew.iter().enumerate() {
            let Some(proxy) = proxy.as_ref().filter(|_| !self.asleep.contains(&place)) else { continue };
            let Some((503, body)) = proxy.get("/ready") else { continue };
            let body: Value = serde_json::from_str(&body).unwrap_or_default();
            let reasons = body["reasons"].as_array().into_iter().flatten();
            self.reasons.extend(reasons.filter_map(|reason| Some(reason["reason"].as_str()?.to_owned())));
        }
    }

    /// From here on it is a fault.
    pub fn begin(&mut self) {
        self.began = Instant::now();
        self.over = None;
    }

    /// From here on it should go on by itself.
    pub fn over(&mut self) {
        self.over = Some(Instant::now());
    }

    /// How many records came more than `grace` after the fault began.
    pub fn came_after(&self, grace: Duration) -> usize {
        self.output.later_than(self.began, grace)
    }

    /// The longest time in which each partition of the sink got nothing, since the fault began.
    pub fn pauses(&self) -> Vec<Duration> {
        self.output.pauses(self.began)
    }

    /// Waits until every partition of the sink has got something since the fault was over; how long that took, and
    /// the longest pause of a partition since the fault began.
    pub fn recover(&mut self) -> (Duration, Duration) {
        // Where it does not end by itself, what was decided before it may still come.
        let (over, grace) = self.over.map_or((self.began, UNDERWAY), |over| (over, Duration::ZERO));
        let began = Instant::now();
        loop {
            if let Some(first) = self.output.first_since(over, grace) {
                return (first.since(over), self.pauses().into_iter().max().unwrap_or_default());
            }
            self.listen();
            assert!(began.elapsed() < RECOVERY, "it does not go on: {}", self.stands());
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Where everybody stands, for whoever has to find out why nothing moves.
    fn stands(&self) -> String {
        let Shop { address, group, source, sink, consent, .. } = &self.shop;
        let crew = self.crew.iter().flatten().map(|proxy| {
            let said = proxy.output();
            let lines: Vec<&str> = said.lines().rev().take(LAST_LINES).collect();
            let last = lines.into_iter().rev().collect::<Vec<_>>().join("\n");
            format!("process {}, `/ready`: {:?}, it said last:\n{last}", proxy.id(), proxy.get("/ready"))
        });
        format!(
            "the reader has {:?} of the sink; decided and written of the sink: {:?}, of the consents: {:?}; the group \
             and the end of the source: {:?}; `/ready` said {:?}\n{}",
            self.output.last_offsets(),
            ends(address, sink),
            ends(address, consent),
            progress(address, group, source),
            self.reasons,
            crew.collect::<Vec<_>>().join("\n")
        )
    }

    /// Begins to have everything as it was before the fault.
    pub fn mend(&mut self) {
        self.cluster.mend();
        for place in 0..self.crew.len() {
            if self.crew[place].is_none() {
                self.start(place);
            }
        }
    }

    /// All brokers and instances are there again, and everything flows.
    pub fn settle(&mut self) {
        self.mend();
        self.cluster.wait_whole();
        self.crew.iter_mut().flatten().for_each(|proxy| proxy.wait_ready(secs(60)));
        let now = Instant::now();
        let flows = || self.output.first_since(now, Duration::ZERO).is_some();
        until(RECOVERY, flows, || format!("not everything flows: {}", self.stands()));
    }

    /// Ends the load, waits until all is decided, and judges; the instances end by themselves.
    pub fn finish(mut self) -> Found {
        let ledger = self.load.finish();
        self.shop.done(secs(120));
        let (source, sink) = (
            read_all(&self.cluster.address, &self.shop.source),
            read_all(&self.cluster.address, &self.shop.sink),
        );
        assert_eq!(source.len(), ledger.events.len(), "every event is in the source once");
        let all =
            || self.output.count() >= sink.iter().filter(|row| row.partition < Some(PARTITIONS)).count();
        until(secs(30), all, || "the reader has not seen all".into());
        let mut seen: Vec<_> = self.output.finish().iter().map(|row| (row.partition, row.offset)).collect();
        let mut there: Vec<_> = sink.iter().map(|row| (row.partition, row.offset)).collect();
        there.retain(|(partition, _)| *partition < Some(PARTITIONS));
        seen.sort_unstable();
        there.sort_unstable();
        assert!(seen == there, "the reader beside the fault and one after it do not see the same");
        for proxy in self.crew.drain(..).flatten() {
            let said = proxy.output();
            let bad = ["panicked", "does not balance"].into_iter().find(|word| said.contains(word));
            assert_eq!(bad, None, "it said:\n{said}");
            proxy.stop();
        }
        let topics = [&self.shop.source, &self.shop.sink, &self.shop.quarantine, &self.shop.consent];
        self.shop.topics.delete_all(&topics.map(String::as_str));
        verdict::judge(&ledger, &source, &sink, self.within, self.has_grown)
    }
}

/// A name like this that fits.
fn named(like: &str, fits: impl Fn(&str) -> bool) -> String {
    (0..1000).map(|n| format!("{like}-{n}")).find(|name| fits(name)).expect("one in three fits")
}
