//! The consent record in JSON.
//!
//! For every word absent, null and empty are one; for times, numbers, booleans, objects and lists null is
//! absent. A known key of a wrong type, or one name twice in any object, and the record does not decode.
//! Neither does what JSON's grammar allows and readers disagree about, wherever it stands: a number that no
//! double holds, a string with half a surrogate pair, more than 127 levels.

use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;

use serde::Deserialize;
use serde::de::value::StrDeserializer;
use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::change::{Change, GrantLine, Reading, Undecodable, is_same_subject};
use super::json::{Name, Names};
use crate::consent::window::Window;
use crate::consent::{Basis, Shape, Status};
use crate::time::Timestamp;

/// Decodes the record of the subject that `key` (type and raw value) names.
pub fn decode(value: &[u8], key: (&str, &str), reading: Reading<'_>) -> Result<Change, Undecodable> {
    let text = std::str::from_utf8(value).map_err(|_| Undecodable::Malformed)?;
    let Object(written): Object<Written<'_>> = serde_json::from_str(text).map_err(|error| {
        if error.to_string().starts_with(UNREADABLE_TIME) {
            Undecodable::Time
        } else {
            Undecodable::Malformed
        }
    })?;
    let Object(subject) = written.subject.ok_or(Undecodable::OtherSubject)?;
    if !is_same_subject(key, &subject.kind.0, &subject.value.0) {
        return Err(Undecodable::OtherSubject);
    }
    let Object(contact) = written.contact.unwrap_or_default();
    let Object(signals) = written.signals.unwrap_or_default();
    let grants = written.grants.unwrap_or_default().into_iter().map(grant).collect();
    let (grants, unreadable) = reading.grants(grants, &signals.tcf.0, &signals.gpp.0)?;
    Ok(Change {
        version: written.version,
        restricted: written.restricted.unwrap_or_default(),
        gpc: signals.gpc.unwrap_or_default(),
        time_zone: contact.time_zone.0.into_owned(),
        windows: contact.windows.unwrap_or_default().into_iter().map(window).collect(),
        grants,
        unreadable,
    })
}

fn grant(Object(written): Object<WrittenGrant<'_>>) -> GrantLine {
    let basis = if written.basis.0.is_empty() { Basis::Consent } else { Basis::read(&written.basis.0) };
    GrantLine {
        shape: Shape {
            purpose: written.purpose.0.into(),
            channel: written.channel.0.into(),
            recipient: written.recipient.0.into(),
            level: written.level.0.into(),
            status: Status::read(&written.status.0),
            basis,
        },
        given_at: written.given_at.0,
        confirmed_at: written.confirmed_at.0,
        valid_until: written.valid_until.0,
    }
}

fn window(Object(written): Object<WrittenWindow<'_>>) -> (String, Option<Window>) {
    let window = Window::read(written.days.as_deref(), &written.from.0, &written.to.0);
    (written.channel.0.into_owned(), window)
}

#[derive(Deserialize)]
struct Written<'v> {
    #[serde(borrow)]
    subject: Option<Object<WrittenSubject<'v>>>,
    version: Option<i64>,
    #[serde(default, rename = "updated_at")]
    _updated_at: Time,
    #[serde(borrow, default, rename = "jurisdiction")]
    _jurisdiction: Word<'v>,
    #[serde(borrow)]
    grants: Option<Vec<Object<WrittenGrant<'v>>>>,
    #[serde(borrow)]
    contact: Option<Object<WrittenContact<'v>>>,
    #[serde(borrow)]
    signals: Option<Object<WrittenSignals<'v>>>,
    restricted: Option<bool>,
}

#[derive(Deserialize)]
#[serde(default)]
#[derive(Default)]
struct WrittenSubject<'v> {
    #[serde(borrow, rename = "type")]
    kind: Word<'v>,
    #[serde(borrow)]
    value: Word<'v>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct WrittenGrant<'v> {
    #[serde(borrow)]
    purpose: Word<'v>,
    #[serde(borrow)]
    channel: Word<'v>,
    #[serde(borrow)]
    recipient: Word<'v>,
    #[serde(borrow)]
    status: Word<'v>,
    #[serde(borrow)]
    basis: Word<'v>,
    given_at: Time,
    confirmed_at: Time,
    valid_until: Time,
    #[serde(borrow)]
    level: Word<'v>,
    #[serde(borrow, rename = "notice")]
    _notice: Word<'v>,
    #[serde(borrow, rename = "source")]
    _source: Word<'v>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct WrittenContact<'v> {
    #[serde(borrow)]
    time_zone: Word<'v>,
    #[serde(borrow)]
    windows: Option<Vec<Object<WrittenWindow<'v>>>>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct WrittenWindow<'v> {
    #[serde(borrow)]
    channel: Word<'v>,
    days: Option<Vec<String>>,
    #[serde(borrow)]
    from: Word<'v>,
    #[serde(borrow)]
    to: Word<'v>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct WrittenSignals<'v> {
    gpc: Option<bool>,
    #[serde(borrow)]
    gpp: Word<'v>,
    #[serde(borrow)]
    tcf: Word<'v>,
}

/// An object and nothing else: a derived struct alone would take a list of its fields too.
#[derive(Default)]
struct Object<T>(T);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Object<T> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Read<T>(PhantomData<T>);
        impl<'de, T: Deserialize<'de>> Visitor<'de> for Read<T> {
            type Value = Object<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }
            fn visit_map<A: MapAccess<'de>>(self, members: A) -> Result<Object<T>, A::Error> {
                T::deserialize(Members(members)).map(Object)
            }
        }
        from.deserialize_map(Read(PhantomData))
    }
}

