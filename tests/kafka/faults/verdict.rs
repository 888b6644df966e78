//! What an independent decision over the logs demands of the output, as in Kafka's own test of transactional
//! copies: nothing missing, nothing twice, nothing that was not permitted, nothing out of order.
//!
//! What binds an event is the last change of its person that was acknowledged before the event was handed over, or
//! any later one: that was then already on its way. Each forwarded record says by which consent record it was
//! decided (`consentry.consent_offset`), and so it is known for certain whether that one might decide.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::time::Duration;

use consentry::time::Instant;

use super::ledger::{Change, Ledger, PEOPLE, person_of};
use crate::kafka::clients::Row;

/// What was found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Found {
    pub events: usize,
    pub forwarded: usize,
    pub lost: usize,
    pub duplicated: usize,
    pub leaked: usize,
    /// Before another that stands before it in the source, or on another partition.
    pub disordered: usize,
    /// Events that every binding state permits.
    pub certain: usize,
    /// Events that every binding state refuses.
    pub refused: usize,
}

impl Found {
    /// Whether all is as it should be, and the fault had something to spoil.
    pub fn is_good(&self) -> bool {
        let spoilt = self.lost + self.duplicated + self.leaked + self.disordered;
        spoilt == 0 && self.certain > 0 && self.refused > 0 && self.forwarded > 0
    }
}

impl fmt::Display for Found {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { events, forwarded, lost, duplicated, leaked, disordered, certain, refused } = self;
        write!(
            f,
            "{events} events, {certain} of which had to be forwarded and {refused} had not to be: {forwarded} \
             forwarded, {lost} lost, {duplicated} duplicated, {leaked} leaked, {disordered} out of order"
        )
    }
}

/// Decides every event anew and compares. The cache may be as old as `within`. Where partitions were added (`has_grown`), a record need not be on its own.
pub fn judge(ledger: &Ledger, source: &[Row], sink: &[Row], within: Duration, has_grown: bool) -> Found {
    let mut said: Vec<Vec<&Change>> = vec![Vec::new(); PEOPLE];
    ledger.changes.iter().for_each(|change| said[change.person].push(change));
    let mut came: HashMap<u64, Vec<&Row>> = HashMap::new();
    sink.iter().for_each(|row| came.entry(number(row)).or_default().push(row));
    let mut found = Found { events: ledger.events.len(), forwarded: sink.len(), ..Found::default() };
    for (n, sent) in (0..).zip(&ledger.events) {
        let said = &said[person_of(n)];
        let governs = said.iter().rposition(|change| binds(change, *sent, within)).unwrap_or(0);
        let binding = &said[governs..];
        let rows = came.remove(&n).unwrap_or_default();
        let certain = binding.iter().all(|change| change.permits);
        found.certain += usize::from(certain);
        found.refused += usize::from(binding.iter().all(|change| !change.permits));
        found.lost += usize::from(certain && rows.is_empty());
        found.duplicated += rows.len().saturating_sub(1);
        let permits = |row: &&Row| {
            let by = decided_by(row);
            binding.iter().any(|change| change.permits && Some(change.place) == by)
        };
        found.leaked += rows.iter().filter(|row| !permits(row)).count();
    }
    // Whatever is left is nobody's event.
    found.leaked += came.values().map(Vec::len).sum::<usize>();
    found.disordered = disordered(source, sink, has_grown);
    found
}

/// Whether a change was acknowledged long enough before this moment.
fn binds(change: &Change, moment: Instant, within: Duration) -> bool {
    change.acked <= moment && moment.since(change.acked) >= within
}

fn number(row: &Row) -> u64 {
    row.json()["n"].as_u64().expect("an event")
}

/// The place of the consent record by which this was decided.
fn decided_by(row: &Row) -> Option<(i32, i64)> {
    let place = row.header("consentry.consent_offset")?;
    let (partition, offset) = place.split_once(':')?;
    Some((partition.parse().ok()?, offset.parse().ok()?))
}

