//! A writer of transactions, over the simulated brokers.
//!
//! As a client does, it keeps what it is given for a while and sends it in batches, each partition by itself; refusals
//! come when the transaction is to be committed. What the client cannot know for certain says `Fault::Replace`.

use std::{sync::Arc, time::Duration};

use consentry::source::{Fault, HeaderList, Offsets, Place, Write, WriteError, Writer, WriterSettings};

use super::{
    act::{Act, EndFault},
    broker::No,
    cluster::SimCluster,
    ledger::{By, Worker},
    lies::Lie,
    log::Stored,
    member::SimMember,
    process::worker_here,
    town::HOLD,
    world::{Core, ENDINGS},
};

/// Headers in order.
pub struct Headers(Vec<(String, Option<Vec<u8>>)>);

impl HeaderList for Headers {
    fn with_capacity(count: usize) -> Self {
        Self(Vec::with_capacity(count))
    }

    fn and(mut self, name: &str, value: Option<&[u8]>) -> Self {
        self.0.push((name.to_owned(), value.map(<[u8]>::to_vec)));
        self
    }
}

pub struct SimWriter {
    cluster: SimCluster,
    id: String,
    epoch: u32,
    timeout: Duration,
    worker: Worker,
    begun: Option<Duration>,
    /// What is not sent yet: where to, what, and the number it is reported by.
    waiting: Vec<(Place, Arc<Stored>, usize)>,
    buffer_bytes: usize,
    too_large: Vec<usize>,
    refused: Option<WriteError>,
    /// The transaction that was given a time to end in.
    timed: Option<u64>,
}

fn failed(said: &str, fault: Fault) -> WriteError {
    WriteError::Failed { said: said.to_owned(), fault }
}

impl SimWriter {
    pub fn open(cluster: SimCluster, settings: &WriterSettings) -> Result<Self, WriteError> {
        let Some(id) = settings.transactional_id.clone() else {
            return Err(failed("only transactions are simulated", Fault::Fenced));
        };
        let world = Arc::clone(&cluster.world);
        let process = cluster.process;
        world.step(process, false);
        let mut core = world.core();
        if core.is_cut_off(process) {
            drop(core);
            world.wait(process, 0, Duration::from_secs(10));
            return Err(failed("no broker answers", Fault::Replace));
        }
        let worker = (process, worker_here());
        let (epoch, coming) = core.broker.init(&id);
        core.note(2, || format!("{worker:?} is producer {id} epoch {epoch}"));
        core.spread(coming);
        core.ledger.batches.remove(&worker);
        let begun = core.now();
        while core.broker.is_busy(&id) {
            if core.now() - begun > Duration::from_secs(10) {
                return Err(failed("the transaction before does not end", Fault::Replace));
            }
            drop(core);
            world.wait(process, ENDINGS, Duration::from_secs(1));
            core = world.core();
        }
        drop(core);
        Ok(Self {
            cluster,
            id,
            epoch,
            timeout: settings.timeout,
            worker,
            begun: None,
            waiting: Vec::new(),
            buffer_bytes: settings.buffer_bytes,
            too_large: Vec::new(),
            refused: None,
            timed: None,
        })
    }

    /// What an answer of the brokers means.
    fn sorted(no: No) -> WriteError {
        match no {
            No::Fenced => failed("a newer producer has this id", Fault::Fenced),
            No::Nowhere => WriteError::Nowhere("no such partition".to_owned()),
            No::Stale => failed("the group does not know this member", Fault::Abort),
            No::Busy | No::TooLarge => WriteError::Refused(format!("{no:?}")),
        }
    }

