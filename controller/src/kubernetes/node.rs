//! From Kubernetes' node to the few facts that are kept of it.

use std::net::IpAddr;

use k8s_openapi::{
    api::core::v1::{Node, NodeStatus},
    apimachinery::pkg::apis::meta::v1::ObjectMeta,
};

use crate::{
    index::{Change, Key, Kind, NodeFacts},
    kubernetes::watched::{NoMeta, Watched, label, name},
};

const ZONE: &str = "topology.kubernetes.io/zone";

/// All nodes. Their metadata alone would not do: what counts is in the status and in the spec.
pub(super) struct Nodes;

impl Watched for Nodes {
    type Object = Node;
    const KIND: Kind = Kind::Node;

    fn key(meta: &ObjectMeta) -> Result<Key, NoMeta> {
        Ok(Key::Node(name(meta)?.into()))
    }

    fn seen(node: Node) -> Result<Change, NoMeta> {
        Ok(Change::Node(name(&node.metadata)?.into(), facts(&node)))
    }
}

fn facts(node: &Node) -> NodeFacts {
    let spec = node.spec.as_ref();
    // The list has all that the single field has, where it is there at all.
    let listed = spec.into_iter().flat_map(|spec| spec.pod_cidrs.iter().flatten());
    let single = spec.into_iter().filter_map(|spec| spec.pod_cidr.as_ref());
    let mut pod_ranges = Vec::new();
    for range in listed.chain(single).filter_map(|text| text.parse().ok()) {
        if !pod_ranges.contains(&range) {
            pod_ranges.push(range);
        }
    }
    let mut conditions = node.status.iter().flat_map(|status| status.conditions.iter().flatten());
    NodeFacts {
        zone: label(&node.metadata, ZONE).filter(|zone| !zone.is_empty()).map(Into::into),
        unknown: conditions.any(|condition| condition.type_ == "Ready" && condition.status == "Unknown"),
        pod_ranges,
        addresses: node.status.as_ref().map(addresses).unwrap_or_default(),
    }
}

/// Those that lead to it, from within and from outside; the others are names.
fn addresses(status: &NodeStatus) -> Vec<IpAddr> {
    let listed = status.addresses.iter().flatten();
    let listed = listed.filter(|one| matches!(one.type_.as_str(), "InternalIP" | "ExternalIP"));
    let mut addresses = Vec::new();
    for address in listed.filter_map(|one| one.address.parse().ok()) {
        if !addresses.contains(&address) {
            addresses.push(address);
        }
    }
    addresses
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(node: serde_json::Value) -> NodeFacts {
        let change = Nodes::seen(serde_json::from_value(node).unwrap()).unwrap();
        let Change::Node(name, facts) = change else { panic!("{change:?}") };
        assert_eq!(&*name, "node1");
        facts
    }

    #[test]
    fn the_facts_of_a_node() {
        let facts = read(json!({
            "metadata": {"name": "node1", "labels": {"topology.kubernetes.io/zone": "a"}},
            "spec": {"podCIDR": "10.1.0.0/24", "podCIDRs": ["10.1.0.0/24", "fd00:1::/64", "nonsense"]},
            "status": {
                "conditions": [{"type": "Ready", "status": "True"}],
                "addresses": [
                    {"type": "InternalIP", "address": "192.0.2.1"}, {"type": "InternalIP", "address": "2001:db8::1"},
                    {"type": "Hostname", "address": "192.0.2.9"}, {"type": "ExternalIP", "address": "198.51.100.1"},
                    {"type": "ExternalIP", "address": "192.0.2.1"}, {"type": "InternalIP", "address": "nonsense"},
                ],
            },
        }));
        assert_eq!(facts.zone.as_deref(), Some("a"));
        assert_eq!(facts.pod_ranges, ["10.1.0.0/24".parse().unwrap(), "fd00:1::/64".parse().unwrap()]);
        let addresses: Vec<_> = facts.addresses.iter().map(ToString::to_string).collect();
        assert_eq!(addresses, ["192.0.2.1", "2001:db8::1", "198.51.100.1"]);
        let bare = read(json!({"metadata": {"name": "node1"}, "spec": {"podCIDR": "10.1.0.0/24"}}));
        let pod_ranges = vec!["10.1.0.0/24".parse().unwrap()];
        let expected = NodeFacts { zone: None, unknown: false, pod_ranges, addresses: Vec::new() };
        assert_eq!(bare, expected);
    }

    #[test]
    fn lost_from_sight_is_not_the_same_as_not_ready() {
        for (kind, status, unknown) in [
            ("Ready", "True", false),
            ("Ready", "False", false),
            ("Ready", "Unknown", true),
            ("MemoryPressure", "Unknown", false),
        ] {
            let conditions = json!([{"type": kind, "status": status}]);
            let node = json!({"metadata": {"name": "node1"}, "status": {"conditions": conditions}});
            assert_eq!(read(node).unknown, unknown, "{kind} {status}");
        }
    }
}
