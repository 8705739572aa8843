//! From Kubernetes' pod to the few facts that are kept of it.

use std::{collections::BTreeSet, sync::Arc};

use k8s_openapi::api::core::v1::{ContainerStatus, Pod, PodSpec, PodStatus};
use rollcall_catalogue::{
    PodFacts, PodUid, Port, Transport, ValueError, asks_to_drain, by_annotations,
    liveness::{Phase, PodLife},
};
use thiserror::Error;

use crate::SIDECAR;

/// Says why a pod cannot be kept.
#[derive(Debug, Error, PartialEq, Eq)]
pub(crate) enum FactsError {
    #[error("metadata.{0}: missing or no name; the API server sets it")]
    NoMeta(&'static str),
}

/// The facts of this pod, and the bad values in its annotations.
pub(crate) fn facts(pod: &Pod) -> Result<(PodFacts, Vec<ValueError>), FactsError> {
    let meta = &pod.metadata;
    let text = |field: &Option<String>, name| field.clone().ok_or(FactsError::NoMeta(name));
    let namespace =
        text(&meta.namespace, "namespace")?.parse().map_err(|_| FactsError::NoMeta("namespace"))?;
    let spec = pod.spec.as_ref();
    let status = pod.status.as_ref();
    let annotations = meta.annotations.clone().unwrap_or_default();
    let (registration, problems) = by_annotations(&namespace, &annotations, first_container_port(spec));
    let has_sidecar = spec.is_some_and(has_sidecar);
    let facts = PodFacts {
        uid: PodUid::from(text(&meta.uid, "uid")?.as_str()),
        namespace,
        name: text(&meta.name, "name")?.into(),
        node: spec.and_then(|spec| spec.node_name.as_deref()).map(Into::into),
        addresses: addresses(status),
        labels: meta.labels.clone().unwrap_or_default().into(),
        has_sidecar,
        registration: registration.map(Arc::new),
        asks_to_drain: asks_to_drain(&annotations),
        life: PodLife {
            phase: phase(status),
            deleting: meta.deletion_timestamp.is_some(),
            ready: if has_sidecar { ready_beside_us(spec, status) } else { condition(status, "Ready") },
            containers_ready: ready_beside_us(spec, status),
        },
    };
    Ok((facts, problems))
}

fn has_sidecar(spec: &PodSpec) -> bool {
    spec.init_containers.iter().flatten().chain(&spec.containers).any(|container| container.name == SIDECAR)
}

/// The first port that a container of the app declares.
fn first_container_port(spec: Option<&PodSpec>) -> Option<Port> {
    let containers = spec.into_iter().flat_map(|spec| &spec.containers);
    containers
        .filter(|container| container.name != SIDECAR)
        .flat_map(|container| container.ports.iter().flatten())
        .find_map(|port| {
            let transport = match port.protocol.as_deref() {
                Some("UDP") => Transport::Udp,
                Some("SCTP") => Transport::Sctp,
                _ => Transport::Tcp,
            };
            let number = u16::try_from(port.container_port).ok()?;
            Some(Port { transport, ..Port::tcp(port.name.as_deref(), number) })
        })
}

fn addresses(status: Option<&PodStatus>) -> Vec<std::net::IpAddr> {
    let Some(status) = status else { return Vec::new() };
    let listed = status.pod_ips.iter().flatten().map(|ip| ip.ip.as_str());
    let mut addresses = Vec::new();
    for ip in status.pod_ip.as_deref().into_iter().chain(listed) {
        if let Ok(ip) = ip.parse()
            && !addresses.contains(&ip)
        {
            addresses.push(ip);
        }
    }
    addresses
}

fn phase(status: Option<&PodStatus>) -> Phase {
    match status.and_then(|status| status.phase.as_deref()) {
        Some("Succeeded") => Phase::Succeeded,
        Some("Failed") => Phase::Failed,
        Some("Running") => Phase::Running,
        _ => Phase::Pending,
    }
}

fn condition(status: Option<&PodStatus>, kind: &str) -> bool {
    let conditions = status.into_iter().flat_map(|status| status.conditions.iter().flatten());
    conditions.into_iter().any(|condition| condition.type_ == kind && condition.status == "True")
}

/// Whether all containers but ours, other native sidecars included, and all readiness gates are ready. The pod's
/// own `Ready` condition will not do: it falls whenever our container restarts, and that must evict nobody.
fn ready_beside_us(spec: Option<&PodSpec>, status: Option<&PodStatus>) -> bool {
    let (Some(spec), Some(status)) = (spec, status) else { return false };
    let native =
        spec.init_containers.iter().flatten().filter(|c| c.restart_policy.as_deref() == Some("Always"));
    let expected: BTreeSet<&str> = spec
        .containers
        .iter()
        .chain(native)
        .map(|c| c.name.as_str())
        .filter(|name| *name != SIDECAR)
        .collect();
    let statuses = |list: &'_ Option<Vec<ContainerStatus>>| list.clone().unwrap_or_default();
    let ready: BTreeSet<String> = statuses(&status.container_statuses)
        .into_iter()
        .chain(statuses(&status.init_container_statuses))
        .filter(|container| container.ready)
        .map(|container| container.name)
        .collect();
    let mut gates = spec.readiness_gates.iter().flatten();
    !expected.is_empty()
        && expected.iter().all(|name| ready.contains(*name))
        && gates.all(|gate| condition(Some(status), &gate.condition_type))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// A running pod with these containers ready, as the API server would give it.
    fn pod(app_ready: bool, sidecar_ready: bool) -> serde_json::Value {
        json!({
            "metadata": {"name": "orders-1", "namespace": "shop", "uid": "u1", "labels": {"app": "orders"},
                "annotations": {"rollcall.dev/service": "orders", "rollcall.dev/port": "http:8080"}},
            "spec": {"nodeName": "n1", "containers": [{"name": "app"}],
                "initContainers": [{"name": "setup"}, {"name": SIDECAR, "restartPolicy": "Always"}]},
            "status": {"phase": "Running", "podIP": "10.1.2.3", "podIPs": [{"ip": "10.1.2.3"}, {"ip": "fd00::3"}],
                "conditions": [{"type": "Ready", "status": if app_ready && sidecar_ready { "True" } else { "False" }}],
                "containerStatuses": [{"name": "app", "ready": app_ready, "image": "", "imageID": "", "restartCount": 0}],
                "initContainerStatuses": [
                    {"name": SIDECAR, "ready": sidecar_ready, "image": "", "imageID": "", "restartCount": 0}]}
        })
    }

    fn read(value: serde_json::Value) -> PodFacts {
        let (facts, problems) = facts(&serde_json::from_value(value).unwrap()).unwrap();
        assert_eq!(problems, []);
        facts
    }

    #[test]
    fn the_facts_of_a_pod() {
        let facts = read(pod(true, true));
        assert_eq!((facts.uid.as_str(), facts.namespace.as_str(), &*facts.name), ("u1", "shop", "orders-1"));
        let addresses: Vec<_> = facts.addresses.iter().map(ToString::to_string).collect();
        assert_eq!(addresses, ["10.1.2.3", "fd00::3"]);
        assert!(facts.has_sidecar && facts.life == PodLife::READY && !facts.asks_to_drain);
        assert_eq!(facts.registration.unwrap().key.to_string(), "orders.shop");
        let nameless = Pod::default();
        assert_eq!(super::facts(&nameless).unwrap_err(), FactsError::NoMeta("namespace"));
    }

    #[test]
    fn without_a_port_annotation_the_first_declared_one_counts() {
        let mut declaring = pod(true, true);
        let annotations = declaring["metadata"]["annotations"].as_object_mut().unwrap();
        annotations.remove("rollcall.dev/port");
        declaring["spec"]["containers"] = json!([
            {"name": SIDECAR, "ports": [{"containerPort": 7300}]},
            {"name": "app", "ports": [{"name": "dns", "containerPort": 5353, "protocol": "UDP"}, {"containerPort": 80}]},
        ]);
        let registration = read(declaring).registration.unwrap();
        let dns = Port { transport: Transport::Udp, ..Port::tcp(Some("dns"), 5353) };
        assert_eq!(registration.attributes.ports, [dns]);
    }

    #[test]
    fn a_dead_sidecar_takes_nobody_out_and_a_dead_app_does() {
        let served = |value| read(value).life.ready;
        assert!(served(pod(true, true)));
        assert!(served(pod(true, false)), "only our own container is not ready");
        assert!(!served(pod(false, true)));
        let mut other_native = pod(true, true);
        other_native["spec"]["initContainers"][0]["restartPolicy"] = json!("Always");
        assert!(!served(other_native), "another native sidecar counts as any container");
        let mut gated = pod(true, true);
        gated["spec"]["readinessGates"] = json!([{"conditionType": "lb.example/ready"}]);
        assert!(!served(gated));
        let mut plain = pod(true, true);
        plain["spec"]["initContainers"] = json!([]);
        plain["status"]["conditions"][0]["status"] = json!("False");
        assert!(!served(plain), "without a sidecar Kubernetes' own word counts");
    }
}
