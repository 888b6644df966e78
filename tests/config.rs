//! What a configuration may say, and what is told of one that may not.

use consentry::config::{self, Given, Problems, Ready, Secrets};
use consentry::follower::settings::ShareSettings;
use serde_json::Value as Json;

mod faults;

use faults::{FAULTS, GOOD, LEVELS};

fn parse(text: &str) -> Result<Ready, Problems> {
    config::parse("c.yaml", text, Given { secrets: Secrets::Skip, instance: None })
}

/// Each problem as `LINE:COLUMN MESSAGE`.
fn told(text: &str) -> Vec<String> {
    let Err(problems) = parse(text) else { return Vec::new() };
    let one =
        |problem: &config::Problem| format!("{}:{} {}", problem.at.line, problem.at.column, problem.message);
    problems.iter().map(one).collect()
}

#[test]
fn each_fault_is_one_problem_in_its_place() {
    assert_eq!(told(GOOD), Vec::<String>::new());
    for (old, new, want) in FAULTS {
        assert_eq!(GOOD.matches(old).count(), 1, "`{old}` must stand there once");
        let told = told(&GOOD.replacen(old, new, 1));
        assert_eq!(told, [*want], "`{new}` in place of `{old}`");
    }
}

#[test]
fn a_cache_for_a_part_of_the_topic_takes_one_subject_a_pipeline() {
    let sharded = GOOD.replace("  freshness: barrier", "  cache: sharded");
    assert_eq!(told(&sharded), Vec::<String>::new());
    let share = parse(&sharded).unwrap().follower.share;
    assert_eq!(share, ShareSettings::OfEvents(vec!["shop-events".to_owned()]));
    assert_eq!(parse(GOOD).unwrap().follower.share, ShareSettings::Whole);
    let one = "[{type: user_id, path: /user/id}]";
    let two = "[{type: user_id, path: /user/id}, {type: email, path: /user/email}]";
    assert_eq!(told(&GOOD.replace(one, two)), Vec::<String>::new());
    let several = "26:49 several subjects with `consent.cache: sharded`";
    assert_eq!(told(&sharded.replace(one, two)), [several]);
    let elements = sharded.replace("    subject:", "    elements: /people\n    subject:");
    assert_eq!(told(&elements), ["26:5 `elements` with `consent.cache: sharded`"]);
}

/// `GOOD` about several people, with these fields.
fn about_several(fields: &str) -> String {
    let text = GOOD.replace("    subject:", "    elements: /trip/people\n    subject:");
    text.replace("{path: /user/email, level: contact, action: mask}", fields)
}

#[test]
fn a_stamp_is_of_one_person() {
    let stamped = |text: &str| text.replace("        hold: [pending]", "        stamp: {format: segment}");
    assert_eq!(told(&stamped(GOOD)), Vec::<String>::new());
    let several = about_several("{path: /name, level: contact, action: mask}");
    assert_eq!(told(&stamped(&several)), ["40:9 `stamp` in a pipeline with `elements`"]);
}

#[test]
fn a_label_stands_in_an_element_or_outside_of_all() {
    let good = "{path: /trip, level: contact, action: mask}\n      \
                - {path: /trip, outside: false, level: contact, action: mask}";
    assert_eq!(told(&about_several(good)), ["31:10 duplicate field"], "both start from an element");
    for good in [
        "{path: /email, level: contact, action: mask}\n      \
         - {path: /email, outside: true, level: contact, action: mask}",
        "{path: /trip/driver, outside: true, level: contact, action: mask}",
        "{path: /*/driver, outside: true, level: contact, action: mask}",
        "{header: x-ip, outside: false, level: contact, action: mask}",
        "{path: /trip/people/0, level: contact, action: mask}",
    ] {
        assert_eq!(told(&about_several(good)), Vec::<String>::new(), "{good}");
    }
    let field = |written: &str| format!("{{{written}, outside: true, level: contact, action: mask}}");
    for bad in ["/trip", "/trip/people", "/trip/people/0/email", "/*", "/*/*", "/trip/*/email"] {
        let path = format!("path: {}", if bad.contains('*') { format!("\"{bad}\"") } else { bad.to_owned() });
        let want = "30:16 this path leads to the array of `elements`, or may";
        assert_eq!(told(&about_several(&field(&path))), [want], "{bad}");
    }
    let header = told(&about_several(&field("header: x-ip")));
    assert_eq!(header, ["30:24 `outside` with `header`"]);
    let hole = about_several(&field("path: /trip/driver")).replace("/trip/people", "[/trip/people]");
    assert_eq!(told(&hole), ["26:15 expected a string, found a list"]);
    let long = format!("{{path: {}, level: contact, action: mask}}", "/a".repeat(125));
    assert_eq!(told(&about_several(&long)), ["30:16 a path has at most 127 segments"]);
    assert_eq!(told(&GOOD.replace("action: mask", "outside: false, action: mask")), Vec::<String>::new());
}

