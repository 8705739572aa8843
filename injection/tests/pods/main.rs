//! What an injection does to pods.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::needless_pass_by_value,
    reason = "a test's helpers are tests too"
)]

mod classes;
mod given;
mod properties;
mod resolver;
mod support;
