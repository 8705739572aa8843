//! The read API and the health port over real sockets; only the watches are played.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test's helpers are tests too")]

mod bench;
mod health;
mod read_api;
