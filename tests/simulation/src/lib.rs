//! Replicas of the controller and sidecars in a simulated network, in virtual time: one loop of events, no threads, no clock, and
//! everything that is not code under test drawn from one seed, so that a run that fails can be run again.
//!
//! ```text
//!   story ──► what goes wrong, and what people do            chronicle: the last that happened
//!     │
//!     ▼                  late, in order
//!  Kubernetes ── Change ──────────────► 1 to 3 controllers: Index, Feed, a Server each session,
//!  (a model)                               ▲                a Ledger, and a Link with each other
//!                                          │ bytes, cut anywhere, late, lost, cut off
//!                                          ▼
//!                                       sidecars: a Client each, with its back-off
//!                                          │
//!  checks ◄── what is held and shown ──────┘
//! ```
//!
//! Real are the index, the feed, the ledger, both ends of the wires and their codec. What the processes put around them with sockets and
//! timers is done here in a few lines, in `controller/` and `sidecar.rs`.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test's helpers are tests too"
)]

mod agenda;
mod chance;
mod checks;
mod chronicle;
mod controller;
mod dying_node;
mod ether;
mod kubernetes;
mod late_replica;
mod network;
mod run;
mod sidecar;
mod story;
mod world;

pub use dying_node::run_a_node_that_dies;
pub use late_replica::run_a_replica_that_reads_nothing;
pub use run::{Outcome, Plan, run};
