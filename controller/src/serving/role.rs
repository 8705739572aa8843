//! Which replica serves sessions.

use std::net::SocketAddr;

/// Says whether this replica serves sessions.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Role {
    /// It has just started, and does not know who else is there.
    #[default]
    NotKnown,
    Serving,
    Standby {
        /// Where the sessions of the replica that serves are.
        serving: SocketAddr,
    },
}

// === impl Role ===

impl Role {
    pub fn serves(self) -> bool {
        self == Self::Serving
    }
}
