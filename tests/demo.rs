//! The demonstration, run as a user runs it.

use std::process::Command;

use serde_json::Value;

/// All that an object of counts by reason adds up to; a number is its own sum.
fn sum(end: &Value) -> u64 {
    let reasons = || end.as_object().unwrap().values().map(|count| count.as_u64().unwrap()).sum();
    end.as_u64().unwrap_or_else(reasons)
}

#[test]
fn everything_adds_up_and_nothing_is_forwarded_against_a_withdrawal() {
    let ran = Command::new(env!("CARGO_BIN_EXE_consentry"))
        .args(["demo", "--for", "5s", "--output", "json"])
        .output()
        .unwrap();
    let told = String::from_utf8_lossy(&ran.stderr);
    assert!(ran.status.success(), "{told}\n{}", String::from_utf8_lossy(&ran.stdout));
    let summary: Value = serde_json::from_slice(&ran.stdout).unwrap();
    assert_eq!((&summary["mock"], &summary["delivery"]), (&true.into(), &"at_least_once".into()));
    assert_eq!(summary["balanced"], true);
    adds_up(&summary);
    let withdrawal = &summary["withdrawal"];
    assert_eq!(withdrawal["leaked"], 0);
    assert!(withdrawal["subject_events_after"].as_u64() > Some(0), "{withdrawal}");
    assert!(withdrawal["effective_ms"].as_f64() >= Some(0.0), "{withdrawal}");
    let opt_in = &summary["double_opt_in"];
    assert!(opt_in["waited"].as_u64() > Some(0) && opt_in["released"] == opt_in["waited"], "{opt_in}");
    assert_eq!(opt_in["released_before_confirmation"], 0);
    assert!(opt_in["released_ms"].as_f64() < Some(1000.0), "{opt_in}");
    plain(&told);
}

/// On every route each record is accounted for and each end is seen; each sink holds what was forwarded.
fn adds_up(summary: &Value) {
    let read = summary["read"].as_u64().unwrap();
    let routes = summary["routes"].as_array().unwrap();
    assert!(read > 0 && !routes.is_empty(), "{summary}");
    for route in routes {
        let ends = ["forwarded", "dropped", "held", "quarantined", "not_routed"];
        let released = route["released"].as_u64().unwrap();
        assert_eq!(ends.iter().map(|end| sum(&route[end])).sum::<u64>(), read + released, "{route}");
        assert_eq!(sum(&route["forwarded"]), route["in_sink"].as_u64().unwrap(), "{route}");
    }
    for end in ["forwarded", "dropped", "held", "quarantined", "not_routed"] {
        assert!(routes.iter().any(|route| sum(&route[end]) > 0), "nothing was {end}: {summary}");
    }
    assert!(summary["quarantine"].as_u64() > Some(0), "{summary}");
}

/// Without a terminal: lines that a log can keep, no cursor movements, no colour.
fn plain(told: &str) {
    assert!(told.lines().any(|line| line.contains(" read; ")), "{told}");
    assert!(!told.contains('\u{1b}') && !told.contains('\r'), "{told}");
}