#[test]
fn holding_in_a_record_about_several_is_warned_of() {
    let warned = |text: &str| {
        let warnings = parse(text).unwrap().warnings;
        let told: Vec<_> = warnings.iter().filter(|one| one.message.contains("`elements`")).collect();
        told.iter().map(|one| one.at.line).collect::<Vec<_>>()
    };
    assert_eq!(warned(GOOD), Vec::<usize>::new());
    assert_eq!(warned(&about_several("{path: /email, level: contact, action: mask}")), [40]);
}

#[test]
fn asking_again_has_its_defaults_and_a_topic_of_its_own() {
    let with = |due: &str| GOOD.replace("  freshness: barrier", &format!("  due: {due}"));
    let due = |text: &str| parse(text).unwrap().due;
    let day_ms = 86_400_000;
    assert_eq!(due(GOOD), None);
    let plain = due(&with("{topic: consent-due}")).unwrap();
    assert_eq!((plain.topic.name.as_str(), plain.topic.create), ("consent-due", false));
    assert_eq!((plain.group.as_str(), plain.ask.before_ms), ("consentry-due.consent-due", 14 * day_ms));
    assert_eq!(plain.ask.quiet_ms, 365 * day_ms);
    let policy = "policy:\n  ask_again_before: 30d\n  do_not_ask_again_for: 400d";
    let other = with("{topic: consent-due, create: true, group: ask}").replace("policy:", policy);
    let ready = due(&other).unwrap();
    assert_eq!((ready.group.as_str(), ready.topic.create), ("ask", true));
    assert_eq!((ready.ask.before_ms, ready.ask.quiet_ms), (30 * day_ms, 400 * day_ms));
    for (due, want) in [
        ("{}", "12:3 missing key `topic`"),
        ("{topic: a b}", "12:16 a topic's name may hold letters, digits, `.`, `_` and `-` only, not ` `"),
        ("{topic: consent-changes}", "12:16 topic `consent-changes` is the consent topic"),
        ("{topic: newsletter-events}", "12:16 pipeline `shop` writes to topic `newsletter-events` too"),
        ("{topic: shop-quarantine}", "12:16 pipeline `shop` writes to topic `shop-quarantine` too"),
        (
            "{topic: shop-hold.shop-events}",
            "12:16 pipeline `shop` writes to topic `shop-hold.shop-events` too",
        ),
        ("{topic: d, group: shop-group}", "12:26 the group `shop-group` is pipeline `shop`'s"),
        ("{topic: d, group: \"\"}", "12:26 this is no name for a consumer group"),
    ] {
        assert_eq!(told(&with(due)), [want], "{due}");
    }
    let zero = with("{topic: d}").replace("policy:", "policy:\n  ask_again_before: 0s");
    assert_eq!(told(&zero), ["15:21 this duration may not be zero"]);
    let idle = parse(&GOOD.replace("policy:", "policy:\n  do_not_ask_again_for: 2d")).unwrap();
    let warned = idle.warnings.as_warnings().to_string();
    assert!(warned.contains("`do_not_ask_again_for` does nothing without `consent.due`"), "{warned}");
    // What is decided by them is told under a hash of its own; where nobody is told, nothing is.
    let hash = |text: &str| parse(text).unwrap().policy_hash;
    let hashes = [hash(GOOD), hash(&with("{topic: consent-due}")), hash(&other)];
    assert!(hashes[0] != hashes[1] && hashes[1] != hashes[2], "{hashes:?}");
    assert_eq!(hash(&with("{topic: another}")), hashes[1]);
    assert_eq!(idle.policy_hash, hashes[0]);
}

