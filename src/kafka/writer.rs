//! Writing records and the offsets they stand for: in one transaction, or one after the other.
//!
//! librdkafka speaks the older transaction protocol, in which the end of one transaction can hit the next
//! after a time-out. So a producer whose outcome is not known for certain is never used again: the error
//! says [`Fault::Replace`], and a new one under the same id fences whatever is in flight.

use std::time::Duration;

use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer};
use rdkafka::error::KafkaError;
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use rdkafka::types::RDKafkaErrorCode;

use super::client;
use super::member::Membership;
use super::offsets::list;
use super::reports::{Reported, Reports};
use super::settings::ClusterSettings;
use crate::source::{self, Fault, HeaderList, Offsets, Write, WriteError, Writer as _, WriterSettings};
use crate::time::Instant;

/// How long one call about a transaction may take.
const CALL_WITHIN: Duration = Duration::from_secs(10);
/// How long writes may take to be acknowledged.
const SETTLE_WITHIN: Duration = Duration::from_secs(12);
const UNSETTLED: WriteError = WriteError::Unsettled(SETTLE_WITHIN.as_secs());
/// How long is slept between two looks at what waits for acknowledgement. The client's own wait of a
/// millisecond spins: it counts what is left of it in whole milliseconds.
const LOOK_EVERY: Duration = Duration::from_millis(1);
/// How long in one go the client is told to let nothing linger. It heeds that only while it is told, and one of its
/// threads must wake up meanwhile.
const HURRY_FOR: Duration = Duration::from_micros(200);
/// How often it is told: what lingers of a partition is held back while a batch of it is on its way, so once is not
/// enough.
const HURRY_EVERY: Duration = Duration::from_millis(1);

impl From<KafkaError> for WriteError {
    fn from(error: KafkaError) -> Self {
        let fault = classify(&error);
        Self::Failed { said: error.to_string(), fault }
    }
}

impl HeaderList for OwnedHeaders {
    fn with_capacity(count: usize) -> Self {
        Self::new_with_capacity(count)
    }

    fn and(self, name: &str, value: Option<&[u8]>) -> Self {
        self.insert(Header { key: name, value })
    }
}

/// Sorts an error; whatever is not known to be harmless is not.
fn classify(error: &KafkaError) -> Fault {
    let KafkaError::Transaction(error) = error else { return Fault::Replace };
    if error.is_fatal() && is_fencing(error.code()) {
        Fault::Fenced
    } else if !error.is_fatal() && error.txn_requires_abort() {
        Fault::Abort
    } else {
        Fault::Replace
    }
}

/// Sorts an error of a commit of offsets alone.
fn between_generations(error: KafkaError) -> WriteError {
    let again = matches!(
        error.rdkafka_error_code(),
        Some(
            RDKafkaErrorCode::RebalanceInProgress
                | RDKafkaErrorCode::IllegalGeneration
                | RDKafkaErrorCode::UnknownMemberId
        )
    );
    let fault = if again { Fault::Again } else { Fault::Replace };
    WriteError::Failed { said: error.to_string(), fault }
}

/// A record that was refused, or offsets that were.
fn refusal(code: RDKafkaErrorCode) -> WriteError {
    match code {
        RDKafkaErrorCode::UnknownPartition | RDKafkaErrorCode::UnknownTopic => {
            WriteError::Nowhere(code.to_string())
        }
        _other => WriteError::Refused(code.to_string()),
    }
}

/// Whether an error says that somebody newer writes under this id.
const fn is_fencing(code: RDKafkaErrorCode) -> bool {
    matches!(
        code,
        RDKafkaErrorCode::Fenced | RDKafkaErrorCode::ProducerFenced | RDKafkaErrorCode::InvalidProducerEpoch
    )
}

/// A producer and what it has sent since the last commit.
pub struct Writer {
    producer: BaseProducer<Reports>,
    transactional: bool,
    begun: Option<Instant>,
    sent: u64,
    buffer_bytes: usize,
    /// Bytes handed over since the last time nothing waited. librdkafka's own bound counts values alone.
    handed_bytes: usize,
}

