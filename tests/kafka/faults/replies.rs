//! The brokers do what they are asked to, and nobody hears of it.

use std::time::Duration;

use super::Fault;
use super::link::{END_TXN, Replies};
use super::scene::{Role, Scene};
use crate::kafka::wait::{secs, until};

pub fn all() -> Vec<Fault> {
    vec![
        Fault::new("replies to EndTxn cut off", Role::TransactionCoordinator, (2, 6), |scene| {
            spoil(scene, Replies::Cut, 3);
        }),
        Fault::new("replies to EndTxn lost", Role::TransactionCoordinator, (0, 2), |scene| {
            spoil(scene, Replies::Lost, 1);
        }),
        Fault::new("replies to EndTxn 3 s late", Role::TransactionCoordinator, (0, 2), |scene| {
            spoil(scene, Replies::Late(secs(3)), 2);
        }),
        Fault::new("replies to EndTxn 12 s late", Role::TransactionCoordinator, (0, 1), |scene| {
            spoil(scene, Replies::Late(secs(12)), 1);
        }),
    ]
}

/// Spoils so many replies; from the last on it should go on.
fn spoil(scene: &mut Scene<'_>, replies: Replies, times: usize) {
    let link = scene.link();
    link.spoil(END_TXN, replies, times);
    until(secs(60), || link.spoilt() >= times, || format!("only {} of {times} were spoilt", link.spoilt()));
    scene.over();
    scene.pass(Duration::from_millis(200));
}
