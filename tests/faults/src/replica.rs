//! A controller's pod, and what it says of itself.

use std::net::{IpAddr, SocketAddr};

use anyhow::{Context, Result};
use rollcall_slice::{Pod, text};

use crate::Caller;

/// Where a controller tells its metrics.
const METRICS: u16 = 7391;

/// Holds one, as it was when it was looked at.
#[derive(Debug, Clone)]
pub struct Replica {
    pub name: String,
    pub uid: String,
    pub node: String,
    pub address: IpAddr,
    pub is_ready: bool,
}

// === impl Replica ===

impl Replica {
    /// An error while it has no address.
    pub fn of(pod: &Pod) -> Result<Self> {
        Ok(Self {
            name: pod.name().to_owned(),
            uid: text(&pod.0["metadata"], "uid").to_owned(),
            node: text(&pod.0["spec"], "nodeName").to_owned(),
            address: pod.ip().parse().with_context(|| format!("{} has no address", pod.name()))?,
            is_ready: pod.is_ready(),
        })
    }

    /// How many sidecars are in session with it; this machine reaches every pod.
    pub fn sessions(&self) -> Result<u64> {
        let mut caller = Caller::new(SocketAddr::new(self.address, METRICS));
        let text = caller.get("/metrics")?.text();
        sessions_in(&text).with_context(|| format!("{} tells no sessions", self.name))
    }
}

fn sessions_in(metrics: &str) -> Option<u64> {
    metrics.lines().find_map(|line| line.strip_prefix("rollcall_sessions ")?.trim().parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sessions_are_read_from_the_metrics() {
        let metrics = "# TYPE rollcall_sessions gauge\nrollcall_sessions_ended_total{reason=\"slow\"} 4\nrollcall_sessions 9\n";
        assert_eq!(sessions_in(metrics), Some(9));
        assert_eq!(sessions_in("rollcall_services 3\n"), None);
    }
}
