//! The pages as they are written: each block has its place in the table, each manifest is one, each link leads somewhere.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test fails by panicking")]

mod blocks;
mod links;
mod yaml;
