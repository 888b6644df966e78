//! The table: a line a fault, for people.

use std::fmt::Write;
use std::path::Path;
use std::time::Duration;

use super::verdict::Found;

/// What became of a fault: what was found, how long until it went on, the longest pause, and what `/ready` said; or
/// why there is nothing to tell.
pub type Outcome = Result<(Found, Duration, Duration, Vec<String>), String>;

/// Faults with tests of their own, on one broker.
const ELSEWHERE: &str = "\
## On one broker, in tests of their own

| fault | test |
| --- | --- |
| consent topic missing, not compacted, empty, deleted and made anew; the broker gone, or hanging | `fail_closed.rs` |
| a consent key that nobody can read, a value that nobody can | `fail_closed_consents.rs` |
| a person's key on several consent partitions | `start_gate.rs` `consent_commands.rs` |
| event topic deleted and made anew | `changing.rs` |
| offsets out of range | `groups.rs` |
| a transaction left open on the consent topic, committed or aborted in the end | `open_transaction.rs` |
| a snapshot that is damaged, of another topic, or older than the tombstones | `snapshot.rs` |
| random kills, freezes and open transactions while records wait | `holds/orders.rs` |
";

/// One fault, played.
pub struct Line {
    pub fault: &'static str,
    pub times: usize,
    pub outcome: Outcome,
}

impl Line {
    pub fn is_good(&self) -> bool {
        self.outcome.as_ref().is_ok_and(|(found, ..)| found.is_good())
    }

    /// For who watches.
    pub fn in_words(&self) -> String {
        let Self { fault, times, outcome } = self;
        match outcome {
            Ok((found, recovery, pause, reasons)) => format!(
                "{fault} ({times} ×): {found}; went on after {:.1} s, paused for {:.1} s, `/ready` said {reasons:?}",
                recovery.as_secs_f64(),
                pause.as_secs_f64()
            ),
            Err(why) => format!("{fault} ({times} ×): FAILED: {why}"),
        }
    }

    fn row(&self) -> String {
        let Self { fault, times, outcome } = self;
        let Ok((found, recovery, pause, reasons)) = outcome else {
            return format!("| {fault} | {times} | failed | | | | | | |");
        };
        let Found { forwarded, lost, duplicated, leaked, .. } = found;
        let [recovery, pause] = [recovery, pause].map(Duration::as_secs_f64);
        let reasons: Vec<String> = reasons.iter().map(|reason| format!("`{reason}`")).collect();
        format!(
            "| {fault} | {times} | {forwarded} | {lost} | {duplicated} | {leaked} | {recovery:.1} | {pause:.1} | {} |",
            reasons.join(" ")
        )
    }
}

/// The table, as Markdown.
pub fn table(lines: &[Line]) -> String {
    let mut table = String::from(
        "| fault | times | forwarded | lost | duplicated | leaked | recovery s | longest pause s | `/ready` said |\n\
         | --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | --- |\n",
    );
    for line in lines {
        let _ = writeln!(table, "{}", line.row());
    }
    table
}

/// Writes the table beside these sources.
pub fn write(lines: &[Line]) {
    let now = consentry::time::Clock::default().now().to_string();
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let text = format!(
        "# Faults on three brokers\n\n\
         Written by `CONSENTRY_FAULTS=all cargo test faults` on {}, on {cores} shared cores with all brokers beside \
         the proxy.\n\n\
         Recovery is the time from the end of the fault (where it does not end, as with a broker that stays away: \
         from its beginning, half a second at least) until every partition of the sink had got a record again, the \
         longest of all times; the pause is the longest time in which a partition of the sink got nothing. Brokers \
         are given up after 3 s, members of the group after 3 s. With {cores} cores for four to six processes and \
         the tests, the times say little of a real cluster; the counts do.\n\n{}\n{ELSEWHERE}",
        now.get(..10).unwrap_or_default(),
        table(lines)
    );
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/kafka/faults/README.md");
    std::fs::write(path, text).expect("a writable source directory");
}
