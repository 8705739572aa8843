//! DNS as resolvers meet it: packets over UDP and TCP to the sidecar's own process, against a controller that a test plays.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    unreachable_pub,
    dead_code,
    unused_imports,
    reason = "a test's helpers are tests too, and other tests use the rest of them"
)]

mod answers;
#[path = "../bench/mod.rs"]
mod bench;
mod carriers;
mod client;
mod service;
mod standing;
