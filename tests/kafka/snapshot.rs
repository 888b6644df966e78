//! `consent.snapshot`: what a process keeps of the consents from start to start, and what becomes of a file
//! that may not be used.
//!
//! A start from a snapshot is told from one that reads the whole topic by how many messages it applied. What
//! the process alone could write, as a file with the time of another day, is forged with its own code.

use std::fs::{self, File};
use std::io::BufReader;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::time::Duration;

use consentry::cache::snapshot::{Head, Snapshot, write};
use consentry::cache::{Cache, Said};
use consentry::config::{self, Given};
use consentry::time::{Clock, Instant};
use consentry::wire::change::{Reading, decode_json};
use consentry::wire::signals::Signals;
use serde_json::json;
use tempfile::TempDir;

use super::clients::{Row, Writer, read_all};
use super::people::{consent, erased, event, event_beside_consent, grant, granted, numbers, withdrawn};
use super::proxy::Proxy;
use super::shop::Shop;
use super::topics::CONSENT;
use super::wait::{secs, until};
use super::{kafka, say};

const HOUR_MS: i64 = 3_600_000;
const FILLERS: u64 = 2000;

/// A shop whose consents are kept in a folder of its own.
struct Kept {
    shop: Shop,
    folder: TempDir,
}

impl std::ops::Deref for Kept {
    type Target = Shop;

    fn deref(&self) -> &Shop {
        &self.shop
    }
}

impl Kept {
    /// Of one source partition and so many of the consent topic; written only on stop.
    fn new(address: &str, name: &str, consent: i32) -> Self {
        Self::of(Shop::new(address, name, 1, consent))
    }

    fn of(mut shop: Shop) -> Self {
        let folder = tempfile::tempdir().expect("a temporary directory");
        let key = folder.path().join("key");
        let path = folder.path().join("consents");
        fs::write(&key, "k".repeat(32)).expect("a writable temporary directory");
        shop.config["consent"]["snapshot"] = json!({"path": path, "key": {"file": key}, "every": "1h"});
        Self { shop, folder }
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("consents")
    }

    fn set_aside(&self) -> PathBuf {
        self.folder.path().join("consents.set-aside")
    }

    fn snapshot(&mut self) -> &mut serde_json::Value {
        &mut self.shop.config["consent"]["snapshot"]
    }

    /// Starts, and stops at once when all is loaded: what was applied by then.
    #[track_caller]
    fn keep(&self) -> u64 {
        let proxy = Proxy::ready(&self.config);
        let applied = applied(&proxy);
        proxy.stop();
        assert!(self.path().exists(), "it stopped, and there is no snapshot");
        applied
    }

    /// Changes the snapshot's bytes.
    fn rewrite(&self, change: impl FnOnce(&mut Vec<u8>)) {
        let mut bytes = fs::read(self.path()).expect("a snapshot");
        change(&mut bytes);
        fs::write(self.path(), bytes).expect("a writable temporary directory");
    }

    /// Lets `change` have the cache and the head of the snapshot, and writes what it makes of them.
    fn forge(&self, change: impl FnOnce(&Cache, &mut Head)) {
        let file = self.folder.path().join("forged.yaml");
        fs::write(&file, self.config.to_string()).expect("a writable temporary directory");
        let ready = config::load(&file, Given::default()).expect("a good configuration");
        let key = ready.follower.snapshot.expect("there is one").key;
        let cache = Cache::new(ready.cache, &key.0);
        let from = BufReader::new(File::open(self.path()).expect("a snapshot"));
        let opened = Snapshot::open(from, &cache).expect("a good one");
        let mut head = opened.head().clone();
        opened.restore(&cache).expect("a good one");
        change(&cache, &mut head);
        let mut out = Vec::new();
        write(&cache, &head, &mut out).expect("room");
        fs::write(self.path(), out).expect("a writable temporary directory");
    }
}

/// How many consent messages it has applied.
fn applied(proxy: &Proxy) -> u64 {
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a small count")]
    let count = proxy.metrics().sum("consentry_consent_applied_total", &[]) as u64;
    count
}

fn failures(proxy: &Proxy) -> f64 {
    proxy.metrics().sum("consentry_consent_snapshot_failures_total", &[])
}