impl Writer {
    /// Makes a producer; with a transactional id, every older one of that id is fenced and its transaction
    /// ended.
    pub fn open(cluster: &ClusterSettings, settings: &WriterSettings) -> Result<Self, WriteError> {
        let mut config = client::config(cluster, &[("enable.idempotence", "true"), ("acks", "all")]);
        // A record's size is bounded by `max_record_bytes` and by what the sink takes, not by the client.
        config.set("message.max.bytes", "1000000000");
        config.set("batch.size", settings.batch_bytes.to_string());
        if settings.cautious {
            config.set("batch.num.messages", "1");
        }
        let buffer = (settings.buffer_bytes / 1024).max(1).to_string();
        let linger = settings.linger.as_millis().to_string();
        for (name, value) in [
            // The client has one batch of a partition on its way, and spins while others have waited for so long.
            ("linger.ms", linger.as_str()),
            ("queue.buffering.max.kbytes", &buffer),
            ("queue.buffering.max.messages", "0"),
            // A call may wait for a coordinator that has gone until another connection comes or goes: an idle one does.
            ("connections.max.idle.ms", "10000"),
        ] {
            if !client::is_set(cluster, name) {
                config.set(name, value);
            }
        }
        if let Some(id) = &settings.transactional_id {
            config.set("transactional.id", id);
            config.set("transaction.timeout.ms", settings.timeout.as_millis().to_string());
        }
        let producer: BaseProducer<Reports> = config.create_with_context(Reports::default())?;
        let transactional = settings.transactional_id.is_some();
        if transactional {
            producer.init_transactions(CALL_WITHIN)?;
        }
        Ok(Self {
            producer,
            transactional,
            begun: None,
            sent: 0,
            buffer_bytes: settings.buffer_bytes,
            handed_bytes: 0,
        })
    }

    /// Sorts an error. Once a producer is fenced every call only says that it is beyond repair: what it
    /// died of, the client knows.
    fn sort(&self, error: KafkaError) -> WriteError {
        let died = self.producer.client().fatal_error();
        let fenced = died.is_some_and(|(code, _)| is_fencing(code));
        let fault = if fenced { Fault::Fenced } else { classify(&error) };
        WriteError::Failed { said: error.to_string(), fault }
    }

    fn refused(&self, code: RDKafkaErrorCode) -> WriteError {
        match self.sort(KafkaError::MessageProduction(code)) {
            error if error.fault() == Fault::Fenced => error,
            _other => refusal(code),
        }
    }

    fn wait_a_moment(&self) {
        let before = self.producer.in_flight_count();
        self.serve();
        if self.producer.in_flight_count() == before {
            std::thread::sleep(LOOK_EVERY);
        }
    }

    /// Has the client send what lingers.
    fn hurry(&self) {
        let began = Instant::now();
        // Not done within no time is what it answers; nobody waits for it here.
        while self.producer.flush(Duration::ZERO).is_err() && began.elapsed() < HURRY_FOR {
            std::thread::yield_now();
        }
    }

    /// Waits until nothing waits for an acknowledgement.
    fn drain(&self) -> Result<(), WriteError> {
        let began = Instant::now();
        let mut hurried: Option<Instant> = None;
        while self.producer.in_flight_count() > 0 {
            if began.elapsed() > SETTLE_WITHIN {
                return Err(UNSETTLED);
            }
            if hurried.is_none_or(|at| at.elapsed() >= HURRY_EVERY) {
                self.hurry();
                hurried = Some(Instant::now());
            }
            self.wait_a_moment();
        }
        Ok(())
    }

    /// Waits until every record is acknowledged.
    fn settle(&mut self) -> Result<(), WriteError> {
        self.drain()?;
        self.handed_bytes = 0;
        let Reported { acknowledged, too_large, refused } = self.producer.context().take();
        let sent = std::mem::take(&mut self.sent);
        match refused {
            _ if !too_large.is_empty() => Err(WriteError::TooLarge(too_large)),
            Some(code) => Err(self.refused(code)),
            None if acknowledged != sent => Err(UNSETTLED),
            None => Ok(()),
        }
    }
}

