//! What the catalogue keeps of an endpoint of a Service.

use std::{net::IpAddr, sync::Arc};

use crate::{liveness::EndpointWitness, registration::Port};

/// Holds what all EndpointSlices of one Service have on one endpoint, joined by the pod's UID or, where there is no
/// pod, by the address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EndpointFacts {
    /// The primary address first.
    pub addresses: Vec<IpAddr>,
    /// The ports as its slices number them, the Service's first one first.
    pub ports: Vec<Port>,
    pub zone: Option<Arc<str>>,
    pub node: Option<Arc<str>>,
    pub witness: EndpointWitness,
}
