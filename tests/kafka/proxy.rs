//! The real binary, `consentry run`, as an operator starts, watches and stops it.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use consentry::time::Instant;
use serde_json::Value;
use tempfile::TempDir;

use super::reaper;
use super::wait::{secs, until};

/// How long a start may take where nothing else is said; the caches here are small.
const START: Duration = secs(60);

/// A running `consentry run`; ended when dropped.
pub struct Proxy {
    child: Child,
    ended: Option<ExitStatus>,
    admin: SocketAddr,
    said: Arc<Mutex<Vec<u8>>>,
    _dir: TempDir,
}

impl Proxy {
    /// Starts with this configuration and waits until it is ready.
    #[track_caller]
    pub fn ready(config: &Value) -> Self {
        let mut proxy = Self::start(config, &[]);
        proxy.wait_ready(START);
        proxy
    }

    /// Starts with this configuration, on an admin port of its own, and does not wait.
    pub fn start(config: &Value, arguments: &[&str]) -> Self {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let admin = free_address();
        let mut config = config.clone();
        config["admin"]["listen"] = admin.to_string().into();
        let path = dir.path().join("consentry.yaml");
        std::fs::write(&path, config.to_string()).expect("a writable temporary directory");
        let mut child = Command::new(env!("CARGO_BIN_EXE_consentry"))
            .arg("run")
            .arg(&path)
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the binary starts");
        reaper::watch(child.id());
        let said = Arc::new(Mutex::new(Vec::new()));
        listen(child.stdout.take().expect("piped"), &said);
        listen(child.stderr.take().expect("piped"), &said);
        Self { child, ended: None, admin, said, _dir: dir }
    }

    /// Waits until `/ready` answers 200.
    #[track_caller]
    pub fn wait_ready(&mut self, limit: Duration) {
        let start = Instant::now();
        loop {
            let answer = self.get("/ready");
            if answer.as_ref().is_some_and(|(status, _)| *status == 200) {
                return;
            }
            let ended = self.has_ended();
            assert!(
                ended.is_none() && start.elapsed() < limit,
                "not ready within {limit:?} (ended: {ended:?}), `/ready`: {answer:?}, it said:\n{}",
                self.output()
            );
            std::thread::sleep(Duration::from_millis(30));
        }
    }

    /// Waits until `/ready` answers 503 and the reasons hold all of these words; returns them.
    #[track_caller]
    pub fn wait_unready(&self, limit: Duration, words: &[&str]) -> String {
        let mut last = None;
        let named = |body: &str| words.iter().all(|word| body.contains(word));
        let start = Instant::now();
        loop {
            match self.get("/ready") {
                Some((503, body)) if named(&body) => return body,
                answer => last = answer.or(last),
            }
            assert!(
                start.elapsed() < limit,
                "`/ready` is not 503 with {words:?} within {limit:?}: {last:?}, it said:\n{}",
                self.output()
            );
            std::thread::sleep(Duration::from_millis(30));
        }
    }

    /// Whether `/ready` answers 200 now.
    pub fn is_ready(&self) -> bool {
        self.get("/ready").is_some_and(|(status, _)| status == 200)
    }

