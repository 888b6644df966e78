//! `consentry.v1.HeldRecord` as another reads it: what stands in a hold topic.

use prost::Message;

#[derive(Clone, PartialEq, Eq, Message)]
pub struct HeldRecord {
    #[prost(string, tag = "1")]
    pub topic: String,
    #[prost(int32, tag = "2")]
    pub partition: i32,
    #[prost(int64, tag = "3")]
    pub offset: i64,
    #[prost(string, tag = "4")]
    pub route: String,
    #[prost(int64, tag = "5")]
    pub held_at_ms: i64,
    #[prost(string, tag = "6")]
    pub reason: String,
    #[prost(message, repeated, tag = "7")]
    pub deadlines: Vec<Deadline>,
    #[prost(bytes = "vec", optional, tag = "8")]
    pub key: Option<Vec<u8>>,
    #[prost(bytes = "vec", optional, tag = "9")]
    pub value: Option<Vec<u8>>,
    #[prost(message, repeated, tag = "10")]
    pub headers: Vec<Header>,
    #[prost(int64, optional, tag = "11")]
    pub timestamp_ms: Option<i64>,
    #[prost(string, tag = "12")]
    pub policy: String,
}

#[derive(Clone, PartialEq, Eq, Message)]
pub struct Deadline {
    #[prost(string, tag = "1")]
    pub reason: String,
    #[prost(int64, tag = "2")]
    pub until_ms: i64,
}

#[derive(Clone, PartialEq, Eq, Message)]
pub struct Header {
    #[prost(string, tag = "1")]
    pub name: String,
    #[prost(bytes = "vec", optional, tag = "2")]
    pub value: Option<Vec<u8>>,
}
