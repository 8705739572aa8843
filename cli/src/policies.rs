//! What NetworkPolicies let through, as far as Kubernetes' own kind goes: the network's own kinds, and whether the network heeds
//! any, are not seen from here.

use std::{collections::BTreeMap, net::IpAddr};

use k8s_openapi::{
    api::networking::v1::{NetworkPolicy, NetworkPolicyPeer, NetworkPolicyPort},
    apimachinery::pkg::{apis::meta::v1::LabelSelector, util::intstr::IntOrString},
};

/// Labels by their names.
pub(crate) type Labels = BTreeMap<String, String>;

/// Says which way the connection goes, as seen from the pod whose policies are asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Direction {
    Out,
    In,
}

/// Holds a pod as policies know it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Party {
    pub(crate) namespace: String,
    pub(crate) namespace_labels: Labels,
    pub(crate) labels: Labels,
    pub(crate) addresses: Vec<IpAddr>,
}

/// Holds one rule of a policy: the ports and the other ends that it lets through; none: all.
struct Rule<'a> {
    ports: Option<&'a [NetworkPolicyPort]>,
    peers: Option<&'a [NetworkPolicyPeer]>,
}

/// The names of the policies of `here`'s namespace that together keep it from any of `there` at this TCP port; none where one of
/// them lets it through, or none bears on it.
pub(crate) fn walls(
    policies: &[NetworkPolicy],
    direction: Direction,
    here: &Party,
    there: &[Party],
    port: u16,
) -> Vec<String> {
    let bearing: Vec<_> = policies.iter().filter(|policy| bears_on(policy, direction, here)).collect();
    let is_open = bearing.iter().any(|policy| {
        rules(policy, direction).into_iter().any(|Rule { ports, peers }| {
            ports.is_none_or(|ports| ports.is_empty() || ports.iter().any(|one| is_port(one, port)))
                && peers.is_none_or(|peers| {
                    peers.is_empty()
                        || peers.iter().any(|peer| there.iter().any(|party| is_peer(peer, here, party)))
                })
        })
    });
    if is_open {
        return Vec::new();
    }
    bearing.into_iter().filter_map(|policy| policy.metadata.name.clone()).collect()
}

fn bears_on(policy: &NetworkPolicy, direction: Direction, here: &Party) -> bool {
    let Some(spec) = &policy.spec else { return false };
    let kinds = spec.policy_types.as_deref().unwrap_or_default();
    let bears = match direction {
        Direction::In => kinds.is_empty() || kinds.iter().any(|kind| kind == "Ingress"),
        Direction::Out if kinds.is_empty() => spec.egress.is_some(),
        Direction::Out => kinds.iter().any(|kind| kind == "Egress"),
    };
    bears && spec.pod_selector.as_ref().is_none_or(|selector| selects(selector, &here.labels))
}

fn rules(policy: &NetworkPolicy, direction: Direction) -> Vec<Rule<'_>> {
    let Some(spec) = &policy.spec else { return Vec::new() };
    match direction {
        Direction::Out => spec
            .egress
            .iter()
            .flatten()
            .map(|rule| Rule { ports: rule.ports.as_deref(), peers: rule.to.as_deref() })
            .collect(),
        Direction::In => spec
            .ingress
            .iter()
            .flatten()
            .map(|rule| Rule { ports: rule.ports.as_deref(), peers: rule.from.as_deref() })
            .collect(),
    }
}

fn is_port(allowed: &NetworkPolicyPort, port: u16) -> bool {
    if allowed.protocol.as_deref().unwrap_or("TCP") != "TCP" {
        return false;
    }
    let port = i32::from(port);
    match &allowed.port {
        None => true,
        Some(IntOrString::Int(first)) => (*first..=allowed.end_port.unwrap_or(*first)).contains(&port),
        // Which number a name has, the other end says; in doubt it is let through.
        Some(IntOrString::String(_)) => true,
    }
}

fn is_peer(peer: &NetworkPolicyPeer, here: &Party, there: &Party) -> bool {
    if let Some(block) = &peer.ip_block {
        let holds = |cidr: &str| there.addresses.iter().any(|address| in_block(cidr, *address));
        return holds(&block.cidr) && !block.except.iter().flatten().any(|cidr| holds(cidr));
    }
    let in_namespace = match &peer.namespace_selector {
        Some(selector) => selects(selector, &there.namespace_labels),
        None => here.namespace == there.namespace,
    };
    in_namespace && peer.pod_selector.as_ref().is_none_or(|selector| selects(selector, &there.labels))
}

/// As Kubernetes has it: without any requirement it takes everything.
pub(crate) fn selects(selector: &LabelSelector, labels: &Labels) -> bool {
    let equal = selector.match_labels.iter().flatten();
    let required = selector.match_expressions.iter().flatten();
    equal.into_iter().all(|(key, value)| labels.get(key) == Some(value))
        && required.into_iter().all(|one| {
            let value = labels.get(&one.key);
            let is_named = value.is_some_and(|value| one.values.iter().flatten().any(|named| named == value));
            match one.operator.as_str() {
                "In" => is_named,
                "NotIn" => !is_named,
                "Exists" => value.is_some(),
                "DoesNotExist" => value.is_none(),
                _ => false,
            }
        })
}

