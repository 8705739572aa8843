//! Which addresses belong to whom in the cluster, so that nobody registers what is not his.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    net::IpAddr,
    sync::Arc,
};

use ipnet::IpNet;
use rollcall_catalogue::{Namespace, Reach, ServiceKey, refusal};

use crate::index::by_address::ByAddress;

/// Holds the addresses that the cluster itself has given out.
#[derive(Debug, Default)]
pub(super) struct AddressBook {
    /// Those on the host's network share theirs.
    pods: ByAddress<Owners>,
    /// Those that Services are reached by.
    services: Counts,
    nodes: Counts,
    ranges: BTreeMap<Arc<str>, Vec<IpNet>>,
    api_servers: BTreeSet<IpAddr>,
    /// What the operator allows all the same.
    allowed: Vec<IpNet>,
    reach: Reach,
    /// The services that would have it as an instance, so that they are told when its owner changes.
    meant: HashMap<IpAddr, BTreeSet<ServiceKey>>,
}

/// Holds how many have each address, of those that any has.
#[derive(Debug, Default)]
struct Counts(HashMap<IpAddr, u32>);

/// Holds whose pods have an address.
#[derive(Debug)]
enum Owners {
    /// As nearly all have it.
    One(Namespace),
    /// Several pods, or none any more.
    #[expect(clippy::box_collection, reason = "every address has the room of the largest of these")]
    Several(Box<BTreeMap<Namespace, u32>>),
}

/// Says how somebody came to name an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Named<'a> {
    /// In a list of things outside the cluster.
    Outside,
    /// By an EndpointSlice of this namespace, without a pod.
    BySlice(&'a Namespace),
}

// === impl AddressBook ===

impl AddressBook {
    pub(super) fn allowing(allowed: Vec<IpNet>) -> Self {
        Self { allowed, ..Self::default() }
    }

    /// The same for one machine, which has given out nothing: what listens there is everybody's who runs there.
    pub(super) fn of_this_machine(self) -> Self {
        Self { reach: Reach::Machine, ..self }
    }

