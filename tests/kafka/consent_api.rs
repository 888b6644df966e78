//! The interface about persons over HTTP, and one-click unsubscription.

use serde_json::{Value, json};

use super::clients::members;
use super::consent_commands::Desk;
use super::people::{event, event_beside_consent, grant, granted, numbers};
use super::proxy::Proxy;
use super::shop::Shop;
use super::wait::{secs, until};
use super::{kafka, say};

const TOKEN: &str = "0123456789abcdef";
const LET_IN: &str = "Authorization: Bearer 0123456789abcdef\r\n";
const ANN: &str = "/api/v1/subjects/user_id:ann/consent";

fn json_of(body: &str) -> Value {
    serde_json::from_str(body).unwrap_or_else(|error| panic!("{error}: {body}"))
}

/// What a change was answered: in force, with its times.
#[track_caller]
fn in_force((status, head, body): (u16, String, String)) -> Value {
    assert_eq!(status, 200, "{head}\n{body}");
    let done = json_of(&body);
    let acknowledged = done["acknowledged_ms"].as_f64().expect("a time");
    assert!(done["in_force"]["ms"].as_f64().is_some_and(|ms| ms >= acknowledged), "{done}");
    done
}

fn opened(name: &str, address: &str) -> (Shop, tempfile::TempDir) {
    let mut shop = Shop::new(address, name, 2, 3);
    let dir = tempfile::tempdir().expect("a temporary directory");
    let kept = |file: &str, secret: &str| {
        std::fs::write(dir.path().join(file), secret).expect("a writable directory");
        json!({"file": dir.path().join(file)})
    };
    shop.config["admin"] =
        json!({"token": kept("token", TOKEN), "unsubscribe_key": kept("key", "k".repeat(32).as_str())});
    shop.pipeline()["routes"][0]["require"] =
        json!({"purposes": {"all": ["newsletter"]}, "channel": "email"});
    (shop, dir)
}

