//! The thread that plays the shop: events at a steady rate, consent changes now and then.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{Builder, JoinHandle, sleep};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use fastrand::Rng;
use rdkafka::ClientContext;
use rdkafka::config::ClientConfig;
use rdkafka::error::KafkaError;
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::{BaseProducer, BaseRecord, DeliveryResult, Producer, ProducerContext};
use rdkafka::types::RDKafkaErrorCode;

use crate::time::{Clock, Instant};

use super::events;
use super::experiment::Experiment;
use super::opt_in::OptIn;
use super::people::{Message, Person};

/// People in the demonstration.
pub const PEOPLE: usize = 300;
/// Events a second of the person who is watched.
pub const WATCHED_RATE: u32 = 25;
/// The header that numbers events, so that what comes out can be matched.
pub const NUMBER: &str = "demo-event";
/// The header on the events of the person who is watched.
pub const WATCHED: &str = "demo-watched";
/// Events a second of the person whose events wait.
pub const WAITING_RATE: u32 = 10;
/// The header on the events of the person whose events wait.
pub const WAITING: &str = "demo-waiting";
/// Whoever takes everything back, and whoever confirms; all others come after them.
const OTHERS: usize = 2;

/// Between two consent changes.
const CHANGE_EVERY: Duration = Duration::from_millis(100);
/// The longest wait between two looks at the clock.
const TICK: Duration = Duration::from_millis(2);
/// How long the broker may take to acknowledge what is under way.
const FLUSH_WITHIN: Duration = Duration::from_secs(10);

/// What is asked of the generator, and what it says.
#[derive(Debug, Default)]
pub struct Desk {
    /// It is to end.
    pub stop: AtomicBool,
    /// The watched person is to withdraw.
    pub withdraw: AtomicBool,
    /// The person whose events wait is to confirm.
    pub confirm: AtomicBool,
    /// Events acknowledged by the broker.
    pub events: AtomicU64,
    /// Consent messages acknowledged by the broker.
    pub consents: AtomicU64,
    /// Messages that the broker refused.
    pub failed: AtomicU64,
    /// The person who is watched.
    pub experiment: Experiment,
    /// The person whose events wait.
    pub opt_in: OptIn,
}

/// Where to write, and how fast.
#[derive(Clone, Debug)]
pub struct Order {
    /// `host:port`.
    pub bootstrap: String,
    /// The topic of events.
    pub events: String,
    /// The topic of consents.
    pub consents: String,
    /// Events a second, those of the watched person included.
    pub rate: u32,
}

/// What a message was, for its acknowledgement.
const EVENT: usize = 0;
const CONSENT: usize = 1;
const WITHDRAWAL: usize = 2;
const CONFIRMATION: usize = 3;

/// Counts acknowledgements.
struct Receipts(Arc<Desk>);

impl ClientContext for Receipts {}

impl ProducerContext for Receipts {
    type DeliveryOpaque = usize;

    fn delivery(&self, result: &DeliveryResult<'_>, what: usize) {
        let counted = match (result, what) {
            (Err(_), _) => &self.0.failed,
            (Ok(_), EVENT) => &self.0.events,
            (Ok(_), _) => &self.0.consents,
        };
        counted.fetch_add(1, Ordering::SeqCst);
        match what {
            WITHDRAWAL if result.is_ok() => self.0.experiment.acknowledge(),
            CONFIRMATION if result.is_ok() => self.0.opt_in.acknowledge(),
            _others_are_only_counted => {}
        }
    }
}

/// The shop.
pub struct Generator {
    order: Order,
    desk: Arc<Desk>,
    producer: BaseProducer<Receipts>,
    people: Vec<Person>,
    rng: Rng,
    clock: Clock,
    number: u64,
}

impl Generator {
    /// Connects, and makes up the people.
    pub fn new(order: Order, desk: Arc<Desk>) -> Result<Self> {
        let producer = ClientConfig::new()
            .set("bootstrap.servers", &order.bootstrap)
            .set("partitioner", "murmur2_random")
            .set("enable.idempotence", "true")
            .set("linger.ms", "1")
            .create_with_context(Receipts(Arc::clone(&desk)))
            .context("the generator's producer cannot be made")?;
        let (mut rng, clock) = (Rng::new(), Clock::default());
        let people = (0..PEOPLE).map(|number| Person::new(number, &mut rng, clock.now())).collect();
        Ok(Self { order, desk, producer, people, rng, clock, number: 0 })
    }

    /// Writes what everybody has said so far, and returns when it is acknowledged.
    pub fn say_first(&mut self) -> Result<()> {
        let now = self.clock.now();
        let messages: Vec<Message> =
            self.people.iter().filter_map(|person| person.first_message(now)).collect();
        messages.iter().try_for_each(|message| self.say(message, CONSENT))?;
        self.producer.flush(FLUSH_WITHIN).context("the embedded broker does not acknowledge")
    }

