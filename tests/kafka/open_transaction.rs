//! A transaction of somebody else's, open on the consent topic, hides what was acknowledged behind it
//! from a `read_committed` follower. Until it ends nothing may be decided; and it must be said.

use super::clients::{Row, Transactions};
use super::kafka;
use super::people::{event, granted, numbers, withdrawn};
use super::proxy::Proxy;
use super::shop::Shop;
use super::wait::secs;

/// Plays a withdrawal behind an open transaction, which then ends as `end` says.
fn play(name: &str, end: fn(&Transactions)) {
    let Some(kafka) = kafka() else { return };
    let mut shop = Shop::new(&kafka.address, name, 2, 3);
    shop.config["consent"]["barrier_alert"] = "1s".into();
    shop.consents([&granted("stays")]);
    let (partition, _) = shop.writer.acked(&shop.consent, &granted("leaves"));
    shop.events([&event("stays", 0), &event("leaves", 1)]);
    let mut proxy = Proxy::ready(&shop.config);
    shop.done(secs(30));

    let foreign = Transactions::new(&shop.address, name);
    foreign.begin(&shop.consent, &[Row { partition: Some(partition), ..granted("somebody") }]);
    shop.writer.acked(&shop.consent, &withdrawn("leaves"));
    shop.events([&event("leaves", 2), &event("stays", 3)]);

    let mut sink = shop.reader();
    assert_eq!(numbers(sink.linger(secs(3))), [0, 1], "decided behind an open transaction");
    let why = proxy.wait_unready(secs(10), &[]);
    let mut words = why.split(|c: char| !c.is_ascii_digit());
    assert!(words.any(|word| word == partition.to_string()), "`/ready` does not name {partition}: {why}");
    assert_eq!(numbers(sink.linger(secs(1))), [0, 1], "decided behind an open transaction");

    end(&foreign);
    proxy.wait_ready(secs(20));
    assert_eq!(numbers(&shop.forwarded()), [0, 1, 3]);
    assert_eq!(proxy.metrics().records("analytics", "dropped", "withdrawn"), 1);
    proxy.stop();
}

#[test]
fn that_is_committed() {
    play("open-committed", Transactions::commit);
}

#[test]
fn that_is_aborted() {
    play("open-aborted", Transactions::abort);
}