/// The members of an object, no name twice. What its struct does not know is walked and forgotten.
struct Members<A>(A);

impl<'de, A: MapAccess<'de>> Deserializer<'de> for Members<A> {
    type Error = A::Error;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, A::Error> {
        visitor.visit_map(self.0)
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        known: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, A::Error> {
        visitor.visit_map(Known { members: self.0, known, names: Names::default() })
    }

    serde::forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option unit
        unit_struct newtype_struct seq tuple tuple_struct map enum identifier ignored_any
    }
}

/// The members whose names a struct knows.
struct Known<'de, A> {
    members: A,
    known: &'static [&'static str],
    names: Names<'de>,
}

impl<'de, A: MapAccess<'de>> MapAccess<'de> for Known<'de, A> {
    type Error = A::Error;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, A::Error> {
        while let Some(name) = self.members.next_key_seed(Name)? {
            let known = self.known.iter().find(|known| **known == name);
            if !self.names.insert(name) {
                return Err(A::Error::custom("one name twice"));
            }
            match known {
                Some(known) => return seed.deserialize(StrDeserializer::new(known)).map(Some),
                None => self.members.next_value_seed(Unique)?,
            }
        }
        Ok(None)
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, A::Error> {
        self.members.next_value_seed(seed)
    }
}

/// Text, borrowed where it has no escapes; null is empty.
#[derive(Default)]
struct Word<'v>(Cow<'v, str>);

impl<'de: 'v, 'v> Deserialize<'de> for Word<'v> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Read;
        impl<'de> Visitor<'de> for Read {
            type Value = Word<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("text")
            }
            fn visit_none<E>(self) -> Result<Word<'de>, E> {
                Ok(Word::default())
            }
            fn visit_some<D: Deserializer<'de>>(self, from: D) -> Result<Word<'de>, D::Error> {
                from.deserialize_str(self)
            }
            fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Word<'de>, E> {
                Ok(Word(Cow::Borrowed(text)))
            }
            fn visit_str<E>(self, text: &str) -> Result<Word<'de>, E> {
                Ok(Word(Cow::Owned(text.to_owned())))
            }
        }
        from.deserialize_option(Read)
    }
}

const UNREADABLE_TIME: &str = "unreadable time";

/// RFC 3339 or integer milliseconds; null is absent.
#[derive(Default)]
struct Time(Option<Timestamp>);

impl<'de> Deserialize<'de> for Time {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Read;
        impl Visitor<'_> for Read {
            type Value = Time;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a time")
            }
            fn visit_unit<E>(self) -> Result<Time, E> {
                Ok(Time(None))
            }
            fn visit_i64<E>(self, ms: i64) -> Result<Time, E> {
                Ok(Time(Some(Timestamp(ms))))
            }
            fn visit_u64<E: Error>(self, ms: u64) -> Result<Time, E> {
                let ms = i64::try_from(ms).map_err(|_| E::custom(UNREADABLE_TIME))?;
                Ok(Time(Some(Timestamp(ms))))
            }
            fn visit_str<E: Error>(self, text: &str) -> Result<Time, E> {
                match Timestamp::parse(text) {
                    Some(at) => Ok(Time(Some(at))),
                    None => Err(E::custom(UNREADABLE_TIME)),
                }
            }
        }
        from.deserialize_any(Read)
    }
}

/// Walks a value whole; an object with one name twice is an error.
struct Unique;

