//! Members that come and go while all is well, and topics that grow.

use std::time::Duration;

use consentry::time::Instant;

use super::Fault;
use super::scene::{CONSENTS, PARTITIONS, Role, Scene};
use crate::kafka::clients::Row;
use crate::kafka::people::granted;
use crate::kafka::say;
use crate::kafka::wait::secs;

pub fn all() -> Vec<Fault> {
    let three =
        |name, times, strike| Fault { instances: 3, ..Fault::new(name, Role::SinkLeader, times, strike) };
    vec![
        three("rolling restart of three instances", (1, 3), roll),
        three("an instance joins and leaves every 2 s", (0, 2), storm),
        Fault::new("partitions added to source, sink and consents", Role::SinkLeader, (0, 1), grow),
    ]
}

/// One after the other is stopped as an operator does, and started again.
fn roll(scene: &mut Scene<'_>) {
    let mut stopped = Vec::new();
    for one in 0..scene.crew.len() {
        let told = Instant::now();
        scene.take(one).stop();
        stopped.push(told.elapsed());
        scene.start(one);
        scene.crew[one].as_mut().expect("it was started").wait_ready(secs(60));
        scene.pass(secs(2));
    }
    scene.over();
    say(&format!("faults: stopping took {stopped:.1?}, partitions paused for {:.1?}", scene.pauses()));
    assert!(stopped.iter().all(|took| *took < Duration::from_secs(30)), "longer than `shutdown_timeout`");
}

fn storm(scene: &mut Scene<'_>) {
    let one = scene.crew.len() - 1;
    for _ in 0..4 {
        scene.take(one).stop();
        scene.pass(secs(2));
        scene.start(one);
        scene.pass(secs(2));
    }
    scene.over();
}

/// First the sink, so that every record may keep its partition, or go by its key.
fn grow(scene: &mut Scene<'_>) {
    scene.has_grown = true;
    let more = |partitions: i32| usize::try_from(partitions * 2).expect("few");
    scene.shop.topics.grow(&scene.shop.sink, more(PARTITIONS));
    scene.shop.topics.grow(&scene.shop.source, more(PARTITIONS));
    scene.shop.topics.grow(&scene.shop.consent, more(CONSENTS));
    // Until every broker has heard of them.
    scene.pass(secs(2));
    for partition in CONSENTS..CONSENTS * 2 {
        let row = Row { partition: Some(partition), ..granted("newcomer") };
        crate::kafka::clients::Writer::new(&scene.shop.address).acked(&scene.shop.consent, &row);
    }
    scene.over();
    scene.pass(secs(4));
}
