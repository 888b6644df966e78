//! How to reach a cluster.

/// A Kafka cluster, and how to talk to it.
#[derive(Clone, Debug, Default)]
pub struct ClusterSettings {
    /// `host:port`, at least one.
    pub brokers: Vec<String>,
    /// librdkafka properties, laid over our defaults; checked against those that carry a promise.
    pub properties: Vec<(String, String)>,
}

/// A topic that is written to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TopicSettings {
    /// Its name.
    pub name: String,
    /// Make it, with the source's partition count, where it is missing.
    pub create: bool,
}
