//! Under which states, and when, a record may have been decided, and what would have become of it each time.

use std::cell::RefCell;
use std::collections::BTreeMap;

use super::Traces;
use super::consents::{Change, Voice, parts};
use super::forwarded::{Told, named};
use super::input::{Appended, Events, Inputs, Message};
use crate::oracle::time::Millis;
use crate::oracle::{Asking, Ending, Subject, When, judge, moments};

/// The most combinations of states that are tried of a record.
const MAX_STATES: usize = 64;
/// The most instants that are tried of each.
const MAX_MOMENTS: usize = 128;

/// An event in the eyes of a pipeline.
#[derive(Clone, Copy)]
pub(super) struct Seen<'w> {
    /// The pipeline's number.
    pub line: usize,
    /// The event's.
    pub number: usize,
    pub when: When<'w>,
}

/// Up to where the consent topic had been read, by its partitions, before the next record of a partition is decided:
/// what has been decided there names it.
#[derive(Default)]
pub(super) struct Passed {
    at: Option<(std::sync::Arc<str>, i32)>,
    read: BTreeMap<i32, i64>,
    /// What is named behind the record in its partition, by the consent topic's partition: the event's number, and the
    /// offset. Whoever said that had not been heard to say more when the record was decided.
    named: BTreeMap<i32, Vec<(usize, i64)>>,
}

impl Passed {
    /// Another event of a pipeline comes, maybe of another partition.
    pub fn enter(&mut self, traces: &Traces<'_>, line: usize, number: usize) {
        let place = traces.events.get(number).map(|event| (event.place.topic.clone(), event.place.partition));
        if self.at == place {
            return;
        }
        self.read.clear();
        self.named.clear();
        let here =
            |event: &Message| place.as_ref() == Some(&(event.place.topic.clone(), event.place.partition));
        let all =
            (number..).zip(traces.inputs.events.iter().skip(number)).take_while(|(_, event)| here(event));
        for (number, _) in all {
            for (partition, offset) in at_once(traces, line, number) {
                self.named.entry(partition).or_default().push((number, offset));
            }
        }
        self.at = place;
    }

    /// How many changes of a voice had been heard at most when this event was decided.
    fn most(&self, voice: &Voice, number: usize) -> usize {
        let all = voice.changes.len();
        let Some(named) = self.named.get(&voice.partition) else { return all };
        let behind = named.get(named.partition_point(|(at, _)| *at < number)..).unwrap_or_default();
        let place = |offset: i64| voice.changes.binary_search_by_key(&offset, |change| change.offset).ok();
        behind.iter().find_map(|(_, offset)| place(*offset)).map_or(all, |last| last + 1)
    }

    /// A record was decided by a consent record that is there. What waited may have been decided later.
    pub fn raise(&mut self, inputs: &Inputs, told: &Told) {
        let Some((partition, offset)) = told.consent_offset else { return };
        if inputs.barrier && !told.may_wait && inputs.consents.holds(partition, offset) {
            let read = self.read.entry(partition).or_insert(offset);
            *read = offset.max(*read);
        }
    }
}

/// The consent records that are named by what became of an event at routes where nothing waits.
fn at_once(traces: &Traces<'_>, line: usize, number: usize) -> Vec<(i32, i64)> {
    let routes = traces.inputs.routes_of(line);
    let routes =
        routes.filter(|route| traces.inputs.route(*route).is_some_and(|(_, own, _)| own.hold.is_empty()));
    let outputs = routes.flat_map(|route| traces.matched.of(&(number, route)));
    outputs.filter_map(|output| traces.output(*output).and_then(named)).collect()
}

/// One way in which it may have been decided.
pub(super) struct Case {
    /// How many changes of each voice had been heard.
    counts: Vec<usize>,
    /// When.
    pub at: Millis,
    /// What becomes of it at each route.
    endings: Vec<Ending>,
}

