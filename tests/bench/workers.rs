//! What more threads bring: the same backlog, worked off by Consentry with one, two and four of them.

use clap::Args;
use serde_json::json;

use crate::running::Drained;
use crate::site::{Backlog, Site};
use crate::systems::System;
use crate::table::{Series, Table};

const WORKERS: [usize; 3] = [1, 2, 4];

/// What is measured.
#[derive(Debug, Args)]
pub struct Options {
    /// Events.
    #[arg(long, default_value_t = 1_000_000)]
    records: u64,
    #[command(flatten)]
    backlog: Backlog,
    /// How often each is run, in turn.
    #[arg(long, default_value_t = 3)]
    rounds: usize,
}

/// Runs each in turn, several times.
pub fn run(options: &Options) -> Table {
    let site = Site::new(&options.backlog.load(options.records));
    let first = site.lane("backlog", options.backlog.partitions);
    let mut runs: Vec<Vec<Drained>> = WORKERS.iter().map(|_| Vec::new()).collect();
    for round in 0..options.rounds {
        for (workers, runs) in WORKERS.iter().zip(&mut runs) {
            let lane = site.again(&first, &format!("{round}-{workers}"));
            let (running, _, drained) = site.drain(System::Consentry, &lane, *workers);
            running.stop();
            site.clear(&lane);
            eprintln!("round {round}: {workers} workers: {:.0} thousand/s", drained.a_second / 1e3);
            runs.push(drained);
        }
    }
    report(options, &runs)
}

fn report(options: &Options, runs: &[Vec<Drained>]) -> Table {
    let mut table = Table::new(format!(
        "a backlog of {} events of {} bytes, {} partitions, {} rounds in turn: median (minimum–maximum)",
        options.records, options.backlog.bytes, options.backlog.partitions, options.rounds
    ));
    let one = runs.first().expect("one worker");
    for (workers, runs) in WORKERS.iter().zip(runs) {
        let ratios = runs.iter().zip(one).map(|(run, one)| run.a_second / one.a_second).collect();
        table.row(json!({
            "workers": workers,
            "thousand records/s": Series(runs.iter().map(|run| run.a_second / 1e3).collect()).text(0),
            "× one worker": Series(ratios).text(2),
            "µs CPU a record": Series(runs.iter().map(|run| run.cpu_us).collect()).text(2),
        }));
    }
    table
}
