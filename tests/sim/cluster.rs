//! The simulated cluster as a process reaches it: topics, and how they stand.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use consentry::{
    record::Header,
    source::{
        Cluster, Failure, Message, Purpose, Reading, Survey, TopicError, Topics, Trouble, WriteError,
        WriterSettings,
    },
    time::Timestamp,
};

use super::{
    feed::SimFeed,
    lies::Lie,
    log::Stored,
    member::SimMember,
    town::CONSENTS,
    world::{Core, World},
    writer::SimWriter,
};

/// The cluster, for one process.
#[derive(Clone)]
pub struct SimCluster {
    pub world: Arc<World>,
    pub process: usize,
}

pub fn passing(said: &str) -> Failure {
    Failure { trouble: Trouble::Passing, said: said.to_owned() }
}

impl Cluster for SimCluster {
    type Member = SimMember;
    type Writer = SimWriter;
    type Topics = Self;
    type Feed = SimFeed;
    type Survey = SimSurvey;

    fn join(&self, group: &str, _: &[&str], reading: Reading) -> Result<SimMember, Failure> {
        Ok(SimMember::join(self.clone(), group, reading))
    }

    fn begin_at_end(&self, _: &str, _: &BTreeMap<String, usize>) -> Result<(), Failure> {
        Err(Failure::unknown("nobody here begins at the end"))
    }

    fn open(&self, settings: &WriterSettings) -> Result<SimWriter, WriteError> {
        SimWriter::open(self.clone(), settings)
    }

    fn topics(&self) -> Result<Self, TopicError> {
        Ok(self.clone())
    }

    fn feed(&self, purpose: Purpose) -> Result<SimFeed, Failure> {
        if purpose == Purpose::Consent {
            // A cache may be discarded next.
            self.world.await_views(self.process);
        }
        Ok(SimFeed::new(self.clone(), purpose))
    }

    fn survey(&self, purpose: Purpose) -> Result<SimSurvey, Failure> {
        Ok(SimSurvey { cluster: self.clone(), purpose, topic_id: None, last: Vec::new().into() })
    }

    fn brokers(&self) -> String {
        "simulated:9092".to_owned()
    }
}

impl SimCluster {
    /// Whether brokers answer about a topic.
    pub fn reaches(&self, core: &Core, topic: &str) -> bool {
        let gone = topic == CONSENTS && core.faults.no_consent_until > core.now();
        !gone && !core.is_cut_off(self.process)
    }

    fn ask<T>(&self, topic: &str, answer: impl FnOnce(&mut Core) -> T) -> Result<T, TopicError> {
        let mut core = self.world.core();
        if !self.reaches(&core, topic) {
            return Err(TopicError::Failed(passing("no broker answers")));
        }
        if !core.broker.topics.contains_key(topic) {
            return Err(TopicError::Missing(topic.to_owned()));
        }
        Ok(answer(&mut core))
    }
}

/// Nobody else goes first within these: the line asks some of them while it holds a lock.
impl Topics for SimCluster {
    fn partitions(&self, topic: &str) -> Result<usize, TopicError> {
        self.ask(topic, |core| core.broker.topics[topic].logs.len())
    }

    fn config(&self, topic: &str) -> Result<BTreeMap<String, String>, TopicError> {
        self.ask(topic, |core| core.broker.topics[topic].config.clone())
    }

    fn create(&self, topic: &str, partitions: usize, settings: &[(&str, &str)]) -> Result<(), TopicError> {
        self.world.core().broker.create(topic, partitions, settings);
        Ok(())
    }

    fn widen(&self, topic: &str, partitions: usize) -> Result<(), TopicError> {
        self.ask(topic, |core| core.broker.widen(topic, partitions))
    }
}

/// Sees what is acknowledged.
pub struct SimSurvey {
    cluster: SimCluster,
    purpose: Purpose,
    topic_id: Option<String>,
    /// A lie's: what was answered before.
    last: std::cell::RefCell<Vec<i64>>,
}

impl Survey for SimSurvey {
    fn partitions(&self, topic: &str, within: Duration) -> Result<usize, TopicError> {
        self.step(topic, within);
        let found = self.cluster.ask(topic, |core| core.broker.topics[topic].logs.len());
        match found {
            Err(_) if self.is_as_of_old() => Ok(self.last.borrow().len()),
            found => found,
        }
    }

