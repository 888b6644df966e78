//! A cluster that librdkafka reaches.

use std::collections::BTreeMap;

use rdkafka::consumer::{BaseConsumer, Consumer};

use super::client::Asking;
use super::feed::{self, Surveyor};
use super::member::{self, Membership};
use super::offsets;
use super::settings::ClusterSettings;
use super::topics::Topics;
use super::writer::Writer;
use crate::source::{Cluster, Failure, Purpose, Reading, TopicError, WriteError, WriterSettings};

impl Cluster for ClusterSettings {
    type Member = BaseConsumer<Membership>;
    type Writer = Writer;
    type Topics = Topics;
    type Feed = BaseConsumer<Asking>;
    type Survey = Surveyor;

    fn join(&self, group: &str, topics: &[&str], reading: Reading) -> Result<Self::Member, Failure> {
        let member = member::join(self, group, reading)?;
        member.subscribe(topics)?;
        Ok(member)
    }

    fn begin_at_end(&self, group: &str, topics: &BTreeMap<String, usize>) -> Result<(), Failure> {
        Ok(offsets::begin_at_end(self, group, topics)?)
    }

    fn open(&self, settings: &WriterSettings) -> Result<Writer, WriteError> {
        Writer::open(self, settings)
    }

    fn topics(&self) -> Result<Topics, TopicError> {
        Topics::connect(self)
    }

    fn feed(&self, purpose: Purpose) -> Result<Self::Feed, Failure> {
        Ok(feed::feed(self, purpose)?)
    }

    fn survey(&self, purpose: Purpose) -> Result<Surveyor, Failure> {
        Ok(Surveyor::new(self, purpose)?)
    }

    fn brokers(&self) -> String {
        self.brokers.join(",")
    }
}
