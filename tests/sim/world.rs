//! A world: the brokers, the processes and what is known of them, on one stage.
//!
//! Every call of a simulated client comes through [`World::step`], where its thread may have to let others go first,
//! lose time, freeze, or end as if the process had been killed: the thread unwinds with a payload of ours, and nothing
//! that it does on the way out is heard by anybody.

use std::{
    any::Any,
    cell::Cell,
    collections::BTreeMap,
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind, set_hook, take_hook},
    sync::{
        Arc, Mutex, MutexGuard, Once, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    thread::{JoinHandle, Thread},
    time::Duration,
};

use consentry::source::Place;

use super::{
    act::{Act, Faults},
    broker::{Broker, Coming},
    ledger::Ledger,
    lies::Lie,
    process::Process,
    stage::{Calls, Next, Stage},
};

/// Whoever made the world.
const OUTSIDE: usize = usize::MAX;

/// Something happened that somebody may wait for.
pub const LOGS: Calls = 1;
pub const GROUPS: Calls = 2;
pub const ENDINGS: Calls = 4;

/// The bell of a process.
pub const fn bell(process: usize) -> Calls {
    1 << (8 + process % 50)
}

thread_local! {
    static ME: Cell<usize> = const { Cell::new(OUTSIDE) };
    /// What this thread panicked with, whoever caught that.
    static PANICKED: Cell<Option<String>> = const { Cell::new(None) };
}

/// Whoever panics on the stage is found out, also where the product goes on after it.
pub fn watch_panics() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let before = take_hook();
        set_hook(Box::new(move |info| {
            if ME.get() == OUTSIDE {
                before(info);
            } else {
                PANICKED.set(Some(info.to_string()));
            }
        }));
    });
}

/// With which a killed thread unwinds.
struct Killed;

/// What a member of a group has fetched up to where.
#[derive(Default)]
pub struct Reading {
    pub next: i64,
    pub paused: bool,
    /// Its broker is slow until then.
    pub slow_until: Duration,
}

/// What a client that is a member has of its own.
#[derive(Default)]
pub struct Client {
    /// Its name in the group, another one after each expulsion.
    pub name: u64,
    pub owned: BTreeMap<Place, Reading>,
}

/// All of it.
pub struct Core {
    pub stage: Stage<Act>,
    pub broker: Broker,
    pub ledger: Ledger,
    pub processes: Vec<Process>,
    /// The process that each slot has now.
    pub slots: Vec<Option<usize>>,
    pub faults: Faults,
    pub lie: Option<Lie>,
    threads: Vec<Thread>,
    handles: Vec<JoinHandle<()>>,
    /// Every so many steps a thread has to let others go first, and every so many it loses time.
    pub nerves: (u32, u32),
    pub failure: Option<String>,
    pub is_over: bool,
    /// What happened, if anybody wants to read it.
    pub trace: Option<Vec<String>>,
    /// A hash of what happened.
    pub digest: u64,
    pub steps: u64,
}

impl Core {
    pub fn new(seed: u64, lie: Option<Lie>, traced: bool) -> Self {
        Self {
            stage: Stage::new(seed),
            broker: Broker::default(),
            ledger: Ledger::default(),
            processes: Vec::new(),
            slots: Vec::new(),
            faults: Faults::default(),
            lie,
            threads: Vec::new(),
            handles: Vec::new(),
            nerves: (4, 16),
            failure: None,
            is_over: false,
            trace: traced.then(Vec::new),
            digest: 0,
            steps: 0,
        }
    }

    pub fn now(&self) -> Duration {
        self.stage.now()
    }

    pub fn lies(&self, lie: Lie) -> bool {
        self.lie == Some(lie)
    }

    /// Notes what happened: one step of the run, by which other steps are before or after.
    pub fn note(&mut self, kind: u64, said: impl FnOnce() -> String) -> u64 {
        let mixed = (self.digest ^ kind).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        self.digest = mixed.rotate_left(17) ^ u64::try_from(self.now().as_micros()).unwrap_or(0);
        let step = self.ledger.tick();
        if let Some(trace) = &mut self.trace {
            let now = self.stage.now();
            trace.push(format!("{step:>6} {:>9.3}s {}", now.as_secs_f64(), said()));
        }
        step
    }

    /// The run has failed; the first failure counts.
    pub fn fail(&mut self, why: String) {
        if self.failure.is_none() && !self.is_over {
            self.note(99, || format!("FAILED: {why}"));
            self.failure = Some(why);
        }
        self.finish();
    }

    /// The run is over: whoever still runs ends.
    pub fn finish(&mut self) {
        self.is_over = true;
        self.stage.forget();
        for process in 0..self.processes.len() {
            self.processes[process].is_dead = true;
            self.stage.rouse(process);
        }
    }

    /// A transaction has ended; each partition hears of it when it does.
    pub fn spread(&mut self, coming: Vec<Coming>) {
        for one in coming {
            let late = self.stage.dice.u32(0..100);
            let most = if late < 3 {
                900_000
            } else if late < 30 {
                40_000
            } else {
                2_000
            };
            let after = Duration::from_micros(self.stage.dice.u64(0..most));
            self.stage.plan(after, Act::Ending(one));
        }
    }

    /// Whether the brokers cannot be reached by a process.
    pub fn is_cut_off(&self, process: usize) -> bool {
        self.faults.cut.get(&process).is_some_and(|until| *until > self.now())
    }
}