/// Those whose consents do not matter, so that there are many.
fn fillers() -> Vec<Row> {
    (0..FILLERS).map(|n| granted(&format!("u-{n}"))).collect()
}

#[test]
fn a_start_reads_what_has_changed_since_the_stop() {
    let Some(kafka) = kafka() else { return };
    let shop = Kept::new(&kafka.address, "snapshot", 3);
    shop.consents(&fillers());
    shop.consents([&granted("withdraws"), &granted("leaves"), &withdrawn("agrees"), &granted("stays")]);
    let all = |from: u64| {
        ["withdraws", "leaves", "agrees", "stays", "u-17", "nobody"]
            .into_iter()
            .zip(from..)
            .map(|(id, n)| event(id, n))
            .collect::<Vec<_>>()
    };
    shop.events(&all(0));
    let proxy = Proxy::ready(&shop.config);
    assert_eq!(numbers(&shop.forwarded()), [0, 1, 3, 4]);
    assert_eq!(applied(&proxy), FILLERS + 4);
    proxy.stop();

    let bytes = fs::read(shop.path()).expect("it stopped, and there is no snapshot");
    for word in ["u-17", "user_id", "withdraws"] {
        assert!(!bytes.windows(word.len()).any(|part| part == word.as_bytes()), "`{word}` stands in it");
    }
    let mode = fs::metadata(shop.path()).expect("it is there").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);

    shop.consents([&withdrawn("withdraws"), &erased("leaves"), &granted("agrees")]);
    shop.events(&all(10));
    let proxy = Proxy::ready(&shop.config);
    assert_eq!(numbers(&shop.forwarded()), [0, 1, 3, 4, 12, 13, 14]);
    let metrics = proxy.metrics();
    let dropped = |reason: &str| metrics.records("analytics", "dropped", reason);
    assert_eq!((dropped("withdrawn"), dropped("unknown_subject")), (1, 2));
    assert!(proxy.output().contains("snapshot read"), "it said:\n{}", proxy.output());
    assert_eq!(applied(&proxy), 3, "all was read again");
    // And it is followed from there.
    shop.consents([&granted("withdraws"), &withdrawn("u-17")]);
    shop.events(&all(20));
    assert_eq!(numbers(&shop.forwarded()), [0, 1, 3, 4, 12, 13, 14, 20, 22, 23]);
    proxy.stop();

    // With nothing new, nothing is applied; a partition that is new is read from its beginning.
    assert_eq!(shop.keep(), 0);
    shop.topics.grow(&shop.consent, 4);
    let writer = Writer::new(&shop.address);
    writer.acked(&shop.consent, &Row { partition: Some(3), ..withdrawn("stays") });
    shop.events(&all(30));
    let proxy = Proxy::ready(&shop.config);
    assert_eq!(numbers(&shop.forwarded())[10..], [30, 32]);
    assert_eq!(applied(&proxy), 1);
    proxy.stop();
    assert!(!shop.set_aside().exists());
}