fn disordered(source: &[Row], sink: &[Row], has_grown: bool) -> usize {
    let stands: HashMap<u64, (Option<i32>, i64)> =
        source.iter().map(|row| (number(row), (row.partition, row.offset))).collect();
    let mut sink: Vec<&Row> = sink.iter().collect();
    sink.sort_by_key(|row| (row.partition, row.offset));
    // By partition of the source and of the sink.
    let mut last: BTreeMap<(Option<i32>, Option<i32>), i64> = BTreeMap::new();
    let mut wrong = 0;
    for row in sink {
        let Some((partition, offset)) = stands.get(&number(row)) else { continue };
        let before = last.insert((*partition, row.partition), *offset);
        let elsewhere = *partition != row.partition && !has_grown;
        wrong += usize::from(elsewhere || before.is_some_and(|before| before >= *offset));
    }
    wrong
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kafka::people::event;

    /// Everybody agrees, but person 1; person 2 withdraws between the events 2 and 50 and stays so.
    fn ledger() -> Ledger {
        let mut ledger = Ledger::default();
        let say = |ledger: &mut Ledger, person, permits| {
            let offset = i64::try_from(ledger.changes.len()).unwrap();
            ledger.changes.push(Change { person, permits, acked: Instant::now(), place: (0, offset) });
        };
        (0..PEOPLE).for_each(|person| say(&mut ledger, person, person != 1));
        ledger.events.extend((0..PEOPLE).map(|_| Instant::now()));
        say(&mut ledger, 2, false);
        ledger.events.extend((0..4).map(|_| Instant::now()));
        ledger
    }

    fn row(n: usize, by: i64, offset: i64) -> Row {
        let by = format!("0:{by}").into_bytes();
        let headers = vec![("consentry.consent_offset".to_owned(), Some(by))];
        Row { headers, partition: Some(0), offset, ..event("somebody", n as u64) }
    }

    /// All that is permitted, in order, each with the consent record that stood then.
    fn all() -> Vec<Row> {
        let permitted = (0..PEOPLE + 4).filter(|n| !matches!(n % PEOPLE, 1) && *n != PEOPLE + 2);
        permitted.map(|n| row(n, (n % PEOPLE) as i64, n as i64)).collect()
    }

    fn judged(sink: &[Row]) -> Found {
        let source: Vec<Row> = (0..PEOPLE + 4).map(|n| row(n, 0, n as i64)).collect();
        judge(&ledger(), &source, sink, Duration::ZERO, false)
    }

    #[test]
    fn finds_nothing_where_nothing_is_wrong() {
        let found = judged(&all());
        assert!(found.is_good(), "{found}");
        assert_eq!((found.events, found.certain, found.refused), (PEOPLE + 4, PEOPLE, 3));
    }

    #[test]
    fn finds_what_is_missing_and_what_is_there_again() {
        let mut sink = all();
        sink.remove(5);
        assert_eq!(judged(&sink).lost, 1);
        sink = all();
        sink.remove(1);
        assert_eq!(judged(&sink).lost, 0, "who withdrew a moment later may be refused already");
        sink = all();
        sink.push(Row { offset: 1000, ..sink[3].clone() });
        let found = judged(&sink);
        assert_eq!((found.duplicated, found.disordered), (1, 1));
    }

    #[test]
    fn finds_what_was_not_permitted() {
        let with = |row: Row| {
            let mut sink = all();
            sink.push(row);
            judged(&sink).leaked
        };
        assert_eq!(with(row(1, 1, 1000)), 1, "by a refusal");
        assert_eq!(with(row(PEOPLE + 2, 2, 1000)), 1, "by what stood before the withdrawal");
        assert_eq!(with(row(1, 0, 1000)), 1, "by somebody else's");
        assert_eq!(with(row(5000, 0, 1000)), 1, "what nobody did");
        let bare = Row { headers: vec![], ..row(1, 1, 1000) };
        assert_eq!(with(bare), 1, "by nobody knows what");
    }

    #[test]
    fn finds_what_is_out_of_order() {
        let mut sink = all();
        let (one, other) = (sink[3].offset, sink[4].offset);
        (sink[3].offset, sink[4].offset) = (other, one);
        assert_eq!(judged(&sink).disordered, 1);
        sink = all();
        sink[3].partition = Some(1);
        assert_eq!(judged(&sink).disordered, 1);
    }
}