#[test]
fn a_person_is_changed_over_http_and_it_is_in_force() {
    let Some(kafka) = kafka() else { return };
    let (shop, _kept) = opened("way-http", &kafka.address);
    shop.consents([&granted("other")]);
    let proxy = Proxy::ready(&shop.config);
    for headers in
        ["", "Authorization: Bearer 0123456789abcdeF\r\n", "Authorization: Basic 0123456789abcdef\r\n"]
    {
        for line in ["GET", "PUT", "DELETE"] {
            let (status, head, body) = proxy.request(&format!("{line} {ANN}"), headers, "{}");
            assert_eq!(status, 401, "{line} {headers}");
            assert!(
                head.contains("application/problem+json") && head.contains("www-authenticate: bearer"),
                "{head}"
            );
            assert_eq!(json_of(&body)["status"], 401);
        }
    }
    let ask = |line: &str, body: &str| proxy.request(line, LET_IN, body);
    let (status, _, body) = ask(&format!("GET {ANN}"), "");
    assert_eq!((status, &json_of(&body)["state"]), (200, &json!("unknown")));

    let mail = json!({"purpose": "newsletter", "channel": "email", "status": "given", "given_at": 1});
    let record = |subject: &str| {
        json!({"subject": {"type": "user_id", "value": subject}, "version": 77, "mark": "x",
               "grants": [mail, grant("analytics")]})
        .to_string()
    };
    assert_eq!(ask(&format!("PUT {ANN}"), &record("bob")).0, 422, "of another subject");
    let done = in_force(ask(&format!("PUT {ANN}"), &record("ann")));
    assert_eq!(done["written"][0]["version"], 1, "its version is ours");
    shop.events([&event("ann", 1)]);
    shop.done(secs(30));
    let (_, _, body) = ask(&format!("GET {ANN}"), "");
    let told = json_of(&body);
    assert_eq!(
        (&told["places"][0]["record"]["mark"], &told["outlook"][0]["reason"]),
        (&json!("x"), &json!("permitted"))
    );

    assert_eq!(
        ask(&format!("POST {ANN}/withdraw"), r#"{"purposes":"newsletter"}"#).0,
        400,
        "a slip withdraws nothing"
    );
    let done = in_force(ask(&format!("POST {ANN}/withdraw"), r#"{"purpose":"newsletter"}"#));
    say(&format!(
        "  a withdrawal over HTTP: {} ms to Kafka, {} ms in force",
        done["acknowledged_ms"], done["in_force"]["ms"]
    ));
    shop.events([&event("ann", 2)]);
    let (_, _, body) = ask(&format!("GET {ANN}"), "");
    let told = json_of(&body);
    assert_eq!(told["outlook"][0]["reason"], "withdrawn");
    assert_eq!(told["places"][0]["record"]["grants"][1]["status"], "given", "the others stay");

    in_force(ask(&format!("DELETE {ANN}"), ""));
    shop.events([&event("ann", 3)]);
    assert_eq!(json_of(&ask(&format!("GET {ANN}"), "").2)["state"], "erased");
    assert_eq!(ask("GET /api/v1/subjects/ann/consent", "").0, 400);
    assert_eq!(ask(&format!("POST {ANN}"), "").0, 405);
    assert_eq!(ask(&format!("PUT {ANN}"), &" ".repeat((1 << 20) + 1)).0, 413);
    assert_eq!(numbers(&shop.forwarded()), [1]);
    assert!(!proxy.output().contains("ann"), "nobody is named in the log");
    proxy.stop();

    let mut closed = shop.config.clone();
    closed["admin"] = json!({});
    let proxy = Proxy::ready(&closed);
    assert_eq!(proxy.request(&format!("GET {ANN}"), LET_IN, "").0, 404, "without a token it is not there");
    assert_eq!(proxy.request("GET /api/v1/unsubscribe/x.y", "", "").0, 404);
    proxy.stop();
}

#[test]
fn one_click_unsubscribes_and_a_look_does_not() {
    let Some(kafka) = kafka() else { return };
    let (shop, _kept) = opened("way-click", &kafka.address);
    let proxy = Proxy::ready({
        shop.consents([&granted("other")]);
        &shop.config
    });
    let desk = Desk::new(&shop.config, Some(&proxy));
    desk.json(&["set", "user_id:ann", "--purpose", "newsletter", "--channel", "email"]);
    let token = |more: &[&str]| {
        let words =
            ["unsubscribe-token", "user_id:ann", "--purpose", "newsletter", "--url", "https://shop.example/"];
        let (code, out, err) = desk.run(&[&words, more].concat());
        assert_eq!(code, 0, "{err}");
        let (link, post) = out.split_once('\n').expect("two headers");
        assert_eq!(post, "List-Unsubscribe-Post: List-Unsubscribe=One-Click\n");
        let link = link
            .strip_prefix("List-Unsubscribe: <https://shop.example")
            .and_then(|link| link.strip_suffix('>'));
        link.expect("a link").to_owned()
    };
    let link = token(&[]);
    let soon = consentry::time::Clock::default().now().plus(1500).to_string();
    let void = token(&["--expires", &soon]);
    shop.events([&event("ann", 1)]);
    let (status, head, page) = proxy.request(&format!("GET {link}"), "", "");
    assert_eq!(status, 200, "{page}");
    assert!(
        page.contains("<b>newsletter</b>") && page.contains("method=\"post\"") && !page.contains("ann"),
        "{page}"
    );
    assert!(head.contains("form-action 'self'"), "{head}");
    assert_eq!(proxy.request(&format!("POST {link}"), "", "").0, 400, "not without the word");
    shop.events([&event("ann", 2)]);
    let click = "List-Unsubscribe=One-Click";
    let form = "Content-Type: application/x-www-form-urlencoded\r\n";
    let (good, mac) = link.rsplit_once('.').expect("a signature");
    let forged = format!("{good}.{}", mac.chars().rev().collect::<String>());
    assert_eq!(proxy.request(&format!("POST {forged}"), form, click).0, 403);
    shop.events([&event("ann", 3)]);
    shop.done(secs(30));
    for _ in 0..2 {
        let (status, _, page) = proxy.request(&format!("POST {link}"), form, click);
        assert!(status == 200 && page.contains("unsubscribed"), "{status} {page}");
    }
    shop.events([&event("ann", 4)]);
    assert_eq!(numbers(&shop.forwarded()), [1, 2, 3]);
    while consentry::time::Clock::default().now().to_string() <= soon {
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
    assert_eq!(proxy.request(&format!("POST {void}"), form, click).0, 403, "it has expired");
    proxy.stop();
}

#[test]
fn where_each_holds_a_part_a_withdrawal_is_taken_anywhere() {
    let Some(kafka) = kafka() else { return };
    let (mut shop, _kept) = opened("way-parts", &kafka.address);
    shop.topics.grow(&shop.source, 3);
    shop.config["consent"]["cache"] = "sharded".into();
    shop.config["workers"] = 1.into();
    shop.consents([&granted("ann"), &granted("other")]);
    let both = [Proxy::ready(&shop.config_of("way-parts-1")), Proxy::ready(&shop.config_of("way-parts-2"))];
    let status = |proxy: &Proxy| proxy.request(&format!("GET {ANN}"), LET_IN, "").0;
    // What a process no longer has events of it holds for a while longer.
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a small count")]
    let held = |proxy: &Proxy| proxy.metrics().sum("consentry_consent_subjects", &[]) as usize;
    let all = || (members(&shop.address, &shop.group), both.iter().map(held).sum());
    until(secs(60), || all() == (2, 2), || format!("members, subjects held: {:?}", all()));
    let statuses = || both.each_ref().map(status);
    let is_shared = || statuses() == [200, 421] || statuses() == [421, 200];
    until(secs(60), is_shared, || format!("{:?}", statuses()));
    let (holder, other) = if status(&both[0]) == 200 { (&both[0], &both[1]) } else { (&both[1], &both[0]) };
    let withdraw = format!("POST {ANN}/withdraw");
    let (code, _, body) = other.request(&withdraw, LET_IN, r#"{"purpose":"analytics"}"#);
    let done = json_of(&body);
    assert_eq!(
        (code, &done["in_force"], done["written"].as_array().map(Vec::len)),
        (202, &Value::Null, Some(1)),
        "{done}"
    );
    assert!(done["pending"].as_str().is_some_and(|why| why.contains("does not hold")), "{done}");
    in_force(holder.request(&withdraw, LET_IN, ""));
    shop.events([&event_beside_consent("ann", 1)]);
    let (_, _, body) = holder.request(&format!("GET {ANN}"), LET_IN, "");
    assert_eq!(json_of(&body)["outlook"][0]["reason"], "withdrawn");
    assert!(shop.forwarded().is_empty());
}
