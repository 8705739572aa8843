//! What the controller's tests on a real cluster share.
//!
//! ```text
//!   kubectl ── what is there ──► model: what the catalogue must be ─┐
//!                                                                   ├─ equal, soon and all the time
//!   controller (a real process) ── /v1/catalogue ───────────────────┘
//! ```
//!
//! Nothing here knows the controller's code: the model is a second, naive reading of the contract.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test's helpers are tests too"
)]

pub mod catalogue;
pub mod client;
pub mod controller;
mod facts;
pub mod hermit;
pub mod http;
pub mod knock;
pub mod model;
pub mod network;
pub mod objects;
pub mod observer;
pub mod proxy;
pub mod stage;
