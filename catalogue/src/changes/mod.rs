//! What changed: how a holder of an older state comes to the newest one, with exactly what it lacks.
//!
//! ```text
//!  Snapshot::next ─► Delta per service ─► Ring: the recent ones, by cursor
//!                                           │ cursor known   ─► the deltas since, joined; gone where it is not to be seen
//!                                           └ cursor unknown ─► held hashes: unchanged, whole, or gone
//! ```
//!
//! A cursor holds on the process that gave it; elsewhere content hashes decide, which are the same everywhere.

mod delta;
mod follow;
mod position;
mod resume;
mod ring;

pub use delta::{Delta, Head, OutOfStep};
pub use follow::{Mismatch, follow, whole};
pub use position::{Position, next_local, receive};
pub use resume::{Resumed, by_hash};
pub use ring::{Cursor, Ring};

#[cfg(test)]
#[path = "changes_tests.rs"]
mod tests;
