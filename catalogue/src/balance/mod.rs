//! Placeholder until the balancer lands.
use serde::{Deserialize, Serialize};

/// Says how callers spread their requests.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Policy {
    Random,
    #[default]
    RoundRobin,
    Weighted,
    LeastLoaded,
    PowerOfTwo,
    ConsistentHash,
}
