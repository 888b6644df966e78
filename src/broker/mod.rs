//! The embedded broker: enough of Kafka to see Consentry at work without one.
//!
//! It is librdkafka's mock cluster, on loopback and in memory. It keeps groups, offsets and 5 MiB or
//! 100,000 records a partition. It does not compact, does not authenticate, forgets all when it is
//! dropped, and its transactions are a fake: every call succeeds and nothing is isolated or fenced. So it
//! serves the demonstration, at least once, and says so; nothing about transactions can be shown on it.

use rdkafka::error::KafkaError;
use rdkafka::mocking::MockCluster;
use rdkafka::producer::DefaultProducerContext;

/// librdkafka properties for clients of this broker. It answers a fetch that finds nothing only when the
/// wait is over, and not when a record comes.
pub const PROPERTIES: &[(&str, &str)] = &[("fetch.wait.max.ms", "10")];

/// A running embedded broker; dropping it ends it. It stays on the thread that made it.
pub struct Broker {
    cluster: MockCluster<'static, DefaultProducerContext>,
}

/// The embedded broker refused something.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// It did not start.
    #[error("the embedded broker does not start: {0}; it needs a free port on 127.0.0.1")]
    Start(#[source] KafkaError),
    /// It did not make a topic.
    #[error("the embedded broker does not make topic `{0}`: {1}")]
    Topic(String, #[source] KafkaError),
}

impl Broker {
    /// Starts one broker on a free port of the loopback interface.
    ///
    /// # Errors
    /// No port, no memory.
    pub fn start() -> Result<Self, Error> {
        MockCluster::new(1).map(|cluster| Self { cluster }).map_err(Error::Start)
    }

    /// Makes a topic. (The broker knows no `CreateTopics` request, so a client cannot.)
    ///
    /// # Errors
    /// The name is taken or is no name.
    pub fn create(&self, topic: &str, partitions: u16) -> Result<(), Error> {
        self.cluster
            .create_topic(topic, i32::from(partitions), 1)
            .map_err(|error| Error::Topic(topic.to_owned(), error))
    }

    /// `host:port` for `bootstrap.servers`.
    pub fn bootstrap(&self) -> String {
        self.cluster.bootstrap_servers()
    }
}

impl std::fmt::Debug for Broker {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Broker").field(&self.bootstrap()).finish()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use rdkafka::ClientConfig;
    use rdkafka::consumer::{BaseConsumer, Consumer};

    use super::*;

    #[test]
    fn shows_the_topics_that_were_made() {
        let broker = Broker::start().unwrap();
        broker.create("events", 3).unwrap();
        assert!(matches!(broker.create("events", 3), Err(Error::Topic(name, _)) if name == "events"));
        let client: BaseConsumer =
            ClientConfig::new().set("bootstrap.servers", broker.bootstrap()).create().unwrap();
        let answer = client.fetch_metadata(Some("events"), Duration::from_secs(5)).unwrap();
        assert_eq!(answer.topics()[0].partitions().len(), 3);
    }
}
