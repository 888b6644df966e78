//! A system under measurement while it runs.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Stdio};
use std::time::Duration;

use consentry::time::Instant;

use crate::follow::Progress;
use crate::machine::{Used, used};
use crate::proxy::{ANY_PORT, Setup};
use crate::reaper;
use crate::systems::System;

const LIMIT: Duration = Duration::from_secs(900);
/// How long an end may take: then it is taken away.
const END_WITHIN: Duration = Duration::from_secs(120);

/// The running system; ended when dropped.
pub struct Running {
    system: System,
    child: Child,
    /// What it says.
    pub log: PathBuf,
    admin: SocketAddr,
}

/// What it took to work off a backlog.
#[derive(Clone, Copy, Debug)]
pub struct Drained {
    /// Records a second, from the first commit to the last.
    pub a_second: f64,
    /// CPU time of the whole process for each record.
    pub cpu_us: f64,
    /// The most memory it had resident, in megabytes.
    pub peak_mb: f64,
}

impl Running {
    /// Starts it. Where the admin address has no port, Consentry is given one that nobody listens on.
    pub fn start(system: System, setup: &Setup<'_>) -> Self {
        let mut setup = *setup;
        if setup.admin == ANY_PORT {
            setup.admin = free_address();
        }
        let log = setup.file("log");
        let said = std::fs::File::create(&log).expect("a writable temporary directory");
        let child = system
            .command(&setup)
            .stdin(Stdio::null())
            .stdout(said.try_clone().expect("a log file"))
            .stderr(said)
            .spawn()
            .expect("it starts");
        reaper::watch(child.id());
        Self { system, child, log, admin: setup.admin }
    }

    /// What it has used since it began.
    pub fn used(&self) -> Used {
        used(self.child.id())
    }

    /// Waits until the group has done so many records: how many of them a second.
    pub fn drain(&mut self, progress: &Progress, records: u64) -> Drained {
        let waited = progress.wait(records, LIMIT, || self.lives());
        let (took, at_first) = waited.unwrap_or_else(|why| panic!("{why}; see `{}`", self.log.display()));
        let counted = records.saturating_sub(at_first).max(1) as f64;
        let Used { cpu, peak_bytes } = self.used();
        Drained {
            a_second: counted / took.as_secs_f64().max(0.001),
            cpu_us: cpu.as_secs_f64() * 1e6 / records as f64,
            peak_mb: peak_bytes as f64 / 1e6,
        }
    }

    /// Waits until `/ready` answers 200.
    pub fn wait_ready(&mut self) {
        let began = Instant::now();
        while ready(self.admin) != Some(200) {
            let waits = self.lives() && began.elapsed() < LIMIT;
            assert!(waits, "it does not become ready; see `{}`", self.log.display());
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Lets it end as an operator would, and waits.
    pub fn stop(mut self) {
        reaper::signal(&self.child, "TERM");
        let began = Instant::now();
        while self.lives() {
            if began.elapsed() > END_WITHIN {
                self.child.kill().expect("it runs");
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        let status = self.child.wait().expect("it ran");
        reaper::forget(self.child.id());
        // A virtual machine that is told to end says so with a code of its own.
        let died = self.system.is_native() && status.code().is_some_and(|code| code != 0);
        assert!(!died, "it ended with {status}; see `{}`", self.log.display());
    }

    /// Whether it has not ended.
    pub fn lives(&mut self) -> bool {
        self.child.try_wait().expect("our child").is_none()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if self.lives() {
            let _ = self.child.kill();
            let _ = self.child.wait();
            reaper::forget(self.child.id());
        }
    }
}

fn free_address() -> SocketAddr {
    let listener = TcpListener::bind(ANY_PORT).expect("a free port");
    listener.local_addr().expect("it is bound")
}

/// The status of `/ready`; `None` while nobody answers.
fn ready(admin: SocketAddr) -> Option<u16> {
    let mut stream = TcpStream::connect_timeout(&admin, Duration::from_secs(2)).ok()?;
    stream.set_read_timeout(Some(Duration::from_secs(5))).ok()?;
    write!(stream, "GET /ready HTTP/1.0\r\nHost: localhost\r\n\r\n").ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    answer.split(' ').nth(1)?.parse().ok()
}
