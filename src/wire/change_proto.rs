//! The consent record in Protobuf: `consentry.v1.ConsentRecord`. It says what the JSON form says.

use prost::Message;
use prost_types::Timestamp as Written;

use super::change::{Change, GrantLine, Reading, Undecodable, is_same_subject};
use crate::consent::window::Window;
use crate::consent::{Basis, Shape, Status};
use crate::time::Timestamp;

/// The types generated from `proto/consentry/v1/consent.proto`.
#[allow(missing_docs, clippy::all, reason = "generated")]
pub mod v1 {
    include!(concat!(env!("OUT_DIR"), "/consentry.v1.rs"));
}

/// Decodes the record of the subject that `key` (type and raw value) names.
pub fn decode(value: &[u8], key: (&str, &str), reading: Reading<'_>) -> Result<Change, Undecodable> {
    let written = v1::ConsentRecord::decode(value).map_err(|_| Undecodable::Malformed)?;
    let subject = written.subject.ok_or(Undecodable::OtherSubject)?;
    if !is_same_subject(key, &subject.r#type, &subject.value) {
        return Err(Undecodable::OtherSubject);
    }
    time(written.updated_at)?;
    let grants = written.grants.into_iter().map(grant).collect::<Result<Vec<_>, _>>()?;
    let signals = written.signals.unwrap_or_default();
    let (grants, unreadable) = reading.grants(grants, &signals.tcf, &signals.gpp)?;
    let contact = written.contact.unwrap_or_default();
    Ok(Change {
        version: written.version,
        restricted: written.restricted,
        gpc: signals.gpc,
        time_zone: contact.time_zone,
        windows: contact.windows.into_iter().map(window).collect(),
        grants,
        unreadable,
    })
}

fn grant(written: v1::Grant) -> Result<GrantLine, Undecodable> {
    let basis = if written.basis.is_empty() { Basis::Consent } else { Basis::read(&written.basis) };
    Ok(GrantLine {
        shape: Shape {
            purpose: written.purpose.into(),
            channel: written.channel.into(),
            recipient: written.recipient.into(),
            level: written.level.into(),
            status: Status::read(&written.status),
            basis,
        },
        given_at: time(written.given_at)?,
        confirmed_at: time(written.confirmed_at)?,
        valid_until: time(written.valid_until)?,
    })
}

fn window(written: v1::Window) -> (String, Option<Window>) {
    let days = (!written.days.is_empty()).then_some(&*written.days);
    let window = Window::read(days, &written.from, &written.to);
    (written.channel, window)
}

/// Seconds and nanoseconds, cut to the millisecond; nanoseconds out of range cannot be read.
fn time(written: Option<Written>) -> Result<Option<Timestamp>, Undecodable> {
    let Some(Written { seconds, nanos }) = written else { return Ok(None) };
    let within = (0..1_000_000_000).contains(&nanos).then(|| i64::from(nanos / 1_000_000));
    let ms = within.and_then(|within| seconds.checked_mul(1000)?.checked_add(within));
    ms.map(|ms| Some(Timestamp(ms))).ok_or(Undecodable::Time)
}

#[cfg(test)]
mod tests {
    use super::super::signals::{Signals, TcfRule};
    use super::*;

    const NOTHING: Signals = Signals { tcf: None, gpp: None, honour_gpc: true };
    const READING: Reading<'_> = Reading { max_grants: 9, signals: &NOTHING };

    #[test]
    fn says_what_the_json_form_says() {
        let at = |seconds, nanos| Some(Written { seconds, nanos });
        let record = v1::ConsentRecord {
            subject: Some(v1::Subject { r#type: "user_id".into(), value: "u-17".into() }),
            version: Some(7),
            grants: vec![v1::Grant {
                purpose: "newsletter".into(),
                channel: "email".into(),
                status: "confirmed".into(),
                given_at: at(1, 5_999_999),
                confirmed_at: at(2, 0),
                level: "contact".into(),
                ..v1::Grant::default()
            }],
            contact: Some(v1::Contact {
                time_zone: "Europe/Amsterdam".into(),
                windows: vec![v1::Window {
                    channel: "email".into(),
                    from: "09:00".into(),
                    to: "20:00".into(),
                    days: vec![],
                }],
            }),
            signals: Some(v1::Signals { gpc: true, ..v1::Signals::default() }),
            ..v1::ConsentRecord::default()
        };
        let json = br#"{"subject":{"type":"user_id","value":"u-17"},"version":7,"grants":[{"purpose":"newsletter",
            "channel":"email","status":"confirmed","given_at":1005,"confirmed_at":"1970-01-01T00:00:02Z","level":"contact"}],
            "contact":{"time_zone":"Europe/Amsterdam","windows":[{"channel":"email","from":"09:00","to":"20:00"}]},
            "signals":{"gpc":true}}"#;
        let key = ("user_id", "u-17");
        let change = decode(&record.encode_to_vec(), key, READING);
        assert_eq!(change, super::super::change::decode_json(json, key, READING));
        assert!(change.is_ok());
    }

    #[test]
    fn privacy_strings_say_what_they_say_in_the_json_form() {
        let purposes = vec![("ads".to_owned(), vec![3])];
        let tcf = TcfRule { vendor: 28, recipient: String::new(), purposes, grants: true };
        let signals = Signals { tcf: Some(tcf), ..Signals::default() };
        let reading = Reading { max_grants: 0, signals: &signals };
        let key = ("user_id", "u-17");
        for (string, grants) in [("CPTtLAAPTtLAAAKAAAENAAFgALwAAEAAAAAAAOgAgABgAAAA", 1), ("no", 1), ("", 0)]
        {
            let record = v1::ConsentRecord {
                subject: Some(v1::Subject { r#type: "user_id".into(), value: "u-17".into() }),
                signals: Some(v1::Signals { tcf: string.into(), ..v1::Signals::default() }),
                ..v1::ConsentRecord::default()
            };
            let json = format!(
                r#"{{"subject":{{"type":"user_id","value":"u-17"}},"signals":{{"tcf":"{string}"}}}}"#
            );
            let change = decode(&record.encode_to_vec(), key, reading).unwrap();
            assert_eq!((change.grants.len(), change.unreadable.tcf), (grants, string == "no"));
            assert_eq!(Ok(change), super::super::change::decode_json(json.as_bytes(), key, reading));
        }
    }

    #[test]
    fn what_does_not_decode() {
        let key = ("user_id", "u-17");
        assert_eq!(decode(b"\xff\xff", key, READING), Err(Undecodable::Malformed));
        assert_eq!(decode(b"", key, READING), Err(Undecodable::OtherSubject));
        let record = v1::ConsentRecord {
            subject: Some(v1::Subject { r#type: "user_id".into(), value: "u-17".into() }),
            updated_at: Some(Written { seconds: 1, nanos: -1 }),
            ..v1::ConsentRecord::default()
        };
        assert_eq!(decode(&record.encode_to_vec(), key, READING), Err(Undecodable::Time));
    }
}
