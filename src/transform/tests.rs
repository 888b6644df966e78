use super::*;
use crate::policy::settings::{
    FieldSettings, Place, PolicySettings, RequireSettings, RouteSettings, RulesSettings, SelectorSettings,
};

const LEVELS: [&str; 3] = ["low", "mid", "high"];

fn rules(fields: &[(&str, usize, FieldAction)], remove_unlabelled: bool) -> Rules {
    let policy = PolicySettings {
        levels: LEVELS.map(str::to_owned).to_vec(),
        purposes: Vec::new(),
        windows: Vec::new(),
        assume_time_zones: Vec::new(),
        honour_gpc: true,
        clock_skew_ms: 0,
        pseudonym_key: Some(vec![7; 32]),
    };
    let place = |written: &str| match written.strip_prefix("header:") {
        Some(name) => Place::Header(name.to_owned()),
        None => Place::Path(written.to_owned()),
    };
    let field = |(written, level, action): &(&str, usize, FieldAction)| FieldSettings {
        place: place(written),
        outside: false,
        level: *level,
        action: *action,
    };
    let settings = RulesSettings {
        name: "p".to_owned(),
        elements: None,
        subject: vec![SelectorSettings { kind: "user_id".to_owned(), place: Place::Path("/id".to_owned()) }],
        match_all: false,
        occurred_at: None,
        fields: fields.iter().map(field).collect(),
        remove_unlabelled,
        routes: vec![RouteSettings {
            name: "r".to_owned(),
            when: None,
            require: RequireSettings::Nothing(None),
            hold: Default::default(),
            pass_tombstones: true,
            key: KeyAction::Keep,
        }],
    };
    Rules::compile(&policy, &settings).unwrap()
}

fn reduce(
    rules: &Rules,
    value: &str,
    headers: &[(&'static str, &'static [u8])],
    level: u8,
) -> Result<(String, Vec<usize>, bool), Failed> {
    let headers = headers.iter().map(|(name, value)| (*name, Some(*value))).collect();
    let record = Record { headers, ..Record::default() };
    let grounds = Grounds::Consent { level, purposes: 1 };
    let out = Reducer::new(rules).reduce(&record, Some(value), grounds, KeyAction::Keep)?;
    let text = String::from_utf8(out.value.clone().unwrap().into_owned()).unwrap();
    Ok((text, out.acted.to_vec(), out.reduced))
}

#[test]
fn what_is_not_touched_keeps_its_bytes() {
    let rules = rules(&[("/a", 1, FieldAction::Remove)], false);
    let value = r#" { "x" : 1.0 , "b" : [ 1 , 2 ] } "#;
    assert_eq!(reduce(&rules, value, &[], 0), Ok((value.to_owned(), vec![], false)));
    let value = r#"{ "\u0061" : 5 , "x" : 1.0 , "b\n" : [ 1 , 2 ] }"#;
    let expected = (r#"{"x":1.0,"b\n":[ 1 , 2 ]}"#.to_owned(), vec![0], true);
    assert_eq!(reduce(&rules, value, &[], 0), Ok(expected));
    assert_eq!(reduce(&rules, value, &[], 1), Ok((value.to_owned(), vec![], false)), "permitted level");
}

#[test]
fn elements_become_null_and_stars_cover_all() {
    let both = [("/i/*/n", 2, FieldAction::Mask), ("/i/1", 1, FieldAction::Remove)];
    let value = r#"{"i":[{"n":"x"},{"n":"y"},{"m":null},{"n":null}]}"#;
    let expected = (r#"{"i":[{"n":"***"},null,{"m":null},{"n":null}]}"#.to_owned(), vec![0, 1], true);
    assert_eq!(reduce(&rules(&both, false), value, &[], 0), Ok(expected));
}

#[test]
fn longer_paths_come_before_shorter() {
    let both = [("/u", 1, FieldAction::Hash), ("/u/e", 1, FieldAction::Mask)];
    let (text, acted, _) = reduce(&rules(&both, false), r#"{"u": {"e": "x"}}"#, &[], 0).unwrap();
    let key = Pseudonyms(Hmac::<Sha256>::new_from_slice(&[7; 32]).ok());
    let hash = key.hash(br#"{"e":"***"}"#).unwrap();
    assert_eq!((text, acted), (format!(r#"{{"u":"{hash}"}}"#), vec![0, 1]));
}

#[test]
fn unlabelled_leaves_are_removed() {
    let keep = [("/keep", 0, FieldAction::Remove), ("/o/k", 0, FieldAction::Null)];
    let value = r#"{"keep":{"a":[1]},"o":{"k":1,"x":{}},"l":[1,null,{"y":2}],"n":null,"e":[]}"#;
    let expected = r#"{"keep":{"a":[1]},"o":{"k":1},"l":[null,null,{}]}"#;
    assert_eq!(reduce(&rules(&keep, true), value, &[], 2), Ok((expected.to_owned(), vec![], true)));
    assert_eq!(reduce(&rules(&keep, true), "5", &[], 2), Ok(("null".to_owned(), vec![], true)));
}

#[test]
fn headers_are_fields_too() {
    let fields = [("header:ip", 1, FieldAction::Ip), ("header:gone", 1, FieldAction::Remove)];
    let record = Record {
        headers: smallvec::smallvec![
            ("ip", Some(&b"192.0.2.9"[..])),
            ("gone", Some(&b"1"[..])),
            ("consentry.route", Some(&b"forged"[..])),
            ("ip", None),
        ],
        ..Record::default()
    };
    let own = rules(&fields, false);
    let reducer = Reducer::new(&own);
    let out = reducer.reduce(&record, None, Grounds::Deletion, KeyAction::Keep).unwrap();
    let headers: Vec<_> = out.headers.iter().map(|(name, value)| (*name, value.as_deref())).collect();
    assert_eq!(headers, [("ip", Some(&b"192.0.2.0"[..])), ("ip", None)]);
    assert_eq!(out.acted.to_vec(), [0, 1]);
    assert_eq!(reduce(&rules(&fields, false), "{}", &[("ip", b"not one")], 0), Err(Failed));
}

#[test]
fn the_key_is_the_sinks_setting() {
    let rules = rules(&[], false);
    let reducer = Reducer::new(&rules);
    let record = Record { key: Some(b"k"), ..Record::default() };
    let key = |action| {
        let out = reducer.reduce(&record, None, Grounds::Deletion, action).unwrap();
        out.key.map(|key| String::from_utf8(key.into_owned()).unwrap())
    };
    assert_eq!((key(KeyAction::Keep).as_deref(), key(KeyAction::Remove)), (Some("k"), None));
    // printf k | openssl dgst -sha256 -mac HMAC -macopt hexkey:0707… (32 bytes)
    let expected = "b76200aeaced34807af4bf4af64d2e06f6f7823d698f679f7520c7614ca82a56";
    assert_eq!(key(KeyAction::Hash).as_deref(), Some(expected));
}