    /// Runs on a thread of its own until `Desk::stop`, then waits for what is under way.
    pub fn start(mut self) -> Result<JoinHandle<Result<()>>> {
        let turn = move || {
            let ended = self.run();
            // Whoever waits for events that never come is told so.
            self.desk.stop.store(true, Ordering::SeqCst);
            ended
        };
        Builder::new().name("demo-shop".to_owned()).spawn(turn).context("no thread for the generator")
    }

    fn run(&mut self) -> Result<()> {
        let began = Instant::now();
        let (mut others, mut watched, mut waiting, mut changes) = (0, 0, 0, 0);
        let (mut asked, mut confirmed) = (false, false);
        while !self.desk.stop.load(Ordering::SeqCst) {
            let passed = began.elapsed();
            while others < due(self.order.rate.saturating_sub(WATCHED_RATE + WAITING_RATE), passed) {
                self.someone_acts()?;
                others += 1;
            }
            while watched < due(WATCHED_RATE, passed) {
                self.watched_acts()?;
                watched += 1;
            }
            while waiting < due(WAITING_RATE, passed) {
                self.waiting_acts()?;
                waiting += 1;
            }
            if changes < passed.as_millis() / CHANGE_EVERY.as_millis() {
                self.someone_changes()?;
                changes += 1;
            }
            if !asked && self.desk.withdraw.load(Ordering::SeqCst) {
                asked = true;
                self.watched_withdraws()?;
            }
            if !confirmed && self.desk.confirm.load(Ordering::SeqCst) {
                confirmed = true;
                self.waiting_confirms()?;
            }
            self.producer.poll(TICK);
        }
        self.producer.flush(FLUSH_WITHIN).context("the embedded broker does not acknowledge")
    }

    fn someone_acts(&mut self) -> Result<()> {
        let Some(person) = self.people.get(self.rng.usize(OTHERS..PEOPLE)) else { return Ok(()) };
        let value = events::event(person, &mut self.rng, self.clock.now());
        let (key, ip) = (person.id.clone(), person.ip.clone());
        self.send(&key, &ip, &value, None)
    }

    fn watched_acts(&mut self) -> Result<()> {
        let Some(person) = self.people.first() else { return Ok(()) };
        let value = events::sound(person, &mut self.rng, self.clock.now());
        let (key, ip) = (person.id.clone(), person.ip.clone());
        self.desk.experiment.sends(self.number);
        self.send(&key, &ip, &value, Some(WATCHED))
    }

    fn waiting_acts(&mut self) -> Result<()> {
        let Some(person) = self.people.get(1) else { return Ok(()) };
        let value = events::abandoned_cart(person, &mut self.rng, self.clock.now());
        let (key, ip) = (person.id.clone(), person.ip.clone());
        self.desk.opt_in.sends(self.number);
        self.send(&key, &ip, &value, Some(WAITING))
    }

    fn someone_changes(&mut self) -> Result<()> {
        let now = self.clock.now();
        let chosen = self.rng.usize(OTHERS..PEOPLE);
        let Some(person) = self.people.get_mut(chosen) else { return Ok(()) };
        let message = person.change(&mut self.rng, now);
        self.say(&message, CONSENT)
    }

    fn watched_withdraws(&mut self) -> Result<()> {
        let now = self.clock.now();
        let Some(person) = self.people.first_mut() else { return Ok(()) };
        let message = person.withdraw_all(now);
        self.say(&message, WITHDRAWAL)
    }

    fn waiting_confirms(&mut self) -> Result<()> {
        let now = self.clock.now();
        let Some(person) = self.people.get_mut(1) else { return Ok(()) };
        let message = person.confirm(now);
        self.desk.opt_in.confirms();
        self.say(&message, CONFIRMATION)
    }

    fn say(&self, message: &Message, what: usize) -> Result<()> {
        let record = BaseRecord::with_opaque_to(&self.order.consents, what).key(message.key.as_str());
        self.produce(match &message.value {
            Some(value) => record.payload(value.as_bytes()),
            None => record,
        })
    }

    fn send(&mut self, key: &str, ip: &str, value: &[u8], mark: Option<&str>) -> Result<()> {
        let number = self.number.to_string();
        let headers = OwnedHeaders::new()
            .insert(Header { key: NUMBER, value: Some(&number) })
            .insert(Header { key: "x-client-ip", value: Some(ip) });
        let headers =
            mark.into_iter().fold(headers, |headers, key| headers.insert(Header { key, value: Some("1") }));
        self.number += 1;
        let record = BaseRecord::with_opaque_to(&self.order.events, EVENT).key(key).payload(value);
        self.produce(record.headers(headers))
    }

    /// Hands a record to the client; where its queue is full, waits for room.
    fn produce(&self, mut record: BaseRecord<'_, str, [u8], usize>) -> Result<()> {
        loop {
            match self.producer.send(record) {
                Ok(()) => return Ok(()),
                Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), back)) => {
                    record = back;
                    self.producer.poll(Duration::ZERO);
                    sleep(TICK);
                }
                Err((error, _)) => bail!("the embedded broker refuses a message: {error}"),
            }
        }
    }
}

/// How many there should be by now at so many a second.
fn due(rate: u32, passed: Duration) -> u128 {
    u128::from(rate) * passed.as_millis() / 1000
}