#[test]
fn a_hold_topic_is_one_pipelines_alone() {
    let (head, own) = GOOD.split_at(GOOD.find("  - name: shop").unwrap());
    let other = own.replace("name: shop", "name: other").replace("topic: shop-quarantine", "topic: q");
    let found = |other: &str| -> Vec<String> {
        let told = told(&format!("{head}{own}{other}"));
        told.into_iter().filter(|told| told.contains("hold topic")).collect()
    };
    assert_eq!(found(&other.replace("topic: shop-hold", "topic: other-hold")), Vec::<String>::new());
    let both = found(&other);
    assert!(both.len() == 1 && both[0].ends_with("is also that of pipeline `shop`"), "{both:?}");
    let quarantine =
        other.replace("topic: shop-hold", "topic: h").replace("topic: q", "topic: h.shop-events");
    let both = found(&quarantine);
    assert!(both.len() == 1 && both[0].ends_with("`h.shop-events` is also a quarantine"), "{both:?}");
}

#[test]
fn fifteen_faults_are_fifteen_problems() {
    let text = include_str!("config/fifteen.yaml");
    let told = told(text);
    let want: Vec<&str> =
        text.lines().filter_map(|line| line.split_once("#! ")).map(|(_, want)| want).collect();
    let without_place: Vec<&str> =
        told.iter().filter_map(|told| told.split_once(' ')).map(|(_, told)| told).collect();
    assert_eq!(without_place, want);
    let marked = text.lines().enumerate().filter(|(_, line)| line.contains("#! "));
    for ((index, _), told) in marked.zip(&told) {
        assert!(told.starts_with(&format!("{}:", index + 1)), "{told} should be on line {}", index + 1);
    }
    assert_eq!(told.len(), 15);
}

#[test]
fn what_is_no_mapping_is_one_problem() {
    for (text, want) in [
        ("", "the file is empty"),
        ("# nothing\n", "the file is empty"),
        ("- a\n", "the file holds no mapping"),
        ("text", "the file holds no mapping"),
    ] {
        let told = told(text);
        assert_eq!(told, [format!("0:0 {want}")], "{text}");
    }
}

#[test]
fn what_yaml_forbids_is_one_problem_with_its_remedy() {
    let bomb: String =
        (1..9).map(|n| format!("a{n}: &a{n} [{}]\n", vec![format!("*a{}", n - 1); 9].join(","))).collect();
    let bomb = format!("a0: &a0 [1,2,3]\n{bomb}");
    let deep = format!("a: {}{}\n", "[".repeat(40), "]".repeat(40));
    for (text, want, help) in [
        ("version: [1\npolicy: {}\n", "this is no YAML: ", "stays open"),
        ("a: b: c\n", "this is no YAML: ", "`:`"),
        ("a: 1\n\tb: 2\n", "2:1 a tab may not indent", "spaces"),
        ("a:\n  b: 1\n  \tc: 2\n", "3:3 a tab may not indent", "spaces"),
        ("{version: 1}\n---\n{version: 1}\n", "a second document begins here", "one document a file"),
        (&bomb, "more than 250000 nodes", "aliases"),
        (&deep, "deeper than 32 levels", "schema"),
    ] {
        let told = told(text);
        assert_eq!(told.len(), 1, "{told:?}");
        assert!(told[0].contains(want) && !told[0].starts_with("0:"), "{told:?}");
        let shown = parse(text).unwrap_err().to_string();
        assert!(shown.lines().any(|line| line.contains("= help: ") && line.contains(help)), "{shown}");
    }
}

#[test]
fn a_file_that_cannot_be_read_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let load =
        |name: &str| config::load(&folder.path().join(name), Given::default()).unwrap_err().to_string();
    assert!(load("missing.yaml").contains("cannot read the file"));
    assert!(load(".").contains("it is no regular file"));
    assert!(load("/dev/zero").contains("it is no regular file"));
    let long = std::fs::File::create(folder.path().join("long.yaml")).unwrap();
    long.set_len((16 << 20) + 1).unwrap();
    assert!(load("long.yaml").contains("the file has more than 16 MiB"));
    std::fs::write(folder.path().join("latin.yaml"), b"version: 1\ninstance: caf\xe9\n").unwrap();
    assert!(load("latin.yaml").contains("not UTF-8: line 2"));
}

