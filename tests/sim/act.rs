//! What happens by itself, at its time: what the script says, and what the brokers do a moment later.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use consentry::{
    source::{Offsets, Place},
    telemetry::Tally,
};

use super::{
    broker::{Coming, No, Txn},
    check,
    ledger::{Counted, Event, Version, Worker},
    lies::Lie,
    log::Stored,
    process::Doubt,
    script::Step,
    town::{CONSENTS, HOLD, LETTER_BYTES, ROUTES, SINKS, SOURCE},
    world::{Core, ENDINGS, GROUPS, LOGS, World},
};

/// Something that is planned.
#[derive(Debug, PartialEq, Eq)]
pub enum Act {
    /// A partition hears that a transaction has ended.
    Ending(Coming),
    TimeOut(String, u64),
    /// The end of a transaction arrives at last.
    Late {
        id: String,
        epoch: u32,
        worker: Worker,
        committed: bool,
    },
    /// A rebalance of a group is over.
    Settle(String),
    Expire(usize),
    /// A member has not been heard of since it left without a word.
    Depart(String, u64),
    Thaw(usize),
    Boot(usize),
    /// Somebody else's transaction ends.
    Outside(String, u32, bool),
    Script(Step),
    /// No more faults.
    Calm,
    /// Is everything done?
    Look,
}

/// What becomes of the request to end a transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EndFault {
    /// It is lost.
    Lost,
    /// The answer is lost.
    Unheard,
    /// It arrives so much later.
    Late(Duration),
}

/// What goes wrong at the moment.
#[derive(Debug, Default)]
pub struct Faults {
    pub is_calm: bool,
    /// What the wall clocks say at the beginning, and how far each is off.
    pub wall_ms: i64,
    pub skew_ms: i64,
    /// Of a process.
    pub workers: usize,
    /// Processes that reach no broker, until then.
    pub cut: BTreeMap<usize, Duration>,
    pub no_consent_until: Duration,
    pub slow_until: Duration,
    pub ends: Vec<EndFault>,
    /// So many records are to be refused.
    pub refusals: u32,
    /// When everything must be done.
    pub deadline: Duration,
}

/// How long everything may take once there are no faults any more.
const PATIENCE: Duration = Duration::from_secs(150);

impl Core {
    pub fn perform(&mut self, world: &Arc<World>, act: Act) {
        if self.is_over {
            return;
        }
        match act {
            Act::Ending(coming) => {
                self.note(20, || {
                    format!("{:?} hears that {} is {}", coming.at, coming.number, coming.committed)
                });
                self.broker.heard(&coming);
                self.stage.call(LOGS | ENDINGS | GROUPS);
            }
            Act::TimeOut(id, number) => {
                let coming = self.broker.time_out(&id, number);
                if !coming.is_empty() {
                    self.note(21, || format!("transaction {number} of {id} timed out"));
                }
                self.spread(coming);
            }
            Act::Late { id, epoch, worker, committed } => {
                self.note(22, || format!("the end of a transaction of {worker:?} arrives late"));
                let _nobody_hears = self.end(&id, epoch, worker, committed);
            }
            Act::Settle(group) => self.settle(&group),
            Act::Expire(process) => self.expire(process),
            Act::Depart(group, name) => self.depart(&group, name),
            Act::Thaw(process) => {
                if std::mem::take(&mut self.processes[process].is_frozen) {
                    self.note(23, || format!("process {process} wakes up"));
                    self.stage.thaw(process);
                }
            }
            Act::Boot(slot) => {
                if self
                    .slots
                    .get(slot)
                    .copied()
                    .flatten()
                    .is_none_or(|process| self.processes[process].is_dead)
                {
                    self.boot(world, slot);
                }
            }
            Act::Outside(id, epoch, committed) => {
                let ended = self.broker.end((&id, epoch), committed);
                if let Ok(Some((txn, coming))) = ended {
                    self.ledger.ended(txn.number, committed, self.wall());
                    self.note(24, || format!("transaction {} of {id} ends: {committed}", txn.number));
                    self.spread(coming);
                }
            }
            Act::Script(step) => self.play(world, step),
            Act::Calm => {
                self.note(25, || "no more faults".to_owned());
                self.faults = Faults {
                    is_calm: true,
                    wall_ms: self.faults.wall_ms,
                    workers: self.faults.workers,
                    deadline: self.now() + PATIENCE,
                    ..Faults::default()
                };
                for process in 0..self.processes.len() {
                    self.processes[process].fuse = None;
                    self.processes[process].chill = None;
                    self.perform(world, Act::Thaw(process));
                }
                self.perform(world, Act::Boot(0));
                self.stage.plan(Duration::from_secs(9), Act::Look);
            }
            Act::Look => self.look(world),
        }
    }

