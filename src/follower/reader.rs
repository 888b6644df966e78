//! The reader: every committed message of every partition, applied to the cache.

use std::sync::Arc;
use std::time::Duration;

use metrics::Counter;
use rdkafka::TopicPartitionList;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{BorrowedMessage, Message};
use rdkafka::topic_partition_list::Offset;

use super::settings::ConsentFormat;
use super::state::Command;
use super::{FollowerError, Shared};
use crate::cache::{Applied, Said};
use crate::consent::split_key;
use crate::kafka::client::{self, Asking};
use crate::telemetry::Metric;
use crate::wire::change::{decode_json, decode_protobuf};

/// Longer than this nothing is waited for, so that a command is soon seen.
const POLL: Duration = Duration::from_millis(5);
/// Applied messages are told to the barrier after so many, or when there is a pause.
const TELL_EVERY: usize = 512;

/// Reads the consent topic.
pub struct Reader {
    shared: Arc<Shared>,
    consumer: Arc<BaseConsumer<Asking>>,
    /// One entry a partition: the offset below which everything committed is applied.
    partitions: Vec<i64>,
    untold: usize,
    /// How often the topic had been made anew when this reading of it began.
    changes: u64,
    counts: Counts,
    /// Nothing is fetched: messages could not be, and the topic is to be read anew.
    broken: bool,
}

/// What is counted, as handles made once.
struct Counts {
    state: Counter,
    tombstone: Counter,
    invalid: Counter,
    version_regressed: Counter,
}

impl Reader {
    /// A reader that waits for its first command.
    pub fn new(shared: Arc<Shared>) -> Result<Self, FollowerError> {
        let mut config = client::config(
            &shared.cluster,
            &[
                // Never joined, never committed to: librdkafka wants a name to assign partitions by hand.
                ("group.id", "consentry-consent-reader"),
                ("enable.auto.commit", "false"),
                ("enable.auto.offset.store", "false"),
                ("auto.offset.reset", "error"),
                ("isolation.level", "read_committed"),
                ("enable.partition.eof", "true"),
                ("check.crcs", "true"),
                ("fetch.wait.max.ms", "20"),
                ("debug", "topic"),
                // From the leader alone: the end that a follower tells may lag.
                ("client.rack", ""),
            ],
        );
        let consumer = config.set_log_level(RDKafkaLogLevel::Debug).create_with_context(Asking::default())?;
        let applied = |kind| Metric::ConsentApplied.counter(&[kind]);
        let counts = Counts {
            state: applied("state"),
            tombstone: applied("tombstone"),
            invalid: applied("invalid"),
            version_regressed: Metric::ConsentVersionRegressed.counter(&[]),
        };
        Ok(Self {
            shared,
            consumer: Arc::new(consumer),
            partitions: Vec::new(),
            untold: 0,
            changes: 0,
            counts,
            broken: false,
        })
    }

    /// Reads until the follower stops.
    pub fn run(mut self) {
        while !self.shared.is_stopping() {
            let commands = self.shared.state().take_commands();
            for command in commands {
                if let Err(error) = self.obey(command) {
                    self.break_off(&error.to_string());
                }
            }
            self.read();
        }
    }

    /// Reads what is there, or waits a moment.
    fn read(&mut self) {
        let consumer = Arc::clone(&self.consumer);
        let polled = consumer.poll(POLL);
        // Told before anything of the new topic can be polled.
        if consumer.context().changes() != self.changes {
            return self.let_go();
        }
        match polled {
            None => self.tell(),
            Some(Ok(message)) => {
                let (partition, next) = (message.partition(), message.offset() + 1);
                apply(&self.shared, &self.counts, &message);
                self.pass(partition, next);
                self.untold += 1;
                if self.untold >= TELL_EVERY {
                    self.tell();
                }
            }
            Some(Err(KafkaError::PartitionEOF(partition))) => {
                // Control records and what compaction took are not polled: the end tells that they are passed.
                if let Some(end) = consumer.context().end() {
                    self.pass(partition, end);
                }
                self.tell();
            }
            Some(Err(error)) => self.fail(&error),
        }
    }

    fn pass(&mut self, partition: i32, offset: i64) {
        if let Some(next) = usize::try_from(partition).ok().and_then(|at| self.partitions.get_mut(at)) {
            *next = offset.max(*next);
        }
    }

