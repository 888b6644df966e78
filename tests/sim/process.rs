//! A process: the product's follower and line, on threads of the stage, with a clock of its own.

use std::{
    cell::Cell,
    collections::BTreeSet,
    sync::{
        Arc, Mutex, OnceLock,
        atomic::{AtomicBool, AtomicI64, AtomicUsize, Ordering},
        mpsc::{Receiver, channel},
    },
    time::Duration,
};

use consentry::{
    app::{Error, supervise},
    cache::{Cache, Caches},
    follower::Follower,
    pipeline::{
        End,
        duty::Duty,
        line::{Line, LineError, Parts},
    },
    policy::rules::Rules,
    source::{Place, pace},
    telemetry::{Health, Totals},
    time::{Clock, Machine, Timestamp, simulate},
};

use super::{
    act::Act,
    cluster::SimCluster,
    gate::SimGate,
    ledger::Counted,
    lies::Lie,
    town::ready,
    world::{Core, World, bell},
};

thread_local! {
    static WORKER: Cell<usize> = const { Cell::new(0) };
}

/// The number of the worker that runs on this thread.
pub fn worker_here() -> usize {
    WORKER.get()
}

/// A process as the stage knows it.
pub struct Process {
    pub slot: usize,
    pub is_dead: bool,
    pub is_frozen: bool,
    /// It could not reach the brokers for a while. Told to stop then, it ends without hearing of its last commit.
    pub was_cut_off: bool,
    /// So many steps until it is killed, or is frozen for so long.
    pub fuse: Option<u32>,
    pub chill: Option<(u32, Duration)>,
    /// How many feeds it has made, and how many of the first of them have locked themselves up.
    pub feeds: u64,
    pub dead_feeds: u64,
    /// Threads that have a view of the cache.
    pub views: BTreeSet<usize>,
    pub machine: Arc<SimMachine>,
    pub stopping: Arc<AtomicBool>,
    pub totals: Arc<Totals>,
    /// What its commits count, and what of that it may not have heard of.
    pub counted: Counted,
    pub doubtful: Vec<Doubt>,
}

/// A commit that its worker has not heard of yet, or never will.
#[derive(Clone, Debug)]
pub struct Doubt {
    pub worker: usize,
    pub transaction: u64,
    pub since: Duration,
    pub counted: Counted,
    pub places: Vec<Place>,
    /// Somebody else has committed one of its partitions since: from the group's offsets nobody can tell any more
    /// whether it is committed.
    pub is_covered: bool,
}

/// A machine: its clocks.
pub struct SimMachine {
    world: Mutex<Option<Arc<World>>>,
    process: usize,
    /// What its wall clock says at the beginning of the run.
    pub wall_ms: AtomicI64,
    counter: AtomicUsize,
}

impl SimMachine {
    fn world(&self) -> Arc<World> {
        self.world.lock().unwrap().clone().unwrap()
    }

    pub fn wall_at(&self, now: Duration) -> i64 {
        self.wall_ms.load(Ordering::Relaxed) + i64::try_from(now.as_millis()).unwrap()
    }
}

impl Machine for SimMachine {
    fn monotonic(&self) -> Duration {
        self.world().core().now()
    }

    fn wall(&self) -> Timestamp {
        Timestamp(self.wall_at(self.monotonic()))
    }

    fn sleep(&self, pause: Duration) {
        self.world().step(self.process, false);
        self.world().wait(self.process, 0, pause);
    }

    fn wait(&self, at_most: Duration) {
        self.world().step(self.process, false);
        self.world().wait(self.process, bell(self.process), at_most);
    }

    fn ring(&self) {
        self.world().core().stage.call(bell(self.process));
    }

    fn random(&self) -> u64 {
        self.counter.fetch_add(1, Ordering::Relaxed) as u64 * 1_000 + self.process as u64
    }
}

