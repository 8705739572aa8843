//! What changed: how a holder of an older state comes to the newest one, with exactly what it lacks.
//!
//! ```text
//!  Snapshot::next ─► Delta per service ─► Ring: the recent ones, by number and by service
//!                                           │ held content known   ─► the deltas from it on, joined
//!                                           └ held content unknown ─► the whole service
//! ```
//!
//! What is held is told by its content's hash, which is the same on every replica.

mod delta;
mod follow;
mod position;
mod ring;

pub use delta::{Delta, Head, OutOfStep};
pub use follow::{Mismatch, follow, whole};
pub use position::{Position, Reading, next_local, receive};
pub use ring::Ring;

#[cfg(test)]
#[path = "changes_tests.rs"]
mod tests;