/// Everything that may have become of a record.
pub(super) struct Possible<'i> {
    inputs: &'i Inputs,
    record: Option<&'i Message>,
    /// Whom it names, as far as anything is known of them; the first first.
    subjects: Vec<(Subject, &'i [Voice])>,
    /// Of each voice, how many changes must have been heard.
    least: Vec<usize>,
    /// And how many may have been when it was decided first; where it waited, more may.
    most: Vec<usize>,
    first_route: usize,
    routes: usize,
    pub cases: Vec<Case>,
    /// There are more than were tried: of those at once, and of all.
    is_cut: (bool, bool),
    /// Something may have been said that is no longer there.
    pub is_compacted: bool,
}

impl<'i> Possible<'i> {
    pub fn of(inputs: &'i Inputs, events: &Events<'i>, seen: Seen<'_>, passed: &Passed) -> Self {
        let routes = inputs.routes_of(seen.line);
        let record = events.get(seen.number);
        let mut possible = Self {
            inputs,
            record,
            subjects: Vec::new(),
            least: Vec::new(),
            most: Vec::new(),
            first_route: routes.start,
            routes: routes.len(),
            cases: Vec::new(),
            is_cut: (false, false),
            is_compacted: false,
        };
        possible.subjects = possible.named(seen);
        let appended = events.appended(seen.number);
        let least = possible.voices().map(|voice| possible.must(voice, appended, passed)).collect::<Vec<_>>();
        let most = possible.voices().map(|voice| passed.most(voice, seen.number)).collect::<Vec<_>>();
        // A record that ignored what it had to heed has been told of by itself.
        let most: Vec<usize> = most.iter().zip(&least).map(|(most, least)| *most.max(least)).collect();
        let all: Vec<usize> = possible.voices().map(|voice| voice.changes.len()).collect();
        possible.is_compacted = possible.lacks(&least, &all);
        let (mut counts, at_once) = combinations(&least, &most);
        let mut later = at_once;
        if all != most && routes.clone().any(|route| possible.may_wait(route)) {
            let (more, is_cut) = combinations(&least, &all);
            counts.extend(more.into_iter().filter(|more| !counts.contains(more)).collect::<Vec<_>>());
            later = is_cut;
        }
        (possible.least, possible.most, possible.is_cut) = (least, most, (at_once, later));
        let within = events.decided_within(seen.number);
        for counts in counts {
            possible.try_state(seen, &counts, within);
        }
        possible
    }

    /// Whether any state from before the least would permit it at this route: it was decided by one that was old.
    pub fn was_permitted_before(&self, events: &Events<'i>, seen: Seen<'_>, route: usize) -> bool {
        let most: Vec<usize> = self.least.clone();
        let (counts, _) = combinations(&vec![0; most.len()], &most);
        let mut earlier = Self {
            subjects: self.subjects.clone(),
            least: Vec::new(),
            most,
            cases: Vec::new(),
            is_cut: (false, false),
            is_compacted: false,
            ..*self
        };
        for counts in counts.into_iter().filter(|counts| *counts != self.least) {
            earlier.try_state(seen, &counts, events.decided_within(seen.number));
        }
        earlier.endings(route).any(|(_, ending)| ending.end == "forwarded")
    }

    pub const fn routes(&self) -> usize {
        self.routes
    }

