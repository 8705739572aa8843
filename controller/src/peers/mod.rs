//! The other replicas: who they are, what they tell us, and whom they hear.
//!
//! ```text
//!  dials ─ dial ──► Way ─┐
//!  POST /v1/peer ─► Way ─┴► link ─ notes ─► owner            one task each
//!                             │ events  ▲ orders, beat
//!                             ▼         │
//!       view, words ────►    hub: book ─ look ─► standings ─► owner
//!       signs of life ◄─► one task       │
//!                                        └─► Fleet ─► sessions
//! ```

mod behind;
mod book;
mod dial;
mod dials;
mod drains;
mod fleet;
mod handle;
mod hub;
mod link;
mod links;
mod sign;
mod standing;
#[cfg(test)]
pub(crate) mod testing;

pub use book::{Answer, Book, Counts, Look, TICK_MS, Turn};
pub use fleet::{Fleet, Other};
pub use handle::{AwaitsSubscribers, PeersHandle};
pub use hub::{Means, Peers, Settings, peers};
pub(crate) use link::Moving;
pub use standing::{Lookout, Missed};

#[cfg(test)]
mod tests;