    /// What keeps this address from being an instance; the words end the sentence "`address` is …".
    pub(super) fn refusal(&self, address: IpAddr, named: Named<'_>) -> Option<&'static str> {
        if let Some(never) = refusal(address, self.reach) {
            return Some(never);
        }
        if self.reach == Reach::Machine || self.allowed.iter().any(|range| range.contains(&address)) {
            return None;
        }
        if self.api_servers.contains(&address) {
            return Some("of the API server");
        }
        if self.services.has(address) {
            return Some("of a Service");
        }
        // Whatever else is at it: the pods of a node's own network are found as pods, and not by its address.
        if self.nodes.has(address) {
            return Some("of a node");
        }
        match (self.pods.get(address), named) {
            (Some(owners), Named::BySlice(namespace)) if owners.are_all_of(namespace) => None,
            (Some(_), _) => Some("of a pod"),
            (None, _) if self.ranges.values().flatten().any(|range| range.contains(&address)) => {
                Some("in the range of the cluster's pods")
            }
            (None, _) => None,
        }
    }

    /// Gives the services that must be told.
    pub(super) fn pod_takes(&mut self, address: IpAddr, namespace: &Namespace) -> BTreeSet<ServiceKey> {
        match self.pods.get_mut(address) {
            Some(owners) => owners.add(namespace),
            None => self.pods.insert(address, Owners::One(namespace.clone())),
        }
        self.told(address)
    }

    pub(super) fn pod_leaves(&mut self, address: IpAddr, namespace: &Namespace) -> BTreeSet<ServiceKey> {
        if let Some(owners) = self.pods.get_mut(address) {
            owners.remove(namespace);
            if owners.is_empty() {
                self.pods.remove(address);
            }
        }
        self.told(address)
    }

    pub(super) fn service_takes(&mut self, address: IpAddr) -> BTreeSet<ServiceKey> {
        self.services.add(address);
        self.told(address)
    }

    pub(super) fn service_leaves(&mut self, address: IpAddr) -> BTreeSet<ServiceKey> {
        self.services.remove(address);
        self.told(address)
    }

    pub(super) fn node_takes(&mut self, address: IpAddr) -> BTreeSet<ServiceKey> {
        self.nodes.add(address);
        self.told(address)
    }

    pub(super) fn node_leaves(&mut self, address: IpAddr) -> BTreeSet<ServiceKey> {
        self.nodes.remove(address);
        self.told(address)
    }

    /// The ranges of a node's pods; empty where the node is gone.
    pub(super) fn node_has(&mut self, node: &Arc<str>, ranges: &[IpNet]) -> BTreeSet<ServiceKey> {
        let before = match ranges.is_empty() {
            true => self.ranges.remove(node),
            false => self.ranges.insert(node.clone(), ranges.to_vec()),
        };
        if before.unwrap_or_default() == ranges {
            return BTreeSet::new();
        }
        self.meant.values().flatten().cloned().collect()
    }

    pub(super) fn api_servers_are(&mut self, addresses: BTreeSet<IpAddr>) -> BTreeSet<ServiceKey> {
        let before = std::mem::replace(&mut self.api_servers, addresses);
        let changed: Vec<_> = before.symmetric_difference(&self.api_servers).copied().collect();
        changed.into_iter().flat_map(|address| self.told(address)).collect()
    }

    pub(super) fn is_meant(&mut self, address: IpAddr, by: &ServiceKey) {
        self.meant.entry(address).or_default().insert(by.clone());
    }

    pub(super) fn is_not_meant(&mut self, address: IpAddr, by: &ServiceKey) {
        if let Some(services) = self.meant.get_mut(&address) {
            services.remove(by);
            if services.is_empty() {
                self.meant.remove(&address);
            }
        }
    }

    fn told(&self, address: IpAddr) -> BTreeSet<ServiceKey> {
        self.meant.get(&address).cloned().unwrap_or_default()
    }

    #[cfg(test)]
    pub(super) fn is_empty(&self) -> bool {
        let counts = self.services.0.is_empty() && self.nodes.0.is_empty();
        counts && self.pods.is_empty() && self.ranges.is_empty() && self.meant.is_empty()
    }
}

// === impl Counts ===

impl Counts {
    fn has(&self, address: IpAddr) -> bool {
        self.0.contains_key(&address)
    }

    fn add(&mut self, address: IpAddr) {
        *self.0.entry(address).or_default() += 1;
    }

    fn remove(&mut self, address: IpAddr) {
        if let Some(count) = self.0.get_mut(&address) {
            *count -= 1;
            if *count == 0 {
                self.0.remove(&address);
            }
        }
    }
}

// === impl Owners ===

impl Owners {
    fn are_all_of(&self, namespace: &Namespace) -> bool {
        match self {
            Self::One(owner) => owner == namespace,
            Self::Several(owners) => owners.keys().all(|owner| owner == namespace),
        }
    }

    fn add(&mut self, namespace: &Namespace) {
        if let Self::One(owner) = self {
            *self = Self::Several(Box::new([(owner.clone(), 1)].into()));
        }
        if let Self::Several(owners) = self {
            *owners.entry(namespace.clone()).or_default() += 1;
        }
    }

    fn remove(&mut self, namespace: &Namespace) {
        match self {
            Self::One(owner) if owner == namespace => *self = Self::Several(Box::default()),
            Self::One(_) => {}
            Self::Several(owners) => {
                owners.entry(namespace.clone()).and_modify(|count| *count -= 1);
                owners.retain(|_, count| *count > 0);
            }
        }
    }

