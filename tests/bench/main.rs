//! Measurements, each a command: `cargo bench -- NAME`, `cargo bench -- --help` lists them.
//!
//! A measurement prints a table for people, and with `--output json` one JSON object for programs. What is
//! compared is compared in the same run on the same input, in turn; medians are given with their minimum
//! and maximum, because one and the same program differs by tens of percent from run to run on a shared
//! machine. Ratios are the claims, absolute times only say where they were taken.

#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a measurement that cannot go on says why and ends"
)]

mod cache;
mod cold_start;
mod copy_loop;
mod decide;
mod end_to_end;
mod feed;
mod follow;
mod growth;
mod latency;
mod leak;
mod load;
mod machine;
mod plot;
mod proxy;
mod rivals;
mod running;
mod sink;
mod site;
mod systems;
mod table;
mod withdrawal;
mod workers;

// The broker and the clients that the tests bring along.
#[path = "../kafka/broker.rs"]
#[allow(dead_code, reason = "shared with the tests, which use all of it")]
mod broker;
#[path = "../kafka/clients.rs"]
#[allow(dead_code, reason = "shared with the tests, which use all of it")]
mod clients;
#[path = "../kafka/jars.rs"]
#[allow(dead_code, reason = "shared with the tests, which use all of it")]
mod jars;
#[path = "../kafka/reaper.rs"]
#[allow(dead_code, reason = "shared with the tests, which use all of it")]
mod reaper;
#[path = "../kafka/topics.rs"]
#[allow(dead_code, reason = "shared with the tests, which use all of it")]
mod topics;
#[path = "../kafka/wait.rs"]
#[allow(dead_code, reason = "shared with the tests, which use all of it")]
mod wait;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Measures Consentry.
#[derive(Debug, Parser)]
#[command(bin_name = "cargo bench --", disable_version_flag = true)]
struct Command {
    #[command(subcommand)]
    what: What,
    /// How the result is printed.
    #[arg(long, global = true, value_enum, default_value_t = table::Output::Text)]
    output: table::Output,
    /// Given by cargo.
    #[arg(long, global = true, hide = true)]
    bench: bool,
}

#[derive(Debug, Subcommand)]
enum What {
    /// CPU a record, records a second and memory, against a bare copy loop and other systems.
    EndToEnd(end_to_end::Options),
    /// How many events pass that were written right after an acknowledged withdrawal.
    Leak(leak::Options),
    /// Instructions and time of a decision, without Kafka, for policies of several sizes.
    Decide(decide::Options),
    /// How soon after a withdrawal nothing more comes out, and how much came out that must not: exit 1 if any.
    Withdrawal(withdrawal::Options),
    /// From the start of the process until it is ready, with many people in the consent topic.
    ColdStart(cold_start::Options),
    /// The same beside a start from the snapshot that the process before left.
    WarmStart(cold_start::Options),
    /// From append to arrival at half of the rate that Consentry keeps up with, and the copy loop's.
    Latency(latency::Options),
    /// Records a second and CPU a record with one, two and four threads.
    Workers(workers::Options),
    /// How cost grows with people, routes, grants, bytes and partitions: a table and a plot.
    Growth(growth::Options),
    /// The loop of `decide`.
    #[command(hide = true)]
    DecideLoop(decide::Options),
    /// Memory a subject, and how fast the cache is filled and asked, without Kafka.
    Cache(cache::Options),
    /// One row of `cache`.
    #[command(hide = true)]
    CacheRow(cache::Options),
    /// The yardstick itself: copies a topic in transactions, without end.
    #[command(hide = true)]
    CopyLoop(copy_loop::Options),
}

fn main() -> ExitCode {
    let command = Command::parse();
    match command.what {
        What::EndToEnd(options) => end_to_end::run(&options).print(command.output),
        What::Leak(options) => {
            let result = leak::run(&options);
            result.table.print(command.output);
            if result.of_consentry > 0 {
                eprintln!("Consentry forwarded what it must not");
                return ExitCode::FAILURE;
            }
        }
        What::Decide(options) => decide::run(&options).print(command.output),
        What::ColdStart(options) => cold_start::run(&options).print(command.output),
        What::WarmStart(options) => cold_start::run_warm(&options).print(command.output),
        What::Withdrawal(options) => {
            let (table, leaked) = withdrawal::run(&options);
            table.print(command.output);
            if leaked > 0 {
                return ExitCode::FAILURE;
            }
        }
        What::Latency(options) => latency::run(&options).print(command.output),
        What::Workers(options) => workers::run(&options).print(command.output),
        What::Growth(options) => growth::run(&options).print(command.output),
        What::DecideLoop(options) => decide::run_loop(&options),
        What::Cache(options) => cache::run(&options).print(command.output),
        What::CacheRow(options) => cache::run_row(&options),
        What::CopyLoop(options) => copy_loop::run(&options),
    }
    ExitCode::SUCCESS
}
