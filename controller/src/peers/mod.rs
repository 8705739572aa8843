//! The other replicas: who they are, what they tell us, and whom they hear.

mod fleet;
mod handle;

pub use fleet::{Fleet, Other};
pub use handle::{AwaitsSubscribers, PeersHandle};
