//! A configuration without fault, and everything that may be wrong with it.

/// The line of `GOOD` that a line of `policy.signals` is put behind.
pub const LEVELS: &str = "  levels: [anonymous, pseudonymous, contact]";

/// That line, and behind it the other.
macro_rules! signals {
    ($line:literal) => {
        concat!("  levels: [anonymous, pseudonymous, contact]\n  ", $line)
    };
}

/// A configuration without fault; each row of `FAULTS` puts one in.
pub const GOOD: &str = r#"version: 1
instance: gate-1
workers: 2
delivery: exactly_once
commit_interval: 100ms
admin: {listen: "127.0.0.1:8080"}
kafka:
  brokers: [localhost:9092]
  properties: {security.protocol: plaintext}
consent:
  topic: consent-changes
  freshness: barrier
limits: {max_record_bytes: 1MiB, batch_records: 5000}
policy:
  purposes:
    analytics: {max_age: 400d, level: pseudonymous}
    newsletter: {confirmation: double, level: contact}
  levels: [anonymous, pseudonymous, contact]
  windows:
    sms: {from: "09:00", to: "20:00", days: [mon, tue]}
  assume_time_zones: [Europe/Amsterdam]
pipelines:
  - name: shop
    group: shop-group
    from: {topics: [shop-events], format: json}
    subject: [{type: user_id, path: /user/id}]
    occurred_at: {path: /occurred_at}
    fields:
      - {path: /user/email, level: contact, action: mask}
    hold: {topic: shop-hold}
    quarantine: {topic: shop-quarantine}
    routes:
      - name: analytics
        when: 'value.type != "heartbeat"'
        require: {purposes: {all: [analytics]}, recipient: first_party, legal_basis: [consent]}
        to: {kafka: {topic: analytics-events}}
      - name: newsletter
        require: {purposes: {any: [newsletter]}, channel: email}
        hold: [pending]
        hold_for: 7d
        to: {kafka: {topic: newsletter-events}}
      - name: security
        require: none
        because: "GDPR art. 6(1)(f), assessment LIA-7"
        level: pseudonymous
        to: {kafka: {topic: security-events}}
"#;

