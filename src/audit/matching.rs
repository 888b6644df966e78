//! Which record of the source a record in a sink comes from.
//!
//! It does not say. But for each record of the source it can be worked out what each route would let pass at each level,
//! whoever permitted it; what is in the sink is one of these. Of several that are alike the first that may have been
//! forwarded is taken, on its own partition before others. What is like none is held against those of which nothing
//! was found: all but one of key, headers, timestamp and value must be the same.

use std::collections::{HashMap, HashSet};
use std::hash::{DefaultHasher, Hash, Hasher};

use super::Case;
use super::finding::{Finding, Kind, Report, Undecidable};
use super::input::{Events, Inputs, Message};
use super::known::Known;
use super::possible::{Passed, Possible, Seen};
use crate::oracle::{Out, Record, When, outputs, parse};

/// Alike records of which no more than so many are looked at before one is taken.
const MAX_ALIKE: usize = 16;

/// What was found.
#[derive(Default)]
pub(super) struct Matched {
    by_case: HashMap<Case, Vec<usize>>,
}

/// What is left out of a comparison.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Without {
    Nothing,
    Timestamp,
    Headers,
    Key,
    Value,
}

/// A record in a sink of which it is not yet known where it comes from.
struct Lost {
    output: usize,
    route: usize,
    /// It comes from a record that is audited, if it comes from any.
    is_ours: bool,
}

impl Matched {
    /// The records in sinks that come from an event at a route.
    pub fn of(&self, case: &Case) -> &[usize] {
        self.by_case.get(case).map_or(&[], Vec::as_slice)
    }

    fn add(&mut self, case: Case, output: usize) {
        self.by_case.entry(case).or_default().push(output);
    }
}

/// Finds for each record of the sinks where it comes from.
pub(super) fn matched(inputs: &Inputs, events: &Events<'_>, when: When<'_>, report: &mut Report) -> Matched {
    let mut is_cut = HashSet::new();
    let index = index(inputs, events, when, Without::Nothing, &|_| true, &mut is_cut);
    let mut matched = Matched::default();
    let (mut lost, mut known) = (Vec::new(), Known::default());
    for (number, output) in inputs.outputs.iter().enumerate() {
        let routes = routes(inputs, output);
        let Some(first) = routes.first() else {
            report.add(astray(inputs, output));
            continue;
        };
        let found = routes.iter().find_map(|(route, line)| {
            let by = |time| index.get(&print(*route, &output.record, time, Without::Nothing));
            // A record that has no timestamp gets one in the sink.
            let alike = by(output_time(output)).or_else(|| by(None))?;
            Some((choose(inputs, events, when, (*route, *line), alike, output, &matched)?, *route))
        });
        match found {
            Some((event, route)) => {
                matched.add((event, route), number);
                known.add(events, event, (route, output.place.partition));
            }
            None => {
                let is_ours = known.is_behind(inputs, *first, output);
                lost.push(Lost { output: number, route: first.0, is_ours });
            }
        }
    }
    // Of what may come from a record that is not audited nothing can be said.
    let (mut lost, others): (Vec<Lost>, Vec<Lost>) = lost.into_iter().partition(|lost| lost.is_ours);
    for without in [Without::Timestamp, Without::Headers, Without::Key, Without::Value] {
        if !lost.is_empty() {
            lost = resembling(inputs, events, when, without, lost, &mut matched);
        }
    }
    lost.iter().chain(&others).for_each(|lost| nowhere(inputs, &is_cut, lost, report));
    matched
}

/// Those of which even with something left out nothing is found.
fn resembling(
    inputs: &Inputs,
    events: &Events<'_>,
    when: When<'_>,
    without: Without,
    lost: Vec<Lost>,
    matched: &mut Matched,
) -> Vec<Lost> {
    let is_free = |case: &Case| matched.of(case).is_empty();
    let index = index(inputs, events, when, without, &is_free, &mut HashSet::new());
    let mut left = Vec::new();
    for one in lost {
        let Some(output) = inputs.outputs.get(one.output) else { continue };
        let alike = index.get(&print(one.route, &output.record, output_time(output), without));
        let free = alike.into_iter().flatten().find(|event| matched.of(&(**event, one.route)).is_empty());
        match free {
            Some(event) => matched.add((*event, one.route), one.output),
            None => left.push(one),
        }
    }
    left
}