    /// What becomes of it at a route in one case.
    pub fn ending<'c>(&self, case: &'c Case, route: usize) -> Option<&'c Ending> {
        case.endings.get(route.checked_sub(self.first_route)?)
    }

    /// What may become of it at a route. Where nothing waits it was decided once, when it came.
    pub fn endings(&self, route: usize) -> impl Iterator<Item = (&Case, &Ending)> {
        let may_wait = self.may_wait(route);
        let counts = move |case: &&Case| {
            may_wait || case.counts.iter().zip(&self.most).all(|(count, most)| count <= most)
        };
        self.cases.iter().filter(counts).filter_map(move |case| Some((case, self.ending(case, route)?)))
    }

    /// Whether more comes into question at a route than was tried.
    pub fn is_cut(&self, route: usize) -> bool {
        if self.may_wait(route) { self.is_cut.1 } else { self.is_cut.0 }
    }

    fn may_wait(&self, route: usize) -> bool {
        self.inputs.route(route).is_some_and(|(_, own, _)| !own.hold.is_empty())
    }

    /// The voice, by its number, of the first subject that says something at this place, and how many changes of it had
    /// been heard then.
    pub fn state_at(&self, partition: i32, offset: i64) -> Option<(usize, usize)> {
        let (_, voices) = self.subjects.first()?;
        let of = |voice: &Voice| voice.changes.iter().position(|change| change.offset == offset);
        let mut own = voices.iter().enumerate().filter(|(_, voice)| voice.partition == partition);
        own.find_map(|(number, voice)| Some((number, of(voice)? + 1)))
    }

    /// Whether a change that had to be heeded is behind this state.
    pub fn is_old(&self, (voice, count): (usize, usize)) -> bool {
        self.least.get(voice).is_some_and(|least| count < *least)
    }

    /// Whether of this voice so many changes had been heard in this case.
    pub fn is_under(case: &Case, (voice, count): (usize, usize)) -> bool {
        case.counts.get(voice) == Some(&count)
    }

    /// Whether nothing was said of its subjects since then.
    pub fn all_said_before(&self, ms: i64) -> bool {
        let changes = self.voices().flat_map(|voice| &voice.changes);
        changes.filter_map(|change| change.appended).all(|appended| appended.ms <= ms)
    }

    /// Whether everything had been heard in this case.
    pub fn is_last(&self, case: &Case) -> bool {
        self.voices().zip(&case.counts).all(|(voice, count)| voice.changes.len() == *count)
    }

    /// The consent key of the first subject.
    pub fn subject(&self) -> Option<String> {
        self.subjects.first().map(|((kind, value), _)| format!("{kind}:{value}"))
    }

    fn voices(&self) -> impl Iterator<Item = &'i Voice> {
        let all: Vec<&'i [Voice]> = self.subjects.iter().map(|(_, voices)| *voices).collect();
        all.into_iter().flatten()
    }

    /// Whom the record names.
    fn named(&self, seen: Seen<'_>) -> Vec<(Subject, &'i [Voice])> {
        let named = RefCell::new(Vec::new());
        let known = |subject: &Subject| {
            named.borrow_mut().push(subject.clone());
            Vec::new()
        };
        self.judge(seen, &known, 0);
        let mut subjects: Vec<(Subject, &[Voice])> = Vec::new();
        for subject in named.into_inner() {
            if !subjects.iter().any(|(own, _)| *own == subject) {
                let only = self.record.filter(|_| self.inputs.sharded).map(|record| record.place.partition);
                let voices = self.inputs.consents.voices(&subject, only);
                subjects.push((subject, voices));
            }
        }
        subjects
    }

    fn judge<'t>(
        &'t self,
        seen: Seen<'t>,
        known: &'t dyn Fn(&Subject) -> Vec<crate::oracle::Part<'t>>,
        now: Millis,
    ) -> Vec<Ending> {
        let rules = &self.inputs.rules;
        let (Some(pipeline), Some(message)) = (rules.pipelines.get(seen.line), self.record) else {
            return Vec::new();
        };
        judge(Asking { rules, pipeline, known, when: seen.when, now }, &message.record)
    }

    /// How many changes of a voice had been acknowledged before the record was appended.
    fn must(&self, voice: &Voice, record: Option<Appended>, passed: &Passed) -> usize {
        let is_before = |change: &Change| {
            let read = passed.read.get(&voice.partition).is_some_and(|read| change.offset <= *read);
            let earlier = record.zip(change.appended).is_some_and(|(record, change)| {
                let by_brokers = record.by_broker && change.by_broker;
                change.ms + if by_brokers { 0 } else { self.inputs.skew_ms } < record.ms
            });
            read || (self.inputs.barrier && earlier)
        };
        voice.changes.iter().rposition(is_before).map_or(0, |last| last + 1)
    }

    /// Whether between the first and the last state in question something may have been compacted away.
    fn lacks(&self, least: &[usize], most: &[usize]) -> bool {
        let gone = |((voice, least), most): ((&Voice, &usize), &usize)| {
            let offset = |count: usize| voice.changes.get(count.checked_sub(1)?).map(|change| change.offset);
            let from = offset(*least).map_or(0, |offset| offset + 1);
            least < most
                && offset(*most).is_some_and(|to| self.inputs.consents.has_gap(voice.partition, from..to))
        };
        self.voices().zip(least).zip(most).any(gone)
            || self.subjects.iter().any(|(_, voices)| voices.is_empty() && self.inputs.consents.has_gaps())
    }

    /// Decides under one state, at every instant that may make a difference.
    fn try_state(&mut self, seen: Seen<'_>, counts: &[usize], (from, to): (Millis, Millis)) {
        let heard = self.voices().zip(counts).filter_map(|(voice, count)| {
            let last = voice.changes.get(count.checked_sub(1)?)?;
            last.appended.map(|appended| Millis::from(appended.ms - self.inputs.skew_ms))
        });
        // Nobody decides by what was not yet said.
        let from = heard.fold(from, Millis::max).min(to);
        let mut of: Vec<(&Subject, Vec<_>)> = Vec::new();
        let mut rest = counts;
        for (subject, voices) in &self.subjects {
            let (own, others) = rest.split_at_checked(voices.len()).unwrap_or((rest, &[]));
            of.push((subject, parts(voices, own)));
            rest = others;
        }
        let all: Vec<_> = of.iter().flat_map(|(_, parts)| parts.iter().copied()).collect();
        let mut times = moments(&self.inputs.rules, &all, (from, to));
        let is_cut = times.len() > MAX_MOMENTS;
        times.truncate(MAX_MOMENTS);
        let known = |subject: &Subject| {
            of.iter().find(|(own, _)| *own == subject).map_or(Vec::new(), |(_, parts)| parts.clone())
        };
        let cases: Vec<Case> = std::iter::once(from)
            .chain(times)
            .map(|at| Case { counts: counts.to_vec(), at, endings: self.judge(seen, &known, at) })
            .collect();
        drop(of);
        self.cases.extend(cases);
        self.is_cut = (self.is_cut.0 || is_cut, self.is_cut.1 || is_cut);
    }
}

