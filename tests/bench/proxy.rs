//! Consentry as it is measured: one configuration for all measurements, and the real binary that runs it.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use serde_json::json;

/// Where an admin address that nobody asks listens: on a port of the system's choice.
pub const ANY_PORT: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

/// How long records gather before they are committed, in the copy loop too.
pub const COMMIT_MS: u32 = 100;

/// What differs from one measurement to the next.
#[derive(Clone, Copy, Debug)]
pub struct Setup<'a> {
    /// The broker.
    pub address: &'a str,
    /// The topic of consents.
    pub consents: &'a str,
    /// The consumer group, and the name of the configuration's file.
    pub group: &'a str,
    /// The topic to read.
    pub source: &'a str,
    /// The topic to write.
    pub sink: &'a str,
    /// Threads.
    pub workers: usize,
    /// Where `/ready` is answered.
    pub admin: SocketAddr,
    /// A folder in which the consents are kept from start to start.
    pub snapshot: Option<&'a Path>,
}

/// The file in that folder.
pub fn snapshot_file(folder: &Path) -> PathBuf {
    folder.join("consents")
}

/// Writes the configuration: one route that requires one purpose, one field that is
/// reduced for those who do not permit `contact`.
pub fn configuration(setup: &Setup<'_>) -> PathBuf {
    let mut config = json!({
        "version": 1,
        "instance": "bench",
        "workers": setup.workers,
        "commit_interval": format!("{COMMIT_MS}ms"),
        "admin": {"listen": setup.admin.to_string()},
        "kafka": {"brokers": [setup.address], "properties": {"broker.address.family": "v4"}},
        "consent": {"topic": setup.consents},
        "policy": {
            "purposes": {"analytics": {"description": "Measure how the shop is used"}},
            "levels": ["anonymous", "pseudonymous", "contact"],
        },
        "pipelines": [{
            "name": "bench",
            "group": setup.group,
            "from": {"topics": [setup.source]},
            "subject": [{"type": "user_id", "path": "/user/id"}],
            "occurred_at": {"path": "/occurred_at"},
            "fields": [{"path": "/user/email", "level": "contact", "action": "remove"}],
            "quarantine": {"topic": "quarantine", "create": true},
            "routes": [{
                "name": "analytics",
                "require": {"purposes": {"all": ["analytics"]}},
                "to": {"kafka": {"topic": setup.sink}},
            }],
        }],
    });
    if let Some(folder) = setup.snapshot {
        let key = folder.join("key");
        std::fs::write(&key, "k".repeat(32)).expect("a writable temporary directory");
        // On stop alone, so that no other writing falls into the measurement.
        config["consent"]["snapshot"] =
            json!({"path": snapshot_file(folder), "key": {"file": key}, "every": "1d"});
    }
    let name = format!("consentry-bench-{}-{}.json", std::process::id(), setup.group);
    let path = std::env::temp_dir().join(name);
    std::fs::write(&path, config.to_string()).expect("a writable temporary directory");
    path
}

/// Starts a program that is measured; what it says on standard output and error goes to `log`.
pub fn spawn(mut command: Command, log: &Path) -> Child {
    let log = std::fs::File::create(log).expect("a writable temporary directory");
    let also = log.try_clone().expect("a log file");
    command.stdin(Stdio::null()).stdout(also).stderr(log).spawn().expect("it starts")
}
