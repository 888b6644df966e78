//! The cache at size: bytes a subject, how fast it is filled, how fast it is asked while it changes, and how fast
//! a snapshot of it is written and read back.
//!
//! Without Kafka. Each row is measured in a process of its own, so that memory is the difference of what is
//! resident before and after, everything included. Subjects are asked for in random order, so that look-ups
//! miss the processor's caches as they do in life.

use std::fs::File;
use std::hint::black_box;
use std::io::{BufReader, BufWriter};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use clap::{Args, ValueEnum};
use consentry::cache::settings::CacheSettings;
use consentry::cache::snapshot::{Head, Snapshot, write};
use consentry::cache::{Cache, Said};
use consentry::consent::{Basis, Identities, Shape, Status};
use consentry::time::{Instant, Timestamp};
use consentry::wire::change::{Change, GrantLine};
use serde_json::{Value, json};

use crate::machine;
use crate::table::Table;

/// A second in 2026, in milliseconds.
const NOW_MS: i64 = 1_780_000_000_000;
const DAY_MS: u64 = 86_400_000;

/// What is kept.
#[derive(Clone, Debug, Args)]
pub struct Options {
    /// Subjects.
    #[arg(long, default_value_t = 1_000_000)]
    subjects: u64,
    /// Grants of a subject.
    #[arg(long, default_value_t = 2)]
    grants: usize,
    /// How long look-ups are counted.
    #[arg(long, default_value_t = 5)]
    seconds: u64,
    /// Only one kind of grant.
    #[arg(long, value_enum)]
    times: Option<Times>,
}

/// Which times a grant has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Times {
    /// Given, confirmed and valid until.
    Three,
    /// Given.
    One,
}

/// Measures both kinds of grants.
pub fn run(options: &Options) -> Table {
    let mut table = Table::new(format!(
        "{} subjects, {} grants each; look-ups by one thread while another writes at full speed",
        options.subjects, options.grants
    ));
    for times in options.times.map_or_else(|| vec![Times::Three, Times::One], |times| vec![times]) {
        let name = times.to_possible_value().expect("a name");
        let out = std::process::Command::new(std::env::current_exe().expect("this program"))
            .args(["cache-row", "--times", name.get_name()])
            .args(["--subjects".to_owned(), options.subjects.to_string()])
            .args(["--grants".to_owned(), options.grants.to_string()])
            .args(["--seconds".to_owned(), options.seconds.to_string()])
            .stderr(std::process::Stdio::inherit())
            .output()
            .expect("this program runs");
        assert!(out.status.success(), "a row fails");
        table.row(serde_json::from_slice(&out.stdout).expect("a row"));
    }
    table
}

/// Measures one kind, and prints it as JSON.
pub fn run_row(options: &Options) {
    let times = options.times.expect("a kind");
    let before = machine::resident();
    let cache = empty();
    let mut change = change(options.grants);
    let began = Instant::now();
    for subject in 0..options.subjects {
        apply(&cache, subject, 0, &mut change, times);
    }
    let filled = began.elapsed();
    let each = (machine::resident() - before) as f64 / options.subjects as f64;
    let (looked, written) = ask(&cache, options, times);
    let million = options.subjects as f64 / 1e6;
    let counted = cache.bytes() as f64 / options.subjects as f64;
    let (written_in, read_in) = keep(cache, options.subjects);
    let row: Value = json!({
        "times a grant": if times == Times::Three { 3 } else { 1 },
        "bytes a subject": each.round(),
        "reserved": counted.round(),
        "seconds a million filled": rounded(filled.as_secs_f64() / million, 3),
        "million look-ups a CPU second": rounded(looked / 1e6, 2),
        "million changes/s beside": rounded(written / 1e6, 2),
        "seconds a million, snapshot written": rounded(written_in.as_secs_f64() / million, 3),
        "read back": rounded(read_in.as_secs_f64() / million, 3),
    });
    println!("{row}");
}

fn empty() -> Cache {
    Cache::new(CacheSettings { max_subjects: usize::MAX, max_grants: 256 }, &[7; 16])
}