impl source::Writer for Writer {
    type Member = BaseConsumer<Membership>;
    type Headers = OwnedHeaders;

    fn begin(&mut self) -> Result<(), WriteError> {
        if self.begun.is_none() {
            if self.transactional {
                self.producer.begin_transaction().map_err(|error| self.sort(error))?;
            }
            self.begun = Some(Instant::now());
        }
        Ok(())
    }

    fn send(&mut self, write: Write<'_, OwnedHeaders>) -> Result<(), WriteError> {
        self.begin()?;
        self.handed_bytes += write.size;
        if self.handed_bytes > self.buffer_bytes {
            self.drain()?;
            self.handed_bytes = write.size;
        }
        let mut full_since: Option<Instant> = None;
        let mut record: BaseRecord<'_, [u8], [u8], usize> =
            BaseRecord::with_opaque_to(write.topic, write.number)
                .partition(write.partition)
                .headers(write.headers);
        record.key = write.key;
        record.payload = write.value;
        record.timestamp = write.timestamp;
        loop {
            match self.producer.send(record) {
                Ok(()) => {
                    self.sent += 1;
                    return Ok(());
                }
                Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), back)) => {
                    if full_since.get_or_insert_with(Instant::now).elapsed() > SETTLE_WITHIN {
                        return Err(UNSETTLED);
                    }
                    self.wait_a_moment();
                    record = back;
                }
                Err((KafkaError::MessageProduction(RDKafkaErrorCode::MessageSizeTooLarge), back)) => {
                    return Err(WriteError::TooLarge(vec![back.delivery_opaque]));
                }
                // After a refusal nothing more is taken: what was refused says more than this.
                Err((error, _)) => {
                    return Err(match self.settle() {
                        Err(refusal @ WriteError::TooLarge(_)) => refusal,
                        Ok(()) | Err(_) => self.sort(error),
                    });
                }
            }
        }
    }

    fn serve(&self) {
        self.producer.poll(Duration::ZERO);
    }

    fn commit(&mut self, consumer: &BaseConsumer<Membership>, offsets: &Offsets) -> Result<(), WriteError> {
        self.begin()?;
        self.settle()?;
        let offsets = list(offsets)?;
        if self.transactional {
            let group = consumer.group_metadata().ok_or_else(|| refusal(RDKafkaErrorCode::UnknownGroup))?;
            // Asked after the metadata were taken: a member that was expelled has no name any more, and of the
            // nameless the coordinator takes whatever they commit.
            if consumer.assignment_lost() {
                return Err(refusal(RDKafkaErrorCode::UnknownMemberId));
            }
            let sent = self.producer.send_offsets_to_transaction(&offsets, &group, CALL_WITHIN);
            sent.map_err(|error| self.sort(error))?;
            self.producer.commit_transaction(CALL_WITHIN).map_err(|error| self.sort(error))?;
        } else {
            consumer.commit(&offsets, CommitMode::Sync).map_err(between_generations)?;
        }
        self.begun = None;
        Ok(())
    }

    fn abort(&mut self) -> Result<(), WriteError> {
        // Aborting while the first record is on its way can end the producer: wait for it.
        let settled = self.settle();
        if self.begun.is_some() && self.transactional {
            self.producer.abort_transaction(CALL_WITHIN).map_err(|error| self.sort(error))?;
        }
        self.begun = None;
        match settled {
            Err(WriteError::Unsettled(within)) => Err(WriteError::Unsettled(within)),
            Ok(())
            | Err(
                WriteError::TooLarge(_)
                | WriteError::Nowhere(_)
                | WriteError::Refused(_)
                | WriteError::Failed { .. },
            ) => Ok(()),
        }
    }

    fn age(&self) -> Option<Duration> {
        self.begun.map(Instant::elapsed)
    }
}
