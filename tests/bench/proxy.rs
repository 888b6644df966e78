//! What a measured system is set to do, and Consentry's configuration for it: one for all measurements.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};

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
    /// The consumer group; no other system of this process has it.
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
    /// Whether instructions are counted too, which cannot be of what runs in a virtual machine.
    pub counted: bool,
}

impl<'a> Setup<'a> {
    /// One thread from `source` to `sink`, people in `consents`, and nothing else.
    pub const fn between(address: &'a str, source: &'a str, sink: &'a str, group: &'a str) -> Self {
        Self {
            address,
            consents: "consents",
            group,
            source,
            sink,
            workers: 1,
            admin: ANY_PORT,
            snapshot: None,
            counted: false,
        }
    }

    /// A file of its own in the temporary directory, by how its name ends.
    pub fn file(&self, end: &str) -> PathBuf {
        std::env::temp_dir().join(format!("consentry-bench-{}-{}.{end}", std::process::id(), self.group))
    }
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
    let path = setup.file("json");
    std::fs::write(&path, config.to_string()).expect("a writable temporary directory");
    path
}
