//! The tree as a serde deserializer.
//!
//! Stricter than serde's own formats: where a mapping is wanted, a list is refused rather than read field
//! by field, for `purposes: [[newsletter]]` should not come to mean something. Holes are passed over.

use serde::de::value::{MapDeserializer, SeqDeserializer};
use serde::de::{Deserializer, Error as _, IntoDeserializer, Unexpected, Visitor};
use serde::forward_to_deserialize_any;
use serde_json::Error;
use serde_json::Value as Json;

use super::yaml::{Node, Value};

impl<'de> IntoDeserializer<'de, Error> for &'de Node {
    type Deserializer = Self;

    fn into_deserializer(self) -> Self {
        self
    }
}

impl<'de> Deserializer<'de> for &'de Node {
    type Error = Error;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match &self.value {
            Value::Scalar(scalar) => scalar.deserialize_any(visitor),
            Value::List(items) => {
                let items = items.iter().filter(|item| !item.is_hole());
                visitor.visit_seq(SeqDeserializer::new(items))
            }
            Value::Map(entries) => {
                let entries = entries.iter().filter(|entry| !entry.node.is_hole());
                visitor
                    .visit_map(MapDeserializer::new(entries.map(|entry| (entry.key.as_str(), &entry.node))))
            }
            Value::Hole => visitor.visit_unit(),
        }
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match &self.value {
            Value::Scalar(Json::Null) | Value::Hole => visitor.visit_none(),
            Value::Scalar(_) | Value::List(_) | Value::Map(_) => visitor.visit_some(self),
        }
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        match &self.value {
            Value::List(_) => Err(Error::invalid_type(Unexpected::Seq, &visitor)),
            Value::Scalar(_) | Value::Map(_) | Value::Hole => self.deserialize_any(visitor),
        }
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        match &self.value {
            Value::Scalar(scalar) => scalar.deserialize_enum(name, variants, visitor),
            Value::List(_) => Err(Error::invalid_type(Unexpected::Seq, &"a word")),
            Value::Map(_) | Value::Hole => Err(Error::invalid_type(Unexpected::Map, &"a word")),
        }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Error> {
        visitor.visit_newtype_struct(self)
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit unit_struct
        seq tuple tuple_struct map identifier ignored_any
    }
}