#[test]
fn a_problem_names_file_line_column_and_remedy() {
    let text = GOOD.replace("all: [analytics]", "all: [analitics]");
    let problems = parse(&text).unwrap_err();
    let shown = problems.to_string();
    assert!(shown.contains(" --> c.yaml:35:36\n"), "{shown}");
    assert!(shown.contains("\n   |                                    ^^^^^^^^^\n"), "{shown}");
    assert!(shown.contains("help: did you mean `analytics`?"), "{shown}");
    let json = serde_json::to_value(problems.json()).unwrap();
    assert_eq!(json[0]["line"], 35);
    assert_eq!(json[0]["column"], 36);
    assert_eq!(json[0]["help"], "did you mean `analytics`?");
}

#[test]
fn a_secret_is_never_shown() {
    let inline = GOOD.replace("  assume_time_zones: [Europe/Amsterdam]", "  pseudonym_key: hunter2");
    let password =
        |more: &str| GOOD.replace("security.protocol: plaintext", &format!("sasl.password: hunter2, {more}"));
    let list = GOOD.replace("security.protocol: plaintext", "sasl.password: [hunter2]");
    let beside = "[nowhere]\n  properties: {sasl.password: hunter2}";
    let line =
        GOOD.replace("brokers: [localhost:9092]\n  properties: {security.protocol: plaintext}", beside);
    let no_yaml = GOOD.replace("  properties: {security.protocol: plaintext}", "  sasl.password: hunter2: x");
    for text in [inline, password("group.id: x"), password("ssl.key.pem: {fiel: x}"), list, line, no_yaml] {
        let problems = parse(&text).unwrap_err();
        assert!(!problems.to_string().contains("hunter2"));
        assert!(!serde_json::to_string(&problems.json()).unwrap().contains("hunter2"));
    }
}

#[test]
fn defaults_are_what_the_contract_says() {
    let text = r#"{version: 1, kafka: {brokers: [b:9092]}, consent: {topic: c}, policy: {purposes: {p: {}}},
        pipelines: [{name: shop, from: {topics: [t]}, subject: [{type: u, key: true}],
                     routes: [{name: r, require: {purposes: {all: [p]}}, to: {kafka: {topic: o}}}]}]}"#;
    let ready = parse(text).unwrap();
    assert!(!ready.instance.is_empty());
    assert_eq!(ready.admin.listen.to_string(), "127.0.0.1:8080");
    assert_eq!(ready.cache.max_subjects, 100_000_000);
    assert_eq!(ready.line.limits.max_depth, 64);
    assert_eq!(ready.line.commit_interval.as_millis(), 100);
    assert_eq!(ready.policy.levels, ["anonymous", "pseudonymous", "contact", "sensitive"]);
    assert_eq!(ready.policy.clock_skew_ms, 5000);
    assert!(ready.policy.honour_gpc);
    let pipeline = &ready.pipelines[0];
    assert_eq!(pipeline.group, "consentry-shop");
    assert_eq!(pipeline.quarantine.name, "shop-quarantine");
    let route = &pipeline.rules.routes[0];
    assert!(route.pass_tombstones);
    assert_eq!((route.hold.hold_for_ms, route.hold.grace_ms), (604_800_000, 10_000));
}

#[test]
fn deletions_pass_only_where_they_can_reach_what_they_delete() {
    let passes = |require: &str, to: &str| {
        let text = GOOD.replace(
            "{purposes: {all: [analytics]}, recipient: first_party, legal_basis: [consent]}",
            require,
        );
        let text = text.replace("{topic: analytics-events}", to);
        parse(&text).unwrap().pipelines[0].rules.routes[0].pass_tombstones
    };
    assert!(passes("{purposes: {all: [analytics]}}", "{topic: a}"));
    assert!(!passes("{purposes: {all: [analytics]}}", "{topic: a, key: remove}"));
    assert!(!passes("{purposes: {all: [analytics]}, recipient: \"third_party:adco\"}", "{topic: a}"));
}