/// The routes that a record in a sink may be of: their numbers and their pipelines'.
fn routes(inputs: &Inputs, output: &Message) -> Vec<(usize, usize)> {
    let named = output.record.header("consentry.route");
    let all = inputs.routes().filter(|(_, line, own)| {
        inputs.route_at(*line, *own).is_some_and(|(_, route, sink)| {
            *sink == *output.place.topic && named == Some(route.name.as_bytes())
        })
    });
    all.map(|(number, line, _)| (number, line)).collect()
}

/// A record that is of no route that leads to where it stands.
fn astray(inputs: &Inputs, output: &Message) -> Finding {
    let named = output.record.header("consentry.route");
    let own = inputs.routes().filter_map(|(number, ..)| inputs.route(number));
    let here =
        own.filter(|(.., sink)| **sink == *output.place.topic).map(|(_, route, _)| route.name.as_str());
    let here = here.collect::<Vec<_>>().join(", ");
    let finding = Finding::new(Kind::WrongSink, Some(output.place.clone()));
    let Some(named) = named else {
        let finding = Finding { kind: Kind::FromNowhere, ..finding };
        return finding.because(format!("a record of {here}"), "a record that names no route");
    };
    let is_ours = inputs.routes().any(|(number, ..)| inputs.names(number).1.as_bytes() == named);
    let found =
        if is_ours { String::from_utf8_lossy(named).into_owned() } else { "no route of ours".to_owned() };
    Finding { route: found.clone(), ..finding }.because(format!("a record of {here}"), found)
}

fn nowhere(inputs: &Inputs, is_cut: &HashSet<usize>, lost: &Lost, report: &mut Report) {
    let Some(output) = inputs.outputs.get(lost.output) else { return };
    let line = inputs.routes().find(|(route, ..)| *route == lost.route).map_or(0, |(_, line, _)| line);
    if is_cut.contains(&line) {
        report.undecidable(Undecidable::TooManyStates);
        return;
    }
    if !lost.is_ours {
        report.undecidable(Undecidable::BeforeWindow);
        return;
    }
    let mut finding = Finding::new(Kind::FromNowhere, Some(output.place.clone()));
    (finding.pipeline, finding.route) = inputs.names(lost.route);
    report.add(finding.because("a record of the source that it comes from", "none that it may come from"));
}

/// Of several events that look alike at a route, the one that this record comes from; none of those that came after it
/// was written, where some that came before them were not read.
fn choose(
    inputs: &Inputs,
    events: &Events<'_>,
    when: When<'_>,
    (route, line): (usize, usize),
    alike: &[usize],
    output: &Message,
    matched: &Matched,
) -> Option<usize> {
    let is_whole = inputs.missed(line).next().is_none();
    let may_come = |event: &usize| is_whole || events.may_precede(*event, output.appended);
    let alike = || alike.iter().copied().filter(may_come);
    let free = alike().filter(|event| matched.of(&(*event, route)).is_empty());
    let free: Vec<usize> = free.take(MAX_ALIKE).collect();
    let is_home = |event: &usize| home(inputs, events, *event, route, output) == Some(output.place.partition);
    let may = |event: &usize| {
        let seen = Seen { line, number: *event, when };
        let possible = Possible::of(inputs, events, seen, &Passed::default());
        possible.endings(route).any(|(_, ending)| ending.end == "forwarded")
    };
    let first = || free.first().copied().or_else(|| alike().next());
    if free.len() < 2 {
        return first();
    }
    let home: Vec<usize> = free.iter().copied().filter(is_home).collect();
    let best = home.iter().copied().find(may).or_else(|| free.iter().copied().find(may));
    best.or(home.first().copied()).or_else(first)
}

