//! What the index has of addresses outside the cluster: who is to be asked, and what they answered.

use std::net::IpAddr;

use rollcall_catalogue::{ProbeSpec, ServiceKey};

use super::{Index, endpoints::OwnerId};

/// Holds one address outside the cluster that is to be asked whether it is up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutsideTarget {
    pub id: OutsideId,
    pub probe: ProbeSpec,
    /// The port that the probe's name stands for.
    pub port: u16,
    /// Grows with each time that the address is listed anew. What was known before is forgotten by then, and whoever
    /// sees only the newest list would not notice that it was gone.
    pub epoch: u64,
}

/// Names an address outside the cluster within a service.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct OutsideId {
    pub service: ServiceKey,
    pub address: IpAddr,
}

// === impl Index ===

impl Index {
    /// Nobody here asks addresses outside any more: what they answered is no longer known.
    pub(crate) fn forget_answers(&mut self) {
        for id in std::mem::take(&mut self.answers).into_keys() {
            self.mark_owner([&id.service], &OwnerId::Address(id.address));
        }
    }
}
