//! From Kubernetes' Service to the few facts that are kept of it.

use std::net::IpAddr;

use crate::{
    index::{Change, Key, Kind, ServiceFacts},
    kubernetes::watched::{NoMeta, Watched, milliseconds, object_key, port, uid},
};
use k8s_openapi::{
    api::core::v1::{Service, ServiceSpec},
    apimachinery::pkg::apis::meta::v1::ObjectMeta,
};

const ADOPT: &str = "rollcall.dev/adopt";

/// Services, of all namespaces.
pub(super) struct Services;

impl Watched for Services {
    type Object = Service;
    const KIND: Kind = Kind::Service;

    fn key(meta: &ObjectMeta) -> Result<Key, NoMeta> {
        object_key(meta).map(Key::Service)
    }

    fn seen(service: Service) -> Result<Change, NoMeta> {
        Ok(Change::Service(object_key(&service.metadata)?, Box::new(facts(&service)?)))
    }
}

fn facts(service: &Service) -> Result<ServiceFacts, NoMeta> {
    let meta = &service.metadata;
    let spec = service.spec.as_ref();
    let ports = spec.into_iter().flat_map(|spec| spec.ports.iter().flatten());
    let opted_out = meta.annotations.iter().any(|all| all.get(ADOPT).is_some_and(|wanted| wanted == "false"));
    Ok(ServiceFacts {
        uid: uid(meta)?.into(),
        created_ms: meta.creation_timestamp.as_ref().map(milliseconds).unwrap_or_default(),
        ports: ports
            .filter_map(|one| {
                port(one.name.as_deref(), one.port, one.protocol.as_deref(), one.app_protocol.as_deref())
            })
            .collect(),
        addresses: addresses(service),
        publishes_not_ready: spec.and_then(|spec| spec.publish_not_ready_addresses).unwrap_or_default(),
        adoptable: !opted_out && !spec.is_some_and(has_no_endpoints),
    })
}

/// A name of somebody else's, with no addresses that Kubernetes knew.
fn has_no_endpoints(spec: &ServiceSpec) -> bool {
    spec.type_.as_deref() == Some("ExternalName")
}

/// Those within the cluster, of both families, where a headless Service says `None` in the place of one; those outside
/// that it claims, which all nodes send to it from then on; and those that load balancers have for it.
fn addresses(service: &Service) -> Vec<IpAddr> {
    let spec = service.spec.as_ref();
    let of_spec = |field: fn(&ServiceSpec) -> &Option<Vec<String>>| {
        spec.into_iter().flat_map(move |spec| field(spec).iter().flatten())
    };
    let balancers = service.status.iter().filter_map(|status| status.load_balancer.as_ref());
    let balancers = balancers.flat_map(|balancer| balancer.ingress.iter().flatten());
    let listed = spec
        .and_then(|spec| spec.cluster_ip.as_ref())
        .into_iter()
        .chain(of_spec(|spec| &spec.cluster_ips))
        .chain(of_spec(|spec| &spec.external_ips))
        .chain(balancers.filter_map(|ingress| ingress.ip.as_ref()));
    let mut addresses = Vec::new();
    for address in listed.filter_map(|text| text.parse().ok()) {
        if !addresses.contains(&address) {
            addresses.push(address);
        }
    }
    addresses
}

#[cfg(test)]
mod tests {
    use rollcall_catalogue::{Port, Transport};
    use serde_json::{Value, json};

    use super::*;

    fn read(spec: &Value, annotations: &Value) -> ServiceFacts {
        let service = json!({
            "metadata": {"name": "orders", "namespace": "shop", "uid": "s1", "annotations": annotations,
                "creationTimestamp": "2026-01-02T03:04:05Z"},
            "spec": spec,
        });
        let change = Services::seen(serde_json::from_value(service).unwrap()).unwrap();
        let Change::Service(key, facts) = change else { panic!("{change:?}") };
        assert_eq!((key.namespace.as_str(), &*key.name), ("shop", "orders"));
        *facts
    }

    #[test]
    fn the_facts_of_a_service() {
        let spec = json!({
            "clusterIP": "10.96.0.7", "clusterIPs": ["10.96.0.7", "fd00:96::7"], "publishNotReadyAddresses": true,
            "ports": [
                {"name": "grpc", "port": 9090, "targetPort": 19090, "appProtocol": "grpc"},
                {"name": "dns", "port": 53, "protocol": "UDP"},
                {"name": "http", "port": 80, "protocol": "TCP", "targetPort": "web"},
                {"name": "bad", "port": 70000},
            ],
        });
        let expected = ServiceFacts {
            uid: "s1".into(),
            created_ms: 1_767_323_045_000,
            ports: vec![
                Port { app_protocol: Some("grpc".into()), ..Port::tcp(Some("grpc"), 9090) },
                Port { transport: Transport::Udp, ..Port::tcp(Some("dns"), 53) },
                Port::tcp(Some("http"), 80),
            ],
            addresses: vec!["10.96.0.7".parse().unwrap(), "fd00:96::7".parse().unwrap()],
            publishes_not_ready: true,
            adoptable: true,
        };
        assert_eq!(read(&spec, &Value::Null), expected);
    }

    #[test]
    fn what_it_is_reached_by_from_outside_is_its_own_too() {
        let service = json!({
            "metadata": {"name": "web", "namespace": "shop", "uid": "s1"},
            "spec": {"clusterIP": "10.96.0.7", "externalIPs": ["198.51.100.1", "nonsense"], "loadBalancerIP": "198.51.100.9"},
            "status": {"loadBalancer": {"ingress":
                [{"ip": "198.51.100.2"}, {"hostname": "lb.example"}, {"ip": "198.51.100.1"}]}},
        });
        let facts = facts(&serde_json::from_value(service).unwrap()).unwrap();
        let addresses: Vec<_> = facts.addresses.iter().map(ToString::to_string).collect();
        assert_eq!(
            addresses,
            ["10.96.0.7", "198.51.100.1", "198.51.100.2"],
            "what was only asked for is not given"
        );
    }

    #[test]
    fn a_headless_service_has_no_address_of_its_own_and_is_adopted() {
        let facts = read(
            &json!({"clusterIP": "None", "clusterIPs": ["None"], "ports": [{"port": 80}]}),
            &Value::Null,
        );
        assert_eq!((facts.addresses, facts.ports), (Vec::new(), vec![Port::tcp(None, 80)]));
        assert!(facts.adoptable && !facts.publishes_not_ready);
    }

    #[test]
    fn who_is_not_adopted() {
        for (spec, annotations, adoptable) in [
            (json!({"type": "ClusterIP"}), json!({}), true),
            (json!({"type": "LoadBalancer"}), json!({"rollcall.dev/adopt": "true"}), true),
            (json!({"type": "ClusterIP"}), json!({"rollcall.dev/adopt": "false"}), false),
            (json!({"type": "ExternalName", "externalName": "db.example"}), json!({}), false),
        ] {
            assert_eq!(read(&spec, &annotations).adoptable, adoptable, "{spec} {annotations}");
        }
    }

    #[test]
    fn a_service_without_a_uid_cannot_be_told_from_its_successor() {
        let nameless = Service {
            metadata: ObjectMeta {
                name: Some("orders".into()),
                namespace: Some("shop".into()),
                ..Default::default()
            },
            ..Default::default()
        };
        assert_eq!(Services::seen(nameless).unwrap_err(), NoMeta("uid"));
    }
}
