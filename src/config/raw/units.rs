//! Durations, sizes, property values and secrets as they are written.
//!
//! A duration always has a unit and a size may have one: a bare `100` that means milliseconds here and
//! seconds there is how time-outs go wrong. Messages carry their remedy behind `HELP`.

use std::borrow::Cow;
use std::fmt;
use std::time::Duration;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Deserialize;
use serde::de::{Deserializer, Error, Visitor};

/// What parts a message from its remedy.
pub(in crate::config) const HELP: &str = "\nhelp: ";

/// The longest duration: a century.
const MAX_SPAN: Duration = Duration::from_secs(36_525 * 86_400);

/// A duration: `500ms`, `5s`, `3m`, `2h`, `400d`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::config) struct Span(pub Duration);

impl Span {
    /// Reads digits and a unit.
    fn parse(text: &str) -> Option<Self> {
        let (count, unit) = split(text)?;
        let unit_ms = match unit {
            "ms" => 1,
            "s" => 1000,
            "m" => 60_000,
            "h" => 3_600_000,
            "d" => 86_400_000,
            _ => return None,
        };
        let span = Duration::from_millis(count.checked_mul(unit_ms)?);
        (span <= MAX_SPAN).then_some(Self(span))
    }
}

/// A number of bytes: `1048576`, `64KiB`, `1MiB`, `1GiB`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::config) struct Size(pub usize);

impl Size {
    fn parse(text: &str) -> Option<Self> {
        let (count, unit) = split(text)?;
        let unit_bytes = match unit {
            "" | "B" => 1,
            "KiB" => 1 << 10,
            "MiB" => 1 << 20,
            "GiB" => 1 << 30,
            _ => return None,
        };
        usize::try_from(count.checked_mul(unit_bytes)?).ok().map(Self)
    }
}

/// Digits, and what follows them.
fn split(text: &str) -> Option<(u64, &str)> {
    let end = text.find(|letter: char| !letter.is_ascii_digit()).unwrap_or(text.len());
    let (digits, unit) = text.split_at_checked(end)?;
    Some((digits.parse().ok()?, unit))
}

/// The value of a librdkafka property.
#[derive(Debug)]
pub(in crate::config) enum Property {
    /// As it is written, as text.
    Text(String),
    /// It is a secret, and kept elsewhere.
    Kept(Kept),
}

/// Where a secret is kept; never the secret itself.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, expecting = "`{file: …}` or `{env: …}`")]
pub(in crate::config) struct Kept {
    /// A file, relative to the configuration file's folder. One trailing newline is cut.
    pub file: Option<String>,
    /// An environment variable.
    pub env: Option<String>,
}

/// A secret by reference. Text in its place is refused without being repeated.
#[derive(Debug, Default)]
pub(in crate::config) struct Secret(pub Kept);

/// A scalar that is read by one function.
struct Scalar<T> {
    expecting: &'static str,
    read: fn(&str) -> Result<T, String>,
}

impl<T> Visitor<'_> for Scalar<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.expecting)
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<T, E> {
        (self.read)(text).map_err(E::custom)
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<T, E> {
        self.visit_str(&number.to_string())
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<T, E> {
        self.visit_str(&number.to_string())
    }

    fn visit_f64<E: Error>(self, number: f64) -> Result<T, E> {
        self.visit_str(&number.to_string())
    }

    fn visit_bool<E: Error>(self, word: bool) -> Result<T, E> {
        self.visit_str(if word { "true" } else { "false" })
    }
}

impl<'de> Deserialize<'de> for Span {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let read = |text: &str| {
            let help =
                "write a whole number and a unit: `500ms`, `5s`, `3m`, `2h`, `400d`; a century at most";
            Self::parse(text).ok_or_else(|| format!("`{text}` is no duration{HELP}{help}"))
        };
        deserializer.deserialize_any(Scalar { expecting: "a duration such as `5s`", read })
    }
}

impl<'de> Deserialize<'de> for Size {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let read = |text: &str| {
            let help = "write a whole number of bytes, or one with a unit: `64KiB`, `1MiB`, `1GiB`";
            Self::parse(text).ok_or_else(|| format!("`{text}` is no size{HELP}{help}"))
        };
        deserializer.deserialize_any(Scalar { expecting: "a size such as `1MiB`", read })
    }
}

