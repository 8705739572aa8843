//! The other replicas: who they are, what they tell us, and whom they hear.

mod fleet;
mod handle;
#[cfg(test)]
pub(crate) mod testing;

pub use fleet::{Fleet, Other};
pub use handle::{AwaitsSubscribers, PeersHandle};