    fn ends(&self, topic: &str, partitions: usize, within: Duration) -> Result<Vec<i64>, TopicError> {
        self.step(topic, within);
        let mut last = self.last.borrow_mut();
        let found = self.cluster.ask(topic, |core| {
            let stable = core.lies(Lie::StableEnds);
            let logs = core.broker.topics[topic].logs.iter().take(partitions);
            logs.map(|log| if stable { log.stable() } else { log.end() }).collect::<Vec<_>>()
        });
        match found {
            Ok(ends) if ends.len() == partitions => {
                last.clone_from(&ends);
                Ok(ends)
            }
            Ok(_) => Err(TopicError::Failed(Failure::unknown("no such partition"))),
            // As of old, where nobody answers.
            Err(_) if last.len() == partitions && self.cluster.world.core().lies(Lie::OldEnds) => {
                Ok(last.clone())
            }
            Err(error) => Err(error),
        }
    }

    fn end(&self, topic: &str, partition: i32) -> Result<i64, Failure> {
        self.step(topic, Duration::from_secs(1));
        let place = (topic.to_owned(), partition);
        let end = |core: &mut Core| {
            let none = core.lies(Lie::UnloadedHolds) && self.purpose == Purpose::Held;
            core.broker.log(&place).map(|log| if none { log.low() } else { log.end() })
        };
        match self.cluster.ask(topic, end) {
            Ok(Some(end)) => Ok(end),
            Ok(None) => Err(Failure::unknown("no such partition")),
            Err(error) => Err(Failure::unknown(error)),
        }
    }

    fn hold_on(&mut self, topic: &str, within: Duration) -> Result<(), Failure> {
        self.step(topic, within);
        let id = self.cluster.ask(topic, |core| core.broker.topics[topic].id);
        if let Ok(id) = id {
            self.topic_id = Some(id.to_string());
        }
        Ok(())
    }

    fn topic_id(&self) -> Option<String> {
        self.topic_id.clone()
    }
}

impl SimSurvey {
    /// A lie: where nobody answers, it says what was answered before.
    fn is_as_of_old(&self) -> bool {
        !self.last.borrow().is_empty() && self.cluster.world.core().lies(Lie::OldEnds)
    }

    /// A question; where nobody answers, it takes as long as it may, or a broken connection says so at once.
    fn step(&self, topic: &str, within: Duration) {
        let SimCluster { world, process } = &self.cluster;
        if !world.step(*process, false) {
            return;
        }
        let mut core = world.core();
        let is_waited_for = self.purpose == Purpose::Consent && !core.lies(Lie::OldEnds);
        if is_waited_for && !self.cluster.reaches(&core, topic) && core.stage.dice.bool() {
            drop(core);
            world.wait(*process, 0, within);
        }
    }
}

/// A record as a client hands it out.
#[derive(Debug)]
pub struct SimMessage {
    pub topic: Arc<str>,
    pub partition: i32,
    pub offset: i64,
    pub record: Arc<Stored>,
    /// Who counts what is handed out, and not given back.
    pub _out: Option<Arc<()>>,
}

impl Message for SimMessage {
    fn topic(&self) -> &str {
        &self.topic
    }

    fn partition(&self) -> i32 {
        self.partition
    }

    fn offset(&self) -> i64 {
        self.offset
    }

    fn key(&self) -> Option<&[u8]> {
        self.record.key.as_deref()
    }

    fn value(&self) -> Option<&[u8]> {
        self.record.value.as_deref()
    }

    fn timestamp(&self) -> Option<Timestamp> {
        Some(Timestamp(self.record.timestamp))
    }

    fn header_bytes(&self) -> Option<usize> {
        let bytes =
            |(name, value): &(String, Option<Vec<u8>>)| name.len() + value.as_ref().map_or(0, Vec::len);
        (!self.record.headers.is_empty()).then(|| self.record.headers.iter().map(bytes).sum())
    }

    fn headers(&self) -> Option<smallvec::SmallVec<[Header<'_>; 8]>> {
        Some(self.record.headers.iter().map(|(name, value)| (name.as_str(), value.as_deref())).collect())
    }

    fn has_header(&self, name: &str) -> bool {
        self.record.headers.iter().any(|(own, _)| own == name)
    }
}