/// The partition of the sink that a record of this event belongs to.
pub(super) fn home(
    inputs: &Inputs,
    events: &Events<'_>,
    event: usize,
    route: usize,
    output: &Message,
) -> Option<i32> {
    let place = &events.get(event)?.place;
    inputs.home(route, (&place.topic, place.partition), output)
}

/// Every event by what each route would let pass of it. Of pipelines about several people not every combination of
/// them may have been tried: these are told.
fn index(
    inputs: &Inputs,
    events: &Events<'_>,
    when: When<'_>,
    without: Without,
    counts: &dyn Fn(&Case) -> bool,
    is_cut: &mut HashSet<usize>,
) -> HashMap<u64, Vec<usize>> {
    let mut index: HashMap<u64, Vec<usize>> = HashMap::new();
    // Where the broker sets the timestamp, no other is known.
    let timed = |output: &&Message| output.appended.is_some_and(|appended| appended.by_broker);
    let timed: HashSet<&str> =
        inputs.outputs.iter().filter(timed).map(|output| &*output.place.topic).collect();
    for (line, pipeline) in inputs.rules.pipelines.iter().enumerate() {
        let first = inputs.routes_of(line).start;
        for number in events.of_line(line) {
            let Some(event) = events.get(number) else { continue };
            let seen = Seen { line, number, when };
            let possible =
                pipeline.holds_several().then(|| Possible::of(inputs, events, seen, &Passed::default()));
            let mut routes = inputs.routes_of(line);
            let is_tried =
                possible.as_ref().is_none_or(|possible| !routes.any(|route| possible.is_cut(route)));
            is_cut.extend((!is_tried).then_some(line));
            for (own, route) in pipeline.routes.iter().enumerate() {
                let case = (number, first + own);
                if !counts(&case) {
                    continue;
                }
                let is_kept = inputs.route(case.1).is_some_and(|(.., sink)| !timed.contains(sink));
                let time = event.appended.filter(|own| own.ms >= 0 && is_kept).map(|own| own.ms);
                let by_level = outputs(&inputs.rules, pipeline, &event.record, route);
                let mut outs: Vec<Out> = by_level.into_iter().map(|(_, out)| out).collect();
                let all = possible.iter().flat_map(|possible| possible.endings(case.1));
                outs.extend(all.filter_map(|(_, ending)| ending.out.clone()));
                let mut prints: Vec<u64> =
                    outs.iter().map(|out| print_out(case.1, out, time, without)).collect();
                prints.sort_unstable();
                prints.dedup();
                prints.into_iter().for_each(|print| index.entry(print).or_default().push(number));
            }
        }
    }
    index
}

fn output_time(output: &Message) -> Option<i64> {
    output.appended.filter(|own| !own.by_broker).map(|own| own.ms)
}

fn print_out(route: usize, out: &Out, time: Option<i64>, without: Without) -> u64 {
    let value = out.value.as_ref().map(|value| value.compact().into_bytes());
    let record = Record { key: out.key.clone(), value, headers: out.headers.clone(), ..Record::default() };
    print(route, &record, time, without)
}

/// What tells a record in a sink from others, but for white space in its value.
fn print(route: usize, record: &Record, time: Option<i64>, without: Without) -> u64 {
    let mut hasher = DefaultHasher::new();
    route.hash(&mut hasher);
    if without != Without::Timestamp {
        time.hash(&mut hasher);
    }
    if without != Without::Key {
        record.key.hash(&mut hasher);
    }
    if without != Without::Headers {
        record.own_headers().hash(&mut hasher);
    }
    if without != Without::Value {
        let parsed =
            |bytes: &Vec<u8>| parse(std::str::from_utf8(bytes).ok()?).map(|node| node.compact().into_bytes());
        record.value.as_ref().map(|bytes| parsed(bytes).unwrap_or_else(|| bytes.clone())).hash(&mut hasher);
    }
    hasher.finish()
}
