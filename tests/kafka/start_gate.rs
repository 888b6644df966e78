//! Nothing is decided before the whole consent topic has been read: a grant that is read before its
//! withdrawal must not let an event through.

use super::clients::{Row, Transactions, Writer};
use super::people::{consent, event, grant, granted, numbers, withdrawn};
use super::proxy::Proxy;
use super::shop::Shop;
use super::wait::secs;
use super::{kafka, say};

const SUBJECTS: u64 = 300_000;
const CONTROLS: u64 = 200;

#[test]
fn no_event_overtakes_the_load() {
    let Some(kafka) = kafka() else { return };
    let shop = Shop::new(&kafka.address, "gate", 4, 4);
    let controls: Vec<Row> = (0..CONTROLS).map(|n| granted(&format!("control-{n}"))).collect();
    shop.consents(&controls);
    for consent in [granted, withdrawn] {
        for n in 0..SUBJECTS {
            shop.writer.send(&shop.consent, &consent(&format!("s-{n}")));
        }
        shop.writer.flush();
    }
    let waiting: Vec<Row> = (0..CONTROLS)
        .map(|n| event(&format!("control-{n}"), n))
        .chain((0..SUBJECTS).step_by(20).map(|n| event(&format!("s-{n}"), CONTROLS + n)))
        .collect();
    shop.events(&waiting);

    let start = consentry::time::Instant::now();
    let mut proxy = Proxy::start(&shop.config, &[]);
    proxy.wait_ready(secs(120));
    let loaded = start.elapsed();
    let expected: Vec<u64> = (0..CONTROLS).collect();
    assert_eq!(numbers(&shop.forwarded()), expected);
    let dropped = proxy.metrics().records("analytics", "dropped", "withdrawn");
    assert_eq!(dropped, SUBJECTS / 20);
    say(&format!("start gate: {} consent messages, ready after {loaded:.1?}", 2 * SUBJECTS + CONTROLS));
    proxy.stop();
}

/// What ends in control records, has gaps where records were aborted, or holds nothing at all is read to
/// its end too: the end of a partition is not always the place after a message.
#[test]
fn partitions_that_do_not_end_in_a_message() {
    let Some(kafka) = kafka() else { return };
    let shop = Shop::new(&kafka.address, "gate-control", 1, 4);
    let on = |partition, row| Row { partition: Some(partition), ..row };
    let writer = Transactions::new(&shop.address, "gate-control");
    writer.begin(&shop.consent, &[on(0, withdrawn("yes")), on(1, granted("aborted"))]);
    writer.abort();
    writer.begin(&shop.consent, &[on(0, granted("yes"))]);
    writer.commit();
    writer.begin(&shop.consent, &[on(0, withdrawn("yes")), on(2, granted("no"))]);
    writer.abort();
    shop.events([&event("aborted", 0), &event("yes", 1), &event("no", 2)]);
    let proxy = Proxy::ready(&shop.config);
    assert_eq!(numbers(&shop.forwarded()), [1]);
    // And so while it runs.
    writer.begin(&shop.consent, &[on(3, granted("later"))]);
    writer.commit();
    writer.begin(&shop.consent, &[on(3, withdrawn("later"))]);
    writer.abort();
    shop.events([&event("later", 3)]);
    assert_eq!(numbers(&shop.forwarded()), [1, 3]);
    proxy.stop();
}

/// Partitions are added to the consent topic and written to at once, also under a key that another holds.
#[test]
fn partitions_are_added_to_the_consent_topic() {
    let Some(kafka) = kafka() else { return };
    let mut shop = Shop::new(&kafka.address, "gate-grows", 1, 1);
    shop.consents([&granted("stays"), &granted("leaves")]);
    let proxy = Proxy::ready(&shop.config);
    shop.events([&event("stays", 0), &event("leaves", 1)]);
    shop.done(secs(30));
    let on = |partition, row| Row { partition: Some(partition), ..row };
    shop.topics.grow(&shop.consent, 3);
    shop.writer = Writer::new(&shop.address);
    let other = consent("other", &[grant("analytics")]);
    shop.consents([&on(1, other), &on(2, withdrawn("leaves"))]);
    shop.events([&event("stays", 2), &event("leaves", 3), &event("other", 4)]);
    assert_eq!(numbers(&shop.forwarded()), [0, 1, 2, 4]);
    assert_eq!(proxy.metrics().records("analytics", "dropped", ""), 1);
    proxy.stop();
}
