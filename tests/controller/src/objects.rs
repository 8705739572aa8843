//! The objects that tests make.

use rollcall_cluster::fake_nodes::BY_HAND;
use serde_json::{Value, json};

/// Merges `more` into an object, maps into maps.
#[must_use]
pub fn with(mut object: Value, more: &Value) -> Value {
    merge(&mut object, more);
    object
}

fn merge(into: &mut Value, more: &Value) {
    match (into, more) {
        (Value::Object(into), Value::Object(more)) => {
            for (key, value) in more {
                merge(into.entry(key.clone()).or_insert(Value::Null), value);
            }
        }
        (into, more) => *into = more.clone(),
    }
}

/// What a pod of an app says of itself.
pub fn annotations(service: &str, version: &str, port: &str) -> Value {
    json!({"rollcall.dev/service": service, "rollcall.dev/version": version, "rollcall.dev/port": port})
}

pub fn pod_spec(placement: &(Value, Value)) -> Value {
    let (selector, tolerations) = placement;
    json!({
        "nodeSelector": selector, "tolerations": tolerations, "terminationGracePeriodSeconds": 1,
        "automountServiceAccountToken": false,
        "containers": [{"name": "app", "image": "nobody.example/pulls-this:1",
            "ports": [{"name": "http", "containerPort": 8080}]}],
    })
}

pub fn deployment(name: &str, replicas: u32, annotations: &Value, placement: &(Value, Value)) -> Value {
    json!({
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": {"app": name}},
            "template": {
                "metadata": {"labels": {"app": name}, "annotations": annotations},
                "spec": pod_spec(placement),
            },
        },
    })
}

/// A pod without a kubelet: its status is the test's.
pub fn pod_by_hand(name: &str, node: &str, annotations: &Value, placement: &(Value, Value)) -> Value {
    let by_hand = json!({"metadata": {"annotations": {BY_HAND: "true"}}, "spec": {"nodeName": node}});
    let pod = json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": name, "labels": {"app": name}, "annotations": annotations},
        "spec": pod_spec(placement),
    });
    with(pod, &by_hand)
}

/// The status of a pod that runs at these addresses.
pub fn pod_status(ready: bool, addresses: &[&str]) -> Value {
    // Its list of addresses is one that patches would add to.
    let mut ips = vec![json!({"$patch": "replace"})];
    ips.extend(addresses.iter().map(|address| json!({"ip": address})));
    let mut running = readiness(ready);
    merge(&mut running, &json!({"status": {"phase": "Running", "podIP": addresses.first(), "podIPs": ips}}));
    running
}

/// As a kubelet patches it when a readiness probe turns.
pub fn readiness(ready: bool) -> Value {
    let status = if ready { "True" } else { "False" };
    json!({"status": {
        "conditions": [{"type": "Ready", "status": status}, {"type": "ContainersReady", "status": status}],
        "containerStatuses": [{"name": "app", "image": "nobody.example/pulls-this:1", "imageID": "", "restartCount": 0,
            "ready": ready, "started": true, "state": {"running": {}}}],
    }})
}

pub fn service(name: &str, more: &Value) -> Value {
    let service = json!({
        "apiVersion": "v1", "kind": "Service",
        // No kube-proxy needs to write rules for it.
        "metadata": {"name": name, "labels": {"service.kubernetes.io/service-proxy-name": "none"}},
        "spec": {"selector": {"app": name}, "ports": [{"name": "http", "port": 80, "targetPort": 8080}]},
    });
    with(service, more)
}

pub fn registration(name: &str, spec: &Value) -> Value {
    json!({"apiVersion": "rollcall.dev/v1alpha1", "kind": "ServiceRegistration", "metadata": {"name": name},
        "spec": spec})
}

pub fn http_port(port: u16) -> Value {
    json!([{"name": "http", "port": port}])
}

pub fn selecting(app: &str) -> Value {
    json!({"selector": {"matchLabels": {"app": app}}})
}
