//! Instances that are killed, that stand still and wake again, and of which a thread never comes back from a call.

use nix::sys::ptrace;
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;

use super::Fault;
use super::link::Way;
use super::scene::{CONSENTS, Role, Scene};
use crate::kafka::proxy::Proxy;
use crate::kafka::wait::{secs, until};

pub fn all() -> Vec<Fault> {
    vec![
        Fault::new("instance killed and started again", Role::SinkLeader, (1, 6), kill),
        Fault::new("instance killed, stays away", Role::SinkLeader, (0, 3), lose),
        Fault::new("instance frozen until its session is over", Role::SinkLeader, (1, 3), freeze),
        Fault::new("a call to the brokers never returns", Role::SinkLeader, (0, 1), hang),
        Fault::new("the client that reads the consents locks itself up", Role::ConsentLeader, (0, 2), deafen),
    ]
}

/// One after the other, while each has work in hand.
fn kill(scene: &mut Scene<'_>) {
    let one = fastrand::usize(0..scene.crew.len());
    scene.take(one).kill();
    scene.pass(secs(1));
    scene.start(one);
    scene.over();
}

/// What it had begun is ended when its transaction has timed out.
fn lose(scene: &mut Scene<'_>) {
    let one = fastrand::usize(0..scene.crew.len());
    scene.take(one).kill();
}

/// The other has its partitions by the time it wakes.
fn freeze(scene: &mut Scene<'_>) {
    let one = fastrand::usize(0..scene.crew.len());
    let signal = |scene: &Scene<'_>, name| scene.crew[one].as_ref().expect("it runs").signal(name);
    signal(scene, "STOP");
    scene.asleep.insert(one);
    scene.pass(secs(6));
    signal(scene, "CONT");
    scene.asleep.remove(&one);
    scene.over();
}

/// Its worker is stopped, by itself, while it waits for an acknowledgement. Another one takes over, and when the first
/// comes back at last, it does no harm.
fn hang(scene: &mut Scene<'_>) {
    let one = fastrand::usize(0..scene.crew.len());
    scene.link().set(Way::Silent);
    scene.pass(secs(2));
    let worker = threads(scene.crew[one].as_ref().expect("it runs"), "shop-0").pop().expect("a worker");
    let stopped = Stopped::new(vec![worker]);
    scene.link().set(Way::Open);
    let said = |scene: &Scene<'_>| scene.crew[one].as_ref().expect("it runs").output();
    until(secs(60), || said(scene).contains("another worker takes over"), || said(scene));
    scene.over();
    scene.recover();
    drop(stopped);
    until(secs(30), || !is_thread(scene.crew[one].as_ref().expect("it runs"), worker), || said(scene));
}

/// All threads in which that client lives are stopped: as they were seen to be by a lock, when a broker went away that it
/// had asked about an offset. It is the youngest client, for it is made anew when the topic has more partitions.
fn deafen(scene: &mut Scene<'_>) {
    let one = fastrand::usize(0..scene.crew.len());
    let count = |line: &str, scene: &Scene<'_>| {
        scene.crew[one].as_ref().expect("it runs").output().matches(line).count()
    };
    let (more, silent) = ("the consent topic has new partitions", "has fallen silent");
    let (grown, deaf) = (count(more, scene), count(silent, scene));
    scene.shop.topics.grow(&scene.shop.consent, usize::try_from(CONSENTS).expect("few") + grown + 1);
    until(secs(60), || count(more, scene) > grown, || "it does not see new partitions".to_owned());
    scene.pass(secs(2));
    scene.begin();
    let proxy = scene.crew[one].as_ref().expect("it runs");
    let main = threads(proxy, "rdk:main").pop().expect("a client");
    let client: Vec<Pid> = threads(proxy, "rdk:").into_iter().filter(|thread| *thread >= main).collect();
    let stopped = Stopped::new(client);
    until(secs(60), || count(silent, scene) > deaf, || "it does not see that nothing comes".to_owned());
    scene.over();
    scene.recover();
    drop(stopped);
}

/// Threads that are stopped until this is dropped: a process does not end before each of its threads that is traced is
/// let go of.
struct Stopped(Vec<Pid>);

impl Stopped {
    fn new(threads: Vec<Pid>) -> Self {
        threads.iter().for_each(|thread| {
            until(secs(20), || stop(*thread), || format!("{thread} does not wait for anything"));
        });
        Self(threads)
    }
}

impl Drop for Stopped {
    fn drop(&mut self) {
        for thread in &self.0 {
            // One that is gone needs nothing.
            ptrace::detach(*thread, None).unwrap_or_default();
        }
    }
}

/// Stops a thread, unless it does anything but wait: then it might hold a lock that others need.
fn stop(thread: Pid) -> bool {
    ptrace::seize(thread, ptrace::Options::empty()).expect("the tests may trace their own processes");
    ptrace::interrupt(thread).expect("it is traced");
    let stopped = waitpid(thread, Some(WaitPidFlag::__WALL)).expect("it is traced");
    assert!(matches!(stopped, WaitStatus::PtraceEvent(..)), "it does not stop: {stopped:?}");
    // The call that it is in, and the arguments: a poll, a sleep, or a futex as a condition uses it.
    let call = std::fs::read_to_string(format!("/proc/{thread}/syscall")).expect("it is there");
    let words: Vec<&str> = call.split(' ').collect();
    let waits = match words[0] {
        "7" | "35" | "230" => true,
        "202" => words[2] == "0x189",
        _ => false,
    };
    if !waits {
        ptrace::detach(thread, None).expect("it is traced");
    }
    waits
}

fn is_thread(proxy: &Proxy, thread: Pid) -> bool {
    std::path::Path::new(&format!("/proc/{}/task/{thread}", proxy.id())).exists()
}

/// The threads whose names begin like this, the youngest last.
fn threads(proxy: &Proxy, like: &str) -> Vec<Pid> {
    let threads = std::fs::read_dir(format!("/proc/{}/task", proxy.id())).expect("it runs");
    let paths = threads.map(|thread| thread.expect("a thread").path());
    let is_named = |path: &std::path::PathBuf| {
        std::fs::read_to_string(path.join("comm")).is_ok_and(|comm| comm.starts_with(like))
    };
    let number = |path: std::path::PathBuf| path.file_name().and_then(|number| number.to_str()?.parse().ok());
    let mut threads: Vec<Pid> = paths.filter(is_named).filter_map(number).map(Pid::from_raw).collect();
    threads.sort_unstable();
    threads
}
