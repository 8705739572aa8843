//! What a peer is told of the installation: whom to believe, and where to call.

use std::{net::SocketAddr, sync::Arc};

use crate::limits::CA_BYTES_MAX;

/// Holds what a pod was given when it was made, as it is now.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Way {
    /// The authorities to be believed, in PEM; none where nothing is to be said of them.
    pub ca: Option<Arc<str>>,
    /// Where the controller is reached, whichever replica answers there; none where that is not known.
    pub controller: Option<SocketAddr>,
}

// === impl Way ===

impl Way {
    /// Without what no peer would take: nothing, or more than there may be.
    pub(super) fn fit(mut self) -> Self {
        self.ca = self.ca.filter(|ca| !ca.trim().is_empty() && ca.len() <= CA_BYTES_MAX);
        self
    }
}
