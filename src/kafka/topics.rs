//! What topics there are and how they are configured; and making one.

use std::collections::BTreeMap;
use std::time::Duration;

use rdkafka::TopicPartitionList;
use rdkafka::admin::{
    AdminClient, AdminOptions, NewPartitions, NewTopic, ResourceSpecifier, TopicReplication,
};
use rdkafka::client::{Client, ClientContext, DefaultClientContext};
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::topic_partition_list::Offset;
use rdkafka::types::RDKafkaRespErr;

use super::client;
use super::settings::ClusterSettings;
use crate::source::{self, Failure, TopicError};

/// How long a broker may take to answer.
pub const ASK_WITHIN: Duration = Duration::from_secs(10);

impl From<KafkaError> for TopicError {
    fn from(error: KafkaError) -> Self {
        Self::Failed(error.into())
    }
}

fn refused(topic: &str, code: RDKafkaErrorCode) -> TopicError {
    TopicError::Refused(topic.to_owned(), code.to_string())
}

/// How many partitions a topic has.
pub fn partitions<C: ClientContext>(
    client: &Client<C>,
    topic: &str,
    within: Duration,
) -> Result<usize, TopicError> {
    let metadata = client.fetch_metadata(Some(topic), within)?;
    let found = metadata.topics().iter().find(|found| found.name() == topic);
    let missing = || TopicError::Missing(topic.to_owned());
    let found = found.ok_or_else(missing)?;
    match found.error() {
        None if found.partitions().is_empty() => Err(missing()),
        None => Ok(found.partitions().len()),
        Some(RDKafkaRespErr::RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART) => Err(missing()),
        Some(error) => Err(refused(topic, error.into())),
    }
}

/// The end of every partition, in one request: the high watermark for a read_uncommitted client, the last
/// stable offset for a read_committed one. A partition that does not answer is an error.
pub fn ends<C: ConsumerContext>(
    consumer: &BaseConsumer<C>,
    topic: &str,
    partitions: usize,
    within: Duration,
) -> Result<Vec<i64>, TopicError> {
    let mut list = TopicPartitionList::with_capacity(partitions);
    for partition in 0..i32::try_from(partitions).unwrap_or(i32::MAX) {
        list.add_partition_offset(topic, partition, Offset::End)?;
    }
    let answers = consumer.offsets_for_times(list, within)?;
    let mut ends = vec![-1; partitions];
    for answer in answers.elements() {
        answer.error()?;
        let place = usize::try_from(answer.partition()).ok().and_then(|at| ends.get_mut(at));
        if let (Some(place), Offset::Offset(end)) = (place, answer.offset()) {
            *place = end;
        }
    }
    if ends.iter().all(|end| *end >= 0) {
        return Ok(ends);
    }
    Err(refused(topic, RDKafkaErrorCode::LeaderNotAvailable))
}

/// Administration over one client.
pub struct Topics {
    admin: AdminClient<DefaultClientContext>,
    runtime: tokio::runtime::Runtime,
}

impl Topics {
    /// A client for the cluster.
    pub fn connect(cluster: &ClusterSettings) -> Result<Self, TopicError> {
        let admin = client::config(cluster, &[]).create()?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime =
            runtime.map_err(|error| Failure::unknown(format!("cannot start a runtime: {error}")))?;
        Ok(Self { admin, runtime })
    }
}

impl source::Topics for Topics {
    fn partitions(&self, topic: &str) -> Result<usize, TopicError> {
        partitions(self.admin.inner(), topic, ASK_WITHIN)
    }

    fn config(&self, topic: &str) -> Result<BTreeMap<String, String>, TopicError> {
        let options = AdminOptions::new().request_timeout(Some(ASK_WITHIN));
        let asked = [ResourceSpecifier::Topic(topic)];
        let answers = self.runtime.block_on(self.admin.describe_configs(&asked, &options))?;
        let mut config = BTreeMap::new();
        for answer in answers {
            let resource = answer.map_err(|code| match code {
                RDKafkaErrorCode::UnknownTopicOrPartition => TopicError::Missing(topic.to_owned()),
                code => refused(topic, code),
            })?;
            let entries = resource.entries.into_iter();
            config.extend(entries.filter_map(|entry| Some((entry.name, entry.value?))));
        }
        Ok(config)
    }

    fn create(&self, topic: &str, partitions: usize, settings: &[(&str, &str)]) -> Result<(), TopicError> {
        let count = i32::try_from(partitions).unwrap_or(i32::MAX);
        let new = NewTopic::new(topic, count, TopicReplication::Fixed(-1));
        let new = settings.iter().fold(new, |new, (name, value)| new.set(name, value));
        let options = AdminOptions::new().operation_timeout(Some(ASK_WITHIN));
        for made in self.runtime.block_on(self.admin.create_topics([&new], &options))? {
            match made {
                Ok(_) | Err((_, RDKafkaErrorCode::TopicAlreadyExists)) => {}
                Err((name, code)) => return Err(refused(&name, code)),
            }
        }
        Ok(())
    }

    fn widen(&self, topic: &str, partitions: usize) -> Result<(), TopicError> {
        let new = NewPartitions::new(topic, partitions);
        let options = AdminOptions::new().operation_timeout(Some(ASK_WITHIN));
        for made in self.runtime.block_on(self.admin.create_partitions([&new], &options))? {
            match made {
                Ok(_) | Err((_, RDKafkaErrorCode::InvalidPartitions)) => {}
                Err((name, code)) => return Err(refused(&name, code)),
            }
        }
        Ok(())
    }
}
