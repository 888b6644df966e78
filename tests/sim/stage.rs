//! The stage: many threads of which one runs at a time, and time that moves only when all of them wait.
//!
//! Pure: who goes on next, and when it is then. Who runs on which thread of the machine is [`super::world`]'s to see
//! to. Every choice comes from the dice, so that one seed gives one order.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use fastrand::Rng;

/// What a thread that waits may be woken by, as bits.
pub type Calls = u64;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Ready,
    /// It waits for one of these calls; with this number of waiting its time may run out.
    Waiting(Calls, u64),
    Gone,
}

struct Actor {
    process: usize,
    state: State,
}

enum Alarm<A> {
    /// The time of this actor's so-manieth waiting is over.
    Over(usize, u64),
    Act(A),
}

/// What is next.
#[derive(Debug, PartialEq, Eq)]
pub enum Next<A> {
    /// This actor goes on.
    Run(usize),
    /// Something that was planned for now.
    Act(A),
    /// Nobody is left.
    Empty,
    /// All wait, and nothing is planned that could wake them.
    Stuck,
}

pub struct Stage<A> {
    now: Duration,
    pub dice: Rng,
    actors: Vec<Actor>,
    alarms: BTreeMap<(Duration, u64), Alarm<A>>,
    frozen: BTreeSet<usize>,
    counter: u64,
}

impl<A> Stage<A> {
    pub fn new(seed: u64) -> Self {
        Self {
            now: Duration::ZERO,
            dice: Rng::with_seed(seed),
            actors: Vec::new(),
            alarms: BTreeMap::new(),
            frozen: BTreeSet::new(),
            counter: 0,
        }
    }

    pub const fn now(&self) -> Duration {
        self.now
    }

    /// A new actor of this process, ready to run.
    pub fn enter(&mut self, process: usize) -> usize {
        self.actors.push(Actor { process, state: State::Ready });
        self.actors.len() - 1
    }

    pub fn leave(&mut self, actor: usize) {
        self.actors[actor].state = State::Gone;
    }

    /// It could go on at once.
    pub fn ready(&mut self, actor: usize) {
        self.actors[actor].state = State::Ready;
    }

    /// It waits for one of these calls, for so long at most.
    pub fn wait(&mut self, actor: usize, calls: Calls, at_most: Duration) {
        self.counter += 1;
        self.actors[actor].state = State::Waiting(calls, self.counter);
        self.alarms.insert((self.now + at_most, self.counter), Alarm::Over(actor, self.counter));
    }

    /// Something is to happen in so long.
    pub fn plan(&mut self, after: Duration, act: A) {
        self.counter += 1;
        self.alarms.insert((self.now + after, self.counter), Alarm::Act(act));
    }

    /// Wakes whoever waits for any of these.
    pub fn call(&mut self, calls: Calls) {
        for actor in &mut self.actors {
            if matches!(actor.state, State::Waiting(own, _) if own & calls != 0) {
                actor.state = State::Ready;
            }
        }
    }

    /// No thread of this process runs any more, until it is thawed.
    pub fn freeze(&mut self, process: usize) {
        self.frozen.insert(process);
    }

    pub fn thaw(&mut self, process: usize) {
        self.frozen.remove(&process);
    }

    /// Everybody of this process goes on, whatever they wait for.
    pub fn rouse(&mut self, process: usize) {
        self.thaw(process);
        let own = self.actors.iter_mut().filter(|actor| actor.process == process);
        own.filter(|actor| actor.state != State::Gone).for_each(|actor| actor.state = State::Ready);
    }

    /// Nothing that was planned happens any more.
    pub fn forget(&mut self) {
        self.alarms.clear();
    }

    pub fn is_gone(&self, process: usize) -> bool {
        self.actors.iter().filter(|actor| actor.process == process).all(|actor| actor.state == State::Gone)
    }

    /// Who, or what, is next; time moves where nobody can go on now.
    pub fn next(&mut self) -> Next<A> {
        loop {
            let due = self.alarms.first_key_value().is_some_and(|((at, _), _)| *at <= self.now);
            let ready: Vec<usize> = if due { Vec::new() } else { self.able().collect() };
            if !ready.is_empty() {
                return Next::Run(ready[self.dice.usize(0..ready.len())]);
            }
            let Some(((at, _), alarm)) = self.alarms.pop_first() else {
                let gone = self.actors.iter().all(|actor| actor.state == State::Gone);
                return if gone { Next::Empty } else { Next::Stuck };
            };
            self.now = self.now.max(at);
            match alarm {
                Alarm::Act(act) => return Next::Act(act),
                Alarm::Over(actor, number) => {
                    let actor = &mut self.actors[actor];
                    if matches!(actor.state, State::Waiting(_, own) if own == number) {
                        actor.state = State::Ready;
                    }
                }
            }
        }
    }

    fn able(&self) -> impl Iterator<Item = usize> {
        let able = |(_, actor): &(usize, &Actor)| {
            actor.state == State::Ready && !self.frozen.contains(&actor.process)
        };
        self.actors.iter().enumerate().filter(able).map(|(number, _)| number)
    }
}

#[test]
fn time_moves_only_when_all_wait() {
    let mut stage: Stage<&str> = Stage::new(1);
    let (a, b) = (stage.enter(0), stage.enter(1));
    stage.wait(a, 1, Duration::from_secs(5));
    stage.plan(Duration::from_secs(2), "later");
    assert_eq!(stage.next(), Next::Run(b));
    stage.wait(b, 2, Duration::from_secs(9));
    assert_eq!((stage.next(), stage.now()), (Next::Act("later"), Duration::from_secs(2)));
    stage.call(2);
    assert_eq!(stage.next(), Next::Run(b));
    stage.freeze(1);
    assert_eq!((stage.next(), stage.now()), (Next::Run(a), Duration::from_secs(5)));
    stage.wait(a, 0, Duration::from_secs(60));
    stage.thaw(1);
    assert_eq!((stage.next(), stage.now().as_secs()), (Next::Run(b), 5), "its old time-out woke nobody");
    stage.leave(b);
    stage.rouse(0);
    assert_eq!((stage.next(), stage.now().as_secs()), (Next::Run(a), 5));
    stage.leave(a);
    assert!(stage.is_gone(0));
    assert_eq!(stage.next(), Next::Empty);
}
