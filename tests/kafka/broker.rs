//! A real Apache Kafka broker: one node, KRaft, on free ports of the loopback address.
//!
//! The tests share one, started by the first that asks; those that must take a broker away share another, and
//! `faults` has three that are one cluster. Topics are never made by accident (`auto.create.topics.enable=false`),
//! so that what a missing topic does can be seen. Nothing is deleted for its age: the tests choose their own
//! timestamps.

use std::fs::{self, File};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use super::wait::until;
use super::{clients, jars, reaper};

/// A broker, and what is needed to stop it and have it back.
pub struct Broker {
    /// `127.0.0.1:PORT`.
    pub address: String,
    pub class_path: String,
    dir: PathBuf,
    heap: &'static str,
    /// What stands before each command of its own, where it lives in a namespace of its own.
    pub within: Vec<String>,
    java: Mutex<Option<Child>>,
}

impl Broker {
    /// Starts a broker of its own data on its own ports and waits until it answers.
    pub fn start(class_path: &str) -> Self {
        let (port, controller) = (free_port(), free_port());
        let broker = Self::new(class_path, port, &alone(port, controller), "-Xmx1g");
        broker.format(&["--standalone"]);
        broker.resume();
        broker
    }

    /// A broker with a directory of its own that listens at `port` with these properties, beside those that all
    /// have. Nothing runs yet.
    pub fn new(class_path: &str, port: u16, properties: &str, heap: &'static str) -> Self {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let dir = jars::home().join(format!("run-{}-{number}", std::process::id()));
        fs::create_dir_all(&dir).expect("a directory under `target`");
        reaper::remove(&dir);
        write_properties(&dir, properties);
        Self {
            address: format!("127.0.0.1:{port}"),
            class_path: class_path.to_owned(),
            dir,
            heap,
            within: Vec::new(),
            java: Mutex::new(None),
        }
    }

    /// Makes its empty log directory.
    pub fn format(&self, arguments: &[&str]) {
        let out = self
            .java()
            .args(["-XX:TieredStopAtLevel=1", "-cp", &self.class_path, "kafka.tools.StorageTool", "format"])
            .args(arguments)
            .args(["-t", "MkU3OEVBNTcwNTJENDM2Qk", "-c"])
            .arg(self.dir.join("server.properties"))
            .output()
            .expect("java");
        assert!(out.status.success(), "`StorageTool format`: {}", String::from_utf8_lossy(&out.stderr));
    }

    /// Starts the process, after [`Broker::stop`] with the same data and ports, and waits until it answers.
    pub fn resume(&self) {
        self.launch();
        until(Duration::from_secs(90), || clients::answers(&self.address), || self.last_words());
    }

    /// Starts the process.
    pub fn launch(&self) {
        let log = File::options().create(true).append(true).open(self.log()).expect("a log file");
        let child = self
            .java()
            .args(["-Xms256m", self.heap, "-XX:+UseSerialGC", "-XX:+ExitOnOutOfMemoryError"])
            .arg(format!("-Dlog4j2.configurationFile={}", self.dir.join("log4j2.yaml").display()))
            .args(["-cp", &self.class_path, "kafka.Kafka"])
            .arg(self.dir.join("server.properties"))
            .stdin(Stdio::null())
            .stdout(log.try_clone().expect("a log file"))
            .stderr(log)
            .spawn()
            .expect("java");
        reaper::watch(child.id());
        *self.java.lock().expect("no panic under the lock") = Some(child);
    }

    fn java(&self) -> Command {
        let [first, rest @ ..] = &self.within[..] else { return Command::new("java") };
        let mut command = Command::new(first);
        command.args(rest).arg("java");
        command
    }

    /// Where it keeps everything.
    pub fn data(&self) -> PathBuf {
        self.dir.join("data")
    }

    /// Whether there is a process, be it paused.
    pub fn is_there(&self) -> bool {
        let mut java = self.java.lock().expect("no panic under the lock");
        java.as_mut().is_some_and(|child| child.try_wait().expect("our child").is_none())
    }