    /// Tells the barrier how far the cache is.
    fn tell(&mut self) {
        if self.broken {
            return;
        }
        let mut state = self.shared.state();
        for (partition, next) in self.partitions.iter().enumerate() {
            state.pass(partition, *next);
        }
        drop(state);
        self.untold = 0;
        self.shared.changed.notify_all();
    }

    fn obey(&mut self, command: Command) -> Result<(), KafkaError> {
        match command {
            Command::Reset(count) => {
                self.consumer.unassign()?;
                self.changes = self.consumer.context().changes();
                self.shared.cache.discard();
                self.shared.unreadable().clear();
                self.partitions = vec![0; count];
                self.broken = false;
                self.shared.state().restarted();
                self.consumer.assign(&self.beginnings(0)?)
            }
            Command::Extend(from, count) => {
                self.partitions.resize(count, 0);
                self.consumer.incremental_assign(&self.beginnings(from)?)
            }
        }
    }

    /// The partitions from `first` on, each at its beginning.
    fn beginnings(&self, first: usize) -> Result<TopicPartitionList, KafkaError> {
        let mut list = TopicPartitionList::new();
        for number in first..self.partitions.len() {
            let number = i32::try_from(number).unwrap_or(i32::MAX);
            list.add_partition_offset(&self.shared.settings.topic, number, Offset::Beginning)?;
        }
        Ok(list)
    }

    /// An error of the consumer. The brokers' absence shows in readings that do not come; anything else may
    /// mean that messages are being skipped, and the topic is read anew.
    fn fail(&mut self, error: &KafkaError) {
        let passing = error.rdkafka_error_code().is_some_and(|code| {
            matches!(
                code,
                RDKafkaErrorCode::BrokerTransportFailure
                    | RDKafkaErrorCode::AllBrokersDown
                    | RDKafkaErrorCode::OperationTimedOut
                    | RDKafkaErrorCode::RequestTimedOut
                    | RDKafkaErrorCode::Resolve
                    | RDKafkaErrorCode::NotCoordinator
                    | RDKafkaErrorCode::CoordinatorNotAvailable
                    | RDKafkaErrorCode::CoordinatorLoadInProgress
                    | RDKafkaErrorCode::GroupAuthorizationFailed
            )
        });
        if passing {
            tracing::debug!(%error, "consent reader");
        } else {
            self.break_off(&error.to_string());
        }
    }

    /// The topic was made anew: nothing more is applied until it is read from its beginning.
    fn let_go(&mut self) {
        if self.broken {
            return;
        }
        self.broken = true;
        if let Err(error) = self.consumer.unassign() {
            tracing::debug!(%error, "unassign");
        }
        self.shared.state().made_anew();
        self.shared.changed.notify_all();
    }

    fn break_off(&mut self, why: &str) {
        if self.broken || self.shared.is_stopping() {
            return;
        }
        tracing::error!(why, topic = self.shared.settings.topic, "the consent topic cannot be read");
        self.broken = true;
        if let Err(error) = self.consumer.unassign() {
            tracing::debug!(%error, "unassign");
        }
        self.shared.state().broken(why.to_owned());
        self.shared.changed.notify_all();
    }
}

/// Applies one message. Total: whatever it holds.
fn apply(shared: &Shared, counts: &Counts, message: &BorrowedMessage<'_>) {
    let (partition, offset) = (message.partition(), message.offset());
    let (raw_key, body) = (message.key().unwrap_or_default(), message.payload());
    let Some(key) = split_key(raw_key) else {
        shared.unreadable().see(partition, offset, raw_key, body.is_none());
        return;
    };
    let max_grants = shared.cache.settings().max_grants;
    let change = body.map(|body| match shared.settings.format {
        ConsentFormat::Json => decode_json(body, key, max_grants),
        ConsentFormat::Protobuf => decode_protobuf(body, key, max_grants),
    });
    let (said, count) = match &change {
        None => (Said::Erased, &counts.tombstone),
        Some(Ok(change)) => (Said::State(change), &counts.state),
        Some(Err(_)) => (Said::Invalid, &counts.invalid),
    };
    if let Some(Err(error)) = &change {
        tracing::warn!(partition, offset, %error, "a consent record does not decode; its subject is denied");
    }
    let Applied { version_regressed, vocabulary_full } = shared.cache.apply(key, partition, offset, &said);
    count.increment(1);
    if version_regressed {
        counts.version_regressed.increment(1);
    }
    if vocabulary_full {
        tracing::warn!(
            partition,
            offset,
            "too many different words in consent records; the subject is denied"
        );
    }
}
