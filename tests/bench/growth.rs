//! How cost grows: what a record costs over people, routes, grants and the size of an event, without Kafka,
//! and over partitions, with it. One thing grows at a time, the others stay at one route, one grant,
//! 600 bytes and a thousand people.
//!
//! Instructions are counted where valgrind is there, and not for more people than it can be asked to learn.
//! They do not show what a miss in the processor's caches costs; nanoseconds do.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use serde_json::json;

use crate::decide::{self, instructions, nanoseconds};
use crate::load::Load;
use crate::machine;
use crate::plot::{self, Panel};
use crate::site::Site;
use crate::systems::System;
use crate::table::{Series, Table};

const ROUTES: [u64; 6] = [1, 2, 5, 10, 20, 50];
const GRANTS: [u64; 5] = [1, 2, 5, 10, 20];
const BYTES: [u64; 5] = [100, 600, 1000, 10_000, 100_000];
const PARTITIONS: [u64; 5] = [1, 2, 4, 8, 16];
/// From here on, times ten.
const FEWEST_SUBJECTS: u64 = 10_000;
/// Learning more people than this under valgrind takes minutes.
const COUNTED_UP_TO: u64 = 100_000;

/// What is measured.
#[derive(Debug, Args)]
pub struct Options {
    /// What grows.
    #[arg(long, value_enum, value_delimiter = ',', default_values_t = Axis::ALL)]
    axes: Vec<Axis>,
    /// The most people; a hundred million need tens of gigabytes.
    #[arg(long, default_value_t = 1_000_000)]
    subjects_up_to: u64,
    /// Events on Kafka.
    #[arg(long, default_value_t = 500_000)]
    records: u64,
    /// How often each is run on Kafka, in turn; the median counts.
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    /// Where the plot goes, as SVG.
    #[arg(long, default_value = "target/growth.svg")]
    plot: PathBuf,
}

/// What grows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Axis {
    Subjects,
    Routes,
    Grants,
    Bytes,
    Partitions,
}

/// What a record costs over one thing.
struct Curve {
    axis: Axis,
    /// Of which program, by which measure.
    cost: String,
    points: Vec<(u64, f64)>,
}

impl Axis {
    const ALL: [Self; 5] = [Self::Subjects, Self::Routes, Self::Grants, Self::Bytes, Self::Partitions];

    const fn name(self) -> &'static str {
        match self {
            Self::Subjects => "people",
            Self::Routes => "routes",
            Self::Grants => "grants of a person",
            Self::Bytes => "bytes of an event",
            Self::Partitions => "partitions",
        }
    }
}

/// Measures along each axis, prints the table and writes the plot.
pub fn run(options: &Options) -> Table {
    let mut curves = Vec::new();
    for axis in &options.axes {
        curves.extend(match axis {
            Axis::Partitions => over_partitions(options),
            axis => decided(*axis, options),
        });
    }
    draw(options, &curves);
    let mut table = Table::new("what a record costs as one thing grows, from the first to the last point");
    for curve in &curves {
        table.row(json!({
            "what grows": curve.axis.name(),
            "over": list(curve.points.iter().map(|(at, _)| *at as f64)),
            "cost": curve.cost,
            "of a record": list(curve.points.iter().map(|(_, cost)| *cost)),
            "growth": curve.growth(),
        }));
    }
    table
}

/// Along an axis that needs no Kafka.
fn decided(axis: Axis, options: &Options) -> Vec<Curve> {
    let subjects = || std::iter::successors(Some(FEWEST_SUBJECTS), |n| n.checked_mul(10));
    let at: Vec<u64> = match axis {
        Axis::Subjects => subjects().take_while(|n| *n <= options.subjects_up_to).collect(),
        Axis::Routes => ROUTES.to_vec(),
        Axis::Grants => GRANTS.to_vec(),
        Axis::Bytes => BYTES.to_vec(),
        Axis::Partitions => Vec::new(),
    };
    let (mut times, mut counts) = (Vec::new(), Vec::new());
    for at in at {
        let settings = settings(axis, at);
        let ns = nanoseconds(&settings);
        eprintln!("{at} {}: {ns:.0} ns", axis.name());
        times.push((at, ns.round()));
        if settings.subjects <= COUNTED_UP_TO {
            counts.extend(instructions(&settings).map(|count| (at, count as f64)));
        }
    }
    let curve = |cost: &str, points| Curve { axis, cost: cost.to_owned(), points };
    let both = [curve("ns", times), curve("instructions", counts)];
    both.into_iter().filter(|curve| !curve.points.is_empty()).collect()
}

