//! The Services of Kubernetes and their EndpointSlices, joined into one endpoint for each that they lead to.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
    sync::Arc,
};

use rollcall_catalogue::{
    EndpointFacts, Few, PodUid, Port, Registration, ServiceKey, liveness::EndpointWitness,
};

use crate::index::{ServiceFacts, SliceEndpoint, SliceFacts, services::RegistrationId};

/// Names whom an instance belongs to.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum OwnerId {
    Pod(PodUid),
    Address(IpAddr),
}

/// Holds what is known of one Service of Kubernetes, whichever part of it came first.
#[derive(Debug, Default)]
pub(super) struct KubeService {
    pub(super) facts: Option<ServiceFacts>,
    /// The registration that it is in a namespace that adopts Services.
    pub(super) adopted: Option<Arc<Registration>>,
    slices: BTreeMap<Arc<str>, Slice>,
    /// The registrations whose target it is.
    pub(super) aimed_at_by: BTreeMap<RegistrationId, ServiceKey>,
}

#[derive(Debug)]
struct Slice {
    ports: Vec<Port>,
    /// By their owners, each once.
    endpoints: Box<[Endpoint]>,
}

/// Holds one endpoint of a slice, by whom it belongs to.
#[derive(Debug, PartialEq, Eq)]
struct Endpoint {
    owner: OwnerId,
    addresses: Few<IpAddr>,
    /// None of a pod's: where a pod is, the pod and its node say.
    whereabouts: Option<Box<Whereabouts>>,
    ready: bool,
    terminating: bool,
}

/// Holds where a slice says that something is which is no pod.
#[derive(Debug, PartialEq, Eq)]
struct Whereabouts {
    zone: Option<Arc<str>>,
    node: Option<Arc<str>>,
}

// === impl KubeService ===

impl KubeService {
    pub(super) fn is_empty(&self) -> bool {
        self.facts.is_none() && self.slices.is_empty() && self.aimed_at_by.is_empty()
    }

    /// Everyone whom it leads to.
    pub(super) fn owners(&self) -> BTreeSet<OwnerId> {
        let endpoints = self.slices.values().flat_map(|slice| &slice.endpoints);
        endpoints.map(|endpoint| endpoint.owner.clone()).collect()
    }

    pub(super) fn leads_to(&self, owner: &OwnerId) -> bool {
        self.slices.values().any(|slice| slice.endpoint(owner).is_some())
    }

    /// Puts a slice in the place of the one of this name; gives those of whom it says something new.
    pub(super) fn set_slice(&mut self, name: &Arc<str>, facts: Option<SliceFacts>) -> BTreeSet<OwnerId> {
        let after = facts.map(Slice::new);
        let changed = difference(self.slices.get(name), after.as_ref());
        match after {
            Some(slice) => self.slices.insert(name.clone(), slice),
            None => self.slices.remove(name),
        };
        changed
    }

    /// What all slices have on one of those whom it leads to. The same endpoint may stand in two of them while it
    /// moves from one to the other.
    pub(super) fn endpoint(&self, owner: &OwnerId) -> Option<EndpointFacts> {
        let found = self.slices.values().filter_map(|slice| Some((slice, slice.endpoint(owner)?)));
        let facts = found.map(|(slice, endpoint)| EndpointFacts {
            addresses: endpoint.addresses.to_vec(),
            ports: slice.ports.clone(),
            zone: endpoint.whereabouts.as_ref().and_then(|at| at.zone.clone()),
            node: endpoint.whereabouts.as_ref().and_then(|at| at.node.clone()),
            witness: self.witness(endpoint),
        });
        let mut joined = facts.reduce(|held, other| held.joined(&other));
        if let (Some(joined), Some(facts)) = (&mut joined, &self.facts) {
            let place = |port: &Port| facts.ports.iter().position(|of_service| of_service.name == port.name);
            // Those that the Service does not have any more are the last.
            joined.ports.sort_by_key(|port| place(port).unwrap_or(usize::MAX));
        }
        joined
    }

    fn witness(&self, endpoint: &Endpoint) -> EndpointWitness {
        let publishes = self.facts.as_ref().is_some_and(|facts| facts.publishes_not_ready);
        if endpoint.terminating {
            EndpointWitness::Terminating
        } else if endpoint.ready && publishes {
            EndpointWitness::Published
        } else if endpoint.ready {
            EndpointWitness::Ready
        } else {
            EndpointWitness::NotReady
        }
    }
}

// === impl Slice ===

impl Slice {
    fn new(facts: SliceFacts) -> Self {
        let endpoints = facts.endpoints.into_iter().filter_map(|endpoint| {
            let SliceEndpoint { addresses, pod, zone, node, ready, terminating } = endpoint;
            let (owner, meant, whereabouts) = match pod {
                Some(uid) => (OwnerId::Pod(uid), addresses.len(), None),
                // All addresses of an endpoint are of one thing, and consumers are to use the first: the others of
                // what is no pod could be anybody's.
                None => (OwnerId::Address(*addresses.first()?), 1, Whereabouts::told(zone, node)),
            };
            Some(Endpoint {
                owner,
                addresses: addresses.into_iter().take(meant).collect(),
                whereabouts,
                ready,
                terminating,
            })
        });
        // Of several of one owner, the last counts.
        let distinct: BTreeMap<_, _> = endpoints.map(|endpoint| (endpoint.owner.clone(), endpoint)).collect();
        Self { ports: facts.ports, endpoints: distinct.into_values().collect() }
    }

    fn endpoint(&self, owner: &OwnerId) -> Option<&Endpoint> {
        let place = self.endpoints.binary_search_by(|endpoint| endpoint.owner.cmp(owner)).ok()?;
        self.endpoints.get(place)
    }
}

// === impl Whereabouts ===

impl Whereabouts {
    /// None where nothing is told.
    fn told(zone: Option<Arc<str>>, node: Option<Arc<str>>) -> Option<Box<Self>> {
        (zone.is_some() || node.is_some()).then(|| Box::new(Self { zone, node }))
    }
}

fn difference(before: Option<&Slice>, after: Option<&Slice>) -> BTreeSet<OwnerId> {
    let same_ports = matches!((before, after), (Some(before), Some(after)) if before.ports == after.ports);
    let mut changed = BTreeSet::new();
    for (one, other) in [(before, after), (after, before)] {
        for endpoint in one.into_iter().flat_map(|slice| &slice.endpoints) {
            let held = other.and_then(|slice| slice.endpoint(&endpoint.owner));
            if !same_ports || held != Some(endpoint) {
                changed.insert(endpoint.owner.clone());
            }
        }
    }
    changed
}
