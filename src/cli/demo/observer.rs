//! The thread that reads every sink, and says what was really found there.
//!
//! It knows nothing of the proxy: it is a reader like any other, so that what it finds can be held
//! against what the proxy counted. At least once may write an event twice; each is counted once, and the
//! rest as duplicates.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{Builder, JoinHandle};
use std::time::Duration;

use anyhow::{Context, Result};
use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::message::{BorrowedMessage, Headers, Message};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};

use crate::broker::PROPERTIES;

use super::generator::{Desk, NUMBER, WAITING, WATCHED};

/// The longest wait for a record.
const TICK: Duration = Duration::from_millis(50);

/// A topic to read.
#[derive(Clone, Debug)]
pub struct Outlet {
    /// Its name.
    pub topic: String,
    /// What goes into it.
    pub kind: OutletKind,
}

/// What goes into a topic.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OutletKind {
    /// What a route that asks for consent forwards.
    Asks,
    /// The same, of a route at which records wait.
    Waits,
    /// What a route that asks for none forwards.
    Exempt,
    /// What is set aside.
    Quarantine,
}

/// What was found in a topic.
#[derive(Clone, Debug, Default)]
pub struct Found {
    /// Events, each once.
    pub events: u64,
    /// Copies beyond the first.
    pub duplicates: u64,
    /// One bit for each event number.
    seen: Vec<u64>,
}

/// The running observer.
pub struct Observer {
    found: Arc<Mutex<Vec<Found>>>,
    stop: Arc<AtomicBool>,
    thread: JoinHandle<()>,
}

impl Observer {
    /// Reads `outlets`, each of `partitions` partitions, from their start.
    pub fn start(bootstrap: &str, outlets: Vec<Outlet>, partitions: u16, desk: Arc<Desk>) -> Result<Self> {
        let mut config = ClientConfig::new();
        config
            .set("bootstrap.servers", bootstrap)
            .set("group.id", "consentry-demo-observer")
            .set("enable.auto.commit", "false");
        PROPERTIES.iter().for_each(|(name, value)| {
            config.set(*name, *value);
        });
        let consumer: BaseConsumer = config.create().context("the observer's consumer cannot be made")?;
        let mut all = TopicPartitionList::new();
        for outlet in &outlets {
            for partition in 0..i32::from(partitions) {
                all.add_partition_offset(&outlet.topic, partition, Offset::Beginning)?;
            }
        }
        consumer.assign(&all).context("the observer cannot read the sinks")?;
        let found = Arc::new(Mutex::new(vec![Found::default(); outlets.len()]));
        let stop = Arc::new(AtomicBool::new(false));
        let reader = Reader { consumer, outlets, desk, found: Arc::clone(&found) };
        let stopped = Arc::clone(&stop);
        let thread = Builder::new()
            .name("demo-observer".to_owned())
            .spawn(move || reader.run(&stopped))
            .context("no thread for the observer")?;
        Ok(Self { found, stop, thread })
    }

    /// Events found so far in each outlet.
    pub fn events(&self) -> Vec<u64> {
        lock(&self.found).iter().map(|found| found.events).collect()
    }

    /// Ends it, and says what was found.
    pub fn stop(self) -> Vec<Found> {
        self.stop.store(true, Ordering::SeqCst);
        if self.thread.join().is_err() {
            tracing::error!("the observer panicked");
        }
        lock(&self.found).clone()
    }
}

struct Reader {
    consumer: BaseConsumer,
    outlets: Vec<Outlet>,
    desk: Arc<Desk>,
    found: Arc<Mutex<Vec<Found>>>,
}

impl Reader {
    fn run(&self, stop: &AtomicBool) {
        while !stop.load(Ordering::SeqCst) {
            match self.consumer.poll(TICK) {
                Some(Ok(message)) => self.note(&message),
                Some(Err(error)) => tracing::warn!(%error, "the observer cannot read"),
                None => {}
            }
        }
    }

    fn note(&self, message: &BorrowedMessage<'_>) {
        let at = self.outlets.iter().position(|outlet| outlet.topic == message.topic());
        let (Some(at), Some(number)) = (at, number(message)) else { return };
        if let Some(found) = lock(&self.found).get_mut(at) {
            found.note(number);
        }
        match self.outlets.get(at).map(|outlet| outlet.kind) {
            Some(OutletKind::Waits) if has(message, WAITING) => self.desk.opt_in.came_out(number),
            Some(OutletKind::Asks | OutletKind::Waits) if has(message, WATCHED) => {
                self.desk.experiment.came_out(number, true)
            }
            Some(OutletKind::Exempt) if has(message, WATCHED) => self.desk.experiment.came_out(number, false),
            _ => {}
        }
    }
}

impl Found {
    fn note(&mut self, number: u64) {
        let (Ok(word), bit) = (usize::try_from(number / 64), 1 << (number % 64)) else { return };
        if self.seen.len() <= word {
            self.seen.resize(word + 1, 0);
        }
        let Some(word) = self.seen.get_mut(word) else { return };
        if *word & bit == 0 {
            *word |= bit;
            self.events += 1;
        } else {
            self.duplicates += 1;
        }
    }
}

fn number(message: &BorrowedMessage<'_>) -> Option<u64> {
    let header = message.headers()?.iter().find(|header| header.key == NUMBER)?;
    std::str::from_utf8(header.value?).ok()?.parse().ok()
}

fn has(message: &BorrowedMessage<'_>, mark: &str) -> bool {
    message.headers().is_some_and(|headers| headers.iter().any(|header| header.key == mark))
}

fn lock(found: &Mutex<Vec<Found>>) -> MutexGuard<'_, Vec<Found>> {
    found.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_counts_once() {
        let mut found = Found::default();
        for number in [0, 63, 64, 1000, 64, 0] {
            found.note(number);
        }
        assert_eq!((found.events, found.duplicates), (4, 2));
    }
}
