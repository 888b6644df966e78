//! One-click unsubscription (RFC 8058): who holds a signed token withdraws one purpose and channel with it.
//!
//! A mail program sends `List-Unsubscribe=One-Click` by POST. A link that is opened only shows a page that asks:
//! programs that look at links before people do must not withdraw anything. Whoever has the token needs no other.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::http::header::{CONTENT_SECURITY_POLICY, REFERRER_POLICY};
use axum::response::{IntoResponse, Response};

use super::answers::{HTML, typed};
use super::persons::Persons;
use crate::steward::{Edit, Unsubscription};
use crate::time::Clock;

/// What is sent by a mail program, and by the page.
const NAME: &str = "List-Unsubscribe";
const VALUE: &str = "One-Click";

const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; base-uri 'none'; \
     frame-ancestors 'none'";

/// GET: asks, and changes nothing.
pub(super) async fn page(State(persons): State<Arc<Persons>>, Path(token): Path<String>) -> Response {
    let Some(what) = read(&persons, &token) else { return void() };
    let (purpose, channel) = (escaped(&what.scope.purpose), escaped(&what.scope.channel));
    let form = format!(
        "<h1>Unsubscribe</h1><p>Stop <b>{purpose}</b> by <b>{channel}</b>?</p><form method=\"post\">\
         <input type=\"hidden\" name=\"{NAME}\" value=\"{VALUE}\"><button>Unsubscribe</button></form>"
    );
    shown(StatusCode::OK, &form)
}

/// POST: withdraws. A second time changes nothing, and says the same.
pub(super) async fn withdraw(
    State(persons): State<Arc<Persons>>,
    Path(token): Path<String>,
    body: Bytes,
) -> Response {
    let Some(what) = read(&persons, &token) else { return void() };
    if !is_one_click(&body) {
        let text = format!("<h1>Nothing was changed</h1><p>Send <code>{NAME}={VALUE}</code>.</p>");
        return shown(StatusCode::BAD_REQUEST, &text);
    }
    let done = persons.serve(move |office| office.change(&what.subject, &Edit::Withdraw(what.scope))).await;
    match done {
        Ok(Ok(changed)) if changed.is_in_force() => {
            shown(StatusCode::OK, "<h1>You are unsubscribed</h1><p>It is in force.</p>")
        }
        Ok(Ok(_)) => shown(
            StatusCode::ACCEPTED,
            "<h1>You are unsubscribed</h1><p>It will be in force in a moment.</p>",
        ),
        Ok(Err(_)) | Err(_) => shown(
            StatusCode::SERVICE_UNAVAILABLE,
            "<h1>Not yet</h1><p>It could not be done at the moment. Please try again.</p>",
        ),
    }
}

fn read(persons: &Persons, token: &str) -> Option<Unsubscription> {
    persons.unsubscribe_key.as_ref()?.read(token, Clock::default().now())
}

/// Whether a form of either kind says so (RFC 8058, section 3.1).
fn is_one_click(body: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(body) else { return false };
    let pair = format!("{NAME}={VALUE}");
    let encoded = text.trim().split('&').any(|one| one == pair);
    let mut parts = text.split("\r\n\r\n");
    let mut before = parts.next().unwrap_or_default();
    let part = parts.any(|after| {
        let named = before.contains(&format!("name=\"{NAME}\""));
        before = after;
        named && after.lines().next() == Some(VALUE)
    });
    encoded || part
}

fn void() -> Response {
    let text = "<h1>This link is not valid</h1><p>It may have expired. Nothing was changed.</p>";
    shown(StatusCode::FORBIDDEN, text)
}

fn shown(status: StatusCode, text: &str) -> Response {
    let page = format!(
        "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><meta name=\"robots\" content=\"noindex\">\
         <meta name=\"viewport\" content=\"width=device-width\"><title>Unsubscribe</title>\
         <style>body{{font:1.1rem system-ui;max-width:32rem;margin:15vh auto;padding:0 1rem}}</style>{text}</html>"
    );
    let headers = [(CONTENT_SECURITY_POLICY, POLICY), (REFERRER_POLICY, "no-referrer")];
    (status, headers, typed(HTML, page)).into_response()
}

fn escaped(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            '\'' => safe.push_str("&#39;"),
            plain => safe.push(plain),
        }
    }
    safe
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_click_is_a_form_of_either_kind() {
        assert!(is_one_click(b"List-Unsubscribe=One-Click"));
        assert!(is_one_click(b"a=b&List-Unsubscribe=One-Click\r\n"));
        let part =
            "--x\r\nContent-Disposition: form-data; name=\"List-Unsubscribe\"\r\n\r\nOne-Click\r\n--x--\r\n";
        assert!(is_one_click(part.as_bytes()));
        for other in [
            "",
            "List-Unsubscribe=One-Clicks",
            "xList-Unsubscribe=One-Click",
            &part.replace("One-C", "Two-C"),
        ] {
            assert!(!is_one_click(other.as_bytes()), "{other}");
        }
        assert!(!is_one_click(b"\xff"));
    }

    #[test]
    fn what_is_shown_is_text() {
        assert_eq!(escaped("<b>\"&'"), "&lt;b&gt;&quot;&amp;&#39;");
    }
}
