//! The one integration binary: what Consentry does, seen from outside.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

mod admin;
mod cases;
mod check;
mod config;
mod demo;
mod examples;
mod explain;
mod generated;
mod kafka;
mod oracle;
mod sim;
mod tidy;
