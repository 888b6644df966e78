//! What outlives no test run: brokers, proxies, and their data.
//!
//! Rust's test harness has no hook at its end, and nothing runs after `kill -9`. So one small shell
//! reads names of processes and directories from a pipe that only this process writes to. When the
//! pipe ends, however this process ended, it kills and removes what is still on its list.

use std::io::Write;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, OnceLock, PoisonError};

const SCRIPT: &str = r#"
trap '' INT TERM HUP
pids=
while read -r what name; do
  case $what in
    +) pids="$pids $name" ;;
    -) kept=; for pid in $pids; do [ "$pid" = "$name" ] || kept="$kept $pid"; done; pids=$kept ;;
    dir) set -- "$@" "$name" ;;
  esac
done
for pid in $pids; do kill -9 "$pid" 2>/dev/null; done
for dir in "$@"; do rm -rf "$dir" || { sleep 1; rm -rf "$dir"; }; done
"#;

static SHELL: OnceLock<Mutex<Child>> = OnceLock::new();

fn tell(line: &str) {
    let shell = SHELL.get_or_init(|| {
        let child = Command::new("sh")
            .args(["-c", SCRIPT])
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        Mutex::new(child.expect("a shell"))
    });
    let mut shell = shell.lock().unwrap_or_else(PoisonError::into_inner);
    let stdin = shell.stdin.as_mut().expect("its standard input");
    writeln!(stdin, "{line}").and_then(|()| stdin.flush()).expect("the reaper reads until we end");
}

/// Kill this process when we end, unless it is taken off the list before.
pub fn watch(pid: u32) {
    tell(&format!("+ {pid}"));
}

/// The process has ended and been waited for: its number may be another's soon.
pub fn forget(pid: u32) {
    tell(&format!("- {pid}"));
}

/// Remove this directory when we end.
pub fn remove(dir: &Path) {
    tell(&format!("dir {}", dir.display()));
}

/// Sends a signal by name: `TERM`, `KILL`, `STOP`, `CONT`.
pub fn signal(child: &Child, name: &str) {
    let status = Command::new("kill").args([format!("-{name}"), child.id().to_string()]).status();
    assert!(status.is_ok_and(|status| status.success()), "`kill -{name}` of a process that has ended");
}