    /// Ends a transaction of a worker, and looks at what is committed by that.
    pub fn end(&mut self, id: &str, epoch: u32, worker: Worker, committed: bool) -> Result<Option<u64>, No> {
        let ongoing = self.broker.producers.get(id).and_then(|producer| producer.ongoing.as_ref());
        let number = ongoing.map(|txn| txn.number);
        let Some((txn, coming)) = self.broker.end((id, epoch), committed)? else { return Ok(None) };
        let sealed = self.ledger.batches.remove(&worker).unwrap_or_default();
        self.note(26, || {
            format!("transaction {} of {worker:?} ends: {committed}; {}", txn.number, contents(&txn))
        });
        if committed {
            self.ledger.sealed.insert(number.unwrap_or(txn.number), sealed);
            self.look_at(worker, &txn);
        } else {
            self.ledger.seen.aborted += 1;
        }
        self.spread(coming);
        Ok(Some(txn.number))
    }

    fn look_at(&mut self, worker: Worker, txn: &Txn) {
        self.ledger.seen.commits += 1;
        match check::commit(&mut self.ledger, worker, txn) {
            Ok(counted) => {
                for ends in counted.routes {
                    self.ledger.seen.forwarded += ends.forwarded;
                    self.ledger.seen.dropped += ends.dropped;
                    self.ledger.seen.held += ends.held;
                    self.ledger.seen.released += ends.released;
                    self.ledger.seen.quarantined += ends.quarantined;
                }
                let places: Vec<Place> = txn.offsets.places.iter().map(|(place, _)| place.clone()).collect();
                for (number, process) in self.processes.iter_mut().enumerate() {
                    let others = process.doubtful.iter_mut().filter(|doubt| (number, doubt.worker) != worker);
                    others.for_each(|doubt| {
                        doubt.is_covered |= doubt.places.iter().any(|own| places.contains(own))
                    });
                }
                if counted != Counted::default() {
                    let transaction = txn.number;
                    let (since, is_covered) = (self.stage.now(), false);
                    let doubt = Doubt { worker: worker.1, transaction, since, counted, places, is_covered };
                    self.processes[worker.0].doubtful.push(doubt);
                }
            }
            Err(why) => self.fail(format!("{worker:?}: {why}")),
        }
    }

    /// A worker has heard that its transaction is committed: it counts that.
    pub fn sure(&mut self, worker: Worker, transaction: u64) {
        let own = &mut self.processes[worker.0];
        if let Some(at) = own.doubtful.iter().position(|doubt| doubt.transaction == transaction) {
            let counted = own.doubtful.remove(at).counted;
            own.counted.add(&counted);
            if self.lie == Some(Lie::CountedTwice) {
                let mut again = Tally::new(ROUTES);
                again.add_all(None);
                again.flush(&self.processes[worker.0].totals, 1);
            }
        }
    }

    /// A lie: offsets that are committed by themselves.
    pub fn offsets_alone(&mut self, group: &str, offsets: &Offsets) {
        let Some(group) = self.broker.groups.get_mut(group) else { return };
        for (place, at) in &offsets.places {
            group.committed.insert(place.clone(), (*at, offsets.mark.clone()));
        }
    }