#[test]
fn the_pseudonym_key_comes_from_where_it_is_kept() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("c.yaml");
    let text = GOOD.replace("action: mask", "action: hash");
    let zones = "  assume_time_zones: [Europe/Amsterdam]";
    std::fs::write(&file, text.replace(zones, "  pseudonym_key: {file: secret}")).unwrap();
    let load = |secrets| config::load(&file, Given { secrets, instance: None });

    assert!(load(Secrets::Read).unwrap_err().to_string().contains("cannot read"));
    let ready = load(Secrets::Skip).unwrap();
    let secrets = ready.warnings.iter().filter(|warning| warning.message.contains("secret"));
    assert_eq!((ready.policy.pseudonym_key, secrets.count()), (None, 1));

    std::fs::write(folder.path().join("secret"), "k".repeat(31) + "\n").unwrap();
    assert!(load(Secrets::Read).unwrap_err().to_string().contains("31 bytes"));
    std::fs::write(folder.path().join("secret"), "k".repeat(32) + "\n").unwrap();
    assert_eq!(load(Secrets::Read).unwrap().policy.pseudonym_key, Some(vec![b'k'; 32]));
}

#[test]
fn a_snapshot_is_kept_beside_the_configuration_under_a_key_of_its_own() {
    assert_eq!(parse(GOOD).unwrap().follower.snapshot, None);
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("c.yaml");
    let snapshot = "  snapshot: {path: kept/consents, key: {file: secret}}";
    std::fs::write(&file, GOOD.replace("  freshness: barrier", snapshot)).unwrap();
    let load = |secrets| config::load(&file, Given { secrets, instance: None });
    assert!(load(Secrets::Read).unwrap_err().to_string().contains("cannot read"));
    let warnings = load(Secrets::Skip).unwrap().warnings;
    assert!(warnings.iter().any(|one| one.message.contains("secret")), "it may be kept elsewhere");

    let secret = |text: String| std::fs::write(folder.path().join("secret"), text).unwrap();
    secret("k".repeat(31) + "\n");
    for secrets in [Secrets::Read, Secrets::Skip] {
        assert!(load(secrets).unwrap_err().to_string().contains("the snapshot's key has 31 bytes"));
    }
    let kept = || load(Secrets::Read).unwrap().follower.snapshot.unwrap();
    secret("k".repeat(32) + "\n");
    let first = kept();
    assert_eq!((first.path.as_path(), first.every.as_secs()), (&*folder.path().join("kept/consents"), 300));
    assert_eq!(first, kept());
    assert_eq!(format!("{:?}", first.key), "CacheKey");
    secret("l".repeat(32));
    assert!(first.key != kept().key, "another secret is another key");
}

#[test]
fn what_is_about_persons_is_opened_by_secrets_that_are_kept_elsewhere() {
    let ready = parse(GOOD).unwrap();
    assert!(
        ready.admin.token.is_none() && ready.admin.unsubscribe_key.is_none() && !ready.admin.about_persons
    );
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("c.yaml");
    let admin = "{listen: \"127.0.0.1:0\", token: {file: token}, unsubscribe_key: {file: key}}";
    std::fs::write(&file, GOOD.replace("{listen: \"127.0.0.1:8080\"}", admin)).unwrap();
    let load = |secrets| config::load(&file, Given { secrets, instance: None });
    assert_eq!(load(Secrets::Read).unwrap_err().len(), 2, "closed without a word it would seem open");
    assert!(load(Secrets::Skip).unwrap().admin.about_persons, "they may be kept elsewhere");

    let secret = |name: &str, bytes: usize| {
        std::fs::write(folder.path().join(name), "k".repeat(bytes) + "\n").unwrap()
    };
    secret("token", 15);
    secret("key", 31);
    let problems = load(Secrets::Read).unwrap_err().to_string();
    assert!(problems.contains("the bearer token has 15 bytes"), "{problems}");
    assert!(problems.contains("the unsubscribe key has 31 bytes"), "{problems}");
    secret("token", 16);
    secret("key", 32);
    let admin = load(Secrets::Read).unwrap().admin;
    assert!(admin.token.as_ref().is_some_and(|token| token.is("k".repeat(16).as_bytes())));
    assert!(!format!("{admin:?}").contains("kkk") && !format!("{admin:?}").contains("107"));
}

