//! The end of a run: whether everything is done, and whether what readers find is what was committed.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use consentry::wire::held;

use super::{
    act::Act,
    expect::{Verdict, verdicts},
    ledger::{Event, Fate, Ledger, Version, Waits},
    process::Doubt,
    town::{HOLD, ROUTES, SINKS},
    world::{Core, World},
};

/// So soon a worker that lives has found out what became of its commit.
const HEARD_WITHIN: Duration = Duration::from_secs(60);

impl Core {
    /// Looks whether everything is done, and if so ends the run.
    pub fn look(&mut self, world: &Arc<World>) {
        let Some(undone) = self.undone() else {
            for process in 0..self.processes.len() {
                if !self.processes[process].is_dead {
                    self.check_counts(process, true);
                }
            }
            if let Err(why) = self.read_back() {
                self.fail(why);
            }
            return self.finish();
        };
        if self.now() > self.faults.deadline {
            return self.fail(format!("it does not go on: {undone}"));
        }
        // Whoever was fenced, or killed with nobody to start it, is started again: somebody looks after that.
        if self.slots.iter().flatten().all(|process| self.processes[*process].is_dead) {
            self.perform(world, Act::Boot(0));
        }
        self.stage.plan(Duration::from_secs(3), Act::Look);
    }

    /// Something that is not done.
    fn undone(&mut self) -> Option<String> {
        let events: Vec<Event> = self.ledger.events.values().flat_map(BTreeMap::values).cloned().collect();
        let now = self.wall();
        for event in events.iter().filter(|event| event.committed == Some(true)) {
            for (route, fate) in event.fates.iter().enumerate() {
                let waits = match fate {
                    Fate::New => true,
                    Fate::Held(waits) => self.is_late(event, route, waits, now),
                    Fate::Forwarded | Fate::Dropped | Fate::Quarantined | Fate::NotRouted => false,
                };
                if waits {
                    return Some(format!("event {} is {fate:?} at route {route}", event.number));
                }
            }
        }
        let is_new = |doubt: &Doubt| !doubt.is_covered && self.now() - doubt.since < HEARD_WITHIN;
        let living = self.processes.iter().filter(|process| !process.is_dead);
        if living.flat_map(|process| &process.doubtful).any(is_new) {
            return Some("a commit nobody has heard of".to_owned());
        }
        let open =
            |topic: &&String| self.broker.topics[*topic].logs.iter().any(|log| log.stable() < log.end());
        self.broker.topics.keys().find(open).map(|topic| format!("a transaction is open in {topic}"))
    }

    /// Whether a record waits that should not: its time is over, or its subject has said something since.
    fn is_late(&mut self, event: &Event, route: usize, waits: &Waits, now: i64) -> bool {
        let known = self.ledger.possible(event.subject.as_deref(), u64::MAX).pop().unwrap_or_default();
        let known: Vec<Version> = known.into_iter().cloned().collect();
        let is_news = |version: &&Version| version.acknowledged.is_some_and(|step| step > waits.claim);
        // The decision may have known it already: then what it says then counts, and not what it said when it came.
        let news = known.iter().filter(is_news).map(|version| version.at_ms.max(waits.decided)).max();
        let ends = |ledger: &mut Ledger, at| {
            !matches!(verdicts(ledger, event, &known, at)[route], Verdict::Hold(..))
        };
        let is_asked = news.is_some_and(|at| ends(&mut self.ledger, now) && ends(&mut self.ledger, at));
        !waits.deadlines.is_empty() || waits.until < now || is_asked
    }

    /// What a `read_committed` reader finds: each record once in its sink, and what waits in the hold topic.
    fn read_back(&self) -> Result<(), String> {
        let mut found: BTreeMap<(usize, usize), u32> = BTreeMap::new();
        for (route, (sink, _)) in SINKS.iter().enumerate() {
            for (_, record) in self.broker.topics[*sink].logs.iter().flat_map(super::log::Log::committed) {
                let number =
                    record.header("x-id").and_then(|number| number.parse().ok()).ok_or("a foreign record")?;
                *found.entry((number, route)).or_default() += 1;
            }
        }
        let mut waiting: BTreeMap<Vec<u8>, bool> = BTreeMap::new();
        for (_, record) in self.broker.topics[HOLD].logs.iter().flat_map(super::log::Log::committed) {
            waiting.insert(record.key.clone().unwrap_or_default(), record.value.is_some());
        }
        for (place, events) in &self.ledger.events {
            for (offset, event) in events {
                for (route, fate) in event.fates.iter().enumerate() {
                    let times = found.remove(&(event.number, route)).unwrap_or(0);
                    if times != u32::from(*fate == Fate::Forwarded) {
                        return Err(format!(
                            "event {} is {times} times in {}, and {fate:?}",
                            event.number, SINKS[route].0
                        ));
                    }
                    let name = &super::town::ready().pipelines[0].rules.routes[route].name;
                    let key = format!("{}/{}/{offset}/{name}", place.0, place.1);
                    let waits = waiting.remove(key.as_bytes()).unwrap_or(false);
                    if waits != matches!(fate, Fate::Held(_)) {
                        return Err(format!(
                            "event {} waits in the hold topic: {waits}, and is {fate:?}",
                            event.number
                        ));
                    }
                }
            }
        }
        let foreign = waiting.keys().find_map(|key| held::read_key(key).map(|key| format!("{key:?}")));
        match (found.is_empty(), foreign) {
            (true, None) => Ok(()),
            (_, foreign) => Err(format!("records of no event: {found:?} {foreign:?} of {ROUTES} routes")),
        }
    }
}
