//! How much later a record arrives: from its append to the source until a reader of the sink has it, at a
//! share of the rate that Consentry was seen to keep up with in the same run.
//!
//! The copy loop is fed at the same rate, and so is a reader of the source itself: what comes on top of that is
//! added by whoever stands between. The copy loop begins a commit when its records have waited for an interval,
//! Consentry so that they have come out by then.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use clap::Args;
use consentry::time::{Clock, Instant};
use serde_json::json;

use crate::feed::Feed;
use crate::load::Load;
use crate::proxy::COMMIT_MS;
use crate::sink::Sink;
use crate::site::{Backlog, Site};
use crate::systems::System;
use crate::table::{Series, Table};

/// At the start of feeding, not counted.
const WARM_UP: Duration = Duration::from_secs(2);
/// Different events to feed.
const STOCK: u64 = 50_000;
/// What may come on top of a commit interval.
const ALLOWED_MS: f64 = 10.0;

/// What is measured.
#[derive(Debug, Args)]
pub struct Options {
    /// Events of the backlog that shows the rate of saturation.
    #[arg(long, default_value_t = 1_000_000)]
    records: u64,
    /// How many of a hundred parts of that rate are fed.
    #[arg(long, default_value_t = 50)]
    load: u32,
    /// Seconds of feeding, after two to warm up.
    #[arg(long = "for", value_name = "SECONDS", default_value_t = 20)]
    seconds: u64,
    #[command(flatten)]
    backlog: Backlog,
    /// Threads of Consentry.
    #[arg(long, default_value_t = 1)]
    workers: usize,
}

/// What became of the records that were fed.
struct Seen {
    fed: u64,
    arrived: u64,
    fed_a_second: f64,
    latencies_ms: Series,
}

/// Measures Consentry, then the copy loop and a bare reader at the same rate.
pub fn run(options: &Options) -> Table {
    let load = options.backlog.load(options.records);
    let site = Site::new(&load);
    let feed = Feed::new(site.address(), &Load { records: STOCK, ..load });
    let source = site.source("direct", options.backlog.partitions);
    let mut pace = None;
    let mut seen = Vec::new();
    for system in [System::Consentry, System::CopyLoop] {
        let lane = site.lane(system.word(), options.backlog.partitions);
        let (mut running, progress, drained) = site.drain(system, &lane, options.workers);
        let a_second = *pace.get_or_insert(drained.a_second * f64::from(options.load) / 100.0);
        eprintln!(
            "{}: {:.0} thousand/s at saturation, fed {:.0}",
            system.short(),
            drained.a_second / 1e3,
            a_second / 1e3
        );
        let sink = Sink::from_end(site.address(), &lane.sink, options.backlog.partitions);
        let of_fed = watch(&feed, &lane.source, &sink, a_second, options.seconds);
        running.drain(&progress, options.records + of_fed.fed);
        assert_eq!(of_fed.arrived, of_fed.fed, "every record that was fed arrives, once");
        running.stop();
        seen.push((system, of_fed));
    }
    let pace = pace.unwrap_or_default();
    let reader = Sink::from_end(site.address(), &source, options.backlog.partitions);
    let direct = watch(&feed, &source, &reader, pace, options.seconds);
    assert_eq!(direct.arrived, direct.fed, "every record that was fed arrives, once");
    report(options, pace, &seen, &direct)
}

/// Feeds and reads at once.
fn watch(feed: &Feed, source: &str, sink: &Sink, a_second: f64, seconds: u64) -> Seen {
    let long = WARM_UP + Duration::from_secs(seconds);
    let warm_ms = Clock::default().now().0 + i64::try_from(WARM_UP.as_millis()).expect("seconds");
    let feeding = AtomicBool::new(true);
    let (mut arrived, mut latencies) = (0, Vec::new());
    let (fed, took) = std::thread::scope(|scope| {
        let feeder = scope.spawn(|| {
            let began = Instant::now();
            let fed = feed.run(source, a_second, || u64::MAX, || began.elapsed() < long);
            feeding.store(false, Ordering::Relaxed);
            (fed, began.elapsed())
        });
        sink.read(
            || feeding.load(Ordering::Relaxed),
            |arrival| {
                arrived += 1;
                if arrival.appended_ms >= warm_ms {
                    latencies.push((arrival.seen_ms - arrival.appended_ms) as f64);
                }
            },
        );
        feeder.join().expect("it fed")
    });
    let fed_a_second = fed as f64 / took.as_secs_f64();
    Seen { fed, arrived, fed_a_second, latencies_ms: Series(latencies) }
}

fn report(options: &Options, pace: f64, seen: &[(System, Seen)], direct: &Seen) -> Table {
    let mut table = Table::new(format!(
        "from append to arrival in the sink, commits every {COMMIT_MS} ms, {} % of the rate of saturation \
         ({:.0} thousand records/s) for {} s, {} bytes, {} partitions",
        options.load,
        pace / 1e3,
        options.seconds,
        options.backlog.bytes,
        options.backlog.partitions
    ));
    let limit = f64::from(COMMIT_MS) + ALLOWED_MS;
    let mut row = |what: &str, seen: &Seen| {
        let all = |share: f64| seen.latencies_ms.quantile(share);
        let added = |share: f64| all(share) - direct.latencies_ms.quantile(share);
        table.row(json!({
            "what": what,
            "thousand records/s": (seen.fed_a_second / 1e3).round(),
            "p50 ms": all(0.5), "p99 ms": all(0.99), "max ms": all(1.0),
            "added: p50 ms": added(0.5), "p99 ms more": added(0.99),
            (format!("under {limit} ms")): if added(0.99) < limit { "yes" } else { "no" },
        }));
    };
    row("the source, read at once", direct);
    for (system, seen) in seen {
        row(system.short(), seen);
    }
    table
}