/// How long a snapshot takes to be written to a file, and to be read back.
fn keep(cache: Cache, subjects: u64) -> (Duration, Duration) {
    let path = std::env::temp_dir().join(format!("consentry-bench-{}.snapshot", std::process::id()));
    let head = Head {
        topic: "consents".to_owned(),
        topic_id: "bench".to_owned(),
        partitions: 1,
        format: "json".to_owned(),
        max_grants: 256,
        signals: String::new(),
        fresh_at_ms: NOW_MS,
        offsets: vec![(0, 0)],
    };
    let began = Instant::now();
    let mut out = BufWriter::with_capacity(1 << 20, File::create(&path).expect("a writable directory"));
    assert_eq!(write(&cache, &head, &mut out).expect("room for it"), subjects);
    out.into_inner().expect("room for it").sync_all().expect("a disk");
    let written = began.elapsed();
    drop(cache);
    let (cache, began) = (empty(), Instant::now());
    let file = BufReader::with_capacity(1 << 20, File::open(&path).expect("it is there"));
    let read = Snapshot::open(file, &cache).and_then(|snapshot| snapshot.restore(&cache));
    assert_eq!(read.expect("it is whole"), subjects);
    let read = began.elapsed();
    std::fs::remove_file(&path).expect("it is there");
    (written, read)
}

fn rounded(number: f64, decimals: i32) -> f64 {
    let factor = 10_f64.powi(decimals);
    (number * factor).round() / factor
}

/// Look-ups a CPU second of the thread that asks, and changes a second of the one that writes meanwhile.
fn ask(cache: &Cache, options: &Options, times: Times) -> (f64, f64) {
    let (stop, written) = (AtomicBool::new(false), AtomicU64::new(0));
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut change = change(options.grants);
            let mut random = fastrand::Rng::with_seed(2);
            for offset in 1.. {
                if stop.load(Ordering::Relaxed) {
                    break;
                }
                apply(cache, random.u64(..options.subjects), offset, &mut change, times);
                written.fetch_add(1, Ordering::Relaxed);
            }
        });
        let (began, cpu, mut looked) = (Instant::now(), machine::thread_cpu(), 0_u64);
        let (mut random, mut identities) = (fastrand::Rng::with_seed(3), Identities::default());
        let mut name = String::new();
        while began.elapsed() < Duration::from_secs(options.seconds) {
            let view = cache.view();
            for _ in 0..64 {
                let group: [_; 16] = std::array::from_fn(|_| {
                    subject_name(&mut name, random.u64(..options.subjects));
                    (cache.subject("user_id", &name), None)
                });
                view.prefetch(&group);
                for (subject, _) in group {
                    identities.clear();
                    view.find(subject, &mut identities);
                    black_box(&identities);
                }
                looked += 16;
            }
        }
        let (cpu, took) = (machine::thread_cpu() - cpu, began.elapsed());
        stop.store(true, Ordering::Relaxed);
        let rate = |count: u64, time: Duration| count as f64 / time.as_secs_f64();
        (rate(looked, cpu), rate(written.load(Ordering::Relaxed), took))
    })
}

fn subject_name(into: &mut String, subject: u64) {
    into.clear();
    into.push_str("u-");
    into.push_str(itoa::Buffer::new().format(subject));
}

fn change(grants: usize) -> Change {
    let shape = |number: usize| Shape {
        purpose: format!("purpose-{number}").into(),
        channel: "email".into(),
        recipient: "".into(),
        level: "contact".into(),
        status: Status::Confirmed,
        basis: Basis::Consent,
    };
    let grant =
        |number| GrantLine { shape: shape(number), given_at: None, confirmed_at: None, valid_until: None };
    Change { version: Some(7), grants: (0..grants).map(grant).collect(), ..Change::default() }
}

/// Each subject has times of its own, some days apart, to the millisecond.
fn apply(cache: &Cache, subject: u64, later: i64, change: &mut Change, times: Times) {
    let mut spread = subject.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ later.cast_unsigned();
    for grant in &mut change.grants {
        spread = spread.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let after = |days: u64| i64::try_from((spread >> 8) % (days * DAY_MS)).expect("some years");
        let given = NOW_MS - after(700);
        grant.given_at = Some(Timestamp(given));
        grant.confirmed_at = (times == Times::Three).then(|| Timestamp(given + after(3)));
        grant.valid_until = (times == Times::Three).then(|| Timestamp(given + after(30) + 31_536_000_000));
    }
    let mut name = String::new();
    subject_name(&mut name, subject);
    let offset = i64::try_from(subject).expect("few") + later * 1_000_000_000;
    cache.apply(("user_id", &name), 0, offset, &Said::State(change));
}
