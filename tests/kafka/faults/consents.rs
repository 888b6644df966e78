//! What goes on on the consent topic, and a cluster that slows its clients down.

use super::Fault;
use super::scene::{Role, Scene};
use crate::kafka::clients::{Row, Transactions, Writer, read_all};
use crate::kafka::people::granted;
use crate::kafka::wait::{secs, until};

/// Compacted within seconds.
const EAGER: &[(&str, &str)] = &[
    ("cleanup.policy", "compact"),
    ("delete.retention.ms", "86400000"),
    ("min.cleanable.dirty.ratio", "0.01"),
    ("segment.ms", "1000"),
    ("max.compaction.lag.ms", "1000"),
];

pub fn all() -> Vec<Fault> {
    vec![
        Fault::new("a transaction open on the consent topic", Role::ConsentLeader, (1, 2), open),
        Fault::new("a consent key that nobody can read", Role::ConsentLeader, (0, 2), unreadable),
        Fault {
            consent: EAGER,
            ..Fault::new("consent topic compacted, and a start on it", Role::ConsentLeader, (0, 2), compact)
        },
        Fault::new("clients slowed down by a quota", Role::SinkLeader, (0, 1), slow),
    ]
}

/// It hides what is acknowledged behind it.
fn open(scene: &mut Scene<'_>) {
    let others = Transactions::new(&scene.shop.address, &scene.shop.consent);
    scene.begin();
    others.begin(&scene.shop.consent, &[Row { partition: Some(0), ..granted("somebody") }]);
    stands_still(scene, "barrier_waiting");
    others.commit();
    scene.over();
}

fn unreadable(scene: &mut Scene<'_>) {
    let writer = Writer::new(&scene.shop.address);
    let key = Some(b"nobody".to_vec());
    let row = |value| Row { key: key.clone(), value, partition: Some(1), ..Row::default() };
    writer.acked(&scene.shop.consent, &row(Some(b"{}".to_vec())));
    stands_still(scene, "consent_key_unreadable");
    writer.acked(&scene.shop.consent, &row(None));
    scene.over();
}

/// Nothing is forwarded but what was decided before, and `/ready` says why.
fn stands_still(scene: &mut Scene<'_>, why: &str) {
    scene.reasons.clear();
    scene.pass(secs(5));
    assert_eq!(scene.came_after(secs(2)), 0, "forwarded without knowing");
    assert!(scene.reasons.contains(why), "`/ready` said only {:?}", scene.reasons);
}

/// The cleaner has taken something away, and who starts then knows what the others know.
fn compact(scene: &mut Scene<'_>) {
    let (address, consent) = (scene.shop.address.clone(), scene.shop.consent.clone());
    let is_compacted = || {
        let rows = read_all(&address, &consent);
        rows.windows(2)
            .any(|pair| pair[0].partition == pair[1].partition && pair[1].offset > pair[0].offset + 1)
    };
    until(secs(60), is_compacted, || "it is not compacted".into());
    scene.take(0).kill();
    scene.start(0);
    scene.over();
    scene.pass(secs(2));
}

/// For some seconds, to less than a tenth of what flows.
fn slow(scene: &mut Scene<'_>) {
    let quota = |scene: &Scene<'_>, what: &[&str]| {
        let entity = ["--alter", "--entity-type", "clients", "--entity-name", "consentry"];
        scene.cluster.nodes[0].tool("kafka.admin.ConfigCommand", &[&entity[..], what].concat(), b"");
    };
    quota(scene, &["--add-config", "producer_byte_rate=10000,consumer_byte_rate=20000"]);
    scene.begin();
    scene.pass(secs(8));
    quota(scene, &["--delete-config", "producer_byte_rate,consumer_byte_rate"]);
    scene.over();
    scene.pass(secs(1));
}
