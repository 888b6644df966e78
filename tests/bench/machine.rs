//! The machine a measurement was taken on, and what a process has used of it.

use std::fs;
use std::time::Duration;

use serde_json::{Value, json};

/// Ticks a second in `/proc/PID/stat` (`sysconf(_SC_CLK_TCK)`, 100 on every Linux that Rust runs on).
const TICKS: f64 = 100.0;

/// What a process has used since it began.
#[derive(Clone, Copy, Debug, Default)]
pub struct Used {
    /// User and system time of all its threads.
    pub cpu: Duration,
    /// The most memory it had resident, in bytes.
    pub peak_bytes: u64,
}

/// What a running process has used (`proc_pid_stat(5)`, `proc_pid_status(5)`).
pub fn used(pid: u32) -> Used {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).expect("it runs");
    let after_name = stat.rsplit_once(')').expect("its name in parentheses").1;
    let fields: Vec<&str> = after_name.split_whitespace().collect();
    let ticks = |at: usize| fields[at].parse::<f64>().expect("ticks");
    let cpu = Duration::from_secs_f64((ticks(11) + ticks(12)) / TICKS);
    Used { cpu, peak_bytes: status(pid, "VmHWM:") }
}

/// What this process has resident now, in bytes.
pub fn resident() -> u64 {
    status(std::process::id(), "VmRSS:")
}

/// The CPU time that the calling thread has used (`proc_pid_schedstat`: nanoseconds on the processor).
pub fn thread_cpu() -> Duration {
    let spent = fs::read_to_string("/proc/thread-self/schedstat").expect("Linux tells a thread's time");
    Duration::from_nanos(spent.split_whitespace().next().and_then(|ns| ns.parse().ok()).expect("nanoseconds"))
}

fn status(pid: u32, name: &str) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).expect("it runs");
    let line = status.lines().find_map(|line| line.strip_prefix(name)).expect("a line of memory");
    line.trim().trim_end_matches(" kB").parse::<u64>().expect("kilobytes") * 1024
}

/// What the machine is, and when.
pub fn describe() -> Value {
    let model = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = model.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
    let memory = fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let memory = memory.lines().next().and_then(|line| line.split_whitespace().nth(1)?.parse::<u64>().ok());
    let now = consentry::time::Clock::default().now().to_string();
    json!({
        "date": now.get(..10),
        "cores": std::thread::available_parallelism().map_or(0, usize::from),
        "processor": model.map(|(_, name)| name),
        "memory_gib": memory.map(|kib| (kib as f64 / 1_048_576.0).round()),
        "consentry": env!("CARGO_PKG_VERSION"),
    })
}