impl<'de> DeserializeSeed<'de> for Unique {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<(), D::Error> {
        from.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Unique {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }
    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }
    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        Ok(())
    }
    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        Ok(())
    }
    fn visit_u64<E>(self, _: u64) -> Result<(), E> {
        Ok(())
    }
    fn visit_f64<E>(self, _: f64) -> Result<(), E> {
        Ok(())
    }
    fn visit_str<E>(self, _: &str) -> Result<(), E> {
        Ok(())
    }
    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<(), A::Error> {
        while elements.next_element_seed(Self)?.is_some() {}
        Ok(())
    }
    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<(), A::Error> {
        let mut names = Names::default();
        while let Some(name) = members.next_key_seed(Name)? {
            if !names.insert(name) {
                members.next_value::<IgnoredAny>()?;
                return Err(A::Error::custom("one name twice"));
            }
            members.next_value_seed(Self)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::signals::Signals;
    use super::*;

    fn read(json: &str) -> Result<Change, Undecodable> {
        let reading = Reading { max_grants: 2, signals: &Signals::default() };
        decode(json.as_bytes(), ("email", " Ann@example.org"), reading)
    }

    fn with(rest: &str) -> Result<Change, Undecodable> {
        read(&format!(r#"{{"subject":{{"type":"email","value":"ann@Example.org "}},{rest}}}"#))
    }

    #[test]
    fn absent_null_and_empty_are_one() {
        let change = with(
            r#""version":null,"grants":[{"purpose":"p","channel":null,"recipient":"","basis":null,"given_at":null}],
               "contact":null,"signals":{"gpc":null},"restricted":null,"unknown":[{}]"#,
        );
        let change = change.unwrap();
        let grant = change.grants.first().unwrap();
        assert_eq!((&*grant.shape.channel, &*grant.shape.recipient), ("", ""));
        assert_eq!((grant.shape.status, grant.shape.basis), (Status::Unrecognized, Basis::Consent));
        assert_eq!((change.restricted, change.gpc, grant.given_at), (false, false, None));
    }

    #[test]
    fn times_are_text_or_milliseconds() {
        let change = with(r#""grants":[{"purpose":"p","given_at":"1970-01-01T00:00:01Z","valid_until":-5}]"#);
        let grant = change.unwrap().grants.remove(0);
        assert_eq!((grant.given_at, grant.valid_until), (Some(Timestamp(1000)), Some(Timestamp(-5))));
        assert_eq!(with(r#""updated_at":"yesterday""#), Err(Undecodable::Time));
        assert_eq!(with(r#""updated_at":99999999999999999999"#), Err(Undecodable::Malformed));
    }

    #[test]
    fn what_does_not_decode() {
        for bad in
            ["", "{", "[]", "null", "7", "{}", r#"{"subject":null}"#, r#"{"subject":{"type":"email"}}"#]
        {
            assert!(read(bad).is_err(), "{bad}");
        }
        for bad in [
            r#""x":1,"x":1"#,
            r#""x":{"y":[{"z":1,"z":2}]}"#,
            r#""version":1,"version":1"#,
            r#""grants":[{"purpose":"p","level":"a","level":"a"}]"#,
            r#""grants":[{"purpose":"p","x":{"y":1,"\u0079":1}}]"#,
            r#""x":1e999"#,
            r#""x":"\ud800""#,
            r#""restricted":"yes""#,
            r#""restricted":1"#,
            r#""version":"7""#,
            r#""version":1.5"#,
            r#""grants":{}"#,
            r#""grants":[null]"#,
            r#""grants":[1]"#,
            r#""jurisdiction":3"#,
            r#""contact":[]"#,
            r#""signals":true"#,
            r#""signals":{"gpc":"true"}"#,
            r#""signals":{"tcf":1}"#,
            r#""signals":{"gpp":[]}"#,
            r#""contact":{"windows":[{"days":"mon"}]}"#,
            r#""grants":[{"purpose":"p","given_at":1.5}]"#,
            r#""grants":[{"purpose":"p","notice":{}}]"#,
            r#""x":1} {"#,
        ] {
            assert_eq!(with(bad), Err(Undecodable::Malformed), "{bad}");
        }
        assert_eq!(with(r#""grants":[{}]"#), Err(Undecodable::NoPurpose));
        assert_eq!(with(r#""grants":[{"purpose":" "}]"#), Err(Undecodable::NoPurpose));
        let three = r#""grants":[{"purpose":"p"},{"purpose":"p"},{"purpose":"p"}]"#;
        assert_eq!(with(three), Err(Undecodable::TooManyGrants));
        assert_eq!(read(r#"{"subject":{"type":"email","value":"bob"}}"#), Err(Undecodable::OtherSubject));
        let deep = format!(r#""x":{}{}"#, "[".repeat(5000), "]".repeat(5000));
        assert_eq!(with(&deep), Err(Undecodable::Malformed));
    }
}