    /// Takes the broker away at once, as a power cut would.
    pub fn stop(&self) {
        if let Some(mut child) = self.java.lock().expect("no panic under the lock").take() {
            child.kill().and_then(|()| child.wait()).expect("it was running");
            reaper::forget(child.id());
        }
    }

    /// It runs, whatever a test that failed has left it like.
    pub fn ensure(&self) {
        if self.java.lock().expect("no panic under the lock").is_none() {
            self.resume();
        }
        self.carry_on();
    }

    /// Lets it hang: connections stay, answers do not come.
    pub fn pause(&self) {
        self.signal("STOP");
    }

    /// Ends what [`Broker::pause`] began.
    pub fn carry_on(&self) {
        self.signal("CONT");
    }

    fn signal(&self, name: &str) {
        let java = self.java.lock().expect("no panic under the lock");
        reaper::signal(java.as_ref().expect("it runs"), name);
    }

    /// Runs one of Kafka's own command-line tools and returns its standard output.
    pub fn tool(&self, class: &str, args: &[&str], input: &[u8]) -> String {
        use std::io::Write;
        let mut child = Command::new("java")
            .args(["-Xmx256m", "-XX:TieredStopAtLevel=1", "-cp", &self.class_path, class])
            .args(["--bootstrap-server", &self.address])
            .args(args)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("java");
        reaper::watch(child.id());
        let mut stdin = child.stdin.take().expect("piped");
        stdin.write_all(input).expect("the tool reads what it is given");
        drop(stdin);
        let pid = child.id();
        let out = child.wait_with_output().expect("it ran");
        reaper::forget(pid);
        assert!(out.status.success(), "`{class}`: {}", String::from_utf8_lossy(&out.stderr));
        String::from_utf8(out.stdout).expect("text")
    }

    fn log(&self) -> PathBuf {
        self.dir.join("broker.log")
    }

    /// The end of its log.
    pub fn last_words(&self) -> String {
        let log = fs::read_to_string(self.log()).unwrap_or_default();
        let from = log.len().saturating_sub(4000);
        format!("the broker does not answer; its log ends with: {}", log.get(from..).unwrap_or_default())
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        self.stop();
    }
}

/// A port that nobody listens on, below the range from which outgoing connections take theirs: a client
/// that keeps knocking at a stopped broker's port could otherwise be given that very port.
pub fn free_port() -> u16 {
    let free = |port: &u16| TcpListener::bind(("127.0.0.1", *port)).is_ok();
    let mut tries = std::iter::repeat_with(|| fastrand::u16(12_000..32_000)).take(1000);
    tries.find(free).expect("a free port in a thousand tries")
}

/// One node that is all there is.
fn alone(port: u16, controller: u16) -> String {
    format!(
        "node.id=1\n\
         controller.quorum.bootstrap.servers=127.0.0.1:{controller}\n\
         listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller}\n\
         advertised.listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller}\n\
         default.replication.factor=1\n\
         offsets.topic.replication.factor=1\n\
         offsets.topic.num.partitions=4\n\
         transaction.state.log.replication.factor=1\n\
         transaction.state.log.min.isr=1\n\
         transaction.state.log.num.partitions=4\n"
    )
}

fn write_properties(dir: &Path, own: &str) {
    let properties = format!(
        "{own}\
         process.roles=broker,controller\n\
         controller.listener.names=CONTROLLER\n\
         inter.broker.listener.name=PLAINTEXT\n\
         log.dirs={}\n\
         auto.create.topics.enable=false\n\
         log.cleaner.dedupe.buffer.size=33554432\n\
         log.retention.ms=-1\n\
         file.delete.delay.ms=1000\n\
         group.initial.rebalance.delay.ms=0\n\
         group.min.session.timeout.ms=1000\n",
        dir.join("data").display()
    );
    fs::write(dir.join("server.properties"), properties).expect("a writable target directory");
    let log4j = "Configuration:\n  Appenders: {Console: {name: STDOUT, PatternLayout: \
                 {pattern: \"%d %p %c{1} %m%n\"}}}\n  Loggers: {Root: {level: WARN, \
                 AppenderRef: [{ref: STDOUT}]}}\n";
    fs::write(dir.join("log4j2.yaml"), log4j).expect("a writable target directory");
}
