//! A Kubernetes API server in the process, for tests: a model that promises what the real one does, as far as the
//! controller asks for it, and no more.
//!
//! ```text
//!  a test ─► cluster: nodes, pods, Services, as Kubernetes' own controllers write them ─┐
//!  kube::Client ─► Faults ─► replica (lags, frozen, restarted) ─► state: the rules ─────┴─► history
//!      ▲                        │ lists as of a revision, watches from one                   one revision
//!      └────────────────────────┘                                                            for all kinds
//! ```
//!
//! No sockets and no threads, and no time but tokio's, so that a paused clock holds for all of it. `tests/conformance`
//! holds it against a real API server, case by case: what stands there is what may be relied on.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test's helpers are tests too"
)]

mod cluster;
mod deletion;
mod faults;
mod fields;
mod history;
mod kinds;
mod ownership;
mod patch;
mod read;
mod refusal;
mod replica;
mod request;
mod server;
mod state;
mod tokens;
mod watch;
mod writes;

pub use cluster::{Cluster, PodWish};
pub use faults::{Calls, Fault, Faults, Harm};
pub use history::{Id, What, Written};
pub use kinds::{KINDS, Kind};
pub use refusal::Refusal;
pub use request::Verb;
pub use server::ApiServer;