fn in_block(cidr: &str, address: IpAddr) -> bool {
    let Some((network, length)) = cidr.split_once('/') else { return false };
    let (Ok(network), Ok(length)) = (network.parse::<IpAddr>(), length.parse::<u32>()) else { return false };
    let (network, address, width) = match (network, address) {
        (IpAddr::V4(network), IpAddr::V4(address)) => {
            (u128::from(network.to_bits()), u128::from(address.to_bits()), 32)
        }
        (IpAddr::V6(network), IpAddr::V6(address)) => (network.to_bits(), address.to_bits(), 128),
        _ => return false,
    };
    let Some(rest) = u32::checked_sub(width, length) else { return false };
    // A shift by the whole width is none.
    network.checked_shr(rest).unwrap_or(0) == address.checked_shr(rest).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn labels(pairs: &[(&str, &str)]) -> Labels {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    fn party(namespace: &str, app: &str, address: &str) -> Party {
        Party {
            namespace: namespace.to_owned(),
            namespace_labels: labels(&[("kubernetes.io/metadata.name", namespace)]),
            labels: labels(&[("app", app)]),
            addresses: vec![address.parse().unwrap()],
        }
    }

    fn policy(name: &str, spec: &Value) -> NetworkPolicy {
        serde_json::from_value(json!({"metadata": {"name": name}, "spec": spec})).unwrap()
    }

    #[test]
    fn whoever_keeps_a_pod_from_the_controllers_is_named() {
        let out = |rules: Value| json!({"podSelector": {}, "policyTypes": ["Egress"], "egress": rules});
        let system =
            json!({"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "rollcall-system"}}});
        let port = |port: Value| json!({"protocol": "TCP", "port": port});
        for (what, spec, is_wall) in [
            ("nothing", out(json!([])), true),
            ("everything", out(json!([{}])), false),
            ("DNS alone", out(json!([{"ports": [{"protocol": "UDP", "port": 53}]}])), true),
            ("the port", out(json!([{"ports": [port(json!(7310))]}])), false),
            ("another port", out(json!([{"ports": [port(json!(7311))]}])), true),
            ("a range", out(json!([{"ports": [{"port": 7000, "endPort": 8000}]}])), false),
            ("a port by its name", out(json!([{"ports": [port(json!("sessions"))]}])), false),
            ("the namespace", out(json!([{"to": [system]}])), false),
            ("its own namespace", out(json!([{"to": [{"podSelector": {}}]}])), true),
            (
                "other pods there",
                out(
                    json!([{"to": [{"namespaceSelector": {}, "podSelector": {"matchLabels": {"app": "x"}}}]}]),
                ),
                true,
            ),
            ("the addresses", out(json!([{"to": [{"ipBlock": {"cidr": "10.1.0.0/16"}}]}])), false),
            ("other addresses", out(json!([{"to": [{"ipBlock": {"cidr": "10.2.0.0/16"}}]}])), true),
            (
                "all but these",
                out(json!([{"to": [{"ipBlock": {"cidr": "0.0.0.0/0", "except": ["10.1.0.0/16"]}}]}])),
                true,
            ),
            (
                "for others",
                json!({"podSelector": {"matchLabels": {"app": "web"}}, "policyTypes": ["Egress"]}),
                false,
            ),
            (
                "for these",
                json!({"podSelector": {"matchExpressions": [{"key": "app", "operator": "In", "values": ["orders"]}]},
                    "policyTypes": ["Egress"]}),
                true,
            ),
            ("what comes in", json!({"podSelector": {}, "policyTypes": ["Ingress"]}), false),
            ("nothing said of what goes out", json!({"podSelector": {}}), false),
        ] {
            let (here, there) =
                (party("shop", "orders", "10.3.0.1"), party("rollcall-system", "controller", "10.1.0.2"));
            let told = walls(&[policy("deny", &spec)], Direction::Out, &here, &[there], 7310);
            assert_eq!(told, if is_wall { vec!["deny"] } else { vec![] }, "{what}");
        }
    }

    #[test]
    fn what_one_policy_forbids_another_may_allow() {
        let deny = policy("deny", &json!({"podSelector": {}, "policyTypes": ["Egress", "Ingress"]}));
        let allow = policy("allow", &json!({"podSelector": {}, "policyTypes": ["Egress"], "egress": [{}]}));
        let here = party("shop", "orders", "10.3.0.1");
        let told = |policies: &[NetworkPolicy], direction| walls(policies, direction, &here, &[], 7310);
        assert_eq!(told(&[deny.clone(), allow.clone()], Direction::Out), [""; 0]);
        assert_eq!(told(&[deny.clone(), allow], Direction::In), ["deny"]);
        assert_eq!(told(&[deny.clone(), deny], Direction::Out), ["deny", "deny"]);
        assert_eq!(told(&[], Direction::Out), [""; 0]);
    }

    #[test]
    fn a_block_holds_what_begins_like_it() {
        for (cidr, address, holds) in [
            ("10.1.0.0/16", "10.1.2.3", true),
            ("10.1.0.0/16", "10.2.0.0", false),
            ("0.0.0.0/0", "10.1.2.3", true),
            ("10.1.2.3/32", "10.1.2.3", true),
            ("fd00::/8", "fd12::1", true),
            ("::/0", "10.1.2.3", false),
            ("10.1.0.0/33", "10.1.0.0", false),
            ("10.1.0.0", "10.1.0.0", false),
        ] {
            assert_eq!(in_block(cidr, address.parse().unwrap()), holds, "{cidr} {address}");
        }
    }
}