impl<'de> Deserialize<'de> for Property {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Value;
        impl<'de> Visitor<'de> for Value {
            type Value = Property;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("text, a number, a boolean, `{file: …}` or `{env: …}`")
            }
            fn visit_str<E: Error>(self, text: &str) -> Result<Property, E> {
                Ok(Property::Text(text.to_owned()))
            }
            fn visit_u64<E: Error>(self, number: u64) -> Result<Property, E> {
                self.visit_str(&number.to_string())
            }
            fn visit_i64<E: Error>(self, number: i64) -> Result<Property, E> {
                self.visit_str(&number.to_string())
            }
            fn visit_f64<E: Error>(self, number: f64) -> Result<Property, E> {
                self.visit_str(&number.to_string())
            }
            fn visit_bool<E: Error>(self, word: bool) -> Result<Property, E> {
                self.visit_str(if word { "true" } else { "false" })
            }
            fn visit_map<A: serde::de::MapAccess<'de>>(self, map: A) -> Result<Property, A::Error> {
                Kept::deserialize(serde::de::value::MapAccessDeserializer::new(map)).map(Property::Kept)
            }
        }
        deserializer.deserialize_any(Value)
    }
}

impl<'de> Deserialize<'de> for Secret {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Reference;
        impl<'de> Visitor<'de> for Reference {
            type Value = Secret;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("`{file: …}` or `{env: …}`")
            }
            fn visit_str<E: Error>(self, _: &str) -> Result<Secret, E> {
                let help = "keep it in a file or a variable and write `{file: PATH}` or `{env: NAME}`";
                Err(E::custom(format!("{INLINE_SECRET}{HELP}{help}")))
            }
            fn visit_u64<E: Error>(self, _: u64) -> Result<Secret, E> {
                self.visit_str("")
            }
            fn visit_i64<E: Error>(self, _: i64) -> Result<Secret, E> {
                self.visit_str("")
            }
            fn visit_f64<E: Error>(self, _: f64) -> Result<Secret, E> {
                self.visit_str("")
            }
            fn visit_map<A: serde::de::MapAccess<'de>>(self, map: A) -> Result<Secret, A::Error> {
                Kept::deserialize(serde::de::value::MapAccessDeserializer::new(map)).map(Secret)
            }
        }
        deserializer.deserialize_any(Reference)
    }
}

/// The message for a secret that stands in the file; its line is not quoted.
pub(in crate::config) const INLINE_SECRET: &str = "a secret may not stand in the configuration";

impl JsonSchema for Span {
    fn schema_name() -> Cow<'static, str> {
        "Duration".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "A whole number and a unit: 500ms, 5s, 3m, 2h, 400d.",
            "type": "string", "pattern": "^[0-9]+(ms|s|m|h|d)$",
        })
    }
}

impl JsonSchema for Size {
    fn schema_name() -> Cow<'static, str> {
        "Size".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "Bytes, or a number with a unit: 1048576, 64KiB, 1MiB, 1GiB.",
            "type": ["integer", "string"], "minimum": 1, "pattern": "^[0-9]+(B|KiB|MiB|GiB)?$",
        })
    }
}

impl JsonSchema for Property {
    fn schema_name() -> Cow<'static, str> {
        "Property".into()
    }
    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let kept = generator.subschema_for::<Kept>();
        json_schema!({ "anyOf": [{ "type": ["string", "number", "boolean"] }, kept] })
    }
}

impl JsonSchema for Secret {
    fn schema_name() -> Cow<'static, str> {
        "Secret".into()
    }
    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        Kept::json_schema(generator)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_have_a_unit() {
        let ms = |text| Span::parse(text).map(|span| span.0.as_millis());
        assert_eq!(ms("500ms"), Some(500));
        assert_eq!(ms("5s"), Some(5000));
        assert_eq!(ms("3m"), Some(180_000));
        assert_eq!(ms("2h"), Some(7_200_000));
        assert_eq!(ms("400d"), Some(34_560_000_000));
        for bad in ["", "5", "s", "5 s", "-5s", "1.5s", "5S", "5w", "+5s", "99999999999999999999s", "36526d"]
        {
            assert_eq!(ms(bad), None, "{bad}");
        }
    }

    #[test]
    fn sizes_may_have_a_unit() {
        let bytes = |text| Size::parse(text).map(|size| size.0);
        assert_eq!(bytes("1048576"), Some(1 << 20));
        assert_eq!(bytes("64KiB"), Some(1 << 16));
        assert_eq!(bytes("1MiB"), Some(1 << 20));
        for bad in ["", "MiB", "1MB", "1 MiB", "-1", "1.5MiB", "99999999999GiB"] {
            assert_eq!(bytes(bad), None, "{bad}");
        }
    }
}
