//! From Kubernetes' EndpointSlice to the few facts that are kept of it.

use std::net::IpAddr;

use k8s_openapi::{
    api::discovery::v1::{Endpoint, EndpointSlice},
    apimachinery::pkg::apis::meta::v1::ObjectMeta,
};

use crate::{
    index::{Change, Key, Kind, SliceEndpoint, SliceFacts},
    kubernetes::watched::{NoMeta, Watched, label, object_key, port},
};

const SERVICE: &str = "kubernetes.io/service-name";

/// EndpointSlices, of all namespaces.
pub(super) struct Slices;

impl Watched for Slices {
    type Object = EndpointSlice;
    const KIND: Kind = Kind::Slice;

    fn key(meta: &ObjectMeta) -> Result<Key, NoMeta> {
        object_key(meta).map(Key::Slice)
    }

    fn seen(slice: EndpointSlice) -> Result<Change, NoMeta> {
        let key = object_key(&slice.metadata)?;
        Ok(match facts(&slice) {
            Some(facts) => Change::Slice(key, Box::new(facts)),
            // It may have been a Service's until now.
            None => Change::Gone(Key::Slice(key)),
        })
    }
}

/// None where it is no part of a Service.
fn facts(slice: &EndpointSlice) -> Option<SliceFacts> {
    let service = label(&slice.metadata, SERVICE).filter(|service| !service.is_empty())?;
    // Names are for DNS to resolve, which we do not ask.
    let has_addresses = slice.address_type != "FQDN";
    let ports = slice.ports.iter().flatten().filter_map(|one| {
        // A port without a number stands for all, and nobody can call all.
        port(one.name.as_deref(), one.port?, one.protocol.as_deref(), one.app_protocol.as_deref())
    });
    Some(SliceFacts {
        service: service.into(),
        ports: ports.collect(),
        endpoints: slice.endpoints.iter().filter(|_| has_addresses).filter_map(endpoint).collect(),
    })
}

/// None where nobody could be called.
fn endpoint(endpoint: &Endpoint) -> Option<SliceEndpoint> {
    let addresses: Vec<IpAddr> = endpoint.addresses.iter().filter_map(|text| text.parse().ok()).collect();
    if addresses.is_empty() {
        return None;
    }
    let conditions = endpoint.conditions.as_ref();
    let target = endpoint.target_ref.as_ref().filter(|target| target.kind.as_deref() == Some("Pod"));
    Some(SliceEndpoint {
        addresses,
        pod: target.and_then(|target| target.uid.as_deref()).map(Into::into),
        zone: endpoint.zone.as_deref().map(Into::into),
        node: endpoint.node_name.as_deref().map(Into::into),
        // What is not said means ready, by the definition of the field.
        ready: conditions.and_then(|conditions| conditions.ready).unwrap_or(true),
        terminating: conditions.and_then(|conditions| conditions.terminating).unwrap_or(false),
    })
}

#[cfg(test)]
mod tests {
    use rollcall_catalogue::{Port, Transport};
    use serde_json::{Value, json};

    use super::*;

    fn slice(address_type: &str, endpoints: &Value) -> Value {
        json!({
            "metadata": {"name": "orders-x7", "namespace": "shop", "labels": {"kubernetes.io/service-name": "orders"}},
            "addressType": address_type, "endpoints": endpoints,
            "ports": [{"name": "http", "port": 8080, "appProtocol": "http"}, {"name": "all"},
                {"name": "", "port": 53, "protocol": "UDP"}],
        })
    }

    fn read(slice: Value) -> SliceFacts {
        let change = Slices::seen(serde_json::from_value(slice).unwrap()).unwrap();
        let Change::Slice(key, facts) = change else { panic!("{change:?}") };
        assert_eq!((key.namespace.as_str(), &*key.name), ("shop", "orders-x7"));
        *facts
    }

    #[test]
    fn the_facts_of_a_slice() {
        let facts = read(slice(
            "IPv4",
            &json!([{
                "addresses": ["10.1.2.3", "10.1.2.4", "nonsense"], "zone": "a", "nodeName": "node1",
                "targetRef": {"kind": "Pod", "uid": "u1", "name": "orders-1", "namespace": "shop"},
                "conditions": {"ready": false, "serving": true, "terminating": true},
            }]),
        ));
        let expected = SliceFacts {
            service: "orders".into(),
            ports: vec![
                Port { app_protocol: Some("http".into()), ..Port::tcp(Some("http"), 8080) },
                Port { transport: Transport::Udp, ..Port::tcp(None, 53) },
            ],
            endpoints: vec![SliceEndpoint {
                addresses: vec!["10.1.2.3".parse().unwrap(), "10.1.2.4".parse().unwrap()],
                pod: Some("u1".into()),
                zone: Some("a".into()),
                node: Some("node1".into()),
                ready: false,
                terminating: true,
            }],
        };
        assert_eq!(facts, expected);
    }

    #[test]
    fn conditions_that_are_not_said_mean_ready_and_not_terminating() {
        for (conditions, ready, terminating) in [
            (json!(null), true, false),
            (json!({}), true, false),
            (json!({"ready": null, "terminating": null}), true, false),
            (json!({"ready": true, "terminating": true}), true, true),
            (json!({"ready": false}), false, false),
        ] {
            let endpoints = json!([{"addresses": ["fd00::1"], "conditions": conditions}]);
            let facts = read(slice("IPv6", &endpoints));
            assert_eq!(
                (facts.endpoints[0].ready, facts.endpoints[0].terminating),
                (ready, terminating),
                "{conditions}"
            );
        }
    }

    #[test]
    fn only_a_pod_is_a_pod() {
        for (target, pod) in [
            (json!(null), None),
            (json!({"kind": "Pod", "uid": "u1"}), Some("u1")),
            (json!({"kind": "Pod"}), None),
            (json!({"kind": "Node", "uid": "n1"}), None),
        ] {
            let facts = read(slice("IPv4", &json!([{"addresses": ["10.1.2.3"], "targetRef": target}])));
            assert_eq!(facts.endpoints[0].pod, pod.map(Into::into), "{target}");
        }
    }

    #[test]
    fn who_has_no_address_is_no_endpoint() {
        assert_eq!(read(slice("FQDN", &json!([{"addresses": ["db.example"]}]))).endpoints, []);
        assert_eq!(read(slice("FQDN", &json!([{"addresses": ["10.1.2.3"]}]))).endpoints, []);
        assert_eq!(read(slice("IPv4", &json!([{"addresses": ["10.1.2"]}, {"addresses": []}]))).endpoints, []);
        assert_eq!(read(slice("IPv4", &Value::Null)).endpoints, [], "an empty slice is no missing Service");
    }

    #[test]
    fn a_slice_that_lost_its_service_is_gone() {
        for labels in [json!(null), json!({}), json!({"kubernetes.io/service-name": ""})] {
            let mut orphan = slice("IPv4", &json!([{"addresses": ["10.1.2.3"]}]));
            orphan["metadata"]["labels"] = labels;
            let change = Slices::seen(serde_json::from_value(orphan).unwrap()).unwrap();
            assert!(matches!(change, Change::Gone(Key::Slice(_))), "{change:?}");
        }
    }
}