/// What is wrong with a snapshot, and what is said of it; empty: nothing is wrong.
type Fault = (fn(&mut Kept), &'static str);

const FAULTS: [Fault; 12] = [
    (|_| {}, ""),
    (|shop| shop.rewrite(|bytes| flip(bytes)), "checksum"),
    (|shop| shop.rewrite(|bytes| bytes.truncate(bytes.len() / 2)), "checksum"),
    (|shop| shop.rewrite(|bytes| *bytes = b"people, and what they said".to_vec()), "of this version"),
    (|shop| fs::write(shop.folder.path().join("key"), "l".repeat(32)).expect("a file"), "another key"),
    (|shop| shop.forge(|_, head| head.fresh_at_ms += 12 * HOUR_MS), "the future"),
    (|shop| shop.forge(|_, head| head.fresh_at_ms -= 12 * HOUR_MS), "`delete.retention.ms`"),
    (|shop| shop.forge(|_, head| head.topic.push('x')), "another topic"),
    (|shop| shop.forge(|_, head| head.partitions += 1), "another topic"),
    (|shop| shop.forge(|_, head| head.offsets[0].1 += 100_000), "went back"),
    (|shop| shop.shop.config["limits"] = json!({"max_grants": 100}), "other settings"),
    (
        |shop| shop.shop.config["policy"]["signals"] = json!({"gpp": {"usnat": {"sale": ["third_party:*"]}}}),
        "`policy.signals`",
    ),
];

/// In each file somebody permits who does not: where that is believed, the file was read.
#[test]
fn what_may_not_be_used_is_set_aside_and_the_topic_read_whole() {
    let Some(kafka) = kafka() else { return };
    let mut shop = Kept::new(&kafka.address, "snapshot-faults", 2);
    shop.consents(&fillers());
    shop.consents([&granted("yes")]);
    let (partition, _) = shop.writer.acked(&shop.consent, &withdrawn("never"));
    let mut expected = Vec::new();
    for (round, (spoil, why)) in (0..).zip(FAULTS) {
        shop.keep();
        shop.forge(|cache, head| {
            head.fresh_at_ms -= 11 * HOUR_MS;
            permit(cache, "never", partition);
        });
        spoil(&mut shop);
        let changes = if round % 2 == 0 { granted } else { withdrawn };
        shop.consents([&changes("sometimes")]);
        let n = round * 10;
        shop.events([&event("never", n), &event("yes", n + 1), &event("sometimes", n + 2)]);
        let proxy = Proxy::ready(&shop.config);
        let permitted = [why.is_empty(), true, round % 2 == 0];
        expected.extend((n..).zip(permitted).filter(|(_, permitted)| *permitted).map(|(n, _)| n));
        assert_eq!(numbers(&shop.forwarded()), expected, "{why}; it said:\n{}", proxy.output());
        let (output, applied) = (proxy.output(), applied(&proxy));
        if why.is_empty() {
            assert!(applied == 1 && output.contains("snapshot read"), "{applied} applied:\n{output}");
        } else {
            let said = output.lines().any(|line| line.contains("cannot be used") && line.contains(why));
            assert!(said, "it does not say `{why}`:\n{output}");
            assert!(applied >= FILLERS, "{why}: {applied} messages were applied");
            assert!(shop.set_aside().exists() && !shop.path().exists(), "{why}: it is not set aside");
            fs::remove_file(shop.set_aside()).expect("it is there");
        }
        proxy.kill();
        let _ = fs::remove_file(shop.path());
    }
}

/// Damages it in the middle.
fn flip(bytes: &mut [u8]) {
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
}

/// Makes somebody permit, whatever the topic says.
fn permit(cache: &Cache, id: &str, partition: i32) {
    let body = consent(id, &[grant("analytics")]).value.expect("a state");
    let key = ("user_id", id);
    let change =
        decode_json(&body, key, Reading { max_grants: 9, signals: &Signals::default() }).expect("it decodes");
    cache.apply(key, partition, i64::MAX, &Said::State(&change));
}

#[test]
fn a_topic_made_anew_under_the_same_name_is_read_whole() {
    let Some(kafka) = kafka() else { return };
    let shop = Kept::new(&kafka.address, "snapshot-anew", 1);
    shop.consents(&fillers());
    shop.consents([&granted("leaves"), &granted("stays")]);
    shop.keep();
    shop.topics.delete(&shop.consent);
    shop.topics.create(&shop.consent, 1, CONSENT);
    // Longer than the one before: its offsets would do.
    let writer = Writer::new(&shop.address);
    writer.all(&shop.consent, fillers().iter().chain(&fillers()).chain([&granted("stays")]));
    shop.events([&event("leaves", 0), &event("stays", 1)]);
    let proxy = Proxy::ready(&shop.config);
    assert_eq!(numbers(&shop.forwarded()), [1], "it said:\n{}", proxy.output());
    assert!(proxy.output().contains("it is of another topic"), "it said:\n{}", proxy.output());
    assert!(shop.set_aside().exists());
    proxy.stop();
    assert_eq!(shop.keep(), 0, "the new one's snapshot");
}

const KILLS: usize = 12;
const MANY: u64 = 150_000;

#[test]
fn killed_while_it_writes() {
    let Some(kafka) = kafka() else { return };
    let mut shop = Kept::new(&kafka.address, "snapshot-kill", 2);
    shop.snapshot()["every"] = "1ms".into();
    for n in 0..MANY {
        shop.writer.send(&shop.consent, &granted(&format!("u-{n}")));
    }
    shop.writer.flush();
    assert_eq!(shop.keep(), MANY);
    let new = shop.folder.path().join("consents.new");
    let mut torn = 0;
    for kill in 0..KILLS {
        let _ = fs::remove_file(&new);
        let proxy = Proxy::ready(&shop.config);
        assert!(proxy.output().contains("snapshot read"), "kill {kill}; it said:\n{}", proxy.output());
        // Killed at any moment of a writing, the first or a later one.
        let until_then = Instant::now();
        let wait = Duration::from_millis(fastrand::u64(0..400));
        while until_then.elapsed() < wait || !new.exists() {
            assert!(until_then.elapsed() < secs(20), "it does not write:\n{}", proxy.output());
            std::thread::sleep(Duration::from_micros(200));
        }
        std::thread::sleep(Duration::from_micros(fastrand::u64(0..8_000)));
        proxy.kill();
        torn += usize::from(new.exists());
        let consent = if kill % 2 == 0 { withdrawn } else { granted };
        shop.consents([&consent("u-7"), &erased(&format!("u-{}", 100 + kill))]);
    }
    say(&format!("snapshot: {torn} of {KILLS} kills came while it was written"));
    assert!(torn > 0, "no kill came while it was written");
    let events = ["u-7", "u-8", "u-100", "u-111", "u-112"].into_iter().zip(0..);
    shop.events(&events.map(|(id, n)| event(id, n)).collect::<Vec<_>>());
    let proxy = Proxy::ready(&shop.config);
    assert_eq!(numbers(&shop.forwarded()), [0, 1, 4]);
    assert!(applied(&proxy) < MANY / 2, "all was read again:\n{}", proxy.output());
    proxy.stop();
    assert!(!shop.set_aside().exists() && !new.exists());
}

#[test]
fn nothing_is_kept_while_a_key_cannot_be_read() {
    let Some(kafka) = kafka() else { return };
    let mut shop = Kept::new(&kafka.address, "snapshot-key", 1);
    shop.snapshot()["every"] = "200ms".into();
    shop.consents([&granted("yes")]);
    let proxy = Proxy::ready(&shop.config);
    until(secs(20), || shop.path().exists(), || format!("it does not write:\n{}", proxy.output()));
    let unreadable = Row { key: Some(b"somebody".to_vec()), ..granted("somebody") };
    shop.consents([&unreadable]);
    let stands = ["tombstone", "consent_key"];
    proxy.wait_unready(secs(30), &stands);
    // One that was begun before may be done a moment later; what was known then is right.
    std::thread::sleep(secs(1));
    fs::remove_file(shop.path()).expect("it was written");
    std::thread::sleep(secs(2));
    assert!(!shop.path().exists(), "it was written, and does not know the key:\n{}", proxy.output());
    proxy.stop();
    assert!(!shop.path().exists(), "it was written on stop, and does not know the key");
    let mut proxy = Proxy::start(&shop.config, &[]);
    proxy.wait_unready(secs(30), &stands);
    shop.consents([&Row { value: None, ..unreadable }]);
    proxy.wait_ready(secs(30));
    until(secs(20), || shop.path().exists(), || format!("it does not write:\n{}", proxy.output()));
    proxy.stop();
}

#[test]
fn nothing_is_kept_while_there_is_no_room() {
    let Some(kafka) = kafka() else { return };
    let mut shop = Kept::new(&kafka.address, "snapshot-room", 1);
    shop.snapshot()["every"] = "200ms".into();
    shop.shop.config["limits"] = json!({"max_subjects": 2});
    shop.consents([&granted("yes"), &granted("a"), &granted("b")]);
    let proxy = Proxy::start(&shop.config, &[]);
    proxy.wait_unready(secs(30), &["max_subjects"]);
    std::thread::sleep(secs(1));
    proxy.stop();
    assert!(!shop.path().exists(), "who found no room may have been somebody who withdrew");
}

#[test]
fn a_part_of_the_topic_has_files_of_its_own() {
    let Some(kafka) = kafka() else { return };
    let mut shop = Shop::new(&kafka.address, "snapshot-part", 4, 4);
    shop.config["consent"]["cache"] = "sharded".into();
    let shop = Kept::of(shop);
    let file = |at: i32| shop.folder.path().join(format!("consents.{at}"));
    shop.consents(&fillers());
    shop.consents([&granted("withdraws"), &withdrawn("agrees"), &granted("leaves"), &granted("stays")]);
    let people = ["withdraws", "agrees", "leaves", "stays", "u-17"];
    let all = |from: u64| {
        people.into_iter().zip(from..).map(|(id, n)| event_beside_consent(id, n)).collect::<Vec<_>>()
    };
    let loaded = |proxy: &Proxy| {
        let all = || (proxy.metrics().sum("consentry_consent_partitions", &[]) - 4.0).abs() < 0.5;
        until(secs(30), all, || format!("it does not load all:\n{}", proxy.output()));
    };
    shop.events(&all(0));
    let proxy = Proxy::ready(&shop.config);
    assert_eq!(numbers(&shop.forwarded()), [0, 2, 3, 4]);
    loaded(&proxy);
    assert_eq!(applied(&proxy), FILLERS + 4);
    proxy.stop();
    assert!((0..4).all(|at| file(at).exists()) && !shop.path().exists(), "there is no file for each");

    shop.consents([&withdrawn("withdraws"), &granted("agrees"), &erased("leaves")]);
    shop.events(&all(10));
    let proxy = Proxy::ready(&shop.config);
    assert_eq!(numbers(&shop.forwarded()), [0, 2, 3, 4, 11, 13, 14]);
    loaded(&proxy);
    let read = proxy.output().matches("snapshot read").count();
    assert_eq!((read, applied(&proxy)), (4, 3), "it said:\n{}", proxy.output());
    proxy.stop();

    // One is damaged, and only its partition is read whole.
    let mut bytes = fs::read(file(1)).expect("it is there");
    flip(&mut bytes);
    fs::write(file(1), bytes).expect("it is ours");
    let its_own =
        read_all(&shop.address, &shop.consent).iter().filter(|row| row.partition == Some(1)).count();
    shop.events(&all(20));
    let proxy = Proxy::ready(&shop.config);
    assert_eq!(numbers(&shop.forwarded())[7..], [21, 23, 24]);
    loaded(&proxy);
    let read = proxy.output().matches("snapshot read").count();
    assert_eq!((read, applied(&proxy)), (3, its_own as u64), "it said:\n{}", proxy.output());
    assert!(shop.folder.path().join("consents.1.set-aside").exists());
    proxy.stop();
}

#[test]
fn what_cannot_be_written_is_counted_and_stops_nothing() {
    let Some(kafka) = kafka() else { return };
    let mut shop = Kept::new(&kafka.address, "snapshot-full", 1);
    let folder = shop.folder.path().join("later");
    *shop.snapshot() =
        json!({"path": folder.join("consents"), "every": "100ms", "key": shop.snapshot()["key"]});
    shop.consents([&granted("yes"), &withdrawn("no")]);
    let proxy = Proxy::ready(&shop.config);
    until(secs(20), || failures(&proxy) > 1.5, || format!("nothing is counted:\n{}", proxy.output()));
    assert!(proxy.output().contains("the snapshot cannot be written"), "it said:\n{}", proxy.output());
    shop.events([&event("yes", 0), &event("no", 1)]);
    assert_eq!(numbers(&shop.forwarded()), [0]);
    assert!(proxy.is_ready());
    // Something else stands in its place.
    fs::create_dir_all(folder.join("consents").join("in-the-way")).expect("a folder");
    let before = failures(&proxy);
    until(secs(20), || failures(&proxy) > before + 1.5, || format!("nothing more:\n{}", proxy.output()));
    fs::remove_dir_all(folder.join("consents")).expect("it is ours");
    until(secs(20), || folder.join("consents").is_file(), || format!("not written:\n{}", proxy.output()));
    let time = proxy.metrics().sum("consentry_consent_snapshot_timestamp_seconds", &[]);
    let now = Clock::default().now().0 as f64 / 1000.0;
    assert!((now - time).abs() < 60.0, "it says that it was written at {time}, and it is {now}");
    shop.events([&event("yes", 2), &event("no", 3)]);
    assert_eq!(numbers(&shop.forwarded()), [0, 2]);
    proxy.stop();
}