/// Every combination of so many changes from `least` to `most`, and whether there are more than are tried: then those
/// of the oldest are, for a record is decided soon after it came, and the newest.
fn combinations(least: &[usize], most: &[usize]) -> (Vec<Vec<usize>>, bool) {
    let count = |ends: &[usize]| {
        let each = least.iter().zip(ends).map(|(least, most)| most.saturating_sub(*least) + 1);
        each.fold(1_usize, usize::saturating_mul)
    };
    let (mut ends, mut longest) = (most.to_vec(), MAX_STATES);
    while count(&ends) > MAX_STATES && longest > 0 {
        longest /= 2;
        ends = least.iter().zip(most).map(|(least, most)| *most.min(&(least + longest))).collect();
    }
    let is_cut = ends != most;
    let mut all: Vec<Vec<usize>> = vec![Vec::new()];
    for (least, most) in least.iter().zip(&ends) {
        let longer = |counts: &Vec<usize>| {
            let each = |count| counts.iter().copied().chain([count]).collect::<Vec<_>>();
            (*least..=*most.max(least)).map(each).collect::<Vec<_>>()
        };
        all = all.iter().flat_map(longer).collect();
    }
    all.extend(is_cut.then(|| most.to_vec()));
    (all, is_cut)
}

/// What may become of a record, in words.
pub(super) fn in_words<'e>(endings: impl Iterator<Item = &'e Ending>) -> String {
    let mut words: Vec<String> = Vec::new();
    for ending in endings {
        let reason = if ending.reason.is_empty() { String::new() } else { format!(" ({})", ending.reason) };
        let word = format!("{}{reason}", ending.end);
        if !words.contains(&word) {
            words.push(word);
        }
    }
    words.join(" or ")
}