#[test]
fn a_property_that_is_a_secret_comes_from_where_it_is_kept() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("c.yaml");
    let property = |value: &str| {
        std::fs::write(
            &file,
            GOOD.replace("security.protocol: plaintext", &format!("sasl.password: {value}")),
        )
        .unwrap();
    };
    let load = |secrets| config::load(&file, Given { secrets, instance: None });
    let warned = |ready: &Ready| {
        let warnings = ready.warnings.as_warnings().to_string();
        assert!(!warnings.contains("hunter2"), "{warnings}");
        warnings.contains("9:1") || warnings.contains("9:3")
    };
    for value in ["{file: secret}", "{env: CONSENTRY_NO_SUCH_VARIABLE}"] {
        property(value);
        let problems = load(Secrets::Read).unwrap_err().to_string();
        assert!(problems.contains("c.yaml:9:31") && problems.contains("help: "), "{problems}");
        assert!(warned(&load(Secrets::Skip).unwrap()), "it may be kept on another machine");
    }
    property("{file: secret}");
    std::fs::write(folder.path().join("secret"), "hunter2\n\n").unwrap();
    let ready = load(Secrets::Read).unwrap();
    assert_eq!(ready.cluster.properties, [("sasl.password".to_owned(), "hunter2\n".to_owned())]);
    assert!(!warned(&ready));
    std::fs::write(folder.path().join("secret"), "\n").unwrap();
    assert!(load(Secrets::Read).unwrap_err().to_string().contains("is empty or no text"));

    property("hunter2");
    let ready = load(Secrets::Read).unwrap();
    assert_eq!(ready.cluster.properties, [("sasl.password".to_owned(), "hunter2".to_owned())]);
    assert!(warned(&ready), "it stands in the file");
}

#[test]
fn the_policy_hash_follows_what_decides_and_nothing_else() {
    let hash = |old: &str, new: &str| {
        assert!(GOOD.contains(old));
        parse(&GOOD.replace(old, new)).unwrap().policy_hash
    };
    let good = parse(GOOD).unwrap().policy_hash;
    assert_eq!(good.len(), 12);
    assert_eq!(good, hash("workers: 2", "workers: 3"));
    assert_eq!(good, hash("topic: analytics-events", "topic: other-events"));
    assert_eq!(good, hash(", recipient: first_party", ""));
    let outside = "{path: /user/email, outside: true, level: contact, action: mask}";
    let several = |fields| parse(&about_several(fields)).unwrap().policy_hash;
    let inside = several("{path: /user/email, level: contact, action: mask}");
    let elsewhere = about_several(outside).replace("/trip/people", "/people");
    let all = [&good, &inside, &several(outside), &parse(&elsewhere).unwrap().policy_hash];
    assert!((1..all.len()).all(|last| !all[..last].contains(&all[last])), "{all:?}");
    for (old, new) in [
        ("max_age: 400d", "max_age: 401d"),
        ("all: [analytics]", "all: [newsletter]"),
        ("channel: email", "channel: sms"),
        ("action: mask", "action: remove"),
        ("{any: [newsletter]}", "{all: [newsletter]}"),
        ("\"heartbeat\"", "\"ping\""),
        ("- name: analytics", "- stamp: {format: segment}\n        name: analytics"),
    ] {
        assert_ne!(good, hash(old, new), "{new}");
    }
    let stamped = |stamp: &str| {
        hash("- name: analytics", &format!("- stamp: {{format: segment{stamp}}}\n        name: analytics"))
    };
    let plain = stamped("");
    assert_eq!(plain, stamped(", path: /context/consent/categoryPreferences"), "the default");
    assert_eq!(plain, stamped(", categories: {newsletter: [N], analytics: [analytics]}"), "the default");
    assert_ne!(plain, stamped(", path: /consent"));
    assert_ne!(plain, stamped(", categories: {analytics: [A]}"));
    assert_ne!(stamped(", categories: {analytics: [A]}"), stamped(", categories: {analytics: [A, B]}"));
    let tcf = "  signals: {tcf: {vendor: 7, purposes: {analytics: [8]}}}";
    let mapped = |more: &str| parse(&GOOD.replace(LEVELS, &format!("{LEVELS}\n{more}"))).unwrap();
    let same = mapped("  signals: {tcf: {purposes: {analytics: [8]}, vendor: 7, grants: false}}");
    assert_eq!(mapped(tcf).policy_hash, same.policy_hash);
    assert_eq!(mapped(tcf).follower.signals_hash, same.follower.signals_hash);
    assert_eq!(parse(GOOD).unwrap().follower.signals_hash, "", "a snapshot from before is good");
    let mut seen = vec![(good, String::new())];
    for one in [
        tcf,
        "  signals: {tcf: {vendor: 8, purposes: {analytics: [8]}}}",
        "  signals: {tcf: {vendor: 7, purposes: {newsletter: [8]}}}",
        "  signals: {tcf: {vendor: 7, purposes: {analytics: [7]}}}",
        "  signals: {tcf: {vendor: 7, purposes: {analytics: [8]}, recipient: first_party}}",
        "  signals: {tcf: {vendor: 7, purposes: {analytics: [8]}, grants: true}}",
        "  signals: {gpp: {tcfeuv2: {vendor: 7, purposes: {analytics: [8]}}}}",
        "  signals: {gpp: {usnat: {sale: [first_party]}}}",
        "  signals: {gpp: {usca: {sale: [first_party]}}}",
        "  signals: {gpp: {usnat: {sharing: [first_party]}}}",
        "  signals: {gpp: {usnat: {sale: [processor:*]}}}",
        "  signals: {gpp: {usnat: {sale: {purposes: [analytics]}}}}",
        "  signals: {gpp: {usnat: {sale: [first_party]}}}\n  honour_gpc: false",
    ] {
        let ready = mapped(one);
        let hashes = (ready.policy_hash, ready.follower.signals_hash);
        let differs = |other: &(String, String)| other.0 != hashes.0 && other.1 != hashes.1;
        assert!(seen.iter().all(differs), "{one}");
        seen.push(hashes);
    }
}

