//! The native API as clients meet it: over sockets, against a controller that a test plays.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    unreachable_pub,
    dead_code,
    unused_imports,
    reason = "a test's helpers are tests too, and other tests use the rest of them"
)]

#[path = "../bench/mod.rs"]
mod bench;
mod document;
mod lookups;
mod raw;
mod service;
mod start;
