//! What apps are told while builds of two versions run side by side, on a real cluster of two nodes.
//!
//! ```text
//!  kubectl get --watch        in each pod's network
//!  ┌────────┐ who is there    ┌──────────┐ History
//!  │ Census ├────────────────►│ Watchers ├──────────┐
//!  └───┬────┘                 └──────────┘          ▼
//!      └── Truth ──────────────────────────────► judge ─► Promise kept? ─► report
//! ```
//!
//! It is one story of chapters, since each begins where the one before has ended. Watchers, judge and report are those of
//! `tests/faults`; what is added is that pods come and go meanwhile.
//!
//! Needs `KUBECONFIG` of a cluster of the kit with two nodes that have the images of both versions, and the chart of the
//! older one; `cargo xtask bench upgrades` makes all that.

#![allow(clippy::indexing_slicing, reason = "a missing member of a JSON value is null, and never a panic")]

mod census;
mod chapter;
mod stage;
mod story;
mod version;

pub use self::{
    census::Census,
    chapter::Chapter,
    stage::{SERVICES, Stage},
    story::tell,
    version::Version,
};