    /// Asks the admin address; `None` if nobody answers.
    pub fn get(&self, path: &str) -> Option<(u16, String)> {
        let mut stream = TcpStream::connect_timeout(&self.admin, secs(2)).ok()?;
        stream.set_read_timeout(Some(secs(5))).ok()?;
        write!(stream, "GET {path} HTTP/1.0\r\nHost: localhost\r\n\r\n").ok()?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).ok()?;
        let answer = String::from_utf8(answer).ok()?;
        let (head, body) = answer.split_once("\r\n\r\n")?;
        Some((head.split(' ').nth(1)?.parse().ok()?, body.to_owned()))
    }

    /// Where it answers.
    pub fn address(&self) -> String {
        self.admin.to_string()
    }

    /// Sends a request with these headers, each with its line end, and a body; gives status, head and body.
    #[track_caller]
    pub fn request(&self, line: &str, headers: &str, body: &str) -> (u16, String, String) {
        let mut stream = TcpStream::connect_timeout(&self.admin, secs(2)).expect("it listens");
        stream.set_read_timeout(Some(secs(30))).expect("a socket");
        let length = body.len();
        write!(
            stream,
            "{line} HTTP/1.0\r\nHost: localhost\r\nContent-Length: {length}\r\n{headers}\r\n{body}"
        )
        .expect("it reads");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("it answers");
        let (head, body) = answer.split_once("\r\n\r\n").expect("an answer");
        let status = head.split(' ').nth(1).and_then(|code| code.parse().ok()).expect("a status");
        (status, head.to_lowercase(), body.to_owned())
    }

    /// What `/metrics` says now.
    pub fn metrics(&self) -> Metrics {
        Metrics(self.get("/metrics").map(|(_, body)| body).unwrap_or_default())
    }

    pub fn signal(&self, name: &str) {
        reaper::signal(&self.child, name);
    }

    /// The number of its process.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// `kill -9`, at once.
    pub fn kill(mut self) {
        self.end();
    }

    /// SIGTERM, and it ends by itself with 0.
    #[track_caller]
    pub fn stop(mut self) {
        self.signal("TERM");
        let code = self.wait_end(secs(40));
        assert_eq!(code, Some(0), "after SIGTERM; it said:\n{}", self.output());
    }

    /// Waits until the process has ended: its exit code.
    #[track_caller]
    pub fn wait_end(&mut self, limit: Duration) -> Option<i32> {
        let said = self.said.clone();
        until(limit, || self.has_ended().is_some(), || format!("it runs on, it said:\n{}", text(&said)));
        std::thread::sleep(Duration::from_millis(50));
        self.ended.and_then(|status| status.code())
    }

    /// Its exit status, if it has ended.
    pub fn has_ended(&mut self) -> Option<ExitStatus> {
        if self.ended.is_none() {
            self.ended = self.child.try_wait().expect("our child");
            if self.ended.is_some() {
                reaper::forget(self.child.id());
            }
        }
        self.ended
    }

    /// All it wrote to standard output and standard error.
    pub fn output(&self) -> String {
        text(&self.said)
    }

    fn end(&mut self) {
        if self.has_ended().is_none() {
            let _ = self.child.kill();
            let _ = self.child.wait();
            reaper::forget(self.child.id());
            self.ended = Some(ExitStatus::default());
        }
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.end();
        if std::thread::panicking() {
            eprintln!("consentry said:\n{}", self.output());
        }
    }
}

fn text(said: &Mutex<Vec<u8>>) -> String {
    let said = said.lock().expect("no panic under the lock");
    String::from_utf8_lossy(&said).into_owned()
}

fn listen(mut from: impl Read + Send + 'static, said: &Arc<Mutex<Vec<u8>>>) {
    let said = said.clone();
    std::thread::spawn(move || {
        let mut buffer = [0; 4096];
        while let Ok(length @ 1..) = from.read(&mut buffer) {
            said.lock().expect("no panic under the lock").extend(&buffer[..length]);
        }
    });
}

fn free_address() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    listener.local_addr().expect("it is bound")
}

/// A page of Prometheus text.
pub struct Metrics(pub String);

impl Metrics {
    /// The samples of a metric, by their labels.
    pub fn samples(&self, name: &str) -> Vec<(BTreeMap<String, String>, f64)> {
        let of_name = |line: &&str| {
            line.strip_prefix(name).is_some_and(|rest| rest.starts_with('{') || rest.starts_with(' '))
        };
        self.0.lines().filter(of_name).filter_map(sample).collect()
    }

    /// The sum over the samples of a metric that have these labels.
    pub fn sum(&self, name: &str, labels: &[(&str, &str)]) -> f64 {
        let fits = |have: &BTreeMap<String, String>| {
            labels.iter().all(|(key, value)| have.get(*key).is_some_and(|have| have == value))
        };
        self.samples(name).iter().filter(|(have, _)| fits(have)).map(|(_, value)| value).sum()
    }

    /// How many records of a route stand at this end, for this reason (any, if empty).
    pub fn records(&self, route: &str, end: &str, reason: &str) -> u64 {
        let mut labels = vec![("route", route), ("end", end)];
        if !reason.is_empty() {
            labels.push(("reason", reason));
        }
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a small count")]
        let count = self.sum("consentry_records_total", &labels) as u64;
        count
    }
}

fn sample(line: &str) -> Option<(BTreeMap<String, String>, f64)> {
    let (head, value) = line.rsplit_once(' ')?;
    let labels = head.split_once('{').map_or("", |(_, rest)| rest.trim_end_matches('}'));
    let pairs = labels.split("\",").filter_map(|pair| pair.split_once("=\""));
    let labels = pairs.map(|(key, value)| (key.to_owned(), value.trim_end_matches('"').to_owned()));
    Some((labels.collect(), value.parse().ok()?))
}
