//! Brokers that are killed: each has one role by itself, so that it is known what was missing.

use super::Fault;
use super::scene::{Role, Scene};
use crate::kafka::wait::{secs, until};

pub fn all() -> Vec<Fault> {
    vec![
        Fault::new("consent leader killed, stays away", Role::ConsentLeader, (1, 2), kill),
        Fault::new("consent leader killed and started again", Role::ConsentLeader, (0, 2), restart),
        Fault::new("source leader killed and started again", Role::SourceLeader, (0, 2), restart),
        Fault::new("source leader killed, stays away", Role::SourceLeader, (0, 2), kill),
        Fault::new("sink leader killed, stays away", Role::SinkLeader, (0, 2), kill),
        Fault::new("sink leader frozen for 5 s", Role::SinkLeader, (0, 2), freeze),
        Fault::new("consent leader frozen for 5 s", Role::ConsentLeader, (0, 2), freeze),
        Fault::new("group coordinator killed, stays away", Role::GroupCoordinator, (0, 2), kill),
        Fault::new("transaction coordinator killed, stays away", Role::TransactionCoordinator, (1, 2), kill),
        Fault { fills_disk: true, ..Fault::new("sink leader's disk full", Role::SinkLeader, (0, 1), fill) },
    ]
}

/// The others take over.
fn kill(scene: &mut Scene<'_>) {
    scene.node().stop();
}

/// A client may lock itself up where a broker goes away again just after it has come back: the one that reads the consents
/// was seen to.
fn restart(scene: &mut Scene<'_>) {
    scene.node().stop();
    scene.pass(secs(1));
    scene.node().launch();
    scene.over();
}

/// Longer than it takes the others to give it up: it wakes to a cluster that has gone on without it.
fn freeze(scene: &mut Scene<'_>) {
    scene.node().pause();
    scene.pass(secs(5));
    scene.node().carry_on();
    scene.over();
}

/// It gives up, and stays away until there is room again.
fn fill(scene: &mut Scene<'_>) {
    let disk = scene.cluster.disk.as_ref().expect("it has one of its own");
    disk.fill();
    let node = scene.node();
    until(secs(60), || !node.is_there(), || "it goes on without a disk".into());
    scene.begin();
    disk.free();
}
