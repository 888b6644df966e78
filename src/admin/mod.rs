//! What the process answers over HTTP: metrics, liveness, readiness, a page for people.
//!
//! It runs on a thread and a tokio runtime of its own, so that a scrape never waits for the line nor the
//! line for a scrape. What is open to everybody only reads, changes nothing that is forwarded and names no
//! person. What is about persons (`persons`) is there only where the configuration opens it, and writes to the
//! consent topic: what is forwarded changes by way of that alone. Connections are bounded in number and in idle time, because they share file descriptors with
//! the Kafka clients.

pub mod settings;

mod answers;
mod limited;
mod office;
mod persons;
mod problem;
mod status;
mod unsubscribe;

use std::net::{SocketAddr, TcpListener};
use std::sync::{Arc, OnceLock};
use std::thread::{Builder, JoinHandle};
use std::time::Duration;

use tokio::sync::oneshot;

use crate::telemetry::{Exporter, Health, Totals};

use settings::AdminSettings;

pub use office::Office;

/// How long a stop waits for answers that are under way.
const STOP_WITHIN: Duration = Duration::from_secs(2);

/// What the answers are made from.
#[derive(Clone)]
pub struct Board {
    /// Which process this is.
    pub about: About,
    /// Readiness.
    pub health: Health,
    /// Metrics.
    pub exporter: Exporter,
    /// The totals of every pipeline, in the order of the configuration.
    pub totals: Vec<Arc<Totals>>,
    /// Reads the consent cache's figures.
    pub consent: Arc<dyn Fn() -> ConsentFigures + Send + Sync>,
    /// What persons are served with, once it is there.
    pub office: Arc<OnceLock<Office>>,
}

/// Which process this is.
#[derive(Clone, Debug, Default, serde::Serialize)]
pub struct About {
    /// `instance` of the configuration.
    pub instance: String,
    /// Consentry's version.
    pub version: String,
    /// The policy's hash.
    pub policy: String,
    /// `exactly_once` or `at_least_once`.
    pub delivery: String,
    /// Whether the brokers are the embedded ones of the demonstration.
    pub mock: bool,
}

/// What the consent cache holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct ConsentFigures {
    /// Subjects with a state; those who were erased have none.
    pub subjects: u64,
    /// Subjects whose consent record does not decode.
    pub invalid: u64,
    /// Subjects with a state on several partitions.
    pub splits: u64,
    /// Subjects erased on one partition and known on another.
    pub conflicted: u64,
}

/// The listener cannot be started.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The address is taken.
    #[error(
        "`admin.listen`: {0} is in use; stop what listens there, or write another port \
         (port 0 takes a free one)"
    )]
    InUse(SocketAddr),
    /// The address cannot be listened on for another reason.
    #[error("`admin.listen`: cannot listen on {0}: {1}; write an address of this machine and a free port")]
    Bind(SocketAddr, #[source] std::io::Error),
    /// The system gives no thread or event queue.
    #[error("cannot start the admin thread: {0}")]
    Thread(#[source] std::io::Error),
}

/// The running listener. Dropping it stops it.
#[derive(Debug)]
pub struct Admin {
    address: SocketAddr,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

/// Listens, and answers from `board` until the handle is stopped or dropped.
///
/// # Errors
/// An address that is taken or not this machine's; no thread.
pub fn serve(settings: &AdminSettings, board: Board) -> Result<Admin, Error> {
    let bind = |error: std::io::Error| match error.kind() {
        std::io::ErrorKind::AddrInUse => Error::InUse(settings.listen),
        _ => Error::Bind(settings.listen, error),
    };
    let listener = TcpListener::bind(settings.listen).map_err(bind)?;
    listener.set_nonblocking(true).map_err(Error::Thread)?;
    let address = listener.local_addr().map_err(Error::Thread)?;
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(Error::Thread)?;
    let router = answers::router(settings, board);
    let (stop, stopped) = oneshot::channel();
    let turn = move || {
        runtime.block_on(answer(listener, router, stopped));
        runtime.shutdown_background();
    };
    let thread = Builder::new().name("admin".to_owned()).spawn(turn).map_err(Error::Thread)?;
    tracing::info!(%address, "status page, metrics and readiness are served");
    Ok(Admin { address, stop: Some(stop), thread: Some(thread) })
}

/// Serves until `stopped`, then gives open answers a moment.
async fn answer(listener: TcpListener, router: axum::Router, stopped: oneshot::Receiver<()>) {
    let listener = match tokio::net::TcpListener::from_std(listener) {
        Ok(listener) => limited::Limited::new(listener),
        Err(error) => return tracing::error!(%error, "the admin listener cannot be used"),
    };
    let (closing, closed) = oneshot::channel();
    let stop = async move {
        // An error means that the handle is gone, which is a stop too.
        let _ = stopped.await;
        let _ = closing.send(());
    };
    let server = axum::serve(listener, router).with_graceful_shutdown(stop);
    let patience = async move {
        let _ = closed.await;
        tokio::time::sleep(STOP_WITHIN).await;
    };
    tokio::select! {
        ended = server => if let Err(error) = ended {
            tracing::error!(%error, "the admin listener ended");
        },
        () = patience => {}
    }
}

impl Admin {
    /// Where it listens.
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Takes no new connections, lets open answers end for at most 2 s, and returns.
    pub fn stop(mut self) {
        self.end();
    }

    fn end(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the admin thread panicked");
        }
    }
}

impl Drop for Admin {
    fn drop(&mut self) {
        self.end();
    }
}
