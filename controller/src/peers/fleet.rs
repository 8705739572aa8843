//! What everybody in the process may know of the other replicas.

use std::{net::SocketAddr, sync::Arc};

/// Holds the other replicas as they are now.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Fleet {
    /// What those know that can be reached is known here too, or it was waited for long enough: before that nobody is served.
    pub is_met: bool,
    pub others: Vec<Other>,
    /// Where the others were, while none of them and no API server is heard although they were: we are the one that is cut
    /// off, and whoever is in session here is better off there. Empty at all other times.
    pub cut_from: Vec<SocketAddr>,
    /// Others read on in Kubernetes while we do not.
    pub is_behind: bool,
    /// And one of them serves: whoever is in session here is better off there.
    pub gives_way: bool,
}

/// Holds one of the other replicas that we are linked with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Other {
    pub replica: Arc<str>,
    /// Where its sessions are.
    pub sessions_at: SocketAddr,
    /// How many it has.
    pub sessions: u32,
    /// Sidecars may be sent there: it knows everything, reads on as far as anybody does, and does not end.
    pub serves: bool,
}