    /// A rebalance is over, unless somebody who does not answer is still taken for alive.
    fn settle(&mut self, group: &str) {
        let topics = [SOURCE.to_owned()];
        let places = self.broker.places(&topics);
        let now = self.now();
        let Some(own) = self.broker.groups.get_mut(group) else { return };
        let silent = |process: usize| {
            let is_cut = self.faults.cut.get(&process).is_some_and(|until| *until > now);
            self.processes[process].is_dead || self.processes[process].is_frozen || is_cut
        };
        if own.members.values().any(|member| silent(member.process)) {
            self.stage.plan(Duration::from_millis(500), Act::Settle(group.to_owned()));
            return;
        }
        own.settle(&places);
        self.ledger.seen.rebalances += 1;
        let shares: Vec<_> =
            own.members.values().map(|member| (member.process, member.owned.len())).collect();
        let generation = own.generation;
        self.note(27, || format!("generation {generation} of {group}: {shares:?}"));
        self.stage.call(GROUPS);
    }

    /// Nothing was heard of a process for a session.
    fn expire(&mut self, process: usize) {
        let is_cut = self.is_cut_off(process);
        let own = &self.processes[process];
        if !(own.is_dead || own.is_frozen || is_cut) {
            return;
        }
        self.expel(process);
    }

    pub fn expel(&mut self, process: usize) {
        let groups: Vec<String> = self.broker.groups.keys().cloned().collect();
        for name in groups {
            let Some(group) = self.broker.groups.get_mut(&name) else { continue };
            let before = group.members.len();
            group.members.retain(|_, member| member.process != process);
            if group.members.len() < before {
                self.note(28, || format!("process {process} is expelled"));
                self.rebalance(&name);
            }
        }
        self.stage.call(GROUPS);
    }

    /// The topics, as they are at the beginning.
    pub fn found(&mut self, partitions: usize) {
        let day = ("delete.retention.ms", "86400000");
        self.broker.create(CONSENTS, 2, &[("cleanup.policy", "compact"), day]);
        self.broker.create(SOURCE, partitions, &[("cleanup.policy", "delete")]);
        self.broker.create(HOLD, partitions, &[("cleanup.policy", "compact"), day]);
        self.broker.create(super::town::QUARANTINE, partitions, &[]);
        for (sink, count) in SINKS {
            let most = if sink == SINKS[1].0 { LETTER_BYTES } else { 100_000 };
            let count = if count == 0 { partitions } else { count };
            self.broker.create(sink, count, &[("max.message.bytes", &most.to_string())]);
        }
    }

    /// Somebody writes to a topic; `open`: in a transaction, which ends so much later, so.
    fn write(&mut self, place: &Place, record: Stored, open: Option<(Duration, bool)>) -> (i64, Option<u64>) {
        let record = Arc::new(record);
        let Some((after, committed)) = open else {
            return (self.broker.produce(None, place, &record).unwrap(), None);
        };
        let id = format!("outside-{}", self.broker.number());
        let (epoch, _) = self.broker.init(&id);
        let at = self.broker.produce(Some((&id, epoch)), place, &record).unwrap();
        let number = self.broker.producers[&id].ongoing.as_ref().map(|txn| txn.number);
        self.stage.plan(after, Act::Outside(id, epoch, committed));
        (at, number)
    }

    /// A person says something.
    pub fn say(
        &mut self,
        subject: &str,
        partition: i32,
        body: Option<String>,
        open: Option<(Duration, bool)>,
    ) {
        let place = (CONSENTS.to_owned(), partition);
        let record = Stored {
            key: Some(subject.as_bytes().to_vec()),
            value: body.clone().map(String::into_bytes),
            timestamp: self.wall(),
            headers: Vec::new(),
            by: None,
        };
        let (offset, of) = self.write(&place, record, open);
        let step =
            self.note(29, || format!("{subject} says {body:?} at {partition}:{offset}, open {open:?}"));
        let (committed, acknowledged) = if of.is_some() { (None, None) } else { (Some(true), Some(step)) };
        let topic = self.broker.topics[CONSENTS].id;
        let version = Version {
            partition,
            offset,
            body,
            committed,
            acknowledged,
            at_ms: self.wall(),
            of,
            topic,
            gone: None,
        };
        self.ledger.consents.entry(subject.to_owned()).or_default().push(version);
        self.stage.call(LOGS);
    }

