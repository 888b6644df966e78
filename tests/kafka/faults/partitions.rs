//! Consentry is cut off from one broker, which all others reach.

use super::Fault;
use super::link::Way;
use super::scene::{Role, Scene};
use crate::kafka::wait::secs;

pub fn all() -> Vec<Fault> {
    vec![
        Fault::new("consent leader out of reach, packets lost", Role::ConsentLeader, (1, 2), |scene| {
            consent(scene, Way::Silent);
        }),
        Fault::new(
            "consent leader out of reach, connections refused",
            Role::ConsentLeader,
            (0, 2),
            |scene| {
                consent(scene, Way::Refused);
            },
        ),
        Fault {
            within: secs(2),
            ..Fault::new(
                "consent leader out of reach, packets lost, freshness within 2 s",
                Role::ConsentLeader,
                (0, 2),
                |scene| consent(scene, Way::Silent),
            )
        },
        Fault::new("sink leader out of reach, packets lost", Role::SinkLeader, (0, 2), |scene| {
            cut_and_said(scene, Way::Silent);
        }),
        Fault::new("sink leader out of reach, connections refused", Role::SinkLeader, (0, 2), |scene| {
            cut_and_said(scene, Way::Refused);
        }),
        Fault::new("source leader out of reach, packets lost", Role::SourceLeader, (0, 2), |scene| {
            cut(scene, Way::Silent);
        }),
        Fault::new("group coordinator out of reach, packets lost", Role::GroupCoordinator, (0, 2), |scene| {
            cut(scene, Way::Silent);
        }),
        Fault::new(
            "transaction coordinator out of reach, packets lost",
            Role::TransactionCoordinator,
            (0, 2),
            |scene| {
                cut_and_said(scene, Way::Silent);
            },
        ),
    ]
}

fn cut(scene: &mut Scene<'_>, way: Way) {
    scene.link().set(way);
    scene.pass(secs(8));
    scene.link().set(Way::Open);
    scene.over();
}

/// What stands still for long enough is said to.
fn cut_and_said(scene: &mut Scene<'_>, way: Way) {
    scene.reasons.clear();
    cut(scene, way);
    assert!(scene.reasons.contains("commit_waiting"), "`/ready` said only {:?}", scene.reasons);
}

/// Nobody knows what consents are acknowledged meanwhile: nothing may be forwarded, and it must be said.
fn consent(scene: &mut Scene<'_>, way: Way) {
    scene.reasons.clear();
    scene.link().set(way);
    scene.pass(secs(8));
    let came = scene.came_after(scene.within() + secs(2));
    scene.link().set(Way::Open);
    scene.over();
    assert_eq!(came, 0, "forwarded without knowing");
    let why = ["consent_unreachable", "barrier_waiting"];
    assert!(why.iter().any(|word| scene.reasons.contains(*word)), "`/ready` said only {:?}", scene.reasons);
}
