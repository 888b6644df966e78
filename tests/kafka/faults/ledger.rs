//! What was said and what was done while a fault went on, and since when each was certain.
//!
//! Events flow and people change their minds at the same time. Whoever writes a change waits for its
//! acknowledgement before the next, so that it is known which changes were acknowledged before an event was handed
//! over, and so before it was appended.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use consentry::time::Instant;

use super::scene::CONSENTS;
use crate::kafka::clients::{Row, Writer};
use crate::kafka::people::{erased, event, granted, withdrawn};

/// How many people there are: a third agrees always, a third never, a third changes.
pub const PEOPLE: usize = 48;

/// So often somebody who changes does.
const MINDS: usize = 3;

/// Between two portions of events, and how many a portion is.
const EVERY: Duration = Duration::from_millis(10);
const PORTION: usize = 12;

/// Between an acknowledged change and the next.
const PAUSE: Duration = Duration::from_millis(15);

/// A change of somebody's consent.
#[derive(Clone, Copy, Debug)]
pub struct Change {
    pub person: usize,
    pub permits: bool,
    pub acked: Instant,
    /// Its partition and offset.
    pub place: (i32, i64),
}

/// All that was written.
#[derive(Debug, Default)]
pub struct Ledger {
    /// In the order in which they were acknowledged.
    pub changes: Vec<Change>,
    /// When each event was handed over, by its number.
    pub events: Vec<Instant>,
}

/// Whose event this is.
pub fn person_of(n: u64) -> usize {
    usize::try_from(n).expect("few") % PEOPLE
}

pub fn name(person: usize) -> String {
    format!("person-{person}")
}

/// Two writers at work.
pub struct Load {
    over: Arc<AtomicBool>,
    events: JoinHandle<Vec<Instant>>,
    changes: JoinHandle<Vec<Change>>,
}

impl Load {
    /// Says what everybody says at first, then goes on until it is told to stop.
    pub fn start(address: &str, source: &str, consent: &str) -> Self {
        let over = Arc::new(AtomicBool::new(false));
        let writer = connect(address);
        let first: Vec<Change> =
            (0..PEOPLE).map(|person| say(&writer, consent, person, begins(person))).collect();
        let (own, topic) = (Arc::clone(&over), consent.to_owned());
        let changes = thread::spawn(move || change(&writer, &topic, first, &own));
        let (own, address, topic) = (Arc::clone(&over), address.to_owned(), source.to_owned());
        let events = thread::spawn(move || act(&connect(&address), &topic, &own));
        Self { over, events, changes }
    }

    /// Ends; all is acknowledged then.
    pub fn finish(self) -> Ledger {
        self.over.store(true, Ordering::Relaxed);
        let events = self.events.join().expect("all events are acknowledged");
        Ledger { changes: self.changes.join().expect("all changes are acknowledged"), events }
    }
}

fn connect(address: &str) -> Writer {
    // Partitions may be added at any time.
    Writer::with(address, &[("topic.metadata.refresh.interval.ms", "1000"), ("message.timeout.ms", "120000")])
}

/// Whether somebody agrees at first.
const fn begins(person: usize) -> bool {
    !matches!(person % 3, 1)
}

fn say(writer: &Writer, topic: &str, person: usize, permits: bool) -> Change {
    let name = name(person);
    let row = match permits {
        true => granted(&name),
        false if fastrand::bool() => withdrawn(&name),
        false => erased(&name),
    };
    // Always on the same, also where partitions are added: else there would be several states of one person.
    let partition = i32::try_from(person).expect("few") % CONSENTS;
    let place = writer.acked(topic, &Row { partition: Some(partition), ..row });
    Change { person, permits, acked: Instant::now(), place }
}

/// Somebody says something, again and again; most say what they have said before.
fn change(writer: &Writer, topic: &str, first: Vec<Change>, over: &AtomicBool) -> Vec<Change> {
    let mut said = first;
    let mut minds = [MINDS; PEOPLE];
    while !over.load(Ordering::Relaxed) {
        let person = fastrand::usize(0..PEOPLE);
        let before = said.iter().rev().find(|change| change.person == person).expect("all spoke").permits;
        let changes = person % 3 == 2 && minds[person] > 0 && fastrand::u8(0..4) == 0;
        minds[person] -= usize::from(changes);
        said.push(say(writer, topic, person, before != changes));
        thread::sleep(PAUSE);
    }
    said
}

/// Everybody does something, one after the other, until it is over.
fn act(writer: &Writer, topic: &str, over: &AtomicBool) -> Vec<Instant> {
    let mut sent = Vec::new();
    while !over.load(Ordering::Relaxed) {
        for _ in 0..PORTION {
            let n = u64::try_from(sent.len()).expect("few");
            let row: Row = event(&name(person_of(n)), n);
            sent.push(Instant::now());
            writer.send(topic, &row);
        }
        thread::sleep(EVERY);
    }
    writer.flush();
    sent
}
