use super::*;
use crate::consent::window::Window;
use crate::consent::{Basis, Found, Shape, Status};
use crate::time::Timestamp;
use crate::wire::change::GrantLine;

const KEY: (&str, &str) = ("email", "ann@example.org");

fn cache() -> Cache {
    Cache::new(CacheSettings { max_subjects: 2, max_grants: 9 }, &[7; 16])
}

pub fn change(version: i64, purposes: &[&str]) -> Change {
    let grant = |purpose: &&str| GrantLine {
        shape: Shape {
            purpose: (*purpose).into(),
            channel: "email".into(),
            recipient: "".into(),
            level: "contact".into(),
            status: Status::Confirmed,
            basis: Basis::Consent,
        },
        given_at: Some(Timestamp(1_777_629_600_000)),
        confirmed_at: None,
        valid_until: Some(Timestamp(-5)),
    };
    Change {
        version: Some(version),
        gpc: true,
        time_zone: "Europe/Amsterdam".to_owned(),
        windows: vec![
            ("sms".to_owned(), Window::read::<&str>(None, "09:00", "20:00")),
            ("*".to_owned(), None),
        ],
        grants: purposes.iter().map(grant).collect(),
        ..Change::default()
    }
}

pub fn look(cache: &Cache, key: (&str, &str)) -> Identities {
    let mut identities = Identities::default();
    cache.view().find(cache.subject(key.0, key.1), &mut identities);
    identities
}

fn offsets(cache: &Cache) -> Vec<(i32, i64)> {
    let identities = look(cache, KEY);
    let found = identities.found().first().unwrap();
    identities.voices(found).iter().map(|voice| (voice.partition, voice.offset)).collect()
}

#[test]
fn gives_back_what_was_said() {
    let cache = cache();
    cache.apply(KEY, 3, 8, &Said::State(&change(1, &["a", "b"])));
    let identities = look(&cache, ("email", " ANN@example.org"));
    let voice = identities.voices(identities.found().first().unwrap()).first().unwrap();
    assert!(voice.gpc && !voice.restricted && !voice.invalid);
    assert_eq!(identities.consent_offset(), Some((3, 8)));
    let grants = identities.grants(voice);
    assert_eq!(grants.len(), 2);
    let second = grants.get(1).unwrap();
    assert_eq!(&*cache.words().shape_at(second.shape).unwrap().purpose, "b");
    assert_eq!((second.given_at, second.confirmed_at), (Some(Timestamp(1_777_629_600_000)), None));
    assert_eq!(second.valid_until, Some(Timestamp(-5)));
    let windows = identities.windows(voice);
    assert!(cache.words().channel_is(windows.first().unwrap().channel, "sms"));
    assert_eq!(windows.get(1).map(|window| (window.channel, window.window)), Some((0, None)));
    assert_eq!(cache.words().zone_at(voice.zone.unwrap()).unwrap().iana_name(), Some("Europe/Amsterdam"));
}

#[test]
fn the_last_offset_wins_whatever_its_version() {
    let cache = cache();
    assert!(!cache.apply(KEY, 0, 5, &Said::State(&change(7, &["a"]))).version_regressed);
    assert!(cache.apply(KEY, 0, 6, &Said::State(&change(6, &["b"]))).version_regressed);
    cache.apply(KEY, 0, 4, &Said::Erased);
    assert_eq!(offsets(&cache), [(0, 6)]);
}

#[test]
fn every_partition_and_spelling_has_a_voice() {
    let cache = cache();
    cache.apply(KEY, 4, 1, &Said::State(&change(1, &["a"])));
    cache.apply(("email", "Ann@example.org"), 4, 0, &Said::State(&change(1, &["a"])));
    cache.apply(KEY, 2, 9, &Said::Invalid);
    assert_eq!(offsets(&cache), [(2, 9), (4, 0), (4, 1)]);
    let census = cache.census();
    assert_eq!((census.entries, census.subjects, census.splits, census.invalid), (1, 1, 1, 1));
}

#[test]
fn erased_is_unknown_and_erased_here_but_known_there_is_conflicted() {
    let cache = cache();
    cache.apply(KEY, 0, 1, &Said::State(&change(1, &["a"])));
    cache.apply(KEY, 0, 2, &Said::Erased);
    assert_eq!(look(&cache, KEY).found(), [Found::Unknown]);
    assert_eq!((cache.census().subjects, cache.census().entries), (0, 1));
    cache.apply(KEY, 1, 1, &Said::State(&change(1, &["a"])));
    assert_eq!(look(&cache, KEY).found(), [Found::Conflicted]);
    assert_eq!(cache.census().conflicted, 1);
    cache.apply(KEY, 1, 2, &Said::Erased);
    assert_eq!(look(&cache, KEY).found(), [Found::Unknown]);
    assert_eq!(cache.census(), Census { entries: 1, ..Census::default() });
}

#[test]
fn nothing_is_refused_at_the_limit_and_discarding_forgets_all() {
    let cache = cache();
    for name in ["a", "b", "c"] {
        cache.apply(("user_id", name), 0, 0, &Said::Erased);
    }
    assert!(cache.is_over());
    cache.discard();
    assert_eq!((cache.census(), cache.is_over()), (Census::default(), false));
    assert_eq!(cache.view().generation(), 1);
}

#[test]
fn a_reader_sees_the_state_before_or_after() {
    let cache = cache();
    let both = [change(1, &["a", "a", "a", "a"]), change(2, &["b", "b"])];
    cache.apply(KEY, 0, 0, &Said::State(&both[0]));
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for offset in 1..20_000 {
                cache.apply(KEY, 0, offset, &Said::State(&both[usize::try_from(offset % 2).unwrap()]));
            }
        });
        for _ in 0..2 {
            scope.spawn(|| {
                for _ in 0..20_000 {
                    let identities = look(&cache, KEY);
                    let voice = identities.voices(&identities.found()[0])[0].clone();
                    let shapes: Vec<_> = identities.grants(&voice).iter().map(|grant| grant.shape).collect();
                    let offset = voice.offset;
                    let expected: &[u32] = if offset % 2 == 0 { &[0; 4] } else { &[1; 2] };
                    assert_eq!(shapes, expected, "at {offset}");
                }
            });
        }
    });
}
