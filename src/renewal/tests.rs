//! Whom to ask, whom not, and how often.

use super::settings::AskSettings;
use super::*;
use crate::cache::settings::CacheSettings;
use crate::cache::{self, Cache};
use crate::consent::{
    Basis, Decided, Hold, Identities, Matcher, Moment, Purpose, Requirement, Terms, decide,
};
use crate::policy::settings::{PolicySettings, PurposeSettings};
use crate::time::Timestamp;
use crate::wire::change::{Change, Reading, decode_json};

const DAY: i64 = 86_400_000;
/// When everything is looked at, unless said.
const NOW: Timestamp = Timestamp(1_000 * DAY);
const ANN: &str = "user_id:ann";

fn day(day: i64) -> Timestamp {
    Timestamp(day * DAY)
}

fn policy() -> PolicySettings {
    let purpose = |name: &str, max_age_days: Option<i64>, double| PurposeSettings {
        name: name.to_owned(),
        max_age_ms: max_age_days.map(|days| days * DAY),
        double,
        level: 1,
    };
    PolicySettings {
        levels: ["anonymous", "pseudonymous", "contact"].map(str::to_owned).to_vec(),
        purposes: vec![
            purpose("advertising", None, false),
            purpose("analytics", Some(100), false),
            purpose("newsletter", None, true),
        ],
        windows: Vec::new(),
        assume_time_zones: Vec::new(),
        honour_gpc: true,
        clock_skew_ms: 5000,
        pseudonym_key: None,
    }
}

fn asking() -> Asking {
    Asking::new(&policy(), AskSettings { before_ms: 14 * DAY, quiet_ms: 365 * DAY })
}

