//! `consentry demo`: Consentry at work, with no broker, no Java and no network.
//!
//! It starts the embedded broker, a shop that sends events and consent changes, a reader of every sink,
//! and the proxy itself, in this process, on the configuration that is shipped as `config/demo.yaml`.
//! What it prints in the end is not what the proxy says of itself alone: it is held against what was sent
//! and what was found in the sinks.

mod display;
mod events;
mod experiment;
mod generator;
mod observer;
mod opt_in;
mod people;
mod stage;
mod summary;

use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::Builder;
use std::time::Duration;

use anyhow::{Context, Result, anyhow};

use crate::app::{Options, Proxy};
use crate::broker::{self, Broker};
use crate::config::{self, Given, Ready, Secrets};
use crate::pipeline::settings::PipelineSettings;
use crate::policy::settings::RequireSettings;
use crate::telemetry::logs::{self, LogFormat};
use crate::time::Instant;

use display::Display;
use generator::{Desk, Generator, Order, PEOPLE};
use observer::{Observer, Outlet, OutletKind};
use stage::Stage;

const CONFIG: &str = include_str!("../../config/demo.yaml");
const EVENT_PARTITIONS: u16 = 4;
const CONSENT_PARTITIONS: u16 = 3;

const EXAMPLES: &str = "\
Examples:
  consentry demo                              twenty seconds, then a summary
  consentry demo --for 1m --rate 2000         longer, and more of it
  consentry demo --keep                       until Ctrl-C, to look around with a browser or kcat
  consentry demo --for 5s --output json | jq .withdrawal

The broker is librdkafka's mock: it has no transactions, so the demonstration delivers at least once.
Exit: 0 if everything adds up and nothing was forwarded against a withdrawal, else 1.";

/// See it at work: no Kafka needed
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// How long to run, from the first event that comes out
    #[arg(long = "for", value_name = "DURATION", default_value = "20s", value_parser = length)]
    length: Duration,
    /// Stay until Ctrl-C instead, and print where to connect
    #[arg(long, conflicts_with = "length")]
    keep: bool,
    /// Events a second, from 50 to 5000
    #[arg(long, value_name = "N", default_value_t = 500, value_parser = clap::value_parser!(u32).range(50..=5000))]
    rate: u32,
    /// How the summary is written to standard output
    #[arg(long, value_enum, value_name = "FORMAT", default_value_t = Output::Text)]
    output: Output,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Output {
    /// For people
    Text,
    /// One JSON document
    Json,
}

