//! What operators see of a controller: whether it is well, its measurements, what it holds and why, and what it logs.
//!
//! ```text
//!  View ──┬─► health  :7391  /healthz /readyz /metrics     the kubelet, Prometheus
//!         └─► api     :7380  services, explain, catalogue  people, over the pod's loopback
//! ```

pub mod api;
mod consumers;
mod evictions;
mod explain;
mod failing;
mod format;
pub mod health;
mod hearings;
mod lacking;
mod metrics;
mod writes;

pub use evictions::EVICTIONS;
pub use format::Format;
pub use health::Beside;
pub use metrics::Metrics;
pub use writes::{WriteCounts, WriteKind};
