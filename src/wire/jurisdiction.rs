//! The jurisdiction of a consent record, which no decision reads: whoever wants it asks for it here, so that the
//! cache does not carry it. Of a record that does not decode there is none.

use std::borrow::Cow;

use prost::Message;
use serde::Deserialize;

use super::change_proto::v1;

#[derive(Deserialize)]
struct Written<'v> {
    #[serde(borrow, default)]
    jurisdiction: Option<Cow<'v, str>>,
}

/// Of the JSON form; empty: none.
pub fn of_json(value: &[u8]) -> String {
    let written = serde_json::from_slice::<Written<'_>>(value).ok();
    written.and_then(|written| written.jurisdiction).unwrap_or_default().into_owned()
}

/// Of the Protobuf form; empty: none.
pub fn of_protobuf(value: &[u8]) -> String {
    v1::ConsentRecord::decode(value).map(|record| record.jurisdiction).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_the_same_in_both_forms() {
        let record = v1::ConsentRecord { jurisdiction: "EU".into(), ..v1::ConsentRecord::default() };
        assert_eq!(of_protobuf(&record.encode_to_vec()), "EU");
        assert_eq!(of_json(br#"{"grants":[{}],"jurisdiction":"E\u0055"}"#), "EU");
        assert_eq!((of_json(br#"{"jurisdiction":null}"#), of_json(b"no")), (String::new(), String::new()));
        assert_eq!(of_protobuf(b"\xff"), "");
    }
}
