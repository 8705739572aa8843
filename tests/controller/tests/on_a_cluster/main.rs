//! The controller on a real cluster: its catalogue against what kubectl says.
//!
//! Needs `KUBECONFIG`, with the rights of an administrator, and Go for kwok and kubectl where they are not built yet.
//! Nothing is pulled or started on the cluster's own nodes.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test's helpers are tests too"
)]

mod adoption;
mod certificates;
mod churn;
mod endpoints;
mod faults;
mod identity;
mod injection;
mod mistakes;
mod protocol;
mod replicas;
mod restarts;
mod scale;
mod targets;
mod visibility;
