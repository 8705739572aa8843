//! The objects of a cluster as they are written to a real API server: the same that [`Fleet`] tells of. EndpointSlices are
//! Kubernetes' own.

use rollcall_cluster::fake_nodes::{BY_HAND, FakeNodes, NODES};
use serde_json::{Value, json};

use crate::fleet::{By, Fleet, INSTANCES, VERSION, address, key, pod_name};

/// What a pod says of itself, beside what every other says too.
pub(super) const SAYS: &str = "rollcall.dev/metadata";
const IMAGE: &str = "nobody.example/pulls-this:1";
const SINCE: &str = "2026-01-02T03:04:05Z";

/// Holds one object, and the path under which it is made.
pub(super) struct Object {
    pub(super) path: String,
    pub(super) body: Value,
}

pub(super) fn namespaces(fleet: Fleet) -> Vec<String> {
    let mut names: Vec<_> = (0..fleet.services()).map(|service| key(service).namespace.to_string()).collect();
    names.dedup();
    names
}

pub(super) fn namespace(name: &str) -> Object {
    Object {
        path: "/api/v1/namespaces".to_owned(),
        body: json!({"apiVersion": "v1", "kind": "Namespace",
            "metadata": {"name": name, "labels": {"rollcall.dev/adopt-services": "enabled"}}}),
    }
}

/// A pod with what every Deployment's has. Nobody but us writes its status.
pub(super) fn pod(pod: u32, nodes: &FakeNodes) -> Object {
    let service = pod / INSTANCES;
    let key = key(service);
    let (annotations, init_containers) = match By::of(service) {
        By::Annotations => (
            json!({
                BY_HAND: "true", "rollcall.dev/service": key.service, "rollcall.dev/version": VERSION,
                "rollcall.dev/port": "http:8080,grpc:9090",
            }),
            json!([{"name": "rollcall-sidecar", "image": IMAGE, "restartPolicy": "Always"}]),
        ),
        By::Selector | By::Service => (json!({BY_HAND: "true"}), json!([])),
    };
    let (_, tolerations) = nodes.placement();
    let body = json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {
            "name": pod_name(pod),
            "annotations": annotations,
            "labels": {
                "app.kubernetes.io/name": key.service,
                "app.kubernetes.io/instance": "production",
                "app.kubernetes.io/version": VERSION,
                "app.kubernetes.io/managed-by": "Helm",
                "pod-template-hash": format!("7c9d8f6b{service:02x}"),
            },
        },
        "spec": {
            "nodeName": node(pod, nodes), "tolerations": tolerations, "automountServiceAccountToken": false,
            "initContainers": init_containers,
            "containers": [{
                "name": "app", "image": IMAGE,
                "ports": [{"name": "http", "containerPort": 8080}, {"name": "grpc", "containerPort": 9090}],
                "resources": {"requests": {"cpu": "100m", "memory": "128Mi"}, "limits": {"memory": "256Mi"}},
                "readinessProbe": {"httpGet": {"path": "/ready", "port": "http"}},
            }],
        },
    });
    Object { path: format!("/api/v1/namespaces/{}/pods", key.namespace), body }
}

/// As a kubelet writes it of a pod that runs.
pub(super) fn pod_status(pod: u32) -> Value {
    let condition = |kind: &str| json!({"type": kind, "status": "True", "lastTransitionTime": SINCE});
    let container = |name: &str| {
        json!({"name": name, "image": IMAGE, "imageID": "", "restartCount": 0, "ready": true, "started": true,
            "state": {"running": {"startedAt": SINCE}}})
    };
    let sidecars = match By::of(pod / INSTANCES) {
        By::Annotations => vec![container("rollcall-sidecar")],
        By::Selector | By::Service => Vec::new(),
    };
    let conditions = ["PodScheduled", "Initialized", "ContainersReady", "Ready"].map(condition);
    json!({"status": {
        "phase": "Running", "startTime": SINCE,
        "podIP": address(pod), "podIPs": [{"ip": address(pod)}],
        "conditions": conditions,
        "containerStatuses": [container("app")], "initContainerStatuses": sidecars,
    }})
}

/// What a service has beside its pods.
pub(super) fn beside_the_pods(service: u32) -> Option<Object> {
    match By::of(service) {
        By::Annotations => None,
        By::Selector => Some(registration(service)),
        By::Service => Some(kubernetes_service(service)),
    }
}

/// Turns a pod's readiness, as its kubelet would.
pub(super) fn readiness(ready: bool) -> Value {
    let status = if ready { "True" } else { "False" };
    json!({"status": {
        "conditions": [{"type": "Ready", "status": status}, {"type": "ContainersReady", "status": status}],
        "containerStatuses": [{"name": "app", "image": IMAGE, "imageID": "", "restartCount": 0, "ready": ready,
            "started": true, "state": {"running": {"startedAt": SINCE}}}],
    }})
}

/// Changes what a pod says of itself by its annotations.
pub(super) fn saying(metadata: &str) -> Value {
    json!({"metadata": {"annotations": {SAYS: metadata}}})
}

/// Whether the service is registered by what its pods say of themselves.
pub(super) fn says_itself(service: u32) -> bool {
    matches!(By::of(service), By::Annotations)
}

fn registration(service: u32) -> Object {
    let key = key(service);
    Object {
        path: format!("/apis/rollcall.dev/v1alpha1/namespaces/{}/serviceregistrations", key.namespace),
        body: json!({
            "apiVersion": "rollcall.dev/v1alpha1", "kind": "ServiceRegistration",
            "metadata": {"name": key.service},
            "spec": {
                "target": {"selector": {"matchLabels": {"app.kubernetes.io/name": key.service}}},
                "version": VERSION, "tags": ["blue"],
                "ports": [{"name": "http", "port": 8080}, {"name": "grpc", "port": 9090}],
            },
        }),
    }
}

/// Its slices are made by Kubernetes of the pods that it selects; kube-proxy need not write rules for it.
fn kubernetes_service(service: u32) -> Object {
    let key = key(service);
    Object {
        path: format!("/api/v1/namespaces/{}/services", key.namespace),
        body: json!({
            "apiVersion": "v1", "kind": "Service",
            "metadata": {"name": key.service, "labels": {"service.kubernetes.io/service-proxy-name": "none"}},
            "spec": {
                "selector": {"app.kubernetes.io/name": key.service},
                "ports": [
                    {"name": "http", "port": 80, "targetPort": "http"},
                    {"name": "grpc", "port": 90, "targetPort": "grpc"},
                ],
            },
        }),
    }
}

fn node(pod: u32, nodes: &FakeNodes) -> String {
    nodes.name(1 + (pod % u32::from(NODES)) as u8)
}