    fn is_empty(&self) -> bool {
        matches!(self, Self::Several(owners) if owners.is_empty())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn on_one_machine_nothing_is_anybodys_in_particular() {
        let shop: Namespace = "shop".parse().unwrap();
        let mut book = AddressBook::default().of_this_machine();
        let loopback: IpAddr = [127, 0, 0, 1].into();
        book.pod_takes(loopback, &shop);
        assert_eq!(book.refusal(loopback, Named::Outside), None);
        assert!(book.refusal([169, 254, 169, 254].into(), Named::Outside).is_some());
    }

    #[test]
    fn what_the_cluster_gave_out_is_nobody_elses() {
        let (shop, other): (Namespace, Namespace) = ("shop".parse().unwrap(), "other".parse().unwrap());
        let ip = |text: &str| text.parse::<IpAddr>().unwrap();
        let mut book = AddressBook::allowing(vec!["10.1.9.0/24".parse().unwrap()]);
        book.pod_takes(ip("10.1.0.1"), &shop);
        book.pod_takes(ip("10.1.9.1"), &shop);
        book.service_takes(ip("10.2.0.1"));
        // A node's own, at which a pod of its network is too.
        book.node_takes(ip("192.0.2.7"));
        book.pod_takes(ip("192.0.2.7"), &shop);
        book.node_takes(ip("10.1.9.7"));
        book.node_has(&"n1".into(), &["10.1.0.0/16".parse().unwrap()]);
        book.api_servers_are([ip("192.0.2.1")].into());
        let table = [
            ("10.1.0.1", Some("of a pod"), None, Some("of a pod")),
            ("10.1.9.1", None, None, None),
            ("10.2.0.1", Some("of a Service"), Some("of a Service"), Some("of a Service")),
            (
                "10.1.0.2",
                Some("in the range of the cluster's pods"),
                Some("in the range of the cluster's pods"),
                Some("in the range of the cluster's pods"),
            ),
            ("192.0.2.1", Some("of the API server"), Some("of the API server"), Some("of the API server")),
            ("192.0.2.7", Some("of a node"), Some("of a node"), Some("of a node")),
            ("10.1.9.7", None, None, None),
            ("198.51.100.7", None, None, None),
            ("127.0.0.1", Some("loopback"), Some("loopback"), Some("loopback")),
        ];
        for (address, outside, own, others) in table {
            let refusal = |named| book.refusal(ip(address), named);
            let seen = [Named::Outside, Named::BySlice(&shop), Named::BySlice(&other)].map(refusal);
            assert_eq!(seen, [outside, own, others], "{address}");
        }
    }

    #[test]
    fn whoever_means_an_address_is_told_when_its_owner_changes() {
        let shop: Namespace = "shop".parse().unwrap();
        let (ip, key): (IpAddr, ServiceKey) = ([10, 0, 0, 1].into(), "db.shop".parse().unwrap());
        let mut book = AddressBook::default();
        assert!(book.pod_takes(ip, &shop).is_empty());
        book.is_meant(ip, &key);
        let told: BTreeSet<_> = [key.clone()].into();
        assert_eq!(book.pod_takes(ip, &shop), told);
        assert_eq!(book.pod_leaves(ip, &shop), told);
        assert!(book.refusal(ip, Named::Outside).is_some(), "the other of the two is still there");
        assert_eq!(book.pod_leaves(ip, &shop), told);
        assert_eq!(book.refusal(ip, Named::Outside), None);
        assert_eq!(book.node_has(&"n".into(), &["10.0.0.0/8".parse().unwrap()]), told);
        assert_eq!(book.node_has(&"n".into(), &["10.0.0.0/8".parse().unwrap()]), BTreeSet::new());
        assert_eq!(book.node_has(&"n".into(), &[]), told);
        for takes in [AddressBook::service_takes, AddressBook::node_takes] {
            assert_eq!(takes(&mut book, ip), told);
            assert_eq!(takes(&mut book, ip), told);
        }
        for (leaves, by) in [
            (AddressBook::service_leaves as fn(&mut AddressBook, IpAddr) -> _, "of a Service"),
            (AddressBook::node_leaves, "of a node"),
        ] {
            assert_eq!(leaves(&mut book, ip), told);
            assert_eq!(book.refusal(ip, Named::Outside), Some(by), "the other of the two is still there");
            assert_eq!(leaves(&mut book, ip), told);
        }
        assert_eq!(book.refusal(ip, Named::Outside), None);
        book.is_not_meant(ip, &key);
        assert!(book.is_empty());
    }
}
