//! Instances that are killed, and that stand still and wake again.

use super::Fault;
use super::scene::{Role, Scene};
use crate::kafka::wait::secs;

pub fn all() -> Vec<Fault> {
    vec![
        Fault::new("instance killed and started again", Role::SinkLeader, (1, 6), kill),
        Fault::new("instance killed, stays away", Role::SinkLeader, (0, 3), lose),
        Fault::new("instance frozen until its session is over", Role::SinkLeader, (1, 3), freeze),
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
