//! `cargo xtask demo`: a shop of four services on a real cluster, what is done to it, and what its pods saw meanwhile.
//!
//! ```text
//!  loops in pods, by kubectl exec      pure
//!  ┌────────┐ lines, and when ┌──────────────────┐
//!  │ Stream ├────────────────►│ load, sight,     │ numbers
//!  └────────┘                 │ lookup: what was ├────────► Report: kept, or not
//!  ┌────────┐ when            │ seen, and when   │
//!  │ scenes ├────────────────►│                  │
//!  └────────┘                 └──────────────────┘
//!    do it
//! ```
//!
//! Everything is asked by plain `wget` and `nslookup` in pods, so that it runs on any cluster and anybody can do it by hand. All
//! times are of one clock, this process's: of a line that came, and of the moment before something was done. So what is printed
//! is never shorter than what it stands for, and longer by the milliseconds of a stream of kubectl.

#![allow(clippy::indexing_slicing, reason = "a missing member of a JSON value is null, and never a panic")]

mod image_name;
mod load;
mod lookup;
mod names;
mod play;
mod report;
mod scenes;
mod shop;
mod sight;
mod stage;
mod stream;
mod wait;

pub use self::{
    image_name::{ImageName, ImageNameError},
    play::{Wish, play},
    scenes::{Scene, SceneError},
    stage::Stage,
};

/// Holds a line that a stream brought, and when it came. Times count from the beginning of the demo.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Line {
    pub(crate) at_ms: u64,
    pub(crate) text: String,
}