#[test]
fn the_command_line_names_the_instance() {
    let given = |instance| Given { secrets: Secrets::Skip, instance: Some(instance) };
    assert_eq!(config::parse("c.yaml", GOOD, given("gate-2")).unwrap().instance, "gate-2");
    assert!(config::parse("c.yaml", GOOD, given("a b")).unwrap_err().to_string().contains("--instance"));
}

#[test]
fn two_pipelines_may_not_share_a_group() {
    let second = "  - name: other\n    group: shop-group\n    from: {topics: [t]}\n    subject: [{type: u, key: true}]\n    \
                  routes: [{name: r, require: {purposes: {all: [analytics]}}, to: {kafka: {topic: o}}}]\n";
    let text = format!("{GOOD}{second}");
    assert_eq!(told(&text), ["48:12 pipeline `other` shares the group `shop-group` with pipeline `shop`"]);
    let text = text.replace("    group: shop-group\n    from: {topics: [t]}", "    from: {topics: [t]}");
    assert_eq!(told(&text), Vec::<String>::new());
    let text = text.replace("name: other", "name: shop");
    assert_eq!(told(&text), ["47:11 duplicate pipeline `shop`"]);
}

#[test]
fn pipelines_may_not_go_round_in_a_loop() {
    let pipeline = |name: &str, from: &str, to: &str, aside: &str| {
        format!(
            "  - name: {name}\n    from: {{topics: [{from}]}}\n    subject: [{{type: u, key: true}}]\n    \
             quarantine: {{topic: {aside}}}\n    routes:\n      - name: r\n        \
             require: {{purposes: {{all: [analytics]}}}}\n        to: {{kafka: {{topic: {to}}}}}\n"
        )
    };
    let good = GOOD.replace("topic: analytics-events", "topic: b");
    let chain = good.clone() + &pipeline("two", "b", "c", "q2") + &pipeline("three", "c", "d", "q3");
    assert_eq!(told(&chain), Vec::<String>::new(), "a chain ends");
    let cycle =
        good.clone() + &pipeline("two", "b", "c", "q2") + &pipeline("three", "c", "shop-events", "q3");
    let want = "62:29 topic `shop-events` closes a loop: `shop` → `two` → `three` → it again";
    assert_eq!(told(&cycle), [want]);
    let aside = good + &pipeline("two", "b", "c", "shop-events");
    assert_eq!(told(&aside), ["50:25 topic `shop-events` closes a loop: `shop` → `two` → it again"]);
}