fn settings(axis: Axis, at: u64) -> decide::Options {
    let mut settings = decide::Options { bytes: 600, routes: 1, grants: 1, subjects: 1000, decisions: 2000 };
    let size = usize::try_from(at).expect("it fits");
    match axis {
        Axis::Subjects => settings.subjects = at,
        Axis::Routes => settings.routes = size,
        Axis::Grants => settings.grants = size,
        Axis::Bytes => {
            settings.bytes = size;
            settings.decisions = (2_000_000 / size).clamp(100, 2000);
        }
        Axis::Partitions => {}
    }
    settings
}

/// On a real Kafka: CPU time of the process, of both programs in turn.
fn over_partitions(options: &Options) -> Vec<Curve> {
    let load = Load { records: options.records, subjects: 10_000, permitted: 100, bytes: 600 };
    let site = Site::new(&load);
    let mut curves = [System::Consentry, System::CopyLoop].map(|system| {
        let cost = format!("µs CPU, {}", system.short());
        (system, Curve { axis: Axis::Partitions, cost, points: Vec::new() })
    });
    for partitions in PARTITIONS {
        let count = i32::try_from(partitions).expect("few");
        let source = site.lane(&partitions.to_string(), count);
        let mut costs = [Series::default(), Series::default()];
        for round in 0..options.rounds {
            for ((system, _), costs) in curves.iter().zip(&mut costs) {
                let lane = site.again(&source, &format!("{partitions}-{round}-{}", system.word()));
                let (running, _, drained) = site.drain(*system, &lane, 1);
                running.stop();
                site.clear(&lane);
                eprintln!("{partitions} partitions: {}: {:.2} µs", system.short(), drained.cpu_us);
                costs.0.push(drained.cpu_us);
            }
        }
        for ((_, curve), costs) in curves.iter_mut().zip(costs) {
            curve.points.push((partitions, (costs.median() * 100.0).round() / 100.0));
        }
    }
    curves.into_iter().map(|(_, curve)| curve).collect()
}

impl Curve {
    /// `×1.9 for ×50`.
    fn growth(&self) -> String {
        let Some(((from, first), (to, last))) = self.points.first().zip(self.points.last()) else {
            return String::new();
        };
        format!("×{:.2} for ×{}", last / first, to / from)
    }
}

/// Counts are in the table alone: a panel has one unit.
fn draw(options: &Options, curves: &[Curve]) {
    let panel = |axis: &Axis| {
        let drawn = curves.iter().filter(|curve| curve.axis == *axis && curve.cost != "instructions");
        let line = |curve: &Curve| {
            let name = curve.cost.rsplit(", ").next().unwrap_or_default().to_owned();
            (name, curve.points.iter().map(|(at, cost)| (*at as f64, *cost)).collect())
        };
        let unit = if *axis == Axis::Partitions { "µs CPU a record, on Kafka" } else { "ns a record" };
        Panel { x: axis.name().to_owned(), y: unit.to_owned(), lines: drawn.map(line).collect() }
    };
    let panels: Vec<Panel> = options.axes.iter().map(panel).collect();
    let machine = machine::describe();
    let of = |name: &str| machine[name].as_str().map_or_else(|| machine[name].to_string(), str::to_owned);
    let caption = [
        format!("Consentry {}: what a record costs", of("consentry")),
        "as one thing grows, the others being".to_owned(),
        "1 route, 1 grant, 600 bytes, 1000 people".to_owned(),
        format!("(on Kafka 10k), {}", of("date")),
        format!("{}, {} cores", of("processor"), of("cores")),
    ];
    if let Some(dir) = options.plot.parent() {
        std::fs::create_dir_all(dir).expect("a directory for the plot");
    }
    plot::draw(&options.plot, &panels, &caption).expect("the plot is written");
    eprintln!("plot: {}", options.plot.display());
}

fn list(numbers: impl Iterator<Item = f64>) -> serde_json::Value {
    let whole = |n: f64| if n.fract() == 0.0 { json!(n as u64) } else { json!(n) };
    numbers.map(whole).collect()
}
