//! A member of a group, over the simulated brokers.
//!
//! Where a partition begins is decided as `src/kafka/member.rs` does: at the committed offset, once that is stable, else
//! at the first record; outside of what there is: a gap.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex},
    time::Duration,
};

use consentry::source::{Event, Failure, Gap, Member, Place, Reading as How, Trouble};

use super::{
    act::Act,
    cluster::{SimCluster, SimMessage, passing},
    group::{Group, Joined},
    lies::Lie,
    log::{Found, Log},
    process::worker_here,
    town::BATCH,
    world::{Client, Core, ENDINGS, GROUPS, LOGS, Reading},
};

pub struct SimMember {
    cluster: SimCluster,
    pub group: String,
    how: How,
    client: Mutex<Client>,
    events: Mutex<Vec<Event>>,
    /// One copy for each message that is handed out.
    out: Arc<()>,
}

impl SimMember {
    pub fn join(cluster: SimCluster, group: &str, how: How) -> Self {
        cluster.world.step(cluster.process, false);
        let member = Self {
            cluster,
            group: group.to_owned(),
            how,
            client: Mutex::default(),
            events: Mutex::default(),
            out: Arc::new(()),
        };
        let mut core = member.cluster.world.core();
        let name = member.enter(&mut core);
        drop(core);
        member.client.lock().unwrap().name = name;
        member
    }

    /// Joins the group under a new name.
    fn enter(&self, core: &mut Core) -> u64 {
        let name = core.broker.number();
        let joined = Joined { process: self.cluster.process, ..Joined::default() };
        core.broker.groups.entry(self.group.clone()).or_default().members.insert(name, joined);
        core.rebalance(&self.group);
        name
    }

    /// Its name and generation, as it knows them; `None`: it was expelled and has heard of it.
    pub fn identity(&self, core: &Core) -> Option<(u64, u32)> {
        let name = self.client.lock().unwrap().name;
        Some((name, core.broker.groups.get(&self.group)?.members.get(&name)?.generation))
    }

    /// Hears what the group says: what it is to let go of, and what is its own now. True: there is something to tell.
    fn listen(&self, core: &mut Core) -> Result<bool, Failure> {
        let mut client = self.client.lock().unwrap();
        let group = core.broker.groups.get_mut(&self.group).ok_or_else(|| passing("no such group"))?;
        let mut events = self.events.lock().unwrap();
        let Some(joined) = group.members.get(&client.name) else {
            let lost = std::mem::take(&mut client.owned);
            events.extend(lost.into_keys().map(Event::Revoked));
            client.name = self.enter(core);
            return Ok(!events.is_empty());
        };
        let leaving: Vec<Place> = joined.leaving.iter().cloned().collect();
        if !leaving.is_empty() {
            client.owned.retain(|place, _| !leaving.contains(place));
            events.extend(leaving.into_iter().map(Event::Revoked));
            group.let_go(client.name);
            core.rebalance(&self.group);
            return Ok(true);
        }
        let new: Vec<Place> =
            joined.owned.iter().filter(|place| !client.owned.contains_key(*place)).cloned().collect();
        if new.is_empty() {
            return Ok(!events.is_empty());
        }
        if group.is_unstable(&new) && core.lie != Some(Lie::UnstableOffsets) {
            return Err(passing("offsets are not stable"));
        }
        for place in new {
            let (reading, gap) = self.begin(core, &place);
            events.push(Event::Assigned(place.clone(), reading.next, gap));
            client.owned.insert(place, reading);
        }
        Ok(true)
    }

    fn begin(&self, core: &Core, place: &Place) -> (Reading, Option<Gap>) {
        let (low, high) = core.broker.log(place).map_or((0, 0), |log| (log.low(), log.end()));
        let committed = core.broker.groups.get(&self.group).and_then(|group| group.committed.get(place));
        let (next, gap) = match committed {
            Some((at, _)) if (low..=high).contains(at) => (*at, None),
            Some((at, _)) => (low, Some(Gap { committed: *at, low, high })),
            None if core.lies(Lie::LatestStart) => (high, None),
            None => (low, None),
        };
        let paused = self.how.waits || (gap.is_some() && !self.how.accept_gap);
        (Reading { next, paused, slow_until: Duration::ZERO }, gap)
    }

