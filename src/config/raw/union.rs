//! Values that may be written in one of two ways.
//!
//! serde's `untagged` forgets why each way failed and where. These look at what stands there first.

use std::fmt;
use std::marker::PhantomData;

use schemars::JsonSchema;
use serde::Deserialize;
use serde::de::value::{MapAccessDeserializer, SeqAccessDeserializer, StrDeserializer};
use serde::de::{Deserializer, Error, MapAccess, SeqAccess, Visitor};

/// A word of `W`, or the mapping `M`.
#[derive(Debug, JsonSchema)]
#[schemars(untagged)]
pub(in crate::config) enum WordOr<W, M> {
    /// As a word.
    Word(W),
    /// As a mapping.
    Mapping(M),
}

/// A whole number, or a word of `W`.
#[derive(Debug, JsonSchema)]
#[schemars(untagged)]
pub(in crate::config) enum Number<W> {
    /// As a number.
    Number(u64),
    /// As a word.
    Word(W),
}

/// A list of `T`, or the mapping `M`.
#[derive(Debug, JsonSchema)]
#[schemars(untagged)]
pub(in crate::config) enum ListOr<T, M> {
    /// As a list.
    List(Vec<T>),
    /// As a mapping.
    Mapping(M),
}

struct ListOrVisitor<T, M>(PhantomData<(T, M)>);

impl<'de, T: Deserialize<'de>, M: Deserialize<'de>> Visitor<'de> for ListOrVisitor<T, M> {
    type Value = ListOr<T, M>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list or a mapping")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, items: A) -> Result<Self::Value, A::Error> {
        Vec::deserialize(SeqAccessDeserializer::new(items)).map(ListOr::List)
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Self::Value, A::Error> {
        M::deserialize(MapAccessDeserializer::new(map)).map(ListOr::Mapping)
    }
}

impl<'de, T: Deserialize<'de>, M: Deserialize<'de>> Deserialize<'de> for ListOr<T, M> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ListOrVisitor(PhantomData))
    }
}

struct WordOrVisitor<W, M>(PhantomData<(W, M)>);

impl<'de, W: Deserialize<'de>, M: Deserialize<'de>> Visitor<'de> for WordOrVisitor<W, M> {
    type Value = WordOr<W, M>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a word or a mapping")
    }

    fn visit_str<E: Error>(self, word: &str) -> Result<Self::Value, E> {
        W::deserialize(StrDeserializer::new(word)).map(WordOr::Word)
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Self::Value, A::Error> {
        M::deserialize(MapAccessDeserializer::new(map)).map(WordOr::Mapping)
    }
}

impl<'de, W: Deserialize<'de>, M: Deserialize<'de>> Deserialize<'de> for WordOr<W, M> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(WordOrVisitor(PhantomData))
    }
}

struct NumberVisitor<W>(PhantomData<W>);

impl<'de, W: Deserialize<'de>> Visitor<'de> for NumberVisitor<W> {
    type Value = Number<W>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a whole number or a word")
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<Self::Value, E> {
        Ok(Number::Number(number))
    }

    fn visit_str<E: Error>(self, word: &str) -> Result<Self::Value, E> {
        W::deserialize(StrDeserializer::new(word)).map(Number::Word)
    }
}

impl<'de, W: Deserialize<'de>> Deserialize<'de> for Number<W> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(NumberVisitor(PhantomData))
    }
}