#[test]
fn what_ships_is_good_and_within_the_schema() {
    let schema = config::schema();
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("config");
    for entry in std::fs::read_dir(folder).into_iter().flatten() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|end| end != "yaml") {
            continue;
        }
        let given = Given { secrets: Secrets::Skip, instance: None };
        config::load(&path, given).unwrap_or_else(|problems| panic!("{problems}"));
        let text = std::fs::read_to_string(&path).unwrap();
        let value: Json = serde_saphyr::from_str(&text).unwrap();
        within(&value, &schema, &schema, &path.display().to_string());
    }
    let value: Json = serde_saphyr::from_str(GOOD).unwrap();
    within(&value, &schema, &schema, "GOOD");
}

#[test]
fn every_key_is_documented() {
    fn look(schema: &Json, path: &str) {
        let Some(object) = schema.as_object() else { return };
        for (name, property) in object.get("properties").and_then(|all| all.as_object()).into_iter().flatten()
        {
            assert!(property["description"].is_string(), "{path}/{name} has no description");
        }
        for (name, inner) in object.get("$defs").and_then(|all| all.as_object()).into_iter().flatten() {
            look(inner, &format!("{path}/{name}"));
        }
    }
    look(&config::schema(), "");
}

/// Whether `value` is what `schema` describes: keys, types, words and required keys, as far as our
/// structs go.
fn within(value: &Json, schema: &Json, root: &Json, path: &str) {
    assert!(fits(value, schema, root), "{path}: {value} does not fit {schema}");
    for (key, inner) in value.as_object().into_iter().flatten() {
        let of = member(schema, root, key).unwrap_or_else(|| panic!("{path}/{key} is not in the schema"));
        within(inner, of, root, &format!("{path}/{key}"));
    }
    for (index, inner) in value.as_array().into_iter().flatten().enumerate() {
        let items = &resolve(schema, root)["items"];
        within(inner, items, root, &format!("{path}/{index}"));
    }
}

/// The schema of `key`, in whichever way of writing the mapping has it.
fn member<'a>(schema: &'a Json, root: &'a Json, key: &str) -> Option<&'a Json> {
    let schema = resolve(schema, root);
    let own = schema["properties"].get(key);
    let own = own.or_else(|| schema.get("additionalProperties").filter(|all| all.is_object()));
    let ways = schema["anyOf"].as_array().into_iter().flatten();
    own.or_else(|| ways.into_iter().find_map(|way| member(way, root, key)))
}

fn resolve<'a>(schema: &'a Json, root: &'a Json) -> &'a Json {
    let name = schema["$ref"].as_str().and_then(|name| name.strip_prefix("#/$defs/"));
    name.map_or(schema, |name| &root["$defs"][name])
}

fn fits(value: &Json, schema: &Json, root: &Json) -> bool {
    let schema = resolve(schema, root);
    if let Some(ways) = schema["anyOf"].as_array().or(schema["oneOf"].as_array()) {
        return ways.iter().any(|way| fits(value, way, root));
    }
    if let Some(word) = schema.get("const") {
        return value == word;
    }
    if let Some(words) = schema["enum"].as_array() {
        return words.contains(value);
    }
    let kind = match value {
        Json::Null => "null",
        Json::Bool(_) => "boolean",
        Json::Number(_) => "integer",
        Json::String(_) => "string",
        Json::Array(_) => "array",
        Json::Object(_) => "object",
    };
    let kinds = match &schema["type"] {
        Json::String(one) => vec![one.as_str()],
        Json::Array(several) => several.iter().filter_map(|kind| kind.as_str()).collect(),
        _ => return true,
    };
    let keys = value.as_object().is_none_or(|object| {
        let required = schema["required"].as_array().into_iter().flatten();
        let known = |key: &String| member(schema, root, key).is_some();
        object.keys().all(known)
            && required.filter_map(|key| key.as_str()).all(|key| object.contains_key(key))
    });
    kinds.contains(&kind) && keys
}
