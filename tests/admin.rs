//! The answers over HTTP, asked for over a plain TCP connection.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use consentry::admin::settings::AdminSettings;
use consentry::admin::{About, Admin, Board, ConsentFigures, Error, serve};
use consentry::consent::{End, Reason};
use consentry::telemetry::{Cause, Health, Tally, Totals, install};

fn board(pipeline: &str) -> Board {
    let exporter = install();
    Board {
        about: About { instance: "gate-1".into(), delivery: "exactly_once".into(), ..About::default() },
        health: Health::new(),
        exporter,
        totals: vec![Arc::new(Totals::new(pipeline, &["analytics".to_owned()]))],
        consent: Arc::new(|| ConsentFigures { subjects: 7, ..ConsentFigures::default() }),
        office: Arc::default(),
    }
}

fn start(board: &Board) -> Admin {
    serve(&AdminSettings::open("127.0.0.1:0".parse().unwrap()), board.clone()).unwrap()
}

/// The status line, the headers in lower case and the body.
fn ask(address: SocketAddr, request: &str) -> (String, String, String) {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    write!(stream, "{request} HTTP/1.1\r\nHost: consentry\r\nConnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    let (line, headers) = head.split_once("\r\n").unwrap();
    (line.to_owned(), headers.to_lowercase(), body.to_owned())
}

#[test]
fn readiness_says_what_is_missing() {
    let board = board("admin-ready");
    let admin = start(&board);
    board.health.clear(&Cause::Starting);
    board.health.block(Cause::ConsentLoading, "2 of 12 partitions".into());
    let (line, headers, body) = ask(admin.address(), "GET /ready");
    assert_eq!(line, "HTTP/1.1 503 Service Unavailable");
    assert!(headers.contains("content-type: application/json"), "{headers}");
    assert_eq!(
        body,
        r#"{"ready":false,"reasons":[{"reason":"consent_loading","detail":"2 of 12 partitions"}]}"#
    );
    board.health.clear(&Cause::ConsentLoading);
    let (line, _, body) = ask(admin.address(), "GET /ready");
    assert_eq!((line.as_str(), body.as_str()), ("HTTP/1.1 200 OK", r#"{"ready":true}"#));
}

#[test]
fn metrics_are_prometheus_text() {
    let board = board("admin-metrics");
    let mut tally = Tally::new(1);
    tally.add(0, Some((End::Dropped, Reason::Withdrawn)));
    tally.flush(&board.totals[0], 1);
    let admin = start(&board);
    let (line, headers, body) = ask(admin.address(), "GET /metrics");
    assert_eq!(line, "HTTP/1.1 200 OK");
    assert!(headers.contains("content-type: text/plain; version=0.0.4"), "{headers}");
    assert!(body.contains("# TYPE consentry_records_total counter\n"), "{body}");
    let series = r#"consentry_records_total{pipeline="admin-metrics",route="analytics",end="dropped",reason="withdrawn"} 1"#;
    assert!(body.contains(series), "{body}");
    assert!(body.contains("# HELP consentry_ready "), "{body}");
}

#[test]
fn the_page_and_the_status_document_tell_the_same() {
    let board = board("admin-page");
    let mut tally = Tally::new(1);
    tally.add(0, Some((End::Forwarded, Reason::Reduced)));
    tally.flush(&board.totals[0], 1);
    let admin = start(&board);
    let (line, headers, page) = ask(admin.address(), "GET /");
    assert_eq!(line, "HTTP/1.1 200 OK");
    assert!(headers.contains("content-security-policy: default-src 'none'"), "{headers}");
    assert!(page.contains("/api/v1/status"));
    assert!(!page.contains("http://") && !page.contains("https://"), "the page loads nothing from elsewhere");
    let (_, _, body) = ask(admin.address(), "GET /api/v1/status");
    let status: serde_json::Value = serde_json::from_str(&body).unwrap();
    assert_eq!(status["about"]["instance"], "gate-1");
    assert_eq!(status["consent"]["subjects"], 7);
    assert_eq!(status["pipelines"][0]["read"], 1);
    assert_eq!(status["pipelines"][0]["routes"][0]["forwarded"]["reduced"], 1);
    assert_eq!(status["reasons"][0]["reason"], "starting");
}

#[test]
fn other_paths_and_methods_are_refused() {
    let admin = start(&board("admin-refused"));
    assert_eq!(ask(admin.address(), "GET /live").0, "HTTP/1.1 200 OK");
    assert_eq!(ask(admin.address(), "GET /nowhere").0, "HTTP/1.1 404 Not Found");
    let (line, headers, _) = ask(admin.address(), "POST /ready");
    assert_eq!(line, "HTTP/1.1 405 Method Not Allowed");
    assert!(headers.contains("allow: get, head"), "{headers}");
    let (line, _, body) = ask(admin.address(), "HEAD /live");
    assert_eq!((line.as_str(), body.as_str()), ("HTTP/1.1 200 OK", ""));
}

#[test]
fn a_port_in_use_names_the_remedy() {
    let board = board("admin-port");
    let first = start(&board);
    let error = serve(&AdminSettings::open(first.address()), board).unwrap_err();
    assert!(matches!(error, Error::InUse(address) if address == first.address()));
    assert!(error.to_string().contains("write another port"), "{error}");
}

#[test]
fn a_stop_ends_open_connections_and_frees_the_port() {
    let board = board("admin-stop");
    let admin = start(&board);
    let address = admin.address();
    let mut idle = TcpStream::connect(address).unwrap();
    idle.write_all(b"GET /live HTTP/1.1\r\n").unwrap();
    admin.stop();
    let again = serve(&AdminSettings::open(address), board).unwrap();
    assert_eq!(ask(again.address(), "GET /live").0, "HTTP/1.1 200 OK");
}
