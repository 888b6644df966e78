//! `consentry run`: forward what is permitted, until told to stop.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context;
use tokio::runtime::Runtime;
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::app::{Options, Proxy};
use crate::config::{self, Given};
use crate::telemetry::logs::{self, LogFormat};

/// Forward what is permitted, until SIGTERM or Ctrl-C; then commit what is begun and end.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  consentry run consentry.yaml
  consentry run consentry.yaml --instance gate-2 --log-format json
  curl -s localhost:8080/ready        # 200, or 503 with the reasons

Exit: 0 told to stop and everything begun is committed; 1 it failed, was replaced by a newer process of
its name, or was told twice; 2 wrong usage; 78 the configuration is bad.")]
pub struct Args {
    /// The configuration; `-` is standard input.
    config: PathBuf,
    /// This process's name: stable over restarts, unique among those that run. Overrides the file's.
    #[arg(long, value_name = "NAME")]
    instance: Option<String>,
    /// Go on where records of a source topic are gone before they were read.
    #[arg(long)]
    accept_gap: bool,
    /// error, warn, info, debug or trace; or `target=level,…`. Default: RUST_LOG, else info.
    #[arg(long, value_name = "LEVEL")]
    log_level: Option<String>,
    /// How the log is written, to standard error.
    #[arg(long, value_parser = ["text", "json"], default_value = "text")]
    log_format: String,
}

/// Runs.
pub fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let format = if args.log_format == "json" { LogFormat::Json } else { LogFormat::Text };
    if let Err(error) = logs::install(args.log_level.as_deref(), format) {
        super::note(&format!("consentry: {error}\n"));
        return Ok(ExitCode::from(super::USAGE));
    }
    let given = Given { instance: args.instance.as_deref(), ..Given::default() };
    let mut ready = match config::load(&args.config, given) {
        Ok(ready) => ready,
        Err(problems) => {
            super::note(&format!("{problems}\n"));
            return Ok(ExitCode::from(super::BAD_CONFIGURATION));
        }
    };
    ready.line.accept_gap = args.accept_gap;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let (mut terminate, mut interrupt) = runtime.block_on(async {
        Ok::<_, std::io::Error>((signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?))
    })?;
    let proxy = match Proxy::start(ready, Options::default()) {
        Ok(proxy) => proxy,
        Err(error) if error.is_configuration() => {
            super::note(&format!("consentry: {error}\n"));
            return Ok(ExitCode::from(super::BAD_CONFIGURATION));
        }
        Err(error) => return Err(error.into()),
    };
    loop {
        let told = runtime.block_on(async {
            tokio::select! {
                _ = terminate.recv() => true,
                _ = interrupt.recv() => true,
                () = tokio::time::sleep(Duration::from_millis(100)) => false,
            }
        });
        if told {
            tracing::info!("stopping: what is begun is committed first; told again, it ends at once");
            end_at_the_next(runtime, terminate, interrupt)?;
            proxy.stop().context("while stopping")?;
            tracing::info!("stopped");
            return Ok(ExitCode::SUCCESS);
        }
        if let Err(error) = proxy.wait(Duration::ZERO) {
            tracing::error!(%error, "ending");
            // The other pipelines commit what they have begun; what they say now adds nothing.
            drop(proxy.stop());
            return Err(error.into());
        }
    }
}

/// Ends the process at the next signal, however far the stop is by then.
fn end_at_the_next(runtime: Runtime, mut terminate: Signal, mut interrupt: Signal) -> std::io::Result<()> {
    let wait = move || {
        runtime.block_on(async {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
        });
        tracing::warn!("told again: ending at once; what is not committed is read again");
        std::process::exit(1);
    };
    std::thread::Builder::new().name("signals".to_owned()).spawn(wait).map(drop)
}