/// A record with these members; times are days.
fn record(members: &str) -> Change {
    let json = format!(r#"{{"subject":{{"type":"user_id","value":"ann"}},{members}}}"#);
    let days = json.split('@').enumerate().map(|(number, part)| {
        let end = part.find(|letter: char| !letter.is_ascii_digit()).unwrap_or(part.len());
        let (days, rest) = part.split_at(if number == 0 { 0 } else { end });
        days.parse::<i64>().map_or_else(|_| rest.to_owned(), |days| format!("{}{rest}", days * DAY))
    });
    decode_json(days.collect::<String>().as_bytes(), ("user_id", "ann"), Reading::unmapped(99)).unwrap()
}

fn grants(grants: &[&str]) -> Change {
    record(&format!(r#""grants":[{}]"#, grants.join(",")))
}

/// What is told by `now`: `purpose/channel/recipient why day`.
fn told(index: &mut Index, asking: &Asking, now: Timestamp) -> Vec<String> {
    let mut told = Vec::new();
    while let Some(key) = index.next(now) {
        for ask in index.ask(asking, &key, "hash", now).asks {
            let message: Message<'_> = serde_json::from_slice(&ask.value).unwrap();
            let Topic { purpose, channel, recipient, at } = &message.topic;
            let channel = channel.as_deref().unwrap_or("-");
            let at = Timestamp::parse(at).unwrap().0 / DAY;
            assert_eq!((&*message.why, &**purpose), (ask.why, &*ask.purpose));
            told.push(format!("{purpose}/{channel}/{recipient} {} {at}", message.why));
        }
    }
    told
}

fn apply(index: &mut Index, asking: &Asking, change: &Change, at: Timestamp) {
    index.apply(asking, ANN, Said::State(change, "EU"), (7, at), at).unwrap();
}

/// What is told of a record that came long ago.
fn of(change: &Change, now: Timestamp) -> Vec<String> {
    let (mut index, asking) = (Index::default(), asking());
    index.apply(&asking, ANN, Said::State(change, ""), (7, day(1)), day(1)).unwrap();
    told(&mut index, &asking, now)
}

const NEAR: &str = r#"{"purpose":"advertising","status":"given","given_at":@900,"valid_until":@1010}"#;

#[test]
fn a_grant_near_its_end_is_told_once() {
    let (mut index, asking) = (Index::default(), asking());
    apply(&mut index, &asking, &grants(&[NEAR]), day(900));
    assert_eq!(told(&mut index, &asking, day(996).plus(-1)), Vec::<String>::new());
    assert_eq!(index.waiting(day(996)), 1);
    assert_eq!(told(&mut index, &asking, day(996)), ["advertising/-/first_party expires 1010"]);
    assert!(!index.has_work(day(2000)));
    apply(&mut index, &asking, &grants(&[NEAR]), day(997));
    assert!(!index.has_work(day(2000)), "the same grant, in a newer record");
    let renewed = NEAR.replace("@1010", "@1100");
    apply(&mut index, &asking, &grants(&[&renewed]), day(998));
    assert_eq!(told(&mut index, &asking, day(1085)), Vec::<String>::new());
    assert_eq!(told(&mut index, &asking, day(1086)), ["advertising/-/first_party expires 1100"]);
}

#[test]
fn what_ends_first_is_what_counts() {
    let analytics = |more: &str| format!(r#"{{"purpose":"analytics","status":"given",{more}}}"#);
    let one = |more: &str| of(&grants(&[&analytics(more)]), NOW);
    assert_eq!(one(r#""given_at":@905"#), ["analytics/-/first_party needs_renewal 1005"]);
    assert_eq!(one(r#""given_at":@700,"confirmed_at":@905"#), ["analytics/-/first_party needs_renewal 1005"]);
    assert_eq!(one(r#""given_at":@950,"valid_until":@1003"#), ["analytics/-/first_party expires 1003"]);
    assert!(one(r#""given_at":@950"#).is_empty(), "it holds for longer");
    assert!(one(r#""valid_until":@1003"#).is_empty(), "nobody knows how old it is: it permits nothing");
    assert!(one(r#""given_at":@900"#).is_empty(), "it has just ended");
    assert!(
        of(&grants(&[&NEAR.replace("advertising", "surveys")]), NOW).is_empty(),
        "a purpose of nobody here"
    );
    assert_eq!(
        of(&grants(&[&NEAR.replace("advertising", "*")]), NOW),
        ["advertising/-/first_party expires 1010"],
        "the others need renewal since long, or a confirmation"
    );
}

#[test]
fn only_what_permits_is_told() {
    for status in ["requested", "refused", "withdrawn", "revoked", "objected", "invalidated", "maybe", ""] {
        assert!(of(&grants(&[&NEAR.replace("given\"", &format!("{status}\""))]), NOW).is_empty(), "{status}");
    }
    let twice = NEAR.replace("advertising", "newsletter");
    assert!(of(&grants(&[&twice]), NOW).is_empty(), "it is not confirmed");
    assert_eq!(of(&grants(&[&twice.replace("given\"", "confirmed\"")]), NOW).len(), 1);
    assert!(of(&grants(&[&NEAR.replace("{", r#"{"basis":"friendship","#)]), NOW).is_empty());
    assert_eq!(of(&grants(&[&NEAR.replace("{", r#"{"basis":"contract","#)]), NOW).len(), 1);
}

#[test]
fn a_grant_that_another_one_outlasts_is_not_told() {
    let longer = NEAR.replace("@1010", "@1200");
    assert!(of(&grants(&[NEAR, &longer]), NOW).is_empty(), "renewed by a line of its own");
    assert_eq!(of(&grants(&[NEAR, NEAR]), NOW).len(), 1);
    assert!(of(&grants(&[NEAR, &longer.replace("advertising", "*")]), NOW).is_empty());
    let endless = r#"{"purpose":"advertising","status":"given","given_at":@1}"#;
    assert!(of(&grants(&[NEAR, endless]), NOW).is_empty());
    let contract = endless.replace("{", r#"{"basis":"contract","#);
    assert_eq!(of(&grants(&[NEAR, &contract]), NOW).len(), 1, "another basis covers nothing");
    let by_mail = NEAR.replace("{", r#"{"channel":"email","#);
    assert_eq!(of(&grants(&[NEAR, &by_mail]), NOW).len(), 2);
    let anyhow = endless.replace("{", r#"{"channel":"*","#);
    assert!(of(&grants(&[&by_mail, &anyhow]), NOW).is_empty());
}

#[test]
fn who_refuses_is_left_alone() {
    let partner = NEAR.replace("{", r#"{"recipient":"third_party:adco","#);
    let anyone = NEAR.replace("{", r#"{"recipient":"third_party:*","channel":"*","#);
    for (granted, refusal, is_silent) in [
        (NEAR, r#"{"purpose":"advertising","status":"withdrawn","given_at":@5}"#, true),
        (NEAR, r#"{"purpose":" Advertising","channel":"*","status":"refused"}"#, true),
        (NEAR, r#"{"purpose":"*","status":"withdrawn","given_at":@5}"#, true),
        (NEAR, r#"{"purpose":"advertising"}"#, true),
        (NEAR, r#"{"purpose":"advertising","channel":"sms","status":"refused"}"#, false),
        (NEAR, r#"{"purpose":"analytics","status":"refused"}"#, false),
        (&partner, r#"{"purpose":"advertising","recipient":"third_party","status":"objected"}"#, true),
        (&partner, r#"{"purpose":"advertising","recipient":"third_party:other","status":"objected"}"#, false),
        (&partner, r#"{"purpose":"advertising","recipient":"first_party","status":"objected"}"#, false),
        (&anyone, r#"{"purpose":"advertising","recipient":"third_party:adco","status":"objected"}"#, true),
        (&anyone, r#"{"purpose":"advertising","channel":"SMS ","status":"refused"}"#, true),
        (&anyone, r#"{"purpose":"advertising","recipient":"processor:adco","status":"objected"}"#, false),
    ] {
        let told = of(&grants(&[granted, refusal]), NOW);
        assert_eq!(told.is_empty(), is_silent, "{granted} {refusal}: {told:?}");
    }
    let with = |more: &str, granted: &str| of(&record(&format!(r#"{more},"grants":[{granted}]"#)), NOW);
    assert!(with(r#""restricted":true"#, NEAR).is_empty());
    assert!(with(r#""signals":{"gpc":true}"#, &partner).is_empty());
    assert_eq!(with(r#""signals":{"gpc":true}"#, NEAR).len(), 1, "nothing is delivered to a third party");
}

#[test]
fn who_refused_is_left_alone_for_a_while() {
    let refused = grants(&[r#"{"purpose":"advertising","status":"withdrawn","given_at":@5}"#]);
    let after = |came: i64, end: i64| {
        let (mut index, asking) = (Index::default(), asking());
        apply(&mut index, &asking, &refused, day(came));
        let again = NEAR.replace("@1010", &format!("@{end}"));
        apply(&mut index, &asking, &grants(&[&again]), day(came + 1));
        apply(&mut index, &asking, &grants(&[&again]), day(came + 2));
        told(&mut index, &asking, day(end).plus(-1))
    };
    assert!(after(900, 1010).is_empty(), "110 days ago");
    assert!(after(900, 1265).is_empty(), "its end comes with the end of the silence");
    assert_eq!(after(900, 1266).len(), 1, "a day is left");
    assert_eq!(after(600, 1010).len(), 1);
}

#[test]
fn an_end_that_has_passed_is_not_told() {
    let (mut index, asking) = (Index::default(), asking());
    apply(&mut index, &asking, &grants(&[NEAR]), day(1));
    assert_eq!(told(&mut index, &asking, day(1010).plus(-1)).len(), 1, "late, and in time");
    let (mut index, key) = (Index::default(), std::sync::Arc::from(ANN));
    apply(&mut index, &asking, &grants(&[NEAR]), day(1));
    let asked = index.ask(&asking, &key, "hash", day(1010));
    assert_eq!((asked.asks.len(), asked.missed), (0, 1));
    assert!(!index.has_work(day(5000)));
}

#[test]
fn withdrawing_erasing_and_what_does_not_decode_take_it_back() {
    for said in [
        Said::Erased,
        Said::Invalid,
        Said::State(&grants(&[&NEAR.replace("given\"", "withdrawn\"")]), ""),
        Said::State(&record(r#""version":2"#), ""),
    ] {
        let (mut index, asking) = (Index::default(), asking());
        apply(&mut index, &asking, &grants(&[NEAR]), day(900));
        index.apply(&asking, ANN, said, (8, day(901)), day(901)).unwrap();
        assert!(!index.has_work(day(2000)), "{said:?}");
    }
}

/// What an index tells by `now`, as it would stand on the topic: the last value.
fn last_value(index: &mut Index, asking: &Asking, now: Timestamp) -> Vec<u8> {
    let mut last = Vec::new();
    while let Some(key) = index.next(now) {
        last = index.ask(asking, &key, "hash", now).asks.pop().map_or(last, |ask| ask.value);
    }
    last
}

#[test]
fn the_last_message_alone_remembers_all_that_was_told() {
    let asking = asking();
    let sooner = NEAR.replace("@1010", "@1001").replace("{", r#"{"channel":"sms","#);
    let both = grants(&[NEAR, &sooner]);
    let mut index = Index::default();
    apply(&mut index, &asking, &both, day(900));
    assert_eq!(told(&mut index, &asking, day(990)).len(), 1);
    let value = last_value(&mut index, &asking, NOW);
    let message: Message<'_> = serde_json::from_slice(&value).unwrap();
    assert_eq!((message.earlier.len(), message.jurisdiction.as_deref()), (1, Some("EU")));
    assert_eq!((&*message.level, &*message.basis, &*message.policy), ("pseudonymous", "consent", "hash"));

    let mut index = Index::default();
    index.was_told(ANN, Some(&value)).unwrap();
    apply(&mut index, &asking, &both, day(900));
    index.complete();
    assert!(!index.has_work(NOW), "after a restart nothing is told again");
    let more = grants(&[NEAR, &sooner, &NEAR.replace("{", r#"{"channel":"post","#)]);
    apply(&mut index, &asking, &more, NOW);
    let message = last_value(&mut index, &asking, day(1002));
    let message: Message<'_> = serde_json::from_slice(&message).unwrap();
    assert_eq!(message.earlier.len(), 1, "the sooner one has ended by then");
}

#[test]
fn who_is_erased_is_taken_back_once() {
    let asking = asking();
    let mut index = Index::default();
    apply(&mut index, &asking, &grants(&[NEAR]), day(900));
    let value = last_value(&mut index, &asking, NOW);
    index.apply(&asking, ANN, Said::Erased, (9, NOW), NOW).unwrap();
    assert_eq!((index.next_gone().as_deref(), index.next_gone()), (Some(ANN), None));
    assert!(index.is_empty());

    index.was_told(ANN, Some(&value)).unwrap();
    index.was_told("user_id:bob", Some(&value)).unwrap();
    index.was_told("user_id:bob", None).unwrap();
    index.complete();
    assert!(index.has_work(NOW), "the tombstone itself may be gone");
    assert_eq!((index.next_gone().as_deref(), index.next_gone()), (Some(ANN), None));
}

#[test]
fn who_was_erased_and_came_back_is_told_of_once_more_and_no_oftener() {
    let asking = asking();
    let again = |index: &mut Index| {
        let one = grants(&[NEAR]);
        for (offset, said) in [(1, Said::State(&one, "")), (2, Said::Erased), (3, Said::State(&one, ""))] {
            index.apply(&asking, ANN, said, (offset, day(900)), day(900)).unwrap();
        }
    };
    let mut index = Index::default();
    again(&mut index);
    let value = last_value(&mut index, &asking, NOW);
    assert_eq!(index.next_gone(), None, "nothing was told before they were erased");
    let mut index = Index::default();
    index.was_told(ANN, Some(&value)).unwrap();
    again(&mut index);
    index.complete();
    assert!(!index.has_work(NOW), "the erasure was before what was told");
    index.apply(&asking, ANN, Said::Erased, (4, NOW), NOW).unwrap();
    again(&mut index);
    assert_eq!(index.next_gone().as_deref(), Some(ANN));
    assert_eq!(told(&mut index, &asking, NOW).len(), 1);
}

#[test]
fn of_whom_nobody_knows_what_was_told_nothing_is_told() {
    let (mut index, asking) = (Index::default(), asking());
    assert_eq!(index.was_told(ANN, Some(b"{}")), Err(Unreadable));
    apply(&mut index, &asking, &grants(&[NEAR]), day(900));
    assert!(!index.has_work(NOW));
}

#[test]
fn a_turn_can_wait() {
    let (mut index, asking) = (Index::default(), asking());
    apply(&mut index, &asking, &grants(&[NEAR]), day(900));
    let key = index.next(NOW).unwrap();
    index.postpone(&key, day(1001));
    assert!(!index.has_work(NOW));
    assert_eq!(told(&mut index, &asking, day(1001)).len(), 1);
}

/// A record about anything that may come together.
fn any_record(dice: &mut fastrand::Rng) -> String {
    let pick = |dice: &mut fastrand::Rng, words: &[&str]| words[dice.usize(..words.len())].to_owned();
    let grant = |dice: &mut fastrand::Rng| {
        let mut members = vec![
            format!(
                r#""purpose":"{}""#,
                pick(dice, &["advertising", "analytics", "newsletter", "*", "other"])
            ),
            format!(
                r#""status":"{}""#,
                pick(
                    dice,
                    &["given", "given", "confirmed", "confirmed", "confirmed", "requested", "withdrawn", "x"]
                )
            ),
        ];
        for (name, words) in [
            ("channel", &["email", "sms", "*"][..]),
            ("recipient", &["first_party", "third_party:adco", "third_party:*", "processor:p"][..]),
            ("basis", &["consent", "contract"][..]),
            ("level", &["contact", "anonymous"][..]),
        ] {
            if dice.u8(..3) == 0 {
                members.push(format!(r#""{name}":"{}""#, pick(dice, words)));
            }
        }
        for (name, days) in [("given_at", 850..1000), ("confirmed_at", 850..1000), ("valid_until", 990..1060)]
        {
            if dice.u8(..3) > 0 {
                members.push(format!(r#""{name}":@{}"#, dice.i64(days)));
            }
        }
        format!("{{{}}}", members.join(","))
    };
    let grants: Vec<String> = (0..dice.usize(1..5)).map(|_| grant(dice)).collect();
    let restricted = dice.u8(..20) == 0;
    let gpc = dice.u8(..5) == 0;
    format!(r#""restricted":{restricted},"signals":{{"gpc":{gpc}}},"grants":[{}]"#, grants.join(","))
}

/// What the decision says of a record for exactly these words.
fn decided(cache: &Cache, purpose: &PurposeSettings, told: &Told, basis: Basis, now: Timestamp) -> Decided {
    let requirement = Requirement {
        purposes: vec![Purpose {
            name: purpose.name.clone(),
            max_age_ms: purpose.max_age_ms,
            double: purpose.double,
            level: 1,
        }],
        all: true,
        channel: (!told.channel.is_empty()).then(|| told.channel.to_string()),
        recipient: told.recipient.to_string(),
        bases: basis.bit(),
        both: false,
        hold: Hold::default(),
        windows: None,
        stamp: None,
        levels: policy().levels.into(),
    };
    let mut matcher = Matcher::new(requirement.into());
    matcher.learn(cache.words());
    let terms = Terms { honour_gpc: true, clock_skew_ms: 5000, assume_zones: Vec::new(), match_all: false };
    let mut identities = Identities::default();
    cache.view().find(cache.subject("user_id", "ann"), &mut identities);
    let moment = Moment { now, occurred_at: Some(now), deadlines: crate::consent::Deadlines::default() };
    decide(&matcher, cache.words(), &terms, moment, &identities, &|| crate::consent::Said::Missing)
}

/// The decision itself is what asking again is held against: what is told of permits until its end and not from then
/// on; and of whatever permits now and ends for its age or its `valid_until` within the time, something is told, unless
/// the person refuses some of it.
#[test]
fn what_is_told_is_where_the_decision_turns() {
    let (mut dice, asking, policy) = (fastrand::Rng::with_seed(29), asking(), policy());
    let (mut tolds, mut silent) = (0, 0);
    for _ in 0..20_000 {
        let members = any_record(&mut dice);
        let change = record(&members);
        let cache = Cache::new(CacheSettings { max_subjects: 9, max_grants: 99 }, &[7; 16]);
        cache.apply(("user_id", "ann"), 0, 1, &cache::Said::State(&change));
        let mut index = Index::default();
        index.apply(&asking, ANN, Said::State(&change, ""), (1, day(1)), day(1)).unwrap();
        let mut all = Vec::new();
        while let Some(key) = index.next(NOW) {
            for ask in index.ask(&asking, &key, "", NOW).asks {
                let message: Message<'_> = serde_json::from_slice(&ask.value).unwrap();
                let basis = Basis::read(&message.basis);
                all.push((message::told(&ask.value).unwrap().0.pop().unwrap(), basis));
            }
        }
        for (told, basis) in &all {
            let purpose = policy.purposes.iter().find(|purpose| *purpose.name == *told.purpose).unwrap();
            let at = |now| decided(&cache, purpose, told, *basis, now);
            let context = format!("{members} {told:?}");
            assert!(told.at > NOW && told.at.plus(-14 * DAY) <= NOW, "{context}");
            assert!(matches!(at(NOW), Decided::Permit { .. }), "{context}");
            assert!(matches!(at(told.at.plus(-1)), Decided::Permit { .. }), "{context}");
            let after = at(told.at);
            assert!(matches!(after, Decided::Drop(_)), "{after:?} {context}");
        }
        tolds += all.len();
        silent += usize::from(all.is_empty());
        completeness(&cache, &policy, &change, &all, &members);
    }
    assert!(tolds > 2000 && silent > 2000, "{tolds} {silent}");
}

/// Whatever is permitted now and is not 14 days later is told of.
fn completeness(
    cache: &Cache,
    policy: &PolicySettings,
    change: &Change,
    all: &[(Told, Basis)],
    members: &str,
) {
    let refuses = members.contains("withdrawn") || members.contains(r#""x""#) || change.gpc;
    for grant in change.grants.iter().filter(|_| !refuses) {
        for purpose in &policy.purposes {
            let recipient =
                if grant.shape.recipient.is_empty() { "first_party" } else { &*grant.shape.recipient };
            let (name, channel) = (purpose.name.as_str().into(), grant.shape.channel.clone());
            let wanted = Told { purpose: name, channel, recipient: recipient.into(), at: NOW };
            let at = |now| decided(cache, purpose, &wanted, grant.shape.basis, now);
            let turns = matches!(at(NOW), Decided::Permit { .. })
                && matches!(at(NOW.plus(14 * DAY)), Decided::Drop(_));
            let covers = |told: &Told| {
                told.purpose == wanted.purpose
                    && (told.channel == wanted.channel || &*told.channel == "*")
                    && (told.recipient == wanted.recipient || &*told.recipient == "third_party:*")
            };
            let is_told = all.iter().any(|(told, basis)| covers(told) && *basis == grant.shape.basis);
            assert!(!turns || is_told, "{members} {wanted:?}: {all:?}");
        }
    }
}
