//! The other replicas: who they are, what they tell us, and whom they hear.

mod fleet;

pub use fleet::{Fleet, Other};
