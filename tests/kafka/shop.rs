//! One small shop: topics of its own, and the plainest configuration over them.
//!
//! The configuration is JSON, which YAML contains; tests change it as they need.

use std::time::Duration;

use serde_json::{Value, json};

use super::clients::{Reader, Row, Writer, caught_up, read_all};
use super::people::event;
use super::topics::{CONSENT, Topics};
use super::wait::{secs, until};

/// The key of every `hash` action in these tests.
pub const PSEUDONYM_KEY: &[u8; 32] = b"0123456789abcdef0123456789abcdef";

/// The numbers of events that only ask whether anything comes through.
pub const PROBE: u64 = 1_000_000_000;

/// Topics, clients and a configuration.
pub struct Shop {
    pub address: String,
    pub consent: String,
    pub source: String,
    pub sink: String,
    pub quarantine: String,
    pub group: String,
    pub config: Value,
    pub topics: Topics,
    pub writer: Writer,
}

impl Shop {
    /// Makes all topics, with this many partitions of the source and of the consent topic.
    pub fn new(address: &str, name: &str, source: i32, consent: i32) -> Self {
        let shop = Self::without_topics(address, name);
        shop.topics.create(&shop.consent, consent, CONSENT);
        for topic in [&shop.source, &shop.sink, &shop.quarantine] {
            shop.topics.create(topic, source, &[]);
        }
        shop
    }

    /// As [`Shop::new`], and no topic is there yet.
    pub fn without_topics(address: &str, name: &str) -> Self {
        let mut shop = Self {
            address: address.to_owned(),
            consent: format!("{name}-consent"),
            source: format!("{name}-events"),
            sink: format!("{name}-analytics"),
            quarantine: format!("{name}-quarantine"),
            group: format!("{name}-group"),
            config: Value::Null,
            topics: Topics::new(address),
            writer: Writer::new(address),
        };
        shop.config = shop.plain(name);
        shop
    }

    fn plain(&self, name: &str) -> Value {
        json!({
            "version": 1,
            "instance": name,
            "workers": 2,
            "commit_interval": "20ms",
            "kafka": {"brokers": [self.address], "properties": {
                "session.timeout.ms": "3000", "heartbeat.interval.ms": "500",
            }},
            "consent": {"topic": self.consent, "format": "json", "barrier_alert": "2s"},
            "policy": {
                "purposes": {
                    "analytics": {"description": "Measure how the shop is used"},
                    "newsletter": {"description": "Send the monthly newsletter"},
                    "advertising": {"description": "Let partners show offers"},
                },
                "levels": ["anonymous", "pseudonymous", "contact", "sensitive"],
                "pseudonym_key": {"file": pseudonym_file()},
            },
            "pipelines": [{
                "name": "shop",
                "group": self.group,
                "from": {"topics": [self.source], "format": "json", "start": "earliest"},
                "subject": [{"type": "user_id", "path": "/user/id"}],
                "quarantine": {"topic": self.quarantine},
                "routes": [{
                    "name": "analytics",
                    "require": {"purposes": {"all": ["analytics"]}},
                    "to": {"kafka": {"topic": self.sink}},
                }],
            }],
        })
    }

    /// The configuration under another instance's name.
    pub fn config_of(&self, instance: &str) -> Value {
        let mut config = self.config.clone();
        config["instance"] = json!(instance);
        config
    }

    /// The only pipeline, to be changed.
    pub fn pipeline(&mut self) -> &mut Value {
        &mut self.config["pipelines"][0]
    }

    /// Writes consents and waits until they are acknowledged.
    pub fn consents<'a>(&self, rows: impl IntoIterator<Item = &'a Row>) {
        self.writer.all(&self.consent, rows);
    }

    /// Writes events and waits until they are acknowledged.
    pub fn events<'a>(&self, rows: impl IntoIterator<Item = &'a Row>) {
        self.writer.all(&self.source, rows);
    }

    /// Waits until every event is decided and committed.
    #[track_caller]
    pub fn done(&self, limit: Duration) {
        caught_up(&self.address, &self.group, &self.source, limit);
    }

    /// Waits until every event is decided: all that reached the sink.
    #[track_caller]
    pub fn forwarded(&self) -> Vec<Row> {
        self.done(secs(60));
        read_all(&self.address, &self.sink)
    }

    /// Sends events of `yes` until one comes through: from then on nothing can be missed by a group that
    /// began at the end. Their numbers are [`PROBE`] and above.
    #[track_caller]
    pub fn probe(&self) {
        let mut sink = self.reader();
        let mut n = PROBE;
        let comes = || {
            self.events([&event("yes", n)]);
            n += 1;
            !sink.linger(Duration::from_millis(200)).is_empty()
        };
        until(secs(40), comes, || "no event comes through".into());
    }

    pub fn reader(&self) -> Reader {
        Reader::new(&self.address, &self.sink)
    }

    pub fn quarantined(&self) -> Vec<Row> {
        read_all(&self.address, &self.quarantine)
    }
}

fn pseudonym_file() -> String {
    let path = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join("pseudonym-key");
    if std::fs::read(&path).ok().as_deref() != Some(PSEUDONYM_KEY) {
        std::fs::write(&path, PSEUDONYM_KEY).expect("a writable target directory");
    }
    path.display().to_string()
}