    /// Sends some of what waits, or all of it. An error is one that no other answer could mend.
    fn send_on(&mut self, writing: bool, all: bool) -> Result<(), WriteError> {
        let world = Arc::clone(&self.cluster.world);
        let process = self.cluster.process;
        let begun = world.core().now();
        while !self.waiting.is_empty() {
            if !world.step(process, writing) {
                return Ok(());
            }
            let mut core = world.core();
            if core.now() - begun > Duration::from_secs(12) {
                return Err(WriteError::Unsettled(12));
            }
            if core.is_cut_off(process) || core.broker.is_busy(&self.id) {
                drop(core);
                if !all {
                    return Ok(());
                }
                world.wait(process, ENDINGS, Duration::from_millis(500));
                continue;
            }
            self.send_one(&mut core)?;
            if !all && core.stage.dice.bool() {
                break;
            }
        }
        Ok(())
    }

    /// Sends the first record that waits for some partition.
    fn send_one(&mut self, core: &mut Core) -> Result<(), WriteError> {
        let any = core.stage.dice.usize(0..self.waiting.len());
        let place = self.waiting[any].0.clone();
        let mut own = self.waiting.iter().enumerate().filter(|(_, (to, _, _))| *to == place);
        let at = if core.lies(Lie::NoOrder) { any } else { own.next().unwrap().0 };
        let (place, record, number) = self.waiting.remove(at);
        if core.faults.refusals > 0 {
            core.faults.refusals -= 1;
            self.refused.get_or_insert(WriteError::Refused("as the script has it".to_owned()));
            return Ok(());
        }
        if core.lies(Lie::KeptHolds) && place.0 == HOLD && record.value.is_none() {
            return Ok(());
        }
        if core.lies(Lie::LostRecord) && core.stage.dice.u32(0..30) == 0 {
            return Ok(());
        }
        if core.lies(Lie::DoubleRecord) && core.stage.dice.u32(0..30) == 0 {
            let _twice = core.broker.produce(Some((&self.id, self.epoch)), &place, &record);
        }
        match core.broker.produce(Some((&self.id, self.epoch)), &place, &record) {
            Ok(_) => self.time(core),
            Err(No::TooLarge) => self.too_large.push(number),
            Err(No::Fenced) => return Err(Self::sorted(No::Fenced)),
            Err(no) => drop(self.refused.get_or_insert(Self::sorted(no))),
        }
        Ok(())
    }

    /// The transaction that is open now ends by itself if nobody ends it.
    fn time(&mut self, core: &mut Core) {
        let ongoing = core.broker.producers.get(&self.id).and_then(|producer| producer.ongoing.as_ref());
        let Some(number) = ongoing.map(|txn| txn.number).filter(|number| self.timed != Some(*number)) else {
            return;
        };
        self.timed = Some(number);
        core.stage.plan(self.timeout, Act::TimeOut(self.id.clone(), number));
    }

    fn settle(&mut self) -> Result<(), WriteError> {
        let sent = self.send_on(false, true);
        let (too_large, refused) = (std::mem::take(&mut self.too_large), self.refused.take());
        sent?;
        if !too_large.is_empty() {
            return Err(WriteError::TooLarge(too_large));
        }
        refused.map_or(Ok(()), Err)
    }

    /// Has the coordinator end the transaction. The request, or the answer, may be lost, or late.
    fn end(&mut self, committed: bool) -> Result<(), WriteError> {
        let world = Arc::clone(&self.cluster.world);
        let process = self.cluster.process;
        world.step(process, false);
        let mut core = world.core();
        let fault = core.faults.ends.pop();
        let fault = if core.is_cut_off(process) { Some(EndFault::Lost) } else { fault };
        let late = Act::Late { id: self.id.clone(), epoch: self.epoch, worker: self.worker, committed };
        let mut answer = Ok(None);
        match fault {
            Some(EndFault::Lost) => {}
            Some(EndFault::Late(after)) => core.stage.plan(after, late),
            Some(EndFault::Unheard) | None => {
                answer = core.end(&self.id, self.epoch, self.worker, committed);
            }
        }
        if let Some(fault) = fault {
            core.ledger.seen.lost_ends += 1;
            let worker = self.worker;
            core.note(3, || format!("{worker:?} hears nothing of the end of its transaction: {fault:?}"));
            drop(core);
            world.wait(process, 0, Duration::from_secs(10));
            if world.core().lies(Lie::HopefulEnd) {
                self.begun = None;
                return Ok(());
            }
            return Err(failed("no answer to the end of the transaction", Fault::Replace));
        }
        if let Ok(Some(transaction)) = answer
            && committed
        {
            core.sure(self.worker, transaction);
        }
        drop(core);
        self.begun = None;
        answer.map(drop).map_err(Self::sorted)
    }
}