    /// A message that there is now.
    fn next(&self, core: &mut Core) -> Option<Result<SimMessage, Failure>> {
        let mut client = self.client.lock().unwrap();
        let mut places: Vec<Place> = client.owned.keys().cloned().collect();
        core.stage.dice.shuffle(&mut places);
        let now = core.now();
        for place in places {
            let reading = client.owned.get_mut(&place)?;
            let Some(log) = core.broker.log(&place).filter(|_| !reading.paused && reading.slow_until <= now)
            else {
                continue;
            };
            if reading.next < log.low() {
                return Some(Err(Failure {
                    trouble: Trouble::OutOfRange,
                    said: "offset out of range".to_owned(),
                }));
            }
            let found = if core.lies(Lie::UncommittedEvents) {
                log.peek(reading.next)
            } else {
                log.read(reading.next)
            };
            let Found::Record(offset, record) = found else { continue };
            if core.stage.dice.u32(0..24) == 0 {
                let most = if core.stage.dice.u32(0..6) == 0 { 400_000 } else { 8_000 };
                reading.slow_until = now + Duration::from_micros(core.stage.dice.u64(0..most));
                continue;
            }
            reading.next = offset + 1;
            let worker = (self.cluster.process, worker_here());
            let step = core.note(1, || format!("{worker:?} fetches {place:?} {offset}"));
            let event = core.ledger.events.get_mut(&place).and_then(|events| events.get_mut(&offset));
            if let Some(event) = event {
                event.fetched.insert(worker, step);
            }
            if Arc::strong_count(&self.out) > BATCH + 2 {
                core.fail(format!("{} messages are kept, of {BATCH} a batch", Arc::strong_count(&self.out)));
            }
            let (topic, out) = (place.0.as_str().into(), Some(Arc::clone(&self.out)));
            return Some(Ok(SimMessage { topic, partition: place.1, offset, record, _out: out }));
        }
        None
    }

    /// Until when none of its partitions is slow any more, if one is.
    fn slow_until(&self, now: Duration) -> Option<Duration> {
        let client = self.client.lock().unwrap();
        client.owned.values().map(|reading| reading.slow_until).filter(|at| *at > now).min()
    }

    /// Asks the brokers; nobody answers a process that is cut off.
    fn ask(&self) -> Result<(), Failure> {
        let SimCluster { world, process } = &self.cluster;
        world.step(*process, false);
        if world.core().is_cut_off(*process) {
            world.wait(*process, 0, Duration::from_secs(10));
            if world.core().is_cut_off(*process) {
                return Err(Failure::unknown("nobody answers"));
            }
        }
        Ok(())
    }
}

impl Member for SimMember {
    type Message<'m> = SimMessage;

    fn poll(&self, patience: Duration) -> Option<Result<SimMessage, Failure>> {
        let SimCluster { world, process } = &self.cluster;
        if !world.step(*process, false) {
            return None;
        }
        let mut core = world.core();
        // Where nothing happens, a thread may be late.
        let stretch = if core.faults.is_calm { 6 } else { 2 };
        let deadline = core.now() + patience * stretch;
        let begun = core.now();
        loop {
            let cut = core.is_cut_off(*process);
            match if cut { Ok(false) } else { self.listen(&mut core) } {
                Ok(false) => {}
                Ok(true) => return None,
                // The client asks until they are, and gives up.
                Err(_) if core.now() - begun < Duration::from_secs(30) => {
                    drop(core);
                    world.wait(*process, ENDINGS, Duration::from_secs(1));
                    core = world.core();
                    continue;
                }
                Err(error) => {
                    self.events.lock().unwrap().push(Event::Failed(error));
                    return None;
                }
            }
            if !cut && let Some(polled) = self.next(&mut core) {
                return Some(polled);
            }
            if core.now() >= deadline {
                let trouble = if core.stage.dice.bool() { Trouble::Disconnected } else { Trouble::CutOff };
                let is_told = cut && core.stage.dice.u32(0..4) == 0;
                return is_told.then(|| Err(Failure { trouble, said: "a connection broke".to_owned() }));
            }
            let now = core.now();
            let left = deadline - now;
            let left = self.slow_until(now).map_or(left, |at| left.min(at - now));
            drop(core);
            world.wait(*process, LOGS | GROUPS, left);
            core = world.core();
        }
    }

    fn take_events(&self) -> Vec<Event> {
        std::mem::take(&mut *self.events.lock().unwrap())
    }

