//! A program under measurement while it runs: Consentry, or the yardstick on the same topics.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::time::Duration;

use consentry::time::Instant;

use crate::follow::Progress;
use crate::machine::{Used, used};
use crate::proxy::{self, ANY_PORT, Setup};
use crate::reaper;

const LIMIT: Duration = Duration::from_secs(900);

/// Which program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Program {
    /// Reads and writes in transactions, and decides nothing.
    CopyLoop,
    /// What is measured.
    Consentry,
}

impl Program {
    /// Its name in a table.
    pub const fn name(self) -> &'static str {
        match self {
            Self::CopyLoop => "copy loop",
            Self::Consentry => "Consentry",
        }
    }

    /// Its name in those of its topics.
    pub const fn word(self) -> &'static str {
        match self {
            Self::CopyLoop => "copy-loop",
            Self::Consentry => "consentry",
        }
    }
}

/// The running program; ended when dropped.
pub struct Running {
    child: Child,
    log: PathBuf,
    admin: SocketAddr,
}

/// What it took to work off a backlog.
#[derive(Clone, Copy, Debug)]
pub struct Drained {
    /// Records a second, from the first commit to the last.
    pub a_second: f64,
    /// CPU time of the whole process for each record.
    pub cpu_us: f64,
}

impl Running {
    /// Starts it. Where the admin address has no port, Consentry is given one that nobody listens on.
    pub fn start(program: Program, setup: &Setup<'_>) -> Self {
        let mut setup = *setup;
        if setup.admin == ANY_PORT {
            setup.admin = free_address();
        }
        let command = match program {
            Program::CopyLoop => {
                let mut command = Command::new(std::env::current_exe().expect("this program"));
                command.args(["copy-loop", setup.address, setup.source, setup.sink, setup.group]);
                command
            }
            Program::Consentry => {
                let mut command = Command::new(Path::new(env!("CARGO_BIN_EXE_consentry")));
                command.arg("run").arg(proxy::configuration(&setup));
                command
            }
        };
        let name = format!("consentry-bench-{}-{}.log", std::process::id(), setup.group);
        let log = std::env::temp_dir().join(name);
        let child = proxy::spawn(command, &log);
        reaper::watch(child.id());
        Self { child, log, admin: setup.admin }
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
        Drained {
            a_second: counted / took.as_secs_f64().max(0.001),
            cpu_us: self.used().cpu.as_secs_f64() * 1e6 / records as f64,
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
        let status = self.child.wait().expect("it ran");
        reaper::forget(self.child.id());
        let died = status.code().is_some_and(|code| code != 0);
        assert!(!died, "it ended with {status}; see `{}`", self.log.display());
    }

    fn lives(&mut self) -> bool {
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
