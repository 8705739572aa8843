//! Whole processes in a simulated network, in virtual time: controllers and sidecars as they are, with their tasks, timers,
//! TLS and HTTP/2, and what goes wrong drawn from one seed.
//!
//! ```text
//!   story ──► World ─┬─ Net        cuts, ways, resets                        chronicle: what was done
//!                    ├─ Truth      nodes, pods: what Kubernetes would say
//!                    └─ Host *     a runtime of its own, whose clock the world moves
//!                        ├─ a controller: watches, owner, Lease, sessions
//!                        └─ a pod: the sidecar, and an app that looks up ──► Journal ──► history: were the promises kept?
//! ```
//!
//! The seed decides what happens to whom, and when; it is not everything. The standard library keys its maps by chance of its
//! own, tokio draws which of two ready branches goes first, and a signature's length varies: two runs of one seed tell
//! the same story, and differ in milliseconds. `tests/simulation` has the same machines without tasks, and to the
//! last bit.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test's helpers are tests too"
)]

pub mod chance;
pub mod chronicle;
pub mod controller;
pub mod history;
pub mod host;
pub mod kubernetes;
pub mod network;
pub mod pod;
pub mod story;
pub mod world;

/// Milliseconds since the world began.
pub type Millis = u64;
