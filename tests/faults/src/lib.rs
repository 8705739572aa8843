//! What apps are told while parts fail, on a real cluster of three nodes.
//!
//! ```text
//!  in each pod's network           pure
//!  ┌──────────┐ History   ┌───────────────────┐
//!  │ Watchers ├──────────►│ judge             │ Verdict
//!  └──────────┘           │ who was told what ├────────► Promise kept? ─► report
//!  ┌──────────┐ Truth     │ that is not so    │
//!  │ Trial    ├──────────►│                   │
//!  └──────────┘           └───────────────────┘
//!    does what fails, and notes it
//! ```
//!
//! All nodes of the kit share one machine, and the watchers one process: all times are of one clock, and none is compared
//! with another. So a lookup says exactly what was known before what happened.
//!
//! Needs `KUBECONFIG` of a cluster of the kit with three nodes that have our images; `cargo xtask bench faults` makes one.

#![allow(clippy::indexing_slicing, reason = "a missing member of a JSON value is null, and never a panic")]

mod caller;
mod cut;
mod history;
mod judge;
mod kit;
mod lab;
#[cfg(test)]
mod page;
mod promise;
mod replica;
mod report;
pub mod scenes;
mod slow;
mod trial;
mod truth;
mod watchers;

pub use self::{
    caller::{Answer, Caller},
    cut::Cut,
    history::{Client, History, Instance, Look, Said, Told},
    judge::{OfAbsence, OfClient, Verdict, judge},
    kit::{hardware, holder},
    lab::Lab,
    promise::Promise,
    replica::Replica,
    report::Section,
    slow::Slow,
    trial::Trial,
    truth::{Absence, Pod, Truth},
    watchers::{Subject, Watchers, ask_once},
};