fn rules() -> &'static Arc<Rules> {
    static RULES: OnceLock<Arc<Rules>> = OnceLock::new();
    RULES.get_or_init(|| Arc::new(Rules::compile(&ready().policy, &ready().pipelines[0].rules).unwrap()))
}

impl Core {
    /// Starts a process in a slot, whoever is there.
    pub fn boot(&mut self, world: &Arc<World>, slot: usize) {
        let process = self.processes.len();
        let base = self.faults.wall_ms + self.stage.dice.i64(-self.faults.skew_ms..=self.faults.skew_ms);
        let machine = Arc::new(SimMachine {
            world: Mutex::new(Some(Arc::clone(world))),
            process,
            wall_ms: base.into(),
            counter: 1.into(),
        });
        let routes: Vec<String> = rules().routes.iter().map(|route| route.name.clone()).collect();
        self.processes.push(Process {
            slot,
            is_dead: false,
            is_frozen: false,
            was_cut_off: false,
            fuse: None,
            chill: None,
            feeds: 0,
            dead_feeds: 0,
            views: BTreeSet::new(),
            machine: Arc::clone(&machine),
            stopping: Arc::default(),
            totals: Arc::new(Totals::new("shop", &routes)),
            counted: Counted::default(),
            doubtful: Vec::new(),
        });
        if self.slots.len() <= slot {
            self.slots.resize(slot + 1, None);
        }
        self.slots[slot] = Some(process);
        self.note(6, || format!("process {process} starts as gate-{slot}"));
        let cluster = SimCluster { world: Arc::clone(world), process };
        let workers = self.faults.workers;
        world.spawn(self, process, move || {
            let _on = simulate(Arc::<SimMachine>::clone(&machine));
            main(&cluster, &machine, slot, workers);
        });
    }

    /// A thread of a process asks the brokers once more: it may be the moment to be killed, or frozen.
    pub fn burn(&mut self, process: usize) {
        let own = &mut self.processes[process];
        if let Some(left) = &mut own.fuse {
            *left = left.saturating_sub(1);
            if *left == 0 {
                own.fuse = None;
                self.kill(process);
                return;
            }
        }
        let own = &mut self.processes[process];
        if let Some((left, long)) = &mut own.chill {
            *left = left.saturating_sub(1);
            if *left == 0 {
                let long = *long;
                own.chill = None;
                self.freeze(process, long);
            }
        }
    }

    pub fn kill(&mut self, process: usize) {
        if !self.processes[process].is_dead {
            self.note(7, || format!("process {process} is killed"));
            self.ledger.seen.killed += 1;
            self.check_counts(process, false);
            self.processes[process].is_dead = true;
            self.stage.rouse(process);
            self.silence(process);
        }
    }

    fn freeze(&mut self, process: usize, long: Duration) {
        self.note(8, || format!("process {process} is frozen for {long:?}"));
        self.ledger.seen.frozen += 1;
        self.processes[process].is_frozen = true;
        self.stage.freeze(process);
        self.stage.plan(long, Act::Thaw(process));
        self.silence(process);
    }

    /// Nothing is heard of a process: its members are expelled in time, unless that is over.
    pub fn silence(&mut self, process: usize) {
        let session = self.session();
        self.stage.plan(session, Act::Expire(process));
    }

    /// Every thread of a process has ended.
    pub fn gone(&mut self, process: usize) {
        let slot = self.processes[process].slot;
        if !self.processes[process].is_dead {
            let was_cut_off = self.processes[process].was_cut_off;
            self.check_counts(process, !was_cut_off);
            self.processes[process].is_dead = true;
            self.note(9, || format!("process {process} has ended"));
        }
        *self.processes[process].machine.world.lock().unwrap() = None;
        if self.slots[slot] == Some(process) {
            self.slots[slot] = None;
        }
    }
}