/// What is put in place of what, and the one problem that comes of it: `LINE:COLUMN MESSAGE`.
pub const FAULTS: &[(&str, &str, &str)] = &[
    ("version: 1", "version: 2", "1:10 version 2 is not known"),
    ("version: 1", "# none", "2:1 missing key `version`"),
    ("version: 1", "version: one", "1:10 expected a whole number, 0 or more, found string `one`"),
    (
        "instance: gate-1",
        r#"instance: "gate 1""#,
        "2:11 `instance` may hold letters, digits, `.`, `_` and `-` only, not ` `",
    ),
    ("instance: gate-1", r#"instance: """#, "2:11 `instance` may not be empty"),
    ("workers: 2", "workers: 0", "3:10 `workers` must be from 1 to 1024"),
    ("workers: 2", "workers: -1", "3:10 expected a whole number, 0 or more, found integer `-1`"),
    ("workers: 2", "wrokers: 2", "3:1 unknown key `wrokers`"),
    ("delivery: exactly_once", "delivery: at_most_once", "4:11 unknown word `at_most_once` for `delivery`"),
    ("delivery: exactly_once", "delivery: {exactly_once: true}", "4:11 expected a word, found a mapping"),
    ("delivery: exactly_once", "delivery: [exactly_once]", "4:11 expected a word, found a list"),
    ("commit_interval: 100ms", "commit_interval: 100", "5:18 `100` is no duration"),
    ("commit_interval: 100ms", "commit_interval: 0ms", "5:18 this duration may not be zero"),
    ("commit_interval: 100ms", "commit_interval: 1.5s", "5:18 `1.5s` is no duration"),
    ("commit_interval: 100ms", "commit_interval: 61s", "5:18 `commit_interval` is 60s at most"),
    ("commit_interval: 100ms", "shutdown_timeout: 0s", "5:19 this duration may not be zero"),
    (r#""127.0.0.1:8080""#, r#""localhost:8080""#, "6:17 `localhost:8080` is no address to listen on"),
    (
        r#"admin: {listen: "127.0.0.1:8080"}"#,
        "admin: {token: hunter2hunter2hunter2}",
        "6:16 a secret may not stand in the configuration",
    ),
    (
        r#"admin: {listen: "127.0.0.1:8080"}"#,
        "admin: {unsubscribe_key: {file: x, env: y}}",
        "6:26 the unsubscribe key is kept in one place",
    ),
    (
        r#"admin: {listen: "127.0.0.1:8080"}"#,
        r#"registry: {url: "http://r"}"#,
        "6:1 `registry` is not available yet",
    ),
    (r#"admin: {listen: "127.0.0.1:8080"}"#, "audit: {topic: a}", "6:1 `audit` is not available yet"),
    (r#"admin: {listen: "127.0.0.1:8080"}"#, "admin: 8080", "6:8 expected a mapping, found integer `8080`"),
    ("[localhost:9092]", "[]", "8:12 `brokers` is empty"),
    ("[localhost:9092]", r#""localhost:9092""#, "8:12 expected a list, found string `localhost:9092`"),
    ("[localhost:9092]", r#"["a:1,b:2"]"#, "8:13 `a:1,b:2` is no broker"),
    ("[localhost:9092]", "[localhost]", "8:13 `localhost` is no broker"),
    ("[localhost:9092]", r#"["http://a:9092"]"#, "8:13 `http://a:9092` is no broker"),
    ("[localhost:9092]", r#"["${BROKERS}"]"#, "8:13 `${BROKERS}` is no broker"),
    ("  brokers: [localhost:9092]", "  broker: x", "8:3 unknown key `broker`"),
    ("security.protocol: plaintext", "group.id: x", "9:16 `group.id` is not yours to set"),
    (
        "security.protocol: plaintext",
        "enable.auto.commit: true",
        "9:16 `enable.auto.commit` is not yours to set",
    ),
    (
        "security.protocol: plaintext",
        "enable.auto.offset.store: true",
        "9:16 `enable.auto.offset.store` is not yours to set",
    ),
    (
        "security.protocol: plaintext",
        "auto.offset.reset: latest",
        "9:16 `auto.offset.reset` is not yours to set",
    ),
    (
        "security.protocol: plaintext",
        "isolation.level: read_uncommitted",
        "9:16 `isolation.level` is not yours to set",
    ),
    ("security.protocol: plaintext", "transactional.id: x", "9:16 `transactional.id` is not yours to set"),
    (
        "security.protocol: plaintext",
        "enable.idempotence: false",
        "9:16 `enable.idempotence` is not yours to set",
    ),
    (
        "security.protocol: plaintext",
        "enable.partition.eof: false",
        "9:16 `enable.partition.eof` is not yours to set",
    ),
    (
        "security.protocol: plaintext",
        "partition.assignment.strategy: range",
        "9:16 `partition.assignment.strategy` is not yours to set",
    ),
    (
        "security.protocol: plaintext",
        "transaction.timeout.ms: 1000",
        "9:16 `transaction.timeout.ms` is not yours to set",
    ),
    ("security.protocol: plaintext", "acks: 1", "9:16 `acks` is not yours to set"),
    ("security.protocol: plaintext", "bootstrap.servers: x", "9:16 `bootstrap.servers` is not yours to set"),
    (
        "security.protocol: plaintext",
        "test.mock.num.brokers: 3",
        "9:16 `test.mock.num.brokers` is not yours to set",
    ),
    (
        "security.protocol: plaintext",
        "security.protocl: plaintext",
        r#"9:16 librdkafka refuses `security.protocl`: No such configuration property: "security.protocl""#,
    ),
    (
        "security.protocol: plaintext",
        "security.protocol: plain",
        r#"9:16 librdkafka refuses `security.protocol`: Invalid value "…" for configuration property "security.protocol""#,
    ),
    (
        "security.protocol: plaintext",
        "sasl.password: {file: a, env: B}",
        "9:31 `sasl.password` is kept in one place",
    ),
    ("security.protocol: plaintext", "sasl.password: {fiel: a}", "9:32 unknown key `fiel`"),
    ("security.protocol: plaintext", "group.id: {env: NOWHERE}", "9:16 `group.id` is not yours to set"),
    (
        "security.protocol: plaintext",
        "sasl.password: [a]",
        "9:31 expected text, a number, a boolean, `{file: …}` or `{env: …}`, found a list",
    ),
    ("  topic: consent-changes", "  format: json", "10:1 missing key `topic`"),
    (
        "  topic: consent-changes",
        r#"  topic: "consent changes""#,
        "11:10 a topic's name may hold letters, digits, `.`, `_` and `-` only, not ` `",
    ),
    ("  freshness: barrier", "  freshness: {within: 0s}", "12:23 this duration may not be zero"),
    ("  freshness: barrier", "  freshness: {}", "12:3 missing key `within`"),
    ("  freshness: barrier", "  freshness: always", "12:14 unknown word `always` for `freshness`"),
    ("  freshness: barrier", "  cache: split", "12:10 unknown word `split` for `cache`"),
    ("  freshness: barrier", "  format: avro", "12:11 `avro` is not available yet"),
    ("  freshness: barrier", "  barrier_alert: 0s", "12:18 this duration may not be zero"),
    ("  freshness: barrier", "  snapshot: kept", "12:13 expected a mapping, found string `kept`"),
    ("  freshness: barrier", "  snapshot: {key: {file: k}}", "12:3 missing key `path`"),
    ("  freshness: barrier", "  snapshot: {path: kept}", "12:3 missing key `key`"),
    ("  freshness: barrier", "  snapshot: {path: kept/, key: {file: k}}", "12:20 this is no file"),
    (
        "  freshness: barrier",
        "  snapshot: {path: kept, key: {}}",
        "12:31 the snapshot's key is kept in one place",
    ),
    (
        "  freshness: barrier",
        "  snapshot: {path: kept, key: hunter2-hunter2-hunter2-hunter2-hunter2}",
        "12:31 a secret may not stand in the configuration",
    ),
    (
        "  freshness: barrier",
        "  snapshot: {path: kept, key: {file: k}, every: 0s}",
        "12:49 this duration may not be zero",
    ),
    ("1MiB", "1MB", "13:28 `1MB` is no size"),
    ("1MiB", "0", "13:28 `max_record_bytes` may not be zero"),
    ("batch_records: 5000", "batch_records: 0", "13:49 `batch_records` may not be zero"),
    ("batch_records: 5000", "max_depth: 128", "13:45 `max_depth` is 127 at most"),
    ("batch_records: 5000", "max_routes: 2", "22:1 3 routes are more than `limits.max_routes`, which is 2"),
    (
        "    analytics: {max_age",
        r#"    "*": {max_age: 1d}
    analytics: {max_age"#,
        "16:5 a purpose may not be `*`, which stands for any of them in a consent record",
    ),
    (
        "    newsletter: {confirmation",
        r#"    " a": {}
    newsletter: {confirmation"#,
        "17:5 a purpose may not begin or end with white space",
    ),
    ("400d, level: pseudonymous", "0d, level: pseudonymous", "16:26 this duration may not be zero"),
    ("400d, level: pseudonymous", "400d, level: pseudonimous", "16:39 unknown level `pseudonimous`"),
    ("confirmation: double", "confirmation: twice", "17:32 unknown word `twice` for `confirmation`"),
    (
        "    newsletter: {confirmation",
        "    analytics: {}\n    newsletter: {confirmation",
        "17:5 duplicate key `analytics`",
    ),
    (
        "[anonymous, pseudonymous, contact]",
        "[anonymous, pseudonymous, contact, anonymous]",
        "18:46 duplicate level `anonymous`",
    ),
    (LEVELS, signals!("signals: {}"), "19:12 `signals` maps nothing"),
    (LEVELS, signals!("signals: {usnat: {}}"), "19:13 unknown key `usnat`"),
    (LEVELS, signals!("signals: {tcf: {purposes: {analytics: [8]}}}"), "19:13 missing key `vendor`"),
    (
        LEVELS,
        signals!("signals: {tcf: {vendor: 0, purposes: {analytics: [8]}}}"),
        "19:27 0 is no vendor's number",
    ),
    (
        LEVELS,
        signals!("signals: {tcf: {vendor: 65536, purposes: {analytics: [8]}}}"),
        "19:27 65536 is no vendor's number",
    ),
    (LEVELS, signals!("signals: {tcf: {vendor: 7}}"), "19:13 missing key `purposes`"),
    (LEVELS, signals!("signals: {tcf: {vendor: 7, purposes: {}}}"), "19:40 `purposes` maps nothing"),
    (
        LEVELS,
        signals!("signals: {tcf: {vendor: 7, purposes: {analytcs: [8]}}}"),
        "19:41 unknown purpose `analytcs`",
    ),
    (
        LEVELS,
        signals!("signals: {tcf: {vendor: 7, purposes: {analytics: []}}}"),
        "19:52 `analytics` is empty",
    ),
    (
        LEVELS,
        signals!("signals: {tcf: {vendor: 7, purposes: {analytics: [1, 12]}}}"),
        "19:56 12 is no purpose of the TCF",
    ),
    (
        LEVELS,
        signals!("signals: {tcf: {vendor: 7, recipient: adco, purposes: {analytics: [8]}}}"),
        "19:41 recipient `adco` is none that is known",
    ),
    (
        LEVELS,
        signals!("signals: {tcf: {vendor: 7, grants: often, purposes: {analytics: [8]}}}"),
        "19:38 expected a boolean, found string `often`",
    ),
    (LEVELS, signals!("signals: {gpp: {}}"), "19:18 `gpp` maps nothing"),
    (LEVELS, signals!("signals: {gpp: {uszz: {sale: [first_party]}}}"), "19:19 unknown key `uszz`"),
    (LEVELS, signals!("signals: {gpp: {usnat: {}}}"), "19:26 `usnat` maps nothing"),
    (
        LEVELS,
        signals!("signals: {gpp: {usva: {sharing: [first_party]}}}"),
        "19:26 section `usva` has no `sharing`",
    ),
    (LEVELS, signals!("signals: {gpp: {usnat: {sale: []}}}"), "19:33 `sale` is empty"),
    (LEVELS, signals!("signals: {gpp: {usnat: {sale: {}}}}"), "19:33 `sale` maps nothing"),
    (
        LEVELS,
        signals!("signals: {gpp: {usnat: {sale: everybody}}}"),
        "19:33 expected a list or a mapping, found string `everybody`",
    ),
    (
        LEVELS,
        signals!("signals: {gpp: {usnat: {sale: [first_party, third_party]}}}"),
        "19:47 recipient `third_party` is none that is known",
    ),
    (LEVELS, signals!("signals: {gpp: {usnat: {sale: {purposes: [ads]}}}}"), "19:45 unknown purpose `ads`"),
    (LEVELS, signals!("signals: {gpp: {usnat: {sale: {recipients: []}}}}"), "19:46 `recipients` is empty"),
    (
        LEVELS,
        signals!("signals: {gpp: {tcfeuv2: {vendor: 7, purposes: {analytics: [0]}}}}"),
        "19:63 0 is no purpose of the TCF",
    ),
    (
        "    sms: {from",
        r#"    "*": {from"#,
        "20:5 a channel may not be `*`, which stands for any of them in a consent record",
    ),
    ("    sms: {from", r#"    "": {from"#, "20:5 a channel may not be empty"),
    (r#""20:00""#, r#""09:00""#, "20:30 the window ends when it begins, so it is never open"),
    (r#""20:00""#, r#""25:00""#, "20:30 `to` is no time of day"),
    (r#""20:00""#, "2000", "20:30 expected a string, found integer `2000`"),
    (
        r#"{from: "09:00", to: "20:00", days: [mon, tue]}"#,
        r#"["09:00", "20:00"]"#,
        "20:10 expected a mapping with `from` and `to`, found a list",
    ),
    ("[mon, tue]", "[]", "20:45 `days` is empty"),
    ("[mon, tue]", "mon", "20:45 expected a list, found string `mon`"),
    ("[mon, tue]", "[mon, teu]", "20:51 unknown day `teu`"),
    ("Europe/Amsterdam", "Europe/Amsterdm", "21:23 unknown time zone `Europe/Amsterdm`"),
    (
        "  assume_time_zones: [Europe/Amsterdam]",
        "  pseudonym_key: hunter2-hunter2-hunter2-hunter2-hunter2",
        "21:18 a secret may not stand in the configuration",
    ),
    (
        "  assume_time_zones: [Europe/Amsterdam]",
        r#"  pseudonym_key: {env: ""}"#,
        "21:18 where the pseudonym key is kept has no name",
    ),
    (
        "  assume_time_zones: [Europe/Amsterdam]",
        "  pseudonym_key: {}",
        "21:18 the pseudonym key is kept in one place",
    ),
    (
        "  assume_time_zones: [Europe/Amsterdam]",
        "  pseudonym_key: {file: a, env: B}",
        "21:18 the pseudonym key is kept in one place",
    ),
    (
        "  - name: shop",
        r#"  - name: "shop!""#,
        "23:11 a pipeline's name may hold letters, digits, `.`, `_` and `-` only, not `!`",
    ),
    ("    group: shop-group", r#"    group: "shop group""#, "24:12 this is no name for a consumer group"),
    ("    group: shop-group", "    shadow: true", "24:5 `shadow` is not available yet"),
    (
        "    subject: [{type: user_id, path: /user/id}]",
        "    elements: people\n    subject: [{type: user_id, path: /user/id}]",
        "26:15 `people` is no JSON Pointer: a JSON Pointer begins with `/`: write `/people`",
    ),
    (
        "    subject: [{type: user_id, path: /user/id}]",
        "    elements: /carts/*\n    subject: [{type: user_id, path: /user/id}]",
        "26:15 `*` may not stand in `elements`",
    ),
    (
        "    subject: [{type: user_id, path: /user/id}]",
        "    elements: [/people]\n    subject: [{type: user_id, path: /user/id}]",
        "26:15 expected a string, found a list",
    ),
    (
        "    subject: [{type: user_id, path: /user/id}]",
        "    elements: /people\n    subject: [{type: user_id, path: /id}, {type: email, header: x-email}]",
        "27:57 `header` in a pipeline with `elements`",
    ),
    (
        "    subject: [{type: user_id, path: /user/id}]",
        "    elements: /people\n    subject: [{type: user_id, key: true}]",
        "27:31 `key` in a pipeline with `elements`",
    ),
    (
        "    subject: [{type: user_id, path: /user/id}]",
        "    elements: /occurred_at\n    subject: [{type: user_id, path: /user/id}]",
        "28:25 this path leads to the array of `elements`, or may",
    ),
    (
        "{path: /user/email, level: contact, action: mask}",
        "{path: /user/email, outside: true, level: contact, action: mask}",
        "29:29 `outside` in a pipeline without `elements`",
    ),
    (
        "{path: /user/email, level",
        "{path: /user/email, outside: yes, level",
        "29:38 expected a boolean, found string `yes`",
    ),
    (
        "        to: {kafka: {topic: security-events}}",
        "        elements: /people\n        to: {kafka: {topic: security-events}}",
        "46:9 unknown key `elements`",
    ),
    ("    group: shop-group", "    audit: {topic: a}", "24:5 `audit` is not available yet"),
    ("topics: [shop-events]", "topics: []", "25:20 `topics` is empty"),
    ("topics: [shop-events]", "topics: [shop-events, shop-events]", "25:34 duplicate topic `shop-events`"),
    (
        "topics: [shop-events]",
        r#"topics: ["^shop-.*"]"#,
        "25:21 a topic's name may hold letters, digits, `.`, `_` and `-` only, not `^`",
    ),
    (
        "topics: [shop-events]",
        "topics: [shop-events, consent-changes]",
        "25:34 topic `consent-changes` is the consent topic",
    ),
    ("topics: [shop-events]", "start: earliest", "25:5 missing key `topics`"),
    ("format: json", "format: avro", "25:43 `avro` is not available yet"),
    ("format: json", "start: middle", "25:42 unknown word `middle` for `start`"),
    ("[{type: user_id, path: /user/id}]", "[]", "26:14 `subject` is empty"),
    (
        "path: /user/id",
        "path: user/id",
        "26:37 `user/id` is no JSON Pointer: a JSON Pointer begins with `/`: write `/user/id`",
    ),
    (
        "path: /user/id",
        "path: /user/~id",
        "26:37 `/user/~id` is no JSON Pointer: `~` must be written `~0`, and `/` within a name `~1`",
    ),
    ("path: /user/id", "path: /users/*/id", "26:37 `*` may not stand in a path that is read"),
    ("path: /user/id", "path: /user/id, header: x-user", "26:16 more than one place is named"),
    ("path: /user/id", "key: false", "26:36 `key: false` names no place"),
    ("type: user_id, path: /user/id", "type: user_id", "26:16 no place is named"),
    ("type: user_id, path: /user/id", "path: /user/id", "26:16 missing key `type`"),
    ("type: user_id", r#"type: "user:id""#, "26:22 this is no type of an identity"),
    (
        "[{type: user_id, path: /user/id}]",
        "[{type: user_id, path: /user/id}, {type: user_id, path: /user/id}]",
        "26:49 duplicate subject selector",
    ),
    ("occurred_at: {path: /occurred_at}", "occurred_at: {key: true}", "27:19 unknown key `key`"),
    ("occurred_at: {path: /occurred_at}", "match: any", "27:12 unknown word `any` for `match`"),
    ("path: /user/email", r#"path: """#, "29:16 a label on the whole value is refused"),
    ("path: /user/email", "key: true", "29:10 a label on the key is refused"),
    (
        "path: /user/email",
        "path: user",
        "29:16 `user` is no JSON Pointer: a JSON Pointer begins with `/`: write `/user`",
    ),
    ("level: contact, action: mask", "level: kontact, action: mask", "29:36 unknown level `kontact`"),
    ("level: contact, action: mask", "action: mask", "29:10 missing key `level`"),
    (
        "      - {path: /user/email, level: contact, action: mask}",
        "      - {header: x-ip, level: contact, action: mask}\n      - {level: contact, action: remove, header: x-ip}",
        "30:10 duplicate field",
    ),
    (
        "      - {path: /user/email, level: contact, action: mask}",
        "      - {path: /a~0b, level: contact, action: mask}\n      - {path: /a~0b, level: contact, action: remove}",
        "30:10 duplicate field",
    ),
    ("action: mask", "action: shuffle", "29:53 unknown word `shuffle` for `action`"),
    ("action: mask", "action:", "29:45 missing key `action`"),
    ("action: mask", "action: {generalize: 0}", "29:66 `generalize: 0` has no multiples"),
    ("action: mask", "action: {generalize: week}", "29:66 unknown word `week` for `generalize`"),
    (
        "action: mask",
        "action: {truncate: -1}",
        "29:64 expected a whole number, 0 or more, found integer `-1`",
    ),
    ("action: mask", "action: {truncate: 1, generalize: 2}", "29:53 a field has one action"),
    ("action: mask", "action: {}", "29:53 no action is named"),
    ("action: mask", "action: hash", "29:53 `hash` needs a pseudonym key"),
    (
        "    hold: {topic: shop-hold}",
        "    unlabelled: pass",
        "39:9 the route holds records, but its pipeline has no `hold`",
    ),
    (
        "{topic: newsletter-events}",
        "{topic: shop-hold.shop-events}",
        "30:19 hold topic `shop-hold.shop-events` is also a route's sink (line 41)",
    ),
    (
        "    quarantine: {topic: shop-quarantine}",
        "    quarantine: {topic: shop-events}",
        "31:25 topic `shop-events` is a source of the same pipeline",
    ),
    (
        "    quarantine: {topic: shop-quarantine}",
        "    quarantine: {topic: consent-changes}",
        "31:25 topic `consent-changes` is the consent topic",
    ),
    (
        "    quarantine: {topic: shop-quarantine}",
        "    quarantine: {topic: newsletter-events}",
        "31:25 quarantine `newsletter-events` is also a route's sink (line 41)",
    ),
    (
        "    quarantine: {topic: shop-quarantine}",
        "    quarantine: {create: true}",
        "31:5 missing key `topic`",
    ),
    ("      - name: analytics", "      - name: newsletter", "37:15 duplicate route `newsletter`"),
    (
        "      - name: analytics",
        r#"      - name: "a b""#,
        "33:15 a route's name may hold letters, digits, `.`, `_` and `-` only, not ` `",
    ),
    (
        "      - name: analytics",
        "      - name: analytics\n        stamp: {format: onetrust}",
        "34:25 unknown word `onetrust` for `format`",
    ),
    (
        "      - name: analytics",
        "      - name: analytics\n        stamp: {format: avro}",
        "34:25 unknown word `avro` for `format`",
    ),
    ("      - name: analytics", "      - name: analytics\n        stamp: ", "34:9 `stamp` is empty"),
    (
        "      - name: analytics",
        "      - name: analytics\n        stamp: segment",
        "34:16 expected a mapping with `format`, found string `segment`",
    ),
    (
        "      - name: analytics",
        "      - name: analytics\n        stamp: {path: /consent}",
        "34:9 missing key `format`",
    ),
    (
        "      - name: analytics",
        "      - name: analytics\n        stamp: {format: segment, path: consent}",
        "34:40 `consent` is no JSON Pointer: a JSON Pointer begins with `/`: write `/consent`",
    ),
    (
        "      - name: analytics",
        "      - name: analytics\n        stamp: {format: segment, path: /a/*}",
        "34:40 `*` may not stand in a path that is read",
    ),
    (
        "      - name: analytics",
        "      - name: analytics\n        stamp: {format: segment, categories: {analitics: [A]}}",
        "34:47 unknown purpose `analitics`",
    ),
    (
        "      - name: analytics",
        "      - name: analytics\n        stamp: {format: segment, categories: {analytics: []}}",
        "34:58 `analytics` is empty",
    ),
    (
        "      - name: analytics",
        "      - name: analytics\n        stamp: {format: segment, categories: {analytics: A}}",
        "34:58 expected a list, found string `A`",
    ),
    (
        "      - name: analytics",
        "      - name: analytics\n        stamp: {format: segment, categories: {analytics: [A, A]}}",
        "34:62 duplicate category `A`",
    ),
    (
        "      - name: analytics",
        "      - name: analytics\n        stamp: {format: segment, categories: {analytics: ['']}}",
        "34:59 a category may not be empty",
    ),
    (
        "      - name: analytics",
        "      - name: analytics\n        stamp: {format: segment, categories: {analytics: ['*']}}",
        "34:59 a category may not be `*`, which stands for any of them in a consent record",
    ),
    (
        "      - name: analytics",
        "      - name: analytics\n        stamp: {format: segment, category: A}",
        "34:34 unknown key `category`",
    ),
    (
        "        because: \"GDPR",
        "        stamp: {format: segment}\n        because: \"GDPR",
        "44:9 a route with `require: none` looks at no stamp",
    ),
    (
        "    hold: {topic: shop-hold}",
        "    hold: {topic: shop-hold}\n    stamp: {format: segment}",
        "31:5 `stamp` is a key of a route",
    ),
    ("channel: email", "channel: email, stamp: {format: segment}", "38:66 `stamp` is a key of a route"),
    (
        r#"'value.type != "heartbeat"'"#,
        "'value.type !='",
        "34:15 `when` does not compile: not a CEL expression: at 1:14: Syntax error: mismatched input '<EOF>'",
    ),
    (
        r#"'value.type != "heartbeat"'"#,
        "'1 + 1'",
        "34:15 `when` does not compile: it is the same for every record, and neither true nor false",
    ),
    (
        r#"'value.type != "heartbeat"'"#,
        "'\"yes\"'",
        "34:15 `when` does not compile: it is the same for every record, and neither true nor false",
    ),
    (
        r#"'value.type != "heartbeat"'"#,
        "'1 / 0 == 1'",
        "34:15 `when` does not compile: it fails on every record: Division by zero of Int(1)",
    ),
    (
        r#"'value.type != "heartbeat"'"#,
        "'record.type == 1'",
        "34:15 `when` does not compile: unknown variable `record`: an expression sees `value`, `headers`, `key` and `topic`",
    ),
    (
        "        require: {purposes: {all",
        "        requirement: {purposes: {all",
        "35:9 unknown key `requirement`",
    ),
    ("all: [analytics]", "all: [analitics]", "35:36 unknown purpose `analitics`"),
    ("all: [analytics]", "all: []", "35:35 `all` is empty"),
    ("all: [analytics]", "all: [analytics, analytics]", "35:47 duplicate purpose `analytics`"),
    (
        "{all: [analytics]}",
        "{all: [analytics], any: [newsletter]}",
        "35:29 `purposes` has both `all` and `any`",
    ),
    ("{all: [analytics]}", "{}", "35:29 `purposes` has neither `all` nor `any`"),
    ("{all: [analytics]}", "[analytics]", "35:29 expected a mapping with one of `all`, `any`, found a list"),
    (
        "recipient: first_party",
        r#"recipient: "third_party:*""#,
        "35:60 recipient `third_party:*` has a wildcard: data goes to somebody",
    ),
    (
        "recipient: first_party",
        "recipient: third_party",
        "35:60 recipient `third_party` is none that is known",
    ),
    ("recipient: first_party", "recipient: us", "35:60 recipient `us` is none that is known"),
    ("legal_basis: [consent]", "legal_basis: []", "35:86 `legal_basis` is empty"),
    ("legal_basis: [consent]", "legal_basis: [concent]", "35:87 unknown word `concent` for `legal_basis`"),
    (
        "channel: email",
        r#"channel: "*""#,
        "38:59 a channel may not be `*`, which stands for any of them in a consent record",
    ),
    ("channel: email", r#"channel: """#, "38:59 a channel may not be empty"),
    ("channel: email", r#"channel: " email""#, "38:59 a channel may not begin or end with white space"),
    ("channel: email", "evaluate: later", "38:60 unknown word `later` for `evaluate`"),
    (
        "{topic: analytics-events}",
        "{topic: shop-events}",
        "36:29 topic `shop-events` is a source of the same pipeline",
    ),
    (
        "{topic: analytics-events}",
        "{topic: consent-changes}",
        "36:29 topic `consent-changes` is the consent topic",
    ),
    (
        "{topic: analytics-events}",
        "{topic: analytics-events, key: hash}",
        "36:52 `hash` needs a pseudonym key",
    ),
    (
        "{topic: analytics-events}",
        "{topic: analytics-events, brokers: [b:1]}",
        "36:47 `brokers` is not available yet",
    ),
    ("{topic: analytics-events}", "{}", "36:14 missing key `topic`"),
    (
        "{topic: analytics-events}",
        r#"{topic: "a/b"}"#,
        "36:29 a topic's name may hold letters, digits, `.`, `_` and `-` only, not `/`",
    ),
    (
        "{kafka: {topic: analytics-events}}",
        r#"{http: {url: "https://x"}}"#,
        "36:14 `http` is not available yet",
    ),
    ("{kafka: {topic: analytics-events}}", "{s3: {bucket: x}}", "36:14 `s3` is not available yet"),
    (
        "{kafka: {topic: analytics-events}}",
        "{object_storage: {url: x}}",
        "36:14 `object_storage` is not available yet",
    ),
    ("{kafka: {topic: analytics-events}}", "{}", "36:9 missing key `kafka`"),
    (
        "        to: {kafka: {topic: analytics-events}}",
        "        evaluate: now\n        to: {kafka: {topic: analytics-events}}",
        "36:9 unknown key `evaluate`",
    ),
    (
        "        to: {kafka: {topic: analytics-events}}",
        "        tombstones: pass\n        to: {kafka: {topic: analytics-events, key: remove}}",
        "36:21 `tombstones: pass` with `key: remove`",
    ),
    (
        "        to: {kafka: {topic: analytics-events}}",
        "        level: contact\n        to: {kafka: {topic: analytics-events}}",
        "36:9 `level` is for `require: none` alone",
    ),
    ("[pending]", "[waiting]", "39:16 unknown word `waiting` for `hold`"),
    ("hold_for: 7d", "hold_for: 0s", "40:19 this duration may not be zero"),
    ("hold_for: 7d", "grace: 10", "40:16 `10` is no duration"),
    (
        r#"        because: "GDPR art. 6(1)(f), assessment LIA-7""#,
        "        # why not",
        "43:18 a route without a requirement must say why: missing key `because`",
    ),
    (r#""GDPR art. 6(1)(f), assessment LIA-7""#, r#"" ""#, "44:18 `because` is empty"),
    ("level: pseudonymous\n        to", "level: high\n        to", "45:16 unknown level `high`"),
    (
        "        to: {kafka: {topic: security-events}}",
        "        hold: [unknown]\n        to: {kafka: {topic: security-events}}",
        "46:9 a route with `require: none` holds nothing",
    ),
    ("        to: {kafka: {topic: security-events}}", "        # nowhere", "42:9 missing key `to`"),
];