    fn assignment(&self) -> Result<BTreeSet<Place>, Failure> {
        Ok(self.client.lock().unwrap().owned.keys().cloned().collect())
    }

    fn positions(&self) -> Result<BTreeMap<Place, i64>, Failure> {
        let client = self.client.lock().unwrap();
        Ok(client.owned.iter().map(|(place, reading)| (place.clone(), reading.next)).collect())
    }

    fn pause<'p>(&self, places: impl IntoIterator<Item = &'p Place>) -> Result<(), Failure> {
        self.set_paused(places, true);
        Ok(())
    }

    fn resume<'p>(&self, places: impl IntoIterator<Item = &'p Place>) -> Result<(), Failure> {
        self.set_paused(places, false);
        Ok(())
    }

    fn seek(&self, to: &[(Place, i64)]) -> Result<(), Failure> {
        self.ask()?;
        let mut client = self.client.lock().unwrap();
        for (place, at) in to {
            let reading = client.owned.get_mut(place).ok_or_else(|| Failure::unknown("not assigned"))?;
            reading.next = *at;
        }
        Ok(())
    }

    fn committed(&self, places: &[Place]) -> Result<BTreeMap<Place, (i64, String)>, Failure> {
        self.ask()?;
        let SimCluster { world, process } = &self.cluster;
        let begun = world.core().now();
        loop {
            let core = world.core();
            let group = core.broker.groups.get(&self.group);
            if !group.is_some_and(|group| group.is_unstable(places)) || core.lies(Lie::UnstableOffsets) {
                let find = |place: &Place| Some((place.clone(), group?.committed.get(place)?.clone()));
                return Ok(places.iter().filter_map(find).collect());
            }
            if core.now() - begun > Duration::from_secs(10) {
                return Err(Failure::unknown("offsets are not stable"));
            }
            drop(core);
            world.wait(*process, ENDINGS, Duration::from_secs(1));
        }
    }

    fn bounds(&self, places: &[Place]) -> Result<BTreeMap<Place, (i64, i64)>, Failure> {
        self.ask()?;
        let core = self.cluster.world.core();
        let bounds = |log: &Log| (log.low(), log.end());
        Ok(places
            .iter()
            .filter_map(|place| Some((place.clone(), core.broker.log(place).map(bounds)?)))
            .collect())
    }

    fn answers(&self, topic: &str) -> bool {
        let core = self.cluster.world.core();
        !core.is_cut_off(self.cluster.process) && core.broker.topics.contains_key(topic)
    }

    fn leave(&self) {}

    /// No call hangs here, so nobody is dismissed.
    fn dismiss(&self) {}
}

impl SimMember {
    fn set_paused<'p>(&self, places: impl IntoIterator<Item = &'p Place>, paused: bool) {
        let mut client = self.client.lock().unwrap();
        for place in places {
            if let Some(reading) = client.owned.get_mut(place) {
                reading.paused = paused;
            }
        }
    }
}

impl Drop for SimMember {
    /// Leaves the group, unless nobody hears that.
    fn drop(&mut self) {
        let mut core = self.cluster.world.core();
        let name = self.client.lock().unwrap().name;
        if core.processes[self.cluster.process].is_dead || core.is_cut_off(self.cluster.process) {
            let session = core.session();
            core.stage.plan(session, Act::Depart(self.group.clone(), name));
        } else {
            core.depart(&self.group, name);
        }
    }
}

/// A rebalance of a group is over in so long, unless somebody does not answer.
pub const REBALANCE: Duration = Duration::from_millis(1_000);

impl Core {
    /// How long the coordinator waits until it takes a member for gone.
    pub fn session(&mut self) -> Duration {
        Duration::from_millis(self.stage.dice.u64(6_000..15_000))
    }

    /// A member is gone.
    pub fn depart(&mut self, group: &str, name: u64) {
        let left =
            self.broker.groups.get_mut(group).and_then(|group: &mut Group| group.members.remove(&name));
        if left.is_some() {
            self.rebalance(group);
        }
    }

    /// A rebalance begins.
    pub fn rebalance(&mut self, group: &str) {
        let Some(own) = self.broker.groups.get_mut(group) else { return };
        if !std::mem::replace(&mut own.preparing, true) {
            let after = REBALANCE.mul_f64(self.stage.dice.f64());
            self.stage.plan(after, Act::Settle(group.to_owned()));
        }
    }
}