/// What a process does: as `app` has it, without what nobody here looks at.
fn main(cluster: &SimCluster, machine: &Arc<SimMachine>, slot: usize, workers: usize) {
    let SimCluster { world, process } = cluster;
    let ready = ready();
    let health = Health::new();
    let caches = Arc::new(Caches::whole(Cache::new(ready.cache, &[7; 16])));
    let built = Follower::build(cluster, &ready.follower, Arc::clone(&caches), health.clone(), true);
    let (follower, bodies) = built.unwrap();
    for (_, body) in bodies {
        let machine = Arc::clone(machine);
        world.spawn(&mut world.core(), *process, move || {
            let _on = simulate(machine);
            body();
        });
    }
    let (stopping, totals) = {
        let core = world.core();
        (Arc::clone(&core.processes[*process].stopping), Arc::clone(&core.processes[*process].totals))
    };
    let mut line = ready.line;
    line.workers = workers;
    if world.core().lies(Lie::EndlessBatches) {
        line.limits.batch_records = usize::MAX;
    }
    let clock: Arc<Clock> = Arc::default();
    let gate =
        SimGate { inner: follower.gate(0), cluster: cluster.clone(), caches, clock: Arc::clone(&clock) };
    let parts = Arc::new(Parts {
        settings: ready.pipelines[0].clone(),
        rules: Arc::clone(rules()),
        line,
        cluster: cluster.clone(),
        instance: format!("gate-{slot}"),
        policy_hash: ready.policy_hash.clone(),
        barrier: Box::new(gate),
        health,
        totals,
        clock,
        stopping: Arc::clone(&stopping),
        asks_limits: true,
        sharded_by: None,
    });
    let line = loop {
        match Line::build(Arc::clone(&parts)) {
            Ok(line) => break Arc::new(line),
            Err(LineError::Topic(_)) if !stopping.load(Ordering::Relaxed) => {
                pace::sleep(Duration::from_millis(500))
            }
            Err(LineError::Topic(_)) => return,
            Err(error) => return world.core().fail(format!("the topics cannot be used: {error}")),
        }
    };
    staff(cluster, machine, &line, follower);
}

/// Starts the workers; the last that ends stops the follower.
fn staff(cluster: &SimCluster, machine: &Arc<SimMachine>, line: &Arc<Line<SimCluster>>, follower: Follower) {
    let (tell, told) = channel();
    let (follower, told) = (Arc::new(Mutex::new(Some(follower))), Arc::new(Mutex::new(told)));
    let left = Arc::new(AtomicUsize::new(line.workers()));
    for number in 0..line.workers() {
        let (machine, line, tell, cluster) =
            (Arc::clone(machine), Arc::clone(line), tell.clone(), cluster.clone());
        let (follower, told, left) = (Arc::clone(&follower), Arc::clone(&told), Arc::clone(&left));
        let world = Arc::clone(&cluster.world);
        world.spawn(&mut world.core(), cluster.process, move || {
            let _on = simulate(machine);
            WORKER.set(number);
            supervise::work(&line, number, &Duty::new(number), &tell);
            hear(&cluster, &told.lock().unwrap());
            if left.fetch_sub(1, Ordering::Relaxed) == 1 {
                drop(follower.lock().unwrap().take());
            }
        });
    }
}

/// A worker that ends for good ends the process: rightly only where a newer one has taken over.
fn hear(SimCluster { world, process }: &SimCluster, told: &Receiver<Error>) {
    for error in told.try_iter() {
        let mut core = world.core();
        match error {
            Error::Worker(_, End::Fenced) => {
                core.ledger.seen.fenced += 1;
                core.note(10, || format!("process {process} is fenced"));
                let slot = core.processes[*process].slot;
                if core.slots[slot] == Some(*process) {
                    core.stage.plan(Duration::from_secs(1), Act::Boot(slot));
                }
                core.kill(*process);
            }
            other => core.fail(format!("a worker ended for good: {other}")),
        }
    }
}