    /// An event comes.
    pub fn come(&mut self, event: &super::script::Coming, partition: i32, open: Option<(Duration, bool)>) {
        let place = (SOURCE.to_owned(), partition);
        let timestamp = self.wall() - event.ago_ms;
        let record = Stored {
            key: event.key.clone().map(String::into_bytes),
            value: event.value.clone().map(String::into_bytes),
            timestamp,
            headers: vec![("x-id".to_owned(), Some(event.number.to_string().into_bytes()))],
            by: None,
        };
        let (offset, of) = self.write(&place, record, open);
        self.note(30, || format!("event {} comes at {partition}:{offset}, open {open:?}", event.number));
        let known = Event {
            number: event.number,
            partition,
            offset,
            line: event.line(timestamp),
            subject: event.subject.clone(),
            key: event.key.clone().map(String::into_bytes),
            is_deletion: event.value.is_none(),
            committed: of.is_none().then_some(true),
            of,
            fates: std::array::from_fn(|_| Default::default()),
            fetched: BTreeMap::new(),
        };
        self.ledger.numbers.insert(event.number, (place.clone(), offset));
        self.ledger.events.entry(place).or_default().insert(offset, known);
        self.stage.call(LOGS);
    }

    /// What the time is, rightly.
    pub fn wall(&self) -> i64 {
        self.faults.wall_ms + i64::try_from(self.now().as_millis()).unwrap()
    }

    /// Whether what a process has counted is what its commits say; one that is killed may not have heard of all.
    pub fn check_counts(&mut self, process: usize, lives: bool) {
        let own = &self.processes[process];
        let (sure, doubtful) = (own.counted, own.doubtful.clone());
        let told = counted(&own.totals.snapshot());
        let fits = (0..1_u32 << doubtful.len().min(10)).find(|choice| {
            let mut sum = sure;
            let chosen = doubtful.iter().enumerate().filter(|(at, _)| choice >> at & 1 == 1);
            chosen.for_each(|(_, doubt)| sum.add(&doubt.counted));
            sum == told
        });
        match fits {
            None => self.fail(format!(
                "process {process} has counted {told:?}, and committed {sure:?}, and maybe {doubtful:?}"
            )),
            Some(choice) => {
                let missed = doubtful.iter().enumerate().filter(|(at, _)| choice >> at & 1 == 0);
                let missed: Vec<&Doubt> = missed.map(|(_, doubt)| doubt).collect();
                self.ledger.seen.uncounted += missed.len() as u64;
                if lives && missed.iter().any(|doubt| !doubt.is_covered) {
                    self.fail(format!("process {process} has not counted some of its commits: {missed:?}"));
                }
            }
        }
    }
}

/// What a transaction holds, for people.
fn contents(txn: &Txn) -> String {
    let offsets = txn.offsets.places.iter().map(|((_, partition), at)| format!("{partition} to {at}"));
    let written = txn.written.iter().map(|((topic, partition), _, record)| {
        let key = String::from_utf8_lossy(record.key.as_deref().unwrap_or_default());
        let what = record.header("x-id").map_or(format!("{key} {}", record.value.is_some()), str::to_owned);
        format!("{topic}/{partition}: {what}")
    });
    offsets.chain(written).collect::<Vec<_>>().join(", ")
}

/// What a process's totals say.
fn counted(totals: &consentry::telemetry::PipelineTotals) -> Counted {
    use consentry::consent::End;
    let mut counted = Counted { read: totals.read, ..Counted::default() };
    for (own, route) in counted.routes.iter_mut().zip(&totals.routes) {
        own.released = route.released;
        for (outcome, count) in &route.counts {
            match outcome {
                None => own.not_routed += count,
                Some((End::Forwarded, _)) => own.forwarded += count,
                Some((End::Dropped, _)) => own.dropped += count,
                Some((End::Held, _)) => own.held += count,
                Some((End::Quarantined, _)) => own.quarantined += count,
            }
        }
    }
    counted
}
