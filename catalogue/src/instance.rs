//! One instance, as every answer and every frame writes it.

use std::{cmp::Ordering, collections::BTreeMap, net::IpAddr, sync::Arc};

use serde::{Deserialize, Serialize};

use crate::state::{Reason, State};

/// Holds one place where a service can be reached. The fields stand in the order in which JSON writes them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Instance {
    /// Pod UID and primary port; stable for as long as the pod lives.
    pub id: String,
    pub address: IpAddr,
    /// All addresses of a dual-stack pod, the primary one first.
    pub addresses: Vec<IpAddr>,
    /// The primary port.
    pub port: u16,
    /// The named ports; a port without a name is only ever the primary one.
    pub ports: BTreeMap<String, u16>,
    pub version: Option<String>,
    pub zone: Option<String>,
    pub node: Option<String>,
    pub pod: Option<String>,
    pub weight: u16,
    pub tags: Vec<String>,
    pub metadata: Arc<BTreeMap<String, String>>,
    pub state: State,
    pub reason: Reason,
    /// The service's revision at which this instance last changed.
    pub revision: u64,
}

impl Instance {
    /// The stable order of every list: by address as a number, then port, then id.
    pub(crate) fn order(&self, other: &Self) -> Ordering {
        (self.address, self.port, &self.id).cmp(&(other.address, other.port, &other.id))
    }

    /// Whether both say the same, whenever they last changed.
    pub(crate) fn same_content(&self, other: &Self) -> bool {
        let Self {
            id,
            address,
            addresses,
            port,
            ports,
            version,
            zone,
            node,
            pod,
            weight,
            tags,
            metadata,
            state,
            reason,
            revision: _,
        } = self;
        *id == other.id
            && *address == other.address
            && *addresses == other.addresses
            && *port == other.port
            && *ports == other.ports
            && *version == other.version
            && *zone == other.zone
            && *node == other.node
            && *pod == other.pod
            && *weight == other.weight
            && *tags == other.tags
            && *metadata == other.metadata
            && *state == other.state
            && *reason == other.reason
    }
}
