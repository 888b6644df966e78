use std::io::Cursor;

use super::*;
use crate::cache::Said;
use crate::cache::settings::CacheSettings;
use crate::cache::tests::{change, look};
use crate::consent::Identities;

fn cache(key: u8) -> Cache {
    Cache::new(CacheSettings { max_subjects: 1000, max_grants: 9 }, &[key; 16])
}

fn filled() -> Cache {
    let cache = cache(7);
    for number in 0..500_i64 {
        let name = format!("u-{number}");
        let key = ("user_id", name.as_str());
        match number % 10 {
            0 => drop(cache.apply(key, 0, number, &Said::Erased)),
            1 => drop(cache.apply(key, 1, number, &Said::Invalid)),
            2 => {
                cache.apply(key, 0, number, &Said::State(&change(number, &["a"])));
                cache.apply(key, 1, number, &Said::Erased);
            }
            _ => drop(cache.apply(key, 2, number, &Said::State(&change(number, &["a", "b", "c"])))),
        }
    }
    cache
}

fn head() -> Head {
    Head {
        topic: "consents".to_owned(),
        topic_id: "an id".to_owned(),
        partitions: 3,
        format: "json".to_owned(),
        max_grants: 9,
        signals: String::new(),
        fresh_at_ms: 1_780_000_000_000,
        offsets: vec![(0, 400), (1, 401), (2, 500)],
    }
}

fn written(cache: &Cache) -> Vec<u8> {
    let mut out = Vec::new();
    assert_eq!(write(cache, &head(), &mut out).unwrap(), 500);
    out
}

fn restore(bytes: &[u8], into: &Cache) -> Result<u64, Damage> {
    Snapshot::open(Cursor::new(bytes), into)?.restore(into)
}

/// Everything that is known of everybody, with words in place of numbers.
fn everything(cache: &Cache) -> Vec<String> {
    let told = |identities: &Identities| {
        let found = identities.found().first().unwrap();
        let voices = identities.voices(found).iter().map(|voice| {
            let grants: Vec<_> = identities
                .grants(voice)
                .iter()
                .map(|grant| (cache.words().shape_at(grant.shape), grant.given_at, grant.valid_until))
                .collect();
            let windows: Vec<_> = identities
                .windows(voice)
                .iter()
                .map(|window| (cache.words().channel_at(window.channel), window.window))
                .collect();
            let zone = voice.zone.and_then(|zone| cache.words().zone_name_at(zone));
            format!("{} {} {} {grants:?} {windows:?} {zone:?}", voice.partition, voice.offset, voice.invalid)
        });
        format!("{found:?} {:?}", voices.collect::<Vec<_>>())
    };
    (0..500).map(|number| told(&look(cache, ("user_id", &format!("u-{number}"))))).collect()
}

#[test]
fn what_was_known_is_known_again() {
    let before = filled();
    let bytes = written(&before);
    let after = cache(7);
    let opened = Snapshot::open(Cursor::new(&bytes), &after).unwrap();
    assert_eq!(opened.head(), &head());
    assert_eq!(opened.restore(&after).unwrap(), 500);
    assert_eq!(after.census(), before.census());
    assert_eq!(everything(&after), everything(&before));
    let offset = |cache: &Cache| look(cache, ("user_id", "u-3")).consent_offset();
    assert_eq!((offset(&after), offset(&before)), (Some((2, 3)), Some((2, 3))));
    after.apply(("user_id", "u-3"), 2, 3, &Said::Erased);
    assert_eq!(offset(&after), Some((2, 3)), "what is read again changes nothing");
}

#[test]
fn words_that_have_other_numbers_by_then_mean_the_same() {
    let before = filled();
    let after = cache(7);
    after.apply(("user_id", "first"), 0, 0, &Said::State(&change(1, &["z", "c", "y"])));
    assert_eq!(restore(&written(&before), &after).unwrap(), 500);
    assert_eq!(everything(&after), everything(&before));
}

#[test]
fn no_id_stands_in_it() {
    let bytes = written(&filled());
    assert!(!bytes.windows(2).any(|pair| pair == b"u-"));
}

#[test]
fn another_key_opens_nothing() {
    let bytes = written(&filled());
    assert!(matches!(restore(&bytes, &cache(8)), Err(Damage::Checksum)));
    assert!(matches!(restore(b"consentry-cache0 and so on", &cache(7)), Err(Damage::Foreign)));
}

#[test]
fn damage_anywhere_is_found() {
    let good = written(&filled());
    for at in (0..good.len()).step_by(97).chain(good.len() - 40..good.len()).chain(0..60) {
        let mut bytes = good.clone();
        bytes[at] ^= 0x10;
        assert!(restore(&bytes, &cache(7)).is_err(), "byte {at} of {}", good.len());
        assert!(restore(&good[..at], &cache(7)).is_err(), "cut at {at}");
    }
    let mut longer = good.clone();
    longer.push(0);
    assert!(restore(&longer, &cache(7)).is_err());
    assert!(restore(&good, &cache(7)).is_ok());
}