pub struct World {
    core: Mutex<Core>,
    token: AtomicUsize,
    outside: Thread,
}

impl World {
    pub fn new(core: Core) -> Arc<Self> {
        let outside = std::thread::current();
        Arc::new(Self { core: Mutex::new(core), token: AtomicUsize::new(OUTSIDE), outside })
    }

    pub fn core(&self) -> MutexGuard<'_, Core> {
        self.core.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Runs until nobody is left.
    pub fn run(self: &Arc<Self>) {
        let core = self.core();
        self.pass_on(core);
        self.await_turn(OUTSIDE);
        let handles = std::mem::take(&mut self.core().handles);
        handles.into_iter().for_each(|handle| handle.join().unwrap());
    }

    /// Starts a thread of a process.
    pub fn spawn(self: &Arc<Self>, core: &mut Core, process: usize, body: impl FnOnce() + Send + 'static) {
        let (me, world) = (core.stage.enter(process), Arc::clone(self));
        let run = move || {
            ME.set(me);
            world.await_turn(me);
            let dead = world.core().processes[process].is_dead;
            let ended = if dead { Ok(()) } else { catch_unwind(AssertUnwindSafe(body)) };
            world.leave(me, process, ended);
        };
        let handle = std::thread::Builder::new().stack_size(1 << 20).spawn(run).unwrap();
        core.threads.push(handle.thread().clone());
        core.handles.push(handle);
    }

    fn leave(self: &Arc<Self>, me: usize, process: usize, ended: Result<(), Box<dyn Any + Send>>) {
        let mut core = self.core();
        core.stage.leave(me);
        core.processes[process].views.remove(&me);
        if let Err(payload) = ended
            && !payload.is::<Killed>()
        {
            core.fail(PANICKED.take().unwrap_or_else(|| "a thread panicked".to_owned()));
        }
        if core.stage.is_gone(process) {
            core.gone(process);
        }
        self.pass_on(core);
    }

    fn await_turn(&self, me: usize) {
        while self.token.load(Ordering::Acquire) != me {
            std::thread::park();
        }
    }

    /// Lets somebody go on; true if that is `me`.
    fn pass_on(self: &Arc<Self>, mut core: MutexGuard<'_, Core>) -> bool {
        loop {
            match core.stage.next() {
                Next::Run(actor) => {
                    if actor == ME.get() {
                        return true;
                    }
                    let thread = core.threads[actor].clone();
                    drop(core);
                    self.token.store(actor, Ordering::Release);
                    thread.unpark();
                    return false;
                }
                Next::Act(act) => core.perform(self, act),
                Next::Empty if core.is_over => {
                    drop(core);
                    self.token.store(OUTSIDE, Ordering::Release);
                    self.outside.unpark();
                    return false;
                }
                Next::Empty | Next::Stuck => core.fail("everybody waits, for ever".to_owned()),
            }
        }
    }

    /// Others go first; `None`: only if they are chosen.
    fn pause(self: &Arc<Self>, process: usize, wait: Option<(Calls, Duration)>) {
        let me = ME.get();
        let mut core = self.core();
        match wait {
            _ if core.processes[process].is_dead => {}
            Some((calls, at_most)) => core.stage.wait(me, calls, at_most),
            None => core.stage.ready(me),
        }
        if core.processes[process].is_dead {
            drop(core);
        } else if !self.pass_on(core) {
            self.await_turn(me);
        }
        if self.core().processes[process].is_dead && !std::thread::panicking() {
            resume_unwind(Box::new(Killed));
        }
    }

    /// Waits to be called, for so long at most.
    pub fn wait(self: &Arc<Self>, process: usize, calls: Calls, at_most: Duration) {
        if !std::thread::panicking() && ME.get() != OUTSIDE {
            self.pause(process, Some((calls, at_most)));
        }
    }

    /// A call to the brokers begins. False: it is one of a thread that is on its way out, and is not heard.
    pub fn step(self: &Arc<Self>, process: usize, writing: bool) -> bool {
        if std::thread::panicking() {
            return false;
        }
        let mut core = self.core();
        if let Some(panic) = PANICKED.take() {
            core.fail(panic);
        }
        core.steps += 1;
        if !writing {
            core.processes[process].views.remove(&ME.get());
        }
        core.burn(process);
        let (switch, lose) = core.nerves;
        let slow = core.faults.slow_until > core.now();
        let wait = if core.processes[process].is_dead {
            None
        } else if slow || core.stage.dice.u32(0..lose) == 0 {
            let most = if slow { 120_000 } else { 2_500 };
            Some((0, Duration::from_micros(core.stage.dice.u64(0..most))))
        } else if core.stage.dice.u32(0..switch) == 0 || core.processes[process].is_frozen {
            None
        } else {
            return true;
        };
        drop(core);
        self.pause(process, wait);
        true
    }

    /// A worker has a view of the cache, until it does anything but write.
    pub fn views(&self, process: usize) {
        self.core().processes[process].views.insert(ME.get());
    }

    /// Waits until no worker of a process has a view: what is to be done next would wait for a lock of theirs.
    pub fn await_views(self: &Arc<Self>, process: usize) {
        while !std::thread::panicking() && !self.core().processes[process].views.is_empty() {
            self.wait(process, 0, Duration::from_millis(1));
        }
    }
}