impl Writer for SimWriter {
    type Member = SimMember;
    type Headers = Headers;

    fn begin(&mut self) -> Result<(), WriteError> {
        if self.begun.is_none() {
            self.begun = Some(self.cluster.world.core().now());
        }
        Ok(())
    }

    fn send(&mut self, write: Write<'_, Headers>) -> Result<(), WriteError> {
        self.begin()?;
        let (world, process) = (Arc::clone(&self.cluster.world), self.cluster.process);
        world.step(process, true);
        let core = world.core();
        let batch = core.ledger.batches.get(&self.worker).and_then(|batches| batches.last()).copied();
        let wall = core.processes[process].machine.wall_at(core.now());
        drop(core);
        let record = Stored {
            key: write.key.map(<[u8]>::to_vec),
            value: write.value.map(<[u8]>::to_vec),
            timestamp: write.timestamp.unwrap_or(wall),
            headers: write.headers.0,
            by: Some(By { worker: self.worker, batch }),
        };
        self.waiting.push(((write.topic.to_owned(), write.partition), Arc::new(record), write.number));
        let bytes: usize = self.waiting.iter().map(|(_, record, _)| record.bytes()).sum();
        let full = bytes > self.buffer_bytes;
        if full || self.cluster.world.core().stage.dice.u32(0..3) == 0 {
            self.send_on(true, full)
        } else {
            Ok(())
        }
    }

    fn serve(&self) {}

    fn commit(&mut self, member: &SimMember, offsets: &Offsets) -> Result<(), WriteError> {
        self.begin()?;
        let world = Arc::clone(&self.cluster.world);
        let process = self.cluster.process;
        if world.core().lies(Lie::OffsetsFirst) {
            world.core().offsets_alone(&member.group, offsets);
        }
        self.settle()?;
        let begun = world.core().now();
        loop {
            if !world.step(process, false) {
                return Ok(());
            }
            let mut core = world.core();
            if core.now() - begun > Duration::from_secs(10) {
                return Err(failed("no answer about offsets", Fault::Replace));
            }
            let Some((name, generation)) = member.identity(&core) else {
                if !core.broker.takes_any_member {
                    return Err(WriteError::Refused("the member was expelled".to_owned()));
                }
                let sent = core.broker.send_offsets((&self.id, self.epoch), (&member.group, 0, 0), offsets);
                sent.map_err(Self::sorted)?;
                break;
            };
            if !core.is_cut_off(process) {
                let by = (self.id.as_str(), self.epoch);
                match core.broker.send_offsets(by, (&member.group, name, generation), offsets) {
                    Ok(()) => {
                        self.time(&mut core);
                        break;
                    }
                    Err(No::Busy) => {}
                    Err(no) => return Err(Self::sorted(no)),
                }
            }
            drop(core);
            world.wait(process, ENDINGS, Duration::from_millis(500));
        }
        self.end(true)
    }

    fn abort(&mut self) -> Result<(), WriteError> {
        if self.begun.is_none() {
            self.waiting.clear();
            return Ok(());
        }
        if let Err(WriteError::Unsettled(within)) = self.settle() {
            return Err(WriteError::Unsettled(within));
        }
        let commits = self.cluster.world.core().lies(Lie::AbortCommits);
        self.end(commits)
    }

    fn age(&self) -> Option<Duration> {
        self.begun.map(|begun| self.cluster.world.core().now() - begun)
    }
}