/// Runs the demonstration.
///
/// # Errors
/// Where something does not start, or ends early.
pub fn run(args: &Args) -> Result<ExitCode> {
    // What goes wrong is said; all else would disturb the table. `RUST_LOG` asks for more.
    let quiet = std::env::var_os("RUST_LOG").is_none().then_some("error");
    logs::install(quiet, LogFormat::Text)?;
    let interrupted = interrupted()?;
    let mut display = Display::new((!args.keep).then_some(args.length));
    display.say(&format!("Starting an embedded mock broker, a shop with {PEOPLE} people, and Consentry …"));
    let broker = Broker::start()?;
    let ready = configuration(&broker.bootstrap())?;
    let pipeline = ready.pipelines.first().context("config/demo.yaml has no pipeline")?.clone();
    let outlets = make_topics(&broker, &ready, &pipeline)?;
    let sources = [ready.follower.topic.clone()].into_iter().chain(pipeline.topics.iter().cloned());
    let topics: Vec<String> = sources.chain(outlets.iter().map(|outlet| outlet.topic.clone())).collect();
    let desk = Arc::new(Desk::default());
    let order = Order {
        bootstrap: broker.bootstrap(),
        events: pipeline.topics.first().context("config/demo.yaml has no source")?.clone(),
        consents: ready.follower.topic.clone(),
        rate: args.rate,
    };
    let mut generator = Generator::new(order, Arc::clone(&desk))?;
    generator.say_first()?;
    let proxy = Proxy::start(ready, Options { embedded: true })?;
    let observer = Observer::start(&broker.bootstrap(), outlets, EVENT_PARTITIONS, Arc::clone(&desk))?;
    let opened = Instant::now();
    let shop = generator.start()?;
    let stage = Stage { args, desk, proxy, observer, shop: Some(shop), opened, interrupted };
    stage.wait_for_the_first(&display)?;
    if args.keep {
        let all: Vec<&str> = topics.iter().map(String::as_str).collect();
        display.say(&stage.addresses(&broker, &all));
    }
    stage.play(&mut display);
    let summary = stage.close(&display)?;
    super::say(&match args.output {
        Output::Text => summary.text(),
        Output::Json => serde_json::to_string_pretty(&summary)? + "\n",
    })?;
    Ok(if summary.passed() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// The shipped configuration, with what only this process knows: the broker, a free port, a key.
fn configuration(bootstrap: &str) -> Result<Ready> {
    let given = Given { secrets: Secrets::Skip, ..Given::default() };
    let mut ready =
        config::parse("config/demo.yaml", CONFIG, given).map_err(|problems| anyhow!("{problems}"))?;
    ready.cluster.brokers = vec![bootstrap.to_owned()];
    let properties = broker::PROPERTIES.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    ready.cluster.properties.extend(properties);
    let mut key = vec![0; 32];
    getrandom::fill(&mut key).map_err(|error| anyhow!("the system gives no random bytes: {error}"))?;
    ready.policy.pseudonym_key = Some(key);
    Ok(ready)
}

/// Makes every topic, and says which of them to read: each route's sink in order, then the quarantine.
fn make_topics(broker: &Broker, ready: &Ready, pipeline: &PipelineSettings) -> Result<Vec<Outlet>> {
    broker.create(&ready.follower.topic, CONSENT_PARTITIONS)?;
    pipeline.topics.iter().try_for_each(|topic| broker.create(topic, EVENT_PARTITIONS))?;
    let kinds = pipeline.rules.routes.iter().map(|route| match route.require {
        RequireSettings::Grants(_) if route.hold.pending => OutletKind::Waits,
        RequireSettings::Grants(_) => OutletKind::Asks,
        RequireSettings::Nothing(_) => OutletKind::Exempt,
    });
    let sinks = pipeline.sinks.iter().zip(kinds).map(|(sink, kind)| (sink.name.clone(), kind));
    pipeline.holds().try_for_each(|(_, hold)| broker.create(&hold, EVENT_PARTITIONS))?;
    let aside = (pipeline.quarantine.name.clone(), OutletKind::Quarantine);
    let outlets: Vec<Outlet> = sinks.chain([aside]).map(|(topic, kind)| Outlet { topic, kind }).collect();
    outlets.iter().try_for_each(|outlet| broker.create(&outlet.topic, EVENT_PARTITIONS))?;
    Ok(outlets)
}

/// A flag that Ctrl-C raises. The second Ctrl-C ends the process.
fn interrupted() -> Result<Arc<AtomicBool>> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let flag = Arc::new(AtomicBool::new(false));
    let raise = Arc::clone(&flag);
    let wait = move || {
        runtime.block_on(async {
            while tokio::signal::ctrl_c().await.is_ok() {
                if raise.swap(true, Ordering::SeqCst) {
                    std::process::exit(130);
                }
            }
        });
    };
    Builder::new().name("demo-signal".to_owned()).spawn(wait).context("no thread for Ctrl-C")?;
    Ok(flag)
}

/// `20s`, `5m`: a second at least, a day at most.
fn length(text: &str) -> Result<Duration, String> {
    let span: jiff::SignedDuration = text.parse().map_err(|_| "write it as `20s` or `5m`".to_owned())?;
    let length = Duration::try_from(span).map_err(|_| "it cannot be negative".to_owned())?;
    let fits = (Duration::from_secs(1)..=Duration::from_secs(86_400)).contains(&length);
    if fits { Ok(length) } else { Err("write a second at least and a day at most".to_owned()) }
}

#[cfg(test)]
mod tests;
